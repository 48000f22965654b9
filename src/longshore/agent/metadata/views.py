"""Tasks and containers as the metadata endpoints show them, in the stock agent's members and order. Pure.

Versions 2 and 3 show the same but for what version 4 adds (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/
task-metadata-endpoint-v4-response.html). What a container does not have yet is left out, as the stock agent leaves it out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from longshore.agent import messages
from longshore.agent.container_spec import container_name
from longshore.agent.lifecycle import Seen
from longshore.agent.task import TaskJob
from longshore.runtime.base import Anatomy, ContainerState

#: our own labels are nothing that a program written for ECS would look for
_INNER_LABELS = "longshore."
_HEALTH = {"starting": "UNKNOWN", "healthy": "HEALTHY", "unhealthy": "UNHEALTHY"}
AWSVPC = "awsvpc"


class Where(NamedTuple):
    """The container instance, as far as tasks are told of it."""

    cluster: str
    availability_zone: str


class Look(NamedTuple):
    """What the engine says of one container; None where it does not exist."""

    state: ContainerState | None
    anatomy: Anatomy | None


def task_view(job: TaskJob, where: Where, looks: Mapping[str, Look], *, version: int) -> dict[str, Any]:
    task, record = job.task, job.record
    shown: dict[str, Any] = {
        "Cluster": where.cluster,
        "TaskARN": task.arn,
        "Family": task.family,
        "Revision": task.version,
        "DesiredStatus": "RUNNING" if job.is_wanted and job.status.name != "STOPPED" else "STOPPED",
        "KnownStatus": job.status.name,
    }
    if task.cpu or task.memory:
        shown["Limits"] = {name: value for name, value in (("CPU", task.cpu), ("Memory", task.memory)) if value}
    for name, moment in (
        ("PullStartedAt", record.pull_started_at),
        ("PullStoppedAt", record.pull_stopped_at),
        ("ExecutionStoppedAt", record.stopped_at),
    ):
        if moment is not None:
            shown[name] = moment_of(moment)
    if where.availability_zone:
        shown["AvailabilityZone"] = where.availability_zone
    if version >= 4 and task.launch_type:
        shown["LaunchType"] = task.launch_type
    shown["Containers"] = [
        container_view(job, container, looks.get(container.name, Look(None, None)), version=version) for container in task.containers
    ]
    if version >= 4:
        if task.service_name:
            shown["ServiceName"] = task.service_name
        shown["FaultInjectionEnabled"] = False
    return shown


def container_view(job: TaskJob, container: messages.Container, look: Look, *, version: int) -> dict[str, Any]:
    state, anatomy, seen = look.state, look.anatomy, job.seen[container.name]
    shown: dict[str, Any] = {
        "DockerId": job.container_id(container.name),
        "Name": container.name,
        "DockerName": state.name if state is not None else container_name(job.task, container.name),
        "Image": container.image,
        "ImageID": state.image_id if state is not None else "",
    }
    if state is not None and state.ports:
        shown["Ports"] = [_port(port.container_port, port.protocol, port.host_port, port.host_ip, version) for port in state.ports]
    if state is not None:
        shown["Labels"] = {name: value for name, value in state.labels.items() if not name.startswith(_INNER_LABELS)}
    shown["DesiredStatus"] = "RUNNING" if job.is_wanted and job.status.name != "STOPPED" else "STOPPED"
    shown["KnownStatus"] = seen.phase.name
    if seen.exit_code is not None:
        shown["ExitCode"] = seen.exit_code
    shown["Limits"] = {"CPU": container.cpu or 0, "Memory": container.memory or 0}
    if state is not None:
        shown["CreatedAt"] = moment_of(state.created_at)
        for name, moment in (("StartedAt", state.started_at), ("FinishedAt", state.finished_at)):
            if moment is not None:
                shown[name] = moment_of(moment)
    shown["Type"] = "NORMAL"
    networks = _networks(job.task, look, version)
    if version < 4 and networks:
        shown["Networks"] = networks
    if health := _health(job, container, seen, state):
        shown["Health"] = health
    if anatomy is not None and anatomy.mounts:
        shown["Volumes"] = [
            {"DockerName": mount.name, "Source": mount.source, "Destination": mount.destination} for mount in anatomy.mounts
        ]
    if version >= 4:
        shown |= _since_version_4(container, anatomy, seen, networks)
    return shown


def _since_version_4(container: messages.Container, anatomy: Anatomy | None, seen: Seen, networks: list[dict[str, Any]]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if anatomy is not None and anatomy.log_driver:
        shown["LogDriver"] = anatomy.log_driver
        if anatomy.log_options:
            shown["LogOptions"] = anatomy.log_options
    shown["ContainerARN"] = container.container_arn
    if container.restart_policy is not None and container.restart_policy.enabled:
        shown["RestartCount"] = seen.restart_count
    if networks:
        shown["Networks"] = networks
    return shown


def _port(container_port: int, protocol: str, host_port: int, host_ip: str, version: int) -> dict[str, Any]:
    shown = {"ContainerPort": container_port, "Protocol": protocol, "HostPort": host_port}
    return shown | {"HostIp": host_ip} if version >= 4 else shown


def _networks(task: messages.Task, look: Look, version: int) -> list[dict[str, Any]]:
    if look.anatomy is None:
        return []
    mode = task.network_mode or "bridge"
    if mode != AWSVPC:
        return [{"NetworkMode": network.network, "IPv4Addresses": [network.address]} for network in look.anatomy.networks]
    return [_interface(interface, number, version) for number, interface in enumerate(task.elastic_network_interfaces or ())]


def _interface(interface: messages.NetworkInterface, number: int, version: int) -> dict[str, Any]:
    """Of a task with an address of its own: the platform gave it, so the platform's word on it is shown."""
    addresses = [address.private_address for address in interface.ipv4_addresses or ()]
    shown: dict[str, Any] = {"NetworkMode": AWSVPC, "IPv4Addresses": addresses}
    if version < 4:
        return shown
    gateway = interface.subnet_gateway_ipv4_address or ""
    shown |= {"AttachmentIndex": number, "MACAddress": interface.mac_address}
    if gateway:
        shown["IPv4SubnetCIDRBlock"] = str(ipaddress.ip_network(gateway, strict=False))
        shown["SubnetGatewayIpv4Address"] = gateway
    return shown


def _health(job: TaskJob, container: messages.Container, seen: Seen, state: ContainerState | None) -> dict[str, Any]:
    if container.health_check_type != "docker" or state is None:
        return {}
    shown: dict[str, Any] = {"status": _HEALTH.get(seen.health, "UNKNOWN")}
    since = job.health_since.get(container.name)
    if since is not None:
        shown["statusSince"] = moment_of(since)
    if state.health_output:
        shown["output"] = state.health_output
    return shown


def introspected(job: TaskJob, states: Mapping[str, ContainerState | None]) -> dict[str, Any]:
    """A task of the introspection endpoint's list."""
    return {
        "Arn": job.arn,
        "DesiredStatus": "RUNNING" if job.is_wanted and job.status.name != "STOPPED" else "STOPPED",
        "KnownStatus": job.status.name,
        "Family": job.task.family,
        "Version": job.task.version,
        "Containers": [_introspected_container(job, container, states.get(container.name)) for container in job.task.containers],
    }


def _introspected_container(job: TaskJob, container: messages.Container, state: ContainerState | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "DockerId": job.container_id(container.name),
        "DockerName": state.name if state is not None else container_name(job.task, container.name),
        "Name": container.name,
        "Image": container.image,
    }
    if state is None:
        return shown
    shown |= {"ImageID": state.image_id, "CreatedAt": moment_of(state.created_at)}
    if state.started_at is not None:
        shown["StartedAt"] = moment_of(state.started_at)
    if state.ports:
        shown["Ports"] = [_port(port.container_port, port.protocol, port.host_port, port.host_ip, 3) for port in state.ports]
    if container.restart_policy is not None and container.restart_policy.enabled:
        shown["RestartCount"] = job.seen[container.name].restart_count
    return shown


def credentials_view(given: messages.RoleCredentials) -> dict[str, str]:
    return {
        "RoleArn": given.role_arn,
        "AccessKeyId": given.access_key_id,
        "SecretAccessKey": given.secret_access_key,
        "Token": given.session_token,
        "Expiration": given.expiration,
    }


def with_rates(sample: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """Statistics as version 4 shows them: with the sample before, and what went over the network in a second between the two."""
    if before is None:
        return sample
    shown = {**sample, "preread": before.get("read"), "precpu_stats": before.get("cpu_stats")}
    passed = _seconds(sample.get("read")) - _seconds(before.get("read"))
    if passed > 0 and sample.get("networks") and before.get("networks"):
        shown["network_rate_stats"] = {
            f"{way}_bytes_per_sec": max(0.0, (_bytes(sample, way) - _bytes(before, way)) / passed) for way in ("rx", "tx")
        }
    return shown


def _bytes(sample: dict[str, Any], way: str) -> int:
    return sum(int(network.get(f"{way}_bytes") or 0) for network in sample["networks"].values())


def _seconds(moment: object) -> float:
    try:
        return msgspec.convert(moment, datetime).timestamp()
    except msgspec.ValidationError:
        return 0.0


def moment_of(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
