"""Connections that aiohttp has: those that only begin to ask for something do not stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from longshore.gateway.begun import Begun
from longshore.gateway.lane import Lanes
from longshore.gateway.request import ApiRequest, Reply, read_body

#: what the tests wait for a head, and for a body
SOON_S = 0.2
PATIENCE_S = 5.0


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Of a server whose every answer takes longer than a head may."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await read_body(request, 1000, SOON_S)
        except TimeoutError:
            return web.Response(status=408)
        await asyncio.sleep(2 * SOON_S)
        return web.Response(body=body)

    async def operate(request: ApiRequest) -> Reply:
        return Reply(200, b"", "text/plain", ())

    begun = Begun(handle)
    general = web.Server(begun, access_log=None)
    lanes = Lanes(operate, general, expect=lambda transport, _: begun.expect(transport, SOON_S))
    server = await asyncio.get_running_loop().create_server(lanes, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await general.shutdown(1)


async def answered(port: int, *pieces: bytes) -> bytes:
    """What comes first; nothing where the server closes the connection without a word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            for piece in pieces:
                writer.write(piece)
            return await reader.read(1000)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_a_head_that_does_not_come_is_not_waited_for(port: int) -> None:
    assert await answered(port, b"GET /x HTTP/1.1\r\nHost: a\r\n") == b""


async def test_a_body_that_does_not_come_is_not_waited_for(port: int) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10\r\n\r\n"
    assert (await answered(port, head, b"half")).startswith(b"HTTP/1.1 408 ")


async def test_an_answer_may_take_its_time(port: int) -> None:
    assert (await answered(port, b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
