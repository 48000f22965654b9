"""LongshoreExplainPlacement: where a task would go and why, instance by instance, in the cluster as it is or as it might be.

It changes nothing. What it says would happen is what would happen now: it asks the planner that places tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from longshore.aws.shapes.ecs import CapacityProviderStrategyItem
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.capacity.rules import checked_launch
from longshore.services.ecs.capacity.split import split
from longshore.services.ecs.errors import ClientException, InvalidParameterException
from longshore.services.ecs.interfaces import zones_of
from longshore.services.ecs.launching import check_launchable
from longshore.services.ecs.lookup import (
    child_arn,
    cluster_arn,
    container_instance_arn,
    definition_of_arn,
    definition_resource_arn,
    find_cluster,
    find_runnable_definition,
    find_service,
    find_task,
)
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Cluster, ContainerInstance, Task, TaskDefinition
from longshore.services.ecs.new_task import reservation_of
from longshore.services.ecs.overrides import check_overrides, effective
from longshore.services.ecs.placement import shapes
from longshore.services.ecs.placement.columns import Columns, held_by
from longshore.services.ecs.placement.explain import Explained, sentence
from longshore.services.ecs.placement.fleets import FLEETS
from longshore.services.ecs.placement.placing import request_of
from longshore.services.ecs.placement.planner import strategies_of
from longshore.services.ecs.placement.request import PlacementRequest, required_of
from longshore.services.ecs.placement_rules import checked_constraints, checked_strategy, with_definition
from longshore.store.base import Reader, Tx

_PAGE = 100
#: instances looked at without letting others wait
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Question:
    request: PlacementRequest
    definition: TaskDefinition
    launch_type: str
    count: int | None
    task: Task | None = None
    service_arn: str = ""


def _resources(call: Call, request: shapes.ExplainPlacementRequest) -> Iterable[str]:
    """The cluster, which is told about, and what is asked about."""
    yield cluster_arn(call, request.cluster)
    if request.task is not None:
        yield child_arn(call, request.cluster, "task", request.task)
    if request.service is not None:
        yield child_arn(call, request.cluster, "service", request.service)
    if request.task_definition is not None:
        yield definition_resource_arn(call, request.task_definition)


def _conditions(call: Call, request: shapes.ExplainPlacementRequest) -> dict[str, list[str]]:
    return {"ecs:cluster": [cluster_arn(call, request.cluster)]}


_Explanation = tuple[Explained, list[shapes.ExplainedInstance], int]


async def _beside(columns: Columns, asked: PlacementRequest, count: int, most: int) -> _Explanation:
    """Beside the loop where it takes longer than an answer to others may wait: the columns are nobody else's."""

    def explain() -> _Explanation:
        explained = Explained(columns, asked, count)
        return explained, *explained.instances(most)

    if columns.size <= _AT_ONCE:
        return explain()
    return await asyncio.get_running_loop().run_in_executor(None, explain)


@api.operation("LongshoreExplainPlacement", resource=_resources, conditions=_conditions, shape=shapes.EXPLAIN_PLACEMENT)
async def explain_placement(call: Call, request: shapes.ExplainPlacementRequest) -> shapes.ExplainPlacementResponse:
    if sum(one is not None for one in (request.task, request.service, request.task_definition)) != 1:
        raise InvalidParameterException("One of task, service and taskDefinition must be given.")
    what_if = request.what_if or shapes.WhatIf()

    def look(tx: Tx) -> tuple[Cluster, Question, Columns, int]:
        cluster = find_cluster(tx, call, request.cluster)
        question = _question(tx, call, cluster, request)
        columns = tx.derived(FLEETS).of(tx, cluster.arn)[0].copy()
        if question.task is not None:
            columns.task_moved(held_by(question.task), None)
        return cluster, question, columns, _apply(tx, call, cluster, columns, what_if, question.service_arn)

    # in a transaction, because the columns are up to date nowhere else; nothing is written
    cluster, question, columns, displaced = await call.store.transact(look)
    asked = _changed(question.request, what_if)
    count = question.count or max(1, min(displaced, 1000))
    explained, instances, left_out = await _beside(columns, asked, count, request.max_results or _PAGE)
    refused = explained.refused
    return shapes.ExplainPlacementResponse(
        cluster_arn=cluster.arn,
        task_definition_arn=question.definition.arn,
        group=asked.group,
        asked=_asked(asked, question.launch_type),
        placement_constraints=asked.constraints,
        placement_strategy=tuple(strategies_of(asked)),
        count=count,
        placed=len(explained.placements),
        placements=tuple(explained.placements),
        failure=None
        if refused is None
        else shapes.Failed(
            reason=refused.reason, container_instance_arn=refused.closest, message=sentence(refused), refusals=dict(refused.counts)
        ),
        instances=tuple(instances),
        instances_left_out=left_out,
        decision=_decision(question.task) if question.task is not None else None,
    )


# ── the question ────────────────────────────────────────────────────────────────────────────────────────────────────


def _question(tx: Tx, call: Call, cluster: Cluster, request: shapes.ExplainPlacementRequest) -> Question:
    if request.task is not None:
        return _of_task(tx, call, cluster, request)
    if request.service is not None:
        return _of_service(tx, call, cluster, request)
    return _of_definition(tx, call, cluster, request)


def _of_task(tx: Tx, call: Call, cluster: Cluster, request: shapes.ExplainPlacementRequest) -> Question:
    """Where it would go if it were placed now, without itself in the way."""
    task = find_task(tx, call, cluster, request.task or "")
    if task is None:
        raise InvalidParameterException("The referenced task was not found.")
    definition = _definition(tx, task.spec.task_definition_arn)
    return Question(request_of(tx, task, definition), definition, task.spec.launch_type, request.count or 1, task)


def _of_service(tx: Tx, call: Call, cluster: Cluster, request: shapes.ExplainPlacementRequest) -> Question:
    """The next task of its newest deployment."""
    service = find_service(tx, call, cluster, request.service or "")
    definition = _definition(tx, service.spec.task_definition_arn)
    spec = service.spec
    asked = PlacementRequest(
        group=f"service:{service.name}",
        reservation=reservation_of(definition.definition),
        required_attributes=required_of(definition.definition.requires_attributes or (), spec.launch_type),
        constraints=with_definition(spec.placement_constraints, definition.definition),
        strategy=spec.placement_strategy,
        capacity_provider=_provider(spec.capacity_provider_strategy),
        zones=zones_of(tx, spec.network_configuration),
    )
    return Question(asked, definition, spec.launch_type, request.count, service_arn=service.arn)


def _of_definition(tx: Tx, call: Call, cluster: Cluster, request: shapes.ExplainPlacementRequest) -> Question:
    """What RunTask would do with the same request."""
    constraints, strategy = checked_constraints(request.placement_constraints), checked_strategy(request.placement_strategy)
    definition = find_runnable_definition(tx, call, request.task_definition or "")
    launch = checked_launch(tx, cluster, request.launch_type, request.capacity_provider_strategy)
    check_launchable(call, definition, launch.launch_type, request.network_configuration)
    if request.overrides is not None:
        check_overrides(request.overrides, definition.definition)
    wanted = effective(definition.definition, request.overrides)
    asked = PlacementRequest(
        group=request.group or f"family:{definition.family}",
        reservation=reservation_of(wanted),
        required_attributes=required_of(definition.definition.requires_attributes or (), launch.launch_type),
        constraints=with_definition(constraints, definition.definition),
        strategy=strategy,
        capacity_provider=_provider(launch.strategy),
        zones=zones_of(tx, request.network_configuration),
        chance=call.ids.fraction(),
    )
    return Question(asked, definition, launch.launch_type, request.count or 1)


def _provider(strategy: Iterable[CapacityProviderStrategyItem]) -> str:
    """That the next task would be for; empty without a strategy."""
    return next((name for name, number in split(strategy, 1).items() if number), "")


def _definition(reader: Reader, arn: str) -> TaskDefinition:
    found = definition_of_arn(reader, arn)
    if found is None:
        raise ClientException("TaskDefinition not found.")
    return found


# ── what if ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _apply(tx: Tx, call: Call, cluster: Cluster, columns: Columns, what_if: shapes.WhatIf, service_arn: str) -> int:
    """Change the columns; how many tasks of the service have to be placed anew then."""
    displaced = 0
    drained = {one.arn: one for one in _named(tx, call, cluster, what_if.drained_instances)}
    lost = {one.arn: one for one in _named(tx, call, cluster, what_if.lost_instances)}
    if what_if.lost_zones:
        there = (one for one in columns.instances if one is not None)
        lost |= {one.arn: one for one in there if one.availability_zone in what_if.lost_zones}
    for arn in {**drained, **lost}:
        tasks = tx.list(TASKS, "active_on", arn)
        displaced += sum(1 for task in tasks if service_arn and task.spec.service_arn == service_arn)
        if arn in lost:
            for task in tasks:
                columns.task_moved(held_by(task), None)
            columns.instance_moved(lost[arn], None)
        else:
            columns.instance_moved(drained[arn], replace(drained[arn], status="DRAINING"))
    return displaced


def _named(tx: Tx, call: Call, cluster: Cluster, references: Iterable[str] | None) -> Iterable[ContainerInstance]:
    """By id, ARN, or the EC2 instance's id. Raises InvalidParameterException."""
    for reference in references or ():
        if reference.startswith(("i-", "mi-")):
            scope = f"{call.region}:{call.account_id}"
            same = tx.list(CONTAINER_INSTANCES, "ec2_instance", f"{scope}:{reference}")
            found = next((one for one in same if one.cluster_arn == cluster.arn and one.status != "INACTIVE"), None)
        else:
            found = tx.get(CONTAINER_INSTANCES, container_instance_arn(call, cluster, reference))
        if found is None or found.status == "INACTIVE":
            raise InvalidParameterException(f"The container instance {reference[:256]} was not found.")
        yield found


def _changed(request: PlacementRequest, what_if: shapes.WhatIf) -> PlacementRequest:
    reservation = request.reservation
    return replace(
        request,
        reservation=replace(
            reservation,
            cpu=reservation.cpu if what_if.cpu is None else what_if.cpu,
            memory_mib=reservation.memory_mib if what_if.memory is None else what_if.memory,
        ),
    )


# ── the answer ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _asked(request: PlacementRequest, launch_type: str) -> shapes.Asked:
    reservation = request.reservation
    return shapes.Asked(
        cpu=reservation.cpu,
        memory=reservation.memory_mib,
        gpus=reservation.gpus,
        enis=reservation.enis,
        ports=tuple(shapes.Port(port=port.port, protocol=port.protocol) for port in reservation.ports),
        attributes=tuple(f"{name}={value}" if value else name for name, value in request.required_attributes),
        launch_type=launch_type,
        capacity_provider=request.capacity_provider,
        availability_zones=request.zones,
    )


def _decision(task: Task) -> shapes.Decided | None:
    """As noted when the task got its place; None where somebody named the instance, and for tasks of earlier versions."""
    if task.chosen is None:
        return None
    strategies = strategies_of(PlacementRequest(group="", reservation=task.spec.reservation, strategy=task.spec.placement_strategy))
    return shapes.Decided(
        container_instance_arn=task.container_instance_arn,
        at=task.spec.created_at,
        instances=task.chosen.instances,
        candidates=task.chosen.candidates,
        scores=tuple(
            shapes.Judged(type=strategy.type or "", field=strategy.field, score=score)
            for strategy, score in zip(strategies, task.chosen.scores, strict=False)
        ),
    )
