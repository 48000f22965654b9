"""`longshore lb tail` and `longshore lb metrics`: what load balancers do, as it happens and summed up.

longshore lb tail NAME       every request as it ends: when, who, what, which status, how long, which target
longshore lb metrics NAME    what was measured lately
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated

import msgspec
import typer

from longshore.cli import reach
from longshore.cli.lb import DataDir, Region, arn_of
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.service import is_json, print_json

#: an empty line comes every few seconds while nothing happens
_PATIENCE_S = 30.0
_FILTERS = ("status", "method", "path", "host", "client", "target", "rule")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Opening(msgspec.Struct, frozen=True, rename="camel"):
    load_balancer: str
    access_logs: bool


class Request(msgspec.Struct, frozen=True, rename="camel"):
    time: str
    client: str
    method: str
    host: str
    path: str
    status: str
    target_status: str = "-"
    ms: int = -1
    target: str = "-"
    target_group: str = ""
    rule: str = "-"
    actions: str = "-"
    user_agent: str = ""
    skipped: int = 0


class Series(msgspec.Struct, frozen=True, rename="camel"):
    metric: str
    unit: str
    dimensions: dict[str, str]
    samples: float
    sum: float
    minimum: float
    maximum: float
    p50: float | None = None
    p99: float | None = None


class Answer(msgspec.Struct, frozen=True):
    series: tuple[Series, ...]


def tail(
    name: Annotated[str, typer.Argument(help="The load balancer's name, or its ARN.", metavar="NAME")],
    filters: Annotated[
        list[str] | None,
        typer.Option("--filter", "-f", help=f"Only requests whose {', '.join(_FILTERS)} is like VALUE.", metavar="KEY=VALUE"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object per line.")] = False,
    region: Region = None,
    data_dir: DataDir = None,
) -> None:
    """Show requests as they end. `*` in a filter's value stands for anything; 5xx for any status from 500 on."""
    wanted = filters_of(filters or ())
    platform = reach.platform(data_dir, region, _PATIENCE_S)
    lines = platform.own("GET", "load-balancers/tail", {"arn": arn_of(platform, name)}, patience_s=_PATIENCE_S)
    try:
        opening = msgspec.json.decode(next(lines), type=Opening)
        if not opening.access_logs:
            typer.echo(without_logs(name, wanted), err=True)
        for line in lines:
            if not line.strip():
                continue
            request = msgspec.json.decode(line, type=Request)
            if holds(request, wanted):
                typer.echo(line.decode().strip() if as_json else text_of(request))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def metrics(
    name: Annotated[str, typer.Argument(help="The load balancer's name, or its ARN.", metavar="NAME")],
    since: Annotated[str, typer.Option(help="How far back: 90s, 15m, 6h, 2d.", metavar="TIME")] = "1h",
    region: Region = None,
    data_dir: DataDir = None,
    output: Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")] = "text",
) -> None:
    """Show what was measured of a load balancer and its target groups. Minutes count once they are over."""
    as_json = is_json(output)
    platform = reach.platform(data_dir, region, _PATIENCE_S)
    query = {"arn": arn_of(platform, name), "s": str(seconds_of(since))}
    content = b"".join(platform.own("GET", "load-balancers/metrics", query, patience_s=_PATIENCE_S))
    found = msgspec.json.decode(content, type=Answer)
    if as_json:
        print_json(found)
        return
    for line in table_of(found.series):
        typer.echo(line)


def without_logs(name: str, wanted: list[tuple[str, re.Pattern[str]]]) -> str:
    """What is not seen of a load balancer that keeps no access logs. Raises Failure where nothing would ever be shown."""
    if any(key == "host" and not pattern.fullmatch("") for key, pattern in wanted):
        raise Failure(
            f"{name} keeps no access logs, and without them nobody notes hosts", "filter by something else, or turn its access logs on"
        )
    return f"{name} keeps no access logs: only requests that end in errors are seen, without their hosts"


def filters_of(texts: list[str] | tuple[()]) -> list[tuple[str, re.Pattern[str]]]:
    """Raises Failure."""
    found: list[tuple[str, re.Pattern[str]]] = []
    for text in texts:
        key, equals, value = text.partition("=")
        if key not in _FILTERS or not equals:
            raise Failure(f"{text!r} is no filter", f"give it as KEY=VALUE, with a KEY of {', '.join(_FILTERS)}", ExitCode.USAGE)
        like = "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", value))
        found.append((key, re.compile(re.sub(r"^(\d)xx$", r"\1..", like))))
    return found


def holds(request: Request, wanted: list[tuple[str, re.Pattern[str]]]) -> bool:
    return all(pattern.fullmatch(getattr(request, key)) for key, pattern in wanted)


def text_of(request: Request) -> str:
    """One line, whatever a client sent: the platform has escaped it."""
    took = f"{request.ms} ms" if request.ms >= 0 else "-"
    before = f"({request.skipped} more)  " if request.skipped else ""
    status = f"{request.status}/{request.target_status}"
    where = request.target if request.target != "-" else request.actions
    asked = f"{request.method:<6} {request.host}{request.path}"
    return f"{before}{request.time[11:23]}  {request.client:<21}  {asked}  {status:<7}  {took:>8}  {where}"


def seconds_of(text: str) -> int:
    """Raises Failure."""
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise Failure(f"{text!r} is no length of time", "give it as 90s, 15m, 6h or 2d", ExitCode.USAGE)
    return max(60, int(found[1]) * _UNITS[found[2]])


def table_of(series: tuple[Series, ...]) -> Iterator[str]:
    """Per target group and zone, the load balancer's own first."""
    if not series:
        yield "nothing was measured in that time"
        return
    rows: list[tuple[str, ...]] = [("METRIC", "OF", "SUM", "AVERAGE", "MIN", "MAX", "P50", "P99")]
    for one in sorted(series, key=lambda one: (len(one.dimensions), sorted(one.dimensions.items()), one.metric)):
        of = " ".join(value.removeprefix("targetgroup/") for key, value in one.dimensions.items() if not key.startswith("LoadBalancer"))
        numbers = (one.sum, one.sum / one.samples, one.minimum, one.maximum, one.p50, one.p99)
        rows.append((one.metric, of or "-", *("-" if number is None else _short(number) for number in numbers)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = zip(row, widths, strict=True)
        yield "  ".join(cell.ljust(width) if column < 2 else cell.rjust(width) for column, (cell, width) in enumerate(cells)).rstrip()


def _short(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:.4g}"
