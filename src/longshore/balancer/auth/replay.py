"""A request sent once more through the listener's own door, with what was missing: bodies and answers are passed on as they come."""

from __future__ import annotations

from collections.abc import Iterable

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

#: between one hop and the next (RFC 9110, 7.6.1); the length is said again by whoever sends
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "content-length", "expect"}
)
_MOST_HEAD = 64 * 1024
_CONNECT_S = 5.0


async def replay(
    request: web.BaseRequest, socket: str, *, headers: Iterable[tuple[str, str]], set_cookies: Iterable[str] = ()
) -> web.StreamResponse:
    """`headers` are those of the request as they are to be now. Raises aiohttp.ClientError while nothing is answered yet."""
    sent = CIMultiDict((name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S)
    async with aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(socket, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=timeout,
        auto_decompress=False,
        max_line_size=_MOST_HEAD,
        max_field_size=_MOST_HEAD,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    ) as session:
        body = request.content if request.body_exists else None
        if body is not None and "Content-Length" in request.headers:
            sent["Content-Length"] = request.headers["Content-Length"]
        url = URL(f"http://again{request.raw_path if request.raw_path.startswith('/') else '/'}", encoded=True)
        async with session.request(request.method, url, headers=sent, data=body, allow_redirects=False) as answer:
            return await _passed_on(request, answer, set_cookies)


async def _passed_on(request: web.BaseRequest, answer: aiohttp.ClientResponse, set_cookies: Iterable[str]) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in answer.headers.items():
        if name.lower() not in _HOP_BY_HOP:
            response.headers.add(name, value)
    for value in set_cookies:
        response.headers.add("Set-Cookie", value)
    if "Content-Length" in answer.headers:
        response.headers["Content-Length"] = answer.headers["Content-Length"]
    await response.prepare(request)
    if request.method != "HEAD":
        async for piece in answer.content.iter_any():
            await response.write(piece)
    await response.write_eof()
    return response
