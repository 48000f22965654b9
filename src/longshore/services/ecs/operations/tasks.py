"""Tasks of one's own: run where there is place, started on chosen instances, stopped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.capacity.rules import Launch, checked_launch
from longshore.services.ecs.capacity.split import split
from longshore.services.ecs.client_tokens import bare_token, kept_token
from longshore.services.ecs.errors import ClientException, ConflictException, InvalidParameterException
from longshore.services.ecs.launch_conditions import launch_conditions
from longshore.services.ecs.launching import check_launchable
from longshore.services.ecs.lookup import (
    child_arn,
    cluster_arn,
    cluster_name_of,
    container_instance_arn,
    definition_of_arn,
    definition_resource,
    find_cluster,
    find_container_instance,
    find_definition,
    find_runnable_definition,
    find_task,
    passed_roles,
)
from longshore.services.ecs.model import TASKS, Cluster, Tag, Task, TaskDefinition, TaskSpec
from longshore.services.ecs.new_task import new_task, placed
from longshore.services.ecs.overrides import check_overrides, normal
from longshore.services.ecs.placement.placing import place_tasks, refusal_on, request_of
from longshore.services.ecs.placement_rules import checked_constraints, checked_strategy, with_definition
from longshore.services.ecs.resource_tags import creation_conditions
from longshore.services.ecs.stopping import stopped_by
from longshore.services.ecs.tagging import tagging_rights, tags_from
from longshore.services.ecs.task_roles import refused_role
from longshore.services.ecs.task_views import task_view
from longshore.services.elbv2.model import TARGETS
from longshore.store.base import Reader, Tx

MOST_TASKS = 10
MOST_REASON = 1024
STOPPED_BY_USER = "Task stopped by user"
_STARTED_BY = re.compile(r"[A-Za-z0-9_/-]{0,128}")
#: said of a provider that no ACTIVE instance stands for
NO_INSTANCES_OF_PROVIDER = "No Container Instances were found in your capacity provider."
#: seconds for which a client token means what it meant first, as long as its tasks are remembered
TOKEN_KEPT_S = 24 * 3600.0
_GROUP = re.compile(r"[^\x00-\x1f]{1,255}")

Asked = shapes.RunTaskRequest | shapes.StartTaskRequest


def _roles(call: Call, request: Asked) -> Iterable[tuple[str, str]]:
    """Whoever runs a task hands over the roles it runs with."""
    overrides = request.overrides or shapes.TaskOverride()
    found = find_definition(call.store, call, request.task_definition)
    roles = found.definition if found is not None else shapes.TaskDefinition()
    yield from passed_roles(call, overrides.task_role_arn or roles.task_role_arn, overrides.execution_role_arn or roles.execution_role_arn)
    yield from tagging_rights(call, request.tags, call.arn("ecs", f"task/{cluster_name_of(call, request.cluster)}/*"))


def _conditions(call: Call, request: Asked) -> dict[str, list[str]]:
    found = {"ecs:cluster": [cluster_arn(call, request.cluster)]} | launch_conditions(call, request)
    return found | creation_conditions("RunTask" if isinstance(request, shapes.RunTaskRequest) else "StartTask", request.tags)


# ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("RunTask", resource=definition_resource, also=_roles, conditions=_conditions)
async def run_task(call: Call, request: shapes.RunTaskRequest) -> shapes.RunTaskResponse:
    """Up to ten tasks alike, each where placement finds room; what finds none is told in `failures`, one entry per instance."""
    count = 1 if request.count is None else request.count
    if not 1 <= count <= MOST_TASKS:
        raise InvalidParameterException(f"count must be between 1 and {MOST_TASKS}.")
    constraints, strategy = checked_constraints(request.placement_constraints), checked_strategy(request.placement_strategy)
    cluster = find_cluster(call.store, call, request.cluster)
    token = kept_token(request.client_token, request)
    # before anything that is named is looked up: it may be gone since
    again = _same_again(call.store, cluster, token, call.clock.now())
    if again:
        return _ran(call, again)
    definition = find_runnable_definition(call.store, call, request.task_definition)
    launch = checked_launch(call.store, cluster, request.launch_type, request.capacity_provider_strategy)
    check_launchable(call, definition, launch.launch_type, request.network_configuration)
    if request.platform_version:
        raise InvalidParameterException("The platform version must be null when specifying an EC2 or EXTERNAL launch type.")
    spec = replace(
        _spec(call, request, cluster, definition),
        launch_type=launch.launch_type,
        placement_constraints=with_definition(constraints, definition.definition),
        placement_strategy=strategy,
        client_token=token,
    )
    tasks = _of_providers(_new_tasks(call, cluster, definition, spec, count), launch)
    chance = call.ids.fraction()

    def run(tx: Tx) -> tuple[list[Task], tuple[shapes.Failure, ...]]:
        before = _same_again(tx, cluster, token, spec.created_at)
        if before:
            return before, ()
        if launch.strategy:
            checked_launch(tx, find_cluster(tx, call, cluster.arn), None, launch.strategy)
        find_cluster(tx, call, cluster.arn)
        find_runnable_definition(tx, call, definition.arn)
        return _place(tx, cluster, tasks, definition, chance)

    made, failures = await call.store.transact(run)
    return _ran(call, made, failures, definition)


def _ran(
    call: Call, made: list[Task], failures: tuple[shapes.Failure, ...] = (), definition: TaskDefinition | None = None
) -> shapes.RunTaskResponse:
    views = (task_view(call.store, task, with_tags=bool(task.spec.tags), definition=definition) for task in made)
    return shapes.RunTaskResponse(tasks=tuple(views), failures=failures)


def _place(
    tx: Tx, cluster: Cluster, tasks: list[Task], definition: TaskDefinition, chance: float
) -> tuple[list[Task], tuple[shapes.Failure, ...]]:
    """Tasks of one provider after those of another: each share sees what the ones before it have taken."""
    made: list[Task] = []
    for provider, share in groupby(tasks, key=lambda task: task.spec.capacity_provider):
        alike = list(share)
        there, refused = place_tasks(tx, cluster.arn, request_of(tx, alike[0], definition, chance=chance), alike)
        made += there
        if refused is None:
            continue
        if not refused.refusals and not made:
            raise InvalidParameterException(NO_INSTANCES_OF_PROVIDER if provider else refused.reason)
        failures = tuple(shapes.Failure(arn=one.instance_arn, reason=one.reason) for one in refused.refusals)
        return made, failures or (shapes.Failure(arn=cluster.arn, reason=refused.reason, detail=provider),)
    return made, ()


def _of_providers(tasks: list[Task], launch: Launch) -> list[Task]:
    """`tasks` shared out to the providers of the strategy, if there is one."""
    names = [name for name, number in split(launch.strategy, len(tasks)).items() for _ in range(number)]
    return [
        replace(task, spec=replace(task.spec, capacity_provider=name)) if name else task
        for task, name in zip(tasks, names or [""] * len(tasks), strict=True)
    ]


def _same_again(reader: Reader, cluster: Cluster, token: str, now: float) -> list[Task]:
    """The tasks an earlier call with this client token made. Raises ConflictException when that call asked for something else."""
    if not token:
        return []
    known = reader.list(TASKS, "client_token", f"{cluster.arn}|{bare_token(token)}")
    before = [task for task in known if task.spec.created_at > now - TOKEN_KEPT_S]
    if any(task.spec.client_token != token for task in before):
        raise ConflictException(resourceIds=[task.arn for task in before])
    return before


def _new_tasks(call: Call, cluster: Cluster, definition: TaskDefinition, spec: TaskSpec, count: int) -> list[Task]:
    """Not placed yet. Ids are drawn here, because what is inside a transaction may run twice. Raises ClientException."""
    ids, containers = call.ids, len(definition.definition.container_definitions or ())
    tasks = [
        new_task(
            call.arn("ecs", f"task/{cluster.name}/{ids.hex(32)}"),
            cluster.arn,
            definition,
            spec,
            [ids.uuid() for _ in range(containers)],
        )
        for _ in range(count)
    ]
    if broken := refused_role(call.store, tasks[0], definition):
        raise ClientException(broken)
    return tasks


def _spec(call: Call, request: Asked, cluster: Cluster, definition: TaskDefinition) -> TaskSpec:
    """What RunTask and StartTask have in common. Raises InvalidParameterException."""
    started_by, group = request.started_by or "", request.group or f"family:{definition.family}"
    if not _STARTED_BY.fullmatch(started_by):
        raise InvalidParameterException("startedBy is up to 128 letters, numbers, hyphens, forward slashes and underscores.")
    if not _GROUP.fullmatch(group) or group.startswith("service:"):
        raise InvalidParameterException("The group of a task is up to 255 characters and does not begin with service:.")
    if request.volume_configurations:
        raise InvalidParameterException("Volume configurations are not offered by this installation.")
    if request.overrides is not None:
        check_overrides(request.overrides, definition.definition)
    return TaskSpec(
        task_definition_arn=definition.arn,
        group=group,
        created_at=call.clock.now(),
        started_by=started_by,
        overrides=normal(request.overrides) if request.overrides is not None else None,
        tags=_tags(request, cluster, definition),
        reference_id=request.reference_id or "",
        enable_execute_command=bool(request.enable_execute_command),
        network_configuration=request.network_configuration,
    )


def _tags(request: Asked, cluster: Cluster, definition: TaskDefinition) -> tuple[Tag, ...]:
    tags = {tag.key: tag for tag in definition.tags} if request.propagate_tags == "TASK_DEFINITION" else {}
    if request.propagate_tags == "SERVICE":
        raise InvalidParameterException("Tags can be propagated from a service to the tasks of that service only.")
    tags |= {tag.key: tag for tag in tags_from(request.tags)}
    if request.enable_ecs_managed_tags:
        tags["aws:ecs:clusterName"] = Tag("aws:ecs:clusterName", cluster.name)
    return tuple(tags.values())


# ── starting on chosen instances ────────────────────────────────────────────────────────────────────────────────────


@api.operation("StartTask", resource=definition_resource, also=_roles, conditions=_conditions)
async def start_task(call: Call, request: shapes.StartTaskRequest) -> shapes.StartTaskResponse:
    """One task on each of the instances named. Constraints are not looked at; what an instance can do and has left is."""
    references = request.container_instances
    if not 1 <= len(references) <= MOST_TASKS:
        raise InvalidParameterException(f"Between 1 and {MOST_TASKS} container instances must be named.")
    cluster = find_cluster(call.store, call, request.cluster)
    definition = find_runnable_definition(call.store, call, request.task_definition)
    check_launchable(call, definition, "EC2", request.network_configuration)
    spec = _spec(call, request, cluster, definition)
    tasks = _new_tasks(call, cluster, definition, spec, len(references))
    wanted = request_of(call.store, tasks[0], definition)

    def start(tx: Tx) -> tuple[list[Task], list[shapes.Failure]]:
        found, made, failures = find_cluster(tx, call, cluster.arn), [], []
        find_runnable_definition(tx, call, definition.arn)
        for reference, task in zip(references, tasks, strict=True):
            instance = find_container_instance(tx, call, found, reference)
            arn = container_instance_arn(call, found, reference)
            if instance is None:
                failures.append(shapes.Failure(arn=arn, reason="MISSING"))
                continue
            reason = refusal_on(tx, instance, wanted)
            if reason is None:
                made.append(tx.put(TASKS, placed(tx, task, instance)))
            else:
                failures.append(shapes.Failure(arn=arn, reason=reason))
        return made, failures

    made, failures = await call.store.transact(start)
    with_tags = bool(spec.tags)
    return shapes.StartTaskResponse(
        tasks=tuple(task_view(call.store, task, with_tags=with_tags, definition=definition) for task in made),
        failures=tuple(failures),
    )


# ── stopping ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _named_task(call: Call, request: shapes.StopTaskRequest) -> Iterable[str]:
    return (child_arn(call, request.cluster, "task", request.task),)


@api.operation("StopTask", resource=_named_task, conditions=lambda call, request: {"ecs:cluster": [cluster_arn(call, request.cluster)]})
async def stop_task(call: Call, request: shapes.StopTaskRequest) -> shapes.StopTaskResponse:
    """Asking again, or asking a stopped task, changes nothing. Raises InvalidParameterException for a task nobody knows."""
    reason = request.reason or STOPPED_BY_USER
    if len(reason) > MOST_REASON:
        raise InvalidParameterException(f"The reason must not be longer than {MOST_REASON} characters.")
    now = call.clock.now()

    def stop(tx: Tx) -> Task:
        task = find_task(tx, call, find_cluster(tx, call, request.cluster), request.task)
        if task is None:
            raise InvalidParameterException("The referenced task was not found.")
        serving = _is_behind_load_balancer(tx, task)
        asked = stopped_by(task, reason=reason, code="UserInitiated", now=now, behind_load_balancer=serving)
        return tx.put(TASKS, asked) if asked is not task else task

    task = await call.store.transact(stop)
    definition = definition_of_arn(call.store, task.spec.task_definition_arn)
    return shapes.StopTaskResponse(task=task_view(call.store, task, with_tags=False, definition=definition))


def _is_behind_load_balancer(reader: Reader, task: Task) -> bool:
    """Some target group still sends it traffic, which is to end before its containers do."""
    return reader.count(TARGETS, "owner", task.arn) > 0
