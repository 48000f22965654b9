"""Tasks by the beginning of their id, as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from longshore.cli.client import Platform
from longshore.cli.outcome import ExitCode, Failure

#: letters of an id that are too few to look for
_LEAST = 3
#: pages of those that ended long ago that are looked through
_MOST_PAGES = 20
_ID = re.compile(r"[0-9a-f]+")


class _EndedTask(msgspec.Struct, frozen=True, rename="camel"):
    task_arn: str


class _History(msgspec.Struct, frozen=True, rename="camel"):
    tasks: tuple[_EndedTask, ...]
    next_token: str | None = None


class _Listed(msgspec.Struct, frozen=True, rename="camel"):
    task_arns: tuple[str, ...] = ()
    next_token: str | None = None


def whole_task_id(platform: Platform, cluster: str | None, given: str) -> str:
    """`given` itself where it is an ARN or a whole id; else the id that begins with it. Raises Failure unless that is exactly one."""
    if given.startswith("arn:") or len(given) in (32, 36):
        return given
    if len(given) < _LEAST or not _ID.fullmatch(given):
        raise Failure(f"{given!r} is no task's id", f"give an ARN, an id, or at least the first {_LEAST} characters of one", ExitCode.USAGE)
    found = [
        arn for status in ("RUNNING", "STOPPED") for arn in _tasks(platform, cluster, status) if arn.rpartition("/")[2].startswith(given)
    ]
    if not found:
        found = [arn for arn in _ended(platform, cluster) if arn.rpartition("/")[2].startswith(given)]
    if not found:
        raise Failure(f"no task's id begins with {given}", "`longshore task list` shows them")
    if len(found) > 1:
        raise Failure(f"{len(found)} tasks' ids begin with {given}", "give more of it", ExitCode.USAGE)
    return found[0]


def _tasks(platform: Platform, cluster: str | None, status: str) -> list[str]:
    request: dict[str, object] = {"desiredStatus": status, **({"cluster": cluster} if cluster else {})}
    arns: list[str] = []
    token: str | None = None
    while True:
        page = platform.ecs("ListTasks", {**request, **({"nextToken": token} if token else {})}, _Listed)
        arns += page.task_arns
        token = page.next_token
        if not token:
            return arns


def _ended(platform: Platform, cluster: str | None) -> Iterator[str]:
    request: dict[str, object] = {"maxResults": 100, **({"cluster": cluster} if cluster else {})}
    for _ in range(_MOST_PAGES):
        page = platform.ecs("LongshoreListTaskHistory", request, _History)
        yield from (task.task_arn for task in page.tasks)
        if not page.next_token:
            return
        request["nextToken"] = page.next_token
