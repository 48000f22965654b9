"""What Docker Engine answers, read: its JSON as the values of base.py, its refusals as failures. Pure.

Members that an engine leaves out, and answers of engines older and newer than those known, are read as far as they go.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from longshore.runtime.base import (
    Anatomy,
    Attached,
    ContainerState,
    InUse,
    Mount,
    NoSuchContainer,
    NoSuchImage,
    NotAllowed,
    Probe,
    PublishedPort,
    RuntimeEvent,
    RuntimeFailure,
    RuntimeUnavailable,
    Usage,
)


def failure(status: int, text: str) -> RuntimeFailure:
    match status:
        case 900:  # aiodocker's mark for "no connection"
            return RuntimeUnavailable(text)
        case 404:
            return NoSuchContainer(text)
        case 409:
            return InUse(text)
        case 401 | 403:
            return NotAllowed(text)
        case _:
            return RuntimeFailure(text)


def registry_failure(text: str) -> RuntimeFailure:
    """The engine passes on what registries say as plain text."""
    lowered = text.lower()
    if any(words in lowered for words in ("unauthorized", "no basic auth credentials", "authentication required", "denied")):
        return NotAllowed(text)
    if any(words in lowered for words in ("not found", "manifest unknown", "name unknown", "does not exist")):
        return NoSuchImage(text)
    return RuntimeFailure(text)


def message(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body.decode(errors="replace").strip()


def container_state(found: dict[str, Any]) -> ContainerState:
    """An answer of `GET /containers/{id}/json`."""
    state = found["State"]
    health = state.get("Health") or {}
    probes = health.get("Log") or [{}]
    status = str(state["Status"])
    return ContainerState(
        id=found["Id"],
        name=str(found["Name"]).removeprefix("/"),
        image=found["Config"].get("Image") or "",
        image_id=found.get("Image") or "",
        status=status,
        labels=found["Config"].get("Labels") or {},
        created_at=seconds(found["Created"]) or 0.0,
        exit_code=state.get("ExitCode") if status in ("exited", "dead") else None,
        oom_killed=bool(state.get("OOMKilled")),
        error=state.get("Error") or "",
        started_at=seconds(state.get("StartedAt")),
        finished_at=seconds(state.get("FinishedAt")),
        health=_health(health.get("Status") or ""),
        health_output=str(probes[-1].get("Output") or "")[:1024],
        probes=tuple(_probe(probe) for probe in health.get("Log") or ()),
        ports=_ports(found.get("NetworkSettings") or {}),
        ip_address=_address(found.get("NetworkSettings") or {}),
    )


def subnets_of(network: dict[str, Any]) -> tuple[str, ...]:
    ranges = (network.get("IPAM") or {}).get("Config") or ()
    return tuple(str(each["Subnet"]) for each in ranges if each.get("Subnet"))


def _probe(found: dict[str, Any]) -> Probe:
    output = str(found.get("Output") or "")[:1024]
    return Probe(seconds(found.get("Start")) or 0.0, int(found.get("ExitCode") or 0), output)


def _health(status: str) -> str:
    return "" if status == "none" else status


def _ports(network: dict[str, Any]) -> tuple[PublishedPort, ...]:
    published = []
    for name, bindings in (network.get("Ports") or {}).items():
        port, _, protocol = name.partition("/")
        for binding in bindings or ():
            published.append(PublishedPort(int(port), int(binding["HostPort"]), protocol, binding.get("HostIp") or "0.0.0.0"))
    return tuple(sorted(published, key=lambda port: (port.container_port, port.protocol, port.host_ip, port.host_port)))


def _address(network: dict[str, Any]) -> str:
    own = network.get("IPAddress") or ""
    return own or next((attached["IPAddress"] for attached in (network.get("Networks") or {}).values() if attached.get("IPAddress")), "")


def seconds(text: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 time; None for the zero time, which stands for never."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text).timestamp()


def event(event: dict[str, Any]) -> RuntimeEvent:
    actor = event.get("Actor") or {}
    action = str(event.get("Action") or "").partition(":")[0]
    return RuntimeEvent(str(actor.get("ID") or ""), action, actor.get("Attributes") or {}, int(event.get("timeNano") or 0) / 1e9)


def usage(stats: dict[str, Any]) -> Usage:
    cpu = stats.get("cpu_stats") or {}
    memory = stats.get("memory_stats") or {}
    networks = (stats.get("networks") or {}).values()
    blocks = (stats.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    percpu = (cpu.get("cpu_usage") or {}).get("percpu_usage") or ()
    # as `docker stats` counts: what the page cache could give back is not used
    details = memory.get("stats") or {}
    reclaimable = details.get("total_inactive_file") or details.get("inactive_file") or 0
    return Usage(
        at=seconds(stats.get("read")) or 0.0,
        cpu_ns=int((cpu.get("cpu_usage") or {}).get("total_usage") or 0),
        cpus=int(cpu.get("online_cpus") or len(percpu) or 1),
        memory_bytes=max(0, int(memory.get("usage") or 0) - int(reclaimable)),
        rx_bytes=sum(int(network.get("rx_bytes") or 0) for network in networks),
        tx_bytes=sum(int(network.get("tx_bytes") or 0) for network in networks),
        read_bytes=sum(int(block["value"]) for block in blocks if str(block["op"]).lower() == "read"),
        written_bytes=sum(int(block["value"]) for block in blocks if str(block["op"]).lower() == "write"),
    )


def anatomy(found: dict[str, Any]) -> Anatomy:
    host = found.get("HostConfig") or {}
    log = host.get("LogConfig") or {}
    networks = (found.get("NetworkSettings") or {}).get("Networks") or {}
    return Anatomy(
        network_mode=str(host.get("NetworkMode") or ""),
        networks=tuple(
            Attached(
                network=name,
                address=str(network.get("IPAddress") or ""),
                prefix_length=int(network.get("IPPrefixLen") or 0),
                gateway=str(network.get("Gateway") or ""),
                mac_address=str(network.get("MacAddress") or ""),
            )
            for name, network in networks.items()
        ),
        mounts=tuple(
            Mount(name=str(mount.get("Name") or ""), source=str(mount.get("Source") or ""), destination=str(mount.get("Destination") or ""))
            for mount in found.get("Mounts") or ()
        ),
        log_driver=str(log.get("Type") or ""),
        log_options={str(name): str(value) for name, value in (log.get("Config") or {}).items()},
    )
