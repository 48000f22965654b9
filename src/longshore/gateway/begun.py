"""Requests that aiohttp reads: how many have begun and are not answered yet, and which of its complaints are worth a traceback."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

#: an idle connection is closed after this; with it a head that does not end
IDLE_S = 75.0
_MOST_LINE = 16_384


class Begun:
    """Counts the requests that aiohttp has begun to read and that are not answered yet."""

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._handle = handle
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self._draining = False
        #: connections that aiohttp got with the beginning of a request, which it would wait for without end
        self._expected: dict[asyncio.BaseTransport, asyncio.TimerHandle] = {}

    def expect(self, transport: asyncio.Transport, within_s: float) -> None:
        """Whoever has this connection has sent part of a request; the rest of its head comes soon, or the connection is cut."""

        def cut() -> None:
            self._expected.pop(transport, None)
            transport.abort()

        self._expected[transport] = asyncio.get_running_loop().call_later(within_s, cut)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        expected = self._expected.pop(request.transport, None) if request.transport is not None else None
        if expected is not None:
            expected.cancel()
        self._count += 1
        self._none.clear()
        try:
            response = await self._handle(request)
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()
        if self._draining:
            response.force_close()
        return response

    async def finished(self, timeout_s: float) -> None:
        """Returns when there are none, or after `timeout_s`."""
        self._draining = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), timeout_s)


def http_server(begun: Begun) -> web.Server:
    """aiohttp's side of the port. It takes 128 headers, no more of one than these sizes, and no line that two servers could read
    differently; what is compressed comes to whoever asked for it as it is."""
    return web.Server(
        begun, access_log=None, max_line_size=_MOST_LINE, max_field_size=_MOST_LINE, auto_decompress=False, keepalive_timeout=IDLE_S
    )


def is_worth_a_traceback(record: logging.LogRecord) -> bool:
    """Not for requests that no HTTP client sends: they are answered with 400, and anybody can send thousands of them."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
