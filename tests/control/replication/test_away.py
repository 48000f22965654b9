"""Replication to registries elsewhere: one that is played, Debian's docker-registry, and another Longshore."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from longshore.aws.errors import AwsError
from longshore.gateway.app import Gateway
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.kit.ids import SeededIds
from longshore.registry.registry import Registry
from longshore.services.call import Site
from longshore.services.ecr.errors import LimitExceededException
from longshore.services.ecr.kinds import KINDS as ECR_KINDS
from longshore.services.ecr.model import REPOSITORY_BLOBS
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.operations.remotes import MOST_REMOTES
from longshore.services.ecr.pull_through.cache import PullThroughCache
from longshore.services.ecr.remote.addresses import place_of
from longshore.services.ecr.remote.client import RemoteClient
from longshore.services.ecr.remote.connection import Credentials
from longshore.services.ecr.remote.errors import RemoteNotFound
from longshore.services.ecr.replication.model import REMOTE_REGISTRIES, REPLICATIONS, WITHDRAWALS
from longshore.services.ecr.templates.creation import ensure_repository
from longshore.services.iam.identities import ensure_root
from longshore.services.iam.kinds import KINDS as IAM_KINDS
from longshore.store.base import Conflict, Store
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore
from tests.control.replication.conftest import HOME, REGION, SECRET, World
from tests.docker_registry import answers, docker_registry
from tests.registry.contents import CONFIG, LAYER, index, manifest

IMAGE = manifest(LAYER)
KEY, KEY_SECRET, OTHER_ACCOUNT = "AKIAOTHEROTHEROTHER1", "the other's secret key", "999999999999"


async def _content(client: RemoteClient, name: str, reference: str) -> bytes:
    return (await client.manifest(name, reference)).content


async def _blob(client: RemoteClient, name: str, content: bytes) -> bytes:
    return b"".join([piece async for piece in client.blob(name, digest_of(content), len(content))])


async def _goes_to(world: World, url: str, **credentials: str) -> None:
    await world.ask("LongshorePutRemoteRegistry", name="backup", url=url, **credentials)
    await world.replicate_to(("backup", HOME), deleteReplication={"enabled": True})


@pytest.fixture
async def nobody(free_port: Callable[..., int]) -> str:
    return f"http://127.0.0.1:{free_port()}"


async def test_a_registry_that_does_not_answer_is_tried_again_and_shown_as_failed_in_the_meantime(world: World, nobody: str) -> None:
    await _goes_to(world, nobody)
    digest = await world.push("app/web", IMAGE, "1")
    await world.turn()
    assert await world.statuses("app/web", digest) == {"backup": ("IN_PROGRESS", "RemoteUnavailable")}
    for _ in range(8):
        await world.clock.step(2000)
        await world.turn()
    assert await world.statuses("app/web", digest) == {"backup": ("FAILED", "RemoteUnavailable")}
    (held,) = world.call.store.list(REPLICATIONS)
    assert held.retry_at is not None, "and still it is not given up"


async def test_names_and_passwords_of_remote_registries_are_kept_well(world: World) -> None:
    await _goes_to(world, "https://registry.example/team", userName="bob", password="s3cret")
    (held,) = world.call.store.list(REMOTE_REGISTRIES)
    assert b"s3cret" not in held.password
    (shown,) = (await world.ask("LongshoreDescribeRemoteRegistries")).remote_registries
    assert (shown.name, shown.url, shown.user_name, shown.authentication) == ("backup", "https://registry.example/team", "bob", "BASIC")
    with pytest.raises(AwsError, match="names the remote registry"):
        await world.ask("LongshoreDeleteRemoteRegistry", name="backup")
    await world.ask("PutReplicationConfiguration", replicationConfiguration={"rules": []})
    await world.ask("LongshoreDeleteRemoteRegistry", name="backup")
    assert (await world.ask("LongshoreDescribeRemoteRegistries")).remote_registries == ()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"url": "http://registry.example"}, "over https only"),
        ({"url": "https://169.254.169.254"}, "does not connect"),
        ({"url": "https://registry.example", "userName": "bob"}, "go together"),
        ({"url": "https://registry.example", "authentication": "AWS"}, "access key"),
    ],
)
async def test_a_remote_registry_that_cannot_be_meant_is_refused(world: World, members: dict[str, str], words: str) -> None:
    with pytest.raises(AwsError, match=words):
        await world.ask("LongshorePutRemoteRegistry", name="backup", **members)


async def test_a_registry_names_so_many_remote_registries_and_no_more(world: World) -> None:
    for number in range(MOST_REMOTES):
        await world.ask("LongshorePutRemoteRegistry", name=f"remote-{number}", url="https://registry.example")
    with pytest.raises(LimitExceededException):
        await world.ask("LongshorePutRemoteRegistry", name="one-more", url="https://registry.example")
    await world.ask("LongshorePutRemoteRegistry", name="remote-0", url="https://other.example")


# ── docker-registry ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def elsewhere(tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[str]:
    """The address of a docker-registry, where there is one."""
    with docker_registry(tmp_path, free_port()) as address:
        await answers(address)
        yield address


@pytest.mark.engine("docker-registry")
async def test_an_index_its_images_and_deletions_reach_docker_registry(world: World, elsewhere: str) -> None:
    await _goes_to(world, elsewhere)
    child = await world.push("app/web", IMAGE)
    parent = await world.push("app/web", index(IMAGE), "1", "latest", layers=())
    await world.turn()
    assert await world.statuses("app/web", parent) == {"backup": ("COMPLETE", None)}
    there = RemoteClient(world.remotes, place_of(elsewhere))
    for reference in (parent, "1", "latest"):
        assert await _content(there, "app/web", reference) == index(IMAGE)
    assert await _content(there, "app/web", child) == IMAGE
    for blob in (CONFIG, LAYER):
        assert await _blob(there, "app/web", blob) == blob
    await world.ask("BatchDeleteImage", repositoryName="app/web", imageIds=[{"imageDigest": parent}])
    await world.turn()
    with pytest.raises(RemoteNotFound):
        await there.manifest("app/web", parent)
    assert world.call.store.count(WITHDRAWALS) == 0


@pytest.mark.engine("docker-registry")
async def test_images_of_docker_registry_are_pulled_through_the_cache(world: World, elsewhere: str) -> None:
    theirs = RemoteClient(world.remotes, place_of(elsewhere))
    for blob in (CONFIG, LAYER):
        await theirs.push_blob("library/web", digest_of(blob), len(blob), lambda blob=blob: _once(blob))  # type: ignore[misc]
    await theirs.put_manifest("library/web", "1", IMAGE, "application/vnd.oci.image.manifest.v1+json")
    cache = PullThroughCache(store=world.call.store, blobs=world.blobs, clock=world.clock, remotes=world.remotes, secret=SECRET)
    world.call = replace(world.call, pull_through=cache)
    await world.ask("CreatePullThroughCacheRule", ecrRepositoryPrefix="hub", upstreamRegistryUrl=elsewhere)
    assert (await world.ask("ValidatePullThroughCacheRule", ecrRepositoryPrefix="hub")).is_valid is True
    answer = await world.ask("BatchGetImage", repositoryName="hub/library/web", imageIds=[{"imageTag": "1"}, {"imageTag": "2"}])
    assert [each.image_manifest for each in answer.images] == [IMAGE.decode()]
    assert [each.failure_code for each in answer.failures] == ["ImageNotFound"]
    url = await world.ask("GetDownloadUrlForLayer", repositoryName="hub/library/web", layerDigest=digest_of(LAYER))
    assert url.layer_digest == digest_of(LAYER)
    assert await world.blobs.read(digest_of(LAYER)) == LAYER
    await cache.close()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


# ── another Longshore ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Other:
    url: str
    store: Store

    async def create_repository(self, name: str) -> None:
        meant = RepositoryId(REGION, OTHER_ACCOUNT, name)
        await self.store.transact(lambda tx: ensure_repository(tx, meant, "REPLICATION", 0.0))


@pytest.fixture
async def other(world: World) -> AsyncIterator[Other]:
    """A gateway and a registry of their own, in the same process; an access key of its root user is known."""
    store = memory_store((*ECR_KINDS, *IAM_KINDS))
    await store.transact(lambda tx: ensure_root(tx, OTHER_ACCOUNT, KEY, KEY_SECRET, 0.0))
    blobs, clock, secret = MemoryBlobStore(clock=world.clock), world.clock, b"o" * 32
    made: list[Gateway] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return await made[0].handle(request)

    server = RawTestServer(handle)
    await server.start_server()
    site = Site(OTHER_ACCOUNT, REGION, ("us-east-1a",), f"http://127.0.0.1:{server.port}", server.port or 0)
    identities, access = Identities(store, clock, site), Access(store, clock)
    registry = Registry(store=store, blobs=blobs, clock=clock, site=site, secret=secret, authorise=access.denial, owner=identities.owner)
    gateway = Gateway(
        store=store,
        blobs=blobs,
        clock=clock,
        ids=SeededIds(),
        site=site,
        identities=identities,
        access=access,
        signing_secret=secret,
    )
    gateway.mount("/v2/", registry.handle)
    made.append(gateway)
    yield Other(site.endpoint, store)
    await server.close()
    await registry.close()
    await store.close()


async def test_another_longshore_is_signed_in_to_with_an_access_key(world: World, other: Other) -> None:
    await _goes_to(world, other.url, authentication="AWS", userName=KEY, password=KEY_SECRET)
    digest = await world.push("app/web", IMAGE, "1")
    await world.turn()
    code = (await world.statuses("app/web", digest))["backup"]
    assert code == ("FAILED", "RemoteRepositoryNotFound"), "nothing creates it there without a template"
    there = RemoteClient(world.remotes, place_of(other.url), Credentials(KEY, KEY_SECRET, "AWS"))
    await other.create_repository("app/web")
    await world.push("app/web", IMAGE, "2")
    await world.turn()
    assert await world.statuses("app/web", digest) == {"backup": ("COMPLETE", None)}
    assert await _content(there, "app/web", "2") == IMAGE
    assert await _blob(there, "app/web", LAYER) == LAYER
    await world.ask("BatchDeleteImage", repositoryName="app/web", imageIds=[{"imageDigest": digest}])
    await world.turn()
    with pytest.raises(RemoteNotFound):
        await there.manifest("app/web", "2")


async def test_a_wrong_access_key_is_denied(world: World, other: Other) -> None:
    await _goes_to(world, other.url, authentication="AWS", userName=KEY, password="wrong")
    digest = await world.push("app/web", IMAGE, "1")
    await world.turn()
    assert await world.statuses("app/web", digest) == {"backup": ("FAILED", "RemoteAccessDenied")}


async def test_a_destination_that_is_configured_no_longer_is_given_up(world: World, nobody: str) -> None:
    await _goes_to(world, nobody)
    digest = await world.push("app/web", IMAGE, "1")
    await world.turn()
    await world.ask("PutReplicationConfiguration", replicationConfiguration={"rules": []})
    await world.clock.step(10)
    await world.turn()
    assert await world.statuses("app/web", digest) == {"backup": ("FAILED", "RemoteUnavailable")}
    assert world.under_way == 0


async def test_what_was_under_way_when_the_server_ended_is_carried_by_the_next(world: World, other: Other) -> None:
    await _goes_to(world, other.url, authentication="AWS", userName=KEY, password=KEY_SECRET)
    await other.create_repository("app/web")
    digest = await world.push("app/web", IMAGE, "1")
    begun = asyncio.create_task(world.replicator.reconcile(next(iter(world.replicator.keys()))))
    await asyncio.sleep(0)
    begun.cancel()
    await asyncio.gather(begun, return_exceptions=True)
    assert await world.statuses("app/web", digest) == {"backup": ("IN_PROGRESS", None)}
    world.at_a_pace_of(page=10, window=10)  # another replicator over the same store
    await world.turn()
    assert await world.statuses("app/web", digest) == {"backup": ("COMPLETE", None)}


async def test_a_tag_given_while_the_image_is_on_its_way_follows(world: World, other: Other) -> None:
    await _goes_to(world, other.url, authentication="AWS", userName=KEY, password=KEY_SECRET)
    await other.create_repository("app/web")
    digest = await world.push("app/web", IMAGE, "1")
    watch = other.store.watch(REPOSITORY_BLOBS)
    carrying = asyncio.create_task(world.replicator.reconcile(next(iter(world.replicator.keys()))))
    await asyncio.wait_for(watch.next(), 5)
    watch.close()
    await world.push("app/web", IMAGE, "2")
    with pytest.raises(Conflict):
        await carrying
    await world.turn()
    there = RemoteClient(world.remotes, place_of(other.url), Credentials(KEY, KEY_SECRET, "AWS"))
    assert (await there.manifest("app/web", "2")).digest == digest


async def test_what_was_pushed_again_is_not_deleted_elsewhere(world: World, other: Other) -> None:
    await _goes_to(world, other.url, authentication="AWS", userName=KEY, password=KEY_SECRET)
    await other.create_repository("app/web")
    digest = await world.push("app/web", IMAGE, "1")
    await world.turn()
    await world.ask("BatchDeleteImage", repositoryName="app/web", imageIds=[{"imageDigest": digest}])
    await world.push("app/web", IMAGE, "1")
    for key in [key for key in world.replicator.keys() if key.startswith("withdrawal")]:
        await world.replicator.reconcile(key)
    there = RemoteClient(world.remotes, place_of(other.url), Credentials(KEY, KEY_SECRET, "AWS"))
    assert await _content(there, "app/web", "1") == IMAGE
    assert world.call.store.count(WITHDRAWALS) == 0
