"""The store beside plain SQLite that commits one transaction per write: reload, lone writes, concurrent writes, reads.

Both use WAL with synchronous=FULL on the same disk in the same run, in turns; every figure is a median. The resources are ECS tasks
with one container, with all their indexes and totals.

    python bench/store.py [--tasks 100000] [--rounds 3] [--directory DIR]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from longshore.services.ecs.model import TASKS, Container, NetworkBinding, Reservation, Task, TaskSpec, TaskStatus
from longshore.store.base import Store, Tx
from longshore.store.sqlite import open_store

ARN = "arn:aws:ecs:us-east-1:000000000000"
MOST_TASKS_IN_A_WRITE = 10_000


def task(number: int, version: int = 1) -> Task:
    """Task `number` of a fleet: 100 services on 1,000 instances."""
    name = f"{number:032x}"
    service = f"service-{number % 100}"
    return Task(
        arn=f"{ARN}:task/default/{name}",
        cluster_arn=f"{ARN}:cluster/default",
        spec=TaskSpec(
            task_definition_arn=f"{ARN}:task-definition/{service}:3",
            group=f"service:{service}",
            created_at=1_700_000_000.25,
            started_by=f"ecs-svc/{number % 100:019}",
            reservation=Reservation(cpu=256, memory_mib=512),
            container_names=("web",),
            service_arn=f"{ARN}:service/default/{service}",
            deployment_id=f"ecs-svc/{number % 100:019}",
        ),
        container_instance_arn=f"{ARN}:container-instance/default/{number % 1000:032x}",
        availability_zone="us-east-1a",
        status=TaskStatus(
            last_status="RUNNING",
            started_at=1_700_000_010.5,
            containers=(
                Container(
                    name="web",
                    arn=f"{ARN}:container/default/{name}/{number:036x}",
                    last_status="RUNNING",
                    runtime_id=f"{number:064x}",
                    network_bindings=(NetworkBinding(80, 32768 + number % 20000),),
                ),
            ),
        ),
        version=version,
    )


class PlainSqlite:
    """The peer: the same table and the same bodies, one thread, one transaction per write, nothing kept in memory."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("CREATE TABLE object (kind TEXT, key TEXT, body BLOB, PRIMARY KEY (kind, key)) WITHOUT ROWID")

    def write_now(self, value: Task) -> None:
        self._database.execute("INSERT OR REPLACE INTO object VALUES ('task', ?, ?)", (value.arn, msgspec.msgpack.encode(value)))

    async def write(self, value: Task) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self.write_now, value)

    def close(self) -> None:
        self._thread.shutdown()
        self._database.close()


async def throughput(write: Callable[[Task], Awaitable[object]], clients: int, seconds: float) -> float:
    """Writes per second of `clients` that each write, wait for the answer and write again."""
    started = time.perf_counter()
    end = started + seconds
    counts = [0] * clients

    async def client(own: int) -> None:
        while time.perf_counter() < end:
            await write(task(own, counts[own]))
            counts[own] += 1

    await asyncio.gather(*(client(own) for own in range(clients)))
    return sum(counts) / (time.perf_counter() - started)


async def lone_ms(write: Callable[[Task], Awaitable[object]], times: int) -> float:
    spent = []
    for number in range(times):
        value = task(1, number)
        started = time.perf_counter()
        await write(value)
        spent.append(time.perf_counter() - started)
    return 1000 * statistics.median(spent)


def writer_to(store: Store) -> Callable[[Task], Awaitable[Task]]:
    async def write(value: Task) -> Task:
        return await store.transact(lambda tx: tx.put(TASKS, value))

    return write


async def fill(directory: Path, tasks: int) -> None:
    store = await open_store(directory, [TASKS])
    for first in range(0, tasks, MOST_TASKS_IN_A_WRITE):

        def write(tx: Tx, first: int = first) -> None:
            for number in range(first, min(tasks, first + MOST_TASKS_IN_A_WRITE)):
                tx.put(TASKS, task(number))

        await store.transact(write)
    await store.close()


async def reload_s(directory: Path, tasks: int) -> float:
    gc.collect()
    started = time.perf_counter()
    store = await open_store(directory, [TASKS])
    spent = time.perf_counter() - started
    assert store.count(TASKS) == tasks
    await store.close()
    return spent


def plain_reload_s(directory: Path) -> float:
    """Reading the same rows and decoding them, without indexes or totals: what no store could do without."""
    gc.collect()
    decode = msgspec.msgpack.Decoder(Task).decode
    database = sqlite3.connect(directory / "longshore.db")
    started = time.perf_counter()
    kept = {key: decode(body) for key, body in database.execute("SELECT key, body FROM object")}
    spent = time.perf_counter() - started
    database.close()
    assert kept
    return spent


async def get_us(store: Store, tasks: int) -> float:
    keys = [task(number * 7919 % tasks).arn for number in range(20_000)]
    started = time.perf_counter()
    for key in keys:
        store.get(TASKS, key)
    return 1e6 * (time.perf_counter() - started) / len(keys)


def line(what: str, pairs: list[tuple[float, float]], unit: str, *, more_is_better: bool) -> None:
    ours, peer = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = ours / peer if more_is_better else peer / ours
    print(f"{what:<34} {ours:>12,.2f} {peer:>12,.2f} {unit:<9} {ratio:>7.2f}x")


async def run(directory: Path, tasks: int, rounds: int) -> None:
    print(f"{'':<34} {'longshore':>12} {'plain sqlite':>12} {'':<9} {'better':>8}")
    store = await open_store(directory / "writes", [TASKS])
    plain = PlainSqlite(directory / "plain.db")
    write = writer_to(store)
    alone = [(await lone_ms(write, 200), await lone_ms(plain.write, 200)) for _ in range(rounds)]
    line("lone write, p50", alone, "ms", more_is_better=False)
    for clients in (16, 32, 256):
        pairs = [(await throughput(write, clients, 1.0), await throughput(plain.write, clients, 1.0)) for _ in range(rounds)]
        line(f"writes/s, {clients} clients", pairs, "/s", more_is_better=True)
    await store.close()
    plain.close()

    await fill(directory / "fleet", tasks)
    loads = [(await reload_s(directory / "fleet", tasks), plain_reload_s(directory / "fleet")) for _ in range(rounds)]
    line(f"reload {tasks:,} tasks", loads, "s", more_is_better=False)

    store = await open_store(directory / "fleet", [TASKS])
    print(f"{'get, random keys':<34} {statistics.median([await get_us(store, tasks) for _ in range(rounds)]):>12.2f} {'':>12} us")
    started = time.perf_counter()
    await store.reset()
    print(f"{f'reset of {tasks:,} tasks':<34} {1000 * (time.perf_counter() - started):>12.1f} {'':>12} ms")
    await store.transact(lambda tx: [tx.put(TASKS, task(number)) for number in range(100)])
    started = time.perf_counter()
    await store.reset()
    print(f"{'reset of 100 tasks':<34} {1000 * (time.perf_counter() - started):>12.1f} {'':>12} ms")
    await store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, default=None, help="on the disk to measure; a temporary one by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        asyncio.run(run(Path(directory), given.tasks, given.rounds))


if __name__ == "__main__":
    main()
