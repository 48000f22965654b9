"""A store in memory that begins with something in it: as if it had been written there."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.kit.resource import Kind
from longshore.store.base import AlreadyExists, Tx
from longshore.store.local import LocalStore
from longshore.store.memory import memory_store
from tests.store.parcels import KINDS, PARCELS, TRUCKS, Parcel, Truck

ROWS: dict[Kind[Any], list[Any]] = {
    PARCELS: [Parcel("b", "north", ("glass",), "s1", 5), Parcel("a", "north", ("glass", "red"), "", 7)],
    TRUCKS: [Truck("t")],
}


def seen(store: LocalStore) -> list[Any]:
    return [
        store.list(PARCELS),
        store.list(PARCELS, "depot", "north"),
        store.list(PARCELS, "label", "red"),
        store.count(PARCELS, "label", "glass"),
        store.total(PARCELS, "in_depot", "north"),
        store.get(TRUCKS, "t"),
        store.revision_of(PARCELS, "b"),
        store.revision,
    ]


async def test_rows_that_are_there_from_the_start_are_as_if_they_had_been_put_there() -> None:
    given, written = memory_store(KINDS, ROWS), memory_store(KINDS)

    def put(tx: Tx) -> None:
        for kind, values in ROWS.items():
            for value in values:
                tx.put(kind, value)

    await written.transact(put)
    assert seen(given) == seen(written)
    for store in (given, written):
        await store.transact(lambda tx: (tx.delete(PARCELS, "a"), tx.put(TRUCKS, Truck("t"))))
        with pytest.raises(AlreadyExists):
            await store.transact(lambda tx: tx.put(PARCELS, Parcel("c", seal="s1")))
    assert seen(given) == seen(written)
    for store in (given, written):
        await store.close()


async def test_what_is_written_to_one_store_is_not_in_another_that_began_with_the_same() -> None:
    one, other = memory_store(KINDS, ROWS), memory_store(KINDS, ROWS)
    await one.transact(lambda tx: tx.put(PARCELS, Parcel("new", "north")))
    assert len(one.list(PARCELS, "depot", "north")) == 3
    assert len(other.list(PARCELS, "depot", "north")) == 2
    await one.close()
    await other.close()
