"""Tasks of services are protected for a while: neither scale-in, nor a deployment, nor a drained instance ends them before.

What a task's own failing health checks, StopTask or the deletion of its service do to it is not held up.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.lookup import child_arn, child_resources, cluster_arn, find_cluster, find_task
from longshore.services.ecs.lookup import task_arn as arn_of
from longshore.services.ecs.model import TASKS, Task
from longshore.services.ecs.rollout.model import DEPLOYMENTS
from longshore.store.base import Reader, Tx

MOST_TASKS = 10
DEFAULT_MINUTES, MOST_MINUTES = 120, 2880
NOT_VALID = "The specified task is not part of an Amazon ECS service or is not running."
BLOCKED = (
    "Unable to set protection on the task. One or more of your protected tasks are preventing your service deployment from "
    "reaching steady state. Remove or let expire the protection of older tasks for the deployment to complete."
)

Asked = shapes.GetTaskProtectionRequest | shapes.UpdateTaskProtectionRequest


def _named(call: Call, request: Asked) -> Iterable[str]:
    return child_resources(call, request.cluster, "task", request.tasks or ())


def _every(call: Call, request: shapes.GetTaskProtectionRequest) -> Iterable[str]:
    """Without tasks all of the cluster are asked about."""
    return _named(call, request) if request.tasks else (child_arn(call, request.cluster, "task", "*"),)


def _cluster_condition(call: Call, request: Asked) -> dict[str, list[str]]:
    return {"ecs:cluster": [cluster_arn(call, request.cluster)]}


@api.operation("UpdateTaskProtection", resource=_named, conditions=_cluster_condition)
async def update_task_protection(call: Call, request: shapes.UpdateTaskProtectionRequest) -> shapes.UpdateTaskProtectionResponse:
    """For `expires_in_minutes` from now on (two hours unless said), or no longer. Up to ten tasks; why one was not is in `failures`."""
    if not request.tasks:
        raise InvalidParameterException("tasks cannot be empty")
    if len(request.tasks) > MOST_TASKS:
        raise InvalidParameterException(f"Tasks cannot have more than {MOST_TASKS} elements.")
    minutes = DEFAULT_MINUTES if request.expires_in_minutes is None else request.expires_in_minutes
    if not 1 <= minutes <= MOST_MINUTES:
        raise InvalidParameterException(f"expiresInMinutes must be between 1 and {MOST_MINUTES}.")
    now = call.clock.now()
    until = now + minutes * 60.0 if request.protection_enabled else None

    def update(tx: Tx) -> tuple[list[Task], list[shapes.Failure]]:
        found, failures = _found(tx, call, request.cluster, request.tasks)
        changed: list[Task] = []
        for task in found:
            if until is not None and _blocks(tx, task, now):
                failures.append(shapes.Failure(arn=task.arn, reason="DEPLOYMENT_BLOCKED", detail=BLOCKED))
            else:
                changed.append(tx.put(TASKS, replace(task, protected_until=until)) if task.protected_until != until else task)
        return changed, failures

    changed, failures = await call.store.transact(update)
    return shapes.UpdateTaskProtectionResponse(protected_tasks=tuple(_view(task, now) for task in changed), failures=tuple(failures))


@api.operation("GetTaskProtection", resource=_every, conditions=_cluster_condition)
async def get_task_protection(call: Call, request: shapes.GetTaskProtectionRequest) -> shapes.GetTaskProtectionResponse:
    """Of the tasks named, or of every running task of a service in the cluster (a hundred at most)."""
    references = request.tasks or ()
    if len(references) > 100:
        raise InvalidParameterException("Tasks cannot have more than 100 elements.")
    now = call.clock.now()
    if references:
        found, failures = _found(call.store, call, request.cluster, references)
    else:
        cluster = find_cluster(call.store, call, request.cluster)
        found, failures = [one for one in call.store.list(TASKS, "cluster", f"{cluster.arn}|RUNNING") if _can_be(one)][:100], []
    return shapes.GetTaskProtectionResponse(protected_tasks=tuple(_view(task, now) for task in found), failures=tuple(failures))


def _found(reader: Reader, call: Call, cluster: str, references: Iterable[str]) -> tuple[list[Task], list[shapes.Failure]]:
    there, found, failures = find_cluster(reader, call, cluster), [], []
    for reference in dict.fromkeys(references):
        task = find_task(reader, call, there, reference)
        if task is None:
            failures.append(shapes.Failure(arn=arn_of(call, there, reference), reason="MISSING"))
        elif not _can_be(task):
            failures.append(shapes.Failure(arn=task.arn, reason="TASK_NOT_VALID", detail=NOT_VALID))
        else:
            found.append(task)
    return found, failures


def _can_be(task: Task) -> bool:
    return bool(task.spec.service_arn) and task.desired_status == "RUNNING"


def _blocks(reader: Reader, task: Task, now: float) -> bool:
    """An old deployment's task, where protected tasks of old deployments are all that the new one still waits for."""
    deployments = {one.id: one for one in reader.list(DEPLOYMENTS, "service", task.spec.service_arn)}
    own = deployments.get(task.spec.deployment_id)
    if own is None or own.status == "PRIMARY":
        return False
    old = [
        one
        for one in reader.list(TASKS, "service", task.spec.service_arn)
        if one.stop is None and (deployments.get(one.spec.deployment_id) or own).status != "PRIMARY"
    ]
    return all((one.protected_until or 0.0) > now for one in old)


def _view(task: Task, now: float) -> shapes.ProtectedTask:
    """A protection that is over is none."""
    until = task.protected_until if task.protected_until is not None and task.protected_until > now else None
    return shapes.ProtectedTask(task_arn=task.arn, protection_enabled=until is not None, expiration_date=until)
