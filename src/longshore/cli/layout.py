"""From options to what is started: zones, addresses and sizes of a platform on one machine. Decides, touches nothing.

Local container instance N answers at 127.0.1.N and load balancer N at 127.0.2.N. Instances take the zones in turn and
share the machine's processors and memory evenly unless told otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from longshore.cli.machine import Size
from longshore.cli.outcome import ExitCode, Failure
from longshore.config import (
    DEFAULT_ACCOUNT_ID,
    DEFAULT_PORT,
    DEFAULT_REGION,
    UNPRIVILEGED_PORT_OFFSET,
    AgentConfig,
    Credentials,
    DataDirectory,
    PlatformConfig,
    ServerConfig,
    read_platform,
)

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")
_LEAST_CPU_UNITS = 128
_LEAST_MEMORY_MIB = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the user asked for, after options, environment and defaults were put together."""

    data_dir: Path
    host: str
    port: int
    account_id: str
    region: str
    #: comma-separated letters or zone names
    zones: str
    instances: int
    #: None: an even share of the machine
    instance_cpu_units: int | None
    instance_memory_mib: int | None
    dev: bool
    docker_url: str
    log_level: str
    #: images may be pushed without all of their layers
    incomplete_images: bool = False


@dataclass(frozen=True)
class LastTime:
    """What options stand for when nobody gives them."""

    port: int = DEFAULT_PORT
    account_id: str = DEFAULT_ACCOUNT_ID
    region: str = DEFAULT_REGION
    zones: str = "a,b,c"
    instances: int = 1


def last_time(data: DataDirectory, region: str | None) -> LastTime:
    """As the platform of this data directory was started last, so that `down` and `up` lose no machine; zones only with their region."""
    try:
        platform = read_platform(data.platform_file)
    except (OSError, msgspec.MsgspecError):
        return LastTime()
    server = platform.server
    if server is None:
        return LastTime()
    zones = ",".join(server.zones) if region in (None, server.region) else LastTime.zones
    return LastTime(server.port, server.account_id, server.region, zones, len(platform.agents))


def zone_names(text: str, region: str) -> tuple[str, ...]:
    """`a,b` and `us-east-1a,us-east-1b` alike; raises Failure for anything that is no zone of `region`."""
    names = tuple(f"{region}{part}" if len(part) == 1 else part for part in (part.strip() for part in text.split(",")))
    wrong = [name for name in names if not re.fullmatch(re.escape(region) + "[a-z]", name)]
    if wrong or not names:
        raise _misuse(f"no zone of {region}: {', '.join(wrong)}", f"give letters, such as --zones a,b, or names, such as {region}a")
    if len(set(names)) != len(names):
        raise _misuse(f"a zone is named twice in {text!r}", "name each zone once")
    return names


def check_names(wishes: Wishes) -> None:
    if not re.fullmatch("[0-9]{12}", wishes.account_id):
        raise _misuse(f"{wishes.account_id!r} is no account id", "an account id has 12 digits, such as 000000000000")
    if not _REGION.fullmatch(wishes.region):
        raise _misuse(f"{wishes.region!r} is no region", "a region is named like us-east-1")


def platform(
    wishes: Wishes,
    machine: Size,
    credentials: Credentials,
    instance_id: Callable[[str], str],
    haproxy: str,
    low_ports: bool,
) -> PlatformConfig:
    """The whole start-up configuration. `instance_id` names the instance of an agent; `low_ports`: ports below 1024 may be bound."""
    check_names(wishes)
    zones = zone_names(wishes.zones, wishes.region)
    server = ServerConfig(
        data_dir=wishes.data_dir,
        credentials=credentials,
        host=wishes.host,
        port=wishes.port,
        account_id=wishes.account_id,
        region=wishes.region,
        zones=zones,
        dev=wishes.dev,
        haproxy=haproxy,
        docker_url=wishes.docker_url,
        privileged_port_offset=0 if low_ports else UNPRIVILEGED_PORT_OFFSET,
        incomplete_images=wishes.incomplete_images,
        log_level=wishes.log_level,
    )
    agents = tuple(_local_agent(number, wishes, machine, server, instance_id) for number in range(1, wishes.instances + 1))
    return PlatformConfig(server=server, agents=agents)


def _local_agent(number: int, wishes: Wishes, machine: Size, server: ServerConfig, instance_id: Callable[[str], str]) -> AgentConfig:
    name = f"agent-{number}"
    cpu_units = wishes.instance_cpu_units or machine.cpus * 1024 // wishes.instances
    memory_mib = wishes.instance_memory_mib or machine.memory_mib // wishes.instances
    return AgentConfig(
        name=name,
        data_dir=DataDirectory(wishes.data_dir).agent(name),
        endpoint=server.endpoint,
        credentials=server.credentials,
        instance_id=instance_id(name),
        address=f"127.0.1.{number}",
        zone=server.zones[(number - 1) % len(server.zones)],
        cpu_units=max(cpu_units, _LEAST_CPU_UNITS),
        memory_mib=max(memory_mib, _LEAST_MEMORY_MIB),
        region=server.region,
        docker_url=server.docker_url,
        log_level=server.log_level,
    )


def _misuse(cause: str, fix: str) -> Failure:
    return Failure(cause, fix, ExitCode.USAGE)
