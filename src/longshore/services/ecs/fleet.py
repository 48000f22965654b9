"""What the cluster query language can ask of one container instance. Placement asks all of a cluster's at once (placement/masks.py)."""

from __future__ import annotations

from longshore.services.ecs.cluster_query import Facts
from longshore.services.ecs.model import TASKS, ContainerInstance
from longshore.services.ecs.placement.masks import by_name
from longshore.store.base import Reader


def facts_of(reader: Reader, instance: ContainerInstance, *, running_tasks_count: int) -> Facts:
    return Facts(
        agent_connected=instance.agent_connected,
        agent_version=instance.agent_version,
        ec2_instance_id=instance.ec2_instance_id,
        registered_at=instance.registered_at,
        running_tasks_count=running_tasks_count,
        attributes=by_name(instance),
        groups=lambda: frozenset(task.spec.group for task in reader.list(TASKS, "active_on", instance.arn)),
    )
