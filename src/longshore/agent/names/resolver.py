"""The resolver that a machine's containers ask: a process of its own at 169.254.170.2, port 53.

It answers for the load balancers of every platform with an agent here, and hands everything else on to the machine's own resolvers.
It is its own process because containers ask it for every name: they must not be without answers while an agent starts anew, or
while tasks run on without one. The first agent starts it, and it ends when no agent has any names left here (book.py).

Only the machine itself and containers on its bridges are answered: nobody beyond can use it to ask, or to have others asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import secrets
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from longshore.agent.metadata.link import ADDRESS
from longshore.agent.names import wire
from longshore.agent.names.book import Book, everywhere, is_ours

log = logging.getLogger("longshore.names")

PORT = 53
TTL_S = 5
#: questions on their way to the machine's resolvers at once, and connections
_MOST_WAITING, _MOST_CONNECTIONS = 512, 64
_UPSTREAM_S, _IDLE_S = 3.0, 10.0
_LOOK_S = 0.25
#: how often without a page before it ends: an agent that starts anew has one again by then
_PATIENCE = 40
_MOST_MESSAGE = 65_535
EXIT_OK, EXIT_FAILED = 0, 1


def main(run_directory: Path) -> int:
    """Until no agent has names here. Another one that serves already is no failure."""
    try:
        return asyncio.run(Resolver(Book(run_directory)).run())
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            log.info("another program answers at %s port %d", ADDRESS, PORT)
            return EXIT_OK
        log.error("names cannot be served: %s", error)
        return EXIT_FAILED


class Resolver:
    def __init__(self, book: Book, *, resolv_conf: Path = Path("/etc/resolv.conf"), address: str = ADDRESS, port: int = PORT) -> None:
        self._book = book
        self._resolv_conf = resolv_conf
        self._address = address
        self._port = port
        self._names: dict[str, tuple[str, ...]] = {}
        self._upstreams: list[str] = []
        self._neighbours: list[IPv4Network] = []
        self._waiting: set[asyncio.Task[None]] = set()
        self._connections = 0
        self._transport: asyncio.DatagramTransport | None = None

    async def run(self) -> int:
        """Raises OSError when it cannot listen."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), local_addr=(self._address, self._port))
        server = await asyncio.start_server(self._by_tcp, self._address, self._port, limit=_MOST_MESSAGE + 2)
        try:
            async with server:
                await self._follow()
        finally:
            self._transport.close()
        return EXIT_OK

    async def _follow(self) -> None:
        """Reads the pages again when they have changed; returns when there are none any more."""
        known: tuple[tuple[str, int], ...] | None = None
        without = looks = 0
        while without < _PATIENCE:
            state = self._book.state()
            if state != known or looks % _PATIENCE == 0:
                pages = self._book.pages()
                self._names, known = everywhere(pages), state
                self._upstreams = upstreams_in(_text(self._resolv_conf), self._address)
                self._neighbours = bridges()
                without = 0 if pages else without + 1
            elif not self._names and not state:
                without += 1
            looks += 1
            await asyncio.sleep(_LOOK_S)

    # ── questions ──

    def heard(self, message: bytes, sender: tuple[str, int]) -> None:
        question = wire.question_of(message)
        if question is None or not self._is_neighbour(sender[0]):
            return
        own = self._own(question)
        if own is not None:
            self._send(wire.fitting(question, own), sender)
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._send(wire.answer(question, wire.SERVER_FAILURE), sender)
            return
        job = asyncio.create_task(self._hand_on(message, question, sender))
        self._waiting.add(job)
        job.add_done_callback(self._waiting.discard)

    def _own(self, question: wire.Question) -> bytes | None:
        """None where somebody else is to be asked."""
        addresses = self._names.get(question.name)
        if addresses is not None:
            shown = addresses if question.type in (wire.A, wire.ANY) and question.kind == wire.INTERNET else ()
            return wire.answer(question, wire.NO_ERROR, shown, TTL_S)
        return wire.answer(question, wire.NO_SUCH_NAME) if is_ours(question.name) else None

    def _send(self, message: bytes, receiver: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(message, receiver)

    async def _hand_on(self, message: bytes, question: wire.Question, sender: tuple[str, int]) -> None:
        for upstream in self._upstreams:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(_UPSTREAM_S):
                    self._send(await asked(message, upstream), sender)
                    return
        self._send(wire.answer(question, wire.SERVER_FAILURE), sender)

    # ── the same by TCP ──

    async def _by_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if self._connections >= _MOST_CONNECTIONS or not self._is_neighbour(peer[0]):
            writer.close()
            return
        self._connections += 1
        try:
            while True:
                async with asyncio.timeout(_IDLE_S):
                    message = await _framed(reader)
                question = wire.question_of(message)
                if question is None:
                    return
                reply = self._own(question) or await self._asked_by_tcp(message) or wire.answer(question, wire.SERVER_FAILURE)
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (OSError, EOFError, TimeoutError):
            return
        finally:
            self._connections -= 1
            writer.close()

    async def _asked_by_tcp(self, message: bytes) -> bytes | None:
        for upstream in self._upstreams:
            with contextlib.suppress(OSError, EOFError, TimeoutError):
                async with asyncio.timeout(_UPSTREAM_S):
                    reader, writer = await asyncio.open_connection(upstream, PORT)
                    try:
                        writer.write(struct.pack("!H", len(message)) + message)
                        return await _framed(reader)
                    finally:
                        writer.close()
        return None

    def _is_neighbour(self, address: str) -> bool:
        return is_neighbour(address, self._address, self._neighbours)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._resolver.heard(data, addr)


class _Answer(asyncio.DatagramProtocol):
    def __init__(self, identifier: int) -> None:
        self._identifier = identifier
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if len(data) > 2 and int.from_bytes(data[:2], "big") == self._identifier and not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def asked(message: bytes, upstream: str, port: int = PORT) -> bytes:
    """The answer of one of the machine's resolvers, asked from a port and by a number that nobody can guess. Raises OSError."""
    identifier = secrets.randbelow(65_536)
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: _Answer(identifier), remote_addr=(upstream, port))
    try:
        transport.sendto(wire.with_id(message, identifier))
        return wire.with_id(await protocol.answer, int.from_bytes(message[:2], "big"))
    finally:
        transport.close()


async def _framed(reader: asyncio.StreamReader) -> bytes:
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))


def upstreams_in(resolv_conf: str, own: str) -> list[str]:
    """The machine's resolvers in their order, but for this one."""
    fields = [line.split() for line in resolv_conf.splitlines()]
    return [words[1] for words in fields if len(words) > 1 and words[0] == "nameserver" and words[1] != own]


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def is_neighbour(address: str, own: str, neighbours: Iterable[IPv4Network]) -> bool:
    """The machine itself, by its loopback or by the resolver's own address, or a container on one of its bridges."""
    try:
        given = IPv4Address(address)
    except ValueError:
        return False
    return given.is_loopback or address == own or any(given in network for network in neighbours) or _is_own(address)


def _is_own(address: str) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def bridges(routes: Path = Path("/proc/net/route"), interfaces: Path = Path("/sys/class/net")) -> list[IPv4Network]:
    """The networks behind bridges of this machine, which is where engines put containers."""
    found = []
    for line in _text(routes).splitlines()[1:]:
        fields = line.split()
        if len(fields) < 8 or not (interfaces / fields[0] / "bridge").exists() or int(fields[2], 16):
            continue
        destination, mask = (int.from_bytes(bytes.fromhex(fields[column]), "little") for column in (1, 7))
        if mask:
            found.append(IPv4Network((destination & mask, bin(mask).count("1"))))
    return found
