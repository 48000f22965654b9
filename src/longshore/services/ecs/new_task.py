"""A task as it is born: what it reserves, the containers it will have, and how it gets its place.

RunTask and StartTask make tasks here, and so does the controller that keeps the tasks of a service.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.interfaces import with_interface
from longshore.services.ecs.model import (
    TASKS,
    Chosen,
    Container,
    ContainerInstance,
    HostPort,
    Reservation,
    Task,
    TaskDefinition,
    TaskSpec,
    TaskStatus,
)
from longshore.services.ecs.overrides import effective
from longshore.store.base import Reader


def reservation_of(definition: shapes.TaskDefinition) -> Reservation:
    """What a task of an (effective) definition takes from its instance."""
    containers = definition.container_definitions or ()
    return Reservation(
        cpu=int(definition.cpu) if definition.cpu else sum(container.cpu or 0 for container in containers),
        memory_mib=int(definition.memory)
        if definition.memory
        else sum(container.memory_reservation or container.memory or 0 for container in containers),
        ports=_static_ports(definition),
        gpus=sum(_gpus(container) for container in containers),
        enis=1 if definition.network_mode == "awsvpc" else 0,
    )


def _gpus(container: shapes.ContainerDefinition) -> int:
    """Whole ones: the value was checked when the definition, or the override, was taken."""
    return sum(int(wanted.value or 0) for wanted in container.resource_requirements or () if wanted.type == "GPU")


def _static_ports(definition: shapes.TaskDefinition) -> tuple[HostPort, ...]:
    """Ports that are known before the task runs; those left to the agent are not reserved."""
    if definition.network_mode not in (None, "bridge", "host"):
        return ()
    on_host = definition.network_mode == "host"
    return tuple(
        HostPort(port.container_port or 0 if on_host else port.host_port or 0, port.protocol or "tcp")
        for container in definition.container_definitions or ()
        for port in container.port_mappings or ()
        if (port.container_port if on_host else port.host_port)
    )


def new_task(arn: str, cluster_arn: str, definition: TaskDefinition, spec: TaskSpec, container_ids: Sequence[str]) -> Task:
    """`spec` needs no reservation and no container names; `container_ids` are as many new ids as the definition has containers."""
    wanted = effective(definition.definition, spec.overrides)
    containers = wanted.container_definitions or ()
    stem = arn.replace(":task/", ":container/", 1)
    return Task(
        arn=arn,
        cluster_arn=cluster_arn,
        spec=replace(spec, reservation=reservation_of(wanted), container_names=tuple(container.name or "" for container in containers)),
        status=TaskStatus(
            containers=tuple(
                Container(name=container.name or "", arn=f"{stem}/{container_id}", image=container.image or "")
                for container, container_id in zip(containers, container_ids, strict=False)
            )
        ),
    )


def placed(reader: Reader, task: Task, instance: ContainerInstance, chosen: Chosen | None = None) -> Task:
    """`task` with its place and, where it is to have them, its interface and GPUs, waiting for the agent there.

    `reader` is the transaction.
    """
    there = with_interface(reader, task, instance)
    return replace(
        there,
        container_instance_arn=instance.arn,
        availability_zone=instance.availability_zone,
        status=replace(there.status, last_status="PENDING"),
        gpu_ids=_free_gpus(reader, instance, task.spec.reservation.gpus) if task.spec.reservation.gpus else (),
        chosen=chosen,
    )


def _free_gpus(reader: Reader, instance: ContainerInstance, wanted: int) -> tuple[str, ...]:
    """The first of the instance's GPUs that no task there has; placement has seen to it that there are enough."""
    taken = {gpu for other in reader.list(TASKS, "active_on", instance.arn) for gpu in other.gpu_ids}
    return tuple([gpu for gpu in instance.capacity.gpus if gpu not in taken][:wanted])
