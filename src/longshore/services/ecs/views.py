"""Clusters, container instances and task definitions as they are shown. Counts are read off totals, never kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.capacity.model import CapacityProvider
from longshore.services.ecs.model import (
    CONTAINER_INSTANCES,
    TASKS,
    Attribute,
    Cluster,
    ContainerInstance,
    HealthCheck,
    Lifecycle,
    TaskDefinition,
)
from longshore.services.ecs.placement.ports import held_ports
from longshore.services.ecs.rollout.model import SERVICES, Service
from longshore.services.ecs.tagging import tags_view
from longshore.store.base import Reader

_WORST_FIRST = ("IMPAIRED", "INSUFFICIENT_DATA", "INITIALIZING", "OK")

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
        statistics=_statistics(reader, cluster, services, running, pending) if "STATISTICS" in include else (),
        tags=tags_view(cluster.tags) if "TAGS" in include else (),
        settings=_settings(cluster) if "SETTINGS" in include else (),
        capacity_providers=cluster.capacity_providers,
        default_capacity_provider_strategy=cluster.default_capacity_provider_strategy,
        configuration=cluster.configuration if "CONFIGURATIONS" in include else None,
    )


def _settings(cluster: Cluster) -> tuple[shapes.ClusterSetting, ...]:
    return tuple(shapes.ClusterSetting(name="containerInsights", value=value) for _, value in cluster.settings)


def _statistics(
    reader: Reader, cluster: Cluster, services: Sequence[Service], running: int, pending: int
) -> tuple[shapes.KeyValuePair, ...]:
    """By launch type. Tasks on external instances are few enough to be looked at one by one."""
    outside = reader.list(TASKS, "external", cluster.arn)
    running_outside = sum(1 for task in outside if task.last_status == "RUNNING")
    pending_outside = sum(1 for task in outside if task.stop is None and Lifecycle[task.last_status] < Lifecycle.RUNNING)
    of_services = Counter((service.spec.deleted, service.spec.launch_type) for service in services)
    counts = {
        "runningEC2TasksCount": running - running_outside,
        "runningFargateTasksCount": 0,
        "pendingEC2TasksCount": pending - pending_outside,
        "pendingFargateTasksCount": 0,
        "runningExternalTasksCount": running_outside,
        "pendingExternalTasksCount": pending_outside,
        "activeEC2ServiceCount": of_services[False, "EC2"],
        "activeFargateServiceCount": 0,
        "drainingEC2ServiceCount": of_services[True, "EC2"],
        "drainingFargateServiceCount": 0,
        "activeExternalServiceCount": of_services[False, "EXTERNAL"],
        "drainingExternalServiceCount": of_services[True, "EXTERNAL"],
    }
    return tuple(shapes.KeyValuePair(name=name, value=str(count)) for name, count in counts.items())


def capacity_provider_view(provider: CapacityProvider, *, with_tags: bool = True) -> shapes.CapacityProvider:
    return shapes.CapacityProvider(
        capacity_provider_arn=provider.arn,
        name=provider.name,
        status=provider.status,
        auto_scaling_group_provider=shapes.AutoScalingGroupProvider(
            auto_scaling_group_arn=provider.auto_scaling_group,
            managed_scaling=shapes.ManagedScaling(
                status="ENABLED" if provider.scaling_status == "ENABLED" else "DISABLED",
                target_capacity=provider.target_capacity,
                minimum_scaling_step_size=provider.minimum_step,
                maximum_scaling_step_size=provider.maximum_step,
                instance_warmup_period=provider.warm_up_s,
            ),
            managed_termination_protection="ENABLED" if provider.managed_termination_protection == "ENABLED" else "DISABLED",
            managed_draining="ENABLED" if provider.managed_draining == "ENABLED" else "DISABLED",
        ),
        update_status=provider.update_status or None,
        tags=tags_view(provider.tags) if with_tags else (),
        type="EC2_AUTOSCALING",
    )


# ── container instances ─────────────────────────────────────────────────────────────────────────────────────────────


def container_instance_view(
    reader: Reader, instance: ContainerInstance, *, with_tags: bool, with_health: bool = False
) -> shapes.ContainerInstance:
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
        remaining_resources=_resources(capacity.cpu - cpu, capacity.memory_mib - memory, ports, ports_udp, _free_gpus(reader, instance)),
        registered_resources=_resources(
            capacity.cpu,
            capacity.memory_mib,
            tuple(map(str, capacity.reserved_ports)),
            tuple(map(str, capacity.reserved_ports_udp)),
            capacity.gpus or None,
        ),
        status=instance.status,
        status_reason=instance.status_reason or None,
        capacity_provider_name=instance.capacity_provider or None,
        agent_connected=instance.agent_connected,
        running_tasks_count=running,
        pending_tasks_count=pending,
        attributes=attributes_view(instance.attributes),
        registered_at=instance.registered_at,
        attachments=(),
        tags=tags_view(instance.tags) if with_tags else (),
        health_status=_health(instance) if with_health else None,
    )


def _health(instance: ContainerInstance) -> shapes.ContainerInstanceHealthStatus:
    """What its agent said of the machine, and whether the agent is there to say anything."""
    changed_at = instance.agent_connection_changed_at or instance.registered_at
    connectivity = HealthCheck("AGENT_CONNECTIVITY", "OK" if instance.agent_connected else "IMPAIRED", changed_at)
    checks = (connectivity, *instance.health)
    worst = min((check.status for check in checks), key=_WORST_FIRST.index)
    details = tuple(
        shapes.InstanceHealthCheckResult(
            type=check.type, status=check.status, last_updated=check.changed_at, last_status_change=check.changed_at
        )
        for check in checks
    )
    return shapes.ContainerInstanceHealthStatus(overall_status=worst, details=details)


def attributes_view(attributes: Collection[Attribute]) -> tuple[shapes.Attribute, ...]:
    """An empty value is no value."""
    return tuple(shapes.Attribute(name=attribute.name, value=attribute.value or None) for attribute in attributes)


def _taken_ports(reader: Reader, instance: ContainerInstance) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ports that are not to be had, TCP and UDP: kept by the machine, reserved by tasks or bound by their containers."""
    taken = {"tcp": set(instance.capacity.reserved_ports), "udp": set(instance.capacity.reserved_ports_udp)}
    for task in reader.list(TASKS, "active_on", instance.arn):
        for port in held_ports(task):
            taken[port.protocol].add(port.port)
    return tuple(map(str, sorted(taken["tcp"]))), tuple(map(str, sorted(taken["udp"])))


def _free_gpus(reader: Reader, instance: ContainerInstance) -> tuple[str, ...] | None:
    """None where there are none at all: the resource is not named then."""
    if not instance.capacity.gpus:
        return None
    taken = {gpu for task in reader.list(TASKS, "active_on", instance.arn) for gpu in task.gpu_ids}
    return tuple(gpu for gpu in instance.capacity.gpus if gpu not in taken)


def _resources(
    cpu: int, memory: int, ports: tuple[str, ...], ports_udp: tuple[str, ...], gpus: tuple[str, ...] | None
) -> tuple[shapes.Resource, ...]:
    found = (_amount("CPU", cpu), _amount("MEMORY", memory), _set("PORTS", ports), _set("PORTS_UDP", ports_udp))
    return found if gpus is None else (*found, _set("GPU", gpus))


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
