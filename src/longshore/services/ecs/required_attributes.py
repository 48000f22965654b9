"""What an instance must be able to do before a task of a definition may be placed on it: its requiresAttributes.

Agents say what they can do with attributes (`ecs.capability.…`, `com.amazonaws.ecs.capability.…`); every feature that a
definition uses asks for the attribute of that feature. Pure, from a definition with its defaults filled in.
"""

from __future__ import annotations

from collections.abc import Iterator

from longshore.aws.shapes import ecs as shapes

_DOCKER = "com.amazonaws.ecs.capability"
_API = f"{_DOCKER}.docker-remote-api."
_ECS = "ecs.capability"
#: units for a task; more is asked for by name
MOST_USUAL_CPU = 10_240


def required_attributes(definition: shapes.TaskDefinition) -> tuple[shapes.Attribute, ...]:
    """Sorted by name, each once."""
    names = set(_of_task(definition))
    for container in definition.container_definitions or ():
        names.update(_of_container(container, definition))
    found = dict.fromkeys(names, "") | dict(_of_platform(definition))
    return tuple(shapes.Attribute(name=name, value=found[name] or None) for name in sorted(found))


def _of_platform(definition: shapes.TaskDefinition) -> Iterator[tuple[str, str]]:
    """(attribute, its value) of a machine that the images were made for. Linux on x86-64 is what images are made for unless it is said."""
    platform = definition.runtime_platform
    if platform is None:
        return
    if platform.cpu_architecture == "ARM64":
        yield "ecs.cpu-architecture", "arm64"
    if (platform.operating_system_family or "").startswith("WINDOWS"):
        yield "ecs.os-type", "windows"


def _of_task(definition: shapes.TaskDefinition) -> Iterator[str]:
    if definition.task_role_arn:
        yield f"{_DOCKER}.task-iam-role"
        if definition.network_mode == "host":
            yield f"{_DOCKER}.task-iam-role-network-host"
    if definition.network_mode == "awsvpc":
        yield f"{_ECS}.task-eni"
    if definition.pid_mode or definition.ipc_mode:
        yield f"{_ECS}.pid-ipc-namespace-sharing"
    if definition.proxy_configuration is not None:
        yield f"{_ECS}.aws-appmesh"
    if definition.cpu is not None and int(definition.cpu) > MOST_USUAL_CPU:
        yield f"{_ECS}.increased-task-cpu-limit"
    if definition.inference_accelerators:
        yield f"{_ECS}.task-eia"
    if definition.ephemeral_storage is not None:
        yield f"{_ECS}.extensible-ephemeral-storage"
    if definition.enable_fault_injection:
        yield f"{_ECS}.fault-injection"
    for volume in definition.volumes or ():
        docker, efs = volume.docker_volume_configuration, volume.efs_volume_configuration
        if docker is not None:
            yield f"{_API}1.21"
            yield f"{_ECS}.docker-plugin.{docker.driver or 'local'}"
        if efs is not None:
            yield f"{_ECS}.efs"
            if efs.authorization_config is not None or efs.transit_encryption == "ENABLED":
                yield f"{_ECS}.efsAuth"
        if volume.fsx_windows_file_server_volume_configuration is not None:
            yield f"{_ECS}.fsxWindowsFileServer"
        if volume.s3files_volume_configuration is not None:
            yield f"{_ECS}.storage.s3-files"
        if volume.configured_at_launch:
            yield f"{_ECS}.storage.ebs-task-volume-attach"


def _of_container(container: shapes.ContainerDefinition, definition: shapes.TaskDefinition) -> Iterator[str]:
    yield from _of_image(container, definition)
    yield from _of_logging(container, definition)
    yield from _of_docker(container)
    if container.health_check is not None:
        yield f"{_ECS}.container-health-check"
        yield f"{_API}1.29" if container.health_check.start_period is not None else f"{_API}1.24"
    if container.depends_on:
        yield f"{_ECS}.container-ordering"
    for secret in container.secrets or ():
        yield f"{_ECS}.secrets.{_provider(secret)}.environment-variables"
    if container.environment_files:
        yield f"{_ECS}.env-files.s3"
    firelens = container.firelens_configuration
    if firelens is not None:
        yield f"{_ECS}.firelens.{firelens.type}"
        source = (firelens.options or {}).get("config-file-type")
        if source:
            yield f"{_ECS}.firelens.options.config.{source}"
    if container.restart_policy is not None and container.restart_policy.enabled:
        yield f"{_ECS}.container-restart-policy"
    if container.credential_specs:
        yield f"{_ECS}.gmsa"
    if any(port.container_port_range for port in container.port_mappings or ()):
        yield f"{_ECS}.network.container-port-range"


def _of_image(container: shapes.ContainerDefinition, definition: shapes.TaskDefinition) -> Iterator[str]:
    if ".dkr.ecr." in (container.image or "").split("/", 1)[0]:
        yield f"{_DOCKER}.ecr-auth"
        if definition.execution_role_arn:
            yield f"{_ECS}.execution-role-ecr-pull"
    if container.repository_credentials is not None:
        yield f"{_ECS}.private-registry-authentication.secretsmanager"


def _of_logging(container: shapes.ContainerDefinition, definition: shapes.TaskDefinition) -> Iterator[str]:
    log = container.log_configuration
    if log is None:
        return
    yield f"{_API}1.19" if log.log_driver == "awslogs" else f"{_API}1.18"
    if log.log_driver == "awsfirelens":
        yield f"{_DOCKER}.logging-driver.awsfirelens"
        return
    yield f"{_DOCKER}.logging-driver.{log.log_driver}"
    if log.log_driver == "awslogs" and definition.execution_role_arn:
        yield f"{_ECS}.execution-role-awslogs"
    for secret in log.secret_options or ():
        yield f"{_ECS}.secrets.{_provider(secret)}.bootstrap.log-driver"


def _of_docker(container: shapes.ContainerDefinition) -> Iterator[str]:
    if container.privileged:
        yield f"{_DOCKER}.privileged-container"
    if container.memory_reservation is not None:
        yield f"{_API}1.21"
    for option in container.docker_security_options or ():
        if option.startswith("apparmor"):
            yield f"{_DOCKER}.apparmor"
        elif option.startswith("label"):
            yield f"{_DOCKER}.selinux"
    linux = container.linux_parameters
    if linux is None:
        return
    if linux.init_process_enabled:
        yield f"{_API}1.25"
    if linux.shared_memory_size is not None or linux.tmpfs:
        yield f"{_API}1.22"
    if linux.max_swap is not None or linux.swappiness is not None:
        yield f"{_API}1.20"


def _provider(secret: shapes.Secret) -> str:
    """Which of the two stores a secret lies in: Secrets Manager by its ARN, else Parameter Store."""
    return "asm" if ":secretsmanager:" in secret.value_from else "ssm"
