"""How services are shown to people: a table of them, a tree of one's tasks by version and zone, its events."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from longshore.cli.ecr_tables import console as console
from longshore.cli.ecr_tables import printable
from longshore.cli.service_answers import Explained, Member, Rollout, Service, ServiceEvent

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

_SERVICE = re.compile(r"^\(service [^,)]*\) |(?<=^\()service [^,)]*, ")
_TARGET_GROUP = re.compile(r"\(target-group arn:[^)]*:targetgroup/(?P<name>[^/)]+)/[^)]*\)")
_TASK = re.compile(r"\(task ([0-9a-f]{32})\)")
_TASKS = re.compile(r"\(task [0-9a-f]{32}\)( \(task [0-9a-f]{32}\))*")
#: tasks named in a line
_NAMED = 3
#: in the order in which tasks come to serve
_PHASES = ("HEALTHY", "WARMING", "STARTING", "UNHEALTHY", "LEAVING")
_COLOURS = {"HEALTHY": "green", "WARMING": "yellow", "STARTING": "yellow", "UNHEALTHY": "red", "LEAVING": "dim"}
_WORDS = {"HEALTHY": "serving", "WARMING": "warming up", "STARTING": "starting", "UNHEALTHY": "unhealthy", "LEAVING": "leaving"}


def print_services(console: Console, services: list[Service]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not services:
        console.print("there are no services here")
        return
    table = Table("SERVICE", "TASKS", "RUNS", "DEPLOYMENT", "", box=None, pad_edge=False)
    table.columns[0].overflow = table.columns[2].overflow = "fold"
    for one in services:
        primary = one.primary
        pending = f" +{one.pending_count}" if one.pending_count else ""
        state = (primary.rollout_state if primary is not None else "") or "–"
        failed = f"{primary.failed_tasks} failed" if primary is not None and primary.failed_tasks else ""
        note = one.status.lower() if one.status != "ACTIVE" else failed
        colour = {"COMPLETED": "green", "FAILED": "red"}.get(state, "yellow")
        table.add_row(
            Text(printable(one.service_name)),
            f"{one.running_count}{pending} of {one.desired_count}",
            Text(short(one.task_definition)),
            Text(state.lower().replace("_", " "), style=colour),
            Text(note),
        )
    console.print(table)


def tree_of(service: Service, explained: Explained, *, since_s: float | None = None) -> Tree:
    """The service's versions, newest first; below each its tasks by zone and by how far they are."""
    from rich.text import Text
    from rich.tree import Tree

    lead = next((one for one in explained.deployments if one.status == "PRIMARY"), None)
    head = Text(printable(service.service_name), style="bold")
    if lead is not None:
        head.append(f"  {lead.rollout_state.lower().replace('_', ' ')}", style="not bold")
    if explained.steady:
        head.append(", steady", style="not bold")
    if since_s is not None:
        head.append(f"  {int(since_s) // 60}:{int(since_s) % 60:02d}", style="not bold dim")
    tree = Tree(head)
    living = [one for one in explained.deployments if one.status != "INACTIVE"]
    for rollout in living:
        members = [one for one in explained.outlook.members if one.deployment_id == rollout.deployment_id]
        branch = tree.add(_version(rollout, members, explained.outlook.desired_count, alone=len(living) == 1))
        for zone in sorted({one.availability_zone for one in members}):
            branch.add(_zone(zone, [one for one in members if one.availability_zone == zone]))
    for sentence in dict.fromkeys(_waits(explained)):
        tree.add(Text(printable(sentence), style="dim"))
    return tree


def _version(rollout: Rollout, members: list[Member], desired: int, *, alone: bool) -> Text:
    from rich.text import Text

    serving = sum(1 for one in members if one.phase == "HEALTHY")
    line = Text(short(rollout.task_definition_arn))
    if rollout.status == "PRIMARY":
        line.append("" if alone else "  new", style="bold green")
        line.append(f"  {serving} of {desired} serving", style="green" if serving >= desired else "yellow")
    else:
        line.append("  old", style="bold")
        line.append(f"  {sum(1 for one in members if one.phase is not None)} left")
    failures = rollout.failed_starts + rollout.failed_checks
    if failures:
        line.append(f"  {failures} failed", style="red")
    return line


def _zone(zone: str, members: list[Member]) -> Text:
    from rich.text import Text

    line = Text(f"{zone or 'no zone'}  ")
    phases = Counter(one.phase or "LEAVING" for one in members)
    parts = [(phase, phases[phase]) for phase in _PHASES if phases[phase]]
    for number, (phase, count) in enumerate(parts):
        line.append(" · " if number else "")
        line.append(f"{count} {_WORDS[phase]}", style=_COLOURS[phase])
    targets = Counter(target.state for one in members if one.phase is not None for target in one.targets)
    if targets:
        line.append(f"  (targets: {', '.join(f'{count} {state}' for state, count in sorted(targets.items()))})", style="dim")
    complaint = next((one.complaint for one in members if one.phase == "UNHEALTHY" and one.complaint), "")
    if complaint:
        line.append(f"  {printable(complaint)}", style="red")
    return line


def _waits(explained: Explained) -> Iterable[str]:
    if explained.refusal:
        yield explained.refusal
    yield from (f"waiting: {wait}" for wait in explained.outlook.waits)


def print_events(console: Console, events: Iterable[ServiceEvent]) -> None:
    """Newest first, as they come."""
    from rich.text import Text

    for event in events:
        console.print(Text(event_line(event), style="dim"))


def event_line(event: ServiceEvent) -> str:
    return printable(f"{clock(event.created_at)}  {short_event(event.message)}")


def short_event(message: str) -> str:
    """AWS's sentence without what stands above it anyway: of the service its name, of ARNs the names, of tasks the first few."""
    message = _SERVICE.sub("", message)
    message = _TARGET_GROUP.sub(lambda found: f"(target-group {found['name']})", message)
    tasks = _TASK.findall(message)
    if tasks:
        more = f" and {len(tasks) - _NAMED} more" if len(tasks) > _NAMED else ""
        named = " ".join(f"(task {task[:8]})" for task in tasks[:_NAMED]) + more
        message = _TASKS.sub(lambda found: named, message, count=1)
    return message


def clock(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%H:%M:%S}"


def short(arn: str) -> str:
    return printable(arn.rpartition("/")[2] or arn)
