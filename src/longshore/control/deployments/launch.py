"""New tasks of a service, each with its place, inside the transaction that decided on them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.control.deployments.vocabulary import StartTasks
from longshore.kit.ids import Ids
from longshore.services.ecs import event_words
from longshore.services.ecs.capacity.split import split
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASK_DEFINITIONS, TASKS, Tag, Task, TaskDefinition, TaskSpec, revision_key
from longshore.services.ecs.new_task import new_task, placed
from longshore.services.ecs.placement.placing import place_tasks, refusal_on, request_of
from longshore.services.ecs.placement.request import NO_INSTANCES, Placement, PlacementRequest
from longshore.services.ecs.rollout.model import TASK_SETS, Service
from longshore.services.ecs.rollout.revisions import settings_of
from longshore.services.ecs.task_roles import refused_role
from longshore.store.base import Tx

#: ids drawn per task for its containers; a definition has at most ten
CONTAINERS = 10


@dataclass(frozen=True, slots=True)
class Drawn:
    """Randomness drawn before the transaction, which may run more than once."""

    task_ids: tuple[str, ...] = ()
    container_ids: tuple[tuple[str, ...], ...] = ()
    deployment_id: str = ""
    chance: float = 0.0

    @classmethod
    def of(cls, ids: Ids, tasks: int) -> Drawn:
        return cls(
            task_ids=tuple(ids.hex(32) for _ in range(tasks)),
            container_ids=tuple(tuple(ids.uuid() for _ in range(CONTAINERS)) for _ in range(tasks)),
            deployment_id=f"ecs-svc/{ids.digits(19)}",
            chance=ids.fraction(),
        )

    def but(self, used: int) -> Drawn:
        """What is left when `used` tasks have been made of it."""
        return dataclasses.replace(self, task_ids=self.task_ids[used:], container_ids=self.container_ids[used:])


@dataclass(frozen=True, slots=True)
class Launched:
    #: what was asked for, with the tasks that were made of it
    groups: tuple[tuple[StartTasks, tuple[str, ...]], ...] = ()
    #: why the next one found no place, as the service's event says it; "" when all did
    refused: str = ""
    #: everything that would have to change for one instance or another to take it
    reasons: frozenset[str] = frozenset()
    #: the same of a task that was to balance zones; the service lacks nothing without it
    zone_refused: str = ""

    @property
    def task_arns(self) -> tuple[str, ...]:
        return tuple(arn for _, arns in self.groups for arn in arns)


@dataclass(frozen=True, slots=True)
class NoPlace:
    sentence: str
    reasons: frozenset[str] = frozenset()


def launch(tx: Tx, service: Service, starts: Sequence[StartTasks], drawn: Drawn, now: float) -> Launched:
    """Make and place what is asked for, as far as ids were drawn and there is place. What is refused hinders no other."""
    groups: list[tuple[StartTasks, tuple[str, ...]]] = []
    refused = zone_refused = ""
    reasons: frozenset[str] = frozenset()
    used = 0
    for start in starts:
        most = min(start.count, len(drawn.task_ids) - used)
        if most <= 0:
            continue
        made, refusal = _launch(tx, service, start, most, drawn.but(used), now)
        used += most
        if made:
            groups.append((start, made))
        if refusal is None:
            continue
        reasons |= refusal.reasons
        if start.zone:
            zone_refused = event_words.no_place_in_zone(service.name, start.zone)
        else:
            refused = event_words.not_launched(service.name, refusal.sentence)
    return Launched(tuple(groups), refused, reasons, zone_refused)


def _launch(tx: Tx, service: Service, start: StartTasks, count: int, drawn: Drawn, now: float) -> tuple[tuple[str, ...], NoPlace | None]:
    """(the tasks made, why there are no more of them)"""
    # what is started belongs to one deployment, and is made as that was to be
    service = replace(service, spec=settings_of(tx, service, start.deployment_id))
    definition = _definition(tx, service.spec.task_definition_arn) if service.spec.task_definition_arn else None
    if definition is None:
        return (), NoPlace("The task definition of the service does not exist.")
    is_task_set = tx.count(TASK_SETS, "id", start.deployment_id) > 0
    spec = replace(
        _spec(service, start.deployment_id, definition, now),
        in_place_of=start.in_place_of,
        task_set_id=start.deployment_id if is_task_set else "",
    )
    prefix = service.cluster_arn.replace(":cluster/", ":task/", 1)
    tasks = [
        new_task(f"{prefix}/{drawn.task_ids[number]}", service.cluster_arn, definition, spec, drawn.container_ids[number])
        for number in range(count)
    ]
    if broken := refused_role(tx, tasks[0], definition):
        return (), NoPlace(broken)
    shares = _shares(tx, service, start.deployment_id, tasks)
    if start.instance_arn:
        one = shares[0][0]
        return _put_there(tx, one, start.instance_arn, request_of(tx, one, definition, chance=drawn.chance))
    made: list[str] = []
    why: NoPlace | None = None
    for share in shares:
        request = request_of(tx, share[0], definition, chance=drawn.chance)
        if start.zone:
            request = replace(request, zones=(start.zone,))
        placed_there, refused = place_tasks(tx, service.cluster_arn, request, share)
        made += [task.arn for task in placed_there]
        why = why or (NoPlace(refusal_sentence(refused), refused.reasons) if refused is not None else None)
    return tuple(made), why


def _shares(tx: Tx, service: Service, deployment_id: str, tasks: list[Task]) -> list[list[Task]]:
    """`tasks` by the capacity providers they are for: as its strategy says, seeing what the deployment runs already."""
    strategy = service.spec.capacity_provider_strategy
    if not strategy:
        return [tasks]
    there = Counter(
        task.spec.capacity_provider
        for task in tx.list(TASKS, "service", service.arn)
        if task.spec.deployment_id == deployment_id and task.stop is None
    )
    waiting = iter(tasks)
    return [
        [replace(task, spec=replace(task.spec, capacity_provider=name)) for task in islice(waiting, number)]
        for name, number in split(strategy, len(tasks), there).items()
    ]


def _put_there(tx: Tx, task: Task, instance_arn: str, request: PlacementRequest) -> tuple[tuple[str, ...], NoPlace | None]:
    """On one chosen instance, if there is room."""
    instance = tx.get(CONTAINER_INSTANCES, instance_arn)
    reason = refusal_on(tx, instance, request) if instance is not None else NO_INSTANCES
    if instance is None or reason is not None:
        return (), NoPlace(event_words.closest_instance(instance_arn, reason or ""), frozenset({reason or ""}))
    tx.put(TASKS, placed(tx, task, instance))
    return (task.arn,), None


def _definition(tx: Tx, arn: str) -> TaskDefinition | None:
    family, _, revision = arn.rsplit("/", 1)[-1].rpartition(":")
    return tx.get(TASK_DEFINITIONS, revision_key(arn, family, int(revision)))


def _spec(service: Service, deployment_id: str, definition: TaskDefinition, now: float) -> TaskSpec:
    own = definition.definition.placement_constraints or ()
    constraints = (
        *service.spec.placement_constraints,
        *(shapes.PlacementConstraint(type="memberOf", expression=constraint.expression) for constraint in own),
    )
    return TaskSpec(
        task_definition_arn=definition.arn,
        group=f"service:{service.name}",
        created_at=now,
        launch_type=service.spec.launch_type,
        started_by=deployment_id,
        placement_constraints=constraints,
        placement_strategy=service.spec.placement_strategy,
        tags=task_tags(service, definition),
        service_arn=service.arn,
        deployment_id=deployment_id,
        enable_execute_command=service.spec.enable_execute_command,
        network_configuration=service.spec.network_configuration,
    )


def refusal_sentence(placement: Placement) -> str:
    """Why there is no place, as the closest instance says it."""
    if placement.closest is None or placement.reason == NO_INSTANCES:
        return event_words.NO_INSTANCES
    return event_words.closest_instance(placement.closest, placement.reason)


def task_tags(service: Service, definition: TaskDefinition) -> tuple[Tag, ...]:
    """Tags that propagate to a service's tasks, and ECS's own where they are asked for."""
    tags: tuple[Tag, ...] = ()
    if service.spec.propagate_tags == "SERVICE":
        tags = service.tags
    elif service.spec.propagate_tags == "TASK_DEFINITION":
        tags = definition.tags
    if service.spec.enable_ecs_managed_tags:
        cluster = service.cluster_arn.rsplit("/", 1)[-1]
        tags = (*tags, Tag("aws:ecs:clusterName", cluster), Tag("aws:ecs:serviceName", service.name))
    return tags
