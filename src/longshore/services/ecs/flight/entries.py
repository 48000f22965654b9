"""What is kept of a task beyond its life: the flight record its agent made at the end, and the task itself once it is history.

Both lie in the archive (store/archive.py), not among the resources: they are many, and nobody decides anything by them.

    collection "flight"   task ARN → FlightRecord    written with LongshoreSubmitTaskRecord, before the task is STOPPED
    collection "tasks"    task ARN → Task            written by the expiry controller, before it forgets the task

Either is written whole, and again after a crash in between: the second time changes nothing.
"""

from __future__ import annotations

import msgspec

from longshore.services.ecs.flight.model import FlightRecord
from longshore.services.ecs.model import Task, counts_as_failed
from longshore.store.archive import Archive, Entry

FLIGHT, TASKS = "flight", "tasks"


async def archived_task(archive: Archive, arn: str) -> Task | None:
    found = await archive.get(TASKS, [arn])
    return msgspec.msgpack.decode(found[arn], type=Task) if arn in found else None


async def flight_record(archive: Archive, arn: str) -> FlightRecord | None:
    found = await archive.get(FLIGHT, [arn])
    return msgspec.msgpack.decode(found[arn], type=FlightRecord) if arn in found else None


def flight_entry(record: FlightRecord) -> Entry:
    return Entry(key=record.task_arn, at=record.reported_at, body=msgspec.msgpack.encode(record))


def history_entry(task: Task) -> Entry:
    return Entry(
        key=task.arn,
        partition=task.cluster_arn,
        at=task.status.stopped_at or 0.0,
        body=msgspec.msgpack.encode(task),
        facets=facets_of(task),
    )


def facets_of(task: Task) -> tuple[str, ...]:
    """What history may be narrowed by; the rarest first."""
    spec = task.spec
    given = (
        ("started-by", spec.started_by),
        ("service", spec.group.partition(":")[2] if spec.service_arn else ""),
        ("family", task.family),
        ("instance", task.container_instance_arn),
        ("failed", "yes" if has_failed(task) else ""),
    )
    return tuple(f"{name}={value}" for name, value in given if value)


def has_failed(task: Task) -> bool:
    """It did not end well, or was stopped for not being well: what one looks for afterwards.

    A task that was asked to go has not failed, whatever its containers made of that.
    """
    if task.stop is not None:
        return counts_as_failed(task)
    return task.status.stop_code == "TaskFailedToStart" or any(
        container.exit_code or (container.reason and container.exit_code is None) for container in task.status.containers
    )
