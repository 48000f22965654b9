"""The client's end of a session into a container: what AWS's session-manager-plugin does, and passes on the exit code besides.

Bytes are written before they are acknowledged, on a thread, so that a slow reader of our output slows the command and nothing
else. Input is read on a thread, too: a terminal, a pipe and a file all block differently, and none of them may hold up the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import aiohttp
import msgspec

from longshore import __version__
from longshore.aws import data_channel
from longshore.aws.data_channel import Closing, Incoming, Malformed, Message, Opening, Outgoing, TerminalSize
from longshore.cli.outcome import Failure

_CONNECT_S = 15.0
_HEARTBEAT_S = 30.0
_MOST_FRAME = 4 * 1024 * 1024
_REPEAT_EVERY_S = 0.1
_STDOUT, _STDERR = 1, 2
#: bytes read at once: what is read is sent as one message
_INPUT_CHUNK = data_channel.PIECE


class Session(msgspec.Struct, frozen=True, rename="camel"):
    """As ExecuteCommand answers it."""

    session_id: str
    stream_url: str
    token_value: str


@dataclass(frozen=True, slots=True)
class Ends:
    """What the session is connected to. `size` gives (columns, rows) of the terminal; None where there is none."""

    stdin: int | None
    stdout: int = _STDOUT
    stderr: int = _STDERR
    size: Callable[[], tuple[int, int]] | None = None


class NobodyReads(Exception):
    """Whoever was to read what the command writes has gone, as `head` does when it has enough."""


class Stream:
    def __init__(self, session: Session, trust: ssl.SSLContext | None, ends: Ends) -> None:
        self._session = session
        self._trust = trust
        self._ends = ends
        self._incoming, self._outgoing = Incoming(), Outgoing()
        self._room = asyncio.Event()
        self._begun = asyncio.Event()
        self._output: asyncio.Queue[Message | None] = asyncio.Queue()
        self._socket: aiohttp.ClientWebSocketResponse
        self._sizes_told: tuple[int, int] | None = None

    async def run(self) -> Closing:
        """Until it has ended. Raises Failure when the connection cannot be made or breaks, and NobodyReads."""
        try:
            async with aiohttp.ClientSession() as http, await self._connected(http) as self._socket:
                return await self._talk()
        except BrokenPipeError as error:
            raise NobodyReads from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Failure(f"the session broke: {error or type(error).__name__}", "is the platform up? `longshore status` tells") from error

    async def _connected(self, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        async with asyncio.timeout(_CONNECT_S):
            socket = await http.ws_connect(
                self._session.stream_url, ssl=self._trust or True, max_msg_size=_MOST_FRAME, heartbeat=_HEARTBEAT_S
            )
        opening = Opening(
            token_value=self._session.token_value,
            request_id=str(uuid.uuid4()),
            client_id=str(uuid.uuid4()),
            client_version=f"longshore/{__version__}",
        )
        await socket.send_str(msgspec.json.encode(opening).decode())
        return socket

    async def _talk(self) -> Closing:
        helpers = [asyncio.create_task(job) for job in (self._repeat(), self._send_input())]
        listening, writing = asyncio.create_task(self._listen()), asyncio.create_task(self._write())
        try:
            await asyncio.wait((listening, writing), return_when=asyncio.FIRST_COMPLETED)
            if writing.done():  # it was not told to end: what it writes to is no more, and nothing is acknowledged from now on
                await writing
            closing = await listening
            self._output.put_nowait(None)
            await writing
            return closing
        finally:
            jobs = (*helpers, listening, writing)
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    # ── output ──

    async def _listen(self) -> Closing:
        async for frame in self._socket:
            if frame.type is not aiohttp.WSMsgType.BINARY:
                continue
            try:
                message = data_channel.unpack(frame.data)
                if message.kind == data_channel.CLOSED:
                    return msgspec.json.decode(message.payload, type=Closing)
                if message.kind == data_channel.ACKNOWLEDGE:
                    self._outgoing.acknowledge(data_channel.acknowledged(message))
                    self._room.set()
                elif message.kind == data_channel.OUTPUT:
                    await self._on_output(message)
            except (Malformed, msgspec.MsgspecError):
                continue  # it is sent again
        why = self._socket.close_code
        raise Failure(f"the session was closed ({why})", "the token may have been used or be too old, or the platform stopped")

    async def _on_output(self, message: Message) -> None:
        to_acknowledge, ready = self._incoming.take(message)
        if to_acknowledge and message not in ready:
            await self._acknowledge(message)
        for one in ready:
            if one.payload_type == data_channel.HANDSHAKE_REQUEST:
                await self._acknowledge(one)
                answer = data_channel.handshake_response(__version__, one.payload)
                await self._send(answer, data_channel.HANDSHAKE_RESPONSE)
            elif one.payload_type == data_channel.HANDSHAKE_COMPLETE:
                await self._acknowledge(one)
                await self.tell_size()
                self._begun.set()
            else:
                self._output.put_nowait(one)

    async def _write(self) -> None:
        """Each piece before it is acknowledged; a reader that has gone ends everything."""
        while (message := await self._output.get()) is not None:
            target = self._ends.stderr if message.payload_type == data_channel.STDERR else self._ends.stdout
            await asyncio.to_thread(_write_all, target, message.payload)
            with contextlib.suppress(ConnectionError):
                await self._acknowledge(message)

    async def _acknowledge(self, message: Message) -> None:
        await self._socket.send_bytes(data_channel.acknowledgement(message, str(uuid.uuid4()), _milliseconds()))

    # ── input ──

    async def tell_size(self) -> None:
        """Of the terminal, when it is another one than before."""
        if self._ends.size is None or self._socket.closed:
            return
        size = self._ends.size()
        if size != self._sizes_told:
            self._sizes_told = size
            await self._send(msgspec.json.encode(TerminalSize(*size)), data_channel.SIZE)

    async def _send_input(self) -> None:
        await self._begun.wait()
        if self._ends.stdin is None:
            await self._send(b"", data_channel.DATA, data_channel.FIN)
            return
        async with _Reader(self._ends.stdin) as reader:
            while data := await reader.read():
                await self._send(data, data_channel.DATA)
        await self._send(b"", data_channel.DATA, data_channel.FIN)

    async def _send(self, payload: bytes, payload_type: int, flags: int = 0) -> None:
        while not self._outgoing.has_room:
            self._room.clear()
            await self._room.wait()
        sequence = self._outgoing.number()
        message = Message(
            kind=data_channel.INPUT,
            payload=payload,
            payload_type=payload_type,
            sequence=sequence,
            flags=flags,
            id=str(uuid.uuid4()),
            created=_milliseconds(),
        )
        frame = data_channel.pack(message)
        self._outgoing.sent(sequence, frame, time.monotonic())
        await self._socket.send_bytes(frame)

    async def _repeat(self) -> None:
        while True:
            await asyncio.sleep(_REPEAT_EVERY_S)
            for frame in self._outgoing.overdue(time.monotonic()):
                await self._socket.send_bytes(frame)


class _Reader:
    """A descriptor read on a thread of its own, one piece ahead. The thread is let go of where it cannot be ended: it only reads."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[bytes] = asyncio.Queue()
        self._wanted = threading.Semaphore(1)
        self._done = False

    async def __aenter__(self) -> _Reader:
        threading.Thread(target=self._work, name="stdin", daemon=True).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._done = True
        self._wanted.release()

    async def read(self) -> bytes:
        """The next piece; nothing at the end."""
        data = await self._pieces.get()
        self._wanted.release()
        return data

    def _work(self) -> None:
        while True:
            self._wanted.acquire()
            if self._done:
                return
            try:
                data = os.read(self._descriptor, _INPUT_CHUNK)
            except OSError:
                data = b""
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants it any more
                self._loop.call_soon_threadsafe(self._pieces.put_nowait, data)
            if not data:
                return


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _milliseconds() -> int:
    return int(time.time() * 1000)


@contextlib.contextmanager
def raw_terminal(descriptor: int) -> Iterator[None]:
    """Keys go to the command as they are pressed, Ctrl-C among them; the terminal is put back whatever happens."""
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
