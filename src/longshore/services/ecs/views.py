"""Clusters, container instances and task definitions as they are shown. Counts are read off totals, never kept."""

from __future__ import annotations

import re
from collections.abc import Collection

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Attribute, Cluster, ContainerInstance, NetworkBinding, TaskDefinition
from longshore.services.ecs.rollout.model import SERVICES
from longshore.services.ecs.tagging import tags_view
from longshore.store.base import Reader

_PORT_RANGE = re.compile(r"(?P<first>[0-9]{1,5})-(?P<last>[0-9]{1,5})")
_LAST_PORT = 65_535

# ── clusters ────────────────────────────────────────────────────────────────────────────────────────────────────────


def cluster_view(reader: Reader, cluster: Cluster, include: Collection[str] = ("TAGS", "SETTINGS")) -> shapes.Cluster:
    running, pending = reader.total(TASKS, "in_cluster", cluster.arn)
    services = reader.list(SERVICES, "cluster", cluster.arn)
    active = sum(1 for service in services if not service.spec.deleted)
    return shapes.Cluster(
        cluster_arn=cluster.arn,
        cluster_name=cluster.name,
        status=cluster.status,
        registered_container_instances_count=reader.count(CONTAINER_INSTANCES, "cluster", cluster.arn),
        running_tasks_count=running,
        pending_tasks_count=pending,
        active_services_count=active,
        statistics=_statistics(running, pending, active, len(services) - active) if "STATISTICS" in include else (),
        tags=tags_view(cluster.tags) if "TAGS" in include else (),
        settings=_settings(cluster) if "SETTINGS" in include else (),
        capacity_providers=cluster.capacity_providers,
        default_capacity_provider_strategy=cluster.default_capacity_provider_strategy,
    )


def _settings(cluster: Cluster) -> tuple[shapes.ClusterSetting, ...]:
    return tuple(shapes.ClusterSetting(name="containerInsights", value=value) for _, value in cluster.settings)


def _statistics(running: int, pending: int, active: int, draining: int) -> tuple[shapes.KeyValuePair, ...]:
    counts = {
        "runningEC2TasksCount": running,
        "runningFargateTasksCount": 0,
        "pendingEC2TasksCount": pending,
        "pendingFargateTasksCount": 0,
        "activeEC2ServiceCount": active,
        "activeFargateServiceCount": 0,
        "drainingEC2ServiceCount": draining,
        "drainingFargateServiceCount": 0,
    }
    return tuple(shapes.KeyValuePair(name=name, value=str(count)) for name, count in counts.items())


# ── container instances ─────────────────────────────────────────────────────────────────────────────────────────────


def container_instance_view(reader: Reader, instance: ContainerInstance, *, with_tags: bool) -> shapes.ContainerInstance:
    cpu, memory, running, pending = reader.total(TASKS, "on_instance", instance.arn)
    capacity = instance.capacity
    ports, ports_udp = _taken_ports(reader, instance)
    return shapes.ContainerInstance(
        container_instance_arn=instance.arn,
        ec2_instance_id=instance.ec2_instance_id,
        version=instance.version,
        version_info=shapes.VersionInfo(
            agent_version=instance.agent_version or None,
            agent_hash=instance.agent_hash or None,
            docker_version=instance.docker_version or None,
        ),
        remaining_resources=_resources(capacity.cpu - cpu, capacity.memory_mib - memory, ports, ports_udp),
        registered_resources=_resources(
            capacity.cpu, capacity.memory_mib, tuple(map(str, capacity.reserved_ports)), tuple(map(str, capacity.reserved_ports_udp))
        ),
        status=instance.status,
        agent_connected=instance.agent_connected,
        running_tasks_count=running,
        pending_tasks_count=pending,
        attributes=attributes_view(instance.attributes),
        registered_at=instance.registered_at,
        attachments=(),
        tags=tags_view(instance.tags) if with_tags else (),
    )


def attributes_view(attributes: Collection[Attribute]) -> tuple[shapes.Attribute, ...]:
    """An empty value is no value."""
    return tuple(shapes.Attribute(name=attribute.name, value=attribute.value or None) for attribute in attributes)


def _taken_ports(reader: Reader, instance: ContainerInstance) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ports that are not to be had, TCP and UDP: kept by the machine, reserved by tasks or bound by their containers."""
    taken = {"tcp": set(instance.capacity.reserved_ports), "udp": set(instance.capacity.reserved_ports_udp)}
    for task in reader.list(TASKS, "active_on", instance.arn):
        for port in task.spec.reservation.ports:
            taken[port.protocol].add(port.port)
        for container in task.status.containers:
            for binding in container.network_bindings:
                taken.setdefault(binding.protocol, set()).update(_bound_ports(binding))
    return tuple(map(str, sorted(taken["tcp"]))), tuple(map(str, sorted(taken["udp"])))


def _bound_ports(binding: NetworkBinding) -> Collection[int]:
    """A range comes from its agent as text, so it is read with care: one that makes no sense binds nothing."""
    if binding.host_port:
        return (binding.host_port,)
    ends = _PORT_RANGE.fullmatch(binding.host_port_range)
    first, last = (int(ends["first"]), int(ends["last"])) if ends is not None else (1, 0)
    return range(first, last + 1) if last <= _LAST_PORT else ()


def _resources(cpu: int, memory: int, ports: tuple[str, ...], ports_udp: tuple[str, ...]) -> tuple[shapes.Resource, ...]:
    return (_amount("CPU", cpu), _amount("MEMORY", memory), _set("PORTS", ports), _set("PORTS_UDP", ports_udp))


def _amount(name: str, amount: int) -> shapes.Resource:
    return shapes.Resource(name=name, type="INTEGER", double_value=0.0, long_value=0, integer_value=amount)


def _set(name: str, values: tuple[str, ...]) -> shapes.Resource:
    return shapes.Resource(name=name, type="STRINGSET", double_value=0.0, long_value=0, integer_value=0, string_set_value=values)


# ── task definitions ────────────────────────────────────────────────────────────────────────────────────────────────


def task_definition_view(definition: TaskDefinition) -> shapes.TaskDefinition:
    return replace(
        definition.definition,
        task_definition_arn=definition.arn,
        revision=definition.revision,
        status=definition.status,
        registered_at=definition.registered_at,
        registered_by=definition.registered_by,
        deregistered_at=definition.deregistered_at,
    )
