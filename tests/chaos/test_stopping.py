"""SIGTERM: no new work is taken, what has begun is finished, what was acknowledged is kept, and the server is gone soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.chaos.server_process import ServerProcess
from tests.chaos.write_load import REPOSITORY, Book, Load, digest_of, verify


@pytest.fixture
async def server(tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[ServerProcess]:
    made = ServerProcess(tmp_path, free_port())
    await made.start()
    async with aiohttp.ClientSession() as http:
        await made.call(http, "ecr", "CreateRepository", {"repositoryName": REPOSITORY})
    yield made
    await made.stop()


async def refuses_connections(server: ServerProcess) -> None:
    async with asyncio.timeout(5):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            except ConnectionRefusedError:
                return
            except ConnectionResetError:  # it waited to be accepted when the listening ended
                continue
            writer.close()
            await asyncio.sleep(0.01)


async def test_an_idle_server_stops_at_once_and_without_a_complaint(server: ServerProcess) -> None:
    async with aiohttp.ClientSession() as http:  # keeps a connection open meanwhile
        await server.call(http, "ecs", "ListClusters", {})
        await server.log_in(http)
        await server.registry(http, "GET", "/v2/")
        began = time.monotonic()
        assert await server.stop() == 0
    assert time.monotonic() - began < 4
    assert "Traceback" not in server.log
    assert "ERROR" not in server.log


async def test_an_upload_that_has_begun_is_finished_while_new_connections_are_refused(server: ServerProcess) -> None:
    content = b"layer" * 50_000
    sent_half, go_on = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield content[: len(content) // 2]
        sent_half.set()
        await go_on.wait()
        yield content[len(content) // 2 :]

    async with aiohttp.ClientSession() as http:
        await server.log_in(http)
        path = f"{REPOSITORY}/blobs/uploads/?digest={digest_of(content)}"
        upload = asyncio.create_task(server.registry(http, "POST", path, slowly(), 201))
        await sent_half.wait()
        await server.registry(http, "GET", "/v2/")  # by then the first half has arrived as well
        server.terminate()
        await refuses_connections(server)
        assert server.process is not None
        assert server.process.returncode is None
        go_on.set()
        await upload
    assert await server.ended() == 0
    await server.start()
    async with aiohttp.ClientSession() as http:
        _, kept = await server.registry(http, "GET", f"{REPOSITORY}/blobs/{digest_of(content)}")
    assert kept == content


async def test_under_load_everything_acknowledged_is_kept_and_nothing_fails_but_connections(server: ServerProcess) -> None:
    written = Book()
    async with aiohttp.ClientSession() as http:
        await server.log_in(http)
        load = asyncio.create_task(Load(server, http, written, 0).until_cut_off())
        async with asyncio.timeout(20):
            while written.acknowledged < 60:
                assert not load.done(), load.result()
                await asyncio.sleep(0.001)
        server.terminate()
        await load
        assert await server.ended() == 0
    assert "Traceback" not in server.log
    await server.start()
    async with aiohttp.ClientSession() as http:
        await verify(server, http, written)


async def test_a_client_that_sends_nothing_more_does_not_keep_the_server(server: ServerProcess) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    _, idle = await asyncio.open_connection("127.0.0.1", server.port)
    began = time.monotonic()
    assert await server.stop() == 0
    assert time.monotonic() - began < 4
    writer.close()
    idle.close()
