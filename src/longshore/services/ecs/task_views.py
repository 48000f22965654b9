"""Tasks as they are shown."""

from __future__ import annotations

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.exec.rules import serves_sessions
from longshore.services.ecs.interfaces import attachments_view, interfaces_view
from longshore.services.ecs.lookup import definition_of_arn
from longshore.services.ecs.model import CONTAINER_INSTANCES, Container, ContainerInstance, NetworkBinding, Task, TaskDefinition
from longshore.services.ecs.overrides import effective
from longshore.services.ecs.tagging import tags_view
from longshore.store.base import Reader

_ARCHITECTURE = "ecs.cpu-architecture"


def task_view(reader: Reader, task: Task, *, with_tags: bool, definition: TaskDefinition | None = None) -> shapes.Task:
    """`definition` saves looking it up where it is at hand."""
    found = definition or definition_of_arn(reader, task.spec.task_definition_arn)
    wanted = effective(found.definition, task.spec.overrides) if found is not None else shapes.TaskDefinition()
    by_name = {container.name: container for container in wanted.container_definitions or ()}
    spec, status = task.spec, task.status
    instance = reader.get(CONTAINER_INSTANCES, task.container_instance_arn) if task.container_instance_arn else None
    return shapes.Task(
        attachments=attachments_view(task),
        attributes=_attributes(instance),
        availability_zone=task.availability_zone or None,
        capacity_provider_name=spec.capacity_provider or None,
        cluster_arn=task.cluster_arn,
        connectivity=_connectivity(instance, task),
        connectivity_at=status.connectivity_at,
        container_instance_arn=task.container_instance_arn or None,
        containers=tuple(_container(task, container, by_name.get(container.name), instance) for container in status.containers),
        cpu=str(spec.reservation.cpu),
        created_at=spec.created_at,
        desired_status=task.desired_status,
        enable_execute_command=spec.enable_execute_command,
        execution_stopped_at=status.execution_stopped_at,
        group=spec.group,
        health_status=status.health_status,
        inference_accelerators=(),
        last_status=status.last_status,
        launch_type=spec.launch_type,
        memory=str(spec.reservation.memory_mib),
        overrides=_overrides(task),
        pull_started_at=status.pull_started_at,
        pull_stopped_at=status.pull_stopped_at,
        started_at=status.started_at,
        started_by=spec.started_by or None,
        stop_code=(task.stop.code if task.stop is not None else status.stop_code) or None,
        stopped_at=status.stopped_at,
        stopped_reason=(task.stop.reason if task.stop is not None else status.stopped_reason) or None,
        stopping_at=status.stopping_at,
        tags=tags_view(spec.tags) if with_tags else (),
        task_arn=task.arn,
        task_definition_arn=spec.task_definition_arn,
        version=task.version,
    )


def _attributes(instance: ContainerInstance | None) -> tuple[shapes.Attribute, ...]:
    """What ECS tells of where a task runs: the kind of its processor."""
    architecture = instance.attribute(_ARCHITECTURE) if instance is not None else None
    return (shapes.Attribute(name=_ARCHITECTURE, value=architecture),) if architecture else ()


def _connectivity(instance: ContainerInstance | None, task: Task) -> str | None:
    """That of the agent which watches the task."""
    if task.status.connectivity_at is None:
        return None
    return "CONNECTED" if instance is not None and instance.agent_connected else "DISCONNECTED"


def _overrides(task: Task) -> shapes.TaskOverride:
    """Every container is named, those without changes by their name alone."""
    given = task.spec.overrides or shapes.TaskOverride()
    by_name = {override.name: override for override in given.container_overrides or ()}
    return shapes.TaskOverride(
        container_overrides=tuple(by_name.get(name) or shapes.ContainerOverride(name=name) for name in task.spec.container_names),
        inference_accelerator_overrides=(),
        cpu=given.cpu,
        memory=given.memory,
        task_role_arn=given.task_role_arn,
        execution_role_arn=given.execution_role_arn,
    )


def _managed_agents(task: Task, container: Container, instance: ContainerInstance | None) -> tuple[shapes.ManagedAgent, ...] | None:
    """ECS puts an agent of AWS Systems Manager into the container; here the instance's own does its work, as long as both run."""
    if not task.spec.enable_execute_command:
        return None
    runs = container.last_status == "RUNNING" and serves_sessions(instance)
    pending = container.last_status not in ("RUNNING", "STOPPED")
    reason = None if runs or pending or container.last_status == "STOPPED" else "The container instance's agent does not serve sessions."
    return (
        shapes.ManagedAgent(
            name="ExecuteCommandAgent",
            last_status="RUNNING" if runs else "PENDING" if pending else "STOPPED",
            last_started_at=task.status.started_at if runs else None,
            reason=reason,
        ),
    )


def _container(
    task: Task, container: Container, wanted: shapes.ContainerDefinition | None, instance: ContainerInstance | None
) -> shapes.Container:
    amounts = wanted or shapes.ContainerDefinition()
    return shapes.Container(
        container_arn=container.arn,
        task_arn=task.arn,
        name=container.name,
        image=container.image,
        image_digest=container.image_digest or None,
        runtime_id=container.runtime_id or None,
        last_status=container.last_status,
        exit_code=container.exit_code,
        reason=container.reason or None,
        network_bindings=tuple(_binding(binding) for binding in container.network_bindings),
        network_interfaces=interfaces_view(task),
        health_status=container.health_status,
        managed_agents=_managed_agents(task, container, instance),
        cpu=str(amounts.cpu or 0),
        memory=str(amounts.memory) if amounts.memory is not None else None,
        memory_reservation=str(amounts.memory_reservation) if amounts.memory_reservation is not None else None,
    )


def _binding(binding: NetworkBinding) -> shapes.NetworkBinding:
    protocol: shapes.TransportProtocol = "udp" if binding.protocol == "udp" else "tcp"
    if binding.container_port_range:
        return shapes.NetworkBinding(
            bind_ip=binding.bind_ip,
            container_port_range=binding.container_port_range,
            host_port_range=binding.host_port_range or None,
            protocol=protocol,
        )
    return shapes.NetworkBinding(
        bind_ip=binding.bind_ip, container_port=binding.container_port, host_port=binding.host_port, protocol=protocol
    )
