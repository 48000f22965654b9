"""What any store promises to those who watch it."""

from __future__ import annotations

import asyncio

import pytest

from longshore.store.base import Batch, Store, StoreError, Tx
from longshore.store.watch import MOST_WAITING, WatchClosed
from tests.store.parcels import PARCELS, TRUCKS, Parcel, Truck


def keys(batch: Batch) -> list[str]:
    return [change.key for change in batch.changes]


async def test_one_batch_per_revision_with_the_values_before_and_after(store: Store) -> None:
    watch = store.watch(PARCELS)

    def two(tx: Tx) -> None:
        tx.put(PARCELS, Parcel("a"))
        tx.put(PARCELS, Parcel("b"))
        tx.put(PARCELS, Parcel("b", grams=1))

    await asyncio.gather(store.transact(two), store.transact(lambda tx: tx.put(PARCELS, Parcel("a", grams=2))))
    await store.transact(lambda tx: tx.delete(PARCELS, "a"))
    first, second, third = [await watch.next() for _ in range(3)]
    assert [(change.old, change.new) for change in first.changes] == [(None, Parcel("a")), (None, Parcel("b", grams=1))]
    assert [(change.old, change.new) for change in second.changes] == [(Parcel("a"), Parcel("a", grams=2))]
    assert [(change.old, change.new) for change in third.changes] == [(Parcel("a", grams=2), None)]
    assert [batch.revision for batch in (first, second, third)] == [1, 2, 3]


async def test_the_view_is_up_to_date_when_the_news_arrives(store: Store) -> None:
    watch = store.watch(PARCELS)
    news = asyncio.ensure_future(watch.next())
    await asyncio.gather(*(store.transact(lambda tx, n=n: tx.put(PARCELS, Parcel(str(n)))) for n in range(10)))  # type: ignore[misc]
    batch = await news
    assert store.get(PARCELS, batch.changes[0].key) is not None
    assert store.revision >= batch.revision


async def test_only_the_kinds_asked_for(store: Store) -> None:
    trucks, both, everything = store.watch(TRUCKS), store.watch(PARCELS, TRUCKS), store.watch()
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("a")))
    await store.transact(lambda tx: (tx.put(PARCELS, Parcel("b")), tx.put(TRUCKS, Truck("t"))))
    assert keys(await trucks.next()) == ["t"]
    assert keys(await both.next()) == keys(await everything.next()) == ["a"]
    assert keys(await both.next()) == keys(await everything.next()) == ["b", "t"]


async def test_by_index_value_one_hears_what_comes_stays_and_goes(store: Store) -> None:
    watch = store.watch(PARCELS, index="depot", value="north")
    for parcel in (
        Parcel("a", "south"),
        Parcel("a", "north"),
        Parcel("a", "north", grams=1),
        Parcel("b", "south"),
        Parcel("a", "south"),
        Parcel("a", "south", grams=2),
        Parcel("c", "north"),
    ):
        await store.transact(lambda tx, parcel=parcel: tx.put(PARCELS, parcel))  # type: ignore[misc]
    await store.transact(lambda tx: tx.delete(PARCELS, "c"))
    heard = [(await watch.next()).revision for _ in range(5)]
    assert heard == [2, 3, 5, 7, 8]


async def test_a_watcher_that_is_too_slow_is_told_so_once_and_then_hears_again(store: Store) -> None:
    slow = store.watch(PARCELS)

    def many(tx: Tx) -> None:
        for number in range(MOST_WAITING // 64 + 1):
            tx.put(PARCELS, Parcel(f"{number}"))

    await asyncio.gather(*(store.transact(many) for _ in range(66)))
    batch = await slow.next()
    assert (batch.lost, batch.changes, batch.revision) == (True, (), 66)
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("late")))
    batch = await slow.next()
    assert (batch.lost, keys(batch)) == (False, ["late"])


async def test_nobody_hears_of_a_transaction_that_failed(store: Store) -> None:
    watch = store.watch(PARCELS)

    def fail(tx: Tx) -> None:
        tx.put(PARCELS, Parcel("a"))
        raise LookupError("no")

    with pytest.raises(LookupError):
        await store.transact(fail)
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("b")))
    assert keys(await watch.next()) == ["b"]


async def test_a_closed_watch_ends(store: Store) -> None:
    watch, other = store.watch(PARCELS), store.watch(PARCELS, index="depot", value="north")
    waiting = asyncio.ensure_future(watch.next())
    await asyncio.sleep(0)
    watch.close()
    with pytest.raises(WatchClosed):
        await waiting
    assert [batch async for batch in watch] == []
    other.close()
    other.close()
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("a", "north")))
    with pytest.raises(WatchClosed):
        await other.next()


async def test_closing_the_store_ends_its_watches(store: Store) -> None:
    watches = [store.watch(PARCELS), store.watch(PARCELS, index="depot", value="north")]
    heard = [asyncio.ensure_future(anext(aiter(watch), None)) for watch in watches]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*heard) == [None, None]


async def test_a_watch_by_index_names_one_kind_one_index_and_one_value(store: Store) -> None:
    with pytest.raises(StoreError):
        store.watch(PARCELS, TRUCKS, index="depot", value="north")
    with pytest.raises(StoreError):
        store.watch(PARCELS, index="depot")
    with pytest.raises(StoreError):
        store.watch(PARCELS, index="colour", value="red")
