"""An answer to an API call: head and body in one write.

aiohttp's general response object spends about a third of a small request's time on features API answers never use (chunked
bodies, compression, cookies, streaming). This one keeps to the hooks its server calls (`prepare`, `write_eof`) and writes
bytes it was given.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time

_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Answer(web.StreamResponse):
    """`headers` are (name, value) pairs that the gateway itself made: nothing of a client's goes into them unchecked."""

    def __init__(
        self, status: int, body: bytes, content_type: str, headers: Iterable[tuple[str, str]] = (), *, close: bool = False
    ) -> None:
        super().__init__(status=status)
        self._answer_body = body
        self._answer_type = content_type
        self._answer_headers = tuple(headers)
        self._answer_close = close
        self._answered = False

    @property
    def prepared(self) -> bool:
        return self._answered

    @property
    def keep_alive(self) -> bool:
        return not self._answer_close

    @property
    def body_length(self) -> int:
        return len(self._answer_body)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if self._answered:
            return None
        self._answered = True
        if not request.keep_alive:
            self._answer_close = True
        transport = request.transport
        if transport is None or transport.is_closing():
            return None
        status = self._status
        lines = [
            f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\nContent-Type: {self._answer_type}\r\n"
            f"Content-Length: {len(self._answer_body)}\r\nDate: {rfc822_formatted_time()}\r\nServer: Longshore\r\n"
        ]
        lines.extend(f"{name}: {value}\r\n" for name, value in self._answer_headers)
        lines.append(
            "Connection: close\r\n\r\n" if self._answer_close else "Connection: keep-alive\r\n\r\n" if request.version < (1, 1) else "\r\n"
        )
        head = "".join(lines).encode("latin-1")
        transport.write(head if request.method == "HEAD" else head + self._answer_body)
        if transport.get_write_buffer_size() > 262_144:
            await request.protocol._drain_helper()
        return None

    async def write_eof(self, data: Any = b"") -> None:
        return None
