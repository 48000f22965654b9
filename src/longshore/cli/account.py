"""`longshore account`: further accounts of the installation, to share repositories with or to keep apart.

longshore account list            the accounts there are
longshore account add ACCOUNT     a key of that account's root user, as lines for a shell: eval "$(longshore account add 222222222222)"
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer

from longshore.cli.outcome import ExitCode, Failure

app = typer.Typer(name="account", help="Look after the installation's accounts.", no_args_is_help=True, rich_markup_mode=None)

DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")]

T = TypeVar("T")


class Account(msgspec.Struct, frozen=True, rename="camel"):
    account_id: str
    root_keys: int


class Accounts(msgspec.Struct, frozen=True):
    accounts: tuple[Account, ...]


class NewKey(msgspec.Struct, frozen=True, rename="camel"):
    account_id: str
    access_key_id: str
    secret_access_key: str


def _asked(data_dir: Path | None, method: str, query: dict[str, str] | None, answer: type[T]) -> T:
    from longshore.cli.presence import running_state
    from longshore.cli.status import platform_of
    from longshore.config import DataDirectory
    from longshore.environment import environment

    data = DataDirectory(data_dir.absolute() if data_dir else environment().data_dir)
    return msgspec.json.decode(b"".join(platform_of(running_state(data), data).own(method, "accounts", query)), type=answer)


def _is_json(output: str) -> bool:
    if output not in ("text", "json"):
        raise Failure(f"unknown output {output!r}", "use -o text or -o json", ExitCode.USAGE)
    return output == "json"


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


@app.command("list")
def list_accounts(data_dir: DataDir = None, output: Output = "text") -> None:
    """Show the accounts that have a root user."""
    as_json = _is_json(output)
    found = _asked(data_dir, "GET", None, Accounts)
    if as_json:
        _print_json(found)
        return
    for account in found.accounts:
        print(f"{account.account_id}  {account.root_keys} root key{'s' if account.root_keys != 1 else ''}")


@app.command()
def add(account: Annotated[str, typer.Argument(help="12 digits.")], data_dir: DataDir = None, output: Output = "text") -> None:
    """Make a key for the root user of an account, which exists from then on. It is shown this once."""
    as_json = _is_json(output)
    made = _asked(data_dir, "POST", {"id": account}, NewKey)
    if as_json:
        _print_json(made)
        return
    # A profile or a session token of another account would win over the key, or be sent beside it.
    print("unset AWS_PROFILE AWS_SESSION_TOKEN")
    print(f"export AWS_ACCESS_KEY_ID={shlex.quote(made.access_key_id)}")
    print(f"export AWS_SECRET_ACCESS_KEY={shlex.quote(made.secret_access_key)}")
