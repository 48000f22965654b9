"""Archives, in memory and on the disk, keep the same promises; the one on the disk keeps them over a crash."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.store.archive import Archive, Entry, MemoryArchive
from longshore.store.base import StoreUnavailable
from longshore.store.sqlite_archive import FILE_NAME, SqliteArchive


@pytest.fixture(params=["memory", "sqlite"])
async def archive(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Archive]:
    made: Archive = MemoryArchive() if request.param == "memory" else await SqliteArchive.open(tmp_path)
    yield made
    await made.close()


def entry(number: int, *facets: str, at: float | None = None, part: str = "p") -> Entry:
    return Entry(key=f"k{number:03d}", partition=part, at=float(number) if at is None else at, body=b"b%d" % number, facets=facets)


async def keys(archive: Archive, **asked: object) -> list[str]:
    return [found.key for found in await archive.find("c", "p", **asked)]  # type: ignore[arg-type]


async def test_what_was_put_is_found_by_key_and_in_its_collection_only(archive: Archive) -> None:
    await archive.put("c", [entry(1), entry(2)])
    assert await archive.get("c", ["k001", "k009"]) == {"k001": b"b1"}
    assert await archive.get("d", ["k001"]) == {}
    assert (await archive.count("c"), await archive.count("d")) == (2, 0)


async def test_listings_are_newest_first_and_confined(archive: Archive) -> None:
    await archive.put("c", [entry(1, "x"), entry(3, "x", "y"), entry(2), entry(4, "x", part="q"), entry(5, "x", at=3.0)])
    assert await keys(archive) == ["k005", "k003", "k002", "k001"]
    assert await keys(archive, facets=("x",)) == ["k005", "k003", "k001"]
    assert await keys(archive, facets=("y", "x")) == ["k003"]
    assert await keys(archive, facets=("x", "z")) == []
    assert await keys(archive, since=2.0, until=3.0) == ["k005", "k003", "k002"]
    assert await keys(archive, before=(3.0, "k005"), limit=2) == ["k003", "k002"]


async def test_an_entry_takes_the_place_of_the_one_before(archive: Archive) -> None:
    await archive.put("c", [entry(1, "x")])
    await archive.put("c", [Entry(key="k001", partition="p", at=9.0, body=b"new", facets=("y",))])
    assert await archive.get("c", ["k001"]) == {"k001": b"new"}
    assert (await keys(archive, facets=("x",)), await keys(archive, facets=("y",))) == ([], ["k001"])


async def test_the_old_and_the_many_go(archive: Archive) -> None:
    await archive.put("c", [entry(number, "x") for number in range(10)])
    assert await archive.prune("c", older_than=3.0, most=100) == 3
    assert await archive.prune("c", older_than=0.0, most=2) == 5
    assert await keys(archive, facets=("x",)) == ["k009", "k008"]
    await archive.clear()
    assert await archive.count("c") == 0


async def test_puts_at_once_are_all_there(archive: Archive) -> None:
    await asyncio.gather(*(archive.put("c", [entry(number)]) for number in range(50)))
    assert await archive.count("c") == 50


_ENTRIES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 9), st.sets(st.sampled_from("xyz"))), max_size=30)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_ENTRIES, st.lists(st.sampled_from("xyz"), max_size=2, unique=True), st.integers(1, 5), st.integers(0, 12))
async def test_pages_put_together_are_the_listing(
    tmp_path_factory: pytest.TempPathFactory, given_entries: list[tuple[int, int, set[str]]], facets: list[str], limit: int, most: int
) -> None:
    memory, disk = MemoryArchive(), await SqliteArchive.open(tmp_path_factory.mktemp("archive"))
    for number, at, names in given_entries:
        for archive in (memory, disk):
            await archive.put("c", [entry(number, *sorted(names), at=float(at))])
    for archive in (memory, disk):
        await archive.prune("c", older_than=2.0, most=most)
    paged: list[str] = []
    before = None
    while page := await disk.find("c", "p", facets=facets, before=before, limit=limit):
        paged += [found.key for found in page]
        before = (page[-1].at, page[-1].key)
    assert paged == [found.key for found in await memory.find("c", "p", facets=facets, limit=1000)]
    await disk.close()


async def test_what_was_acknowledged_is_there_without_a_close(tmp_path: Path) -> None:
    first = await SqliteArchive.open(tmp_path)
    await first.put("c", [entry(1)])
    second = await SqliteArchive.open(tmp_path)  # as after a crash: the first never closed
    assert await second.get("c", ["k001"]) == {"k001": b"b1"}
    await second.close()
    await first.close()


async def test_a_file_that_is_none_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database, but long enough to be taken for one" * 100)
    archive = await SqliteArchive.open(tmp_path)
    assert await archive.count("c") == 0
    assert (tmp_path / "archive.broken").exists()
    await archive.close()


async def test_a_disk_that_refuses_is_said_to(tmp_path: Path) -> None:
    archive = await SqliteArchive.open(tmp_path)
    other = sqlite3.connect(tmp_path / FILE_NAME)
    other.execute("DROP TABLE facet")
    other.commit()
    with pytest.raises(StoreUnavailable):
        await archive.put("c", [entry(1, "x")])
    other.close()
    await archive.close()


async def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    archive = await SqliteArchive.open(tmp_path)
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    await archive.close()
