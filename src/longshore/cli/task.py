"""`longshore task`: the tasks that run and those that have ended, what became of each, and what it writes.

longshore task list [--service S] [--failed] [--since 2h]   those that run, then those that have ended, newest first
longshore task show TASK                                    where, when and why; each container's end and its last lines
longshore task logs TASK [-c CONTAINER] [-f]                what a container writes, or wrote as long as it is still there

DescribeTasks forgets a stopped task after an hour (`longshore up --stopped-tasks-kept`); these know it for a week more.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from longshore.cli import reach
from longshore.cli.client import Platform
from longshore.cli.find_task import whole_task_id
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.task_answers import Described, EndedTask, History, Line, Listed, Opened, Record, Task

app = typer.Typer(
    name="task", help="Look at tasks: those that run, and those that have ended.", no_args_is_help=True, rich_markup_mode=None
)

DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")]
Region = Annotated[str | None, typer.Option(help="The cluster's region; the platform's own unless given.")]
Cluster = Annotated[str | None, typer.Option(help="The cluster; `default` unless given.")]
TaskName = Annotated[str, typer.Argument(help="A task's id, the beginning of it, or its ARN.", metavar="TASK")]
_PATIENCE_S = 30.0
_PAGE = 100
_MOST = 10_000


def _is_json(output: str) -> bool:
    if output not in ("text", "json"):
        raise Failure(f"unknown output {output!r}", "use -o text or -o json", ExitCode.USAGE)
    return output == "json"


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


# ── list ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@app.command("list")
def list_tasks(
    service: Annotated[str | None, typer.Option(help="Of this service only.")] = None,
    family: Annotated[str | None, typer.Option(help="Of task definitions of this family only.")] = None,
    status: Annotated[str | None, typer.Option(help="running or stopped only.", metavar="running|stopped")] = None,
    since: Annotated[str | None, typer.Option(help="That stopped since then: 10m, 2h, 3d, or a time.", metavar="AGO|TIME")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that ended badly.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=_MOST, help="How many of those that have ended.")] = 50,
    cluster: Cluster = None,
    region: Region = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """List tasks: those that are to run, then those that have ended, newest first."""
    as_json = _is_json(output)
    if status not in (None, "running", "stopped"):
        raise Failure(f"unknown status {status!r}", "say running or stopped", ExitCode.USAGE)
    platform = reach.platform(data_dir, region, _PATIENCE_S)
    where: dict[str, object] = {name: value for name, value in (("cluster", cluster), ("family", family)) if value}
    if service:
        where["serviceName"] = service
    found: list[Line] = []
    if status != "stopped" and not failed:
        found += [_running_line(task) for task in _running(platform, where)]
    if status != "running":
        found += [_ended_line(task) for task in _ended(platform, where, since, failed=failed, most=lines)]
    if as_json:
        _print_json(found)
        return
    from longshore.cli.task_pages import console, print_list

    print_list(console(), found, time.time())


def _running(platform: Platform, where: dict[str, object]) -> list[Task]:
    found: list[Task] = []
    token: str | None = None
    while True:
        page = platform.ecs("ListTasks", {**where, **({"nextToken": token} if token else {})}, Listed)
        if page.task_arns:
            request: dict[str, object] = {"tasks": list(page.task_arns), **({"cluster": where["cluster"]} if "cluster" in where else {})}
            found += platform.ecs("DescribeTasks", request, Described).tasks
        token = page.next_token
        if not token:
            return sorted(found, key=lambda task: task.created_at or 0.0, reverse=True)


def _ended(platform: Platform, where: dict[str, object], since: str | None, *, failed: bool, most: int) -> list[EndedTask]:
    from longshore.cli.ecs_events import moment_of

    request = {**where, "failedOnly": failed, **({"since": moment_of(since, time.time())} if since else {})}
    found: list[EndedTask] = []
    token: str | None = None
    while len(found) < most:
        asked = {**request, "maxResults": min(_PAGE, most - len(found)), **({"nextToken": token} if token else {})}
        page = platform.ecs("LongshoreListTaskHistory", asked, History)
        found += page.tasks
        token = page.next_token
        if not token:
            break
    return found


def _running_line(task: Task) -> Line:
    return Line(
        task_arn=task.task_arn,
        definition=task.task_definition_arn.rpartition("/")[2],
        group=task.group,
        status=task.last_status,
        since=task.started_at or task.created_at or 0.0,
        availability_zone=task.availability_zone,
        container_instance_arn=task.container_instance_arn,
    )


def _ended_line(task: EndedTask) -> Line:
    return Line(
        task_arn=task.task_arn,
        definition=task.task_definition_arn.rpartition("/")[2],
        group=task.group,
        status="STOPPED",
        since=task.started_at or task.created_at,
        availability_zone=task.availability_zone,
        container_instance_arn=task.container_instance_arn,
        stopped_at=task.stopped_at,
        failed=task.failed,
        archived=task.archived,
        why=_why(task),
    )


def _why(task: EndedTask) -> str:
    """The container's own words where it failed by itself; else whoever stopped it."""
    if task.failed:
        for container in task.containers:
            if container.reason:
                return f"{container.name}: {container.reason}"
        for container in task.containers:
            if container.exit_code:
                return f"{container.name}: exit code {container.exit_code}"
    return task.stopped_reason


# ── show ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def show(
    task: TaskName,
    cluster: Cluster = None,
    region: Region = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Show what became of a task: where it ran, when and why it stopped, how each container ended and what it wrote last."""
    as_json = _is_json(output)
    platform = reach.platform(data_dir, region, _PATIENCE_S)
    request = _named(platform, cluster, task)
    if as_json:
        whole: dict[str, Any] = platform.ecs("LongshoreGetTaskRecord", request, dict)
        _print_json(whole)
        return
    from longshore.cli.task_pages import console, print_record

    print_record(console(), platform.ecs("LongshoreGetTaskRecord", request, Record), time.time())


def _named(platform: Platform, cluster: str | None, task: str) -> dict[str, object]:
    return {"task": whole_task_id(platform, cluster, task), **({"cluster": cluster} if cluster else {})}


# ── logs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def logs(
    task: TaskName,
    container: Annotated[str | None, typer.Option("--container", "-c", help="Needed where the task has several.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines come.")] = False,
    lines: Annotated[int | None, typer.Option("--lines", "-n", min=0, help="How many of the last ones; all unless given.")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Put the time before each line.")] = False,
    cluster: Cluster = None,
    region: Region = None,
    data_dir: DataDir = None,
) -> None:
    """Print what a container of a task has written; of one that is gone, the last lines of its flight record."""
    from longshore.cli.exec import follow as carry

    platform = reach.platform(data_dir, region, _PATIENCE_S)
    request = _named(platform, cluster, task)
    asked = {**request, "follow": follow, "timestamps": timestamps}
    asked |= {name: value for name, value in (("container", container), ("tail", lines)) if value is not None}
    try:
        opened = platform.ecs("LongshoreOpenTaskLogs", asked, Opened)
        raise typer.Exit(carry(platform, opened.session, terminal=False, takes_input=False))
    except Failure as failure:
        try:
            record = platform.ecs("LongshoreGetTaskRecord", request, Record)
        except Failure:
            raise failure from None
        flights = [flight for flight in record.containers if container in (None, flight.name)]
        if len(flights) != 1 or not flights[0].log_tail or timestamps:
            raise failure from None
        for line in flights[0].log_tail.splitlines()[-lines if lines else 0 :] if lines != 0 else ():
            print(line)
