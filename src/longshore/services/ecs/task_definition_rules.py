"""What a task definition must be, and what it looks like with every default filled in.

`checked(request)` is the whole of it: pure, from the request to the definition that is kept, or a ClientException in AWS's
words. Rules about one container stand in container_rules.py; here are those about the task and about how its containers
hang together (source: the developer guide's task definition parameters).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.cluster_query import QueryError, parse
from longshore.services.ecs.container_rules import check_container, normal_container
from longshore.services.ecs.errors import ClientException, InvalidParameterException
from longshore.services.ecs.feature_rules import check_features, fargate_faults
from longshore.services.ecs.names import NAME
from longshore.services.ecs.task_sizes import LEAST_CPU, LEAST_MEMORY_MIB, MOST_CPU, cpu_units, fits_fargate, memory_mib

MOST_CONTAINERS = 10
MOST_CONSTRAINTS = 10
MOST_JSON = 65_536
_GUIDE = "For more information, see the Troubleshooting section of the Amazon ECS Developer Guide."
_ALLOWED = "Up to 255 letters, numbers, hyphens and underscores are allowed."


def checked(request: shapes.RegisterTaskDefinitionRequest) -> shapes.TaskDefinition:
    """The definition, without ARN, revision and what is derived from it. Raises ClientException."""
    check_family(request.family)
    size = len(msgspec.json.encode(request))
    if size > MOST_JSON:
        raise ClientException(f"Actual length: '{size}'. Max allowed length is '{MOST_JSON}' bytes.")
    definition = _normal(request)
    containers = definition.container_definitions or ()
    _check_containers(containers)
    for container in containers:
        check_container(container, definition)
    _check_memory(definition)
    _check_volumes(definition)
    for container in containers:
        _check_references(container, definition)
    _check_no_cycle(containers)
    check_features(definition)
    _check_constraints(definition)
    _check_compatibilities(definition)
    return definition


def check_family(family: str) -> None:
    if not family:
        raise ClientException("Family should not be empty.")
    if len(family) > 255:
        raise ClientException("Family should not be longer than 255 characters.")
    if not NAME.fullmatch(family):
        raise ClientException("Family contains invalid characters.")


# ── defaults ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _normal(request: shapes.RegisterTaskDefinitionRequest) -> shapes.TaskDefinition:
    mode = request.network_mode
    return shapes.TaskDefinition(
        container_definitions=tuple(normal_container(container, mode) for container in request.container_definitions),
        family=request.family,
        # clients send empty strings for what is not set
        task_role_arn=request.task_role_arn or None,
        execution_role_arn=request.execution_role_arn or None,
        network_mode=mode,
        volumes=tuple(_normal_volume(volume) for volume in request.volumes or ()),
        placement_constraints=request.placement_constraints or (),
        runtime_platform=request.runtime_platform,
        requires_compatibilities=request.requires_compatibilities or None,
        cpu=_normal_cpu(request.cpu) if request.cpu else None,
        memory=_normal_memory(request.memory) if request.memory else None,
        inference_accelerators=request.inference_accelerators or None,
        pid_mode=request.pid_mode,
        ipc_mode=request.ipc_mode,
        proxy_configuration=request.proxy_configuration,
        ephemeral_storage=request.ephemeral_storage,
        enable_fault_injection=request.enable_fault_injection,
        trusted_execution_configuration=request.trusted_execution_configuration,
    )


def _normal_volume(volume: shapes.Volume) -> shapes.Volume:
    docker = volume.docker_volume_configuration
    if docker is not None:
        return replace(volume, docker_volume_configuration=replace(docker, scope=docker.scope or "task", driver=docker.driver or "local"))
    others = (
        volume.efs_volume_configuration,
        volume.s3files_volume_configuration,
        volume.fsx_windows_file_server_volume_configuration,
        volume.configured_at_launch,
    )
    return replace(volume, host=volume.host or shapes.HostVolumeProperties()) if not any(others) else volume


def _normal_cpu(text: str) -> str:
    units = cpu_units(text)
    if units is None or units < 1:
        raise ClientException(f"Invalid 'cpu' setting for task. {_GUIDE}")
    return str(units)


def _normal_memory(text: str) -> str:
    mebibytes = memory_mib(text)
    if mebibytes is None or mebibytes < LEAST_MEMORY_MIB:
        raise ClientException(f"Invalid 'memory' setting for task. {_GUIDE}")
    return str(mebibytes)


# ── the task ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_containers(containers: tuple[shapes.ContainerDefinition, ...]) -> None:
    if not containers:
        raise ClientException("Container list cannot be empty.")
    if len(containers) > MOST_CONTAINERS:
        raise ClientException(f"Too many containers. The limit is {MOST_CONTAINERS}.")
    names: set[str] = set()
    for container in containers:
        name = container.name or ""
        if not name:
            raise ClientException("Container.name should not be null or empty.")
        if len(name) > 255 or not NAME.fullmatch(name):
            raise ClientException(f"Invalid container name '{name[:300]}'. {_ALLOWED}")
        if name in names:
            raise ClientException(f"Container names must be unique. '{name}' is used more than once.")
        names.add(name)
    if not any(container.essential for container in containers):
        raise ClientException("At least one container must be marked as essential.")


def _check_memory(definition: shapes.TaskDefinition) -> None:
    containers = definition.container_definitions or ()
    if definition.memory is None:
        for container in containers:
            if container.memory is None and container.memory_reservation is None:
                raise ClientException(
                    f"Invalid setting for container '{container.name}'. At least one of 'memory' or 'memoryReservation' must be specified."
                )
        return
    limit = int(definition.memory)
    for container in containers:
        for amount in (container.memory, container.memory_reservation):
            if amount is not None and amount > limit:
                raise ClientException(f"Container '{container.name}' memory setting is more than the task memory setting of {limit}.")
    if sum(_reserved(container) for container in containers) > limit:
        raise ClientException("The sum of the container memory settings is more than the task memory setting.")
    cpu = sum(container.cpu or 0 for container in containers)
    if definition.cpu is not None and cpu > int(definition.cpu):
        raise ClientException("Invalid setting for container. The sum of the container 'cpu' settings is more than the task 'cpu' setting.")


def _reserved(container: shapes.ContainerDefinition) -> int:
    return container.memory_reservation or container.memory or 0


def _check_volumes(definition: shapes.TaskDefinition) -> None:
    names: set[str] = set()
    for volume in definition.volumes or ():
        name = volume.name or ""
        if not NAME.fullmatch(name):
            raise ClientException(f"Invalid volume name '{name[:300]}'. {_ALLOWED}")
        if name in names:
            raise ClientException(f"Volume names must be unique. '{name}' is used more than once.")
        names.add(name)
        given = (
            volume.host is not None and volume.host.source_path is not None,
            volume.docker_volume_configuration is not None,
            volume.efs_volume_configuration is not None,
            volume.fsx_windows_file_server_volume_configuration is not None,
            volume.s3files_volume_configuration is not None,
        )
        if sum(given) > 1:
            raise ClientException(f"Only one volume configuration is allowed for volume '{name}'.")
        docker = volume.docker_volume_configuration
        if docker is not None and docker.autoprovision is not None and docker.scope != "shared":
            raise ClientException(f"'autoprovision' of volume '{name}' is allowed only with the scope 'shared'.")


def _check_constraints(definition: shapes.TaskDefinition) -> None:
    constraints = definition.placement_constraints or ()
    if len(constraints) > MOST_CONSTRAINTS:
        raise ClientException(f"Too many placement constraints. The limit is {MOST_CONSTRAINTS}.")
    for constraint in constraints:
        if constraint.type != "memberOf":
            raise ClientException("The placement constraint type of a task definition must be memberOf.")
        try:
            parse(constraint.expression or "")
        except QueryError as error:
            raise InvalidParameterException(f"Invalid expression: {error}") from None


# ── how containers hang together ────────────────────────────────────────────────────────────────────────────────────


def _check_references(container: shapes.ContainerDefinition, definition: shapes.TaskDefinition) -> None:
    by_name = {other.name or "": other for other in definition.container_definitions or ()}
    volumes = {volume.name for volume in definition.volumes or ()}
    name = container.name or ""
    for link in container.links or ():
        target = link.split(":", 1)[0]
        if target == name:
            raise ClientException(f"Container '{name}' cannot link to itself.")
        if target not in by_name:
            raise ClientException(f"Container '{name}' links to container '{target[:300]}', which is not defined in the task.")
    for mount in container.mount_points or ():
        if mount.source_volume is not None and mount.source_volume not in volumes:
            raise ClientException(f"Unknown volume '{mount.source_volume[:300]}'.")
        if not mount.container_path:
            raise ClientException(f"The container path of a mount point of container '{name}' must not be empty.")
    for source in container.volumes_from or ():
        if source.source_container == name:
            raise ClientException(f"Container '{name}' cannot mount volumes from itself.")
        if source.source_container not in by_name:
            raise ClientException(f"Unknown container '{(source.source_container or '')[:300]}' in volumesFrom of container '{name}'.")
    for dependency in container.depends_on or ():
        _check_dependency(name, dependency, by_name)


def _check_dependency(name: str, dependency: shapes.ContainerDependency, by_name: dict[str, shapes.ContainerDefinition]) -> None:
    other = by_name.get(dependency.container_name)
    if other is None:
        unknown = dependency.container_name[:300]
        raise ClientException(f"Container '{name}' depends on container '{unknown}', which is not defined in the task.")
    if other.name == name:
        raise ClientException(f"Container '{name}' cannot depend on itself.")
    if dependency.condition in ("COMPLETE", "SUCCESS") and other.essential:
        raise ClientException(
            f"A container dependency on the essential container '{other.name}' cannot have the condition {dependency.condition}."
        )
    if dependency.condition == "HEALTHY" and other.health_check is None:
        raise ClientException(f"Container '{name}' depends on '{other.name}' being HEALTHY, but '{other.name}' has no health check.")


def _waits_for(container: shapes.ContainerDefinition) -> list[str]:
    return [
        *(dependency.container_name for dependency in container.depends_on or ()),
        *(link.split(":", 1)[0] for link in container.links or ()),
        *(source.source_container or "" for source in container.volumes_from or ()),
    ]


def _check_no_cycle(containers: Iterable[shapes.ContainerDefinition]) -> None:
    waiting = {container.name or "": set(_waits_for(container)) for container in containers}
    while waiting:
        ready = [name for name, others in waiting.items() if not others & waiting.keys()]
        if not ready:
            raise ClientException(f"The containers {', '.join(sorted(waiting))} depend on each other in a circle.")
        for name in ready:
            del waiting[name]


# ── where it can run ────────────────────────────────────────────────────────────────────────────────────────────────


def compatibilities(definition: shapes.TaskDefinition) -> tuple[str, ...]:
    """Launch types the definition is good for, whichever were asked for."""
    if definition.network_mode != "awsvpc":
        return ("EXTERNAL", "EC2")
    return ("EC2", "FARGATE") if _fargate_refusal(definition) is None else ("EC2",)


def _check_compatibilities(definition: shapes.TaskDefinition) -> None:
    required = definition.requires_compatibilities or ()
    if "FARGATE" in required:
        refusal = _fargate_refusal(definition)
        if refusal is not None:
            raise ClientException(refusal)
    if "EXTERNAL" in required and definition.network_mode == "awsvpc":
        raise ClientException("The network mode awsvpc is not supported for the EXTERNAL launch type.")
    if "MANAGED_INSTANCES" in required:
        raise ClientException("The compatibility MANAGED_INSTANCES is not offered by this installation.")
    if "FARGATE" not in required and definition.cpu is not None and not LEAST_CPU <= int(definition.cpu) <= MOST_CPU:
        raise ClientException(f"Invalid 'cpu' setting for task. {_GUIDE}")


def _fargate_refusal(definition: shapes.TaskDefinition) -> str | None:
    if definition.network_mode != "awsvpc":
        return "Fargate only supports network mode ‘awsvpc’."
    if definition.cpu is None:
        return "Fargate requires that 'cpu' be defined at the task level."
    if definition.memory is None:
        return "Fargate requires that 'memory' be defined at the task level."
    if not fits_fargate(definition.cpu, definition.memory):
        return "No Fargate configuration exists for given values."
    if definition.placement_constraints:
        return "Fargate does not support placement constraints."
    containers = definition.container_definitions or ()
    for container in containers:
        if container.privileged:
            return "Fargate does not support privileged containers."
        if (container.stop_timeout or 0) > 120:
            return f"The stopTimeout of container '{container.name}' is more than the 120 seconds that Fargate allows."
        log = container.log_configuration
        if log is not None and log.log_driver == "awslogs" and definition.execution_role_arn is None:
            return "Fargate requires task definition to have execution role ARN to support log driver awslogs."
        if ".dkr.ecr." in (container.image or "").split("/", 1)[0] and definition.execution_role_arn is None:
            return "Fargate requires task definition to have execution role ARN to support ECR images."
    return next(fargate_faults(definition), None)
