"""A disk without room: writes are refused in words, reads go on, nothing acknowledged is lost, and room mends it."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from longshore.config import Storage
from tests.chaos.registry_load import upkeep
from tests.chaos.server_process import Refused, ServerProcess
from tests.chaos.write_load import REPOSITORY, Book, digest_of, verify

SIZE_MIB = 24


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own with little room; skips where this user may not mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
async def server(small_disk: Path, tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[ServerProcess]:
    made = ServerProcess(tmp_path, free_port(), data_dir=small_disk / "data")
    yield made
    await made.stop()


def fill(place: Path) -> Path:
    """Take all the room there is."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return ballast


async def test_a_full_disk_costs_no_more_than_the_writes_it_has_no_room_for(server: ServerProcess, small_disk: Path) -> None:
    await server.start()
    written = Book()
    layer = b"layer" * 100_000
    async with aiohttp.ClientSession() as http:
        await server.call(http, "ecr", "CreateRepository", {"repositoryName": REPOSITORY})
        await server.registry(http, "POST", f"{REPOSITORY}/blobs/uploads/?digest={digest_of(layer)}", layer, 201)
        written.blobs[digest_of(layer)] = len(layer)
        await server.call(http, "ecs", "CreateCluster", {"clusterName": "before"})
        written.clusters.add("before")

        ballast = await asyncio.to_thread(fill, small_disk)
        refused = await clusters_until_refused(server, http, written)
        assert refused.status == 503, refused
        assert "cannot be written" in refused.body
        assert "full" in refused.body
        other = b"other" * 100_000
        with pytest.raises(Refused) as no_room:
            await server.registry(http, "POST", f"{REPOSITORY}/blobs/uploads/?digest={digest_of(other)}", other, 201)
        assert no_room.value.status in (500, 503, 507)
        assert '"errors"' in no_room.value.body
        assert "Traceback" not in no_room.value.body
        await verify(server, http, written)

        ballast.unlink()
        await server.call(http, "ecs", "CreateCluster", {"clusterName": "after"})
        written.clusters.add("after")
        await server.registry(http, "POST", f"{REPOSITORY}/blobs/uploads/?digest={digest_of(other)}", other, 201)
        written.blobs[digest_of(other)] = len(other)

    await server.kill()
    await server.start()
    async with aiohttp.ClientSession() as http:
        await verify(server, http, written)
        answer = await server.call(http, "ecs", "ListClusters", {})
        assert {arn.rsplit("/", 1)[-1] for arn in answer["clusterArns"]} - {"default"} == written.clusters, "a refused write was kept"


@pytest.fixture
async def tidy(small_disk: Path, tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[ServerProcess]:
    """A server that collects whatever nothing names, when it is asked to."""
    made = ServerProcess(tmp_path, free_port(), data_dir=small_disk / "data", storage=Storage(grace_s=0.0, settle_s=3600.0))
    yield made
    await made.stop()


@pytest.mark.parametrize("encryption", ["AES256", "KMS"])
async def test_a_full_disk_has_room_again_once_garbage_is_collected(tidy: ServerProcess, small_disk: Path, encryption: str) -> None:
    await tidy.start()
    layer, other = os.urandom(3_000_000), os.urandom(2_000_000)
    async with aiohttp.ClientSession() as http:
        settings = {"repositoryName": REPOSITORY, "encryptionConfiguration": {"encryptionType": encryption}}
        await tidy.call(http, "ecr", "CreateRepository", settings)
        await tidy.registry(http, "POST", f"{REPOSITORY}/blobs/uploads/?digest={digest_of(layer)}", io.BytesIO(layer), 201)
        await tidy.registry(http, "DELETE", f"{REPOSITORY}/blobs/{digest_of(layer)}", None, 202)
        ballast = await asyncio.to_thread(fill, small_disk)
        with pytest.raises(Refused) as no_room:
            await tidy.registry(http, "POST", f"{REPOSITORY}/blobs/uploads/?digest={digest_of(other)}", io.BytesIO(other), 201)
        assert no_room.value.status in (500, 503, 507)
        assert "Traceback" not in no_room.value.body
        (collected,) = await upkeep(tidy, http, "POST", "collect?trash=empty")
        assert collected["blobs"] == 1, collected
        await tidy.registry(http, "POST", f"{REPOSITORY}/blobs/uploads/?digest={digest_of(other)}", io.BytesIO(other), 201)
        _, content = await tidy.registry(http, "GET", f"{REPOSITORY}/blobs/{digest_of(other)}")
        assert content == other
        (usage,) = await upkeep(tidy, http, "GET", "usage")
        assert usage["uploads"]["blobs"] == 0, "what did not fit is still there"
        ballast.unlink()


async def clusters_until_refused(server: ServerProcess, http: aiohttp.ClientSession, written: Book) -> Refused:
    """The file may hold a few more; then there is no room for its log."""
    for number in range(5000):
        try:
            await server.call(http, "ecs", "CreateCluster", {"clusterName": f"squeezed-{number}"})
        except Refused as refused:
            return refused
        written.clusters.add(f"squeezed-{number}")
    raise AssertionError("the disk never became full")


async def test_a_server_that_starts_on_a_full_disk_says_so_and_starts_when_there_is_room(server: ServerProcess, small_disk: Path) -> None:
    ballast = await asyncio.to_thread(fill, small_disk)
    said = await server.try_to_start()
    assert said.event == "failed"
    assert await server.ended() == 1
    assert "full" in said.facts["cause"] or "No space left" in said.facts["cause"], said.facts
    assert "Traceback" not in server.log
    ballast.unlink()
    await server.start()
