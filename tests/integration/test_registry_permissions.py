"""Who may do what with a repository, as docker and skopeo meet it: two accounts of one server, policies on both sides, tokens that end."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest

from longshore.aws.sigv4 import sign
from tests.chaos.server_process import ACCOUNT, KEY, REGION, SECRET, ServerProcess
from tests.engines import build_image, tar_of
from tests.integration.test_registry_settings import Docker

pytestmark = [pytest.mark.engine("docker"), pytest.mark.engine("skopeo")]

OTHER = "222222222222"
PUSH = [
    f"ecr:{name}" for name in ("InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "BatchCheckLayerAvailability", "PutImage")
]
PULL = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
TOKEN = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}


class Person:
    """Somebody with an access key, and a docker client of their own."""

    def __init__(self, server: ServerProcess, directory: Path, name: str, key: str, secret: str) -> None:
        self._server = server
        self._keys = {"region_name": REGION, "endpoint_url": server.url, "aws_access_key_id": key, "aws_secret_access_key": secret}
        self._config = directory / name
        self._config.mkdir()
        self.key = key
        self.docker = Docker(self._config, f"127.0.0.1:{server.port}")

    async def do(self, service: str, operation: str, **parameters: Any) -> Any:
        return await asyncio.to_thread(getattr(boto3.client(service, **self._keys), operation), **parameters)

    async def log_in(self) -> None:
        token = (await self.do("ecr", "get_authorization_token"))["authorizationData"][0]["authorizationToken"]
        password = base64.b64decode(token).decode().partition(":")[2]
        await self.docker("login", "--username", "AWS", "--password-stdin", self.docker.address, given=password)

    async def inspected(self, image: str) -> tuple[int, str]:
        """skopeo's exit code, and what it says."""
        process = await asyncio.create_subprocess_exec(
            *("skopeo", "inspect", "--raw", "--tls-verify=false", "--authfile", str(self._config / "config.json"), f"docker://{image}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(60):
            out, _ = await process.communicate()
        return process.returncode or 0, out.decode()


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@pytest.fixture
async def server(tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[ServerProcess]:
    made = ServerProcess(tmp_path, free_port())
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def root(server: ServerProcess, tmp_path: Path) -> Person:
    return Person(server, tmp_path, "root", KEY, SECRET)


@pytest.fixture
async def image(docker_url: str, root: Person, unique_name: Callable[[str], str]) -> AsyncIterator[str]:
    """A new image of two layers that no other has."""
    tag = f"longshore-test/{unique_name('shared')}:1"
    context = tar_of({"Dockerfile": b'FROM scratch\nCOPY a /a\nCOPY b /b\nCMD ["/a"]\n', "a": os.urandom(50_000), "b": tag.encode()})
    await asyncio.to_thread(build_image, tag, context, docker_url)
    yield tag
    identity = (await root.docker("image", "inspect", "--format", "{{.Id}}", tag)).strip()
    await root.docker("image", "rm", "--force", identity)


async def other_root(server: ServerProcess, directory: Path) -> Person:
    """The root of another account, which begins with this key."""

    path, query = "/_longshore/accounts", f"id={OTHER}"
    headers = sign(
        "POST",
        path,
        query,
        [("Host", f"127.0.0.1:{server.port}")],
        b"",
        access_key_id=KEY,
        secret_access_key=SECRET,
        region=REGION,
        service="longshore",
        now=time.time(),
    )
    async with aiohttp.ClientSession() as http, http.post(f"{server.url}{path}?{query}", headers=headers) as answer:
        made = await answer.json()
    return Person(server, directory, "other", made["accessKeyId"], made["secretAccessKey"])


async def user_of(root: Person, server: ServerProcess, directory: Path, name: str, *statements: dict[str, Any]) -> Person:
    await root.do("iam", "create_user", UserName=name)
    made = (await root.do("iam", "create_access_key", UserName=name))["AccessKey"]
    await root.do("iam", "put_user_policy", UserName=name, PolicyName="own", PolicyDocument=document(TOKEN, *statements))
    person = Person(server, directory, name, made["AccessKeyId"], made["SecretAccessKey"])
    await person.log_in()
    return person


async def test_a_repository_is_shared_with_another_account(server: ServerProcess, root: Person, image: str, tmp_path: Path) -> None:
    await root.do("ecr", "create_repository", repositoryName="team/app")
    await root.log_in()
    await root.docker.push(image, f"{root.docker.address}/team/app:1")
    other = await other_root(server, tmp_path)
    await other.log_in()
    shared = f"{other.docker.address}/{ACCOUNT}.dkr.ecr.{REGION}/team/app:1"
    refused = await other.docker("pull", shared, fails=True)
    assert "because no resource-based policy allows the ecr:BatchGetImage action" in refused
    assert refused.replace("team/app", "team/none") == await other.docker("pull", shared.replace("app", "none"), fails=True)

    policy = document({"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": PULL})
    await root.do("ecr", "set_repository_policy", repositoryName="team/app", policyText=policy)
    await other.docker.pull_anew(shared)
    # it sees that the layers are there, since it may read them
    assert "because no resource-based policy allows the ecr:PutImage action" in await other.docker("push", shared, fails=True)
    reader = await user_of(other, server, tmp_path, "reader")
    assert (await reader.inspected(shared))[0] != 0, "the account may, its user has no right at home"
    await other.do("iam", "attach_user_policy", UserName="reader", PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly")
    assert await reader.inspected(shared) == await root.inspected(shared)
    images = await reader.do("ecr", "batch_get_image", registryId=ACCOUNT, repositoryName="team/app", imageIds=[{"imageTag": "1"}])
    assert images["images"][0]["registryId"] == ACCOUNT
    await root.do("ecr", "delete_repository_policy", repositoryName="team/app")
    assert (await reader.inspected(shared))[0] != 0
    await root.docker("image", "rm", "--force", shared)


async def test_two_rights_pull_five_push_and_a_token_ends_with_its_key(
    server: ServerProcess, root: Person, image: str, tmp_path: Path
) -> None:
    arn = (await root.do("ecr", "create_repository", repositoryName="team/app"))["repository"]["repositoryArn"]
    remote = f"{root.docker.address}/team/app:1"
    pusher = await user_of(root, server, tmp_path, "pusher", {"Effect": "Allow", "Action": PUSH, "Resource": arn})
    puller = await user_of(root, server, tmp_path, "puller", {"Effect": "Allow", "Action": PULL, "Resource": arn})
    assert "user/puller is not authorized to perform: ecr:InitiateLayerUpload" in await _pushed(puller, image, remote, fails=True)
    await _pushed(pusher, image, remote)
    assert "user/pusher is not authorized to perform: ecr:BatchGetImage" in await pusher.docker("pull", remote, fails=True)
    await puller.docker.pull_anew(remote)
    await root.do("iam", "delete_access_key", UserName="puller", AccessKeyId=puller.key)
    code, said = await puller.inspected(remote)
    assert code != 0
    assert "no longer active" in said or "unauthorized" in said.lower() or "authentication required" in said
    await root.docker("image", "rm", "--force", remote)


async def _pushed(person: Person, image: str, remote: str, *, fails: bool = False) -> str:
    await person.docker("tag", image, remote)
    return await person.docker("push", remote, fails=fails)
