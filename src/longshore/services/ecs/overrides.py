"""What a task changes in its definition, and the definition as it then is.

Overrides come with RunTask and StartTask. `check_overrides` refuses what the definition has no place for; `effective`
lays them over the definition, and everything after that (reservation, payload) reads the result only.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.errors import ClientException, InvalidParameterException, UnsupportedFeatureException
from longshore.services.ecs.feature_rules import check_gpus
from longshore.services.ecs.task_sizes import LEAST_MEMORY_MIB, cpu_units, memory_mib

MOST_CHARACTERS = 8192


def check_overrides(overrides: shapes.TaskOverride, definition: shapes.TaskDefinition) -> None:
    """Raises InvalidParameterException or ClientException."""
    if len(msgspec.json.encode(overrides).decode()) > MOST_CHARACTERS:
        raise InvalidParameterException(f"Container Overrides length must be at most {MOST_CHARACTERS}")
    names = {container.name for container in definition.container_definitions or ()}
    for container in overrides.container_overrides or ():
        if container.name not in names:
            raise InvalidParameterException(
                f"Override for container named {(container.name or '')[:255]} is not a container in the TaskDefinition."
            )
        if container.cpu is not None and container.cpu < 0:
            raise ClientException(f"Invalid 'cpu' setting for container '{container.name}'. It must not be negative.")
        for amount in (container.memory, container.memory_reservation):
            if amount is not None and amount < LEAST_MEMORY_MIB:
                raise ClientException(
                    f"Invalid 'memory' setting for container '{container.name}'. It must be at least {LEAST_MEMORY_MIB} MiB."
                )
        if any(not variable.name for variable in container.environment or ()):
            raise ClientException(f"An environment variable of container '{container.name}' has no name.")
        if container.environment_files:
            raise UnsupportedFeatureException("Environment files are not offered by this installation: there is no S3 to read them from.")
        check_gpus(container.name or "", container.resource_requirements)
    if overrides.inference_accelerator_overrides:
        raise UnsupportedFeatureException("Inference accelerators are not offered by this installation.")
    if overrides.ephemeral_storage is not None:
        raise InvalidParameterException("Overriding ephemeral storage is only supported for tasks using the Fargate launch type.")
    if overrides.cpu and cpu_units(overrides.cpu) is None:
        raise ClientException("Invalid 'cpu' setting for task.")
    if overrides.memory and memory_mib(overrides.memory) is None:
        raise ClientException("Invalid 'memory' setting for task.")
    _check_result(effective(definition, normal(overrides)))


def _check_result(definition: shapes.TaskDefinition) -> None:
    """What comes of laying them over must still be a definition that can run."""
    containers = definition.container_definitions or ()
    for container in containers:
        if container.memory is not None and container.memory < (container.memory_reservation or 0):
            name = container.name
            raise ClientException(f"Invalid setting for container '{name}'. 'memory' must not be less than 'memoryReservation'.")
        secrets = {secret.name for secret in container.secrets or ()}
        for variable in container.environment or ():
            if variable.name in secrets:
                raise ClientException(
                    "The secret name must be unique and not shared with any new or existing environment variables set on the container, "
                    f"such as '{variable.name}'."
                )
    if definition.memory is not None and sum(_reserved(container) for container in containers) > int(definition.memory):
        raise ClientException("The sum of the container memory settings is more than the task memory setting.")
    if definition.cpu is not None and sum(container.cpu or 0 for container in containers) > int(definition.cpu):
        raise ClientException("Invalid setting for container. The sum of the container 'cpu' settings is more than the task 'cpu' setting.")


def _reserved(container: shapes.ContainerDefinition) -> int:
    return container.memory_reservation or container.memory or 0


def normal(overrides: shapes.TaskOverride) -> shapes.TaskOverride:
    """`overrides` (checked) with CPU and memory as whole numbers of units and MiB, and empty strings gone."""
    return replace(
        overrides,
        cpu=str(cpu_units(overrides.cpu)) if overrides.cpu else None,
        memory=str(memory_mib(overrides.memory)) if overrides.memory else None,
        task_role_arn=overrides.task_role_arn or None,
        execution_role_arn=overrides.execution_role_arn or None,
    )


def effective(definition: shapes.TaskDefinition, overrides: shapes.TaskOverride | None) -> shapes.TaskDefinition:
    """The definition that the task runs by; `overrides` are `normal` ones."""
    if overrides is None:
        return definition
    changes = {container.name: container for container in overrides.container_overrides or ()}
    return replace(
        definition,
        container_definitions=tuple(_changed(c, changes.get(c.name)) for c in definition.container_definitions or ()),
        cpu=overrides.cpu or definition.cpu,
        memory=overrides.memory or definition.memory,
        task_role_arn=overrides.task_role_arn or definition.task_role_arn,
        execution_role_arn=overrides.execution_role_arn or definition.execution_role_arn,
    )


def _changed(container: shapes.ContainerDefinition, change: shapes.ContainerOverride | None) -> shapes.ContainerDefinition:
    if change is None:
        return container
    environment = {variable.name: variable for variable in container.environment or ()}
    environment.update({variable.name: variable for variable in change.environment or ()})
    return replace(
        container,
        command=container.command if change.command is None else change.command,
        environment=tuple(environment.values()),
        environment_files=(*(container.environment_files or ()), *(change.environment_files or ())) or None,
        cpu=container.cpu if change.cpu is None else change.cpu,
        memory=container.memory if change.memory is None else change.memory,
        memory_reservation=container.memory_reservation if change.memory_reservation is None else change.memory_reservation,
        resource_requirements=container.resource_requirements if change.resource_requirements is None else change.resource_requirements,
    )
