"""The container instances of a cluster as placement sees them, read from what the store keeps totals of.

The work is proportional to the number of instances, never to the number of tasks.
"""

from __future__ import annotations

from longshore.services.ecs.cluster_query import Facts
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Attribute, ContainerInstance, HostPort, host_port_key
from longshore.services.ecs.placement import Candidate, Fleet, PlacementRequest
from longshore.store.base import Reader

#: instance ARN -> its attributes as they are kept, and the same by name: an agent names some fifty, and seldom changes them
_Named = tuple[tuple[Attribute, ...], dict[str, str]]
_named: dict[str, _Named] = {}
_MOST_NAMED = 20_000


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
        attributes=_by_name(instance),
        groups=lambda: frozenset(task.spec.group for task in reader.list(TASKS, "active_on", instance.arn)),
    )


def _by_name(instance: ContainerInstance) -> dict[str, str]:
    """Worked out once for as long as the instance's attributes are the very same tuple."""
    known = _named.get(instance.arn)
    if known is not None and known[0] is instance.attributes:
        return known[1]
    if len(_named) >= _MOST_NAMED:
        _named.clear()
    by_name = {attribute.name: attribute.value for attribute in instance.attributes}
    _named[instance.arn] = (instance.attributes, by_name)
    return by_name
