"""kill -9 at random moments while events are told: of every version there is one event at most, and the last state is always told."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

from longshore.control.event_stream.controller import EventStream
from longshore.kit.clock import SystemClock
from longshore.kit.ids import RandomIds
from longshore.services.ecs.kinds import KINDS
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS
from longshore.store.event_log import Query
from longshore.store.sqlite import open_store
from longshore.store.sqlite_events import open_event_log

ROOT = Path(__file__).resolve().parents[3]
KILLS = 6


def kill_after(directory: Path, turn: int, lines: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.control.event_stream.changing", directory, str(turn)],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said = [line for line, _ in zip(process.stdout, range(lines), strict=False)]
    process.kill()
    process.wait()
    process.stdout.close()
    assert len(said) == lines, "it ended by itself"


async def look(directory: Path) -> int:
    """Starts as a server does, lets the stream catch up, and checks all that was ever told; how many events there are."""
    store, events = await open_store(directory, KINDS, b"k" * 32), await open_event_log(directory)
    stream = asyncio.create_task(EventStream(store, events, SystemClock(), RandomIds()).run())
    present = {**{task.arn: task.version for task in store.list(TASKS)}, **{i.arn: i.version for i in store.list(CONTAINER_INSTANCES)}}
    async with asyncio.timeout(20.0):
        newest, marks = events.newest, await events.marks()
        while any(marks.get(arn, 0) < version for arn, version in present.items()):
            await events.grown(newest)
            newest, marks = events.newest, await events.marks()
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)
    told: dict[str, list[int]] = {}
    position, count = 0, 0
    while page := await events.read(Query("us-east-1:000000000000"), position, 1_000):
        for one in page.entries:
            event = json.loads(one.body)
            told.setdefault(event["resources"][0], []).append(event["detail"]["version"])
            count += 1
        position = page.position
        if not page.more:
            break
    for arn, versions in told.items():
        assert versions == sorted(set(versions)), f"{arn}: {versions}"
    for arn, version in present.items():
        assert told[arn][-1] >= version, arn
    assert set(await events.marks()) <= set(told)
    await events.close()
    await store.close()
    return count


def test_no_event_is_told_twice_and_no_last_state_is_lost_over_kills(tmp_path: Path) -> None:
    moments, counts = random.Random(5), [0]
    for turn in range(KILLS):
        kill_after(tmp_path, turn, moments.randrange(2, 25))
        counts.append(asyncio.run(look(tmp_path)))
    assert all(after > before for before, after in itertools.pairwise(counts)), counts
