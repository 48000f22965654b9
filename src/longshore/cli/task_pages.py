"""How `longshore task` shows tasks to people: a table of many, and a page about one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from longshore.aws.flight import ContainerFlight
from longshore.cli.ecr_tables import console as console
from longshore.cli.ecr_tables import printable
from longshore.cli.task_answers import Container, Line, Record, Task

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_DAY_S = 86_400.0
#: as much of an id as tells tasks apart
_SHORT = 12
_LABEL = 11


# ── many ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def print_list(console: Console, lines: Sequence[Line], now: float) -> None:
    from rich.table import Table
    from rich.text import Text

    if not lines:
        console.print("no tasks")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("TASK", "DEFINITION", "STATUS", "AGE"):
        table.add_column(heading, no_wrap=True)
    wide = console.width >= 120
    if wide:
        table.add_column("GROUP", overflow="fold")
        table.add_column("ZONE", no_wrap=True)
    table.add_column("WHY IT STOPPED", overflow="fold")
    for line in lines:
        style = "red" if line.failed else "dim" if line.status == "STOPPED" else ""
        cells = [short_id(line.task_arn), printable(line.definition), line.status, ago(now - (line.stopped_at or line.since))]
        if wide:
            cells += [printable(line.group), line.availability_zone or "–"]
        table.add_row(*(Text(cell, style=style) for cell in (*cells, printable(line.why))))
    console.print(table)


def short_id(arn: str) -> str:
    return arn.rpartition("/")[2][:_SHORT]


def ago(seconds: float) -> str:
    for unit, length in (("d", _DAY_S), ("h", 3600.0), ("m", 60.0)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


# ── one ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def print_record(console: Console, record: Record, now: float) -> None:
    _print_head(console, record)
    _print_timeline(console, record.task, now)
    flights = {flight.name: flight for flight in record.containers}
    for container in record.task.containers:
        _print_container(console, container, flights.get(container.name))
    if record.task.last_status == "STOPPED" and record.recorded_at is None:
        console.print("\n[dim]No flight record: the agent did not make one (Amazon's does not).[/]")
    if record.service_events:
        console.print("\n[bold]Events of its service around then[/]")
        _print_rows(console, ((clock_time(event.created_at), event.message) for event in record.service_events))


def _print_head(console: Console, record: Record) -> None:
    from rich.text import Text

    task = record.task
    head = Text.assemble((f"task {task.task_arn.rpartition('/')[2]}", "bold"), "  ", (task.last_status, _style(task)))
    if record.archived:
        head.append("  (history)", "dim")
    console.print(head)
    instance = task.container_instance_arn.rpartition("/")[2][:_SHORT]
    where = [record.ec2_instance_id or instance, task.availability_zone, f"cluster {task.cluster_arn.rpartition('/')[2]}"]
    sizes = [f"{task.cpu} CPU units" if task.cpu not in ("", "0") else "", f"{task.memory} MiB" if task.memory not in ("", "0") else ""]
    provider = task.capacity_provider_name or task.launch_type
    why = f"{task.stopped_reason}{f' ({task.stop_code})' if task.stop_code else ''}" if task.stopped_reason or task.stop_code else ""
    rows = [
        ("what", f"{task.task_definition_arn.rpartition('/')[2]}  {', '.join(size for size in (*sizes, provider) if size)}"),
        ("group", f"{task.group}{f', started by {task.started_by}' if task.started_by else ''}"),
        ("where", " · ".join(part for part in where if part)),
        *(("address", _address(attachment.details)) for attachment in task.attachments),
        ("why stopped", why),
        ("health", task.health_status if task.health_status != "UNKNOWN" else ""),
        ("tags", ", ".join(f"{tag.key}={tag.value}" for tag in task.tags)),
    ]
    _print_rows(console, ((name, text) for name, text in rows if text.strip()))


def _address(details: Iterable[object]) -> str:
    values = {getattr(detail, "name", ""): getattr(detail, "value", "") for detail in details}
    return " ".join(values[name] for name in ("privateIPv4Address", "networkInterfaceId") if values.get(name))


def _style(task: Task) -> str:
    if task.last_status != "STOPPED":
        return "green" if task.last_status == "RUNNING" else "yellow"
    return "red" if task.stop_code in ("TaskFailedToStart", "EssentialContainerExited") else "bold"


def _print_timeline(console: Console, task: Task, now: float) -> None:
    times = (
        ("created", task.created_at),
        ("accepted by its agent", task.connectivity_at),
        ("pulling", task.pull_started_at),
        ("pulled", task.pull_stopped_at),
        ("RUNNING", task.started_at),
        ("stopping", task.stopping_at),
        ("first essential container ended" if task.started_at else "could not be started", task.execution_stopped_at),
        ("STOPPED", task.stopped_at),
    )
    known = sorted(((at, what) for what, at in times if at is not None), key=lambda moment: moment[0])
    if not known:
        return
    console.print(f"\n[bold]Timeline[/] [dim]of {_day(known[0][0])}[/]")
    previous = known[0][0]
    rows = []
    for at, what in known:
        rows.append((f"{clock_time(at)}  {f'+{took(at - previous)}' if at > previous else '':>9}", what))
        previous = at
    if task.last_status != "STOPPED":
        rows.append((f"{clock_time(now)}  {f'+{took(now - previous)}':>9}", f"now {task.last_status}"))
    _print_rows(console, rows)


def _print_container(console: Console, container: Container, flight: ContainerFlight | None) -> None:
    from rich.text import Text

    console.print()
    console.print(Text.assemble(("container ", "bold"), (printable(container.name), "bold"), "  ", how_it_ended(container, flight)))
    _print_rows(console, _facts(container, flight))
    if flight is None:
        return
    if flight.log_error:
        console.print(Text(f"  no last lines: {printable(flight.log_error)}", style="dim"))
    elif flight.log_tail:
        console.print(f"  [dim]last lines{' (there was more)' if flight.log_is_cut else ''}[/]")
        for line in flight.log_tail.splitlines():
            console.print(Text(f"  │ {printable(line.expandtabs())}"), soft_wrap=True)
    elif flight.started_at is not None:
        console.print("  [dim]it wrote nothing[/]")


def how_it_ended(container: Container, flight: ContainerFlight | None) -> str:
    """RUNNING; or STOPPED, exit code 137 (SIGKILL), out of memory."""
    code = container.exit_code if container.exit_code is not None else (flight.exit_code if flight else None)
    parts = [container.last_status]
    if code is not None:
        signal = flight.signal if flight else ""
        parts.append(f"exit code {code}{f' ({signal})' if signal else ''}")
    elif container.last_status == "STOPPED":
        parts.append("never ran")
    if flight and flight.oom_killed:
        parts.append("out of memory")
    if flight and flight.restart_count:
        parts.append(f"restarted {flight.restart_count}×")
    return ", ".join(parts)


def _facts(container: Container, flight: ContainerFlight | None) -> list[tuple[str, str]]:
    ports = [
        f"{b.bind_ip}:{b.host_port_range or b.host_port}→{b.container_port_range or b.container_port}/{b.protocol}"
        for b in container.network_bindings
    ]
    digest = container.image_digest.partition(":")[2][:_SHORT]
    health = (flight.health if flight else "") or (container.health_status if container.health_status != "UNKNOWN" else "")
    rows = [
        ("image", f"{container.image}{f'  @{digest}' if digest else ''}"),
        ("reason", container.reason or (flight.reason if flight else "")),
        ("engine", flight.error if flight else ""),
        ("ports", ", ".join(ports)),
        ("ran", f"{took(flight.finished_at - flight.started_at)}" if flight and flight.finished_at and flight.started_at else ""),
        ("health", health.lower()),
    ]
    for probe in flight.probes if flight else ():
        rows.append(("check", f"{clock_time(probe.at)}  exit code {probe.exit_code}  {' '.join(probe.output.split())[:200]}"))
    return [(name, text) for name, text in rows if text]


def _print_rows(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table: Table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=_LABEL)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(f"  {name}", style="dim"), Text(printable(text)))
    console.print(table)


# ── times ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def clock_time(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S}.{int(at * 1000) % 1000:03d}"


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d}"


def took(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes // 1440} d"
