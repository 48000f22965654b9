"""A cluster as its rebalancing is planned from: instances with what is free there, services with the tasks that may be moved."""

from __future__ import annotations

from collections import defaultdict

from longshore.services.ecs.lookup import definition_of_arn
from longshore.services.ecs.model import TASKS, ContainerInstance
from longshore.services.ecs.outlook.seen import Outlook, Scheduler
from longshore.services.ecs.placement.columns import Columns
from longshore.services.ecs.placement.fleets import FLEETS
from longshore.services.ecs.placement.masks import Masks
from longshore.services.ecs.placement.placing import request_of
from longshore.services.ecs.placement.planner import failures
from longshore.services.ecs.placement.request import AGENT, ATTRIBUTE, DEFAULT_STRATEGY, LOCATION, MEMBER_OF, PORTS, PORTS_UDP, REASONS
from longshore.services.ecs.rebalance.plan import Group, Host
from longshore.services.ecs.rollout.model import DEPLOYMENTS, Service
from longshore.store.base import Reader, Tx

#: what an instance cannot be for a task however much room it has
_LASTING = frozenset({AGENT, ATTRIBUTE, LOCATION, MEMBER_OF, PORTS, PORTS_UDP})


def hosts_of(tx: Tx, cluster_arn: str) -> tuple[Host, ...]:
    columns, _ = tx.derived(FLEETS).of(tx, cluster_arn)
    return tuple(_hosts(columns))


def group_of(tx: Tx, service: Service, scheduler: Scheduler, now: float) -> tuple[Group | None, str]:
    """Or why none of the service's tasks is moved."""
    outlook = scheduler(tx, service, now)
    why = why_left(tx, service, outlook)
    if why:
        return None, why
    columns, masks = tx.derived(FLEETS).of(tx, service.cluster_arn)
    return _group(tx, columns, masks, service, outlook), "it has no task that may be moved"


def why_left(reader: Reader, service: Service, outlook: Outlook) -> str:
    """Why a service's tasks are not moved at all; "" where they may be."""
    spec = service.spec
    if service.status != "ACTIVE" or spec.deleted:
        return "it is being deleted"
    if spec.scheduling_strategy == "DAEMON":
        return "a DAEMON service has one task on each instance"
    if spec.deployment_controller != "ECS":
        return "its deployments are somebody else's"
    if len(spec.capacity_provider_strategy) > 1:
        return "its capacity provider strategy shares its tasks out"
    if outlook.most_tasks <= outlook.desired_count:
        return "its maximumPercent leaves no room to start a task before another is stopped"
    deployments = reader.list(DEPLOYMENTS, "service", service.arn)
    if len(deployments) != 1 or deployments[0].rollout_state == "IN_PROGRESS":
        return "a deployment is going on"
    return ""


def _hosts(columns: Columns) -> list[Host]:
    return [
        Host(
            arn=instance.arn,
            zone=instance.availability_zone,
            free=(int(columns.cpu[row]), int(columns.memory[row]), int(columns.gpus[row]), int(columns.enis[row])),
            capacity=(instance.capacity.cpu, instance.capacity.memory_mib, len(instance.capacity.gpus), instance.capacity.enis),
            attributes={attribute.name: attribute.value for attribute in instance.attributes},
        )
        for row, instance in _rows(columns)
    ]


def _rows(columns: Columns) -> list[tuple[int, ContainerInstance]]:
    """Those that take tasks, in the order of their ARNs."""
    there = [
        (row, instance)
        for row, instance in enumerate(columns.instances)
        if instance is not None and columns.active[row] and columns.connected[row]
    ]
    return sorted(there, key=lambda one: one[1].arn)


def _group(tx: Tx, columns: Columns, masks: Masks, service: Service, outlook: Outlook) -> Group | None:
    """None where nothing can be moved."""
    staying = [member for member in outlook.members if member.phase is not None and member.container_instance_arn]
    going = [
        member
        for member in staying
        if member.phase == "HEALTHY" and not member.complaint and member.protected_until is None and not member.in_place_of
    ]
    sample = tx.get(TASKS, going[0].task_arn) if going else None
    definition = definition_of_arn(tx, sample.spec.task_definition_arn) if sample is not None else None
    if sample is None or definition is None:
        return None
    request = request_of(tx, sample, definition)
    lacking = [failing for number, failing in failures(columns, masks, request) if REASONS[number] in _LASTING]
    allowed = frozenset(
        instance.arn
        for row, instance in _rows(columns)
        if not any(failing[row] for failing in lacking) and request.capacity_provider in ("", instance.capacity_provider)
    )
    counts: dict[str, int] = defaultdict(int)
    movable: dict[str, list[str]] = defaultdict(list)
    for member in staying:
        counts[member.container_instance_arn] += 1
    for member in sorted(going, key=lambda one: (-one.created_at, one.task_arn)):
        movable[member.container_instance_arn].append(member.task_arn)
    asks = request.reservation
    strategy = request.strategy or DEFAULT_STRATEGY
    return Group(
        service_arn=service.arn,
        name=service.name,
        ask=(asks.cpu, asks.memory_mib, asks.gpus, asks.enis),
        strategy=tuple((one.type or "", one.field or "") for one in strategy),
        counts=dict(counts),
        movable={arn: tuple(tasks) for arn, tasks in movable.items()},
        allowed=allowed,
        distinct=bool(asks.ports) or any(one.type == "distinctInstance" for one in request.constraints),
    )
