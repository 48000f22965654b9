"""What is collected and what is not, while pushes go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from longshore.aws.shapes import ecr as shapes
from longshore.kit.data_keys import lock_of, new_data_key
from longshore.kit.ids import SeededIds
from longshore.registry.garbage import (
    GRACE_S,
    TRASH_S,
    UPLOAD_IDLE_S,
    Found,
    GarbageCollector,
    Held,
    removable_blobs,
    removable_layers,
)
from longshore.services.call import Call
from longshore.services.ecr.images import delete_image, delete_repository, find_image, find_repository
from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.model import IMAGES, REPOSITORY_BLOBS, RepositoryBlob
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.operations.layers import batch_check_layer_availability
from longshore.store.base import Store, Tx
from longshore.store.blobs import StoredBlob
from longshore.store.file_blobs import FileBlobStore
from tests.registry.conftest import ACCOUNT, ALICE, REGION, SECRET, SITE, Client
from tests.registry.contents import CONFIG, LAYER, manifest

IMAGE = manifest(LAYER)
PARTS = {digest_of(content) for content in (CONFIG, LAYER, IMAGE)}
WEB = RepositoryId(REGION, ACCOUNT, "app/web")


def test_only_what_is_old_and_unnamed_is_removable() -> None:
    now = 1_000_000.0
    old, young = now - GRACE_S - 1, now - GRACE_S + 1
    layers = [Held(RepositoryBlob("r", f"sha256:{age}{used}", 10, age), used) for age in (old, young) for used in (True, False)]
    assert [removal.key for removal in removable_layers(layers, now)] == [f"r@sha256:{old}False"]
    blobs = [Found(StoredBlob(f"{age}{named}", 10, age, 10), named) for age in (old, young) for named in (True, False)]
    assert [(removal.key, removal.size) for removal in removable_blobs(blobs, now)] == [(f"{old}False", 10)]


async def push(client: Client) -> Client:
    """An image in app/web, tagged 1."""
    for content in (CONFIG, LAYER):
        await client.push_blob("app/web", content, digest_of(content))
    response = await client.ask("PUT", "/v2/app/web/manifests/1", data=IMAGE, headers={"Content-Type": OCI_MANIFEST})
    assert response.status == 201
    return client


@pytest.fixture
async def pushed(client: Client) -> Client:
    return await push(client)


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


@pytest.mark.parametrize("way", ["HEAD", "BatchCheckLayerAvailability"])
async def test_a_layer_that_a_client_was_told_of_stays_though_its_image_is_deleted_meanwhile(pushed: Client, way: str) -> None:
    await pushed.clock.step(10 * GRACE_S)
    pushed.log_in()
    if way == "HEAD":
        assert (await pushed.ask("HEAD", f"/v2/app/web/blobs/{digest_of(LAYER)}")).status == 200
    else:
        request = shapes.BatchCheckLayerAvailabilityRequest(repository_name="app/web", layer_digests=(digest_of(LAYER),))
        answer = await batch_check_layer_availability(call_of(pushed), request)
        assert [layer.layer_availability for layer in answer.layers or ()] == ["AVAILABLE"]
    image = find_image(pushed.store, WEB.key, None, "1")
    await pushed.store.transact(lambda tx: delete_image(tx, image, pushed.clock.now()))
    await collector(pushed).collect()
    assert await held(pushed) == {digest_of(LAYER)}
    assert [layer.digest for layer in pushed.store.list(REPOSITORY_BLOBS)] == [digest_of(LAYER)]
    await pushed.clock.step(GRACE_S + 1)
    await collector(pushed).collect()
    assert await held(pushed) == set()


def call_of(client: Client) -> Call:
    return Call(
        store=client.store,
        blobs=client.blobs,
        clock=client.clock,
        ids=SeededIds(),
        site=SITE,
        principal=ALICE,
        account_id=ACCOUNT,
        region=REGION,
        request_id="request-1",
        source_ip="127.0.0.1",
        base_url="http://127.0.0.1:4566",
        secret_for_signing=SECRET,
    )


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


# -- the trash ---------------------------------------------------------------------------------------------------------------------


async def thrown_away(client: Client) -> set[str]:
    return {blob.digest async for blob in client.blobs.trashed()}


@pytest.fixture
async def collected(pushed: Client) -> Client:
    """With everything pushed before in the trash."""
    await pushed.store.transact(lambda tx: delete_repository(tx, find_repository(tx, WEB)))
    await pushed.clock.step(GRACE_S + 1)
    pushed.log_in()
    await pushed.create_repository("app/web")
    await collector(pushed).collect()
    assert (await held(pushed), await thrown_away(pushed)) == (set(), PARTS)
    return pushed


async def test_what_was_collected_leaves_the_disk_when_its_time_in_the_trash_is_over(collected: Client) -> None:
    await collected.clock.step(TRASH_S - 1)
    assert (await collector(collected).collect()).purged == 0
    await collected.clock.step(2)
    assert (await collector(collected).collect()).purged == len(CONFIG) + len(LAYER) + len(IMAGE)
    assert await thrown_away(collected) == set()


async def test_a_push_takes_what_it_brings_out_of_the_trash(collected: Client) -> None:
    for content in (CONFIG, LAYER):
        await collected.push_blob("app/web", content, digest_of(content))
    response = await collected.ask("PUT", "/v2/app/web/manifests/1", data=IMAGE, headers={"Content-Type": OCI_MANIFEST})
    assert response.status == 201
    assert (await held(collected), await thrown_away(collected)) == (PARTS, set())
    await collected.clock.step(TRASH_S + 1)
    assert (await collector(collected).collect()).purged == 0


async def test_a_mount_of_what_the_source_still_shows_takes_it_out_of_the_trash(client: Client) -> None:
    """A source that encrypts shows the layer, but does not name the plain bytes of it."""
    await client.create_repository("secret", data_key=new_data_key(lock_of(SECRET)))
    await client.push_blob("secret", LAYER, digest_of(LAYER))
    await client.blobs.put(LAYER, digest_of(LAYER))
    await client.blobs.delete(digest_of(LAYER))
    response = await client.ask("POST", f"/v2/app/web/blobs/uploads/?mount={digest_of(LAYER)}&from=secret")
    assert response.status == 201
    assert await held(client) == {digest_of(LAYER)}


async def test_what_is_in_the_trash_and_in_use_comes_back(pushed: Client, caplog: pytest.LogCaptureFixture) -> None:
    for digest in PARTS:
        await pushed.blobs.delete(digest)
    assert (await collector(pushed).collect()).restored == len(PARTS)
    assert await held(pushed) == PARTS
    assert "in the trash and in use" in caplog.text


# -- between the look and the deletion -----------------------------------------------------------------------------------------------


class Tempting(FileBlobStore):
    """Something happens each time just before a blob is deleted, when its collector has looked already."""

    before: Callable[[], Awaitable[object]] | None = None

    async def delete(self, digest: str, *, unused_since: float | None = None) -> bool:
        before, self.before = self.before, None
        if before is not None:
            await before()
        return await super().delete(digest, unused_since=unused_since)


@pytest.mark.parametrize("how", ["upload", "mount", "head"])
@pytest.mark.parametrize("late", [False, True], ids=["before the deletion", "after it"])
async def test_a_layer_named_while_it_is_collected_is_there_afterwards(client: Client, how: str, late: bool) -> None:
    blobs = Tempting(client.blobs._root, clock=client.clock, secret=SECRET)  # type: ignore[attr-defined]
    client.serve_from(blobs)
    digest = digest_of(LAYER)
    await client.create_repository("other")
    await client.push_blob("other", LAYER, digest)
    await client.clock.step(GRACE_S + 1)
    client.log_in()
    if how == "upload":
        await client.store.transact(lambda tx: tx.delete(REPOSITORY_BLOBS, f"{RepositoryId(REGION, ACCOUNT, 'other').key}@{digest}"))

    async def name_it() -> None:
        if how == "upload":
            await client.push_blob("app/web", LAYER, digest)
        elif how == "mount":
            await client.ask("POST", f"/v2/app/web/blobs/uploads/?mount={digest}&from=other")
        else:
            await client.ask("HEAD", f"/v2/other/blobs/{digest}")

    if late:
        await collector(client).collect()
        await name_it()
    else:
        blobs.before = name_it
        collected = await collector(client).collect()
        assert collected.restored == 0, "it was deleted though it had been stored again, and only the look at the trash saved it"
    for layer in client.store.list(REPOSITORY_BLOBS):
        assert client.blobs.size(layer.digest) == len(LAYER), f"{layer.repository} shows what is not there"
    await blobs.close()


class TemptingStore:
    """Something happens each time just before a transaction begins."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.before: Callable[[], Awaitable[object]] | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def transact(self, fn: Callable[[Tx], object]) -> object:
        before, self.before = self.before, None
        if before is not None:
            await before()
        return await self._store.transact(fn)


@pytest.mark.parametrize("how", ["it is asked for", "an image comes to use it"])
async def test_a_layer_wanted_just_before_it_is_forgotten_stays(client: Client, how: str) -> None:
    for content in (CONFIG, LAYER):
        await client.push_blob("app/web", content, digest_of(content))
    await client.clock.step(GRACE_S + 1)
    client.log_in()

    async def want() -> None:
        if how == "it is asked for":
            for content in (CONFIG, LAYER):
                assert (await client.ask("HEAD", f"/v2/app/web/blobs/{digest_of(content)}")).status == 200
        else:
            response = await client.ask("PUT", "/v2/app/web/manifests/1", data=IMAGE, headers={"Content-Type": OCI_MANIFEST})
            assert response.status == 201

    store = TemptingStore(client.store)
    store.before = want
    collected = await GarbageCollector(store=cast(Store, store), blobs=client.blobs, clock=client.clock).collect()  # type: ignore[arg-type]
    assert (collected.layers, collected.blobs) == (0, 0)
    assert {digest_of(CONFIG), digest_of(LAYER)} <= await held(client)
    assert client.store.count(REPOSITORY_BLOBS) == 2


# -- encrypted repositories ----------------------------------------------------------------------------------------------------------


async def test_an_encrypted_repository_keeps_its_own_and_no_others(client: Client) -> None:
    secret = await client.create_repository("secret", data_key=new_data_key(lock_of(SECRET)))
    await client.create_repository("plain")
    for name in ("secret", "plain"):
        await client.push_blob(name, LAYER, digest_of(LAYER))
        await client.push_blob(name, CONFIG, digest_of(CONFIG))
        response = await client.ask("PUT", f"/v2/{name}/manifests/1", data=IMAGE, headers={"Content-Type": OCI_MANIFEST})
        assert response.status == 201
    repository = find_repository(client.store, secret)
    assert repository.data_key is not None
    encrypted = client.blobs.keyed(repository.data_key)
    for name, some, other in (("secret", encrypted, client.blobs), ("plain", client.blobs, encrypted)):
        image = client.store.get(IMAGES, f"{RepositoryId(REGION, ACCOUNT, name).key}@{digest_of(IMAGE)}")
        assert image is not None
        await client.store.transact(lambda tx, image=image: delete_image(tx, image, 0.0))  # type: ignore[misc]
        await client.clock.step(GRACE_S + 1)
        await collector(client).collect()
        assert {blob.digest async for blob in some.stored()} == set()
        assert {blob.digest async for blob in other.stored()} == (PARTS if name == "secret" else set())


async def test_with_a_deleted_repository_its_key_and_all_it_encrypted_are_gone_at_once(client: Client) -> None:
    secret = await client.create_repository("secret", data_key=new_data_key(lock_of(SECRET)))
    await client.push_blob("secret", LAYER, digest_of(LAYER))
    await client.store.transact(lambda tx: delete_repository(tx, find_repository(tx, secret)))
    await collector(client).collect()
    assert await client.blobs.key_ids() == []
    assert await thrown_away(client) == set()
