"""`longshore rebalance`: tasks moved to where they balance better, shown before anything is moved.

longshore rebalance SERVICE --plan        which tasks would move where, and how things lie before and after
longshore rebalance --apply               the same of the whole cluster, carried out while one looks on
longshore rebalance --status              what is or was carried out;  --stop ends it after the moves under way

A task is moved by starting another in its place; it goes when that one is healthy. Ctrl-C ends the looking on, and nothing else.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from longshore.cli.client import Platform, Unreachable
from longshore.cli.ecr_tables import printable
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.service import in_cluster, is_json, platform_of, print_json
from longshore.cli.service_tables import clock, short

if TYPE_CHECKING:
    from rich.console import Console

_LOOK_EVERY_S = 0.5
_ROWS = 40
_WORDS = {
    "PENDING": "waits",
    "MOVING": "is being replaced",
    "DONE": "is replaced",
    "SKIPPED": "stays",
    "FAILED": "stays, its successor ended",
}
_COUNTED = {"DONE": "moved", "SKIPPED": "skipped", "FAILED": "failed", "PENDING": "waiting", "MOVING": "under way"}


class Move(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    task_arn: str
    service_arn: str
    from_instance_arn: str
    to_instance_arn: str
    reason: str = ""
    status: str = "PENDING"
    new_task_arn: str = ""
    detail: str = ""


class Instance(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    container_instance_arn: str
    cpu_percent_before: int
    cpu_percent_after: int
    memory_percent_before: int
    memory_percent_after: int
    tasks_before: int
    tasks_after: int
    ec2_instance_id: str = ""
    availability_zone: str = ""


class Balance(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    service_arn: str
    zones_before: dict[str, int] = {}
    zones_after: dict[str, int] = {}
    instances_before: int = 0
    instances_after: int = 0
    most_on_one_before: int = 0
    most_on_one_after: int = 0
    left_because: str = ""


class Planned(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    cluster_arn: str
    moves: tuple[Move, ...] = ()
    services: tuple[Balance, ...] = ()
    instances: tuple[Instance, ...] = ()


class Rebalance(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    rebalance_arn: str
    cluster_arn: str
    status: str
    created_at: float
    max_concurrent: int
    service_arn: str = ""
    moves: tuple[Move, ...] = ()

    @property
    def is_over(self) -> bool:
        return self.status in ("SUCCEEDED", "STOPPED")


class One(msgspec.Struct, frozen=True):
    rebalance: Rebalance


class Several(msgspec.Struct, frozen=True):
    rebalances: tuple[Rebalance, ...] = ()


def rebalance(
    service: Annotated[
        str | None, typer.Argument(help="Of this service only; of the whole cluster unless given.", metavar="[SERVICE]")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show what would be moved; what happens unless told otherwise.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Move it, and look on.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Show how far the newest rebalance is.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Begin no more moves of the one that goes on.")] = False,
    cluster: Annotated[str | None, typer.Option(help="The cluster; `default` unless given.")] = None,
    most: Annotated[int | None, typer.Option("--max-moves", min=1, max=500, help="Moves in all; 100 unless given.")] = None,
    concurrent: Annotated[int, typer.Option("--max-concurrent", min=1, max=50, help="Moves under way at once.")] = 1,
    region: Annotated[str | None, typer.Option(help="The cluster's region; the platform's own unless given.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")] = None,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")] = "text",
) -> None:
    """Move tasks to where they balance better over zones and instances: shown first, carried out with --apply."""
    from longshore.cli.service_tables import console

    as_json = is_json(output)
    if sum((plan, apply, status, stop)) > 1:
        raise Failure("--plan, --apply, --status and --stop exclude each other", code=ExitCode.USAGE)
    platform, out = platform_of(data_dir, region), console()
    asked: dict[str, object] = {**({"service": service} if service else {}), **({"maxMoves": most} if most else {})}
    if status or stop:
        found = _newest(platform, cluster)
        if stop:
            found = platform.ecs("LongshoreStopRebalance", in_cluster(cluster, rebalance=found.rebalance_arn), One).rebalance
        print_json(found) if as_json else print_rebalance(out, found)
        return
    planned = platform.ecs("LongshorePlanRebalance", in_cluster(cluster, **asked), Planned)
    if not apply or not planned.moves:
        print_json(planned) if as_json else print_plan(out, planned)
        return
    if not as_json:
        print_plan(out, planned)
        out.print()
    begun = platform.ecs("LongshoreStartRebalance", in_cluster(cluster, **asked, maxConcurrent=concurrent), One).rebalance
    done = follow(platform, cluster, begun, None if as_json else out)
    if as_json:
        print_json(done)
    raise typer.Exit(ExitCode.OK if done.status == "SUCCEEDED" and all(move.status == "DONE" for move in done.moves) else ExitCode.FAILED)


def _newest(platform: Platform, cluster: str | None) -> Rebalance:
    found = platform.ecs("LongshoreDescribeRebalances", in_cluster(cluster), Several).rebalances
    if not found:
        raise Failure("nothing was ever rebalanced here", "`longshore rebalance --plan` shows what could be")
    return found[0]


def follow(
    platform: Platform, cluster: str | None, begun: Rebalance, out: Console | None, *, pause: Callable[[float], None] = time.sleep
) -> Rebalance:
    """Until it is over; a line for every move that begins or ends. A platform that restarts is waited for: it goes on then."""
    told = {move.task_arn: "PENDING" for move in begun.moves}
    request = in_cluster(cluster, rebalances=[begun.rebalance_arn])
    while True:
        try:
            found = platform.ecs("LongshoreDescribeRebalances", request, Several).rebalances
        except Unreachable:
            pause(_LOOK_EVERY_S)
            continue
        if not found:
            raise Failure("the rebalance is not remembered any more")
        (now,) = found
        for move in now.moves:
            if told.get(move.task_arn) != move.status and out is not None:
                out.print(_line(move), soft_wrap=True, markup=False, style=_colour(move))
            told[move.task_arn] = move.status
        if now.is_over:
            if out is not None:
                out.print(_summary(now))
            return now
        pause(_LOOK_EVERY_S)


# ── shown ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def print_plan(out: Console, planned: Planned) -> None:
    from rich.table import Table
    from rich.text import Text

    names = {one.container_instance_arn: one.ec2_instance_id or short(one.container_instance_arn)[:12] for one in planned.instances}
    out.print(Text(f"{len(planned.moves)} moves" if planned.moves else "nothing would be better elsewhere", style="bold"))
    if planned.moves:
        table = Table("#", "TASK", "FROM", "TO", "WHY", box=None, pad_edge=False)
        table.columns[4].overflow = "fold"
        for number, move in enumerate(planned.moves[:_ROWS], 1):
            ends = [Text(names.get(arn, short(arn)[:12])) for arn in (move.from_instance_arn, move.to_instance_arn)]
            table.add_row(str(number), Text(short(move.task_arn)[:8]), *ends, Text(printable(move.reason)))
        out.print(table)
        if len(planned.moves) > _ROWS:
            out.print(f"… and {len(planned.moves) - _ROWS} more")
    _print_services(out, planned)
    changed = [one for one in planned.instances if one.tasks_before != one.tasks_after]
    if changed:
        out.print()
        table = Table("INSTANCE", "ZONE", "TASKS", "CPU %", "MEMORY %", box=None, pad_edge=False)
        for one in changed[:_ROWS]:
            numbers = [
                arrow(one.tasks_before, one.tasks_after),
                arrow(one.cpu_percent_before, one.cpu_percent_after),
                arrow(one.memory_percent_before, one.memory_percent_after),
            ]
            table.add_row(Text(names[one.container_instance_arn]), Text(one.availability_zone), *numbers)
        out.print(table)


def _print_services(out: Console, planned: Planned) -> None:
    from rich.table import Table
    from rich.text import Text

    out.print()
    table = Table("SERVICE", "ZONES", "INSTANCES", "MOST ON ONE", box=None, pad_edge=False)
    table.columns[0].overflow = table.columns[1].overflow = "fold"
    left = [one for one in planned.services if one.left_because]
    for one in planned.services:
        if not one.left_because:
            zones = [f"{zone or '–'} {arrow(count, one.zones_after.get(zone, 0))}" for zone, count in one.zones_before.items()]
            numbers = (arrow(one.instances_before, one.instances_after), arrow(one.most_on_one_before, one.most_on_one_after))
            table.add_row(Text(short(one.service_arn)), Text(", ".join(zones)), *numbers)
    if table.row_count:
        out.print(table)
    for one in left:
        out.print(Text(f"{short(one.service_arn)} is left as it is: {one.left_because}", style="dim"))


def print_rebalance(out: Console, found: Rebalance) -> None:
    out.print(f"begun at {clock(found.created_at)}: {found.status.lower().replace('_', ' ')}", markup=False)
    for move in found.moves:
        out.print(_line(move), soft_wrap=True, markup=False, style=_colour(move))
    out.print(_summary(found))


def _line(move: Move) -> str:
    by = f" by {short(move.new_task_arn)[:8]}" if move.new_task_arn else ""
    why = f": {move.detail}" if move.detail else ""
    return printable(f"{short(move.service_arn)} {short(move.task_arn)[:8]} {_WORDS.get(move.status, move.status)}{by}{why}")


def _colour(move: Move) -> str:
    return {"DONE": "green", "FAILED": "red", "SKIPPED": "yellow"}.get(move.status, "")


def _summary(found: Rebalance) -> str:
    counts = Counter(move.status for move in found.moves)
    return ", ".join(f"{counts[status]} {word}" for status, word in _COUNTED.items() if counts[status]) or "nothing to move"


def arrow(before: int, after: int) -> str:
    return str(before) if before == after else f"{before} → {after}"
