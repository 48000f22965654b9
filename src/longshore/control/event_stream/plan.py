"""Which events a change calls for, and which are still to be told after a time in which nobody listened: pure.

Every event has a subject and a version (store/event_log.py), and versions of a subject only grow. Tasks and container instances bring
theirs along; a service's action has the number of the line in its event log, and a deployment the stage it has reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from longshore.services.ecs.events.actions import action_of, stage_of
from longshore.services.ecs.model import ContainerInstance, NetworkBinding, Reservation, Task
from longshore.services.ecs.rollout.model import Deployment, ServiceEvent

#: what events tell of
Told = Task | ContainerInstance | ServiceEvent | Deployment


class Telling(NamedTuple):
    """One event to be appended: `value` as it was at that version."""

    subject: str
    version: int
    value: Told


def telling(value: Told) -> Telling | None:
    """What there is to tell of `value` as it is; None when that is nothing."""
    match value:
        case Task() | ContainerInstance():
            return Telling(value.arn, value.version, value)
        case ServiceEvent():
            return Telling(value.service_arn, value.sequence, value) if action_of(value.message) is not None else None
        case Deployment():
            return Telling(value.id, stage, value) if (stage := stage_of(value)) else None


def untold(present: Iterable[Told], marks: Mapping[str, int], since: float | None) -> list[Telling]:
    """What `present` has that is newer than `marks`, the versions told last; states that were passed meanwhile are not told.

    Lines of services' event logs from before `since` (None: there is no such time) are left out: an event stream that begins does not
    begin with history.
    """
    found = []
    for value in present:
        if since is not None and isinstance(value, ServiceEvent) and value.created_at < since:
            continue
        one = telling(value)
        if one is not None and one.version > marks.get(one.subject, 0):
            found.append(one)
    return found


class _Holding(NamedTuple):
    """What a task takes, and where."""

    instance_arn: str
    reservation: Reservation
    bindings: tuple[tuple[NetworkBinding, ...], ...]
    gpu_ids: tuple[str, ...]


def instances_touched(old: Task | None, new: Task | None) -> frozenset[str]:
    """The container instances on which a change of a task leaves more or less than before."""
    before, after = _holding(old), _holding(new)
    return frozenset() if before == after else frozenset(holding.instance_arn for holding in (before, after) if holding is not None)


def _holding(task: Task | None) -> _Holding | None:
    if task is None or task.is_stopped or not task.container_instance_arn:
        return None
    bindings = tuple(container.network_bindings for container in task.status.containers)
    return _Holding(task.container_instance_arn, task.spec.reservation, bindings, task.gpu_ids)
