"""What is collected and what is not, while pushes go on."""

from __future__ import annotations

import pytest

from longshore.registry.garbage import (
    GRACE_S,
    UPLOAD_IDLE_S,
    Blob,
    GarbageCollector,
    Layer,
    removable_blobs,
    removable_layers,
)
from longshore.services.ecr.images import delete_repository, find_repository
from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.model import REPOSITORY_BLOBS, RepositoryBlob
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.store.blobs import StoredBlob
from tests.registry.conftest import ACCOUNT, REGION, Client
from tests.registry.contents import CONFIG, LAYER, manifest

IMAGE = manifest(LAYER)
PARTS = {digest_of(content) for content in (CONFIG, LAYER, IMAGE)}
WEB = RepositoryId(REGION, ACCOUNT, "app/web")


def test_only_what_is_old_and_unnamed_is_removable() -> None:
    now = 1_000_000.0
    old, young = now - GRACE_S - 1, now - GRACE_S + 1
    layers = [Layer(RepositoryBlob("r", f"sha256:{age}{used}", 10, age), used) for age in (old, young) for used in (True, False)]
    assert [removal.key for removal in removable_layers(layers, now)] == [f"r@sha256:{old}False"]
    blobs = [Blob(StoredBlob(f"{age}{named}", 10, age), named) for age in (old, young) for named in (True, False)]
    assert [(removal.key, removal.size) for removal in removable_blobs(blobs, now)] == [(f"{old}False", 10)]


@pytest.fixture
async def pushed(client: Client) -> Client:
    for content in (CONFIG, LAYER):
        await client.push_blob("app/web", content, digest_of(content))
    response = await client.ask("PUT", "/v2/app/web/manifests/1", data=IMAGE, headers={"Content-Type": OCI_MANIFEST})
    assert response.status == 201
    return client


def collector(client: Client) -> GarbageCollector:
    return GarbageCollector(store=client.store, blobs=client.blobs, clock=client.clock)


async def held(client: Client) -> set[str]:
    return {blob.digest async for blob in client.blobs.stored()}


async def test_what_an_image_consists_of_stays_for_ever(pushed: Client) -> None:
    await pushed.clock.step(100 * GRACE_S)
    assert (await collector(pushed).collect()).blobs == 0
    assert await held(pushed) == PARTS


async def test_the_bytes_of_a_deleted_image_go_after_a_while(pushed: Client) -> None:
    assert (await pushed.ask("DELETE", f"/v2/app/web/manifests/{digest_of(IMAGE)}")).status == 202
    assert (await collector(pushed).collect()).blobs == 0
    await pushed.clock.step(GRACE_S + 1)
    collected = await collector(pushed).collect()
    assert (collected.layers, collected.blobs, collected.bytes) == (2, 3, len(CONFIG) + len(LAYER) + len(IMAGE))
    assert await held(pushed) == set()
    assert pushed.store.count(REPOSITORY_BLOBS) == 0


async def test_the_bytes_of_a_deleted_repository_go_unless_another_has_them(pushed: Client) -> None:
    await pushed.create_repository("other")
    await pushed.push_blob("other", LAYER, digest_of(LAYER))
    await pushed.store.transact(lambda tx: delete_repository(tx, find_repository(tx, WEB)))
    await pushed.clock.step(GRACE_S - 1)
    pushed.log_in()
    await pushed.ask("HEAD", f"/v2/other/blobs/{digest_of(LAYER)}")
    await pushed.clock.step(2)
    await collector(pushed).collect()
    assert await held(pushed) == {digest_of(LAYER)}


async def test_layers_of_a_push_that_was_given_up_go_after_a_while(client: Client) -> None:
    await client.push_blob("app/web", LAYER, digest_of(LAYER))
    await client.clock.step(GRACE_S + 1)
    collected = await collector(client).collect()
    assert (collected.layers, collected.blobs) == (1, 1)


async def test_bytes_that_are_pushed_again_meanwhile_stay(client: Client) -> None:
    await client.blobs.put(LAYER, digest_of(LAYER))
    await client.clock.step(GRACE_S + 1)
    planned = client.clock.now() - GRACE_S
    # The push comes between the collector's look and its deletion.
    await client.blobs.put(LAYER, digest_of(LAYER))
    assert not await client.blobs.delete(digest_of(LAYER), unused_since=planned)
    assert (await collector(client).collect()).blobs == 0


async def test_uploads_that_were_given_up_are_forgotten(client: Client) -> None:
    upload = await client.blobs.begin()
    await client.clock.step(UPLOAD_IDLE_S - 1)
    assert (await collector(client).collect()).uploads == 0
    await client.clock.step(1)
    assert (await collector(client).collect()).uploads == 1
    assert await client.blobs.resume(upload.upload_id) is None
