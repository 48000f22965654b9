"""`longshore iam`: who may do what and why, what somebody really does, and what a changed policy would change.

longshore iam explain PRINCIPAL ACTION RESOURCE    which statement decides, and what would have to be said
longshore iam record start NAME --principal ARN    keep every decision about somebody for a while
longshore iam policy NAME                          the least policy that allows what was recorded
longshore iam dry-run --role R … --document FILE   what a changed policy would have denied of what was recorded
longshore iam revoke-sessions --role NAME          end the sessions there are; --user, --key; `revocations` lists what was ended

Where AWS_ENDPOINT_URL names a platform, it is asked as whoever the environment says; otherwise the one that runs here, as root.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import typer

from longshore.cli import iam_recordings, iam_sessions, reach
from longshore.cli.client import Platform
from longshore.cli.iam_answers import Explained
from longshore.cli.iam_events import Refused, decoded, of_event
from longshore.cli.iam_recordings import All, DataDir, Output, Region, ask
from longshore.cli.outcome import ExitCode, Failure
from longshore.cli.service import is_json, print_json

app = typer.Typer(name="iam", help="Say who may do what and why; write and try policies.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(iam_recordings.app)
app.command("policy")(iam_recordings.policy)
app.command("dry-run")(iam_recordings.dry_run)
app.command("revoke-sessions")(iam_sessions.revoke_sessions)
app.command("revocations")(iam_sessions.revocations)

_PATIENCE_S = 60.0
_ENTRY = re.compile(r"([^=\s]+:[^=]*)=(.*)", re.DOTALL)


@app.command()
def explain(
    principal: Annotated[
        str | None, typer.Argument(help="An ARN, user/NAME, role/NAME, root, me, or an access key id.", metavar="[PRINCIPAL]")
    ] = None,
    action: Annotated[str | None, typer.Argument(help="Such as ecs:RunTask.", metavar="[ACTION]")] = None,
    resource: Annotated[
        str, typer.Argument(help="An ARN, the end of one (cluster/web, repository/a/b), or *.", metavar="[RESOURCE]")
    ] = "*",
    context: Annotated[
        list[str] | None,
        typer.Option("--context", "-c", help="A condition key of the request; several values: again.", metavar="KEY=VALUE"),
    ] = None,
    account: Annotated[str | None, typer.Option(help="Whose users and resources short names mean; the own account.")] = None,
    message: Annotated[str | None, typer.Option(help="Explain this encoded authorization failure message.", metavar="ENCODED")] = None,
    event: Annotated[str | None, typer.Option(help="Explain this event of the audit log.", metavar="ID")] = None,
    everything: All = False,
    region: Region = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Say which statement decides and why, and what would have to be said. Ends with 1 where it is refused."""
    from longshore.cli.iam_tables import print_explained
    from longshore.cli.service_tables import console

    as_json = is_json(output)
    platform = reach.platform(data_dir, region, _PATIENCE_S)
    asked = _question(platform, principal, action, resource, message, event)
    given = {**asked.context, **entries(context or ())}
    found = ask(
        platform,
        "LongshoreExplainDecision",
        {
            "Principal": asked.principal,
            "ActionName": asked.action,
            "Resource": asked.resource,
            "AccountId": account,
            "Context": [{"Key": key, "Values": values} for key, values in given.items()],
        },
        Explained,
    )
    if as_json:
        print_json(found)
    else:
        print_explained(console(), found, everything=everything, was_refused=asked.was_refused)
    raise typer.Exit(ExitCode.OK if found.decision == "allowed" else ExitCode.FAILED)


def _question(
    platform: Platform, principal: str | None, action: str | None, resource: str, message: str | None, event: str | None
) -> Refused:
    """Raises Failure where there is none, or more than one."""
    if sum((principal is not None, message is not None, event is not None)) != 1:
        raise Failure("what is to be explained?", "give PRINCIPAL ACTION RESOURCE, or --message, or --event", ExitCode.USAGE)
    if message is not None:
        return decoded(platform, message)
    if event is not None:
        return of_event(platform, event)
    if principal is None or action is None:
        raise Failure("which action?", "give PRINCIPAL ACTION RESOURCE, such as role/ci ecr:PutImage repository/app", ExitCode.USAGE)
    return Refused(principal, action, resource, {})


def entries(given: list[str] | tuple[str, ...]) -> Mapping[str, list[str]]:
    """Raises Failure for what is no KEY=VALUE."""
    found: dict[str, list[str]] = {}
    for text in given:
        entry = _ENTRY.fullmatch(text)
        if entry is None:
            raise Failure(f"{text!r} is no condition key with a value", "write it like aws:SourceIp=10.0.0.1", ExitCode.USAGE)
        found.setdefault(entry[1], []).append(entry[2])
    return found
