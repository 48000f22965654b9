"""`longshore iam record`, `policy` and `dry-run`: decisions recorded, policies written from them, changed policies tried on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import typer

from longshore.cli import reach
from longshore.cli.client import Platform
from longshore.cli.iam_answers import Generated, Nothing, OneRecording, Recordings, Replayed, Shown
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.service import is_json, print_json
from longshore.environment import seconds

app = typer.Typer(name="record", help="Keep every decision about somebody for a while.", no_args_is_help=True, rich_markup_mode=None)

T = TypeVar("T")

IAM_VERSION = "2010-05-08"
_PATIENCE_S = 120.0
_DAY_S = 86_400.0

Region = Annotated[str | None, typer.Option(help="The region that short names of resources mean; the platform's own unless given.")]
DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")]
All = Annotated[bool, typer.Option("--all", help="Show everything, however much it is.")]
Name = Annotated[str, typer.Argument(help="The recording's name.", metavar="NAME")]
Principals = Annotated[
    list[str] | None,
    typer.Option("--principal", help="ARN, user/NAME or role/NAME; as often as you like; everybody of the account.", metavar="ARN"),
]
For = Annotated[str, typer.Option("--for", help="Until it ends by itself, such as 1h or 7d.", metavar="TIME")]
Document = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="The document that would be in force.", metavar="FILE")]


def ask(platform: Platform, operation: str, parameters: Mapping[str, object], answer: type[T]) -> T:
    """One operation of IAM's; what is None is left out. Raises Failure."""
    given = {name: value for name, value in parameters.items() if value is not None}
    return platform.query("iam", IAM_VERSION, operation, given, answer)


def platform_of(data_dir: Path | None) -> Platform:
    return reach.platform(data_dir, None, _PATIENCE_S)


def lasting(text: str) -> int:
    """Raises Failure."""
    found = seconds(text)
    if found is None or not 60 <= found <= 90 * _DAY_S:
        raise Failure(f"{text!r} is no time to record for", "write it like 30m, 12h or 7d: from a minute to 90 days", ExitCode.USAGE)
    return int(found)


# ── record ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def start(name: Name, principal: Principals = None, lasts: For = "1d", data_dir: DataDir = None, output: Output = "text") -> None:
    """Begin to keep decisions: about somebody, or about everybody of the account. Sessions count as their role."""
    as_json, wanted = is_json(output), lasting(lasts)
    platform = platform_of(data_dir)
    asked = {"RecordingName": name, "Principals": principal or [], "Seconds": wanted}
    made = ask(platform, "LongshoreStartRecording", asked, OneRecording).recording
    if as_json:
        print_json(made)
        return
    from longshore.cli.iam_tables import print_recording
    from longshore.cli.service_tables import console

    print_recording(console(), made)


@app.command()
def stop(name: Name, data_dir: DataDir = None, output: Output = "text") -> None:
    """End a recording; what it has seen stays."""
    as_json = is_json(output)
    ended = ask(platform_of(data_dir), "LongshoreStopRecording", {"RecordingName": name}, OneRecording).recording
    if as_json:
        print_json(ended)
        return
    from longshore.cli.iam_tables import print_recording
    from longshore.cli.service_tables import console

    print_recording(console(), ended)


@app.command("list")
def list_recordings(data_dir: DataDir = None, output: Output = "text") -> None:
    """Show the recordings of the account."""
    as_json = is_json(output)
    found = ask(platform_of(data_dir), "LongshoreListRecordings", {}, Recordings).recordings
    if as_json:
        print_json(found)
        return
    from longshore.cli.iam_tables import print_recordings
    from longshore.cli.service_tables import console

    print_recordings(console(), found)


@app.command()
def show(name: Name, everything: All = False, data_dir: DataDir = None, output: Output = "text") -> None:
    """Show what a recording has seen."""
    as_json = is_json(output)
    found = whole(platform_of(data_dir), name)
    if as_json:
        print_json(found)
        return
    from longshore.cli.iam_tables import print_calls
    from longshore.cli.service_tables import console

    print_calls(console(), found, everything=everything)


def whole(platform: Platform, name: str) -> Shown:
    found = ask(platform, "LongshoreGetRecording", {"RecordingName": name}, Shown)
    calls, marker = list(found.calls), found.marker
    while marker:
        page = ask(platform, "LongshoreGetRecording", {"RecordingName": name, "Marker": marker}, Shown)
        calls += page.calls
        marker = page.marker
    return Shown(recording=found.recording, calls=tuple(calls))


@app.command("rm")
def remove(name: Name, data_dir: DataDir = None) -> None:
    """Delete a recording and everything in it."""
    ask(platform_of(data_dir), "LongshoreDeleteRecording", {"RecordingName": name}, Nothing)
    print(f"{name} is deleted")


# ── policy ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def policy(
    name: Name,
    principal: Annotated[
        str | None, typer.Option(help="Whose calls, where the recording has several principals: ARN, user/NAME, role/NAME.", metavar="ARN")
    ] = None,
    resources: Annotated[
        str, typer.Option(help="exact; or generalised: identifiers that nobody chose become wildcards.", metavar="exact|generalised")
    ] = "generalised",
    with_refused: Annotated[bool, typer.Option("--with-refused", help="Allow what was only ever refused, too.")] = False,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Write the least policy that allows what was recorded: a document for `aws iam put-role-policy`, remarks on standard error."""
    from longshore.cli.iam_tables import print_policy

    as_json = is_json(output)
    if resources not in ("exact", "generalised"):
        raise Failure(f"resources are exact or generalised, not {resources!r}", code=ExitCode.USAGE)
    platform = platform_of(data_dir)
    asked = {
        "RecordingName": name,
        "Principal": principal,
        "Resources": resources,
        "WithRefused": with_refused or None,
    }
    found = ask(platform, "LongshoreGeneratePolicy", asked, Generated)
    if as_json:
        print_json(found)
    elif not found.policy_documents:
        what = "nothing" if with_refused else "nothing that was allowed"
        raise Failure(f"{name} has seen {what}", f"`longshore iam record show {name}` tells what it has seen")
    else:
        print_policy(found)


# ── dry run ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_Action = Literal["put", "delete", "attach", "detach", "version", "boundary"]


def changes_of(
    *,
    holder: dict[str, str],
    policy_name: str | None,
    delete: str | None,
    policy_arn: str | None,
    attach: list[str] | None,
    detach: list[str] | None,
    boundary: str | None,
    document: str | None,
) -> list[dict[str, Any]]:
    """The changes that options ask for. Raises Failure where they do not add up."""
    changes: list[dict[str, Any]] = []

    def change(action: _Action, **members: str | None) -> None:
        given = {name: value for name, value in members.items() if value is not None}
        changes.append({"Action": action, **({} if action == "version" else holder), **given})

    if policy_name is not None:
        change("put", PolicyName=policy_name, PolicyDocument=document)
    if policy_arn is not None:
        change("version", PolicyArn=policy_arn, PolicyDocument=document)
    if delete is not None:
        change("delete", PolicyName=delete)
    for arn in detach or ():
        change("detach", PolicyArn=arn)
    for arn in attach or ():
        change("attach", PolicyArn=arn)
    if boundary is not None:
        change("boundary", **({} if boundary == "none" else {"PolicyArn": boundary}))
    needs = policy_name is not None or policy_arn is not None
    if not changes or needs is not (document is not None):
        fix = "--policy-arn ARN or --policy-name NAME with --document FILE; --delete NAME, --attach ARN, --detach ARN, --boundary ARN|none"
        raise Failure("what would be changed, and to what?", fix, ExitCode.USAGE)
    if len(holder) > 1 or (not holder and any(one["Action"] != "version" for one in changes)):
        raise Failure("whose policies would be changed?", "name one with --role, --user or --group", ExitCode.USAGE)
    return changes


def dry_run(
    role: Annotated[str | None, typer.Option(help="Whose policies would be changed.")] = None,
    user: Annotated[str | None, typer.Option(help="The same, of a user.")] = None,
    group: Annotated[str | None, typer.Option(help="The same, of a group.")] = None,
    policy_name: Annotated[str | None, typer.Option(help="An inline policy that would be put, with --document.")] = None,
    policy_arn: Annotated[str | None, typer.Option(help="A managed policy whose document would be --document.")] = None,
    document: Document = None,
    delete: Annotated[str | None, typer.Option(help="An inline policy that would be deleted.", metavar="NAME")] = None,
    attach: Annotated[list[str] | None, typer.Option(help="A managed policy that would be attached.", metavar="ARN")] = None,
    detach: Annotated[list[str] | None, typer.Option(help="A managed policy that would be detached.", metavar="ARN")] = None,
    boundary: Annotated[str | None, typer.Option(help="The permissions boundary there would be.", metavar="ARN|none")] = None,
    recording: Annotated[str | None, typer.Option(help="Of which recording; of all there are.", metavar="NAME")] = None,
    live: Annotated[
        str | None, typer.Option(help="Try it on what comes: a recording of this name, which counts what would be denied.", metavar="NAME")
    ] = None,
    lasts: For = "1d",
    everything: All = False,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Say what a changed policy would have denied, and newly allowed, of what was recorded. Ends with 1 where anything would break."""
    from longshore.cli.iam_tables import print_recording, print_replayed
    from longshore.cli.service_tables import console

    as_json = is_json(output)
    holder = {member: name for member, name in (("RoleName", role), ("UserName", user), ("GroupName", group)) if name is not None}
    changes = changes_of(
        holder=holder,
        policy_name=policy_name,
        delete=delete,
        policy_arn=policy_arn,
        attach=attach,
        detach=detach,
        boundary=boundary,
        document=document.read_text() if document is not None else None,
    )
    platform = platform_of(data_dir)
    if live is not None:
        if recording is not None:
            raise Failure("--live and --recording exclude each other", code=ExitCode.USAGE)
        # what is changed of a group or a managed policy is everybody's who has it
        whose = [f"role/{role}"] if role else [f"user/{user}"] if user else []
        asked = {"RecordingName": live, "Principals": whose, "Seconds": lasting(lasts), "Changes": changes}
        made = ask(platform, "LongshoreStartRecording", asked, OneRecording).recording
        print_json(made) if as_json else print_recording(console(), made)
        return
    found = ask(platform, "LongshoreReplayRecording", {"RecordingName": recording, "Changes": changes}, Replayed)
    if as_json:
        print_json(found)
    else:
        print_replayed(console(), found, everything=everything)
    raise typer.Exit(ExitCode.FAILED if found.breaks else ExitCode.OK)
