"""`longshore agent`: makes this machine a container instance of a platform elsewhere.

Looks first whether the platform and Docker Engine answer, writes the agent's configuration and then becomes the agent.
"""

from __future__ import annotations

import os
import socket
import sys
import urllib.parse
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from longshore.cli import machine
from longshore.cli.client import Platform, Unreachable
from longshore.cli.exposure import check_endpoint
from longshore.cli.outcome import ExitCode, Failure
from longshore.config import MACHINE_SESSION, AgentConfig, Credentials, DataDirectory, PlatformConfig, write_platform

#: where addresses of tasks may be: the platform gives none elsewhere
_PRIVATE = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))
#: asking for health needs no signature
NOBODY = Credentials("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """What the user said; None where this machine answers for itself."""

    endpoint: str
    credentials: Credentials | None
    cluster: str
    region: str
    zone: str | None
    address: str | None
    name: str
    cpu_units: int | None
    memory_mib: int | None
    attributes: tuple[str, ...]
    reserved_ports: tuple[int, ...]
    docker_url: str
    log_level: str
    ca_bundle: Path | None = None
    #: a code of `longshore instance activate`; goes before an access key
    activation: str = ""
    #: "" leaves the choice to the agent
    task_network: str = ""
    #: others may read what is said to the platform
    insecure: bool = False


def agent_config(joining: Joining, data: DataDirectory, size: machine.Size) -> AgentConfig:
    """Raises Failure for what cannot be used."""
    check_endpoint(joining.endpoint, joining.insecure)
    was_let_in = (data.agent(joining.name) / MACHINE_SESSION).exists()
    if joining.credentials is None and not joining.activation and not was_let_in:
        raise Failure(
            "nothing to be let in with",
            "give a code with --activation (`longshore instance activate` makes one there), or set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY to a key that agents may use",
            ExitCode.USAGE,
        )
    return AgentConfig(
        name=joining.name,
        data_dir=data.agent(joining.name),
        endpoint=joining.endpoint.rstrip("/"),
        credentials=None if joining.activation else joining.credentials,
        activation=joining.activation,
        instance_id=data.instance_id(joining.name),
        address=joining.address or own_address(joining.endpoint),
        zone=joining.zone or f"{joining.region}a",
        cpu_units=joining.cpu_units or size.cpus * 1024,
        memory_mib=joining.memory_mib or size.memory_mib,
        cluster=joining.cluster,
        region=joining.region,
        reserved_ports=joining.reserved_ports,
        task_network=_range(joining.task_network),
        docker_url=joining.docker_url,
        attributes=dict(_attribute(text) for text in joining.attributes),
        log_level=joining.log_level,
        ca_bundle=joining.ca_bundle if joining.endpoint.startswith("https://") else None,
    )


def _range(text: str) -> str:
    """Raises Failure for what is no range that tasks could be given addresses from."""
    try:
        network = IPv4Network(text) if text else None
    except ValueError:
        network = IPv4Network("0.0.0.0/0")
    if network is not None and not (20 <= network.prefixlen <= 28 and any(network.subnet_of(block) for block in _PRIVATE)):
        raise Failure(
            f"{text!r} is no range for tasks", "give a private one of /20 to /28, such as --task-network 10.9.1.0/24", ExitCode.USAGE
        )
    return text


def own_address(endpoint: str) -> str:
    """The address of this machine that the platform sees, by the route to it; raises Failure. Nothing is sent."""
    url = urllib.parse.urlsplit(endpoint)
    if url.scheme not in ("http", "https") or not url.hostname:
        raise Failure(f"{endpoint!r} is no endpoint", "give the platform's, such as http://10.0.0.5:4566", ExitCode.USAGE)
    try:
        family, _, _, _, address = socket.getaddrinfo(url.hostname, url.port or 80, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)
            own: str = probe.getsockname()[0]
    except OSError as error:
        raise Failure(f"no way from here to {endpoint}: {error.strerror}", "check the address, or give --address") from error
    return own


def become_agent(joining: Joining, data: DataDirectory) -> None:
    """Does not return: this process turns into the agent."""
    config = agent_config(joining, data, machine.size())
    try:
        machine.docker_version(config.docker_url)
    except machine.Unusable as missing:
        raise Failure(str(missing), missing.fix, ExitCode.MISSING_PART) from missing
    try:
        healthy = Platform(config.endpoint, config.region, NOBODY, ca_bundle=config.ca_bundle).asked_for_health()
    except Unreachable:
        healthy = False
    if not healthy:
        raise Failure(f"no platform answers at {config.endpoint}", "check the endpoint, and that the platform listens beyond 127.0.0.1")
    file = data.agent(config.name) / "agent.json"
    write_platform(file, PlatformConfig(server=None, agents=(config,)))
    print(f"joining {config.endpoint} as {config.instance_id} ({config.address}, {config.zone}) in cluster {config.cluster}", flush=True)
    os.execv(sys.executable, [sys.executable, "-m", "longshore.main", "agent", "--config", str(file), "--name", config.name])


def _attribute(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name:
        raise Failure(f"{text!r} is no attribute", "attributes are given as --attribute name=value", ExitCode.USAGE)
    return name, value
