"""`longshore instance`: codes that let machines in as container instances, with credentials of their own.

longshore instance activate [--uses N] [--expires-in 2h]    a code, and the command that uses it on the other machine
longshore instance activations                              the codes there are, and whom they let in
longshore instance revoke ACTIVATION                        the code, and the credentials of the machines that it let in
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from longshore.cli import reach
from longshore.cli.client import Platform
from longshore.cli.outcome import ExitCode, Failure

app = typer.Typer(name="instance", help="Let machines in as container instances.", no_args_is_help=True, rich_markup_mode=None)

DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Region = Annotated[str | None, typer.Option(help="The platform's region unless given.")]
Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
_PATIENCE_S = 10.0


class Activation(msgspec.Struct, frozen=True, rename="camel"):
    activation_id: str
    expires_at: float
    registration_limit: int
    registrations_count: int
    description: str = ""
    instance_ids: tuple[str, ...] = ()


class Created(msgspec.Struct, frozen=True, rename="camel"):
    activation: Activation
    activation_code: str


class Listed(msgspec.Struct, frozen=True):
    activations: tuple[Activation, ...] = ()


class _Deleted(msgspec.Struct, frozen=True):
    activation: Activation


@app.command()
def activate(
    uses: Annotated[int, typer.Option(min=1, max=1000, help="How many machines it lets in.")] = 1,
    expires_in: Annotated[str, typer.Option(help="How long it does: 10m, 2h, 7d.", metavar="TIME")] = "1h",
    description: Annotated[str, typer.Option(help="What it is for, to recognise it by.")] = "",
    region: Region = None,
    as_json: Json = False,
    data_dir: DataDir = None,
) -> None:
    """Make a code by which machines become container instances of this platform."""
    platform = _platform(data_dir, region)
    asked: dict[str, object] = {"registrationLimit": uses, "expiresInMinutes": minutes(expires_in)}
    if description:
        asked["description"] = description
    made = platform.ecs("LongshoreCreateActivation", asked, Created)
    if as_json:
        _print_json(made)
        return
    ends = datetime.fromtimestamp(made.activation.expires_at).strftime("%Y-%m-%d %H:%M")
    print(f"activation {made.activation.activation_id}: lets {uses} machine{'' if uses == 1 else 's'} in until {ends}")
    print("on the other machine, with the platform's address as it is reached from there:\n")
    trust = " --ca FILE" if platform.endpoint.startswith("https://") else ""
    print(f"  longshore agent --endpoint {platform.endpoint}{trust} --activation {made.activation_code}\n")
    if trust:
        print("FILE is what `longshore ca` prints here.")
    print("The code is not shown again.")


@app.command()
def activations(region: Region = None, as_json: Json = False, data_dir: DataDir = None) -> None:
    """The codes there are (not what they are), and the machines they let in."""
    listed = _platform(data_dir, region).ecs("LongshoreListActivations", {}, Listed)
    if as_json:
        _print_json(listed)
        return
    for one in listed.activations:
        ends = datetime.fromtimestamp(one.expires_at).strftime("%Y-%m-%d %H:%M")
        about = f"  {one.description}" if one.description else ""
        print(f"{one.activation_id}  {one.registrations_count} of {one.registration_limit} used, until {ends}{about}")
        for instance_id in one.instance_ids:
            print(f"  {instance_id}")
    if not listed.activations:
        print("none: `longshore instance activate` makes one")


@app.command()
def revoke(
    activation: Annotated[str, typer.Argument(help="Its id.", metavar="ACTIVATION")], region: Region = None, data_dir: DataDir = None
) -> None:
    """Take an activation away, and with it the credentials of the machines that it let in. Their tasks run on, unattended."""
    gone = _platform(data_dir, region).ecs("LongshoreDeleteActivation", {"activationId": activation}, _Deleted).activation
    print(f"{gone.activation_id} is gone; machines without credentials now: {', '.join(gone.instance_ids) or 'none'}")


def minutes(text: str) -> int:
    """`10m`, `2h`, `7d`. Raises Failure."""
    number, unit = text[:-1], text[-1:]
    if not number.isascii() or not number.isdigit() or unit not in ("m", "h", "d") or int(number) < 1:
        raise Failure(f"{text!r} is no time", "give minutes, hours or days, such as 30m, 2h or 7d", ExitCode.USAGE)
    return int(number) * {"m": 1, "h": 60, "d": 24 * 60}[unit]


def _platform(data_dir: Path | None, region: str | None) -> Platform:
    return reach.platform(data_dir, region, _PATIENCE_S)


def _print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
