"""What tasks and container instances use at present, beyond AWS: there CloudWatch has it, minutes later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

from longshore.aws.protocol.model import OperationShape
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.lookup import child_resources, find_cluster, find_container_instance, find_task
from longshore.services.ecs.model import TASKS, Cluster
from longshore.services.ecs.utilisation import TaskUse

_References = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=2048)], ...], Meta(max_length=100)]


class GetUtilizationRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster: str | None = None
    #: names or ARNs, up to 100
    tasks: _References | None = None
    container_instances: _References | None = None


class ContainerUtilization(Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    name: str
    cpu_percent: float
    memory_mib: float


class TaskUtilization(Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    task_arn: str
    reported_at: float
    cpu_percent: float
    memory_mib: float
    containers: tuple[ContainerUtilization, ...]


class InstanceUtilization(Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """Sums over the tasks there that were reported."""

    container_instance_arn: str
    cpu_percent: float
    memory_mib: float
    reported_tasks: int


class GetUtilizationResponse(Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    tasks: tuple[TaskUtilization, ...]
    container_instances: tuple[InstanceUtilization, ...]


GET_UTILIZATION = OperationShape("LongshoreGetUtilization", GetUtilizationRequest, GetUtilizationResponse)


def _resources(call: Call, request: GetUtilizationRequest) -> Iterable[str]:
    tasks = child_resources(call, request.cluster, "task", request.tasks) if request.tasks else []
    instances = child_resources(call, request.cluster, "container-instance", request.container_instances or ())
    return [*tasks, *(instances if request.container_instances or not tasks else ())]


@api.operation("LongshoreGetUtilization", resource=_resources, shape=GET_UTILIZATION)
async def get_utilization(call: Call, request: GetUtilizationRequest) -> GetUtilizationResponse:
    """What nothing was heard of lately is left out."""
    cluster = find_cluster(call.store, call, request.cluster)
    if not request.tasks and not request.container_instances:
        raise InvalidParameterException("Tasks or container instances must be named.")
    tasks = [_task(call, cluster, reference) for reference in dict.fromkeys(request.tasks or ())]
    instances = [_instance(call, cluster, reference) for reference in dict.fromkeys(request.container_instances or ())]
    return GetUtilizationResponse(
        tasks=tuple(one for one in tasks if one is not None), container_instances=tuple(one for one in instances if one is not None)
    )


def _task(call: Call, cluster: Cluster, reference: str) -> TaskUtilization | None:
    task = find_task(call.store, call, cluster, reference)
    if task is None or task.is_stopped:
        return None
    use = call.utilisation.of_task(task.arn, task.container_instance_arn, call.clock.now())
    if use is None:
        return None
    return TaskUtilization(
        task_arn=task.arn,
        reported_at=use.at,
        cpu_percent=round(use.cpu_percent, 3),
        memory_mib=round(use.memory_mib, 3),
        containers=tuple(
            ContainerUtilization(name=one.name, cpu_percent=one.cpu_percent, memory_mib=one.memory_mib) for one in use.containers
        ),
    )


def _instance(call: Call, cluster: Cluster, reference: str) -> InstanceUtilization | None:
    instance = find_container_instance(call.store, call, cluster, reference)
    if instance is None:
        return None
    now = call.clock.now()
    tasks = call.store.list(TASKS, "active_on", instance.arn)
    uses: list[TaskUse] = [use for task in tasks if (use := call.utilisation.of_task(task.arn, instance.arn, now)) is not None]
    return InstanceUtilization(
        container_instance_arn=instance.arn,
        cpu_percent=round(sum(use.cpu_percent for use in uses), 3),
        memory_mib=round(sum(use.memory_mib for use in uses), 3),
        reported_tasks=len(uses),
    )
