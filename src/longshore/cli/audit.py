"""`longshore audit`: what was asked of the installation, by whom, and what came of it.

longshore audit                                  the last records of all accounts
longshore audit --who ann --action ecs:RunTask --since 2h
longshore audit --denied --follow                refusals as they happen
longshore audit verify                           whether the log is whole, from its files and its public key alone
longshore audit digests                          the public key, and how far digests have come

Where AWS_ENDPOINT_URL names a platform, it is asked as whoever the environment says; otherwise the one that runs here, as root. `verify`
reads the files themselves: the machine's root can do it whether the platform runs or not, and so can whoever has a copy of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from longshore.cli import reach
from longshore.cli.audit_tables import Line, header, table, text_of
from longshore.cli.client import Platform
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.service import is_json, print_json

app = typer.Typer(
    name="audit", help="See what was asked of the installation, and by whom.", invoke_without_command=True, rich_markup_mode=None
)

DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")]
if TYPE_CHECKING:
    from longshore.audit.verify import Verified  # brings a large library, which few commands need

#: an empty line comes every few seconds while nothing happens
_PATIENCE_S = 60.0
#: looks at a log that is being written may meet it between two files
_LOOKS = 3
_LOOK_S = 0.5


class Digests(msgspec.Struct, frozen=True, rename="camel"):
    public_key: str
    fingerprint: str
    first: int
    last: int
    last_hash_value: str


@app.callback()
def audit(
    context: typer.Context,
    who: Annotated[
        str | None, typer.Option(help="An ARN (a role's stands for its sessions), a name, an access key id or an account.")
    ] = None,
    action: Annotated[str | None, typer.Option(help="An operation, such as RunTask or ecs:RunTask.")] = None,
    resource: Annotated[str | None, typer.Option(help="An ARN, or what one ends with, such as a repository's name.")] = None,
    since: Annotated[
        str | None, typer.Option(help="How far back (90s, 15m, 2h, 7d), or from when: 2026-01-31T12:00:00Z.", metavar="TIME")
    ] = None,
    until: Annotated[str | None, typer.Option(help="The same for the end.", metavar="TIME")] = None,
    errors: Annotated[bool, typer.Option("--errors", help="Only what failed.")] = False,
    denied: Annotated[bool, typer.Option("--denied", help="Only what was refused for want of permission.")] = False,
    account: Annotated[str | None, typer.Option(help="Only what concerned this account.")] = None,
    region: Annotated[str | None, typer.Option(help="Only what was asked in this region.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=0, max=10_000, help="So many records at most.")] = 50,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with every record as it is written.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Whole records, a JSON object per line.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show the last records, the newest at the end."""
    if context.invoked_subcommand is not None:
        return
    now = time.time()
    begin, end = moment(since, now, "--since"), moment(until, now, "--until")
    if begin is not None and end is not None and float(begin) > float(end):
        raise Failure(f"--since {since} is after --until {until}", "give the earlier time to --since: 3h is before 2h", ExitCode.USAGE)
    asked = {
        "who": who,
        "action": action,
        "resource": resource,
        "since": begin,
        "until": end,
        "outcome": "denied" if denied else "errors" if errors else None,
        "account": account,
        "region": region,
        "limit": str(limit),
        "follow": "yes" if follow else None,
    }
    platform = reach.platform(data_dir, None, _PATIENCE_S)
    lines = platform.own("GET", "audit", {name: value for name, value in asked.items() if value}, patience_s=_PATIENCE_S)
    try:
        _print(lines, as_json=as_json, endless=follow)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def _print(lines: Iterator[bytes], *, as_json: bool, endless: bool) -> None:
    told = (line for line in lines if line.strip())
    if as_json:
        for line in told:
            typer.echo(line.decode().strip())
        return
    found = (msgspec.json.decode(line, type=Line) for line in told)
    first = next(found, None)
    if first is None:
        typer.echo("no records")
        return
    # what is yet to come cannot be looked at for how wide it is
    rows = chain([header()], map(text_of, chain([first], found))) if endless else table(chain([first], found))
    for row in rows:
        typer.echo(row)


@app.command()
def digests(data_dir: DataDir = None, output: Output = "text") -> None:
    """Show the public key that the log is signed with, and which digests there are."""
    as_json = is_json(output)
    found = _digests(reach.platform(data_dir, None, _PATIENCE_S))
    if as_json:
        print_json(found)
        return
    print(found.public_key, end="")
    print(f"fingerprint  {found.fingerprint}")
    kept = f"{found.first} to {found.last}" if found.last >= found.first else "none yet"
    print(f"digests      {kept}{f', the last with hash {found.last_hash_value}' if found.last >= found.first else ''}")


@app.command()
def verify(
    directory: Annotated[Path | None, typer.Option(help="The log's directory, or a copy of it; this platform's own unless given.")] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="The PEM file that was kept elsewhere; the one in the directory unless given.")
    ] = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Look through the whole log: whether anything was changed, taken away, moved or added. Exits with 1 where something was."""
    as_json = is_json(output)
    where, own = (directory, False) if directory is not None else (_own_directory(data_dir), True)
    found = _verified(where, public_key)
    problems = list(found.problems)
    running = _running(data_dir) if own and public_key is None else None
    if running is not None:
        if running.fingerprint != found.public_key_fingerprint:
            problems.append("the public key is another one than the running server signs with")
        if running.last > found.last:
            problems.append(f"the running server has made digest {running.last}, and there are {found.last}")
    if as_json:
        print_json(msgspec.structs.replace(found, problems=tuple(problems)))
    else:
        _print_verified(found, problems, where)
    if problems:
        raise typer.Exit(ExitCode.FAILED)


def _print_verified(found: Verified, problems: list[str], where: Path) -> None:
    for problem in problems:
        typer.echo(f"✗ {problem}")
    span = f", {found.oldest_event_time} to {found.newest_event_time}" if found.oldest_event_time else ""
    typer.echo(f"{where}: {found.digests} digests, {found.records} records{span}")
    if found.unsigned_records:
        typer.echo(f"{found.unsigned_records} of them were written since the head was last signed")
    typer.echo(f"signed with the key {found.public_key_fingerprint}")
    typer.echo("NOT WHOLE" if problems else "whole")


def _verified(where: Path, public_key: Path | None) -> Verified:
    from longshore.audit.layout import PUBLIC_KEY, read_public
    from longshore.audit.verify import verify as look

    path = public_key or where / PUBLIC_KEY
    try:
        key = read_public(path.read_bytes())
        for turn in range(_LOOKS):
            found = look(where, key)
            if not found.problems or turn == _LOOKS - 1:
                break
            time.sleep(_LOOK_S)
    except ValueError as problem:
        raise Failure(f"{path} is no public key: {problem}", "name the PEM file of `longshore audit digests` with --public-key") from None
    except FileNotFoundError as problem:
        raise Failure(f"there is no {problem.filename}", "a log begins with the first start; name its directory with --directory") from None
    except OSError as problem:
        raise Failure(f"{problem.filename} cannot be read: {problem.strerror}", "only the platform's own user may read the log") from None
    return found


def _own_directory(data_dir: Path | None) -> Path:
    from longshore.environment import environment

    return (data_dir.absolute() if data_dir else environment().data_dir) / "audit"


def _running(data_dir: Path | None) -> Digests | None:
    """What the server says that has this data directory; None where none runs."""
    from longshore.cli.presence import running_state
    from longshore.cli.status import root_credentials
    from longshore.config import DataDirectory
    from longshore.environment import environment

    data = DataDirectory(data_dir.absolute() if data_dir else environment().data_dir)
    try:
        state = running_state(data)
    except Failure:
        return None
    return _digests(Platform(state.endpoint, state.region, root_credentials(data), _PATIENCE_S, ca_bundle=state.ca_bundle))


def _digests(platform: Platform) -> Digests:
    return msgspec.json.decode(b"".join(platform.own("GET", "audit/digests")), type=Digests)


def moment(text: str | None, now: float, option: str) -> str | None:
    """Seconds since the epoch. Raises Failure."""
    from datetime import UTC, datetime

    from longshore.environment import seconds

    if text is None:
        return None
    back = seconds(text)
    if back is not None:
        return f"{max(0.0, now - back):.3f}"
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise Failure(f"{option} is {text!r}", "use 90s, 15m, 2h, 7d, or a time such as 2026-01-31T12:00:00Z", ExitCode.USAGE) from None
    return f"{(found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp():.3f}"
