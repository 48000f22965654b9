"""Reads of the registry in the fast lane: how a pull's requests are read, and how their answers are written.

A pull is a handful of `GET` and `HEAD` of manifests and blobs below /v2/, without a body. Such a request is taken straight from
the bytes received and becomes the same request object that aiohttp would have made of it, so the registry answers it by the same code
and the same rules. What is not plain (a body, a query, percent-encoding, dot segments, headers given twice) is left to aiohttp,
as the lane leaves it everything else that it does not fully understand. `Accept` alone may stand several times, as Docker sends it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NoReturn

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion11
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from longshore.gateway.heads import MOST_HEAD, NotPlain, read_headers
from longshore.registry.parts import ByTheGeneralWay

STARTS = (b"GET /v2/", b"HEAD /v2/")
_REQUEST_LINE = re.compile(rb"(GET|HEAD) (/v2/(?:[A-Za-z0-9_:@-][A-Za-z0-9._:@-]*(?:/[A-Za-z0-9_:@-][A-Za-z0-9._:@-]*)*)?) HTTP/1\.1\r\n")
_MANIFEST_OR_BLOB = re.compile(r"/(?:manifests|blobs)/[^/]+$")
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_WITHOUT_BODY = (204, 304)


class Peer:
    """Who is at the other end, as an aiohttp request asks its connection about it."""

    __slots__ = ("peername", "sockname", "ssl_context", "transport")

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.peername = transport.get_extra_info("peername")
        self.sockname = transport.get_extra_info("sockname")
        self.ssl_context = transport.get_extra_info("sslcontext")


class PlainRead(web.BaseRequest):
    """A request without a body, whose answer is written by the lane. One that answers by itself is begun anew by the general way."""

    @property
    def _payload_writer(self) -> NoReturn:
        raise ByTheGeneralWay

    @_payload_writer.setter
    def _payload_writer(self, writer: AbstractStreamWriter) -> None:
        pass


def begins_like_a_read(received: bytes) -> bool:
    return received.startswith(STARTS) or (len(received) < len(STARTS[1]) and any(start.startswith(received) for start in STARTS))


def read_look(received: bytes, peer: Peer) -> tuple[PlainRead, int] | None:
    """The read that `received` begins with, as aiohttp would have read it, and its length in bytes; None when more bytes are needed.

    Raises NotPlain.
    """
    line = _REQUEST_LINE.match(received)
    if line is None:
        if b"\r\n" in received[:MOST_HEAD] or len(received) >= MOST_HEAD:
            raise NotPlain
        return None
    method, path = line[1].decode(), line[2].decode()
    if path != "/v2/" and _MANIFEST_OR_BLOB.search(path) is None:
        raise NotPlain
    found = read_headers(received, line.end(), repeatable="accept")
    if found is None:
        return None
    pairs, headers, length = found
    if headers.get("content-length", "0") != "0":
        raise NotPlain
    message = RawRequestMessage(
        method, path, HttpVersion11, CIMultiDictProxy(CIMultiDict(pairs)), (), False, None, False, False, _url(path)
    )
    return PlainRead(message, None, peer, None, None, None), length  # type: ignore[arg-type]


@lru_cache(1024)
def _url(path: str) -> URL:
    return URL.build(path=path, encoded=True)


def head_of(response: web.StreamResponse, *, is_head: bool, close: bool) -> tuple[bytes, bytes]:
    """Status line, headers and blank line of an answer; and its body, unless that is yet to be sent."""
    status = response.status
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n"]
    length_said = False
    for name, value in response.headers.items():
        if "\r" in value or "\n" in value:
            raise ValueError(f"the value of {name} has a line break in it")
        if name == "Content-Length":
            length_said = True
        lines.append(f"{name}: {value}\r\n")
    body = response.body if isinstance(response, web.Response) else b""
    if body is None:
        body = b""
    if not isinstance(body, bytes) or not (length_said or isinstance(response, web.Response)):
        raise ByTheGeneralWay  # it comes from somewhere else, or says itself what is to be sent
    if not length_said and status not in _WITHOUT_BODY:
        lines.append(f"Content-Length: {len(body)}\r\n")
    lines.append(f"Date: {rfc822_formatted_time()}\r\nServer: Longshore\r\n")
    lines.append("Connection: close\r\n\r\n" if close else "\r\n")
    return "".join(lines).encode(), b"" if is_head else body
