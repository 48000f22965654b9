"""Tasks get their places, inside the transaction that makes them.

What a transaction places is in the columns as soon as it is put, so neither the next task of the same transaction nor the next
transaction of the same commit can be given what is gone; and what is rolled back is there again.
"""

from __future__ import annotations

from collections.abc import Sequence

from longshore.services.ecs.interfaces import zones_of
from longshore.services.ecs.model import TASKS, Chosen, ContainerInstance, Task, TaskDefinition
from longshore.services.ecs.new_task import placed
from longshore.services.ecs.placement.fleets import FLEETS
from longshore.services.ecs.placement.planner import Search, failures
from longshore.services.ecs.placement.request import REASONS, Placement, PlacementRequest, required_of
from longshore.store.base import Reader, Tx


def request_of(reader: Reader, task: Task, definition: TaskDefinition, *, chance: float = 0.0) -> PlacementRequest:
    """What a new task, and every other one alike, asks of its instance."""
    spec = task.spec
    return PlacementRequest(
        group=spec.group,
        reservation=spec.reservation,
        required_attributes=required_of(definition.definition.requires_attributes or (), spec.launch_type),
        constraints=spec.placement_constraints,
        strategy=spec.placement_strategy,
        capacity_provider=spec.capacity_provider,
        zones=zones_of(reader, spec.network_configuration),
        chance=chance,
    )


def place_tasks(tx: Tx, cluster_arn: str, request: PlacementRequest, tasks: Sequence[Task]) -> tuple[list[Task], Placement | None]:
    """Put as many of `tasks` (alike, and as `request` says) as find a place; with it, why the next one did not."""
    columns, masks = tx.derived(FLEETS).of(tx, cluster_arn)
    search = Search(columns, masks, request)
    made: list[Task] = []
    for task in tasks:
        placement = search.next()
        if placement.instance_arn is None:
            return made, placement
        instance = columns.instances[search.row]
        assert instance is not None
        chosen = Chosen(placement.asked, placement.fitting, search.scores)
        made.append(tx.put(TASKS, placed(tx, task, instance, chosen)))
    return made, None


def refusal_on(tx: Tx, instance: ContainerInstance, request: PlacementRequest) -> str | None:
    """Why the task cannot be put on this very instance, whatever constraints say; None when it can."""
    if instance.status != "ACTIVE":
        return "INACTIVE"
    columns, masks = tx.derived(FLEETS).of(tx, instance.cluster_arn)
    row = columns.row_of[instance.arn]
    return next((REASONS[number] for number, failing in failures(columns, masks, request) if failing[row]), None)
