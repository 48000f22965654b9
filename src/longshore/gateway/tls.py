"""HTTPS at the gateway's port: the certificate it serves with, kept fresh while it serves, and the way in.

The certificate is either issued by this installation's own authority, which is made at the first start and kept, or read
from the operator's files. In both cases a job looks at it every few seconds: what would end soon is issued anew, files that
changed are read again, and the next connection has the new one. A bad pair of files is told about and the old one kept.

A connection is looked at before it is anybody's: what begins like TLS gets a handshake, and whoever speaks plain HTTP to
this port is told so in words.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from longshore.config import DataDirectory, Tls, write_privately
from longshore.gateway.doors import HANDSHAKES_LEFT, Handshakes
from longshore.kit.certificates import Authority, CertificateProblem, Facts, check_pair
from longshore.kit.clock import Clock
from longshore.kit.private_keys import locked, read_locked
from longshore.kit.sealing import Keys

log = logging.getLogger("longshore.tls")

LOOK_EVERY_S = 2.0
#: of our own: issued anew when it is good for no longer than this
RENEW_BEFORE_S = 30 * 86_400.0
#: of the operator's: told about once a day from then on
WARN_BEFORE_S = 14 * 86_400.0
#: how long a client may take from connecting to the end of the handshake
HANDSHAKE_S = 15.0
#: the first byte of a TLS record that carries a handshake
_HANDSHAKE_RECORD = b"\x16"
_BACKLOG = 1024
#: pause after the system refused a connection, as when descriptors run out
_REFUSED_S = 0.5

_PLAIN_BODY = b'{"error": "PlainHttp", "message": "This port speaks HTTPS: use https:// in place of http://."}\n'
_PLAIN_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nServer: Longshore\r\nConnection: close\r\n"
    + b"Content-Length: %d\r\n\r\n" % len(_PLAIN_BODY)
    + _PLAIN_BODY
)


class ServerCertificate:
    """What the gateway proves itself with. `context` is the same for as long as it lives, whatever is renewed behind it."""

    def __init__(self, data: DataDirectory, tls: Tls, names: Sequence[str], clock: Clock, keys: Keys) -> None:
        """`names`: what its own certificate is for. Raises CertificateProblem and OSError where there is nothing to serve with."""
        self._data = data
        self._tls = tls
        self._names = tuple(dict.fromkeys((*names, *tls.names)))
        self._clock = clock
        self._keys = keys
        self._warned_at = 0.0
        self._authority = None if tls.certificate else data.authority(clock.now(), keys)
        self._seen: object = None
        self.facts, self._current = self._load()
        self.context = self._current
        # Asked for every handshake, with or without a server name: so one listener serves what is newest.
        self.context.sni_callback = self._choose

    def __repr__(self) -> str:
        return f"ServerCertificate({self.facts.subject}, {self.facts.fingerprint[:11]}…)"

    async def keep(self) -> None:
        """Looks again and again, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            self.look()

    def look(self) -> None:
        """Takes over what is new."""
        now = self._clock.now()
        if self._authority is None and self.facts.not_after - now < WARN_BEFORE_S and now - self._warned_at >= 86_400.0:
            self._warned_at = now
            log.warning("%s ends in %.1f days: replace it", self._tls.certificate, (self.facts.not_after - now) / 86_400)
        fresh = self._authority is None or self.facts.not_after - now > RENEW_BEFORE_S
        if fresh and _signatures(self._files) == self._seen:
            return
        before = self.facts
        try:
            self.facts, self._current = self._load()
        except (CertificateProblem, OSError) as problem:
            log.error("%s: the certificate is kept as it was: %s", self._files[0], problem)
            return
        if self.facts != before:
            log.info("serving with %s, good for %.0f days", self, (self.facts.not_after - now) / 86_400)

    @property
    def _files(self) -> tuple[Path, Path]:
        if self._tls.certificate is not None:
            return self._tls.certificate, self._tls.key or self._tls.certificate
        own = self._data.tls / "server.pem"
        return own, own

    def _choose(self, connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._current

    def _load(self) -> tuple[Facts, ssl.SSLContext]:
        """Raises CertificateProblem and OSError."""
        self._seen = _signatures(self._files)
        if self._authority is not None:
            self._issue_if_needed(self._authority)
        certificate, key = self._files
        text, password = (key.read_bytes(), None) if self._authority is None else read_locked(key, self._keys)
        self._seen = _signatures(self._files)
        found = check_pair(certificate.read_bytes(), text, self._clock.now(), password)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(certificate, key, password or "")
        except ssl.SSLError as error:
            raise CertificateProblem(f"{certificate} cannot be used for TLS: {error.reason or error}") from error
        return found, context

    def _issue_if_needed(self, authority: Authority) -> None:
        own, now = self._files[0], self._clock.now()
        with contextlib.suppress(FileNotFoundError, CertificateProblem):
            content, password = read_locked(own, self._keys)
            found = check_pair(content, content, now, password)
            ends = authority.certificate.not_valid_after_utc.timestamp()
            lasts = found.not_after - now > RENEW_BEFORE_S or found.not_after >= ends - 1.0
            if lasts and set(found.names) == {name.lower() for name in self._names} and authority.issued(content):
                return
        write_privately(own, locked(authority.issue(self._names, now), self._keys))
        log.info("issued a certificate for %s", ", ".join(self._names[:6]) + (" …" if len(self._names) > 6 else ""))


def own_names(host: str, account_id: str, region: str, regions: Sequence[str]) -> list[str]:
    """What the gateway is reached by: addresses, `localhost` and the registries' names of every region.

    OpenSSL takes no wildcard right below a top-level domain, so `*.localhost` alone would not do for registries.
    """
    everywhere = ["127.0.0.1", "localhost", "::1", "*.localhost"]
    if host not in ("", "0.0.0.0", "::", *everywhere):
        everywhere.append(host)
    everywhere.append(f"{account_id}.dkr.ecr.{region}.localhost")
    return [*everywhere, *(f"*.dkr.ecr.{name}.localhost" for name in dict.fromkeys((region, *regions)))]


def _signatures(paths: Sequence[Path]) -> object:
    found = []
    for path in paths:
        try:
            about = path.stat()
        except OSError as error:
            found.append((error.errno, 0, 0))
        else:
            found.append((about.st_mtime_ns, about.st_size, about.st_ino))
    return found


class SecureListener:
    """Accepts connections, does their handshakes and hands them to protocols, as asyncio's own server does without TLS."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        protocol: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        handshakes: Handshakes | None = None,
    ) -> None:
        self._sockets = sockets
        self._protocol = protocol
        self._context = context
        self._handshakes = Handshakes(left=HANDSHAKES_LEFT) if handshakes is None else handshakes
        self._jobs = {asyncio.create_task(self._accept(each), name="accept") for each in sockets}

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        protocol: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        handshakes: Handshakes | None = None,
    ) -> SecureListener:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        sockets: list[socket.socket] = []
        try:
            for family, _, _, _, address in dict.fromkeys(found):
                sockets.append(socket.create_server(address[:2], family=family, backlog=_BACKLOG))
        except OSError:
            for each in sockets:
                each.close()
            raise
        for each in sockets:
            each.setblocking(False)
        return cls(sockets, protocol, context, handshakes)

    def close(self) -> None:
        """No new connections; those that are open go on, handshakes that are under way are broken off."""
        for job in self._jobs:
            job.cancel()
        for each in self._sockets:
            each.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listening)
            except ConnectionError:
                continue
            except OSError as error:
                log.error("no connection can be accepted: %s", error)
                await asyncio.sleep(_REFUSED_S)
                continue
            remote = str(peer[0])
            if not self._handshakes.begin(remote):
                connection.close()
                continue
            job = asyncio.create_task(self._admit(connection), name="handshake")
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)
            job.add_done_callback(partial(self._handshakes.end, remote))

    async def _admit(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection.setblocking(False)
        handed_on = False
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                first = await _first_byte(connection)
            if first == _HANDSHAKE_RECORD:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                handed_on = True  # from here on the transport closes it
                await loop.connect_accepted_socket(self._protocol, connection, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_S)
            elif first:
                connection.send(_PLAIN_ANSWER)
                _end(connection)
        except (OSError, TimeoutError) as error:
            # Scanners, clients that do not trust the certificate, clients that went away: anybody can cause it, any number of times.
            log.debug("no handshake: %s", error or type(error).__name__)
        finally:
            if not handed_on:
                connection.close()


async def _first_byte(connection: socket.socket) -> bytes:
    """Looked at and left where it is; empty when the client closes without a word."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            pass
        readable = asyncio.Event()
        loop.add_reader(connection, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(connection)


def _end(connection: socket.socket) -> None:
    """What was sent and not read would turn the closing into a reset that takes the answer with it."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass
