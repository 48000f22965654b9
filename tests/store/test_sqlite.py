"""The store in a file: what it keeps over restarts, and what it does when the file will not do."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from longshore.kit.resource import Kind
from longshore.store.base import Fenced, StoreError, StoreLocked, StoreUnavailable, Tx
from longshore.store.sqlite import FILE_NAME, MIGRATIONS, open_store
from tests.store.parcels import KINDS, PARCELS, TRUCKS, Parcel, Truck


def put(tx: Tx, *parcels: Parcel) -> None:
    for parcel in parcels:
        tx.put(PARCELS, parcel)


async def test_everything_is_there_after_a_restart(tmp_path: Path) -> None:
    store = await open_store(tmp_path, KINDS)
    await store.transact(
        lambda tx: put(tx, *(Parcel(f"p{n:03}", f"d{n % 3}", ("even",) if n % 2 == 0 else (), f"s{n}", n) for n in range(300)))
    )
    await store.transact(lambda tx: tx.delete(PARCELS, "p007"))
    await store.transact(lambda tx: put(tx, Parcel("p001", "d9", grams=9)))
    listed = store.list(PARCELS)
    await store.close()
    assert sorted(os.listdir(tmp_path)) == ["lock", FILE_NAME]

    store = await open_store(tmp_path, KINDS)
    assert store.list(PARCELS) == listed
    assert (store.revision, store.revision_of(PARCELS, "p001"), store.revision_of(PARCELS, "p000")) == (3, 3, 1)
    assert [parcel.name for parcel in store.list(PARCELS, "depot", "d9")] == ["p001"]
    assert store.total(PARCELS, "in_depot", "d9") == (1, 9)
    assert store.count(PARCELS, "label", "even") == 150
    await store.close()


async def test_members_that_recur_are_in_memory_once_as_written_and_as_read_back(tmp_path: Path) -> None:
    def depot() -> str:
        return "".join(["north", "-", "yard"])  # a string of its own each time

    assert depot() is not depot()
    store = await open_store(tmp_path, KINDS)
    for number in range(3):
        await store.transact(lambda tx, number=number: put(tx, Parcel(f"p{number}", depot())))  # type: ignore[misc]
    assert len({id(parcel.depot) for parcel in store.list(PARCELS)}) == 1
    await store.close()
    store = await open_store(tmp_path, KINDS)
    assert [parcel.depot for parcel in store.list(PARCELS)] == [depot()] * 3
    assert len({id(parcel.depot) for parcel in store.list(PARCELS)}) == 1
    await store.close()


async def test_revisions_go_on_where_they_were_whatever_was_written_last(tmp_path: Path) -> None:
    writes: list[Callable[[Tx], None]] = [
        lambda tx: put(tx, Parcel("a")),
        lambda tx: put(tx, Parcel("b"), Parcel("c")),
        lambda tx: tx.delete(PARCELS, "b"),
        lambda tx: put(tx, Parcel("a", grams=1)),
    ]
    for expected, write in enumerate(writes):
        store = await open_store(tmp_path, KINDS)
        assert store.revision == expected
        await store.transact(write)
        await store.close()


async def test_lease_epochs_grow_over_restarts(tmp_path: Path) -> None:
    store = await open_store(tmp_path, KINDS)
    first = await store.acquire_lease("deployments")
    await store.close()
    store = await open_store(tmp_path, KINDS)
    with pytest.raises(Fenced):
        await store.transact(lambda tx: put(tx, Parcel("a")), epoch=first)
    assert await store.acquire_lease("deployments") > first
    await store.close()


async def test_a_reset_lasts(tmp_path: Path) -> None:
    store = await open_store(tmp_path, KINDS)
    await store.transact(lambda tx: put(tx, Parcel("a"), Parcel("b")))
    await store.reset()
    await store.close()
    store = await open_store(tmp_path, KINDS)
    assert (store.list(PARCELS), store.revision) == ([], 2)
    await store.close()


async def test_reading_touches_no_disk(tmp_path: Path) -> None:
    store = await open_store(tmp_path, KINDS)
    await store.transact(lambda tx: put(tx, Parcel("a")))
    before = (tmp_path / f"{FILE_NAME}-wal").stat()
    assert await store.transact(lambda tx: tx.count(PARCELS)) == 1
    after = (tmp_path / f"{FILE_NAME}-wal").stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    await store.close()


async def test_what_is_stored_can_be_read_by_nobody_else_whatever_the_directory_allows(tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    store = await open_store(tmp_path, KINDS)
    await store.transact(lambda tx: put(tx, Parcel("p1", "d1")))
    assert {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in os.listdir(tmp_path)} == dict.fromkeys(
        ("lock", FILE_NAME, f"{FILE_NAME}-wal", f"{FILE_NAME}-shm"), 0o600
    )
    await store.close()

    os.chmod(tmp_path / FILE_NAME, 0o644)  # as earlier versions left it
    await (await open_store(tmp_path, KINDS)).close()
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600


async def test_a_second_server_is_kept_out_and_told_by_whom(tmp_path: Path) -> None:
    store = await open_store(tmp_path, KINDS)
    with pytest.raises(StoreLocked, match=str(os.getpid())):
        await open_store(tmp_path, KINDS)
    await store.transact(lambda tx: put(tx, Parcel("a")))
    await store.close()
    store = await open_store(tmp_path, KINDS)
    assert store.count(PARCELS) == 1
    await store.close()


async def test_a_child_process_does_not_inherit_the_lock(tmp_path: Path) -> None:
    store = await open_store(tmp_path, KINDS)
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE, close_fds=False)
    try:
        await store.close()
        await (await open_store(tmp_path, KINDS)).close()
    finally:
        await child.communicate(b"\n")


async def test_a_newer_format_is_refused_by_name_and_left_alone(tmp_path: Path) -> None:
    await (await open_store(tmp_path, KINDS)).close()
    newer = len(MIGRATIONS) + 1
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("UPDATE meta SET format = ?", (newer,))
    database.close()
    with pytest.raises(StoreError, match=rf"newer Longshore \(format {newer}, this one knows {len(MIGRATIONS)}\)"):
        await open_store(tmp_path, KINDS)
    with pytest.raises(StoreError, match="newer Longshore"):
        await open_store(tmp_path, KINDS)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is not a database, whatever its name says" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        await open_store(tmp_path, KINDS)


async def test_unknown_kinds_are_kept_and_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = await open_store(tmp_path, KINDS)
    await store.transact(lambda tx: (tx.put(PARCELS, Parcel("a")), tx.put(TRUCKS, Truck("t")), tx.put(TRUCKS, Truck("u"))))
    await store.close()

    with caplog.at_level(logging.WARNING):
        store = await open_store(tmp_path, [PARCELS])
    assert store.unknown_kinds == {"test.truck": 2}
    assert "2 resources of unknown kind test.truck" in caplog.text
    await store.transact(lambda tx: put(tx, Parcel("b")))
    await store.close()

    store = await open_store(tmp_path, KINDS)
    assert [truck.plate for truck in store.list(TRUCKS)] == ["t", "u"]
    assert store.count(PARCELS) == 2
    await store.close()


class Lorry(msgspec.Struct, frozen=True):
    """A truck as a later version keeps it: one member more, one fewer."""

    plate: str
    axles: int = 2


LORRIES: Kind[Lorry] = Kind(name="test.truck", type=Lorry, key=lambda lorry: lorry.plate)


async def test_members_unknown_to_this_version_are_ignored_and_new_ones_defaulted(tmp_path: Path) -> None:
    store = await open_store(tmp_path, [TRUCKS])
    await store.transact(lambda tx: tx.put(TRUCKS, Truck("t")))
    await store.close()
    store = await open_store(tmp_path, [LORRIES])
    assert store.get(LORRIES, "t") == Lorry("t", 2)
    await store.transact(lambda tx: tx.put(LORRIES, Lorry("t", 3)))
    await store.close()
    store = await open_store(tmp_path, [TRUCKS])
    assert store.get(TRUCKS, "t") == Truck("t")
    await store.close()


async def test_a_row_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    store = await open_store(tmp_path, KINDS)
    await store.transact(lambda tx: put(tx, Parcel("a")))
    await store.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute("UPDATE object SET body = ?", (msgspec.msgpack.encode({"name": 1}),))
    database.close()
    with pytest.raises(StoreError, match=r"test.parcel a cannot be read: Expected `str`, got `int`"):
        await open_store(tmp_path, KINDS)


async def test_a_full_disk_refuses_writes_serves_reads_and_is_got_over(tmp_path: Path) -> None:
    store = await open_store(tmp_path, KINDS, most_pages=20)
    await store.transact(lambda tx: put(tx, Parcel("a", "north", grams=1)))
    watch = store.watch(PARCELS)
    bulky = Parcel("b", "north", ("x" * 200_000,), grams=2)
    refused = await asyncio.gather(
        store.transact(lambda tx: put(tx, bulky)),
        store.transact(lambda tx: put(tx, Parcel("c"))),
        store.transact(lambda tx: tx.count(PARCELS)),
        return_exceptions=True,
    )
    # The last one only read, but what it read never came to be.
    assert [type(result) for result in refused] == [StoreUnavailable] * 3
    assert "full" in str(refused[0])
    assert store.list(PARCELS, "depot", "north") == [Parcel("a", "north", grams=1)]
    assert store.total(PARCELS, "in_depot", "north") == (1, 1)
    assert store.revision == 1

    await store.transact(lambda tx: put(tx, Parcel("d")))
    batch = await watch.next()
    assert (batch.revision, [change.key for change in batch.changes]) == (2, ["d"])
    await store.close()
    store = await open_store(tmp_path, KINDS)
    assert [parcel.name for parcel in store.list(PARCELS)] == ["a", "d"]
    await store.close()


async def test_a_disk_without_room_for_the_database_fails_the_start_clearly(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot open"):
        await open_store(tmp_path, KINDS, most_pages=1)
    store = await open_store(tmp_path, KINDS)
    assert store.revision == 0
    await store.close()
