"""What any store promises about a single transaction and the reads around it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from longshore.kit.resource import Kind
from longshore.store.base import AlreadyExists, Conflict, Store, StoreError, Tx
from tests.store.parcels import PARCELS, TRUCKS, Parcel, Truck


def put(*parcels: Parcel) -> Callable[[Tx], None]:
    def write(tx: Tx) -> None:
        for parcel in parcels:
            tx.put(PARCELS, parcel)

    return write


def names(parcels: list[Parcel]) -> list[str]:
    return [parcel.name for parcel in parcels]


async def test_what_was_written_is_read_back_and_the_result_is_handed_on(store: Store) -> None:
    written = await store.transact(lambda tx: tx.create(PARCELS, Parcel("a", grams=5)))
    assert written == Parcel("a", grams=5) == store.get(PARCELS, "a")
    assert store.get(PARCELS, "b") is None
    assert store.revision == store.revision_of(PARCELS, "a") == 1
    assert store.revision_of(PARCELS, "b") == 0


async def test_what_takes_the_place_of_another_is_kept_as_its_successor(store: Store) -> None:
    first = await store.transact(lambda tx: tx.put(TRUCKS, Truck("t", version=7)))
    second = await store.transact(lambda tx: tx.put(TRUCKS, Truck("t")))
    third = await store.transact(lambda tx: (tx.put(TRUCKS, Truck("t")), tx.put(TRUCKS, Truck("t")))[1])
    assert (first.version, second.version, third.version) == (7, 8, 10)
    assert store.get(TRUCKS, "t") == third
    await store.transact(lambda tx: tx.delete(TRUCKS, "t"))
    assert (await store.transact(lambda tx: tx.put(TRUCKS, Truck("t")))).version == 1


async def test_a_transaction_sees_its_own_writes_everywhere(store: Store) -> None:
    await store.transact(put(Parcel("a", "north", grams=1), Parcel("b", "north", grams=2), Parcel("d", "south", grams=4)))

    def change(tx: Tx) -> None:
        tx.put(PARCELS, Parcel("c", "north", ("red",), grams=8))
        tx.put(PARCELS, Parcel("a", "south", grams=16))
        tx.delete(PARCELS, "d")
        assert tx.get(PARCELS, "c") == Parcel("c", "north", ("red",), grams=8)
        assert tx.get(PARCELS, "d") is None
        assert names(tx.list(PARCELS)) == ["a", "b", "c"]
        assert names(tx.list(PARCELS, "depot", "north")) == ["b", "c"]
        assert names(tx.list(PARCELS, "depot", "south")) == ["a"]
        assert names(tx.list(PARCELS, "label", "red")) == ["c"]
        assert names(tx.list(PARCELS, after="a", limit=1)) == ["b"]
        assert names(tx.list(PARCELS, "depot", "north", after="b")) == ["c"]
        assert (tx.count(PARCELS), tx.count(PARCELS, "depot", "north"), tx.count(PARCELS, "depot", "east")) == (3, 2, 0)
        assert tx.total(PARCELS, "in_depot", "north") == (2, 10)
        assert tx.total(PARCELS, "in_depot", "south") == (1, 16)
        assert tx.revision_of(PARCELS, "c") == 2
        assert tx.revision_of(PARCELS, "d") == 0

    await store.transact(change)
    assert names(store.list(PARCELS)) == ["a", "b", "c"]
    assert store.total(PARCELS, "in_depot", "south") == (1, 16)


async def test_nobody_sees_a_write_before_it_is_committed(store: Store) -> None:
    seen: list[Parcel | None] = []

    def write(tx: Tx) -> None:
        tx.put(PARCELS, Parcel("a"))
        seen.append(store.get(PARCELS, "a"))

    await store.transact(write)
    assert seen == [None]


async def test_what_the_function_raises_reaches_its_caller_and_nothing_is_written(store: Store) -> None:
    await store.transact(put(Parcel("a", "north", grams=1)))

    def fail(tx: Tx) -> None:
        tx.put(PARCELS, Parcel("a", "south", ("red",), grams=3))
        tx.put(PARCELS, Parcel("b", "north"))
        tx.delete(PARCELS, "a")
        raise LookupError("no")

    with pytest.raises(LookupError):
        await store.transact(fail)
    assert store.list(PARCELS) == [Parcel("a", "north", grams=1)]
    assert store.list(PARCELS, "label", "red") == []
    assert store.total(PARCELS, "in_depot", "north") == (1, 1)
    assert store.total(PARCELS, "in_depot", "south") == (0, 0)
    assert store.revision == 1


async def test_listing_is_in_key_order_and_pages_by_key(store: Store) -> None:
    await store.transact(put(*(Parcel(f"p{number:02}", "north" if number % 2 else "south") for number in reversed(range(20)))))
    assert names(store.list(PARCELS)) == [f"p{number:02}" for number in range(20)]
    assert names(store.list(PARCELS, "depot", "north", after="p05", limit=3)) == ["p07", "p09", "p11"]
    assert names(store.list(PARCELS, after="p1")) == [f"p{number}" for number in range(10, 20)]
    assert store.list(PARCELS, after="p19") == []
    assert store.list(PARCELS, limit=0) == []


async def test_a_long_listing_stays_in_order_while_it_grows_and_shrinks(store: Store) -> None:
    count = 5000
    await store.transact(put(*(Parcel(f"{number * 7919 % count:04}", "north") for number in range(count))))
    assert names(store.list(PARCELS, "depot", "north", after="2999", limit=3)) == ["3000", "3001", "3002"]

    def thin_out(tx: Tx) -> None:
        for number in range(1, count, 2):
            tx.delete(PARCELS, f"{number:04}")

    await store.transact(thin_out)
    assert names(store.list(PARCELS, "depot", "north")) == [f"{number:04}" for number in range(0, count, 2)]
    assert store.count(PARCELS) == store.total(PARCELS, "in_depot", "north")[0] == count // 2


async def test_expecting_a_revision_that_has_passed_is_a_conflict(store: Store) -> None:
    await store.transact(put(Parcel("a")))
    await store.transact(lambda tx: tx.put(PARCELS, Parcel("a", grams=1), expect=1))
    with pytest.raises(Conflict):
        await store.transact(lambda tx: tx.put(PARCELS, Parcel("a", grams=2), expect=1))
    with pytest.raises(Conflict):
        await store.transact(lambda tx: tx.delete(PARCELS, "a", expect=1))
    with pytest.raises(Conflict):
        await store.transact(lambda tx: tx.put(PARCELS, Parcel("b"), expect=1))
    assert store.get(PARCELS, "a") == Parcel("a", grams=1)
    await store.transact(lambda tx: tx.delete(PARCELS, "a", expect=2))
    assert store.get(PARCELS, "a") is None


async def test_creating_what_exists_is_refused(store: Store) -> None:
    await store.transact(put(Parcel("a")))
    with pytest.raises(AlreadyExists):
        await store.transact(lambda tx: tx.create(PARCELS, Parcel("a")))
    with pytest.raises(AlreadyExists):
        await store.transact(lambda tx: tx.put(PARCELS, Parcel("a"), expect=0))


async def test_a_unique_value_has_one_holder_until_that_one_lets_go(store: Store) -> None:
    await store.transact(put(Parcel("a", seal="s1"), Parcel("b")))
    with pytest.raises(AlreadyExists):
        await store.transact(put(Parcel("b", seal="s1")))
    await store.transact(put(Parcel("a", seal="s1", grams=1)))
    await store.transact(put(Parcel("a"), Parcel("b", seal="s1")))
    assert names(store.list(PARCELS, "seal", "s1")) == ["b"]


async def test_a_function_may_swallow_a_refusal_and_go_on(store: Store) -> None:
    await store.transact(put(Parcel("a", "north", seal="s1")))

    def change(tx: Tx) -> None:
        with pytest.raises(AlreadyExists):
            tx.put(PARCELS, Parcel("b", "north", seal="s1"))
        tx.put(PARCELS, Parcel("c", "north"))

    await store.transact(change)
    assert names(store.list(PARCELS, "depot", "north")) == ["a", "c"]


async def test_deleting_what_is_not_there_is_nothing(store: Store) -> None:
    await store.transact(lambda tx: tx.delete(PARCELS, "a"))
    assert store.revision == 0


async def test_what_is_created_and_deleted_in_one_transaction_never_was(store: Store) -> None:
    watch = store.watch()

    def flicker(tx: Tx) -> None:
        tx.put(PARCELS, Parcel("a", "north", grams=2))
        tx.delete(PARCELS, "a")
        tx.put(TRUCKS, Truck("t"))

    await store.transact(flicker)
    assert [change.key for change in (await watch.next()).changes] == ["t"]
    assert store.total(PARCELS, "in_depot", "north") == (0, 0)
    assert store.list(PARCELS) == []


async def test_a_transaction_that_only_reads_consumes_no_revision(store: Store) -> None:
    await store.transact(put(Parcel("a")))
    assert await store.transact(lambda tx: tx.count(PARCELS)) == 1
    assert store.revision == 1


async def test_kinds_do_not_mix(store: Store) -> None:
    await store.transact(lambda tx: (tx.put(PARCELS, Parcel("x")), tx.put(TRUCKS, Truck("x"))))
    assert (store.count(PARCELS), store.count(TRUCKS)) == (1, 1)
    await store.transact(lambda tx: tx.delete(PARCELS, "x"))
    assert (store.count(PARCELS), store.count(TRUCKS)) == (0, 1)


async def test_mistakes_of_the_programmer_are_named(store: Store) -> None:
    class Loose(msgspec.Struct, frozen=True):
        name: str

    undeclared: Kind[Loose] = Kind("test.undeclared", Loose, key=lambda loose: loose.name)
    with pytest.raises(StoreError, match=r"does not keep Kind\(test.undeclared\)"):
        store.get(undeclared, "a")
    with pytest.raises(StoreError, match="no index colour"):
        store.list(PARCELS, "colour", "red")
    with pytest.raises(StoreError, match="no total weight"):
        store.total(PARCELS, "weight", "north")
    with pytest.raises(StoreError, match="no value given for index depot"):
        store.list(PARCELS, "depot")
    with pytest.raises(TypeError, match="keeps Parcel, not Truck"):
        await store.transact(lambda tx: tx.put(PARCELS, Truck("t")))  # type: ignore[misc]


async def test_a_value_that_could_not_be_read_back_is_refused_when_it_is_written(store: Store) -> None:
    with pytest.raises(TypeError, match="would not be readable again"):
        await store.transact(lambda tx: tx.put(PARCELS, Parcel("a", grams="heavy")))  # type: ignore[arg-type]
    with pytest.raises((TypeError, UnicodeEncodeError)):
        await store.transact(lambda tx: tx.put(PARCELS, Parcel("a\ud800")))
    assert store.list(PARCELS) == []


async def test_a_coroutine_function_is_refused(store: Store) -> None:
    async def wrong(tx: Tx) -> None:
        tx.put(PARCELS, Parcel("a"))

    with pytest.raises(TypeError, match="must be synchronous"):
        await store.transact(wrong)  # type: ignore[unused-coroutine]
    assert store.list(PARCELS) == []


async def test_a_closed_store_takes_no_writes(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.transact(put(Parcel("a")))
