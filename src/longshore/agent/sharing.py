"""What the containers of a task share beyond its volumes: a network interface, process numbers, inter-process communication. Pure.

It belongs to a container of its own that does nothing (the image: runtime/pause_image.py). It starts before all others and ends after
them, and they join its namespaces. Nobody is told of it: the platform knows the containers of the definition alone.
"""

from __future__ import annotations

import os
from typing import Any

from msgspec.structs import replace

from longshore.agent import messages
from longshore.agent.acceptance import docker_config
from longshore.agent.lifecycle import Condition, Dependency, Part
from longshore.runtime import pause_image

#: as the stock agent calls it
PAUSE = "~internal~ecs~pause"
#: of a container that joins another's network, which has all these by itself
_NETWORK_CONFIG = ("Hostname", "Domainname", "ExposedPorts", "NetworkDisabled")
_NETWORK_HOST_CONFIG = ("PortBindings", "Links", "Dns", "DnsSearch", "DnsOptions", "ExtraHosts", "PublishAllPorts")


def is_internal(name: str) -> bool:
    """A container of the agent's own."""
    return name == PAUSE


def has_interface(task: messages.Task) -> bool:
    return task.network_mode == "awsvpc"


def needs_pause(task: messages.Task) -> bool:
    return has_interface(task) or "task" in (task.pid_mode, task.ipc_mode)


def all_containers(task: messages.Task) -> tuple[messages.Container, ...]:
    """Those of the payload, and the one that holds what they share."""
    if not needs_pause(task):
        return task.containers
    machine = os.uname().machine
    return (messages.Container(name=PAUSE, image=pause_image.reference(machine)), *task.containers)


def joined(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Each waits for what it shares. The one that holds it has no end of its own: when it ends, so does the task."""
    holder = Dependency(PAUSE, Condition.START)
    others = tuple(replace(part, dependencies=(holder, *part.dependencies)) for part in parts)
    return (Part(name=PAUSE, essential=True, stop_timeout_s=5, internal=True), *others)


def interface_of(task: messages.Task) -> messages.NetworkInterface | None:
    return next(iter(task.elastic_network_interfaces or ()), None)


def address_of(task: messages.Task) -> str:
    """ "" when the task has none of its own."""
    interface = interface_of(task)
    return next((each.private_address for each in interface.ipv4_addresses), "") if interface is not None else ""


def network_name(instance_id: str) -> str:
    """The engine's network that gives the instance's tasks their addresses."""
    return f"longshore-{instance_id}"


def holder_body(
    task: messages.Task, instance_id: str, image: str, labels: dict[str, str], parent: str, resolvers: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Of the container that holds what the others share, for `POST /containers/create`; `resolvers`: whom they ask for names."""
    host: dict[str, Any] = {"NetworkMode": "none", "LogConfig": {"Type": "none", "Config": {}}, "IpcMode": "private"}
    body: dict[str, Any] = {"Image": image, "Entrypoint": ["/pause"], "Labels": labels, "HostConfig": host}
    if parent:
        host["CgroupParent"] = parent
    if task.ipc_mode == "task":
        host["IpcMode"] = "shareable"
    interface = interface_of(task)
    if has_interface(task) and interface is not None:
        name, address = network_name(instance_id), address_of(task)
        host["NetworkMode"] = name
        host |= resolvers or {}
        endpoint = {"IPAMConfig": {"IPv4Address": address}, "MacAddress": interface.mac_address}
        body |= {
            "MacAddress": interface.mac_address,
            "Hostname": interface.private_dns_name.partition(".")[0],
            "NetworkingConfig": {"EndpointsConfig": {name: endpoint}},
        }
        if controls := _network_controls(task):
            host["Sysctls"] = controls
    return body


def _network_controls(task: messages.Task) -> dict[str, str]:
    """Kernel parameters of the network, which is one for all: the last container's word counts."""
    found: dict[str, str] = {}
    for container in task.containers:
        controls = docker_config(container)[1].get("Sysctls")
        if isinstance(controls, dict):
            found |= {str(name): str(value) for name, value in controls.items() if str(name).startswith("net.")}
    return found


def join(task: messages.Task, body: dict[str, Any], holder: str) -> dict[str, Any]:
    """`body` of one of the task's containers, in the namespaces of the container `holder`."""
    host = dict(body["HostConfig"])
    made = {name: value for name, value in body.items() if not (has_interface(task) and name in _NETWORK_CONFIG)}
    if has_interface(task):
        host = {name: value for name, value in host.items() if name not in _NETWORK_HOST_CONFIG}
        host["NetworkMode"] = f"container:{holder}"
        if isinstance(host.get("Sysctls"), dict):
            host["Sysctls"] = {name: value for name, value in host["Sysctls"].items() if not name.startswith("net.")}
    if task.pid_mode == "task":
        host["PidMode"] = f"container:{holder}"
    if task.ipc_mode == "task":
        host["IpcMode"] = f"container:{holder}"
    return {**made, "HostConfig": host}
