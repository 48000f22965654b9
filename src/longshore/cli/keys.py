"""`longshore keys`: the installation's secrets and the key that they are wrapped with (docs/secrets.md).

`rotate` makes a new secret while everything runs: what is sealed with older ones is sealed anew, and what they signed for others stays
good until it ends by itself; `--at-once` ends it now. `rotate-master` changes only what all of them are wrapped with.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from longshore.cli.outcome import ExitCode, Failure

app = typer.Typer(name="keys", help="Look after the installation's keys.", no_args_is_help=True, rich_markup_mode=None)

DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")]

AtOnce = Annotated[bool, typer.Option("--at-once", help="End every session, docker login and link now, not when their time comes.")]
To = Annotated[str | None, typer.Option(help="Where it is to come from; as now, if not given.", metavar="file|environment|command")]

_ENDED = "every session, docker login, link and login at a load balancer that was given out before has ended: log in again"


class MasterKey(msgspec.Struct, frozen=True):
    source: Literal["file", "environment", "command"]
    file: str = ""
    command: str = ""


class Rotation(msgspec.Struct, frozen=True):
    by: str
    at_once: bool = False
    resealed: int = 0
    broken: int = 0
    done_at: float | None = None


class Generation(msgspec.Struct, frozen=True, rename="camel"):
    number: int
    made_at: float
    state: str
    goes_at: float | None = None
    rotation: Rotation | None = None


class Keys(msgspec.Struct, frozen=True, rename="camel"):
    master_key: MasterKey
    generations: tuple[Generation, ...]


def _asked(data_dir: Path | None, method: str, route: str, body: dict[str, object] | None = None) -> Keys:
    from longshore.cli.presence import running_state
    from longshore.cli.status import platform_of
    from longshore.config import DataDirectory
    from longshore.environment import environment

    data = DataDirectory(data_dir.absolute() if data_dir else environment().data_dir)
    content = b"" if body is None else msgspec.json.encode(body)
    return msgspec.json.decode(b"".join(platform_of(running_state(data), data).own(method, route, body=content)), type=Keys)


def _is_json(output: str) -> bool:
    if output not in ("text", "json"):
        raise Failure(f"unknown output {output!r}", "use -o text or -o json", ExitCode.USAGE)
    return output == "json"


def _print(found: Keys, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    master = found.master_key
    where = {"file": master.file or "master-key in the data directory", "environment": "LONGSHORE_MASTER_KEY", "command": master.command}
    print(f"master key    {master.source}: {where[master.source]}")
    for one in found.generations:
        print(f"generation {one.number}  {one.state:<8} {_told(one)}")


def _told(one: Generation) -> str:
    facts = [time.strftime("made %Y-%m-%d %H:%M", time.localtime(one.made_at)) if one.made_at else "the first"]
    if one.rotation is not None:
        facts.append(f"by {one.rotation.by}")
        if one.rotation.done_at is not None:
            facts.append(f"{one.rotation.resealed} sealed anew")
        elif one.state == "current":
            facts.append("still sealing anew")
        if one.rotation.broken:
            facts.append(f"{one.rotation.broken} open with no key")
    if one.goes_at is not None:
        facts.append(time.strftime("goes after %Y-%m-%d %H:%M", time.localtime(one.goes_at)))
    return ", ".join(facts)


@app.command()
def status(data_dir: DataDir = None, output: Output = "text") -> None:
    """Show the generations of the installation's secret, and where the master key comes from."""
    as_json = _is_json(output)
    _print(_asked(data_dir, "GET", "keys"), as_json)


@app.command()
def rotate(
    at_once: Annotated[
        bool, typer.Option("--at-once", help="End every session, docker login and link now, not when their time comes.")
    ] = False,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Seal and sign with a new secret from now on."""
    as_json = _is_json(output)
    found = _asked(data_dir, "POST", "keys/rotate", {"atOnce": at_once})
    _print(found, as_json)
    if at_once and not as_json:
        print(_ENDED)


@app.command("rotate-master")
def rotate_master(
    to: Annotated[
        str | None, typer.Option(help="Where it is to come from; as now, if not given.", metavar="file|environment|command")
    ] = None,
    file: Annotated[Path | None, typer.Option(help="With --to file: this one; made if missing.")] = None,
    command: Annotated[str | None, typer.Option(help="With --to command: the program that wraps and unwraps.")] = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Wrap the secrets with another master key. With `--to environment` it is what LONGSHORE_MASTER_KEY holds here and now."""
    from longshore.environment import environment
    from longshore.kit.master_key import MasterKeyProblem, key_of_text

    as_json = _is_json(output)
    if to not in (None, "file", "environment", "command"):
        raise Failure(f"a master key does not come from {to!r}", "use --to file, environment or command", ExitCode.USAGE)
    if (file is not None and to != "file") or (command is not None and to != "command"):
        raise Failure("--file goes with --to file, and --command with --to command", "say which is meant", ExitCode.USAGE)
    if to == "command" and not (command or "").strip():
        raise Failure("no command was given", "give one: --to command --command 'PROGRAM ARGUMENTS'", ExitCode.USAGE)
    body: dict[str, object] = {"file": str(file.absolute()) if file else "", "command": command or ""}
    key = environment().master_key
    if to is not None:
        body["source"] = to
    if key and to in (None, "environment"):
        body["key"] = key
    try:
        if to == "environment":
            key_of_text(key)
    except MasterKeyProblem as problem:
        raise Failure(problem.cause, problem.fix, ExitCode.USAGE) from None
    _print(_asked(data_dir, "POST", "keys/master", body), as_json)
