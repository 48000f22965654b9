"""What the ECR API sets for a registry, as Docker meets it: creation templates, the archive, exclusions and mounts."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.chaos.server_process import KEY, REGION, SECRET, ServerProcess
from tests.engines import build_image, tar_of

pytestmark = [pytest.mark.engine("docker")]


class Docker:
    """A Docker client that is logged in to the server as its root."""

    def __init__(self, config: Path, address: str) -> None:
        self._config = config
        self.address = address

    async def __call__(self, *arguments: str, given: str = "", fails: bool = False) -> str:
        process = await asyncio.create_subprocess_exec(
            *("docker", "--config", str(self._config), *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(90):
            out, _ = await process.communicate(given.encode())
        assert (process.returncode != 0) is fails, out.decode()
        return out.decode()

    async def push(self, image: str, remote: str) -> str:
        await self("tag", image, remote)
        return await self("push", remote)

    async def pull_anew(self, remote: str, *, fails: bool = False) -> str:
        await self("image", "rm", "--force", remote)
        return await self("pull", remote, fails=fails)


@pytest.fixture
async def server(tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[ServerProcess]:
    made = ServerProcess(tmp_path, free_port())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def ecr(server: ServerProcess) -> Any:
    return boto3.client("ecr", endpoint_url=server.url, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET)


@pytest.fixture
async def docker(server: ServerProcess, ecr: Any, tmp_path: Path) -> Docker:
    config = tmp_path / "docker"
    config.mkdir()
    made = Docker(config, f"127.0.0.1:{server.port}")
    token = (await asyncio.to_thread(ecr.get_authorization_token))["authorizationData"][0]["authorizationToken"]
    password = base64.b64decode(token).decode().partition(":")[2]
    await made("login", "--username", "AWS", "--password-stdin", made.address, given=password)
    return made


@pytest.fixture
async def image(docker_url: str, docker: Docker, unique_name: Callable[[str], str]) -> AsyncIterator[str]:
    """A new image of two layers that no other has."""
    tag = f"longshore-test/{unique_name('set')}:1"
    context = tar_of({"Dockerfile": b'FROM scratch\nCOPY a /a\nCOPY b /b\nCMD ["/a"]\n', "a": os.urandom(50_000), "b": tag.encode()})
    await asyncio.to_thread(build_image, tag, context, docker_url)
    yield tag
    identity = (await docker("image", "inspect", "--format", "{{.Id}}", tag)).strip()
    await docker("image", "rm", "--force", identity)


async def test_what_the_api_sets_is_what_docker_meets(ecr: Any, docker: Docker, image: str) -> None:
    remote = f"{docker.address}/team/app:1"
    await docker("tag", image, remote)
    assert "does not exist in the registry" in await docker("push", remote, fails=True)
    await asyncio.to_thread(
        ecr.create_repository_creation_template, prefix="team", appliedFor=["CREATE_ON_PUSH"], imageTagMutability="IMMUTABLE"
    )
    await docker("push", remote)
    (repository,) = (await asyncio.to_thread(ecr.describe_repositories, repositoryNames=["team/app"]))["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"

    moving = {"repositoryName": "team/app", "imageId": {"imageTag": "1"}}
    await asyncio.to_thread(ecr.update_image_storage_class, **moving, targetStorageClass="ARCHIVE")
    assert "not found" in await docker.pull_anew(remote, fails=True)
    await docker.push(image, remote)  # which brings it back, although the tag is immutable
    await docker.pull_anew(remote)

    await asyncio.to_thread(ecr.put_account_setting, name="BLOB_MOUNTING", value="DISABLED")
    assert "Mounted from" not in await docker.push(image, f"{docker.address}/team/second:1")
    await asyncio.to_thread(ecr.put_account_setting, name="BLOB_MOUNTING", value="ENABLED")
    assert "Mounted from" in await docker.push(image, f"{docker.address}/team/third:1")
