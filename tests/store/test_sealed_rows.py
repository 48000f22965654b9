"""Rows of kinds that hold secrets: what of them can be found in the files, and how they get from plain to sealed and on."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from longshore.kit.keyring import Generation
from longshore.kit.resource import Kind
from longshore.kit.sealing import Keyring
from longshore.store.base import StoreError
from longshore.store.sealed_rows import SealedRows
from longshore.store.sqlite import FILE_NAME, open_store
from tests.store.parcels import PARCELS, Parcel

A, B = b"a" * 32, b"b" * 32
WORD = "recognisable-secret"


class Safe(msgspec.Struct, frozen=True):
    name: str
    content: str


PLAIN: Kind[Safe] = Kind(name="test.safe", type=Safe, key=lambda safe: safe.name, indexes={"all": lambda _: ("all",)})
SAFES: Kind[Safe] = Kind(name="test.safe", type=Safe, key=lambda safe: safe.name, indexes={"all": lambda _: ("all",)}, sealed=True)
OTHERS: Kind[Safe] = Kind(name="test.other", type=Safe, key=lambda safe: safe.name, sealed=True)


def on_disk(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(directory.iterdir()) if file.is_file())


def copied(directory: Path) -> Path:
    """The database as it would be found had its process been killed now."""
    copy = directory / "copy"
    copy.mkdir()
    for file in directory.glob(f"{FILE_NAME}*"):
        (copy / file.name).write_bytes(file.read_bytes())
    return copy


def ring(*secrets: bytes) -> Keyring:
    return Keyring(Generation(number, secret) for number, secret in enumerate(secrets, 1))


def safes(count: int) -> list[Safe]:
    return [Safe(f"s{number:03}", f"{WORD}-{number}") for number in range(count)]


async def fill(directory: Path, kind: Kind[Safe], keys: Keyring | None, count: int = 50) -> None:
    store = await open_store(directory, [PARCELS, kind], keys)
    for safe in safes(count):
        await store.transact(lambda tx, safe=safe: (tx.put(kind, safe), tx.put(PARCELS, Parcel(safe.name))))  # type: ignore[misc]
    await store.close()


async def listed(directory: Path, keys: Keyring | bytes, kind: Kind[Safe] = SAFES) -> list[Safe]:
    store = await open_store(directory, [PARCELS, kind], keys)
    found = store.list(kind)
    assert store.count(PARCELS) == len(found)
    await store.close()
    return found


async def test_no_byte_of_a_secret_reaches_the_files_and_all_is_there_after_a_restart(tmp_path: Path) -> None:
    store = await open_store(tmp_path, [PARCELS, SAFES], ring(A))
    for safe in safes(70):
        await store.transact(lambda tx, safe=safe: tx.put(SAFES, safe))  # type: ignore[misc]
    await store.transact(lambda tx: [tx.put(SAFES, Safe(safe.name, safe.content + "!")) for safe in safes(70)])
    await store.transact(lambda tx: tx.delete(SAFES, "s069"))
    assert store.list(SAFES)[0].content == f"{WORD}-0!"
    assert (tmp_path / f"{FILE_NAME}-wal").stat().st_size > 0
    assert WORD.encode() not in on_disk(tmp_path)
    assert b"s001" in on_disk(tmp_path)
    await store.close()
    assert WORD.encode() not in on_disk(tmp_path)
    store = await open_store(tmp_path, [PARCELS, SAFES], ring(A))
    assert store.list(SAFES, "all", "all") == [Safe(safe.name, safe.content + "!") for safe in safes(69)]
    await store.close()


@pytest.mark.parametrize("how", ["closed", "killed"])
async def test_rows_of_earlier_versions_are_sealed_at_the_next_start_wherever_they_lay(tmp_path: Path, how: str) -> None:
    # As an earlier version left it: rows, deleted rows, and rows that were written over, in the file or only in the log beside it.
    store = await open_store(tmp_path, [PARCELS, PLAIN])
    await store.transact(
        lambda tx: [(tx.put(PLAIN, Safe(safe.name, safe.content * 20)), tx.put(PARCELS, Parcel(safe.name))) for safe in safes(90)]
    )
    await store.transact(lambda tx: [tx.put(PLAIN, safe) for safe in safes(90)])
    await store.transact(lambda tx: [(tx.delete(PLAIN, f"s{n:03}"), tx.delete(PARCELS, f"s{n:03}")) for n in range(50, 90)])
    left = tmp_path
    if how == "killed":
        left = copied(tmp_path)
    await store.close()
    assert WORD.encode() in on_disk(left)
    store = await open_store(left, [PARCELS, SAFES], ring(A))
    assert WORD.encode() not in on_disk(left)
    revision = store.revision
    assert store.revision_of(SAFES, "s000") == 2
    await store.close()
    assert await listed(left, ring(A)) == safes(50)
    store = await open_store(left, [PARCELS, SAFES], ring(A))
    assert store.revision == revision
    await store.close()


async def test_what_was_cut_off_while_it_was_scrubbed_is_done_at_the_next_start(tmp_path: Path) -> None:
    await fill(tmp_path, PLAIN, None)
    # Cut off after the rows were sealed and before the file was made anew.
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        sealing = SealedRows([SAFES], ring(A))
        database.execute("PRAGMA secure_delete = OFF")
        sealing._seal_plain(database, SAFES.name)
    database.close()
    assert await listed(tmp_path, ring(A)) == safes(50)
    assert WORD.encode() not in on_disk(tmp_path)


async def test_a_kind_that_is_sealed_later_is_scrubbed_then(tmp_path: Path) -> None:
    await fill(tmp_path, SAFES, ring(A))
    store = await open_store(tmp_path, [PARCELS, SAFES, OTHERS], ring(A))
    await store.transact(lambda tx: tx.put(OTHERS, Safe("o", WORD)))
    await store.close()
    assert WORD.encode() not in on_disk(tmp_path)


async def test_another_key_opens_nothing_and_says_what_it_could_not_open(tmp_path: Path) -> None:
    await fill(tmp_path, SAFES, ring(A))
    before = on_disk(tmp_path)
    with pytest.raises(StoreError, match=r"test.safe s000 does not open.*generation 1"):
        await listed(tmp_path, ring(B))
    assert on_disk(tmp_path) == before
    assert await listed(tmp_path, A) == safes(50)


async def test_a_row_does_not_open_under_another_name_nor_as_another_kind(tmp_path: Path) -> None:
    await fill(tmp_path, SAFES, ring(A), 2)
    with sqlite3.connect(tmp_path / FILE_NAME) as database:
        database.execute(
            "UPDATE object SET body = (SELECT body FROM object WHERE kind = 'test.safe' AND key = 's000') "
            "WHERE kind = 'test.safe' AND key = 's001'"
        )
    database.close()
    with pytest.raises(StoreError, match="s001 does not open"):
        await listed(tmp_path, ring(A))


async def test_a_sealed_kind_is_not_kept_without_keys(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"test.safe cannot be kept without keys"):
        await open_store(tmp_path, [SAFES])


async def test_keys_are_looked_for_once_the_rest_is_known(tmp_path: Path) -> None:
    await fill(tmp_path, SAFES, ring(A), 3)
    asked: list[tuple[int, int, int]] = []

    def keys(reader, sealed: int) -> Keyring:  # type: ignore[no-untyped-def]
        asked.append((reader.count(PARCELS), reader.count(SAFES), sealed))
        return ring(A)

    store = await open_store(tmp_path, [PARCELS, SAFES], keys)
    assert (asked, store.count(SAFES)) == ([(3, 0, 3)], 3)
    await store.close()


async def test_rows_are_sealed_anew_in_steps_and_nothing_that_can_be_read_changes(tmp_path: Path) -> None:
    await fill(tmp_path, SAFES, ring(A), 25)
    keys = ring(A, B)
    store = await open_store(tmp_path, [PARCELS, SAFES], keys)
    watch, revision = store.watch(SAFES), store.revision
    steps = []
    while step := await store.reseal(10):
        steps.append(step)
        # Those who write meanwhile are not disturbed, nor do they disturb.
        await store.transact(lambda tx: tx.put(SAFES, Safe("s000", "new")))
    assert steps == [10, 10, 5]
    assert store.revision == revision + len(steps)
    changed = [change.key for _ in steps for change in (await watch.next()).changes]
    assert changed == ["s000"] * len(steps)
    await store.close()
    only = Keyring((Generation(2, B),))
    assert await listed(tmp_path, only) == [Safe("s000", "new"), *safes(25)[1:]]
