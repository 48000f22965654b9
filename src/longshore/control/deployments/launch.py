"""New tasks of a service, each with its place, inside the transaction that decided on them."""

from __future__ import annotations

from dataclasses import dataclass

from longshore.aws.shapes import ecs as shapes
from longshore.kit.ids import Ids
from longshore.services.ecs import event_words
from longshore.services.ecs.fleet import fleet_for
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASK_DEFINITIONS, TASKS, Tag, TaskDefinition, TaskSpec, revision_key
from longshore.services.ecs.new_task import new_task, placed
from longshore.services.ecs.placement import NO_INSTANCES, Placement, PlacementRequest, place_all, required_names
from longshore.services.ecs.rollout.model import DEPLOYMENTS, Deployment, Service
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


@dataclass(frozen=True, slots=True)
class Launched:
    task_arns: tuple[str, ...] = ()
    #: why the next one found no place, as the service's event says it; "" when all did
    refused: str = ""


def launch(tx: Tx, service: Service, count: int, drawn: Drawn, now: float) -> Launched:
    """Make and place up to `count` tasks of the service's primary deployment."""
    if count <= 0:
        return Launched()
    deployment = next((d for d in tx.list(DEPLOYMENTS, "service", service.arn) if d.status == "PRIMARY"), None)
    definition = _definition(tx, deployment.task_definition_arn) if deployment else None
    if deployment is None or definition is None:
        return Launched(refused=event_words.no_place(service.name, "The task definition of the service does not exist."))
    spec = _spec(service, deployment, definition, now)
    prefix = service.cluster_arn.replace(":cluster/", ":task/", 1)
    tasks = [
        new_task(f"{prefix}/{drawn.task_ids[number]}", service.cluster_arn, definition, spec, drawn.container_ids[number])
        for number in range(count)
    ]
    request = PlacementRequest(
        group=spec.group,
        reservation=tasks[0].spec.reservation,
        required_attributes=required_names(definition.definition.requires_attributes or (), service.spec.launch_type),
        constraints=spec.placement_constraints,
        strategy=spec.placement_strategy,
        chance=drawn.chance,
    )
    made: list[str] = []
    for task, placement in zip(tasks, place_all(request, fleet_for(tx, service.cluster_arn, request), count), strict=False):
        instance = tx.get(CONTAINER_INSTANCES, placement.instance_arn) if placement.instance_arn else None
        if instance is None:
            return Launched(tuple(made), event_words.no_place(service.name, refusal_sentence(placement)))
        tx.put(TASKS, placed(tx, task, instance))
        made.append(task.arn)
    return Launched(tuple(made))


def _definition(tx: Tx, arn: str) -> TaskDefinition | None:
    family, _, revision = arn.rsplit("/", 1)[-1].rpartition(":")
    return tx.get(TASK_DEFINITIONS, revision_key(arn, family, int(revision)))


def _spec(service: Service, deployment: Deployment, definition: TaskDefinition, now: float) -> TaskSpec:
    own = definition.definition.placement_constraints or ()
    constraints = (
        *service.spec.placement_constraints,
        *(shapes.PlacementConstraint(type="memberOf", expression=constraint.expression) for constraint in own),
    )
    return TaskSpec(
        task_definition_arn=deployment.task_definition_arn,
        group=f"service:{service.name}",
        created_at=now,
        launch_type=service.spec.launch_type,
        started_by=deployment.id,
        placement_constraints=constraints,
        placement_strategy=service.spec.placement_strategy,
        tags=task_tags(service, definition),
        service_arn=service.arn,
        deployment_id=deployment.id,
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
