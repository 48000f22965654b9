"""`longshore status`: what runs, told by the state file, the processes themselves and the platform's own API."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import msgspec

from longshore.cli import presence
from longshore.cli.client import Platform
from longshore.cli.exposure import open_doors, readable_secrets
from longshore.cli.outcome import ExitCode, Failure
from longshore.config import Credentials, DataDirectory, InstanceState, State, read_platform

_CLUSTERS_PER_CALL = 100


class Part(msgspec.Struct, frozen=True):
    name: str
    pid: int
    alive: bool


class Cluster(msgspec.Struct, frozen=True, rename="camel"):
    """The counts that DescribeClusters gives, under AWS's names."""

    cluster_name: str
    registered_container_instances_count: int = 0
    active_services_count: int = 0
    running_tasks_count: int = 0
    pending_tasks_count: int = 0


class BalancerHost(msgspec.Struct, frozen=True):
    """Another machine that runs the load balancers."""

    id: str
    address: str
    #: connected | waiting | lost
    state: str
    version: str = ""


class _Hosts(msgspec.Struct, frozen=True):
    hosts: tuple[BalancerHost, ...] = ()


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `status -o json` prints."""

    #: running | unhealthy | starting | stopped
    status: str
    data_dir: str
    pid: int | None = None
    uptime_s: float | None = None
    endpoint: str | None = None
    registry: str | None = None
    ca_bundle: str | None = None
    load_balancers: str | None = None
    account_id: str | None = None
    region: str | None = None
    zones: tuple[str, ...] = ()
    dev: bool = False
    parts: tuple[Part, ...] = ()
    instances: tuple[InstanceState, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    balancer_hosts: tuple[BalancerHost, ...] = ()
    #: what stands open to others, in words
    insecure: tuple[str, ...] = ()

    @property
    def exit_code(self) -> ExitCode:
        return {"running": ExitCode.OK, "stopped": ExitCode.NOT_RUNNING}.get(self.status, ExitCode.FAILED)


class _ClusterArns(msgspec.Struct, frozen=True, rename="camel"):
    cluster_arns: tuple[str, ...] = ()
    next_token: str | None = None


class _Clusters(msgspec.Struct, frozen=True):
    clusters: tuple[Cluster, ...] = ()


def look(data: DataDirectory) -> Status:
    pid = presence.supervisor_pid(data)
    if pid is None:
        return Status(status="stopped", data_dir=str(data.root))
    state = data.read_state()
    if state is None or state.pid != pid:
        return Status(status="starting", data_dir=str(data.root), pid=pid)
    parts = tuple(Part(part.name, part.pid, _alive(part.pid)) for part in state.parts)
    try:
        platform = platform_of(state, data)
        clusters, hosts = tuple(_clusters(platform)), _hosts(platform)
        well = platform.healthy() and all(part.alive for part in parts)
    except Failure:
        clusters, hosts, well = (), (), False
    return msgspec.structs.replace(_status_of(state, data, parts, clusters, well), balancer_hosts=hosts, insecure=_insecure(data))


def _status_of(state: State, data: DataDirectory, parts: tuple[Part, ...], clusters: tuple[Cluster, ...], well: bool) -> Status:
    return Status(
        status="running" if well else "unhealthy",
        data_dir=str(data.root),
        pid=state.pid,
        uptime_s=round(time.time() - state.started_at, 1),
        endpoint=state.endpoint,
        registry=state.registry,
        ca_bundle=state.ca_bundle,
        load_balancers=state.load_balancers,
        account_id=state.account_id,
        region=state.region,
        zones=state.zones,
        dev=state.dev,
        parts=parts,
        instances=state.instances,
        clusters=clusters,
    )


def platform_of(state: State, data: DataDirectory) -> Platform:
    """The platform that runs from `data`, to be asked as its root user; raises Failure."""
    return Platform(state.endpoint, state.region, root_credentials(data), ca_bundle=state.ca_bundle)


def root_credentials(data: DataDirectory) -> Credentials:
    """Of the platform that runs from `data`; raises Failure when they cannot be read."""
    try:
        server = read_platform(data.platform_file).server
    except PermissionError as error:
        raise Failure(f"{data.platform_file} belongs to another user", "run the command as the user who started the platform") from error
    except (OSError, msgspec.DecodeError) as error:
        raise Failure(f"{data.platform_file} cannot be read: {error}", "start the platform again") from error
    if server is None:
        raise Failure("this machine only joined a platform elsewhere", "ask where that platform runs")
    return server.credentials


def _clusters(platform: Platform) -> Iterator[Cluster]:
    token: str | None = None
    while True:
        request: dict[str, object] = {"maxResults": _CLUSTERS_PER_CALL}
        page = platform.ecs("ListClusters", {**request, "nextToken": token} if token else request, _ClusterArns)
        if page.cluster_arns:
            yield from platform.ecs("DescribeClusters", {"clusters": page.cluster_arns}, _Clusters).clusters
        token = page.next_token
        if not token:
            return


def _hosts(platform: Platform) -> tuple[BalancerHost, ...]:
    return msgspec.json.decode(b"".join(platform.own("GET", "balancers")), type=_Hosts).hosts


def _insecure(data: DataDirectory) -> tuple[str, ...]:
    readable = tuple(f"others on this machine may read {path}" for path in readable_secrets(data))
    try:
        server = read_platform(data.platform_file).server
    except (OSError, msgspec.DecodeError):
        server = None
    return (*(open_doors(server) if server is not None else ()), *readable)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def print_status(status: Status) -> None:
    """For people: facts, then tables of parts, instances and clusters."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False)
    if status.endpoint is None:
        console.print(f"Longshore is {status.status} ({status.data_dir})")
        return
    colour = "green" if status.status == "running" else "red"
    mode = ", dev mode" if status.dev else ""
    console.print(f"Longshore is [{colour}]{status.status}[/] (pid {status.pid}, up {_age(status.uptime_s or 0)}{mode})")
    for name, text in (
        ("endpoint", status.endpoint),
        ("registry", status.registry),
        *([("trust", status.ca_bundle)] if status.ca_bundle else []),
        ("load balancers", status.load_balancers),
        ("account", f"{status.account_id} in {status.region} ({', '.join(status.zones)})"),
        ("data", status.data_dir),
    ):
        console.print(f"  {name:<15} {text}")
    for words in status.insecure:
        console.print(f"  [red]INSECURE[/]        {escape(words)}")
    _print_tables(console, status)


def _print_tables(console: object, status: Status) -> None:
    from rich.console import Console
    from rich.table import Table

    assert isinstance(console, Console)
    parts = Table("PART", "PID", "STATE", box=None, pad_edge=False)
    for part in status.parts:
        parts.add_row(part.name, str(part.pid), "running" if part.alive else "[red]gone[/]")
    instances = Table("INSTANCE", "ID", "ADDRESS", "ZONE", box=None, pad_edge=False)
    for instance in status.instances:
        instances.add_row(instance.name, instance.instance_id, instance.address, instance.zone)
    clusters = Table("CLUSTER", "INSTANCES", "SERVICES", "RUNNING", "PENDING", box=None, pad_edge=False)
    for cluster in status.clusters:
        counts = (
            cluster.registered_container_instances_count,
            cluster.active_services_count,
            cluster.running_tasks_count,
            cluster.pending_tasks_count,
        )
        clusters.add_row(cluster.cluster_name, *map(str, counts))
    hosts = Table("BALANCER HOST", "ADDRESS", "STATE", "VERSION", box=None, pad_edge=False)
    for host in status.balancer_hosts:
        hosts.add_row(host.id, host.address or "-", host.state if host.state == "connected" else f"[red]{host.state}[/]", host.version)
    for table in (parts, instances, hosts, clusters):
        if table.row_count:
            console.print()
            console.print(table)


def _age(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{rest} s"
