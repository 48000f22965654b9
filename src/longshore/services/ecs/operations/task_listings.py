"""Tasks shown and listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.listing import list_page
from longshore.services.ecs.lookup import (
    child_arn,
    child_resources,
    cluster_arn,
    cluster_name_of,
    container_instance_arn,
    find_cluster,
    find_service,
    find_task,
    task_arn,
)
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Cluster, Task
from longshore.services.ecs.names import NAME
from longshore.services.ecs.task_views import task_view
from longshore.store.base import Reader

MOST_DESCRIBED = 100


def _cluster_condition(call: Call, request: shapes.DescribeTasksRequest | shapes.ListTasksRequest) -> dict[str, list[str]]:
    return {"ecs:cluster": [cluster_arn(call, request.cluster)]}


def _described(call: Call, request: shapes.DescribeTasksRequest) -> Iterable[str]:
    return child_resources(call, request.cluster, "task", request.tasks)


@api.operation("DescribeTasks", resource=_described, conditions=_cluster_condition)
async def describe_tasks(call: Call, request: shapes.DescribeTasksRequest) -> shapes.DescribeTasksResponse:
    """Stopped tasks are shown for an hour; what is not known is MISSING."""
    cluster = find_cluster(call.store, call, request.cluster)
    if not request.tasks:
        raise InvalidParameterException("Tasks cannot be empty.")
    if len(request.tasks) > MOST_DESCRIBED:
        raise InvalidParameterException(f"Tasks cannot have more than {MOST_DESCRIBED} elements.")
    with_tags = "TAGS" in (request.include or ())
    found: list[shapes.Task] = []
    failures: list[shapes.Failure] = []
    for reference in dict.fromkeys(request.tasks):
        task = find_task(call.store, call, cluster, reference)
        if task is None:
            failures.append(shapes.Failure(arn=task_arn(call, cluster, reference), reason="MISSING"))
        else:
            found.append(task_view(call.store, task, with_tags=with_tags))
    return shapes.DescribeTasksResponse(tasks=tuple(found), failures=tuple(failures))


def _listed(call: Call, request: shapes.ListTasksRequest) -> Iterable[str]:
    if request.container_instance:
        return (child_arn(call, request.cluster, "container-instance", request.container_instance),)
    return (call.arn("ecs", f"container-instance/{cluster_name_of(call, request.cluster)}/*"),)


@api.operation("ListTasks", resource=_listed, conditions=_cluster_condition)
async def list_tasks(call: Call, request: shapes.ListTasksRequest) -> shapes.ListTasksResponse:
    """Tasks that are to run, or with `desiredStatus` STOPPED those that are not, as far as every filter given lets them through."""
    cluster = find_cluster(call.store, call, request.cluster)
    wanted = request.desired_status or "RUNNING"
    index, value = _narrowest(call.store, call, cluster, request, wanted)
    found, token = list_page(
        call,
        TASKS,
        index,
        value,
        token=request.next_token,
        max_results=request.max_results,
        question=(request.family, request.started_by, request.service_name, wanted, request.launch_type, request.container_instance),
        keep=_filter(call, cluster, request, wanted),
    )
    return shapes.ListTasksResponse(task_arns=tuple(task.arn for task in found), next_token=token)


def _narrowest(reader: Reader, call: Call, cluster: Cluster, request: shapes.ListTasksRequest, wanted: str) -> tuple[str, str]:
    """The index that leaves the least to filter. Raises for a service or an instance that is not there, and for what ECS does not let
    one filter by at once."""
    if request.daemon_name:
        raise InvalidParameterException("Daemons are not offered by this installation.")
    if request.started_by and (request.family or request.service_name or request.container_instance or request.launch_type):
        raise InvalidParameterException("When you specify startedBy as the filter, it must be the only filter that you use.")
    if request.service_name:
        service = find_service(reader, call, cluster, request.service_name)
        return "service_name", f"{cluster.arn}|service:{service.name}|{wanted}"
    if request.container_instance:
        arn = container_instance_arn(call, cluster, request.container_instance)
        if reader.get(CONTAINER_INSTANCES, arn) is None:
            raise InvalidParameterException("The specified container instance was not found.")
        return "container_instance", arn
    if request.started_by:
        return "started_by", f"{cluster.arn}|{request.started_by}|{wanted}"
    if request.family:
        if not NAME.fullmatch(request.family):
            raise InvalidParameterException("Family contains invalid characters.")
        return "family", f"{cluster.arn}|{request.family}|{wanted}"
    return "cluster", f"{cluster.arn}|{wanted}"


def _filter(call: Call, cluster: Cluster, request: shapes.ListTasksRequest, wanted: str) -> Callable[[Task], bool] | None:
    """None where the index alone answers, as it mostly does."""
    instance = container_instance_arn(call, cluster, request.container_instance) if request.container_instance else None
    if instance is None and not request.launch_type and sum(map(bool, (request.family, request.started_by, request.service_name))) < 2:
        return None
    group = f"service:{request.service_name.rsplit('/', 1)[-1]}" if request.service_name else None

    def keep(task: Task) -> bool:
        return (
            task.desired_status == wanted
            and instance in (None, task.container_instance_arn)
            and request.family in (None, "", task.family)
            and request.started_by in (None, "", task.spec.started_by)
            and request.launch_type in (None, task.spec.launch_type)
            and (group is None or (bool(task.spec.service_arn) and task.spec.group == group))
        )

    return keep
