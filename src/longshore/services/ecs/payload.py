"""A task as its agent is told of it: the payload of the agent protocol (§3), made of the task and its definition. Pure.

Overrides of environment, cpu and memory are laid over here; only a command may travel as an override. Everything Docker
is to know beyond the protocol's own fields goes as JSON text in `dockerConfig` (docker_settings.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Site
from longshore.services.ecs.docker_settings import config_of, host_config_of
from longshore.services.ecs.interfaces import attachment_arn, private_dns_name
from longshore.services.ecs.model import Attachment, Task, TaskDefinition
from longshore.services.ecs.overrides import effective

#: Docker API version that containers are created with; every engine since 2017 speaks it
DOCKER_API_VERSION = "1.32"
_ECR_HOST = re.compile(r"(?P<account>[0-9]{12})\.dkr[.-]ecr\.(?P<region>[a-z0-9-]+)\.(?P<domain>[a-z0-9.-]+)(:[0-9]+)?/")


def task_payload(task: Task, definition: TaskDefinition, site: Site, gateway_url: str) -> dict[str, Any]:
    """`gateway_url` is where the agent itself reaches the gateway: it asks there for what images of our registry need."""
    wanted = definition.definition
    overrides = {override.name: override for override in _container_overrides(task)}
    containers = [
        _container(task, wanted, container, overrides.get(container.name), site, gateway_url)
        for container in wanted.container_definitions or ()
    ]
    payload: dict[str, Any] = {
        "arn": task.arn,
        "taskClusterArn": task.cluster_arn,
        "family": definition.family,
        "version": str(definition.revision),
        "desiredStatus": "RUNNING",
        "overrides": "{}",
        "containers": containers,
        "volumes": [_volume(volume) for volume in wanted.volumes or ()],
        "taskDefinitionAccountId": task.arn.split(":")[4],
        "launchType": task.spec.launch_type,
        "networkMode": wanted.network_mode or "bridge",
        "group": task.spec.group,
        "serviceName": task.spec.group.removeprefix("service:") if task.spec.service_arn else "",
        "zone": task.availability_zone,
    }
    cpu, memory = _task_size(task, wanted)
    if cpu:
        payload["cpu"] = cpu / 1024
    if memory:
        payload["memory"] = memory
    if wanted.pid_mode:
        payload["pidMode"] = wanted.pid_mode
    if wanted.ipc_mode:
        payload["ipcMode"] = wanted.ipc_mode
    if wanted.enable_fault_injection:
        payload["enableFaultInjection"] = True
    if task.status.attachments:
        payload["elasticNetworkInterfaces"] = [_interface(task, attachment) for attachment in task.status.attachments]
    if task.gpu_ids:
        payload["associations"] = list(_gpu_associations(task, wanted))
    if wanted.proxy_configuration is not None:
        payload["proxyConfiguration"] = _proxy(wanted.proxy_configuration)
    return payload


def is_repeatable(task: Task, definition: TaskDefinition) -> bool:
    """Whether the payload of `task` serves other tasks of its definition, but for what `for_another` replaces."""
    if task.spec.overrides is not None or task.status.attachments or task.gpu_ids:
        return False
    containers = definition.definition.container_definitions or ()
    return all(container.log_configuration is None or container.log_configuration.log_driver != "awslogs" for container in containers)


def for_another(payload: dict[str, Any], task: Task) -> dict[str, Any]:
    """The payload of a task without overrides, made from a repeatable one of the same definition: twenty tasks of a service
    differ in their names and places only, and encoding their containers anew each time is most of the work."""
    arns = {container.name: container.arn for container in task.status.containers}
    return {
        **payload,
        "arn": task.arn,
        "taskClusterArn": task.cluster_arn,
        "containers": [{**container, "containerArn": arns.get(container["name"], "")} for container in payload["containers"]],
        "launchType": task.spec.launch_type,
        "group": task.spec.group,
        "serviceName": task.spec.group.removeprefix("service:") if task.spec.service_arn else "",
        "zone": task.availability_zone,
    }


def _interface(task: Task, attachment: Attachment) -> dict[str, Any]:
    return {
        "attachmentArn": attachment_arn(task.arn, attachment),
        "ec2Id": attachment.eni_id,
        "macAddress": attachment.mac_address,
        "ipv4Addresses": [{"primary": True, "privateAddress": attachment.private_address}],
        "ipv6Addresses": [],
        "subnetGatewayIpv4Address": attachment.gateway,
        "privateDnsName": private_dns_name(attachment, task.arn),
        "domainName": [],
        "domainNameServers": [],
        "interfaceAssociationProtocol": "default",
        "index": 0,
    }


def _gpu_associations(task: Task, definition: shapes.TaskDefinition) -> Iterator[dict[str, Any]]:
    """The task's GPUs, handed out to its containers in their order."""
    free = iter(task.gpu_ids)
    for container in effective(definition, task.spec.overrides).container_definitions or ():
        for wanted in container.resource_requirements or ():
            if wanted.type == "GPU":
                for gpu in islice(free, int(wanted.value or 0)):
                    yield {"name": gpu, "type": "gpu", "containers": [container.name], "content": {"encoding": "base64", "value": ""}}


def _proxy(proxy: shapes.ProxyConfiguration) -> dict[str, Any]:
    return {
        "type": proxy.type or "APPMESH",
        "containerName": proxy.container_name,
        "properties": {pair.name or "": pair.value or "" for pair in proxy.properties or ()},
    }


def _container_overrides(task: Task) -> tuple[shapes.ContainerOverride, ...]:
    overrides = task.spec.overrides
    return (overrides.container_overrides or ()) if overrides is not None else ()


def _task_size(task: Task, definition: shapes.TaskDefinition) -> tuple[int, int]:
    """(cpu units, memory MiB) of the task as a whole, 0 for no limit. Both are whole numbers since registration."""
    overrides = task.spec.overrides
    cpu = (overrides.cpu if overrides else None) or definition.cpu or "0"
    memory = (overrides.memory if overrides else None) or definition.memory or "0"
    return int(cpu), int(memory)


def _container(
    task: Task,
    definition: shapes.TaskDefinition,
    container: shapes.ContainerDefinition,
    override: shapes.ContainerOverride | None,
    site: Site,
    gateway_url: str,
) -> dict[str, Any]:
    name = container.name or ""
    memory = (override.memory if override else None) or container.memory
    reservation = (override.memory_reservation if override else None) or container.memory_reservation
    cpu = override.cpu if override and override.cpu is not None else container.cpu
    command = override.command if override and override.command is not None else container.command
    known = next((known for known in task.status.containers if known.name == name), None)
    task_id = task.arn.rsplit("/", 1)[-1]
    host_config = host_config_of(container, definition.network_mode or "bridge", memory, reservation, task_id)
    told: dict[str, Any] = {
        "name": name,
        "image": container.image or "",
        "cpu": cpu or 0,
        "memory": memory or 0,
        "essential": container.essential is not False,
        "command": list(command or ()),
        "entryPoint": list(container.entry_point or ()),
        "environment": _environment(container, override),
        "portMappings": [_port_mapping(mapping) for mapping in container.port_mappings or ()],
        "mountPoints": [
            {"sourceVolume": point.source_volume or "", "containerPath": point.container_path or "", "readOnly": bool(point.read_only)}
            for point in container.mount_points or ()
        ],
        "volumesFrom": [
            {"sourceContainer": source.source_container or "", "readOnly": bool(source.read_only)}
            for source in container.volumes_from or ()
        ],
        "links": list(container.links or ()),
        "overrides": "{}",
        "dockerConfig": {
            "version": DOCKER_API_VERSION,
            "config": msgspec.json.encode(config_of(container)).decode(),
            "hostConfig": msgspec.json.encode(host_config).decode(),
        },
        "containerArn": known.arn if known else "",
    }
    told.update(_optional(container))
    told.update(_secrets(container, override))
    authentication = _private_registry(container, task) or registry_authentication(
        container.image or "", site, gateway_url, as_execution_role=_has_execution_role(task, definition)
    )
    if authentication is not None:
        told["registryAuthentication"] = authentication
    return told


def _optional(container: shapes.ContainerDefinition) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if container.depends_on:
        told["dependsOn"] = [{"containerName": d.container_name, "condition": d.condition} for d in container.depends_on]
    if container.start_timeout is not None:
        told["startTimeout"] = container.start_timeout
    if container.stop_timeout is not None:
        told["stopTimeout"] = container.stop_timeout
    if container.health_check is not None and container.health_check.command[0] != "NONE":
        told["healthCheckType"] = "docker"
    if container.restart_policy is not None and container.restart_policy.enabled:
        told["restartPolicy"] = msgspec.to_builtins(container.restart_policy)
    if container.firelens_configuration is not None:
        firelens = container.firelens_configuration
        told["firelensConfiguration"] = {"type": firelens.type, "options": dict(firelens.options or {})}
    return told


def _secrets(container: shapes.ContainerDefinition, override: shapes.ContainerOverride | None) -> dict[str, Any]:
    """What the agent fetches by itself before the container starts."""
    log = container.log_configuration
    secrets = [_secret(secret, "ENVIRONMENT_VARIABLE", "CONTAINER") for secret in container.secrets or ()]
    secrets += [_secret(secret, "BOOTSTRAP", "LOG_DRIVER") for secret in (log.secret_options if log else None) or ()]
    files = (*(container.environment_files or ()), *((override.environment_files if override else None) or ()))
    told: dict[str, Any] = {"secrets": secrets} if secrets else {}
    if files:
        told["environmentFiles"] = [{"value": file.value, "type": file.type} for file in files]
    return told


def _environment(container: shapes.ContainerDefinition, override: shapes.ContainerOverride | None) -> dict[str, str]:
    environment = {pair.name or "": pair.value or "" for pair in container.environment or ()}
    if override is not None:
        environment.update({pair.name or "": pair.value or "" for pair in override.environment or ()})
    return environment


def _port_mapping(mapping: shapes.PortMapping) -> dict[str, Any]:
    told: dict[str, Any] = {
        "containerPort": mapping.container_port or 0,
        "hostPort": mapping.host_port or 0,
        "protocol": mapping.protocol or "tcp",
    }
    if mapping.container_port_range:
        told["containerPortRange"] = mapping.container_port_range
    return told


def _secret(secret: shapes.Secret, kind: str, target: str) -> dict[str, Any]:
    parts = secret.value_from.split(":")
    return {
        "name": secret.name,
        "valueFrom": secret.value_from,
        "region": parts[3] if len(parts) > 5 else "",
        "provider": "asm" if ":secretsmanager:" in secret.value_from else "ssm",
        "type": kind,
        "target": target,
    }


def _private_registry(container: shapes.ContainerDefinition, task: Task) -> dict[str, Any] | None:
    credentials = container.repository_credentials
    if credentials is None:
        return None
    return {"type": "asm", "asmAuthData": {"credentialsParameter": credentials.credentials_parameter, "region": task.arn.split(":")[3]}}


def _volume(volume: shapes.Volume) -> dict[str, Any]:
    name = volume.name or ""
    if volume.docker_volume_configuration is not None:
        configuration = volume.docker_volume_configuration
        return {
            "name": name,
            "type": "docker",
            "dockerVolumeConfiguration": {
                "scope": configuration.scope or "task",
                "autoprovision": bool(configuration.autoprovision),
                "driver": configuration.driver or "local",
                "driverOpts": configuration.driver_opts or {},
                "labels": configuration.labels or {},
            },
        }
    if volume.efs_volume_configuration is not None:
        return {"name": name, "type": "efs", "efsVolumeConfiguration": msgspec.to_builtins(volume.efs_volume_configuration)}
    source = volume.host.source_path if volume.host is not None else None
    return {"name": name, "type": "host", "host": {"sourcePath": source} if source else {}}


def _has_execution_role(task: Task, definition: shapes.TaskDefinition) -> bool:
    overrides = task.spec.overrides
    return bool((overrides.execution_role_arn if overrides else None) or definition.execution_role_arn)


def registry_authentication(image: str, site: Site, gateway_url: str, *, as_execution_role: bool = False) -> dict[str, Any] | None:
    """How to log in for an image of this installation's own registry; None for images from elsewhere.

    Without the override the stock agent would ask Amazon's ECR, with the keys of this installation.
    """
    account, region = site.account_id, site.region
    named = _ECR_HOST.match(image)
    if named is not None and image.split("/", 1)[0].endswith(f".{site.domain}:{site.port}"):
        account, region = named["account"], named["region"]
    elif image.split("/", 1)[0] not in (f"127.0.0.1:{site.port}", f"localhost:{site.port}"):
        return None
    return {
        "type": "ecr",
        "ecrAuthData": {"registryId": account, "region": region, "endpointOverride": gateway_url, "useExecutionRole": as_execution_role},
    }
