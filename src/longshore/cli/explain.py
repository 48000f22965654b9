"""`longshore explain`: why tasks are where they are, where they would go, and what a service waits for.

longshore explain task TASK                        how it came to its place, and where it would go if it were placed now
longshore explain service NAME                     what its scheduler waits for, and where its next task would go
longshore explain placement --task-definition TD   where such a task would go, instance by instance

`--if-drained INSTANCE` and `--if-lost ZONE` ask the same of a cluster that is not (yet) so; nothing is changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from longshore.cli import reach
from longshore.cli.client import Platform
from longshore.cli.explain_answers import Answer, Placement
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.service import explain as ask_scheduler
from longshore.cli.service import find_service, in_cluster, is_json, print_json

app = typer.Typer(
    name="explain", help="Say why tasks are where they are, and what services wait for.", no_args_is_help=True, rich_markup_mode=None
)

Cluster = Annotated[str | None, typer.Option(help="The cluster; `default` unless given.")]
Drained = Annotated[list[str] | None, typer.Option("--if-drained", help="As if this container instance were DRAINING.", metavar="INSTANCE")]
Lost = Annotated[
    list[str] | None,
    typer.Option("--if-lost", help="As if this Availability Zone, or container instance, were gone.", metavar="ZONE|INSTANCE"),
]
Count = Annotated[int | None, typer.Option(min=1, max=1000, help="How many tasks alike.")]
Cpu = Annotated[int | None, typer.Option(min=0, help="CPU units of the task, in place of what its definition says.")]
Memory = Annotated[int | None, typer.Option(min=0, help="MiB of memory of the task, in place of what its definition says.")]
All = Annotated[bool, typer.Option("--all", help="Show every instance, however many there are.")]
Region = Annotated[str | None, typer.Option(help="The cluster's region; the platform's own unless given.")]
DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")]
_PATIENCE_S = 60.0
_SHOWN, _MOST = 40, 10_000


def what_if(drained: list[str] | None, lost: list[str] | None, cpu: int | None, memory: int | None) -> dict[str, object]:
    """The members of a request; what looks like a zone (us-east-1a) is one."""
    zones = [one for one in lost or () if _is_zone(one)]
    instances = [one for one in lost or () if not _is_zone(one)]
    wanted: dict[str, object] = {"drainedInstances": drained, "lostZones": zones, "lostInstances": instances, "cpu": cpu, "memory": memory}
    given = {name: value for name, value in wanted.items() if value not in (None, [])}
    return {"whatIf": given} if given else {}


def _is_zone(text: str) -> bool:
    return not text.startswith(("i-", "mi-", "arn:")) and text.count("-") >= 2 and text[-1:].isalpha() and text[-2:-1].isdigit()


def ask(platform: Platform, request: dict[str, object], *, everything: bool) -> Placement:
    asked = {**request, "maxResults": _MOST if everything else _SHOWN}
    return platform.ecs("LongshoreExplainPlacement", asked, Placement)


@app.command()
def task(
    task: Annotated[str, typer.Argument(help="Its ARN, its id, or the beginning of its id.", metavar="TASK")],
    cluster: Cluster = None,
    if_drained: Drained = None,
    if_lost: Lost = None,
    everything: All = False,
    region: Region = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Say how a task came to its place, and where it would go if it were placed now."""
    from longshore.cli.explain_tables import print_placement
    from longshore.cli.find_task import whole_task_id
    from longshore.cli.service_tables import console

    as_json = is_json(output)
    platform = reach.platform(data_dir, region, _PATIENCE_S)
    named = whole_task_id(platform, cluster, task)
    found = ask(platform, in_cluster(cluster, task=named, **what_if(if_drained, if_lost, None, None)), everything=everything)
    if as_json:
        print_json(found)
    else:
        print_placement(console(), found, hypothetical=bool(if_drained or if_lost))


@app.command()
def service(
    name: Annotated[str, typer.Argument(help="The service's name.", metavar="NAME")],
    cluster: Cluster = None,
    if_drained: Drained = None,
    if_lost: Lost = None,
    count: Count = None,
    everything: All = False,
    region: Region = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Say what a service's scheduler waits for and why, and where its next task would go."""
    from longshore.cli.explain_tables import print_placement, print_scheduler
    from longshore.cli.service_tables import console, tree_of

    as_json = is_json(output)
    platform = reach.platform(data_dir, region, _PATIENCE_S)
    described, told = find_service(platform, cluster, name), ask_scheduler(platform, cluster, name)
    counted: dict[str, object] = {"count": count} if count else {}
    request = in_cluster(cluster, service=name, **counted, **what_if(if_drained, if_lost, None, None))
    found = ask(platform, request, everything=everything)
    if as_json:
        print_json({"scheduler": told, "placement": found})
        return
    out = console()
    out.print(tree_of(described, told))
    print_scheduler(out, told)
    out.print()
    print_placement(out, found, hypothetical=bool(if_drained or if_lost))


@app.command()
def placement(
    task_definition: Annotated[str, typer.Option(help="family, family:revision or ARN.")],
    cluster: Cluster = None,
    count: Count = None,
    cpu: Cpu = None,
    memory: Memory = None,
    constraint: Annotated[
        list[str] | None, typer.Option(help="distinctInstance, or an expression that instances must meet.", metavar="EXPRESSION")
    ] = None,
    strategy: Annotated[
        list[str] | None, typer.Option(help="spread=FIELD, binpack=cpu, binpack=memory or random; in this order.", metavar="TYPE[=FIELD]")
    ] = None,
    launch_type: Annotated[str | None, typer.Option(help="EC2 or EXTERNAL.")] = None,
    capacity_provider: Annotated[str | None, typer.Option(help="Only instances of this one.")] = None,
    group: Annotated[str | None, typer.Option(help="The tasks' group; family:FAMILY unless given.")] = None,
    if_drained: Drained = None,
    if_lost: Lost = None,
    everything: All = False,
    region: Region = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Say where tasks would go, as RunTask would be asked, instance by instance. Ends with 1 where not all of them find a place."""
    from longshore.cli.explain_tables import print_placement
    from longshore.cli.service_tables import console

    as_json = is_json(output)
    wanted: Answer = {"taskDefinition": task_definition, "count": count, "launchType": launch_type, "group": group}
    if capacity_provider:
        wanted["capacityProviderStrategy"] = [{"capacityProvider": capacity_provider, "weight": 1}]
    if constraint:
        wanted["placementConstraints"] = [constraint_of(text) for text in constraint]
    if strategy:
        wanted["placementStrategy"] = [strategy_of(text) for text in strategy]
    given = {name: value for name, value in wanted.items() if value is not None}
    platform = reach.platform(data_dir, region, _PATIENCE_S)
    found = ask(platform, in_cluster(cluster, **given, **what_if(if_drained, if_lost, cpu, memory)), everything=everything)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        print_placement(console(), found, hypothetical=bool(if_drained or if_lost))
    raise typer.Exit(ExitCode.OK if found.placed == found.count else ExitCode.FAILED)


def constraint_of(text: str) -> dict[str, str]:
    return {"type": "distinctInstance"} if text == "distinctInstance" else {"type": "memberOf", "expression": text}


def strategy_of(text: str) -> dict[str, str]:
    """Raises Failure for what is no strategy."""
    kind, equals, field = text.partition("=")
    if kind not in ("spread", "binpack", "random") or (bool(equals) is (kind == "random")):
        raise Failure(f"{text!r} is no placement strategy", "say spread=FIELD, binpack=cpu, binpack=memory or random", ExitCode.USAGE)
    return {"type": kind, **({"field": field} if equals else {})}
