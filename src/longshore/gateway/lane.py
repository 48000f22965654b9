"""The fast lane: plain API requests are read and answered here, everything else is aiohttp's.

Nearly every API call is `POST / HTTP/1.1` with a Content-Length and a small body, and what an image is pulled with are GETs and
HEADs of manifests and blobs (`reads.py`). Such a request is taken straight from the bytes received; that costs a fraction of a
general HTTP server's work. A blob's file is sent by the threads of `kit/sending.py`. Anything else about a connection (another
method or path, chunked bodies, Expect, Upgrade, a large body, HTTP/1.0, a header that is not plain ASCII or stands where it should
not) hands the whole connection over to aiohttp, together with the bytes read so far, at a request boundary. So this code
never interprets what it does not fully understand, and no request is read by two parsers in two ways.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Coroutine
from typing import Any

from aiohttp import web

from longshore.gateway.begun import IDLE_S
from longshore.gateway.doors import Doors
from longshore.gateway.heads import MOST_HEAD, NotPlain, read_headers
from longshore.gateway.reads import Peer, PlainRead, begins_like_a_read, head_of, read_look
from longshore.gateway.request import ApiRequest, Reply
from longshore.kit.eager import run_eagerly
from longshore.kit.sending import Senders, Sending
from longshore.registry.errors import RegistryError
from longshore.registry.parts import ByTheGeneralWay, Part
from longshore.store.base import StoreUnavailable

log = logging.getLogger("longshore.gateway")

#: longer bodies are aiohttp's
MOST_FAST_BODY = 262_144
#: a blob of at most so many bytes (a config, mostly) is no work for another thread
MOST_AT_ONCE = 32_768
#: one in the middle of a request is closed after this, sooner than one that is idle
PARTIAL_S = 30.0
SWEEP_S = 5.0
#: how long a closed connection may take to say goodbye when the server stops
LINGER_S = 0.75

_START = b"POST / HTTP/1.1\r\n"
Operate = Callable[[ApiRequest], Coroutine[Any, Any, Reply]]
#: a read of the registry -> its answer, unsent. Raises ByTheGeneralWay
Look = Callable[[web.BaseRequest], Coroutine[Any, Any, web.StreamResponse]]


def read_request(
    received: bytes, remote: str, secure: bool = False, cipher: tuple[str, str, int] | None = None
) -> tuple[ApiRequest, int] | None:
    """The first request of `received` and its length in bytes; None when more bytes are needed. Raises NotPlain."""
    if not received.startswith(_START):
        if len(received) < len(_START) and _START.startswith(received):
            return None
        raise NotPlain
    found = read_headers(received, len(_START))
    if found is None:
        return None
    pairs, headers, start = found
    length = headers.get("content-length", "")
    if not length.isdigit() or len(length) > 7 or int(length) > MOST_FAST_BODY:
        raise NotPlain
    stop = start + int(length)
    if len(received) < stop:
        return None
    return ApiRequest("POST", "/", "", pairs, headers, received[start:stop], remote, secure, cipher), stop


class Lanes:
    """All connections that have not been handed over. `general` makes aiohttp's protocol for one that is.

    Without `look` and `senders` reads of the registry are handed over, too. `expect` is told of each connection handed over, and in
    which time its request must have come. `doors` says how many there may be.
    """

    def __init__(
        self,
        operate: Operate,
        general: Callable[[], asyncio.Protocol],
        look: Look | None = None,
        senders: Senders | None = None,
        expect: Callable[[asyncio.Transport, float], None] | None = None,
        doors: Doors | None = None,
    ) -> None:
        self.operate = operate
        self.general = general
        self.look = look
        self.senders = senders
        self.expect = expect
        self.doors = doors
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
            if self.doors is not None:
                self.doors.forget_closed()

    async def drain(self, timeout_s: float) -> None:
        """Close what is idle, let what is being answered finish, and break off what takes longer than `timeout_s`."""
        self.draining = True
        for lane in list(self.open):
            lane.close_if_idle()
        loop = asyncio.get_running_loop()
        ends = loop.time() + timeout_s
        while self.open and loop.time() < ends:
            self._empty.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), min(LINGER_S, ends - loop.time()))
            for lane in list(self.open):
                lane.abort_if_lingering()
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
        self._secure = False
        self._cipher: tuple[str, str, int] | None = None
        self._lingers = False
        self._peer: Peer | None = None
        #: a file on its way to the client; until its end nothing else is written
        self._sending: Sending | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._remote = peer[0] if peer else ""
        self._secure = transport.get_extra_info("sslcontext") is not None
        self._cipher = transport.get_extra_info("cipher")
        self._since = asyncio.get_running_loop().time()
        if self._lanes.doors is not None and not self._lanes.doors.admit(transport, self._remote):
            transport.abort()
            return
        self._lanes.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lanes.doors is not None:
            self._lanes.doors.left(self._transport, self._remote)
        if self._sending is not None:
            self._sending.abort()
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
                if self._lanes.look is not None and begins_like_a_read(self._received):
                    enough = self._begin_read()
                else:
                    enough = self._begin_operation()
            except NotPlain:
                break
            if not enough:
                return
        else:
            return
        self._hand_over()

    def _begin_operation(self) -> bool:
        """Whether there was a whole request to begin with. Raises NotPlain."""
        found = read_request(self._received, self._remote, self._secure, self._cipher)
        if found is None:
            return False
        request, length = found
        self._received = self._received[length:]
        self._busy = True
        run_eagerly(self._lanes.operate(request), self._answered)
        return True

    def _begin_read(self) -> bool:
        if self._peer is None:
            self._peer = Peer(self._transport)
        found = read_look(self._received, self._peer)
        if found is None:
            return False
        request, length = found
        taken, self._received = self._received[:length], self._received[length:]
        self._busy = True
        assert self._lanes.look is not None
        run_eagerly(self._lanes.look(request), lambda response, error: self._looked(request, taken, response, error))
        return True

    def _looked(self, request: PlainRead, taken: bytes, response: web.StreamResponse | None, error: BaseException | None) -> None:
        """Send what the registry answered; or, where only aiohttp can, hand the connection over with the request put back."""
        if response is None and not isinstance(error, ByTheGeneralWay):
            self._end(error or asyncio.CancelledError(), close=True)
            return
        if self._transport.is_closing():
            self._busy = False
            return
        try:
            if response is None:
                raise ByTheGeneralWay
            if isinstance(response, Part):
                self._send_part(response)
                return
            close = self._lanes.draining or response.keep_alive is False
            head, body = head_of(response, is_head=request.method == "HEAD", close=close)
        except ByTheGeneralWay:
            self._busy = False
            self._received = taken + self._received
            self._hand_over()
        except (OSError, ValueError) as problem:
            self._end(problem, close=True)
        else:
            self._transport.write(head + body)
            self._end(None, close=close)

    def _send_part(self, part: Part) -> None:
        """Raises ByTheGeneralWay before anything was sent."""
        if self._secure or self._lanes.senders is None or self._transport.get_write_buffer_size():
            raise ByTheGeneralWay
        try:
            file = part.open()
        except RegistryError:  # gone since it was looked up
            raise ByTheGeneralWay from None
        if file is None:
            raise ByTheGeneralWay
        try:
            head, _ = head_of(part, is_head=False, close=self._lanes.draining)
            part.noted()
            if part.count <= MOST_AT_ONCE:
                self._write_at_once(head, file, part)
                return
            connection = self._transport.get_extra_info("socket").fileno()
            self._sending = self._lanes.senders.send(connection, head, file, part.first, part.count)
        except StoreUnavailable:  # the general way has words for it
            os.close(file)
            raise ByTheGeneralWay from None
        except BaseException:
            os.close(file)
            raise
        self._sending.done.add_done_callback(self._sent)

    def _write_at_once(self, head: bytes, file: int, part: Part) -> None:
        content = os.pread(file, part.count, part.first)
        os.close(file)
        self._transport.write(head + content)
        self._end(None if len(content) == part.count else EOFError("the file ended early"), close=self._lanes.draining)

    def _sent(self, done: asyncio.Future[None]) -> None:
        self._sending = None
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if isinstance(error, (ConnectionError, TimeoutError)):
            log.info("the connection broke: %s", error)
            error = asyncio.CancelledError()
        self._end(error, close=self._lanes.draining)

    def _answered(self, reply: Reply | None, error: BaseException | None) -> None:
        if reply is None:
            self._end(error or asyncio.CancelledError(), close=True)
            return
        if self._lanes.draining:
            reply.close = True
        if not self._transport.is_closing():
            self._transport.write(reply.head() + reply.body)
        self._end(None, close=reply.close)

    def _end(self, error: BaseException | None, *, close: bool) -> None:
        """The request that was being answered is done with; the next one has its turn."""
        self._busy = False
        self._since = asyncio.get_running_loop().time()
        if self._transport.is_closing():
            return
        if error is not None:
            if not isinstance(error, asyncio.CancelledError):
                log.error("a request could not be answered", exc_info=error)
            self._transport.abort()
        elif close:
            self._transport.close()
        elif self._received:
            self._transport.resume_reading()
            self._advance()

    def _hand_over(self) -> None:
        """From here on this connection is aiohttp's."""
        self._lanes.gone(self)
        general = self._lanes.general()
        if self._lanes.expect is not None:
            self._lanes.expect(self._transport, PARTIAL_S)
        self._transport.resume_reading()
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

    def abort_if_lingering(self) -> None:
        """TLS waits for the other side's goodbye, which clients that are asleep do not send. Called again and again."""
        if self._secure and not self._busy and self._transport.is_closing():
            if self._lingers:
                self._transport.abort()
            self._lingers = True

    def abort(self) -> None:
        self._transport.abort()
