"""Every event log there is: order, exactly one entry of each version, cursors, filters, waiting, bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.store.base import StoreError, StoreUnavailable
from longshore.store.event_log import Entry, EventLog, Query, position_at
from longshore.store.memory_events import MemoryEventLog
from longshore.store.sqlite_events import FILE_NAME, open_event_log

NOW = 1_700_000_000.0
SCOPE = "us-east-1:000000000000"
EVERYTHING = Query(SCOPE)


def entry(subject: str = "", version: int = 0, *labels: str, type: str = "Change", scope: str = SCOPE, body: bytes = b"{}") -> Entry:
    return Entry(scope, "aws.ecs", type, labels or ("arn:a",), body, subject, version)


class Told(NamedTuple):
    bodies: list[bytes]
    position: int


async def everything(log: EventLog, query: Query = EVERYTHING, after: int = 0, limit: int = 3) -> Told:
    bodies: list[bytes] = []
    while True:
        page = await log.read(query, after, limit)
        bodies += [one.body for one in page.entries]
        after = page.position
        if not page.more:
            return Told(bodies, after)


@pytest.fixture(params=["memory", "sqlite"])
async def events(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventLog]:
    opened: EventLog = MemoryEventLog(kept_s=100.0) if request.param == "memory" else await open_event_log(tmp_path, kept_s=100.0)
    yield opened
    await opened.close()


async def test_entries_are_read_in_the_order_in_which_they_were_appended(events: EventLog) -> None:
    await events.append([entry(body=b"1"), entry(body=b"2")], NOW)
    await events.append([entry(body=b"3")], NOW - 50)  # a clock that was set back changes nothing about it
    await events.append([entry(body=b"4"), entry(body=b"5")], NOW + 1)
    assert (await everything(events)).bodies == [b"1", b"2", b"3", b"4", b"5"]


async def test_whoever_remembers_a_position_goes_on_behind_it(events: EventLog) -> None:
    await events.append([entry(body=b"1"), entry(body=b"2")], NOW)
    first = await events.read(EVERYTHING, 0, 1)
    assert ([one.body for one in first.entries], first.more) == ([b"1"], True)
    seen = await everything(events, after=first.position)
    assert seen.bodies == [b"2"]
    await events.append([entry(body=b"3")], NOW)
    assert (await everything(events, after=seen.position)).bodies == [b"3"]


async def test_positions_are_times(events: EventLog) -> None:
    await events.append([entry(body=b"early")], NOW)
    await events.append([entry(body=b"late")], NOW + 10)
    assert (await everything(events, after=position_at(NOW + 10) - 1)).bodies == [b"late"]
    assert events.newest == position_at(NOW + 10)


async def test_of_each_version_there_is_one_entry(events: EventLog) -> None:
    await events.append([entry("task", 1, body=b"1"), entry("task", 2, body=b"2"), entry("task", 2, body=b"again")], NOW)
    await events.append([entry("task", 1, body=b"old"), entry("task", 2, body=b"again"), entry("task", 3, body=b"3")], NOW)
    assert (await everything(events)).bodies == [b"1", b"2", b"3"]
    assert await events.marks() == {"task": 3}


async def test_what_is_forgotten_begins_anew(events: EventLog) -> None:
    await events.append([entry("task", 7, body=b"7"), entry("other", 1, body=b"o")], NOW)
    await events.append([], NOW, forget=["task", "nobody"])
    assert await events.marks() == {"other": 1}
    await events.append([entry("task", 1, body=b"1")], NOW)
    assert (await everything(events)).bodies == [b"7", b"o", b"1"]


async def test_entries_are_found_by_what_they_are_of(events: EventLog) -> None:
    await events.append(
        [
            entry("", 0, "arn:task/a", "arn:cluster/x", body=b"a"),
            entry("", 0, "arn:task/ab", "arn:cluster/x", type="Action", body=b"ab"),
            entry("", 0, "arn:task/a", "arn:cluster/x", scope="us-east-1:111111111111", body=b"theirs"),
        ],
        NOW,
    )
    assert (await everything(events)).bodies == [b"a", b"ab"]
    assert (await everything(events, Query(SCOPE, labels=("arn:task/a",)))).bodies == [b"a"]
    assert (await everything(events, Query(SCOPE, labels=("arn:task/a", "arn:cluster/y")))).bodies == []
    assert (await everything(events, Query(SCOPE, types=("Action", "None"), labels=("arn:cluster/x",)))).bodies == [b"ab"]
    assert (await everything(events, Query(SCOPE, source="aws.ecr"))).bodies == []


async def test_the_last_ones_come_oldest_first(events: EventLog) -> None:
    await events.append([entry(body=str(number).encode(), type="odd" if number % 2 else "even") for number in range(10)], NOW)
    page = await events.last(Query(SCOPE, types=("odd",)), 3)
    assert [one.body for one in page.entries] == [b"5", b"7", b"9"]
    assert page.position == events.newest
    assert not page.more


async def test_who_waits_is_told_as_soon_as_there_is_more(events: EventLog) -> None:
    waiting = asyncio.create_task(events.grown(events.newest))
    await asyncio.sleep(0)
    assert not waiting.done()
    await events.append([entry()], NOW)
    await asyncio.wait_for(waiting, 5.0)
    await asyncio.wait_for(events.grown(events.newest - 1), 5.0)


async def test_nobody_waits_once_waiting_has_ended(events: EventLog) -> None:
    waiting = asyncio.create_task(events.grown(events.newest))
    await asyncio.sleep(0)
    events.end_waiting()
    await asyncio.wait_for(waiting, 5.0)
    await asyncio.wait_for(events.grown(events.newest), 5.0)


async def test_what_is_too_old_is_dropped_and_readers_who_missed_it_are_told(events: EventLog) -> None:
    await events.append([entry("task", 1, body=b"old"), entry(body=b"old, too")], NOW)
    remembered = (await events.read(EVERYTHING, 0, 1)).position
    newest = await events.append([entry(body=b"new")], NOW + 50)
    assert await events.trim(NOW + 101) == 2
    assert (await everything(events)).bodies == [b"new"]
    assert (await events.read(EVERYTHING, remembered, 9)).missed
    assert not (await events.read(EVERYTHING, newest, 9)).missed
    assert not (await events.read(EVERYTHING, 0, 9)).missed, "who asks for all there is misses nothing"
    assert await events.marks() == {"task": 1}, "what was dropped was told all the same"
    assert await events.trim(NOW + 101) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4)), max_size=12), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_whatever_is_appended_versions_grow_and_pages_leave_nothing_out(told: list[tuple[str, int]], limit: int) -> None:
    async def check() -> None:
        log = MemoryEventLog()
        for subject, version in told:
            await log.append([entry(subject, version, body=f"{subject}{version}".encode())], NOW)
        bodies = (await everything(log, limit=limit)).bodies
        expected, known = [], dict.fromkeys("abc", 0)
        for subject, version in told:
            if version > known[subject]:
                known[subject] = version
                expected.append(f"{subject}{version}".encode())
        assert bodies == expected

    asyncio.run(check())


# ── on the disk ──


async def test_everything_is_there_when_it_is_opened_again_and_positions_go_on(tmp_path: Path) -> None:
    first = await open_event_log(tmp_path)
    await first.append([entry("task", 2, body=b"1")], NOW)
    newest = first.newest
    await first.close()
    await first.close()
    again = await open_event_log(tmp_path)
    assert again.newest == newest
    await again.append([entry("task", 2, body=b"twice"), entry("task", 3, body=b"2")], NOW - 1000)
    assert (await everything(again)).bodies == [b"1", b"2"]
    assert again.newest > newest
    await again.close()


async def test_positions_go_on_though_everything_was_dropped(tmp_path: Path) -> None:
    first = await open_event_log(tmp_path, kept_s=1.0)
    newest = await first.append([entry()], NOW)
    assert await first.trim(NOW + 10) == 1
    await first.close()
    again = await open_event_log(tmp_path)
    assert again.newest == newest
    assert await again.append([entry()], NOW - 1000) > newest
    await again.close()


async def test_no_more_bytes_are_kept_than_are_to_be(tmp_path: Path) -> None:
    log = await open_event_log(tmp_path, kept_bytes=2_000_000)
    for batch in range(20):
        await log.append([entry(f"s{batch}.{number}", 1, body=b"x" * 2_000) for number in range(100)], NOW)
        await log.trim(NOW)
    kept = (await everything(log, limit=500)).bodies
    assert 400 < len(kept) < 1_000
    assert len(await log.marks()) == 2_000
    await log.close()
    assert (tmp_path / FILE_NAME).stat().st_size < 4_000_000


async def test_a_log_that_cannot_be_read_or_is_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"this is not a database, whatever it is" * 100)
    with pytest.raises(StoreUnavailable, match="event log"):
        await open_event_log(tmp_path)
    (tmp_path / FILE_NAME).unlink()
    log = await open_event_log(tmp_path)
    await log._writing.run(log._writer.execute, "PRAGMA user_version = 99")
    await log.close()
    with pytest.raises(StoreError, match="newer Longshore"):
        await open_event_log(tmp_path)


async def test_a_reading_that_fails_takes_nothing_back_of_what_is_being_appended(tmp_path: Path) -> None:
    log = await open_event_log(tmp_path)
    impossible = Query(SCOPE, labels=("x",) * 2_000)  # deeper than SQLite lets an expression be
    entries = [entry(f"s{number}", 1, body=b"x" * 200) for number in range(20_000)]
    appending = asyncio.create_task(log.append(entries, NOW))
    failed = 0
    while not appending.done():
        with pytest.raises(StoreUnavailable):
            await log.read(impossible, 0, 10)
        failed += 1
    await appending
    assert failed > 1
    assert len((await everything(log, limit=5_000)).bodies) == len(entries)
    await log.close()


async def test_what_is_cleared_is_gone_and_told_anew_and_who_remembers_a_position_missed_something(events: EventLog) -> None:
    await events.append([entry("a", 3, body=b"1"), entry(body=b"2")], NOW)
    position = events.newest
    await events.clear()
    assert (await everything(events)).bodies == [] and await events.marks() == {} and events.newest == position
    await events.append([entry("a", 1, body=b"3")], NOW)
    page = await events.read(EVERYTHING, position - 1, 5)
    assert (page.missed, [one.body for one in page.entries]) == (True, [b"3"])
    assert (await events.read(EVERYTHING, position, 5)).missed is False
