"""What agents ask and report: where their sockets are, and what became of tasks and containers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.acting import Pairs, acting_for_instance, acting_for_task
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.interfaces import with_reported
from longshore.services.ecs.lookup import child_arn, essential_containers, find_cluster, find_task
from longshore.services.ecs.model import TASKS, Task
from longshore.services.ecs.reports import apply_container_report, apply_report
from longshore.store.base import Reader, Tx

ACCEPTED = "ACCEPT"


def _instance_resource(call: Call, request: shapes.DiscoverPollEndpointRequest) -> Iterable[str]:
    return (request.container_instance or "*",)


def _cluster_resource(call: Call, request: Any) -> Iterable[str]:
    name = request.cluster or "default"
    return (name if name.startswith("arn:") else call.arn("ecs", f"cluster/{name}"),)


def _for_instance(call: Call, request: shapes.DiscoverPollEndpointRequest) -> Pairs:
    return acting_for_instance(call, child_arn(call, request.cluster, "container-instance", request.container_instance or ""))


def acting_for_reported(call: Call, request: Any) -> Pairs:
    """Of requests that report on a `task`: it must be of an instance that the caller may act for."""
    return acting_for_task(call, child_arn(call, request.cluster, "task", request.task or ""))


def _for_attachments(call: Call, request: shapes.SubmitAttachmentStateChangesRequest) -> Pairs:
    identifiers = {change.attachment_arn.rsplit("/", 1)[-1] for change in request.attachments}
    arns = {task.arn for identifier in identifiers for task in call.store.list(TASKS, "attachment", identifier)}
    return [pair for arn in sorted(arns) for pair in acting_for_task(call, arn)]


@api.operation("DiscoverPollEndpoint", resource=_instance_resource, also=_for_instance)
async def discover_poll_endpoint(call: Call, request: shapes.DiscoverPollEndpointRequest) -> shapes.DiscoverPollEndpointResponse:
    """Bases of the control and telemetry sockets, on the address the agent itself used; it appends `/ws`."""
    return shapes.DiscoverPollEndpointResponse(
        endpoint=f"{call.base_url}/acs/", telemetry_endpoint=f"{call.base_url}/tcs/", service_connect_endpoint=f"{call.base_url}/sc/"
    )


@api.operation("SubmitTaskStateChange", resource=_cluster_resource, also=acting_for_reported)
async def submit_task_state_change(call: Call, request: shapes.SubmitTaskStateChangeRequest) -> shapes.SubmitTaskStateChangeResponse:
    """Raises InvalidParameterException for a task nobody knows: the agent then forgets the report instead of repeating it."""
    now = call.clock.now()

    def report(tx: Tx) -> None:
        task = reported_task(tx, call, request.cluster, request.task)
        changed = apply_report(task, request, now, essential_containers(tx, task))
        if changed is not task:
            tx.put(TASKS, changed)

    await call.store.transact(report)
    return shapes.SubmitTaskStateChangeResponse(acknowledgment=ACCEPTED)


@api.operation("SubmitContainerStateChange", resource=_cluster_resource, also=acting_for_reported)
async def submit_container_state_change(
    call: Call, request: shapes.SubmitContainerStateChangeRequest
) -> shapes.SubmitContainerStateChangeResponse:
    """The older way of reporting: one container, without the task's own state."""
    change = shapes.ContainerStateChange(
        container_name=request.container_name,
        runtime_id=request.runtime_id,
        exit_code=request.exit_code,
        network_bindings=request.network_bindings,
        reason=request.reason,
        status=request.status,
    )

    def report(tx: Tx) -> None:
        task = reported_task(tx, call, request.cluster, request.task)
        changed = apply_container_report(task, change)
        if changed is not task:
            tx.put(TASKS, changed)

    await call.store.transact(report)
    return shapes.SubmitContainerStateChangeResponse(acknowledgment=ACCEPTED)


@api.operation("SubmitAttachmentStateChanges", resource=_cluster_resource, also=_for_attachments)
async def submit_attachment_state_changes(
    call: Call, request: shapes.SubmitAttachmentStateChangesRequest
) -> shapes.SubmitAttachmentStateChangesResponse:
    """Attachments of no task here are left out: agents want it acknowledged all the same."""
    cluster = find_cluster(call.store, call, request.cluster)

    def report(tx: Tx) -> None:
        for change in request.attachments:
            for task in tx.list(TASKS, "attachment", change.attachment_arn.rsplit("/", 1)[-1]):
                changed = with_reported(task, (change,)) if task.cluster_arn == cluster.arn else task
                if changed is not task:
                    tx.put(TASKS, changed)

    await call.store.transact(report)
    return shapes.SubmitAttachmentStateChangesResponse(acknowledgment=ACCEPTED)


def reported_task(reader: Reader, call: Call, cluster: str | None, task: str | None) -> Task:
    """The task that an agent speaks of. Raises InvalidParameterException for one that nobody knows."""
    found = find_task(reader, call, find_cluster(reader, call, cluster), task or "")
    if found is None:
        raise InvalidParameterException("The task is not known.")
    return found
