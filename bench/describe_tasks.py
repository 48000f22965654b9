"""Many tasks: DescribeTasks of 100 among 100,000 that the store holds, and what a history of 100,000 more in the archive costs.

The same directory is served three times: empty, with 100,000 stopped tasks in the store (as `--stopped-tasks-kept` may have it),
and with 100,000 in the archive as well. Tasks are written straight into the files, in the form the server writes them.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.installation import Client, memory_mb, server_alone
from bench.report import Figure, Target, p50
from longshore.config import History
from longshore.resources import KINDS
from longshore.services.ecs.flight.entries import TASKS as ARCHIVED
from longshore.services.ecs.flight.entries import history_entry
from longshore.services.ecs.model import TASKS, Container, Task, TaskSpec, TaskStatus
from longshore.store.sqlite import open_store
from longshore.store.sqlite_archive import SqliteArchive

MANY = 100_000
_AT_ONCE = 100
_BATCH = 2_000
_QUIET_ROUNDS = 4
_WEEK_S = 7 * 86_400.0
_CONTAINERS = [
    {"name": name, "image": "bench", "memory": 64, "environment": [{"name": f"V{n}", "value": "x"} for n in range(5)]}
    for name in ("app", "side")
]


def measure(rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="longshore-bench-") as name:
        directory = Path(name)
        history = History(stopped_tasks_kept_s=_WEEK_S)
        with server_alone(directory, history=history) as (platform, pid):
            client = platform.client()
            client.ecs("CreateCluster", clusterName="default")
            definition = client.ecs("RegisterTaskDefinition", family="bench", containerDefinitions=_CONTAINERS)
            arn = definition["taskDefinition"]["taskDefinitionArn"]
            empty_mb = memory_mb(pid)["Rss"]
            client.close()
        arns = asyncio.run(_fill_store(directory / "data", arn))
        began = time.perf_counter()
        with server_alone(directory, history=history) as (platform, pid):
            started_s = time.perf_counter() - began
            yield Figure(f"start with {MANY:,} tasks in the store", "s", started_s)
            yield Figure("  their memory", "MB", memory_mb(pid)["Rss"] - empty_mb)
            _until_quiet(pid)
            client = platform.client()
            times = _describe(client, arns, 200 * rounds)
            yield Figure(f"DescribeTasks of {_AT_ONCE} among {MANY:,}, p50", "ms", 1000 * p50(times))
            yield Figure(f"DescribeTasks of {_AT_ONCE} among {MANY:,}, p99", "ms", 1000 * _p99(times), target=Target("<=", 20))
            yield Figure("  a page of history, all in the store", "ms", 1000 * p50(_pages(client, 5 * rounds)))
            client.close()
        asyncio.run(_fill_archive(directory / "data", arn))
        began = time.perf_counter()
        with server_alone(directory, history=history) as (platform, pid):
            yield Figure(f"start with {MANY:,} more in the archive", "s", time.perf_counter() - began, started_s, "without them")
            _until_quiet(pid)
            client = platform.client()
            pages = _pages(client, 20 * rounds, since=0.0, until=time.time() - _WEEK_S / 2)
            yield Figure("  a page of history, all in the archive", "ms", 1000 * p50(pages))
            yield Figure("  file of the archive", "MB", (directory / "data" / "archive.db").stat().st_size / 1e6)
            client.close()


def _until_quiet(pid: int) -> None:
    """The stream of events tells of every task that it has not told of: here, at first, of all of them."""
    quiet = 0
    while quiet < _QUIET_ROUNDS:
        before = _processor_s(pid)
        time.sleep(0.5)
        quiet = quiet + 1 if _processor_s(pid) - before < 0.05 else 0


def _processor_s(pid: int) -> float:
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def _task(arn: str, definition: str, number: int, stopped_at: float) -> Task:
    names = ("app", "side")
    containers = tuple(
        Container(name, f"{arn}/{name}", "STOPPED", "bench", f"sha256:{number:064x}", f"{number:064x}", 137 if number % 7 == 0 else 0)
        for name in names
    )
    return Task(
        arn=arn,
        cluster_arn=f"{arn.partition(':task/')[0]}:cluster/default",
        spec=TaskSpec(definition, "family:bench", stopped_at - 60, container_names=names),
        container_instance_arn=f"{arn.partition(':task/')[0]}:container-instance/default/{number % 100:032x}",
        availability_zone="us-east-1a",
        status=TaskStatus(
            last_status="STOPPED",
            containers=containers,
            started_at=stopped_at - 50,
            stopping_at=stopped_at,
            stopped_at=stopped_at,
            stop_code="EssentialContainerExited",
            stopped_reason="Essential container in task exited",
        ),
    )


def _tasks(definition: str, first: int, stopped_at: float) -> Iterator[Sequence[Task]]:
    owner = definition.partition(":task-definition/")[0]
    for start in range(first, first + MANY, _BATCH):
        numbers = range(start, start + _BATCH)
        yield [_task(f"{owner}:task/default/{number:032x}", definition, number, stopped_at + number / 1e6) for number in numbers]


async def _fill_store(data: Path, definition: str) -> list[str]:
    store = await open_store(data, KINDS)
    arns = []
    for batch in _tasks(definition, 0, time.time()):
        await store.transact(lambda tx, batch=batch: [tx.put(TASKS, task) for task in batch])  # type: ignore[misc]
        arns += [task.arn for task in batch]
    await store.close()
    return arns


async def _fill_archive(data: Path, definition: str) -> None:
    archive = await SqliteArchive.open(data)
    for batch in _tasks(definition, MANY, time.time() - _WEEK_S / 2 - 3600):
        await archive.put(ARCHIVED, [history_entry(task) for task in batch])
    await archive.close()


def _describe(client: Client, arns: list[str], times: int) -> list[float]:
    """The client's own collector is kept out of it: it would go through all that was made to fill the store."""
    drawn = random.Random(1)
    spent = []
    gc.collect()
    gc.freeze()
    gc.disable()
    for _ in range(times):
        some = drawn.sample(arns, _AT_ONCE)
        began = time.perf_counter()
        answer = client.ecs("DescribeTasks", tasks=some, include=["TAGS"])
        spent.append(time.perf_counter() - began)
        if len(answer["tasks"]) != _AT_ONCE:
            raise RuntimeError(f"DescribeTasks: {answer['failures']}")
    gc.enable()
    return spent


def _pages(client: Client, times: int, **asked: float) -> list[float]:
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        answer = client.ecs("LongshoreListTaskHistory", maxResults=_AT_ONCE, failedOnly=True, **asked)
        spent.append(time.perf_counter() - began)
        if len(answer["tasks"]) != _AT_ONCE:
            raise RuntimeError(f"LongshoreListTaskHistory: {len(answer['tasks'])} tasks")
    return spent


def _p99(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]
