"""What transactions derive: it holds all that was written so far, whoever wrote it, and nothing that did not come to be."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from longshore.kit.resource import Derivation, Kind
from longshore.store.base import Store, StoreError, Tx
from tests.store.parcels import PARCELS, TRUCKS, Parcel, Truck


class Weight:
    """Grams of all parcels. It fails at one that weighs less than nothing."""

    def __init__(self) -> None:
        self.grams: int | None = None

    def of(self, tx: Tx) -> int:
        if self.grams is None:
            self.grams = sum(one.grams for one in tx.list(PARCELS))
        return self.grams

    def moved(self, kind: Kind[Any], old: Any, new: Any) -> None:
        if new is not None and new.grams < 0:
            raise ValueError("weighs less than nothing")
        if self.grams is not None:
            self.grams += (new.grams if new is not None else 0) - (old.grams if old is not None else 0)


WEIGHT: Derivation[Weight] = Derivation(name="test.weight", kinds=(PARCELS,), make=Weight)
UNKNOWN: Kind[Truck] = Kind(name="test.unknown", type=Truck, key=lambda truck: truck.plate)


def weigh(tx: Tx) -> int:
    return tx.derived(WEIGHT).of(tx)


async def test_a_transaction_sees_its_own_writes_and_those_of_all_before_it(store: Store) -> None:
    def write(tx: Tx) -> tuple[int, int, int]:
        before = weigh(tx)
        tx.put(PARCELS, Parcel("a", grams=5))
        tx.put(TRUCKS, Truck("x"))
        middle = weigh(tx)
        tx.put(PARCELS, Parcel("a", grams=7))
        return before, middle, weigh(tx)

    assert await store.transact(write) == (0, 5, 7)

    def add(tx: Tx) -> int:
        tx.put(PARCELS, Parcel(f"p{weigh(tx)}", grams=1))
        return weigh(tx)

    # all in one commit
    assert await asyncio.gather(*(store.transact(add) for _ in range(4))) == [8, 9, 10, 11]
    await store.transact(lambda tx: tx.delete(PARCELS, "a"))
    assert await store.transact(weigh) == 4


async def test_what_is_rolled_back_is_moved_back(store: Store) -> None:
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("a", grams=5)))
    assert await store.transact(weigh) == 5

    def fail(tx: Tx) -> None:
        tx.put(PARCELS, Parcel("a", grams=50))
        tx.put(PARCELS, Parcel("b", grams=500))
        tx.put(PARCELS, Parcel("b", grams=501))
        tx.delete(PARCELS, "a")
        raise LookupError

    failing, after = store.transact(fail), store.transact(weigh)
    with pytest.raises(LookupError):
        await failing
    assert await after == 5


async def test_made_in_the_middle_of_a_transaction_that_fails_it_is_still_true(store: Store) -> None:
    def fail(tx: Tx) -> None:
        tx.put(PARCELS, Parcel("a", grams=5))
        assert weigh(tx) == 5
        raise LookupError

    with pytest.raises(LookupError):
        await store.transact(fail)
    assert await store.transact(weigh) == 0


async def test_one_that_cannot_follow_fails_the_transaction_alone_and_is_made_anew(store: Store) -> None:
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("a", grams=5)))
    assert await store.transact(weigh) == 5
    with pytest.raises(ValueError, match="less than nothing"):
        await store.transact(lambda tx: (tx.put(PARCELS, Parcel("b", grams=1)), tx.put(PARCELS, Parcel("c", grams=-1))))
    assert await store.transact(weigh) == 5
    assert store.get(PARCELS, "b") is None


async def test_it_starts_over_when_everything_is_forgotten(store: Store) -> None:
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("a", grams=weigh(tx) + 5)))
    await store.reset()
    assert await store.transact(weigh) == 0


async def test_of_kinds_the_store_does_not_keep_nothing_is_derived(store: Store) -> None:
    lost: Derivation[Weight] = Derivation(name="test.lost", kinds=(UNKNOWN,), make=Weight)
    with pytest.raises(StoreError):
        await store.transact(lambda tx: tx.derived(lost))
    with pytest.raises(StoreError):  # and not half of it either
        await store.transact(lambda tx: tx.derived(lost))
