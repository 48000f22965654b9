"""The container instances of a cluster as placement sees them, read from what the store keeps totals of.

The work is proportional to the number of instances, never to the number of tasks.
"""

from __future__ import annotations

from longshore.services.ecs.cluster_query import Facts
from longshore.services.ecs.model import (
    CONTAINER_INSTANCES,
    TASKS,
    ContainerInstance,
    HostPort,
    host_port_key,
)
from longshore.services.ecs.placement import Candidate, Fleet, PlacementRequest
from longshore.store.base import Reader


def fleet_for(reader: Reader, cluster_arn: str, request: PlacementRequest) -> Fleet:
    """Everything registered in the cluster, with what is left there for `request`."""
    return tuple(candidate(reader, instance, request) for instance in reader.list(CONTAINER_INSTANCES, "cluster", cluster_arn))


def candidate(reader: Reader, instance: ContainerInstance, request: PlacementRequest) -> Candidate:
    cpu, memory, running, pending = reader.total(TASKS, "on_instance", instance.arn)
    return Candidate(
        arn=instance.arn,
        active=instance.status == "ACTIVE",
        facts=facts_of(reader, instance, running_tasks_count=running),
        cpu_left=instance.capacity.cpu - cpu,
        memory_left=instance.capacity.memory_mib - memory,
        busy=frozenset(port for port in request.reservation.ports if _is_busy(reader, instance, port)),
        of_group=reader.count(TASKS, "group_on", f"{instance.arn}|{request.group}"),
        tasks=running + pending,
    )


def _is_busy(reader: Reader, instance: ContainerInstance, port: HostPort) -> bool:
    capacity = instance.capacity
    kept = capacity.reserved_ports_udp if port.protocol == "udp" else capacity.reserved_ports
    return port.port in kept or reader.count(TASKS, "host_port", host_port_key(instance.arn, port)) > 0


def facts_of(reader: Reader, instance: ContainerInstance, *, running_tasks_count: int) -> Facts:
    """What the cluster query language can ask of an instance."""
    return Facts(
        agent_connected=instance.agent_connected,
        agent_version=instance.agent_version,
        ec2_instance_id=instance.ec2_instance_id,
        registered_at=instance.registered_at,
        running_tasks_count=running_tasks_count,
        attributes={attribute.name: attribute.value for attribute in instance.attributes},
        groups=lambda: frozenset(task.spec.group for task in reader.list(TASKS, "active_on", instance.arn)),
    )
