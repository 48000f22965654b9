"""The details of events about tasks and container instances: what Describe shows of them, at that version.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_cwe_events.html. Times are text here, tags and counts of tasks stay
away, and `updatedAt` is when the change was told.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from longshore.services.ecs.events.times import iso, with_iso_times
from longshore.services.ecs.model import ContainerInstance, Task
from longshore.services.ecs.task_views import task_view
from longshore.services.ecs.views import container_instance_view
from longshore.store.base import Reader

_TASK_TIMES = (
    "connectivityAt",
    "createdAt",
    "executionStoppedAt",
    "pullStartedAt",
    "pullStoppedAt",
    "startedAt",
    "stoppedAt",
    "stoppingAt",
)


def task_detail(reader: Reader, task: Task, now: float) -> dict[str, Any]:
    detail: dict[str, Any] = msgspec.to_builtins(task_view(reader, task, with_tags=False))
    detail.pop("tags", None)
    detail["updatedAt"] = iso(now)
    return with_iso_times(detail, _TASK_TIMES)


def instance_detail(reader: Reader, instance: ContainerInstance, now: float) -> dict[str, Any]:
    detail: dict[str, Any] = msgspec.to_builtins(container_instance_view(reader, instance, with_tags=False))
    for name in ("tags", "runningTasksCount", "pendingTasksCount"):
        detail.pop(name, None)
    detail["clusterArn"] = instance.cluster_arn
    detail["updatedAt"] = iso(now)
    return with_iso_times(detail, ("registeredAt",))


def remaining_resources(reader: Reader, instance: ContainerInstance) -> Any:
    """What is left on `instance`, as `instance_detail` has it."""
    return msgspec.to_builtins(container_instance_view(reader, instance, with_tags=False).remaining_resources)


def digest_of(remaining: Any) -> int:
    """A number that changes with what is left."""
    return zlib.crc32(msgspec.json.encode(remaining))
