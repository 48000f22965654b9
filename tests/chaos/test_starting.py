"""A server that cannot start says why and what to do, in one line, and leaves everything as it was."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from longshore.balancer.files import places_in
from longshore.store.sqlite import FILE_NAME
from tests.chaos.server_process import ServerProcess

FreePort = Callable[..., int]


@pytest.fixture
async def server(tmp_path: Path, free_port: FreePort) -> AsyncIterator[ServerProcess]:
    made = ServerProcess(tmp_path, free_port())
    yield made
    await made.stop()


async def refused(server: ServerProcess) -> tuple[str, str]:
    """(cause, fix) of a start that failed; it must have been told in words and not as a traceback."""
    said = await server.try_to_start()
    assert said.event == "failed", said
    assert await server.ended() == 1
    assert "Traceback" not in server.log
    assert said.facts["cause"] in server.log
    return said.facts["cause"], said.facts["fix"]


async def test_a_port_somebody_else_listens_on(server: ServerProcess) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", server.port))
        other.listen()
        cause, fix = await refused(server)
    assert cause == f"another program listens on 127.0.0.1:{server.port}"
    assert "--port" in fix
    await server.start()


async def test_a_data_directory_another_server_uses(server: ServerProcess, tmp_path: Path, free_port: FreePort) -> None:
    await server.start()
    assert server.process is not None
    second = ServerProcess(tmp_path / "second", free_port(), data_dir=server.data_dir)
    cause, fix = await refused(second)
    assert f"in use by another Longshore server (process {server.process.pid})" in cause
    assert "--data-dir" in fix
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/_longshore/health") as answer:
        assert answer.status == 200


async def test_a_database_that_is_none(server: ServerProcess) -> None:
    database = server.data_dir / FILE_NAME
    database.write_bytes(b"not what it seems" * 1000)
    cause, fix = await refused(server)
    assert str(database) in cause
    assert "not a database" in cause
    assert str(server.data_dir) in fix
    assert database.read_bytes() == b"not what it seems" * 1000


async def test_a_database_of_a_newer_version_or_with_a_row_that_cannot_be_read(server: ServerProcess) -> None:
    await server.start()
    await server.stop()
    database = server.data_dir / FILE_NAME
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE object SET body = x'c1'")
    connection.close()
    cause, fix = await refused(server)
    assert "cannot be read" in cause
    assert str(server.data_dir) in fix
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE meta SET format = 99")
    connection.close()
    cause, _ = await refused(server)
    assert "newer Longshore" in cause


async def test_a_database_damaged_in_the_middle(server: ServerProcess) -> None:
    await server.start()
    await server.stop()
    database = server.data_dir / FILE_NAME
    whole = bytearray(database.read_bytes())
    whole[4096 : len(whole)] = os.urandom(len(whole) - 4096)
    database.write_bytes(whole)
    cause, fix = await refused(server)
    assert str(database) in cause
    assert "malformed" in cause or "not a database" in cause
    assert str(server.data_dir) in fix


async def test_a_data_directory_that_cannot_be_made(server: ServerProcess) -> None:
    shutil.rmtree(server.data_dir)  # where the root's key was put for it
    server.data_dir.write_text("a file stands where the directory should")
    cause, fix = await refused(server)
    assert str(server.data_dir) in cause
    assert "--data-dir" in fix


@pytest.mark.parametrize("left", [None, b"", b"{}", b'{"access_key_id": "AKIAANOTHER", "secret_access_key": "x"}'])
async def test_a_root_whose_secret_is_not_there_has_none_that_anybody_could_guess(server: ServerProcess, left: bytes | None) -> None:
    kept = server.data_dir / "credentials.json"
    kept.unlink()
    if left is not None:
        kept.write_bytes(left)
    cause, fix = await refused(server)
    assert str(kept) in cause
    assert "longshore up" in fix
    assert not (server.data_dir / FILE_NAME).exists(), "nothing was begun"


@pytest.fixture
def taken(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """(a data directory with a long name, the link by which it has a short one: somebody else's)."""
    data_dir = tmp_path / ("long" * 20)
    way = Path(places_in(data_dir / "run" / "haproxy").directory)
    way.symlink_to(tmp_path)
    yield data_dir, way
    way.unlink()


async def test_a_place_for_sockets_that_somebody_else_took(taken: tuple[Path, Path], tmp_path: Path, free_port: FreePort) -> None:
    data_dir, way = taken
    cause, fix = await refused(ServerProcess(tmp_path / "server", free_port(), data_dir=data_dir))
    assert f"{way} is somebody else's" in cause and "--data-dir" in fix


async def test_without_haproxy_everything_but_load_balancers_works(server: ServerProcess) -> None:
    facts = await server.start()
    assert facts["haproxy_pid"] is None
    async with aiohttp.ClientSession() as http:
        await server.call(http, "ecs", "CreateCluster", {"clusterName": "c"})
    assert await server.stop() == 0
    assert "Traceback" not in server.log
