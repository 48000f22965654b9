"""`longshore iam revoke-sessions` and `revocations`: sessions ended before their time, and which ones have been."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated

import typer
from msgspec import Struct

from longshore.cli.ecr_tables import printable
from longshore.cli.ecs_events import moment_of
from longshore.cli.iam_recordings import DataDir, Output, platform_of
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.service import is_json, print_json

STS_VERSION = "2011-06-15"
#: the role that container instances act in
_OF_MACHINES = "LongshoreInstanceRole"

Role = Annotated[str | None, typer.Option("--role", help="All sessions of this role.", metavar="NAME")]
User = Annotated[str | None, typer.Option("--user", help="All sessions that this user began.", metavar="NAME")]
Key = Annotated[
    str | None,
    typer.Option("--key", help="The session of this access key (ASIA…), or all that were begun with it (AKIA…).", metavar="ID"),
]
Before = Annotated[
    str | None,
    typer.Option(help="Only those that began before: 2h (ago), or a time in ISO 8601; all unless given.", metavar="TIME"),
]


class Revocation(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    subject: str
    issued_before: float
    revoked_at: float
    revoked_by: str
    needed_until: float


class One(Struct, frozen=True, rename="pascal"):
    revocation: Revocation


class All(Struct, frozen=True, rename="pascal"):
    revocations: tuple[Revocation, ...] = ()


def revoke_sessions(
    role: Role = None,
    user: User = None,
    key: Key = None,
    issued_before: Before = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """End sessions at once, and with them what was begun in them. Long-lived keys, the user and the role stay as they are."""
    as_json = is_json(output)
    if sum(given is not None for given in (role, user, key)) != 1:
        raise Failure("whose sessions?", "give one of --role, --user and --key", ExitCode.USAGE)
    asked: dict[str, object] = {"RoleName": role, "UserName": user, "AccessKeyId": key}
    if issued_before is not None:
        asked["IssuedBefore"] = int(moment_of(issued_before, time.time()))
    given = {name: value for name, value in asked.items() if value is not None}
    found = platform_of(data_dir).query("sts", STS_VERSION, "LongshoreRevokeSessions", given, One)
    if as_json:
        print_json(found)
        return
    said = found.revocation
    typer.echo(
        f"Sessions of {printable(said.subject)} that began before {_shown(said.issued_before)} have ended, and what was begun in them."
    )
    if role == _OF_MACHINES:
        typer.echo("Machines must be let in again, each with a new code; the platform's own comes back by itself.")
    elif role is not None:
        typer.echo("Tasks in this role get new credentials within a minute.")


def revocations(data_dir: DataDir = None, output: Output = "text") -> None:
    """Show which sessions of the account were ended, as long as any of them could still be there."""
    as_json = is_json(output)
    found = platform_of(data_dir).query("sts", STS_VERSION, "LongshoreListRevocations", {}, All)
    if as_json:
        print_json(found)
        return
    from rich.table import Table

    from longshore.cli.service_tables import console

    if not found.revocations:
        typer.echo("No sessions have been ended.")
        return
    table = Table("SESSIONS OF", "BEGUN BEFORE", "ENDED", "BY", box=None, pad_edge=False)
    for each in found.revocations:
        table.add_row(_name(each.subject), _shown(each.issued_before), _shown(each.revoked_at), _name(each.revoked_by))
    console().print(table)


def _name(subject: str) -> str:
    """role/deploy, user/ann, root, or a key's id."""
    return printable(subject.rpartition(":")[2])


def _shown(at: float) -> str:
    return f"{datetime.fromtimestamp(at).astimezone():%Y-%m-%d %H:%M:%S}"
