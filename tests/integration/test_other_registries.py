"""Docker Engine pulls through the cache what lies in Debian's docker-registry, and what it pushes here arrives there."""

from __future__ import annotations

import asyncio
import json
import platform
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from longshore.services.ecr.manifests import DOCKER_LIST, DOCKER_MANIFEST
from longshore.services.ecr.names import digest_of
from tests.chaos.server_process import ACCOUNT, ServerProcess
from tests.docker_registry import answers, docker_registry
from tests.integration.test_registry import run

pytestmark = [pytest.mark.engine("docker"), pytest.mark.engine("docker-registry")]

MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass
class Place:
    server: ServerProcess
    http: aiohttp.ClientSession
    #: 127.0.0.1:PORT of docker-registry
    elsewhere: str
    docker_config: Path
    tags: list[str]

    async def docker(self, *arguments: str, given: str = "") -> str:
        return await run("docker", "--config", str(self.docker_config), *arguments, given=given)

    async def tag(self, image: str, name: str) -> str:
        self.tags.append(name)
        await self.docker("tag", image, name)
        return name

    @property
    def here(self) -> str:
        return f"127.0.0.1:{self.server.port}"


@pytest.fixture
async def place(tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[Place]:
    server = ServerProcess(tmp_path, free_port())
    with docker_registry(tmp_path, free_port()) as elsewhere:
        await answers(elsewhere)
        async with aiohttp.ClientSession() as http:
            made = Place(server, http, elsewhere, tmp_path / "docker", [])
            try:
                await server.start()
                tokens = await server.call(http, "ecr", "GetAuthorizationToken", {})
                auths = {made.here: {"auth": tokens["authorizationData"][0]["authorizationToken"]}}
                made.docker_config.mkdir()
                (made.docker_config / "config.json").write_text(json.dumps({"auths": auths}))
                yield made
            finally:
                for tag in made.tags:
                    await made.docker("rmi", tag)
                await server.stop()


async def test_docker_pulls_images_and_lists_through_the_cache(place: Place, base_image: str) -> None:
    await place.docker("push", "-q", await place.tag(base_image, f"{place.elsewhere}/library/box:1"))
    await _put_list(place)
    rule = {"ecrRepositoryPrefix": "hub", "upstreamRegistryUrl": place.elsewhere}
    await place.server.call(place.http, "ecr", "CreatePullThroughCacheRule", rule)
    for tag in ("1", "multi"):
        name = f"{place.here}/hub/library/box:{tag}"
        await place.docker("pull", "-q", name)
        place.tags.append(name)
        assert (await place.docker("run", "--rm", name, "echo", "hello")).strip() == "hello"
    described = await place.server.call(place.http, "ecr", "DescribeImages", {"repositoryName": "hub/library/box"})
    assert len(described["imageDetails"]) == 2, "the list and the one image in it"


async def _put_list(place: Place) -> None:
    """A list of the one image there is, under the tag `multi`."""
    url = f"http://{place.elsewhere}/v2/library/box/manifests"
    async with place.http.get(f"{url}/1", headers={"Accept": DOCKER_MANIFEST}) as answer:
        image = await answer.read()
    entry = {
        "mediaType": DOCKER_MANIFEST,
        "digest": digest_of(image),
        "size": len(image),
        "platform": {"architecture": MACHINES[platform.machine()], "os": "linux"},
    }
    content = json.dumps({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [entry]}).encode()
    async with place.http.put(f"{url}/multi", data=content, headers={"Content-Type": DOCKER_LIST}) as answer:
        assert answer.status == 201, await answer.text()


async def test_what_docker_pushes_arrives_in_the_other_registry(place: Place, base_image: str) -> None:
    await place.server.call(place.http, "ecr", "CreateRepository", {"repositoryName": "app"})
    await place.server.call(place.http, "ecr", "LongshorePutRemoteRegistry", {"name": "there", "url": place.elsewhere})
    rules = {"rules": [{"destinations": [{"region": "there", "registryId": ACCOUNT}]}]}
    await place.server.call(place.http, "ecr", "PutReplicationConfiguration", {"replicationConfiguration": rules})
    await place.docker("push", "-q", await place.tag(base_image, f"{place.here}/app:1"))
    request = {"repositoryName": "app", "imageId": {"imageTag": "1"}}
    async with asyncio.timeout(30):
        while True:
            told = await place.server.call(place.http, "ecr", "DescribeImageReplicationStatus", request)
            if told["replicationStatuses"][0]["status"] == "COMPLETE":
                break
            await asyncio.sleep(0.05)
    name = f"{place.elsewhere}/app:1"
    await place.docker("pull", "-q", name)
    place.tags.append(name)
    assert (await place.docker("run", "--rm", name, "echo", "hello")).strip() == "hello"
