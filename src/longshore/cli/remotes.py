"""`longshore registry remote`: registries elsewhere that images are replicated to.

longshore registry remote add NAME URL [--user USER --password-stdin] [--aws]    name one; again: change it
longshore registry remote list                                                  which there are
longshore registry remote check NAME                                            does it answer, and take our credentials
longshore registry remote remove NAME                                           forget one that no replication rule names

A replication rule names such a registry as its destination's region, and the platform's own account as its registry.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from longshore.cli.client import Platform
from longshore.cli.outcome import ExitCode, Failure

app = typer.Typer(name="remote", help="Registries elsewhere that images are replicated to.", no_args_is_help=True, rich_markup_mode=None)

DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")]
Name = Annotated[str, typer.Argument(help="2 to 25 lower-case letters, digits and hyphens.")]


class Remote(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    name: str
    url: str
    created_at: float
    authentication: str = ""
    user_name: str = ""


class _One(msgspec.Struct, frozen=True, rename="camel"):
    remote_registry: Remote


class _All(msgspec.Struct, frozen=True, rename="camel"):
    remote_registries: tuple[Remote, ...]
    next_token: str = ""


class _Checked(msgspec.Struct, frozen=True, rename="camel"):
    is_valid: bool
    failure: str = ""


def _platform(data_dir: Path | None) -> Platform:
    from longshore.cli.presence import running_state
    from longshore.cli.status import platform_of
    from longshore.config import DataDirectory
    from longshore.environment import environment

    data = DataDirectory(data_dir.absolute() if data_dir else environment().data_dir)
    return platform_of(running_state(data), data)


@app.command()
def add(
    name: Name,
    url: Annotated[str, typer.Argument(help="HOST[:PORT][/PATH], or with https://; the path stands before repository names there.")],
    user: Annotated[str | None, typer.Option(help="User name; with --aws an access key id.")] = None,
    password_stdin: Annotated[bool, typer.Option("--password-stdin", help="Read the password (or secret access key) from stdin.")] = False,
    aws: Annotated[bool, typer.Option("--aws", help="Amazon ECR or another Longshore: sign in with an access key.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Name a registry elsewhere, or give a named one another address and credentials."""
    if (user is not None) is not password_stdin:
        raise Failure("--user and --password-stdin go together", "echo PASSWORD | longshore registry remote add …", ExitCode.USAGE)
    request: dict[str, object] = {"name": name, "url": url, "authentication": "AWS" if aws else "BASIC"}
    if user is not None:
        request |= {"userName": user, "password": sys.stdin.read().rstrip("\r\n")}
    remote = _platform(data_dir).ecr("LongshorePutRemoteRegistry", request, _One).remote_registry
    print(f"{remote.name} is {remote.url}")


@app.command("list")
def show(data_dir: DataDir = None, output: Output = "text") -> None:
    """Show the registries elsewhere. Passwords are never shown."""
    if output not in ("text", "json"):
        raise Failure(f"unknown output {output!r}", "use -o text or -o json", ExitCode.USAGE)
    platform = _platform(data_dir)
    found: list[Remote] = []
    token = ""
    while True:
        page = platform.ecr("LongshoreDescribeRemoteRegistries", {"nextToken": token} if token else {}, _All)
        found.extend(page.remote_registries)
        token = page.next_token
        if not token:
            break
    if output == "json":
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
        return
    width = max((len(remote.name) for remote in found), default=0)
    for remote in found:
        print(f"{remote.name:{width}}  {remote.url}{f'  as {remote.user_name}' if remote.user_name else ''}")
    if not found:
        print("none")


@app.command()
def check(name: Name, data_dir: DataDir = None) -> None:
    """Ask a registry whether it answers, and takes the credentials. Ends with 1 where it does not."""
    checked = _platform(data_dir).ecr("LongshoreCheckRemoteRegistry", {"name": name}, _Checked)
    if not checked.is_valid:
        raise Failure(checked.failure, "see to its address and credentials, then `longshore registry remote add` it again")
    print(f"{name} answers")


@app.command()
def remove(name: Name, data_dir: DataDir = None) -> None:
    """Forget a registry elsewhere; what was replicated there stays there."""
    remote = _platform(data_dir).ecr("LongshoreDeleteRemoteRegistry", {"name": name}, _One).remote_registry
    print(f"{remote.name} is forgotten")
