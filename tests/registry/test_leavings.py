"""What deletions leave behind is collected soon, without looking at everything else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from longshore.config import Storage
from longshore.kit.data_keys import lock_of, new_data_key
from longshore.registry.garbage import GRACE_S, GarbageCollector
from longshore.services.ecr.images import delete_image, delete_repository, find_image, find_repository
from longshore.services.ecr.model import REPOSITORY_BLOBS
from longshore.services.ecr.names import digest_of
from longshore.services.ecr.scanning.model import IMAGE_SCAN_REPORTS, ImageScanReport
from longshore.store.base import Tx
from longshore.store.blobs import StoredBlob
from longshore.store.file_blobs import FileBlobStore
from tests.registry.conftest import SECRET, Client
from tests.registry.contents import LAYER
from tests.registry.test_garbage import IMAGE, PARTS, WEB, held, push, thrown_away


@pytest.fixture
async def pushed(client: Client) -> Client:
    return await push(client)


class Unwalked(FileBlobStore):
    """Says when somebody walks through all of it."""

    walked = 0

    def stored(self) -> AsyncIterator[StoredBlob]:
        self.walked += 1
        return super().stored()


@contextlib.asynccontextmanager
async def collecting_from(client: Client, **limits: int) -> AsyncIterator[Unwalked]:
    blobs = Unwalked(client.blobs._root, clock=client.clock, secret=SECRET)  # type: ignore[attr-defined]
    client.serve_from(blobs)
    settings = Storage(settle_s=5, interval_s=1000 * GRACE_S)
    made = GarbageCollector(store=client.store, blobs=blobs, clock=client.clock, settings=settings, **limits)
    running = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    yield blobs
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    await blobs.close()


@pytest.fixture
async def collecting(pushed: Client) -> AsyncIterator[Client]:
    async with collecting_from(pushed):
        yield pushed


async def settle(client: Client, until: Callable[[], Awaitable[bool]]) -> None:
    """Lets the collector's threads finish what is due by now."""
    async with asyncio.timeout(10):
        while not await until():
            await client.clock.step(5)
            await asyncio.get_running_loop().run_in_executor(None, lambda: None)


async def test_what_a_deleted_image_leaves_goes_soon_without_a_walk_through_all(collecting: Client) -> None:
    await collecting.clock.step(GRACE_S + 1)
    image = find_image(collecting.store, WEB.key, None, "1")
    await collecting.store.transact(lambda tx: delete_image(tx, image, collecting.clock.now()))
    deleted_at = collecting.clock.now()

    async def gone() -> bool:
        return await thrown_away(collecting) == PARTS

    await settle(collecting, gone)
    assert collecting.clock.now() - deleted_at < 600
    assert collecting.store.count(REPOSITORY_BLOBS) == 0
    assert collecting.blobs.walked == 0  # type: ignore[attr-defined]


async def test_what_is_too_young_when_it_is_deleted_goes_when_its_grace_is_over(collecting: Client) -> None:
    image = find_image(collecting.store, WEB.key, None, "1")
    await collecting.store.transact(lambda tx: delete_image(tx, image, collecting.clock.now()))
    await collecting.clock.step(60)
    assert await held(collecting) == PARTS
    assert collecting.store.count(REPOSITORY_BLOBS) == 2
    await collecting.clock.step(GRACE_S)

    async def gone() -> bool:
        return await thrown_away(collecting) == PARTS

    await settle(collecting, gone)


async def test_where_very_much_is_left_behind_everything_is_looked_at(pushed: Client) -> None:
    async with collecting_from(pushed, most_noted=1) as blobs:
        await pushed.clock.step(GRACE_S + 1)
        await pushed.store.transact(lambda tx: delete_repository(tx, find_repository(tx, WEB)))

        async def gone() -> bool:
            return await thrown_away(pushed) == PARTS

        await settle(pushed, gone)
        assert blobs.walked == 1


async def test_what_a_deleted_repository_encrypted_goes_soon(client: Client) -> None:
    secret = await client.create_repository("secret", data_key=new_data_key(lock_of(SECRET)))
    await client.push_blob("secret", LAYER, digest_of(LAYER))
    async with collecting_from(client) as blobs:
        assert len(await blobs.key_ids()) == 1
        await client.store.transact(lambda tx: delete_repository(tx, find_repository(tx, secret)))

        async def gone() -> bool:
            return await blobs.key_ids() == []

        await settle(client, gone)
        assert blobs.walked == 0


@pytest.mark.parametrize("how", ["another takes its place", "its image goes"])
async def test_the_report_of_a_scan_goes_when_nothing_names_it_any_more(pushed: Client, how: str) -> None:
    first, second = b"report of a scan", b"report of the next scan"
    key = f"{WEB.key}@{digest_of(IMAGE)}"
    await pushed.blobs.put(first, digest_of(first))

    def keep(report: bytes) -> Callable[[Tx], object]:
        row = ImageScanReport(WEB.key, digest_of(IMAGE), digest_of(report), len(report))
        return lambda tx: tx.put(IMAGE_SCAN_REPORTS, row)

    await pushed.store.transact(keep(first))
    await pushed.clock.step(GRACE_S + 1)
    async with collecting_from(pushed) as blobs:
        await pushed.clock.step(60)
        assert blobs.look(digest_of(first)) is not None
        image = find_image(pushed.store, WEB.key, None, "1")
        await pushed.blobs.put(second, digest_of(second))
        await pushed.store.transact(keep(second) if how.startswith("another") else lambda tx: delete_image(tx, image, pushed.clock.now()))
        assert (pushed.store.get(IMAGE_SCAN_REPORTS, key) is None) is (how == "its image goes")

        async def gone() -> bool:
            return digest_of(first) in await thrown_away(pushed)

        await settle(pushed, gone)
        assert blobs.walked == 0
        assert blobs.look(digest_of(second)) is not None, "it is younger, and nothing tells that it never will be named"
