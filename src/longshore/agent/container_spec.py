"""What Docker Engine is asked to create for a container of a payload. Pure.

The members of the payload are mapped first; the payload's own `dockerConfig` is laid over them and has the last word, except
for the labels by which the agent finds its containers again. Names are worked out from the task, not drawn: a container that
was created just before a crash is found by its name, and is never created twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from longshore.agent import messages
from longshore.agent.acceptance import docker_config, overridden_command, range_of
from longshore.agent.metadata.link import ADDRESS, Link, laid_under, told

MIB = 1024 * 1024
#: Docker Engine refuses less
LEAST_MEMORY_MIB = 6
LEAST_CPU_SHARES = 2

LABEL = "com.amazonaws.ecs."
INSTANCE_LABEL = "longshore.instance"
CONTAINER_INSTANCE_LABEL = "longshore.container-instance"
TASK_LABEL = f"{LABEL}task-arn"
NAME_LABEL = f"{LABEL}container-name"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The container instance a task runs on."""

    instance_id: str
    container_instance_arn: str
    #: published ports listen here
    address: str
    region: str
    #: how containers reach this agent; None: nothing is told of it
    link: Link | None = None


class Published(Protocol):
    """A port as the engine published it."""

    @property
    def container_port(self) -> int: ...

    @property
    def host_port(self) -> int: ...

    @property
    def protocol(self) -> str: ...

    @property
    def host_ip(self) -> str: ...


class Binding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A published port, or a range of them, as it is reported."""

    bind_ip: str = msgspec.field(name="bindIP")
    container_port: int | None = msgspec.field(default=None, name="containerPort")
    host_port: int | None = msgspec.field(default=None, name="hostPort")
    container_port_range: str | None = msgspec.field(default=None, name="containerPortRange")
    host_port_range: str | None = msgspec.field(default=None, name="hostPortRange")
    protocol: str


def container_name(task: messages.Task, name: str) -> str:
    """ecs-<family>-<revision>-<container>-<20 hexadecimal digits of the task and the container>"""
    return f"ecs-{task.family}-{task.version}-{name.replace('~', '')}-{_mark(task.arn, name)}"


def volume_name(task: messages.Task, volume: messages.Volume) -> str:
    """The Docker volume behind a volume of the task that is not a path of the host."""
    given = volume.docker_volume_configuration
    if volume.type == "docker" and given is not None and given.scope == "shared":
        return volume.name
    return f"ecs-{task.family}-{task.version}-{volume.name}-{_mark(task.arn, volume.name)}"


def is_docker_volume(volume: messages.Volume) -> bool:
    """A host volume without a path is one as well."""
    return volume.type == "docker" or not (volume.host is not None and volume.host.source_path)


def belongs_to_task(volume: messages.Volume) -> bool:
    """Made for the task and removed with it."""
    given = volume.docker_volume_configuration
    return is_docker_volume(volume) and not (volume.type == "docker" and given is not None and given.scope == "shared")


def task_labels(task: messages.Task, place: Place) -> dict[str, str]:
    return {
        f"{LABEL}cluster": task.task_cluster_arn.rpartition("/")[2] or task.task_cluster_arn,
        TASK_LABEL: task.arn,
        f"{LABEL}task-definition-family": task.family,
        f"{LABEL}task-definition-version": task.version,
        INSTANCE_LABEL: place.instance_id,
        CONTAINER_INSTANCE_LABEL: place.container_instance_arn,
    }


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What was fetched for a container just before it is created; kept nowhere."""

    environment: dict[str, str] = {}
    log_options: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Fetched({', '.join([*self.environment, *self.log_options])})"


def create_body(
    task: messages.Task,
    container: messages.Container,
    place: Place,
    image: str,
    host_ranges: Mapping[str, int] | None = None,
    *,
    parent: str = "",
    fetched: Fetched | None = None,
) -> dict[str, Any]:
    """The body of `POST /containers/create`: Config with HostConfig in it.

    `image` is the name it was pulled by; `host_ranges` holds the first host port chosen for each container port range; `parent` is
    the control group that limits the whole task, "" where there is none and each container is limited by itself.
    """
    fetched = fetched or Fetched()
    laid_over, host_laid_over = docker_config(container)
    mode = str(host_laid_over.get("NetworkMode") or task.network_mode or "bridge")
    ports = _port_bindings(container, place.address, host_ranges or {}) if mode in ("bridge", "default") else {}
    command = overridden_command(container)
    config: dict[str, Any] = {
        "Image": image,
        "Env": [*environment(task, container, place, mode), *_visible_gpus(task, container), *_lines(fetched.environment)],
        "Labels": {},
        "ExposedPorts": {port: {} for port in ports},
    }
    if command is None and container.command:
        command = container.command
    if command:
        config["Cmd"] = list(command)
    if container.entry_point:
        config["Entrypoint"] = list(container.entry_point)
    config.update(laid_over)
    config["Labels"] = {
        **_strings(laid_over.get("Labels")),
        **task_labels(task, place),
        NAME_LABEL: container.name,
    }
    host = {**_host_config(task, container, ports, mode, parent), **resolvers(place, mode), **host_laid_over}
    if fetched.log_options:
        log = host.get("LogConfig") or {}
        host["LogConfig"] = {**log, "Config": {**(log.get("Config") or {}), **fetched.log_options}}
    config["HostConfig"] = host
    return config


def resolvers(place: Place, mode: str) -> dict[str, Any]:
    """Of the HostConfig: whom a container asks for names. Where it has an own network, that is; its own `dnsServers` go before."""
    asks = place.link is not None and place.link.resolves and mode != "none" and not mode.startswith("container:")
    return {"Dns": [ADDRESS]} if asks else {}


def _lines(variables: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in variables.items()]


def gpus_of(task: messages.Task, container: messages.Container) -> list[str]:
    return [given.name for given in task.associations or () if given.type == "gpu" and container.name in given.containers]


def _visible_gpus(task: messages.Task, container: messages.Container) -> list[str]:
    found = gpus_of(task, container)
    return [f"NVIDIA_VISIBLE_DEVICES={','.join(found)}"] if found else []


def environment(task: messages.Task, container: messages.Container, place: Place, mode: str) -> list[str]:
    """NAME=value lines; the region, and how the agent and the platform are reached, are told unless the task tells it."""
    given = dict(container.environment or {})
    if place.link is not None:
        given = laid_under(given, told(task, container, place.link, network_mode=mode))
    if "AWS_REGION" not in given and "AWS_DEFAULT_REGION" not in given:
        given.update(AWS_REGION=place.region, AWS_DEFAULT_REGION=place.region)
    return [f"{name}={value}" for name, value in given.items()]


def _host_config(
    task: messages.Task, container: messages.Container, ports: Mapping[str, list[dict[str, str]]], mode: str, parent: str
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "NetworkMode": mode,
        "PortBindings": ports,
        "CpuShares": max(container.cpu or 0, LEAST_CPU_SHARES),
        "LogConfig": {"Type": "json-file", "Config": {}},
        "Binds": _binds(task, container),
    }
    memory = container.memory or task.memory or 0
    if memory:
        made["Memory"] = max(memory, LEAST_MEMORY_MIB) * MIB
    if parent:
        made["CgroupParent"] = parent
    elif task.cpu:
        made["NanoCpus"] = round(task.cpu * 1_000_000_000)
    if container.links:
        made["Links"] = [_link(task, link) for link in container.links]
    if container.volumes_from:
        made["VolumesFrom"] = [
            f"{container_name(task, volume.source_container)}:{'ro' if volume.read_only else 'rw'}" for volume in container.volumes_from
        ]
    if task.pid_mode == "host":
        made["PidMode"] = "host"
    if task.ipc_mode in ("host", "none"):
        made["IpcMode"] = task.ipc_mode
    if found := gpus_of(task, container):
        made["DeviceRequests"] = [{"Driver": "nvidia", "DeviceIDs": found, "Capabilities": [["gpu"]]}]
    return made


def _binds(task: messages.Task, container: messages.Container) -> list[str]:
    volumes = {volume.name: volume for volume in task.volumes or ()}
    binds = []
    for mount in container.mount_points or ():
        volume = volumes[mount.source_volume]
        path = volume.host.source_path if volume.host is not None and volume.host.source_path else None
        source = volume_name(task, volume) if path is None or volume.type == "docker" else path
        binds.append(f"{source}:{mount.container_path}{':ro' if mount.read_only else ''}")
    return binds


def _link(task: messages.Task, link: str) -> str:
    name, _, alias = link.partition(":")
    return f"{container_name(task, name)}:{alias or name}"


# ── ports ──


def _port_bindings(container: messages.Container, address: str, host_ranges: Mapping[str, int]) -> dict[str, list[dict[str, str]]]:
    """An empty host port lets the engine choose one."""
    bindings: dict[str, list[dict[str, str]]] = {}
    for mapping in container.port_mappings or ():
        protocol = mapping.protocol or "tcp"
        if mapping.container_port_range:
            first, last = range_of(mapping.container_port_range)
            start = host_ranges[mapping.container_port_range]
            for port in range(first, last + 1):
                bindings.setdefault(f"{port}/{protocol}", []).append({"HostIp": address, "HostPort": str(start + port - first)})
        elif mapping.container_port:
            asked = str(mapping.host_port) if mapping.host_port else ""
            bindings.setdefault(f"{mapping.container_port}/{protocol}", []).append({"HostIp": address, "HostPort": asked})
    return bindings


def network_bindings(
    task: messages.Task, container: messages.Container, published: Sequence[Published], address: str
) -> tuple[Binding, ...]:
    """The ports as they are reported: each by itself, but a range as a range. IPv6 twins are left out."""
    mode = _effective_mode(task, container)
    if mode == "host":
        return tuple(_host_binding(mapping, address) for mapping in container.port_mappings or ())
    mine = [port for port in published if ":" not in port.host_ip]
    found: list[Binding] = []
    for mapping in container.port_mappings or ():
        if not mapping.container_port_range:
            continue
        first, last = range_of(mapping.container_port_range)
        covered = [port for port in mine if first <= port.container_port <= last and port.protocol == (mapping.protocol or "tcp")]
        if covered:
            hosts = [port.host_port for port in covered]
            mine = [port for port in mine if port not in covered]
            found.append(
                Binding(
                    bind_ip=covered[0].host_ip,
                    container_port_range=mapping.container_port_range,
                    host_port_range=f"{min(hosts)}-{max(hosts)}",
                    protocol=covered[0].protocol,
                )
            )
    single = [
        Binding(bind_ip=port.host_ip, container_port=port.container_port, host_port=port.host_port, protocol=port.protocol) for port in mine
    ]
    return (*single, *found)


def _effective_mode(task: messages.Task, container: messages.Container) -> str:
    _, host_laid_over = docker_config(container)
    return str(host_laid_over.get("NetworkMode") or task.network_mode or "bridge")


def _host_binding(mapping: messages.PortMapping, address: str) -> Binding:
    """In the host's own network the container's ports are the host's."""
    protocol = mapping.protocol or "tcp"
    if mapping.container_port_range:
        span = mapping.container_port_range
        return Binding(bind_ip=address, container_port_range=span, host_port_range=span, protocol=protocol)
    return Binding(bind_ip=address, container_port=mapping.container_port, host_port=mapping.container_port, protocol=protocol)


def _mark(arn: str, name: str) -> str:
    return hashlib.sha256(f"{arn}|{name}".encode()).hexdigest()[:20]


def _strings(value: object) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else {}
