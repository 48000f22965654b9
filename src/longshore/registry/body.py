"""Reading request bodies: small ones whole, large ones in pieces that are written away while the next arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http import HttpVersion11

from longshore.registry.errors import TooLarge

#: bytes gathered before they are handed on: hashing and writing are done in few, large steps
_PIECE = 1024 * 1024
#: bytes taken from the socket at a time: asyncio's own quarter of a mebibyte costs more turns of the loop
_TAKEN_AT_ONCE = 512 * 1024
#: a client that sends nothing for so long is gone
_SILENCE_S = 300.0


async def receive(request: web.BaseRequest, most: int, write: Callable[[bytes], Awaitable[None]]) -> None:
    """The whole body through `write`, which is called with one piece at a time while the next is being received.

    Whatever arrived before the connection broke has been written when the exception comes out. Raises TooLarge.
    """
    received = 0
    gathered: list[bytes] = []
    size = 0
    writing: asyncio.Task[None] | None = None

    async def hand_on() -> None:
        nonlocal writing, size
        if writing is not None:
            await writing
        piece = b"".join(gathered)
        gathered.clear()
        size = 0
        writing = asyncio.create_task(_written(write, piece))

    _take_more_at_once(request)
    try:
        await _invite(request)
        while chunk := await _next(request):
            received += len(chunk)
            if received > most:
                raise TooLarge
            gathered.append(chunk)
            size += len(chunk)
            if size >= _PIECE:
                await hand_on()
    finally:
        if gathered:
            await hand_on()
        if writing is not None:
            await writing


async def read_whole(request: web.BaseRequest, most: int, too_large: str) -> bytes:
    """A body of at most `most` bytes. Raises TooLarge with the message `too_large`."""
    if (request.content_length or 0) > most:
        raise TooLarge(too_large)
    await _invite(request)
    body = bytearray()
    while chunk := await _next(request):
        body += chunk
        if len(body) > most:
            raise TooLarge(too_large)
    return bytes(body)


def _take_more_at_once(request: web.BaseRequest) -> None:
    """`max_size` is a plain attribute of asyncio's transports for sockets, though no documented one; others have none."""
    transport = request.transport
    if transport is not None and hasattr(transport, "max_size"):
        transport.max_size = _TAKEN_AT_ONCE


async def _written(write: Callable[[bytes], Awaitable[None]], piece: bytes) -> None:
    await write(piece)


async def _next(request: web.BaseRequest) -> bytes:
    async with asyncio.timeout(_SILENCE_S):
        return await request.content.readany()


async def _invite(request: web.BaseRequest) -> None:
    """Tell a client that asks first (Expect: 100-continue) to go ahead; by now it is known that its body is wanted."""
    if request.version == HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
