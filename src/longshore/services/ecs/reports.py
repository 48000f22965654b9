"""What an agent's report makes of a task: pure.

Reports come late, twice and out of order: a task and its containers only ever go forward, and the last word about a
container in one report counts (agent protocol §1.3). A task whose agent says STOPPED is stopped, whatever was wanted.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.interfaces import with_reported
from longshore.services.ecs.model import Container, NetworkBinding, Task, TaskStatus, advance
from longshore.services.ecs.placement.ports import bound_ports

_CONTAINER_ORDER = {"PENDING": 0, "RUNNING": 1, "STOPPED": 2}
#: the longest reason kept of a container or task
MOST_REASON = 1024
#: the longest id, digest or address kept, and how many ports of one container
MOST_WORD, MOST_BINDINGS = 255, 1000
#: ports of one container together, ranges spelled out: every one is looked at whenever its task changes
MOST_PORTS = 1000
MOST_PORT = 65_535
#: the end of the year 9999
_LAST_MOMENT = 253_402_300_799
ESSENTIAL_EXITED = "Essential container in task exited"


def apply_report(task: Task, report: shapes.SubmitTaskStateChangeRequest, now: float, essential: frozenset[str]) -> Task:
    """`task` after SubmitTaskStateChange; the same object when the report says nothing new. `essential` names its essential containers."""
    if task.is_stopped:
        return task
    given, task = task, with_reported(task, report.attachments or ())
    before = task.status
    containers = merge_containers(before.containers, report.containers or ())
    status = replace(
        before,
        containers=containers,
        pull_started_at=before.pull_started_at or _moment(report.pull_started_at),
        pull_stopped_at=before.pull_stopped_at or _moment(report.pull_stopped_at),
        execution_stopped_at=before.execution_stopped_at or _moment(report.execution_stopped_at),
    )
    if report.status == "RUNNING":
        status = _running(status, now)
    elif report.status == "STOPPED":
        status = _stopped(task, status, (report.reason or "")[:MOST_REASON], now, essential)
    elif report.status == "PENDING" or (report.status is None and not report.attachments):
        status = replace(status, last_status=advance(status.last_status, "PENDING"))
    if status == before and task is given:
        return given
    return replace(task, status=status)


def _moment(given: float | None) -> float | None:
    """A time as an agent tells it; one that no calendar has is none, and no reason to lose the report."""
    return given if given is not None and 0 <= given <= _LAST_MOMENT else None


def apply_container_report(task: Task, report: shapes.ContainerStateChange) -> Task:
    """`task` after SubmitContainerStateChange, which speaks of one container and never of the task."""
    if task.is_stopped:
        return task
    containers = merge_containers(task.status.containers, (report,))
    if containers == task.status.containers:
        return task
    return replace(task, status=replace(task.status, containers=containers))


def merge_containers(known: tuple[Container, ...], reported: Iterable[shapes.ContainerStateChange]) -> tuple[Container, ...]:
    """Containers in the task's own order; what is not one of the task's is left out."""
    by_name = {container.name: container for container in known}
    for change in reported:
        container = by_name.get(change.container_name or "")
        if container is not None:
            by_name[container.name] = _merged(container, change)
    return tuple(by_name[container.name] for container in known)


def _merged(container: Container, change: shapes.ContainerStateChange) -> Container:
    wanted = change.status if change.status in _CONTAINER_ORDER else container.last_status
    forward = wanted if _CONTAINER_ORDER[wanted] >= _CONTAINER_ORDER[container.last_status] else container.last_status
    bindings = tuple(
        NetworkBinding(
            container_port=binding.container_port or 0,
            host_port=binding.host_port or 0,
            protocol=binding.protocol or "tcp",
            bind_ip=(binding.bind_ip or "0.0.0.0")[:MOST_WORD],
            container_port_range=(binding.container_port_range or "")[:MOST_WORD],
            host_port_range=(binding.host_port_range or "")[:MOST_WORD],
        )
        for binding in (change.network_bindings or ())[:MOST_BINDINGS]
        # load balancers are told of these ports: what is none must not get there
        if 0 <= (binding.container_port or 0) <= MOST_PORT and 0 <= (binding.host_port or 0) <= MOST_PORT
    )
    return replace(
        container,
        last_status=forward,
        runtime_id=(change.runtime_id or container.runtime_id)[:MOST_WORD],
        image_digest=(change.image_digest or container.image_digest)[:MOST_WORD],
        exit_code=change.exit_code if change.exit_code is not None else container.exit_code,
        reason=(change.reason or container.reason)[:MOST_REASON],
        network_bindings=_within_bounds(bindings) or container.network_bindings,
    )


def _within_bounds(bindings: tuple[NetworkBinding, ...]) -> tuple[NetworkBinding, ...]:
    """The first of them, as far as their ports are not too many."""
    taken, count = [], 0
    for binding in bindings:
        count += max(1, len(bound_ports(binding)))
        if count <= MOST_PORTS:
            taken.append(binding)
    return tuple(taken)


def _running(status: TaskStatus, now: float) -> TaskStatus:
    return replace(
        status,
        last_status=advance(status.last_status, "RUNNING"),
        started_at=status.started_at or now,
        connectivity_at=status.connectivity_at or now,
    )


def _stopped(task: Task, status: TaskStatus, reason: str, now: float, essential: frozenset[str]) -> TaskStatus:
    """The agent says the whole task is over: no container of it runs, whether each was reported or not."""
    containers = tuple(replace(container, last_status="STOPPED") for container in status.containers)
    stop_code, stopped_reason = "", ""
    if task.stop is None:
        stop_code, stopped_reason = _why(status, containers, reason, essential)
    return replace(
        status,
        last_status="STOPPED",
        containers=containers,
        stopping_at=status.stopping_at or now,
        execution_stopped_at=status.execution_stopped_at or now,
        stopped_at=now,
        stop_code=stop_code,
        stopped_reason=stopped_reason,
    )


def _why(status: TaskStatus, containers: tuple[Container, ...], reason: str, essential: frozenset[str]) -> tuple[str, str]:
    """(stop code, stopped reason) of a task that nobody asked to stop."""
    failure = next((c.reason for c in containers if c.reason and c.exit_code is None), "")
    if status.started_at is None and not any(c.exit_code is not None for c in containers):
        return "TaskFailedToStart", reason or failure or "Task failed to start"
    exited = any(container.name in essential for container in containers)
    if status.started_at is None and failure:
        return "TaskFailedToStart", reason or failure
    return "EssentialContainerExited", reason or (ESSENTIAL_EXITED if exited else "All containers in task exited")
