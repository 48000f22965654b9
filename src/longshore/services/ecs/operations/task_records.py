"""Tasks that have ended: their flight records, and the history of those that DescribeTasks does not show any more.

Operations of our own (docs/extensions.md). What stopped lately is in the store, what stopped long ago in the archive; answers
put the two together.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator

import msgspec

from longshore.aws.flight import ContainerFlight
from longshore.aws.pagination import seal, unseal
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.flight import shapes
from longshore.services.ecs.flight.entries import FLIGHT, archived_task, facets_of, flight_entry, flight_record, has_failed, history_entry
from longshore.services.ecs.flight.entries import TASKS as ARCHIVED
from longshore.services.ecs.flight.model import FlightRecord
from longshore.services.ecs.lookup import (
    child_arn,
    cluster_arn,
    cluster_resource,
    container_instance_arn,
    find_cluster,
    task_arn,
)
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Cluster, Task
from longshore.services.ecs.operations.agent import acting_for_reported, reported_task
from longshore.services.ecs.rollout.model import SERVICE_EVENTS
from longshore.services.ecs.task_views import task_view
from longshore.store.archive import Entry, Position

ACCEPTED = "ACCEPT"
#: of one container; what its agent keeps to (agent/flight.py), with a little room
MOST_LOG_CHARACTERS = 17 * 1024
MOST_CONTAINERS, MOST_PROBES, MOST_TEXT = 50, 10, 4096
#: seconds around a task's life in which its service's events are shown, and how many
AROUND_S, MOST_EVENTS = 60.0, 50
_PAGE = 100
#: stopped tasks looked at before others have their turn
_STRIDE = 2000
_LATEST = 1e18


# ── written ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation(
    "LongshoreSubmitTaskRecord",
    # who may report may report this, too: policies written for AWS's agent know of nothing else
    action="ecs:SubmitTaskStateChange",
    resource=cluster_resource,
    also=acting_for_reported,
    shape=shapes.SUBMIT,
)
async def submit_task_record(call: Call, request: shapes.SubmitTaskRecordRequest) -> shapes.SubmitTaskRecordResponse:
    """Comes before the report that the task has STOPPED, and again until it is acknowledged.

    Raises InvalidParameterException for a task nobody knows and for what is longer than a record may be.
    """
    task = reported_task(call.store, call, request.cluster, request.task)
    known = {container.name for container in task.status.containers}
    if len(request.containers) > MOST_CONTAINERS or not {container.name for container in request.containers} <= known:
        raise InvalidParameterException("The record speaks of containers that the task does not have.")
    for container in request.containers:
        _check(container)
    record = FlightRecord(task_arn=task.arn, reported_at=call.clock.now(), containers=request.containers)
    await call.archive.put(FLIGHT, [flight_entry(record)])
    return shapes.SubmitTaskRecordResponse(acknowledgment=ACCEPTED)


def _check(container: ContainerFlight) -> None:
    texts = (container.error, container.reason, container.log_error, container.runtime_id, container.signal, container.health)
    too_long = (
        len(container.log_tail) > MOST_LOG_CHARACTERS
        or len(container.probes) > MOST_PROBES
        or any(len(text) > MOST_TEXT for text in (*texts, *(probe.output for probe in container.probes)))
    )
    if too_long:
        raise InvalidParameterException(f"What the record says of the container {container.name} is too long.")


# ── one task ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _named(call: Call, request: shapes.GetTaskRecordRequest) -> Iterable[str]:
    return (child_arn(call, request.cluster, "task", request.task),)


def _cluster_condition(call: Call, request: shapes.GetTaskRecordRequest | shapes.ListTaskHistoryRequest) -> dict[str, list[str]]:
    return {"ecs:cluster": [cluster_arn(call, request.cluster)]}


@api.operation("LongshoreGetTaskRecord", resource=_named, conditions=_cluster_condition, shape=shapes.GET)
async def get_task_record(call: Call, request: shapes.GetTaskRecordRequest) -> shapes.GetTaskRecordResponse:
    """Everything that is known of a task, however long ago it ended. Raises InvalidParameterException for one nobody knows."""
    cluster = find_cluster(call.store, call, request.cluster)
    arn = task_arn(call, cluster, request.task)
    live = call.store.get(TASKS, arn)
    task = live or await archived_task(call.archive, arn)
    if task is None:
        raise InvalidParameterException("The referenced task was not found.")
    record = await flight_record(call.archive, arn)
    instance = call.store.get(CONTAINER_INSTANCES, task.container_instance_arn)
    return shapes.GetTaskRecordResponse(
        task=task_view(call.store, task, with_tags=True),
        archived=live is None,
        ec2_instance_id=instance.ec2_instance_id if instance is not None else None,
        recorded_at=record.reported_at if record is not None else None,
        containers=record.containers if record is not None else (),
        service_events=_events_around(call, task),
    )


def _events_around(call: Call, task: Task) -> tuple[shapes.ServiceEvent, ...]:
    if not task.spec.service_arn:
        return ()
    begin = task.spec.created_at - AROUND_S
    end = (task.status.stopped_at or call.clock.now()) + AROUND_S
    events = call.store.list(SERVICE_EVENTS, "service", task.spec.service_arn)
    around = [event for event in events if begin <= event.created_at <= end]
    return tuple(shapes.ServiceEvent(created_at=event.created_at, message=event.message) for event in around[-MOST_EVENTS:])


# ── many ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("LongshoreListTaskHistory", resource=cluster_resource, conditions=_cluster_condition, shape=shapes.LIST)
async def list_task_history(call: Call, request: shapes.ListTaskHistoryRequest) -> shapes.ListTaskHistoryResponse:
    """Tasks that have stopped, newest first, as far back as history is kept."""
    cluster = find_cluster(call.store, call, request.cluster)
    limit = request.max_results or _PAGE
    wanted = _facets(call, cluster, request)
    question = ("LongshoreListTaskHistory", cluster.arn, *wanted, request.since, request.until)
    refusal = InvalidParameterException("Invalid token.")
    before = _position(unseal(call.secret_for_signing, question, request.next_token, refusal))
    live = await _live(call, cluster, request, set(wanted), before, limit + 1)
    past = await call.archive.find(
        ARCHIVED,
        cluster.arn,
        facets=wanted,
        since=request.since or 0.0,
        until=request.until,
        before=before,
        limit=limit + 1,
    )
    alive = {entry.key for entry in live}
    merged = sorted([*live, *(entry for entry in past if entry.key not in alive)], key=_place, reverse=True)
    page, more = merged[:limit], len(merged) > limit
    return shapes.ListTaskHistoryResponse(
        tasks=tuple(_ended(entry, archived=entry.key not in alive) for entry in page),
        next_token=seal(call.secret_for_signing, question, f"{page[-1].at!r}|{page[-1].key}") if more else None,
    )


def _facets(call: Call, cluster: Cluster, request: shapes.ListTaskHistoryRequest) -> tuple[str, ...]:
    """What every task in the answer has; the rarest first. Names that nothing has find nothing."""
    instance = container_instance_arn(call, cluster, request.container_instance) if request.container_instance else ""
    given = (
        ("started-by", request.started_by),
        ("service", request.service_name.rsplit("/", 1)[-1] if request.service_name else ""),
        ("family", request.family),
        ("instance", instance),
        ("failed", "yes" if request.failed_only else ""),
    )
    return tuple(f"{name}={value}" for name, value in given if value)


async def _live(
    call: Call, cluster: Cluster, request: shapes.ListTaskHistoryRequest, wanted: set[str], before: Position | None, limit: int
) -> list[Entry]:
    """Of those that DescribeTasks shows still. They may be very many, where somebody wished to keep them at hand."""
    index, value = "cluster", f"{cluster.arn}|STOPPED"
    if request.service_name:
        index, value = "service_name", f"{cluster.arn}|service:{request.service_name.rsplit('/', 1)[-1]}|STOPPED"
    elif request.family:
        index, value = "family", f"{cluster.arn}|{request.family}|STOPPED"
    since, until = request.since or 0.0, request.until if request.until is not None else _LATEST
    in_time: list[tuple[float, str, Task]] = []
    after: str | None = None
    while page := call.store.list(TASKS, index, value, after=after, limit=_STRIDE):
        for task in page:
            at = task.status.stopped_at
            if at is not None and since <= at <= until and (before is None or (at, task.arn) < before):
                in_time.append((at, task.arn, task))
        after = page[-1].arn
        await asyncio.sleep(0)  # others have their turn
    return list(itertools.islice(_newest(in_time, wanted), limit))


def _newest(in_time: list[tuple[float, str, Task]], wanted: set[str]) -> Iterator[Entry]:
    """Newest first, and looked at only as far as somebody asks."""
    in_time.sort(key=lambda one: one[:2], reverse=True)
    for _, _, task in in_time:
        if task.is_stopped and wanted <= set(facets_of(task)):
            yield history_entry(task)


def _place(entry: Entry) -> Position:
    return entry.at, entry.key


def _position(text: str | None) -> Position | None:
    if text is None:
        return None
    at, _, key = text.partition("|")
    return float(at), key


def _ended(entry: Entry, *, archived: bool) -> shapes.EndedTask:
    task = msgspec.msgpack.decode(entry.body, type=Task)
    spec, status = task.spec, task.status
    return shapes.EndedTask(
        task_arn=task.arn,
        task_definition_arn=spec.task_definition_arn,
        group=spec.group,
        started_by=spec.started_by or None,
        availability_zone=task.availability_zone or None,
        container_instance_arn=task.container_instance_arn or None,
        created_at=spec.created_at,
        started_at=status.started_at,
        stopped_at=entry.at,
        stop_code=(task.stop.code if task.stop is not None else status.stop_code) or None,
        stopped_reason=(task.stop.reason if task.stop is not None else status.stopped_reason) or None,
        failed=has_failed(task),
        archived=archived,
        containers=_containers(task),
    )


def _containers(task: Task) -> tuple[shapes.EndedContainer, ...]:
    return tuple(
        shapes.EndedContainer(
            name=container.name,
            exit_code=container.exit_code,
            reason=container.reason or None,
            image=container.image or None,
            image_digest=container.image_digest or None,
        )
        for container in task.status.containers
    )
