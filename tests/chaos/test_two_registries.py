"""Two installations, one of which is killed: what it was to carry arrives, and what it was fetching is fetched again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.names import digest_of
from tests.chaos.server_process import ACCOUNT, KEY, SECRET, ServerProcess
from tests.registry.contents import CONFIG, manifest
from tests.registry.upstream import Upstream, played

IMAGES = 12
BIG = bytes(range(256)) * 20_000


def _layer(number: int) -> bytes:
    return b"layer %d " % number * 2000


async def _read(server: ServerProcess, http: aiohttp.ClientSession, path: str) -> bytes:
    _, content = await server.registry(http, "GET", path)
    return content


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.fixture
async def pair(tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[tuple[ServerProcess, ServerProcess]]:
    ours, theirs = ServerProcess(tmp_path / "ours", free_port()), ServerProcess(tmp_path / "theirs", free_port())
    await asyncio.gather(ours.start(), theirs.start())
    yield ours, theirs
    await asyncio.gather(ours.stop(), theirs.stop())


async def _push(server: ServerProcess, http: aiohttp.ClientSession, number: int) -> str:
    for blob in (CONFIG, _layer(number)):
        await server.registry(http, "POST", f"app/blobs/uploads/?digest={digest_of(blob)}", blob, 201)
    content = manifest(_layer(number))
    await server.registry(http, "PUT", f"app/manifests/v{number}", content, 201, OCI_MANIFEST)
    return digest_of(content)


async def _statuses(server: ServerProcess, http: aiohttp.ClientSession, digest: str) -> set[str]:
    request = {"repositoryName": "app", "imageId": {"imageDigest": digest}}
    answer: dict[str, Any] = await server.call(http, "ecr", "DescribeImageReplicationStatus", request)
    return {each["status"] for each in answer["replicationStatuses"]}


async def test_every_acknowledged_push_reaches_the_other_registry_through_a_kill(
    pair: tuple[ServerProcess, ServerProcess], http: aiohttp.ClientSession
) -> None:
    ours, theirs = pair
    for server in pair:
        await server.call(http, "ecr", "CreateRepository", {"repositoryName": "app"})
    remote = {"name": "other", "url": f"127.0.0.1:{theirs.port}", "authentication": "AWS", "userName": KEY, "password": SECRET}
    await ours.call(http, "ecr", "LongshorePutRemoteRegistry", remote)
    destinations = [{"region": "other", "registryId": ACCOUNT}, {"region": "eu-west-1", "registryId": ACCOUNT}]
    rules = {"rules": [{"destinations": destinations}]}
    await ours.call(http, "ecr", "PutReplicationConfiguration", {"replicationConfiguration": rules})
    digests = []
    for number in range(IMAGES):
        digests.append(await _push(ours, http, number))
        if number in (2, 7, IMAGES - 1):
            await ours.kill()
            await ours.start()
    async with asyncio.timeout(60):
        for digest in digests:
            while await _statuses(ours, http, digest) != {"COMPLETE"}:  # noqa: ASYNC110 - another process is asked
                await asyncio.sleep(0.05)
    for number in range(IMAGES):
        for server, name in ((theirs, "app"), (ours, f"{ACCOUNT}.dkr.ecr.eu-west-1/app")):
            assert await _read(server, http, f"{name}/manifests/v{number}") == manifest(_layer(number))
            assert await _read(server, http, f"{name}/blobs/{digest_of(_layer(number))}") == _layer(number)


async def test_a_layer_that_was_being_fetched_when_the_server_was_killed_is_fetched_by_the_next(
    tmp_path: Path, free_port: Callable[..., int], http: aiohttp.ClientSession
) -> None:
    upstream: Upstream = await played()
    for blob in (CONFIG, BIG):
        upstream.put_blob(blob)
    upstream.put("library/web", manifest(BIG), "1")
    server = ServerProcess(tmp_path, free_port())
    await server.start()
    try:
        rule = {"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": upstream.url}
        await server.call(http, "ecr", "CreatePullThroughCacheRule", rule)
        await _read(server, http, "hub/library/web/manifests/1")
        upstream.gate.clear()
        path = f"hub/library/web/blobs/{digest_of(BIG)}"
        asking = asyncio.create_task(_read(server, http, path))
        async with asyncio.timeout(20):
            while not upstream.count(f"GET /v2/library/web/blobs/{digest_of(BIG)}"):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await server.kill()
        with pytest.raises(aiohttp.ClientError):
            await asking
        upstream.gate.set()
        await server.start()
        assert await _read(server, http, path) == BIG
        assert json.loads(await _read(server, http, "hub/library/web/tags/list"))["tags"] == ["1"]
    finally:
        await server.stop()
        await upstream.server.close()
