"""Features of a task definition that need something else in it, or exclude it. Pure; every refusal is a ClientException.

Rules of a container by itself stand in container_rules.py, those of how containers hang together in task_definition_rules.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.errors import ClientException

MOST_GPUS = 64
LEAST_EPHEMERAL_GIB, MOST_EPHEMERAL_GIB = 21, 200
_IPC_CONTROLS = frozenset(
    {"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni"}
    | {"kernel.shm_rmid_forced"}
)
_FARGATE_CAPABILITY = "SYS_PTRACE"


def check_features(definition: shapes.TaskDefinition) -> None:
    """`definition` after its defaults were filled in."""
    containers = definition.container_definitions or ()
    for container in containers:
        _check_execution_role(container, definition)
        _check_controls(container, definition)
        check_gpus(container.name or "", container.resource_requirements)
    _check_firelens(containers)
    for volume in definition.volumes or ():
        _check_efs(volume)
    _check_proxy(definition)
    storage = definition.ephemeral_storage
    if storage is not None and not LEAST_EPHEMERAL_GIB <= storage.size_in_gi_b <= MOST_EPHEMERAL_GIB:
        raise ClientException(f"EphemeralStorage size should be between {LEAST_EPHEMERAL_GIB} and {MOST_EPHEMERAL_GIB} GiB.")


def _check_execution_role(container: shapes.ContainerDefinition, definition: shapes.TaskDefinition) -> None:
    """Whoever fetches on behalf of a task does so with its execution role."""
    if definition.execution_role_arn:
        return
    log = container.log_configuration
    for word, wanted in (
        ("container secrets", container.secrets),
        ("log configuration secretOptions", log.secret_options if log is not None else None),
        ("repositoryCredentials", container.repository_credentials),
    ):
        if wanted:
            raise ClientException(f"When you are specifying {word}, you must also specify a value for 'executionRoleArn'.")


def _check_controls(container: shapes.ContainerDefinition, definition: shapes.TaskDefinition) -> None:
    """Kernel parameters belong to namespaces; those of the host are not a task's to change."""
    for control in container.system_controls or ():
        name = control.namespace or ""
        is_ipc, is_net = name in _IPC_CONTROLS or name.startswith("fs.mqueue."), name.startswith("net.")
        if not is_ipc and not is_net:
            raise ClientException(f"The systemControls namespace '{name[:128]}' of container '{container.name}' is not supported.")
        if not control.value:
            raise ClientException(f"The systemControls namespace '{name[:128]}' of container '{container.name}' has no value.")
        if is_net and definition.network_mode in ("host", "none"):
            word = definition.network_mode
            raise ClientException(f"Network namespace systemControls are not supported when networkMode={word}: '{name[:128]}'.")
        if is_ipc and definition.ipc_mode == "host":
            raise ClientException(f"IPC namespace systemControls are not supported when ipcMode=host: '{name[:128]}'.")


def check_gpus(container: str, requirements: tuple[shapes.ResourceRequirement, ...] | None) -> None:
    """Also of an override."""
    for wanted in requirements or ():
        value = wanted.value or ""
        if wanted.type == "GPU" and not (value.isascii() and value.isdigit() and len(value) <= 4 and 1 <= int(value) <= MOST_GPUS):
            raise ClientException(f"The GPU resource requirement of container '{container}' must be between 1 and {MOST_GPUS}.")


def _check_firelens(containers: tuple[shapes.ContainerDefinition, ...]) -> None:
    routers = [container for container in containers if container.firelens_configuration is not None]
    if len(routers) > 1:
        raise ClientException("Only one container can be specified with a firelensConfiguration object in a task definition.")
    logs = (container.log_configuration for container in containers)
    if not routers and any(log is not None and log.log_driver == "awsfirelens" for log in logs):
        raise ClientException("The log driver awsfirelens requires a container with a firelensConfiguration object.")


def _check_efs(volume: shapes.Volume) -> None:
    efs = volume.efs_volume_configuration
    access = efs.authorization_config if efs is not None else None
    if efs is None or access is None:
        return
    if efs.transit_encryption != "ENABLED":
        raise ClientException("EFS volume transit encryption must be enabled if an authorization config is specified.")
    if access.access_point_id and efs.root_directory not in (None, "", "/"):
        raise ClientException("EFS volume root directory must either be omitted or set to / if an access point is specified.")


def _check_proxy(definition: shapes.TaskDefinition) -> None:
    proxy = definition.proxy_configuration
    if proxy is None:
        return
    if definition.network_mode != "awsvpc":
        raise ClientException("Proxy configuration is supported only when networkMode=awsvpc.")
    if proxy.container_name not in {container.name for container in definition.container_definitions or ()}:
        raise ClientException(f"The proxy configuration's container '{proxy.container_name[:255]}' is not defined in the task.")


def fargate_faults(definition: shapes.TaskDefinition) -> Iterator[str]:
    """What Fargate does not offer of what the definition uses, in AWS's words."""
    if definition.pid_mode == "host":
        yield "Tasks using the Fargate launch type do not support pidMode ‘host’."
    if definition.ipc_mode:
        yield "Tasks using the Fargate launch type do not support IPC settings."
    for volume in definition.volumes or ():
        if volume.docker_volume_configuration is not None:
            yield "Fargate compatible task definitions do not support dockerVolumeConfiguration."
        if volume.host is not None and volume.host.source_path:
            yield "Fargate compatible task definitions do not support sourcePath."
    for container in definition.container_definitions or ():
        yield from _container_faults(container)


def _container_faults(container: shapes.ContainerDefinition) -> Iterator[str]:
    name = container.name
    if container.links:
        yield f"Fargate compatible task definitions do not support links of container '{name}'."
    if container.docker_security_options:
        yield f"Fargate compatible task definitions do not support dockerSecurityOptions of container '{name}'."
    if any(wanted.type == "GPU" for wanted in container.resource_requirements or ()):
        yield "Tasks using the Fargate launch type do not support GPU resource requirements."
    linux = container.linux_parameters
    if linux is None:
        return
    for word, used in (
        ("devices", linux.devices),
        ("sharedMemorySize", linux.shared_memory_size),
        ("tmpfs", linux.tmpfs),
        ("maxSwap", linux.max_swap),
        ("swappiness", linux.swappiness),
    ):
        if used:
            yield f"Fargate compatible task definitions do not support {word}."
    added = (linux.capabilities.add if linux.capabilities is not None else None) or ()
    if any(capability != _FARGATE_CAPABILITY for capability in added):
        yield f"Fargate supports adding the capability {_FARGATE_CAPABILITY} only."
