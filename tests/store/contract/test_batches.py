"""What any store promises about transactions that are committed together."""

from __future__ import annotations

import asyncio

import pytest

from longshore.store.base import AlreadyExists, Fenced, Store, Tx
from tests.store.parcels import PARCELS, Parcel


async def test_each_transaction_sees_those_before_it_and_has_its_own_revision(store: Store) -> None:
    def grow(tx: Tx) -> int:
        old = tx.get(PARCELS, "a") or Parcel("a", "north")
        return tx.put(PARCELS, Parcel("a", "north", grams=old.grams + 1), expect=tx.revision_of(PARCELS, "a")).grams

    assert await asyncio.gather(*(store.transact(grow) for _ in range(1500))) == list(range(1, 1501))
    assert store.revision == 1500
    assert store.total(PARCELS, "in_depot", "north") == (1, 1500)


async def test_one_that_fails_fails_alone(store: Store) -> None:
    def fail(tx: Tx) -> None:
        tx.put(PARCELS, Parcel("bad", "north", grams=7))
        raise LookupError("no")

    first, failed, second = await asyncio.gather(
        store.transact(lambda tx: tx.put(PARCELS, Parcel("a", "north", grams=1))),
        store.transact(fail),
        store.transact(lambda tx: tx.put(PARCELS, Parcel("b", "north", grams=2))),
        return_exceptions=True,
    )
    assert isinstance(failed, LookupError)
    assert (first, second) == (Parcel("a", "north", grams=1), Parcel("b", "north", grams=2))
    assert store.total(PARCELS, "in_depot", "north") == (2, 3)
    assert store.revision == 2


async def test_a_failure_puts_back_what_an_earlier_one_of_the_same_batch_wrote(store: Store) -> None:
    def fail(tx: Tx) -> None:
        tx.delete(PARCELS, "a")
        tx.put(PARCELS, Parcel("b", "south"))
        raise LookupError("no")

    await asyncio.gather(
        store.transact(lambda tx: tx.put(PARCELS, Parcel("a", "north", ("red",)))),
        store.transact(fail),
        store.transact(lambda tx: tx.put(PARCELS, Parcel("a", "south", ("red",)), expect=1)),
        return_exceptions=True,
    )
    parcel = Parcel("a", "south", ("red",))
    assert store.list(PARCELS) == store.list(PARCELS, "label", "red") == store.list(PARCELS, "depot", "south") == [parcel]
    assert store.list(PARCELS, "depot", "north") == []


async def test_of_many_creations_of_one_key_one_succeeds(store: Store) -> None:
    results = await asyncio.gather(
        *(store.transact(lambda tx: tx.create(PARCELS, Parcel("a", seal="s"))) for _ in range(20)),
        *(store.transact(lambda tx, name=f"b{n}": tx.create(PARCELS, Parcel(name, seal="s"))) for n in range(20)),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert [isinstance(result, AlreadyExists) for result in results] == [False] + [True] * 39


async def test_a_caller_that_gives_up_while_queued_writes_nothing(store: Store) -> None:
    first = asyncio.ensure_future(store.transact(lambda tx: tx.put(PARCELS, Parcel("a"))))
    second = asyncio.ensure_future(store.transact(lambda tx: tx.put(PARCELS, Parcel("b"))))
    await asyncio.sleep(0)
    second.cancel()
    await first
    with pytest.raises(asyncio.CancelledError):
        await second
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("c")))
    assert [parcel.name for parcel in store.list(PARCELS)] == ["a", "c"]


async def test_closing_writes_what_is_queued_first(store: Store) -> None:
    writes = [asyncio.ensure_future(store.transact(lambda tx, n=n: tx.put(PARCELS, Parcel(str(n))))) for n in range(3)]  # type: ignore[misc]
    await asyncio.sleep(0)
    await store.close()
    assert [write.done() for write in writes] == [True] * 3
    assert store.count(PARCELS) == 3


async def test_an_older_lease_is_fenced_off(store: Store) -> None:
    first = await store.acquire_lease("deployments")
    other = await store.acquire_lease("placement")
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("a")), epoch=first)
    second = await store.acquire_lease("deployments")
    assert second > other > first > 0
    with pytest.raises(Fenced):
        await store.transact(lambda tx: tx.put(PARCELS, Parcel("b")), epoch=first)
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("c")), epoch=second)
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("d")), epoch=other)
    assert [parcel.name for parcel in store.list(PARCELS)] == ["a", "c", "d"]
    assert store.revision == 3


async def test_reset_forgets_everything_and_goes_on(store: Store) -> None:
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("a", "north", seal="s", grams=3)))
    watch = store.watch(PARCELS)
    _, _, late = await asyncio.gather(
        store.transact(lambda tx: tx.put(PARCELS, Parcel("b"))),
        store.reset(),
        store.transact(lambda tx: tx.put(PARCELS, Parcel("c", seal="s"))),
    )
    assert store.list(PARCELS) == [late]
    assert store.total(PARCELS, "in_depot", "north") == (0, 0)
    batches = [await watch.next() for _ in range(3)]
    assert [[(change.key, change.new is None) for change in batch.changes] for batch in batches] == [
        [("b", False)],
        [("a", True), ("b", True)],
        [("c", False)],
    ]
    assert [batch.revision for batch in batches] == [2, 3, 4]


async def test_the_read_barrier_opens_at_once(store: Store) -> None:
    await store.read_barrier()
