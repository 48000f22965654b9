"""A reply as aiohttp's server wants it: head and body in one write.

aiohttp's general response object spends about a third of a small request's time on features API answers never use (chunked
bodies, compression, cookies, streaming). This one keeps to the hooks its server calls (`prepare`, `write_eof`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from longshore.gateway.request import Reply


class Answer(web.StreamResponse):
    def __init__(
        self, status: int, body: bytes, content_type: str, headers: Iterable[tuple[str, str]] = (), *, close: bool = False
    ) -> None:
        super().__init__(status=status)
        self._reply = Reply(status, body, content_type, headers, close=close)
        self._answered = False

    @classmethod
    def of(cls, reply: Reply) -> Answer:
        return cls(reply.status, reply.body, reply.content_type, reply.headers, close=reply.close)

    @property
    def content(self) -> bytes:
        return self._reply.body

    @property
    def prepared(self) -> bool:
        return self._answered

    @property
    def keep_alive(self) -> bool:
        return not self._reply.close

    @property
    def body_length(self) -> int:
        return len(self._reply.body)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if self._answered:
            return None
        self._answered = True
        if not request.keep_alive:
            self._reply.close = True
        transport = request.transport
        if transport is None or transport.is_closing():
            return None
        head = self._reply.head(keep_alive_said=request.version < (1, 1))
        transport.write(head if request.method == "HEAD" else head + self._reply.body)
        if transport.get_write_buffer_size() > 262_144:
            await request.protocol._drain_helper()
        return None

    async def write_eof(self, data: Any = b"") -> None:
        return None
