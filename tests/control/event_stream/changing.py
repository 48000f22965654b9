"""A process that changes tasks as fast as it can while the event stream tells of it; made to be killed.

    python -m tests.control.event_stream.changing DIRECTORY TURN

It says how many changes were acknowledged so far, a line for every ten.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from pathlib import Path

from msgspec.structs import replace

from longshore.control.event_stream.controller import EventStream
from longshore.kit.clock import SystemClock
from longshore.kit.ids import RandomIds
from longshore.services.ecs.kinds import KINDS
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Capacity, ContainerInstance, Reservation, Task, TaskSpec
from longshore.store.base import Tx
from longshore.store.sqlite import open_store
from longshore.store.sqlite_events import open_event_log

ARN = "arn:aws:ecs:us-east-1:000000000000:"
INSTANCE = f"{ARN}container-instance/demo/9e"
WORDS = ("PENDING", "RUNNING", "STOPPING", "STOPPED")
TASKS_AT_ONCE = 40


def step(tx: Tx, arn: str, over: set[str]) -> None:
    """The task goes on; one that has stopped is forgotten, and no other has its name (`over`)."""
    task = tx.get(TASKS, arn)
    if task is None and arn in over:
        return
    if task is None:
        spec = TaskSpec(f"{ARN}task-definition/web:1", "family:web", 1.0, reservation=Reservation(1, 1))
        tx.put(TASKS, Task(arn, f"{ARN}cluster/demo", spec, container_instance_arn=INSTANCE))
    elif task.is_stopped:
        over.add(arn)
        tx.delete(TASKS, arn)
    else:
        words = (*WORDS, "STOPPED")
        wanted = words[words.index(task.last_status) + 1] if task.last_status in words else WORDS[0]
        tx.put(TASKS, replace(task, status=replace(task.status, last_status=wanted)))


async def main(directory: Path, turn: int) -> None:
    store, events = await open_store(directory, KINDS, b"k" * 32), await open_event_log(directory)
    clock, drawn = SystemClock(), random.Random(turn)
    instance = ContainerInstance(INSTANCE, f"{ARN}cluster/demo", "i-1", 1.0, Capacity(1000, 1000))
    await store.transact(lambda tx: tx.get(CONTAINER_INSTANCES, INSTANCE) or tx.put(CONTAINER_INSTANCES, instance))
    stream = asyncio.create_task(EventStream(store, events, clock, RandomIds()).run())
    over: set[str] = set()
    for number in range(1, 1_000_000):
        arns = [f"{ARN}task/demo/{turn:08x}{number // 8 + drawn.randrange(TASKS_AT_ONCE):024x}" for _ in range(4)]
        await asyncio.gather(*(store.transact(lambda tx, arn=arn: step(tx, arn, over)) for arn in arns))  # type: ignore[misc]
        if number % 10 == 0:
            os.write(1, f"{number}\n".encode())
        if stream.done():
            stream.result()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
