"""The fast lane: plain API requests are read and answered here, everything else is aiohttp's.

Nearly every API call is `POST / HTTP/1.1` with a Content-Length and a small body. Such a request is taken straight from the
bytes received; that costs a fraction of a general HTTP server's work. Anything else about a connection (another method or
path, chunked bodies, Expect, Upgrade, a large body, HTTP/1.0, a header that is not plain ASCII or stands where it should
not) hands the whole connection over to aiohttp, together with the bytes read so far, at a request boundary. So this code
never interprets what it does not fully understand, and no request is read by two parsers in two ways.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Coroutine
from typing import Any

from longshore.gateway.request import ApiRequest, Reply
from longshore.kit.eager import run_eagerly

log = logging.getLogger("longshore.gateway")

#: longer heads and bodies are aiohttp's
MOST_HEAD = 16_384
MOST_FAST_BODY = 262_144
#: an idle connection is closed after this, one in the middle of a request sooner
IDLE_S = 75.0
PARTIAL_S = 30.0
SWEEP_S = 5.0

_START = b"POST / HTTP/1.1\r\n"
_HEADERS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e]*\r\n)+")
#: what makes a request something other than plain
_NOT_PLAIN = ("transfer-encoding", "expect", "upgrade", "content-encoding", "trailer", "te")

Operate = Callable[[ApiRequest], Coroutine[Any, Any, Reply]]


class NotPlain(Exception):
    """aiohttp is to read this."""


def read_request(received: bytes, remote: str) -> tuple[ApiRequest, int] | None:
    """The first request of `received` and its length in bytes; None when more bytes are needed. Raises NotPlain."""
    if not received.startswith(_START):
        if len(received) < len(_START) and _START.startswith(received):
            return None
        raise NotPlain
    end = received.find(b"\r\n\r\n", len(_START) - 2, MOST_HEAD)
    if end < 0:
        if len(received) >= MOST_HEAD:
            raise NotPlain
        return None
    if not _HEADERS.fullmatch(received, len(_START), end + 2):
        raise NotPlain
    pairs: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    for line in received[len(_START) : end].decode("ascii").split("\r\n"):
        name, _, value = line.partition(":")
        value = value.strip(" \t")
        pairs.append((name, value))
        headers[name.lower()] = value
    if len(headers) != len(pairs) or "host" not in headers or any(name in headers for name in _NOT_PLAIN):
        raise NotPlain
    if headers.get("connection", "keep-alive").lower() != "keep-alive":
        raise NotPlain
    length = headers.get("content-length", "")
    if not length.isdigit() or len(length) > 7 or int(length) > MOST_FAST_BODY:
        raise NotPlain
    start = end + 4
    stop = start + int(length)
    if len(received) < stop:
        return None
    return ApiRequest("POST", "/", "", pairs, headers, received[start:stop], remote, False), stop


class Lanes:
    """All connections that have not been handed over. `general` makes aiohttp's protocol for one that is."""

    def __init__(self, operate: Operate, general: Callable[[], asyncio.Protocol]) -> None:
        self.operate = operate
        self.general = general
        self.open: set[Lane] = set()
        self.draining = False
        self._empty = asyncio.Event()

    def __call__(self) -> Lane:
        return Lane(self)

    async def sweep(self) -> None:
        """Close what has been idle, or in the middle of sending a request, for too long. Runs until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(SWEEP_S)
            now = loop.time()
            for lane in list(self.open):
                lane.close_if_stale(now)

    async def drain(self, timeout_s: float) -> None:
        """Close what is idle, let what is being answered finish, and break off what takes longer than `timeout_s`."""
        self.draining = True
        for lane in list(self.open):
            lane.close_if_idle()
        if self.open:
            self._empty.clear()
            try:
                await asyncio.wait_for(self._empty.wait(), timeout_s)
            except TimeoutError:
                for lane in list(self.open):
                    lane.abort()

    def gone(self, lane: Lane) -> None:
        self.open.discard(lane)
        if not self.open:
            self._empty.set()


class Lane(asyncio.Protocol):
    """One connection."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._transport: asyncio.Transport
        self._received = b""
        self._busy = False
        self._advancing = False
        self._paused = False
        self._remote = ""
        self._since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._remote = peer[0] if peer else ""
        self._since = asyncio.get_running_loop().time()
        self._lanes.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lanes.gone(self)

    def data_received(self, data: bytes) -> None:
        if not self._received:
            self._since = asyncio.get_running_loop().time()
        self._received = self._received + data if self._received else data
        if self._busy or self._paused:
            if len(self._received) > MOST_HEAD + MOST_FAST_BODY:
                self._transport.pause_reading()
            return
        self._advance()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if not self._busy:
            self._transport.resume_reading()
            self._advance()

    def _advance(self) -> None:
        """Answer what has been received whole, one request after the other."""
        if self._advancing:
            return  # an answer came at once: the loop below goes on by itself
        self._advancing = True
        try:
            self._answer_received()
        finally:
            self._advancing = False

    def _answer_received(self) -> None:
        while self._received and not self._busy and not self._paused and not self._transport.is_closing():
            try:
                found = read_request(self._received, self._remote)
            except NotPlain:
                break
            if found is None:
                return
            request, length = found
            self._received = self._received[length:]
            self._busy = True
            run_eagerly(self._lanes.operate(request), self._answered)
        else:
            return
        self._hand_over()

    def _answered(self, reply: Reply | None, error: BaseException | None) -> None:
        self._busy = False
        self._since = asyncio.get_running_loop().time()
        if self._transport.is_closing():
            return
        if reply is None:
            if error is not None and not isinstance(error, asyncio.CancelledError):
                log.error("a request could not be answered", exc_info=error)
            self._transport.abort()
            return
        if self._lanes.draining:
            reply.close = True
        self._transport.write(reply.head() + reply.body)
        if reply.close:
            self._transport.close()
        elif self._received:
            self._transport.resume_reading()
            self._advance()

    def _hand_over(self) -> None:
        """From here on this connection is aiohttp's."""
        self._lanes.gone(self)
        general = self._lanes.general()
        self._transport.set_protocol(general)
        general.connection_made(self._transport)
        received, self._received = self._received, b""
        general.data_received(received)

    def close_if_stale(self, now: float) -> None:
        if self._busy or now - self._since <= (PARTIAL_S if self._received else IDLE_S):
            return
        if self._transport.get_write_buffer_size():
            self._transport.abort()  # its answers are not taken: closing would wait for that
        else:
            self._transport.close()

    def close_if_idle(self) -> None:
        if not self._busy:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()
