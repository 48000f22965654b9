"""From options to what is started: zones, addresses and sizes of a platform on one machine. Decides, touches nothing.

Local container instance N answers at 127.0.1.N and load balancer N at 127.0.2.N. Instances take the zones in turn and
share the machine's processors and memory evenly unless told otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TypedDict

import msgspec

from longshore.cli.exposure import check_exposure
from longshore.cli.machine import Size
from longshore.cli.outcome import ExitCode, Failure
from longshore.config import (
    DEFAULT_ACCOUNT_ID,
    DEFAULT_PORT,
    DEFAULT_REGION,
    INTERNAL_DOMAIN,
    LINK_NETWORK,
    LOCAL_DOMAIN,
    UNPRIVILEGED_PORT_OFFSET,
    AgentConfig,
    Audit,
    Credentials,
    DataDirectory,
    Events,
    History,
    PlatformConfig,
    Scanning,
    ServerConfig,
    Storage,
    Tls,
    local_code,
    read_platform,
)
from longshore.environment import Environment, seconds
from longshore.kit.master_key import Master

#: auto takes the built-in scanner where it has a database, else Trivy or Grype where they are installed
SCANNERS = ("auto", "built-in", "trivy", "grype")
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
    #: records in the OSV format that the built-in scanner matches with
    vulnerability_database: Path | None = None
    scanner: str = "auto"
    #: HTTPS, as it was asked for; None: plain HTTP
    tls: Tls | None = None
    storage: Storage = field(default_factory=Storage)
    events: Events = field(default_factory=Events)
    audit: Audit = field(default_factory=Audit)
    history: History = field(default_factory=History)
    lost_after_s: float = 600.0
    #: where other machines reach load balancers; "" where they do not
    load_balancer_address: str = ""
    #: others may read what is said to the gateway
    insecure: bool = False
    #: where the key comes from that secrets are wrapped with; None: as last time
    master_key: Master | None = None
    #: off, generous or aws; "": by the address
    rate_limits: str = ""


@dataclass(frozen=True)
class LastTime:
    """What options stand for when nobody gives them."""

    port: int = DEFAULT_PORT
    account_id: str = DEFAULT_ACCOUNT_ID
    region: str = DEFAULT_REGION
    zones: str = "a,b,c"
    instances: int = 1
    vulnerability_database: Path | None = None
    scanner: str = "auto"
    tls: Tls | None = None
    storage: Storage = field(default_factory=Storage)
    events: Events = field(default_factory=Events)
    history: History = field(default_factory=History)
    lost_after_s: float = 600.0
    load_balancer_address: str = ""
    rate_limits: str = ""
    audit: Audit = field(default_factory=Audit)


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
    scanning = server.scanning
    return LastTime(
        server.port,
        server.account_id,
        server.region,
        zones,
        len(platform.agents),
        scanning.vulnerability_database,
        scanning.scanner,
        server.tls,
        server.storage,
        server.events,
        server.history,
        server.lost_after_s,
        server.load_balancer_address,
        server.rate_limits,
        server.audit,
    )


def wanted_events(last: Events, days: int | None, mib: int | None) -> Events:
    """As last time, but for what is asked for."""
    return Events(kept_days=days or last.kept_days, kept_mib=mib or last.kept_mib)


class Logs(TypedDict):
    events: Events
    audit: Audit


def wanted_logs(last: LastTime, given: Environment, audit_days: int | None, audit_best_effort: bool | None) -> Logs:
    """As last time, but for what options, or else the environment, ask for."""
    efforts = (audit_best_effort, given.audit_best_effort, last.audit.best_effort)
    audit = Audit(
        kept_days=audit_days or given.audit_days or last.audit.kept_days,
        kept_mib=given.audit_mib or last.audit.kept_mib,
        best_effort=next(effort for effort in efforts if effort is not None),
    )
    return {"events": wanted_events(last.events, given.events_days, given.events_mib), "audit": audit}


class EnvironmentAlone(TypedDict):
    docker_url: str
    log_level: str


def environment_alone(given: Environment) -> EnvironmentAlone:
    """What no option says."""
    return {"docker_url": given.docker_url, "log_level": given.log_level}


class Scans(TypedDict):
    vulnerability_database: Path | None
    scanner: str


def wanted_scanning(last: LastTime, given: Environment, database: Path | None, scanner: str | None) -> Scans:
    """As last time, but for what options, or else the environment, ask for."""
    return {
        "vulnerability_database": database or given.vulnerability_database or last.vulnerability_database,
        "scanner": scanner or given.scanner or last.scanner,
    }


def wanted_storage(last: Storage, encrypt: bool | None) -> Storage:
    """As last time, but for what is asked for."""
    return last if encrypt is None else msgspec.structs.replace(last, encrypt=encrypt)


def wanted_history(last: History, given: Environment, stopped_tasks_kept: str | None, task_history_kept: str | None) -> History:
    """As last time, but for what options, or else the environment, ask for. Raises Failure."""
    stopped_s, history_s = given.stopped_tasks_kept_s, given.task_history_kept_s
    if stopped_tasks_kept is not None or stopped_s is None:
        stopped_s = last.stopped_tasks_kept_s if stopped_tasks_kept is None else _seconds(stopped_tasks_kept, "--stopped-tasks-kept")
    if task_history_kept is not None or history_s is None:
        history_s = last.task_history_kept_s if task_history_kept is None else _seconds(task_history_kept, "--task-history-kept")
    if stopped_s < History().stopped_tasks_kept_s:
        raise _misuse("stopped tasks are shown for an hour at least, as in ECS", "ask for 1h or more")
    return msgspec.structs.replace(last, stopped_tasks_kept_s=stopped_s, task_history_kept_s=history_s)


def wanted_lost_after(last_s: float, asked: str | float | None) -> float:
    """As last time, but for what is asked for: seconds, or a duration as people write them. Raises Failure."""
    return last_s if asked is None else _seconds(asked, "--lost-after")


def _seconds(given: str | float, option: str) -> float:
    found = seconds(given) if isinstance(given, str) else given
    if found is None:
        raise _misuse(f"{option} wants a duration, not {given!r}", "write it like 90m, 24h or 7d")
    return found


def wanted_tls(last: Tls | None, on: bool | None, certificate: Path | None, key: Path | None, names: Sequence[str]) -> Tls | None:
    """What --tls, --tls-certificate, --tls-key and --tls-name ask for; as last time where they do not say. Raises Failure."""
    if on is False:
        if certificate or key or names:
            raise _misuse("--no-tls and settings of TLS exclude each other", "leave one of them out")
        return None
    if key and not certificate:
        raise _misuse("a key without its certificate", "name that with --tls-certificate")
    if certificate:
        return Tls(certificate=certificate.absolute(), key=key.absolute() if key else None, names=tuple(names))
    if not on and not names:
        return last
    wanted = last or Tls()
    return Tls(certificate=wanted.certificate, key=wanted.key, names=tuple(names) or wanted.names)


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
    check_exposure(wishes.host, wishes.tls, wishes.dev, wishes.insecure, wishes.rate_limits)
    if wishes.scanner not in SCANNERS:
        raise _misuse(f"{wishes.scanner!r} is no scanner", f"choose one of {', '.join(SCANNERS)}")
    address = wishes.load_balancer_address
    if address and not is_address(address):
        raise _misuse(f"{address!r} is no address", "give --load-balancer-address as numbers, such as 10.0.0.5; '' for none")


def is_address(text: str) -> bool:
    """Whether other machines can be told it: a name would mean what each of them takes it for."""
    try:
        return "%" not in text and bool(ip_address(text))
    except ValueError:
        return False


def platform(
    wishes: Wishes,
    machine: Size,
    credentials: Credentials,
    instance_id: Callable[[str], str],
    haproxy: str,
    low_ports: bool,
    may_name: bool = False,
) -> PlatformConfig:
    """The whole start-up configuration. `instance_id` names the instance of an agent; `low_ports`: ports below 1024 may be bound;
    `may_name`: this user may give the machine addresses, and names for them."""
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
        link_network=LINK_NETWORK if may_name else "",
        load_balancer_domain=INTERNAL_DOMAIN if may_name else LOCAL_DOMAIN,
        load_balancer_address=wishes.load_balancer_address,
        incomplete_images=wishes.incomplete_images,
        scanning=Scanning(vulnerability_database=wishes.vulnerability_database, scanner=wishes.scanner),
        log_level=wishes.log_level,
        tls=wishes.tls,
        storage=wishes.storage,
        events=wishes.events,
        audit=wishes.audit,
        history=wishes.history,
        lost_after_s=wishes.lost_after_s,
        insecure=wishes.insecure,
        rate_limits=wishes.rate_limits,
        master_key=wishes.master_key,
    )
    agents = tuple(_local_agent(number, wishes, machine, server, instance_id) for number in range(1, wishes.instances + 1))
    return PlatformConfig(server=server, agents=agents)


def _local_agent(number: int, wishes: Wishes, machine: Size, server: ServerConfig, instance_id: Callable[[str], str]) -> AgentConfig:
    name = f"agent-{number}"
    identifier = instance_id(name)
    cpu_units = wishes.instance_cpu_units or machine.cpus * 1024 // wishes.instances
    memory_mib = wishes.instance_memory_mib or machine.memory_mib // wishes.instances
    return AgentConfig(
        name=name,
        data_dir=DataDirectory(wishes.data_dir).agent(name),
        endpoint=server.endpoint,
        credentials=None,
        activation=local_code(server.credentials.secret_access_key, identifier),
        instance_id=identifier,
        address=f"127.0.1.{number}",
        zone=server.zones[(number - 1) % len(server.zones)],
        cpu_units=max(cpu_units, _LEAST_CPU_UNITS),
        memory_mib=max(memory_mib, _LEAST_MEMORY_MIB),
        region=server.region,
        docker_url=server.docker_url,
        log_level=server.log_level,
        ca_bundle=server.tls.ca_bundle if server.tls else None,
    )


def _misuse(cause: str, fix: str) -> Failure:
    return Failure(cause, fix, ExitCode.USAGE)
