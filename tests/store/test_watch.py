"""A watcher that takes everything waiting at once hears the same as one that goes batch by batch."""

from __future__ import annotations

import asyncio

from longshore.store.base import Batch
from longshore.store.memory import memory_store
from tests.store.parcels import KINDS, PARCELS, Parcel


async def test_what_waits_comes_as_one_batch_in_order() -> None:
    store = memory_store(KINDS)
    merged, single = store.watch(PARCELS), store.watch(PARCELS)
    for number in range(5):
        await store.transact(lambda tx, name=f"p{number}": tx.put(PARCELS, Parcel(name)))  # type: ignore[misc]
    together = await anext(merged.merged())
    one_by_one = [await single.next() for _ in range(5)]
    assert [change.key for change in together.changes] == [change.key for batch in one_by_one for change in batch.changes]
    assert together.revision == one_by_one[-1].revision == store.revision
    await store.close()


async def test_a_single_batch_comes_as_it_is_and_the_end_ends_it() -> None:
    store = memory_store(KINDS)
    watch = store.watch(PARCELS)
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("only")))
    heard = watch.merged()
    assert [change.key for change in (await anext(heard)).changes] == ["only"]
    ending = asyncio.ensure_future(anext(heard, None))
    await asyncio.sleep(0)
    watch.close()
    assert await ending is None
    await store.close()


async def test_a_loss_is_not_merged_away() -> None:
    store = memory_store(KINDS)
    watch = store.watch(PARCELS)
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("before")))
    watch.push(Batch(store.revision, lost=True))  # as the writer does for a watcher that fell behind
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("after")))
    merged = await anext(watch.merged())
    assert merged.lost
    assert merged.revision == store.revision
    await store.close()


async def test_what_a_reset_took_away_comes_in_order_with_the_rest() -> None:
    store = memory_store(KINDS)
    watch = store.watch(PARCELS)
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("before")))
    await store.reset()
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("after")))
    merged = await anext(watch.merged())
    assert [(change.key, change.new is None) for change in merged.changes] == [("before", False), ("before", True), ("after", False)]
    await store.close()
