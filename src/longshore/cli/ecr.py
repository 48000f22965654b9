"""`longshore ecr`: what a lifecycle policy would do, told image by image, and what happens in the registry.

longshore ecr preview REPO [--policy FILE] [--days 90]    which images go, by which rule, who uses them; which stay, and why
longshore ecr settings REPO [--keep-in-use …]             how a repository's policy goes beyond AWS's
longshore ecr events [REPO] [--follow]                    pushes, deletions and all else, as Amazon EventBridge would tell them

Where AWS_ENDPOINT_URL names a platform, it is asked as whoever the environment says; otherwise the one that runs here, as root.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from longshore.cli import reach
from longshore.cli.client import Platform
from longshore.cli.ecr_answers import Event, Events, Preview, Settings
from longshore.cli.outcome import ExitCode, Failure

app = typer.Typer(
    name="ecr", help="Look ahead and look on: lifecycle policies and registry events.", no_args_is_help=True, rich_markup_mode=None
)

DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")]
Region = Annotated[str | None, typer.Option(help="The repository's region; the platform's own unless given.")]
#: judging a very large repository takes a while
_PATIENCE_S = 120.0
_PAGE = 1_000
_IMAGES = 10_000
_FOLLOW_EVERY_S = 1.0
#: an event may be written so long after the moment it tells of
_LATE_S = 10.0


def _is_json(output: str) -> bool:
    if output not in ("text", "json"):
        raise Failure(f"unknown output {output!r}", "use -o text or -o json", ExitCode.USAGE)
    return output == "json"


def _platform(data_dir: Path | None, region: str | None) -> Platform:
    return reach.platform(data_dir, region, _PATIENCE_S)


@app.command()
def preview(
    repository: Annotated[str, typer.Argument(help="The repository's name.", metavar="REPO")],
    policy: Annotated[Path | None, typer.Option(help="A file with the policy to try; the repository's own unless given.")] = None,
    days: Annotated[int | None, typer.Option(min=0, max=365, help="Look so many days ahead, too, at the current rate of pushes.")] = None,
    keep_in_use: Annotated[
        bool | None, typer.Option("--keep-in-use/--no-keep-in-use", help="Keep images that are in use, or not; as the repository is set.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show every image, however many there are.")] = False,
    region: Region = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Show which images a lifecycle policy would remove, by which rule and when, and which it would keep, and why. Changes nothing."""
    from longshore.cli.ecr_tables import console, print_preview

    as_json = _is_json(output)
    request: dict[str, object] = {"repositoryName": repository}
    if policy is not None:
        request["lifecyclePolicyText"] = _read(policy)
    if days is not None:
        request["days"] = days
    if keep_in_use is not None:
        request["keepImagesInUse"] = keep_in_use
    found = _whole_preview(_platform(data_dir, region), request)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=2).decode())
    else:
        print_preview(console(), found, everything=everything)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(f"{path} cannot be read: {error}", "name a file with a lifecycle policy in JSON", ExitCode.USAGE) from error


def _whole_preview(platform: Platform, request: dict[str, object]) -> Preview:
    page = platform.ecr("LongshorePreviewLifecyclePolicy", {**request, "maxResults": _IMAGES}, Preview)
    first, images = page, [*page.images]
    while page.next_token:
        page = platform.ecr("LongshorePreviewLifecyclePolicy", {**request, "maxResults": _IMAGES, "nextToken": page.next_token}, Preview)
        images += page.images
    return msgspec.structs.replace(first, images=tuple(images), next_token=None)


@app.command()
def settings(
    repository: Annotated[str, typer.Argument(help="The repository's name.", metavar="REPO")],
    keep_in_use: Annotated[
        bool | None, typer.Option("--keep-in-use/--no-keep-in-use", help="Keep images that are in use, whatever a rule says.")
    ] = None,
    expire_since_pulled: Annotated[
        bool | None,
        typer.Option("--expire-since-pulled/--no-expire-since-pulled", help="Let rules expire what was not pulled for a while."),
    ] = None,
    active_revisions: Annotated[
        bool | None,
        typer.Option("--active-revisions/--no-active-revisions", help="Every ACTIVE task definition revision uses its images."),
    ] = None,
    recent_revisions: Annotated[
        int | None, typer.Option(min=0, max=100, help="The newest revisions of each family that use theirs, ACTIVE or not.")
    ] = None,
    region: Region = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Show how a repository's policy goes beyond AWS's, or change that."""
    as_json = _is_json(output)
    platform = _platform(data_dir, region)
    held = platform.ecr("LongshoreGetLifecycleSettings", {"repositoryName": repository}, Settings)
    wanted = {
        "keep_images_in_use": keep_in_use,
        "allow_expire_since_pulled": expire_since_pulled,
        "count_active_revisions": active_revisions,
        "count_recent_revisions": recent_revisions,
    }
    changes = {name: value for name, value in wanted.items() if value is not None}
    if changes:
        held = platform.ecr("LongshorePutLifecycleSettings", msgspec.to_builtins(msgspec.structs.replace(held, **changes)), Settings)
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(held), indent=2).decode())
        return
    print(f"images in use           {'are kept' if held.keep_images_in_use else 'go like others'}")
    print(f"expiring since pulled   {'allowed' if held.allow_expire_since_pulled else 'not allowed'}")
    print(f"ACTIVE revisions        {'use their images' if held.count_active_revisions else 'do not count'}")
    print(f"recent revisions        {held.count_recent_revisions} of each family use their images")


@app.command()
def events(
    repository: Annotated[str | None, typer.Argument(help="Of this repository only.", metavar="[REPO]")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they come.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, max=_PAGE, help="How many of the last ones.")] = 20,
    region: Region = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Show what happened in the registry: pushes, deletions and by whom, moves to the archive, scans, replication."""
    from longshore.cli.ecr_tables import event_line

    as_json = _is_json(output)
    for event in stream(_platform(data_dir, region).ecr, repository, lines, follow=follow):
        print(msgspec.json.encode(event).decode() if as_json else event_line(event), flush=follow)


#: asks for an operation: (name, request, type of the answer)
Ask = Callable[[str, dict[str, object], type[Events]], Events]


def stream(ask: Ask, repository: str | None, lines: int, *, follow: bool, pause: Callable[[float], None] = time.sleep) -> Iterator[Event]:
    """The last `lines`, then with `follow` all that come. Each once, though the last moments are asked for again and again."""
    request: dict[str, object] = {"repositoryName": repository} if repository else {}
    last = ask("LongshoreListRegistryEvents", {**request, "newest": _PAGE if follow else max(1, lines)}, Events).events
    yield from last[-lines:] if lines else ()
    since = last[-1].time if last else time.time() - _LATE_S
    seen = {event.event_id: event.time for event in last}
    while follow:
        token: str | None = None
        while True:
            asked = {**request, "startTime": max(0.0, since - _LATE_S), "maxResults": _PAGE, **({"nextToken": token} if token else {})}
            page = ask("LongshoreListRegistryEvents", asked, Events)
            yield from (event for event in page.events if event.event_id not in seen)
            seen.update({event.event_id: event.time for event in page.events})
            token = page.next_token
            if not token:
                break
        since = max([since, *seen.values()])
        seen = {event_id: at for event_id, at in seen.items() if at >= since - _LATE_S}
        pause(_FOLLOW_EVERY_S)
