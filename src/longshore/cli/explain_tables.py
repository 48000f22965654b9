"""How placement and schedulers are explained to people: one row an instance, the closest first, each with its reason in numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from longshore.cli.ecr_tables import printable
from longshore.cli.explain_answers import Asked, Constraint, Instance, Placement, Score
from longshore.cli.service_answers import Explained, Step
from longshore.cli.service_tables import clock, short

if TYPE_CHECKING:
    from rich.console import Console

_UNITS = {"CPU": "CPU units", "MEMORY": "MiB", "GPU": "GPUs", "ENI": "network interfaces"}
_COLOURS = {"CHOSEN": "green", "FITS": "", "REFUSED": "red"}
_AGENT = "its agent is not connected"


def print_placement(console: Console, found: Placement, *, hypothetical: bool = False) -> None:
    from rich.text import Text

    tasks = "a task" if found.count == 1 else f"{found.count} tasks"
    console.print(Text(f"{tasks} of {short(found.task_definition_arn)}, group {printable(found.group)}", style="bold"))
    for name, value in _asked(found):
        console.print(Text(f"  {name:<12}{printable(value)}"))
    if found.decision is not None:
        decided = found.decision
        chosen = f"{short(decided.container_instance_arn)[:12]}, one of {decided.candidates} that could take it among {decided.instances}"
        scores = " · ".join(_score(one) for one in decided.scores)
        console.print(Text(f"  placed      {clock(decided.at)} on {chosen}{f' ({scores})' if scores else ''}"))
    console.print()
    console.print(Text(_outcome(found, hypothetical), style="green" if found.placed == found.count else "bold red"))
    if found.failure is not None:
        console.print(Text(printable(found.failure.message)))
        if found.failure.refusals:
            counts = sorted(found.failure.refusals.items(), key=lambda one: (-one[1], one[0]))
            console.print(Text(printable(", ".join(f"{count} × {reason}" for reason, count in counts))))
    if found.instances:
        console.print()
        _print_instances(console, found)


def _asked(found: Placement) -> list[tuple[str, str]]:
    asked = found.asked
    parts = [f"{asked.cpu} CPU units", f"{asked.memory} MiB"]
    parts += [f"{asked.gpus} GPUs"] if asked.gpus else []
    parts += [f"{asked.enis} network interface"] if asked.enis else []
    parts += [f"port {port.port}/{port.protocol}" for port in asked.ports]
    rows = [("asks for", ", ".join(parts)), *_places(asked)]
    if asked.attributes:
        rows.append(("attributes", ", ".join(asked.attributes)))
    rows += [("constraint", _constraint(one)) for one in found.placement_constraints]
    rows.append(("strategy", ", then ".join(_strategy(one) for one in found.placement_strategy) or "none"))
    return rows


def _places(asked: Asked) -> list[tuple[str, str]]:
    rows = [("launch type", asked.launch_type)] if asked.launch_type != "EC2" else []
    rows += [("provider", asked.capacity_provider)] if asked.capacity_provider else []
    return [*rows, ("zones", ", ".join(asked.availability_zones))] if asked.availability_zones else rows


def _outcome(found: Placement, hypothetical: bool) -> str:
    would = "would then" if hypothetical else "would"
    if not found.placements:
        return f"It {would} find no place" if found.count == 1 else f"None of {found.count} {would} find a place"
    names = {one.container_instance_arn: one for one in found.instances}
    counts = Counter(found.placements)
    told = [f"{_name(names.get(arn), arn)}{f' × {count}' if count > 1 else ''}" for arn, count in counts.items()]
    more = f", and {len(told) - 8} more instances" if len(told) > 8 else ""
    who = "It" if found.count == 1 else f"{found.placed} of {found.count}"
    return f"{who} {would} go to {', '.join(told[:8])}{more}"


def _print_instances(console: Console, found: Placement) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("INSTANCE", no_wrap=True)
    table.add_column("ZONE", no_wrap=True)
    table.add_column("TASKS", justify="right", no_wrap=True)
    table.add_column("WHY", overflow="fold")
    for one in found.instances:
        verdict = f"takes {one.tasks_placed}: " if one.verdict == "CHOSEN" and found.count > 1 else ""
        style = _COLOURS.get(one.verdict, "")
        rank = str(one.rank) if one.rank is not None else "–"
        why = Text(printable(verdict + ("; ".join(complaints(one)) if one.verdict == "REFUSED" else _praise(one))), style=style)
        table.add_row(Text(rank), Text(_name(one, "")), Text(one.availability_zone), f"{one.tasks_of_group}/{one.tasks}", why)
    console.print(table)
    console.print(Text("TASKS: of the group / all that are there", style="dim"))
    if found.instances_left_out:
        console.print(f"… and {found.instances_left_out} more instances; --all shows them")


def _name(instance: Instance | None, arn: str) -> str:
    """As short as it can be told by: the machine's own id where it has one."""
    if instance is None:
        return short(arn)[:12]
    return printable(instance.ec2_instance_id or short(instance.container_instance_arn)[:12])


def complaints(instance: Instance) -> list[str]:
    """Everything that keeps a task away, with the numbers behind it."""
    said: list[str] = []
    if instance.status != "ACTIVE":
        said.append(f"it is {instance.status}")
    if not instance.agent_connected:
        said.append(_AGENT)
    if instance.missing_attributes:
        said.append(f"it lacks {', '.join(instance.missing_attributes)}")
    for one in instance.resources:
        if not one.fits:
            said.append(f"{one.asked} {_UNITS.get(one.name, one.name)} asked, {one.free} of {one.registered} free")
    taken = [f"{port.port}/{port.protocol}" for port in instance.ports if not port.free]
    said += [f"port {', '.join(taken)} is taken"] if taken else []
    said += [f"not so: {_constraint(constraint)}" for constraint in instance.constraints if not constraint.satisfied]
    # a reason that no number stands for, such as the zones of subnets or another capacity provider
    return said or list(instance.reasons) or ["refused"]


def _praise(instance: Instance) -> str:
    free = [f"{one.asked} of {one.free} {_UNITS.get(one.name, one.name)}" for one in instance.resources if one.asked]
    scores = [f"{_score(one)}{'' if one.kept else f' (best {one.best})'}" for one in instance.scores]
    return "; ".join([", ".join(free) or "asks for nothing", *scores])


def _constraint(one: Constraint) -> str:
    return one.expression if one.type == "memberOf" and one.expression else one.type


def _strategy(one: Score) -> str:
    return f"{one.type} over {one.field}" if one.type == "spread" else f"{one.type} by {one.field}" if one.field else one.type


def _score(one: Score) -> str:
    """Less is better: tasks of the group that are there already, or what would be left."""
    if one.type == "spread":
        if (one.field or "").lower() in ("instanceid", "host"):
            return f"{one.score} of the group on it"
        return f"{one.score} of the group in {one.value or (one.field or '').removeprefix('attribute:')}"
    return f"{one.score} of {one.field} left" if one.field else f"{one.type} {one.score}"


# ── schedulers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def print_scheduler(console: Console, told: Explained) -> None:
    """What a service's scheduler would do now; what it waits for stands in the tree above."""
    from rich.text import Text

    outlook = told.outlook
    console.print(Text(f"{outlook.desired_count} wanted, at least {outlook.least_healthy} healthy, at most {outlook.most_tasks} at once"))
    for step in outlook.next:
        console.print(Text(f"next: {_step(step)}"))
    if outlook.look_again_at is not None:
        console.print(Text(f"looks again at {clock(outlook.look_again_at)}, or when something changes", style="dim"))
    if not outlook.next and not outlook.waits and not told.refusal:
        console.print(Text("nothing is waited for", style="green"))


def _step(step: Step) -> str:
    where = step.availability_zone or short(step.container_instance_arn)[:12]
    if step.action == "START":
        place = f" in {where}" if where else ""
        return printable(f"start {step.count} of {step.deployment_id}{place}{f': {step.reason}' if step.reason else ''}")
    return printable(f"stop {short(step.task_arn)[:12]}: {step.reason}")
