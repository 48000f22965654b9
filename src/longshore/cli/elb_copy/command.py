"""`longshore elb-copy NAME`: reads a Classic load balancer, here or at AWS, and creates an Application or Network Load Balancer like it.

    longshore elb-copy shop --dry-run                 what maps, what changes, what cannot be kept
    longshore elb-copy shop --register-targets        make it, with its instances
    longshore elb-copy shop --profile work --region eu-west-1      of an AWS account: only read there, created here

Ends with 0 when it was copied (or could be), 1 when not; then nothing is left of it.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from longshore.cli.outcome import ExitCode, Failure

if TYPE_CHECKING:
    from longshore.cli.elb_copy.plan import Effect, Plan

DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")]
Name = Annotated[str, typer.Argument(help="The Classic load balancer.")]
RegisterTargets = Annotated[bool, typer.Option("--register-targets", help="Register its instances with the copy, too.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be created.")]
AllowLoss = Annotated[bool, typer.Option("--allow-loss", help="Copy although something cannot be kept.")]
Endpoint = Annotated[str | None, typer.Option(help="Where the Classic load balancer is; here unless given.")]
Region = Annotated[str | None, typer.Option(help="Its region.")]
Profile = Annotated[str | None, typer.Option(help="The AWS profile to read it with; without --endpoint, at AWS.")]
NewName = Annotated[str | None, typer.Option("--name", help="The copy's name; the same unless given.")]
Type = Annotated[str | None, typer.Option("--type", help="What to copy to; told by the listeners.", metavar="application|network")]
Subnets = Annotated[list[str] | None, typer.Option("--subnet", help="A subnet of the copy, as often as needed.")]
SecurityGroups = Annotated[list[str] | None, typer.Option("--security-group", help="A security group of the copy.")]
Certificates = Annotated[list[str] | None, typer.Option("--certificate", help="A certificate there, and the one here.", metavar="ARN=ARN")]

_COLOURS = {"maps": "green", "changes": "yellow", "lost": "red", "blocks": "red bold"}
_WORDS = {"maps": "same", "changes": "changes", "lost": "lost", "blocks": "cannot"}
_MARK = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def elb_copy(
    name: Name,
    register_targets: RegisterTargets = False,
    dry_run: DryRun = False,
    allow_loss: AllowLoss = False,
    endpoint: Endpoint = None,
    region: Region = None,
    profile: Profile = None,
    new_name: NewName = None,
    type: Type = None,
    subnet: Subnets = None,
    security_group: SecurityGroups = None,
    certificate: Certificates = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Copy a Classic load balancer to an Application Load Balancer (HTTP, HTTPS) or a Network Load Balancer (TCP, SSL).

    It is only read where it is, and stays as it is; the copy is created here, and nothing of it stays when something is refused.
    """
    from longshore.cli.elb_copy.carry_out import carry_out, look_around
    from longshore.cli.elb_copy.plan import Wishes, plan
    from longshore.cli.elb_copy.source import read_source
    from longshore.cli.elb_copy.where import source_platform
    from longshore.cli.reach import platform

    if output not in ("text", "json"):
        raise Failure(f"unknown output {output!r}", "use -o text or -o json", ExitCode.USAGE)
    if type not in (None, "application", "network"):
        raise Failure(f"unknown type {type!r}", "use --type application or --type network", ExitCode.USAGE)
    here = platform(data_dir, None if endpoint or profile else region, 30.0)
    there = source_platform(here, endpoint, region, profile)
    wishes = Wishes(
        name=new_name or "",
        type=type or "",
        subnets=tuple(subnet or ()),
        security_groups=tuple(security_group or ()),
        certificates=_pairs(certificate or ()),
        registers_targets=register_targets,
        from_elsewhere=there.endpoint != here.endpoint,
        mark="".join(random.choices(_MARK, k=3)),
    )
    planned = plan(read_source(there, name), look_around(here), wishes)
    blocked = [*planned.having("blocks"), *([] if allow_loss else planned.having("lost"))]
    if dry_run or blocked:
        _show(planned, output, blocked=bool(blocked))
    if blocked:
        fix = "" if planned.having("blocks") else "--allow-loss copies the rest"
        raise Failure(f"{name} cannot be copied: {'; '.join(f'{row.what}: {row.why}' for row in blocked)}", fix)
    if dry_run:
        return
    copied = carry_out(here, planned)
    if output == "json":
        print(msgspec.json.format(msgspec.json.encode(copied), indent=2).decode())
        return
    print(f"{planned.name} is {_an(planned.type)}: {copied.dns_name}")
    for row in planned.having("changes"):
        print(f"  {row.what}: {row.classic} → {row.copy}  ({row.why})")
    if not planned.targets:
        print("  it has no targets yet")


def _an(type: str) -> str:
    return "an Application Load Balancer" if type == "application" else "a Network Load Balancer"


def _pairs(given: list[str] | tuple[()]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given:
        there, equals, here = text.partition("=")
        if not equals or not there or not here:
            raise Failure(f"--certificate {text!r} names no two certificates", "say --certificate ARN-THERE=ARN-HERE", ExitCode.USAGE)
        pairs[there] = here
    return pairs


def _show(planned: Plan, output: str, *, blocked: bool) -> None:
    if output == "json":
        print(msgspec.json.format(msgspec.json.encode(planned), indent=2).decode())
        return
    from rich.table import Table
    from rich.text import Text

    from longshore.cli.ecr_tables import console, printable

    table = Table("", "SETTING", "CLASSIC", planned.type.upper(), "WHY", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.overflow = "fold"
    for row in planned.rows:
        cells = [Text(printable(text)) for text in (row.what, row.classic, row.copy, row.why)]
        table.add_row(Text(_WORDS[row.effect], style=_COLOURS[row.effect]), *cells)
    shown = console()
    shown.print(table)
    counts = ", ".join(f"{len(planned.having(effect))} {word}" for effect, word in _COUNTED)
    shown.print(f"{planned.name} as {_an(planned.type)}: {counts}{'' if blocked else '; nothing was created'}")


_COUNTED: tuple[tuple[Effect, str], ...] = (("maps", "the same"), ("changes", "change"), ("lost", "lost"), ("blocks", "in the way"))
