"""`longshore events`: what happens to tasks, container instances, services and deployments, a line for each event.

With --follow it goes on as they come, and over restarts of the platform: it remembers how far it has read, waits until the platform
answers again, and goes on from there.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import msgspec
import typer

from longshore.cli.client import Unreachable
from longshore.cli.outcome import ExitCode, Failure

#: of one request, that waits for events too
_WAIT_S = 15
_PAGE = 500
_LINES = 20
#: how often a platform that does not answer is asked again
_AGAIN_S = 1.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_TYPES = {
    "task": "ECS Task State Change",
    "instance": "ECS Container Instance State Change",
    "service": "ECS Service Action",
    "deployment": "ECS Deployment State Change",
}


class Listed(msgspec.Struct, frozen=True, rename="camel"):
    cursor: str
    event: dict[str, Any]


class Answer(msgspec.Struct, frozen=True, rename="camel"):
    events: tuple[Listed, ...]
    cursor: str
    more: bool = False
    missed: bool = False


#: asks for a page of events; raises Unreachable where nobody answers
Ask = Callable[[dict[str, object]], Answer]


def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they come, also after the platform was restarted.")] = False,
    since: Annotated[
        str | None, typer.Option(help="From then on: 10m, 2h, 3d, or a time such as 2026-11-28T09:30.", metavar="AGO|TIME")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=1000, help="How many of the last ones, without --since.")] = _LINES,
    cluster: Annotated[str | None, typer.Option(help="Of this cluster only.")] = None,
    service: Annotated[str | None, typer.Option(help="Of this service and its tasks only.")] = None,
    task: Annotated[str | None, typer.Option(help="Of this task only.")] = None,
    instance: Annotated[str | None, typer.Option(help="Of this container instance and its tasks only.")] = None,
    kind: Annotated[
        list[str] | None, typer.Option("--type", help="Of this type only, as often as you like.", metavar="|".join(_TYPES))
    ] = None,
    region: Annotated[str | None, typer.Option(help="The cluster's region; the platform's own unless given.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")] = None,
    output: Annotated[str, typer.Option("-o", "--output", help="text, or json: an event a line.", metavar="text|json")] = "text",
) -> None:
    """Show what happens to tasks, container instances, services and deployments."""
    from longshore.cli.ecr import _platform

    if output not in ("text", "json"):
        raise Failure(f"unknown output {output!r}", "use -o text or -o json", ExitCode.USAGE)
    named = {"cluster": cluster, "service": service, "task": task, "containerInstance": instance}
    request: dict[str, object] = {name: value for name, value in named.items() if value is not None}
    if kind:
        request["detailTypes"] = [_detail_type(word) for word in kind]
    start: dict[str, object] = {"newest": lines} if since is None else {"startTime": moment_of(since, time.time())}
    there = _platform(data_dir, region)
    for event in stream(lambda asked: there.ecs("LongshoreListEvents", asked, Answer), request, start, follow=follow):
        print(msgspec.json.encode(event).decode() if output == "json" else line_of(event), flush=follow)


def _detail_type(word: str) -> str:
    if word in _TYPES:
        return _TYPES[word]
    if word in _TYPES.values():
        return word
    raise Failure(f"unknown type {word!r}", f"use one of {', '.join(_TYPES)}", ExitCode.USAGE)


def moment_of(text: str, now: float) -> float:
    """Seconds since the epoch of `10m` (ago), or of a time, which is a local one unless it says otherwise."""
    ago = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if ago is not None:
        return max(0.0, now - int(ago[1]) * _UNITS[ago[2]])
    try:
        return max(0.0, datetime.fromisoformat(text).timestamp())
    except (ValueError, OverflowError):
        raise Failure(f"{text!r} is no time", "say 10m, 2h or 3d, or a time such as 2026-11-28T09:30", ExitCode.USAGE) from None


def stream(
    ask: Ask,
    request: dict[str, object],
    start: dict[str, object],
    *,
    follow: bool,
    pause: Callable[[float], None] = time.sleep,
    notes: TextIO = sys.stderr,
) -> Iterator[dict[str, Any]]:
    """Events as they are in the log, from `start` on; with `follow` without an end."""
    where, absent = start, False
    paged = "newest" not in start
    while True:
        asked = {**request, **where, **({"maxResults": _PAGE} if paged else {}), **({"waitSeconds": _WAIT_S} if follow and paged else {})}
        try:
            page = ask(asked)
        except Unreachable:
            if not follow or where is start:
                raise
            if not absent:
                print("the platform does not answer; waiting for it", file=notes, flush=True)
            absent = True
            pause(_AGAIN_S)
            continue
        absent = False
        if page.missed:
            print("some events are too old to be kept and are not shown", file=notes, flush=True)
        yield from (one.event for one in page.events)
        where, paged = {"cursor": page.cursor}, True
        if not follow and not page.more:
            return


# ── lines ──


def line_of(event: dict[str, Any]) -> str:
    """`10:15:30  task      default/0f1e2d  web:3  PENDING → …`: when, what, which, and what is so now."""
    detail = event.get("detail") or {}
    describe = {"task": _task, "instance": _instance, "service": _service, "deployment": _deployment}
    word = next((word for word, name in _TYPES.items() if name == event.get("detail-type")), "")
    said = describe[word](detail) if word else str(event.get("detail-type"))
    subject = _short(next(iter(event.get("resources") or ()), ""))
    return f"{_clock(str(event.get('time', '')))}  {word or 'other':<10}  {subject:<28}  {said}"


def _clock(text: str) -> str:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return text


def _short(arn: str) -> str:
    """`cluster/name`; of names that are long identifiers their beginning."""
    *owner, name = arn.split(":", 5)[-1].split("/")[1:] or [arn]
    short = name[:12] if re.fullmatch(r"[0-9a-f]{32}", name) else name
    return "/".join([*owner, short])


def _task(detail: dict[str, Any]) -> str:
    definition = _short(str(detail.get("taskDefinitionArn", "")))
    said = [definition, str(detail.get("lastStatus", ""))]
    if detail.get("desiredStatus") != detail.get("lastStatus") and detail.get("desiredStatus") == "STOPPED":
        said.append("to be STOPPED")
    if detail.get("healthStatus") not in (None, "UNKNOWN"):
        said.append(str(detail["healthStatus"]))
    said += [f"{c.get('name')} exited with {c['exitCode']}" for c in detail.get("containers") or () if c.get("exitCode") is not None]
    if detail.get("stoppedReason"):
        said.append(f"({detail['stoppedReason']})")
    return "  ".join(word for word in said if word)


def _instance(detail: dict[str, Any]) -> str:
    left = {each.get("name"): each.get("integerValue") for each in detail.get("remainingResources") or ()}
    connected = "connected" if detail.get("agentConnected") else "not connected"
    return f"{detail.get('status')}  {connected}  {left.get('CPU')} CPU units and {left.get('MEMORY')} MiB left"


def _service(detail: dict[str, Any]) -> str:
    reason = f"  ({detail['reason']})" if detail.get("reason") else ""
    return f"{detail.get('eventType')}  {detail.get('eventName')}{reason}"


def _deployment(detail: dict[str, Any]) -> str:
    return f"{_service({**detail, 'reason': ''})}  {detail.get('reason', '')}"
