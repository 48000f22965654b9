"""The registry with real clients: Docker Engine and skopeo push to it and pull from it, and nothing of theirs is adapted to it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from longshore.kit.clock import SystemClock
from longshore.kit.data_keys import lock_of, new_data_key
from longshore.registry.registry import Registry
from longshore.services.call import Principal, Site
from longshore.services.ecr.kinds import KINDS
from longshore.services.ecr.model import IMAGES, REPOSITORIES, REPOSITORY_BLOBS, Repository
from longshore.services.ecr.names import RepositoryId
from longshore.services.ecr.tokens import GOOD_FOR_S, password
from longshore.store.base import Store
from longshore.store.file_blobs import FileBlobStore
from longshore.store.sqlite import open_store
from tests.engines import build_image, tar_of

pytestmark = [pytest.mark.engine("docker")]

ACCOUNT, REGION = "000000000000", "us-east-1"
SECRET = b"s" * 32
ROOT = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, "AKIAROOT")


@dataclass
class Served:
    """A registry on a port of 127.0.0.1, over a data directory, and a Docker client of its own."""

    data_dir: Path
    port: int
    docker_config: Path
    store: Store
    blobs: FileBlobStore
    runner: web.ServerRunner

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def password(self) -> str:
        return password(SECRET, ROOT, SystemClock().now() + GOOD_FOR_S)

    async def create_repository(self, name: str, region: str = REGION, **settings: Any) -> str:
        """What image names in it begin with."""
        meant = RepositoryId(region, ACCOUNT, name)
        repository = Repository(meant.arn, region, ACCOUNT, name, SystemClock().now(), **settings)
        await self.store.transact(lambda tx: tx.create(REPOSITORIES, repository))
        site = Site(account_id=ACCOUNT, region=REGION, zones=(), endpoint=f"http://{self.address}", port=self.port)
        return f"{site.registry_host(ACCOUNT, region)}/{name}"

    async def docker(self, *arguments: str, given: str = "", fails: bool = False) -> str:
        return await run("docker", "--config", str(self.docker_config), *arguments, given=given, fails=fails)

    async def skopeo(self, *arguments: str) -> str:
        return await run("skopeo", "--insecure-policy", *arguments)

    async def stop(self) -> None:
        await self.runner.cleanup()
        await self.store.close()
        await self.blobs.close()


async def run(*command: str, given: str = "", fails: bool = False) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(90):
        out, _ = await process.communicate(given.encode())
    assert (process.returncode != 0) is fails, out.decode()
    return out.decode()


def _everything(*asked: object, **origin: object) -> None:
    """Nothing is refused."""


async def serve(data_dir: Path, port: int, docker_config: Path) -> Served:
    store = await open_store(data_dir, KINDS, SECRET)
    blobs = await FileBlobStore.open(data_dir / "registry", secret=SECRET)
    site = Site(account_id=ACCOUNT, region=REGION, zones=(), endpoint=f"http://127.0.0.1:{port}", port=port)
    registry = Registry(
        store=store, blobs=blobs, clock=SystemClock(), site=site, secret=SECRET, authorise=_everything, owner=lambda key: ROOT
    )
    runner = web.ServerRunner(web.Server(registry.handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return Served(data_dir, port, docker_config, store, blobs, runner)


@pytest.fixture
async def served(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[Served]:
    data_dir, docker_config = tmp_path / "data", tmp_path / "docker"
    for directory in (data_dir, docker_config):
        directory.mkdir()
    served = await serve(data_dir, free_port(), docker_config)
    await served.docker("login", "--username", "AWS", "--password-stdin", served.address, given=served.password)
    yield served
    await served.stop()


@pytest.fixture
async def image(docker_url: str, unique_name: Callable[[str], str]) -> AsyncIterator[str]:
    """A new image of two layers, one of which no other image has."""
    tag = f"longshore-test/{unique_name('pushed')}:1"
    context = tar_of({"Dockerfile": b'FROM scratch\nCOPY a /a\nCOPY b /b\nCMD ["/a"]\n', "a": os.urandom(3_000_000), "b": tag.encode()})
    await asyncio.to_thread(build_image, tag, context, docker_url)
    identity = str((await inspect(tag))["Id"])
    yield tag
    # By its identity: names that moved on leave a reference by digest behind.
    await run("docker", "image", "rm", "--force", identity)


async def inspect(image: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(await run("docker", "image", "inspect", image))[0]
    return found


async def test_docker_pushes_to_the_repositorys_own_address_and_pulls_the_same_image(served: Served, image: str) -> None:
    for region in (REGION, "eu-west-1"):
        remote = f"{await served.create_repository('team/web', region)}:1.0"
        await run("docker", "tag", image, remote)
        pushed = await served.docker("push", remote)
        before = await inspect(image)
        digest = pushed.split("digest: ")[1].split()[0]
        await run("docker", "image", "rm", "--force", image, remote)
        await served.docker("pull", remote)
        after = await inspect(remote)
        assert (after["Id"], after["RootFS"]) == (before["Id"], before["RootFS"])
        assert after["RepoDigests"] == [f"{remote.removesuffix(':1.0')}@{digest}"]
        await run("docker", "tag", remote, image)
        await served.docker("pull", f"{remote.removesuffix(':1.0')}@{digest}")
        await run("docker", "image", "rm", "--force", remote)
    stored = served.store.list(IMAGES)
    assert [each.size > 3_000_000 for each in stored] == [True, True]
    # Docker keeps manifests it has seen and does not get the second, which is the same, again.
    assert any(each.last_pulled_at is not None for each in stored)


@pytest.mark.engine("skopeo")
async def test_an_encrypted_repository_is_like_any_other_to_docker_and_skopeo(served: Served, image: str, tmp_path: Path) -> None:
    plain = f"{await served.create_repository('plain')}:1"
    secret = f"{await served.create_repository('secret', data_key=new_data_key(lock_of(SECRET)))}:1"
    for remote in (plain, secret):
        await run("docker", "tag", image, remote)
        pushed = await served.docker("push", remote)
        assert "Mounted from" not in pushed
    before = await inspect(image)
    await run("docker", "image", "rm", "--force", image, plain, secret)
    await served.docker("pull", secret)
    after = await inspect(secret)
    assert (after["Id"], after["RootFS"]) == (before["Id"], before["RootFS"])
    await run("docker", "tag", secret, image)
    await run("docker", "image", "rm", "--force", secret)
    credentials = ("--src-tls-verify=false", "--src-creds", f"AWS:{served.password}")
    for name in ("plain", "secret"):
        await served.skopeo("copy", *credentials, f"docker://{served.address}/{name}:1", f"dir:{tmp_path / name}")
    copied = [{file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("plain", "secret")]
    assert copied[0] == copied[1]
    layers = [content for content in copied[0].values() if len(content) > 1000]
    kept = [file.read_bytes() for file in (served.data_dir / "registry" / "keyed").rglob("*") if file.is_file()]
    assert not any(layer[1000:1100] in content for layer in layers for content in kept)


async def test_what_one_repository_has_is_mounted_into_another(served: Served, image: str) -> None:
    for name in ("first", "second"):
        remote = f"{await served.create_repository(name)}:1"
        await run("docker", "tag", image, remote)
        pushed = await served.docker("push", remote)
        assert ("Mounted from first" in pushed) is (name == "second")
        await run("docker", "image", "rm", remote)


async def test_docker_says_why_a_push_is_refused(served: Served, image: str, base_image: str) -> None:
    absent = f"{served.address}/absent:1"
    await run("docker", "tag", image, absent)
    refused = await served.docker("push", absent, fails=True)
    assert "The repository with name 'absent' does not exist in the registry with id '000000000000'" in refused
    fixed = f"{await served.create_repository('fixed', image_tag_mutability='IMMUTABLE')}:1"
    await run("docker", "tag", image, fixed)
    for _ in range(2):
        await served.docker("push", fixed)
    await run("docker", "tag", base_image, fixed)
    refused = await served.docker("push", fixed, fails=True)
    assert "The image tag '1' already exists in the 'fixed' repository and cannot be overwritten because" in refused
    await run("docker", "image", "rm", absent, fixed)


async def test_docker_says_that_nobody_is_logged_in(served: Served) -> None:
    refused = await served.docker("login", "--username", "AWS", "--password-stdin", served.address, given="made up", fails=True)
    assert "401 Unauthorized" in refused
    await served.docker("logout", served.address)
    assert "no basic auth credentials" in await served.docker("pull", f"{served.address}/x:1", fails=True)


@pytest.mark.engine("skopeo")
async def test_skopeo_copies_in_and_out_in_every_format(served: Served, image: str, tmp_path: Path) -> None:
    await served.create_repository("copied")
    login = f"AWS:{served.password}"
    remote = f"docker://{served.address}/copied"
    plain_in, plain_out = "--dest-tls-verify=false", "--src-tls-verify=false"
    for form in ("oci", "v2s2"):
        pushed, pulled = f"{remote}:{form}", f"dir:{tmp_path / form}"
        await served.skopeo("copy", plain_in, "--dest-creds", login, "--format", form, f"docker-daemon:{image}", pushed)
        await served.skopeo("copy", plain_out, "--src-creds", login, pushed, pulled)
        for file in (tmp_path / form).iterdir():
            if len(file.name) == 64:
                assert hashlib.sha256(file.read_bytes()).hexdigest() == file.name
    copied = f"{remote}:again"
    await served.skopeo("copy", plain_out, plain_in, "--src-creds", login, "--dest-creds", login, f"{remote}:oci", copied)
    tags = json.loads(await served.skopeo("list-tags", "--tls-verify=false", "--creds", login, remote))
    assert tags["Tags"] == ["again", "oci", "v2s2"]
    await served.skopeo("delete", "--tls-verify=false", "--creds", login, copied)
    # skopeo deletes by digest, and with the digest go all its tags.
    tags = json.loads(await served.skopeo("list-tags", "--tls-verify=false", "--creds", login, remote))
    assert tags["Tags"] == ["v2s2"]


async def test_everything_is_there_after_a_restart(served: Served, image: str) -> None:
    remote = f"{await served.create_repository('kept')}:1"
    await run("docker", "tag", image, remote)
    await served.docker("push", remote)
    await run("docker", "image", "rm", "--force", image, remote)
    await served.stop()
    again = await serve(served.data_dir, served.port, served.docker_config)
    served.store, served.blobs, served.runner = again.store, again.blobs, again.runner
    assert served.store.count(REPOSITORY_BLOBS) == 3
    await served.docker("pull", remote)
    await run("docker", "tag", remote, image)
    await run("docker", "image", "rm", remote)
