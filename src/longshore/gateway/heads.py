"""Heads of plain requests: what the fast lane reads by itself, and where it leaves off."""

from __future__ import annotations

import re

#: longer heads are aiohttp's
MOST_HEAD = 16_384

_HEADERS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e]*\r\n)+")
#: what makes a request something other than plain
_NOT_PLAIN = ("transfer-encoding", "expect", "upgrade", "content-encoding", "trailer", "te")


class NotPlain(Exception):
    """aiohttp is to read this."""


def read_headers(received: bytes, start: int, repeatable: str = "") -> tuple[list[tuple[str, str]], dict[str, str], int] | None:
    """The headers of `received` that begin at `start`, as they stand and by lower-case name, and where what follows them begins.

    None when more bytes are needed. Only the header `repeatable` may stand more than once. Raises NotPlain.
    """
    end = received.find(b"\r\n\r\n", start - 2, MOST_HEAD)
    if end < 0:
        if len(received) >= MOST_HEAD:
            raise NotPlain
        return None
    if not _HEADERS.fullmatch(received, start, end + 2):
        raise NotPlain
    pairs: list[tuple[str, str]] = []
    headers: dict[str, str] = {}
    repeated = 0
    for line in received[start:end].decode("ascii").split("\r\n"):
        name, _, value = line.partition(":")
        value = value.strip(" \t")
        pairs.append((name, value))
        name = name.lower()
        if name == repeatable and name in headers:
            repeated += 1
        headers[name] = value
    if len(headers) + repeated != len(pairs) or "host" not in headers or any(name in headers for name in _NOT_PLAIN):
        raise NotPlain
    if headers.get("connection", "keep-alive").lower() != "keep-alive":
        raise NotPlain
    return pairs, headers, end + 4
