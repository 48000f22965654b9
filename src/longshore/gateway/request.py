"""An API request and its reply as plain values, whichever HTTP code read the one and writes the other."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time

from longshore.aws.errors import RequestTooLarge, Serialization

_REASONS = {status.value: status.phrase for status in HTTPStatus}
#: a manifest of 4 MiB inside JSON, escaped, with room to spare
MOST_BODY = 12 * 1024 * 1024
#: a part of a layer (20 MiB) in base 64, with the little that stands around it
MOST_LAYER_PART = 28 * 1024 * 1024
#: in which the body of an API request must have come
BODY_S = 300.0
_CREDENTIAL = re.compile(r"Credential=([^/\s]{1,128})/")


class ApiRequest:
    """`path` and `query` as sent, percent-encoded; `headers` by lower-case name, the last of several; `pairs` are all of them."""

    __slots__ = ("body", "cipher", "headers", "method", "pairs", "path", "query", "remote", "secure")

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        pairs: Sequence[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes,
        remote: str,
        secure: bool,
        cipher: tuple[str, str, int] | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.pairs = pairs
        self.headers = headers
        self.body = body
        self.remote = remote
        self.secure = secure
        #: of a TLS connection: suite, version, bits
        self.cipher = cipher

    @property
    def base_url(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.headers.get('host', '')}"

    @classmethod
    def of(cls, request: web.BaseRequest, body: bytes) -> ApiRequest:
        pairs = tuple(request.headers.items())
        return cls(
            request.method,
            request.rel_url.raw_path,
            request.rel_url.raw_query_string,
            pairs,
            {name.lower(): value for name, value in pairs},
            body,
            request.remote or "",
            request.secure,
            request.get_extra_info("cipher"),
        )


class Reply:
    """`headers` are pairs that the gateway itself made: nothing of a client's goes into them unchecked."""

    __slots__ = ("body", "close", "content_type", "headers", "status")

    def __init__(
        self, status: int, body: bytes, content_type: str, headers: Iterable[tuple[str, str]] = (), *, close: bool = False
    ) -> None:
        self.status = status
        self.body = body
        self.content_type = content_type
        self.headers = tuple(headers)
        self.close = close

    def head(self, *, keep_alive_said: bool = False) -> bytes:
        """Status line and headers with the blank line; `keep_alive_said` is for HTTP/1.0 clients, which must be told."""
        lines = [
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, '')}\r\nContent-Type: {self.content_type}\r\n"
            f"Content-Length: {len(self.body)}\r\nDate: {rfc822_formatted_time()}\r\nServer: Longshore\r\n"
        ]
        for name, value in self.headers:
            lines.append(f"{name}: {value}\r\n")
        lines.append("Connection: close\r\n\r\n" if self.close else "Connection: keep-alive\r\n\r\n" if keep_alive_said else "\r\n")
        return "".join(lines).encode("latin-1")


def most_body(headers: Mapping[str, str], is_key: Callable[[str], bool]) -> int:
    """Bytes that a request's body may have, as far as its headers tell before it is read: only what names a key that
    exists, or comes with the token of a session that does, may be as large as a part of a layer."""
    if not headers.get("X-Amz-Target", "").endswith(".UploadLayerPart"):
        return MOST_BODY
    named = _CREDENTIAL.search(headers.get("Authorization", ""))
    return MOST_LAYER_PART if named is not None and is_key(headers.get("X-Amz-Security-Token") or named[1]) else MOST_BODY


async def read_body(request: web.BaseRequest, most: int, within_s: float = BODY_S) -> bytes:
    """The whole body, at most `most` bytes of it; raises RequestTooLarge, and TimeoutError where it does not come."""
    async with asyncio.timeout(within_s):
        return await _read_body(request, most)


async def _read_body(request: web.BaseRequest, most: int) -> bytes:
    if request.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
        raise Serialization("Content-Encoding is not supported for this operation.")
    length = request.content_length
    if length is not None and length > most:
        raise RequestTooLarge(f"The request body of {length} bytes is larger than the {most} bytes accepted.")
    if not request.body_exists:
        return b""
    if request.version >= (1, 1) and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if length is not None:
        return await request.content.read(-1)
    pieces, size = [], 0
    async for piece in request.content.iter_any():
        size += len(piece)
        if size > most:
            raise RequestTooLarge(f"The request body is larger than the {most} bytes accepted.")
        pieces.append(piece)
    return b"".join(pieces)
