"""`longshore registry`: what lies on the disk and for whom, whether it is whole, and away with what nobody needs.

longshore registry usage                       repositories and their bytes, and what else takes room
longshore registry verify [--repository R]     read everything back; broken blobs are moved aside and named
longshore registry collect                     look for garbage now instead of within the hour
longshore registry remote …                    registries elsewhere that images are replicated to (remotes.py)
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from longshore.cli import remotes
from longshore.cli.outcome import ExitCode, Failure

app = typer.Typer(name="registry", help="Look after the registry's bytes.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(remotes.app)

DataDir = Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")]
Output = Annotated[str, typer.Option("-o", "--output", help="text or json.", metavar="text|json")]
#: a server may have to walk through very many files before it says anything
_PATIENCE_S = 3600.0


class RepositoryUsage(msgspec.Struct, frozen=True, rename="camel"):
    registry_id: str
    region: str
    repository_name: str
    encrypted: bool
    images: int
    layers: int
    logical_bytes: int
    shared_bytes: int


class Lying(msgspec.Struct, frozen=True):
    blobs: int
    bytes: int


class Usage(msgspec.Struct, frozen=True, rename="camel"):
    """What `usage -o json` prints, as the server says it."""

    repositories: tuple[RepositoryUsage, ...]
    accounted: Lying
    stored: Lying
    unnamed: Lying
    uploads: Lying
    trash: Lying
    quarantine: Lying
    unreadable: Lying
    overhead_bytes: int
    disk_bytes: int


class Found(msgspec.Struct, frozen=True, rename="camel"):
    """A line of the server's while it verifies."""

    event: str
    blobs: int = 0
    bytes: int = 0
    broken: int = 0
    missing: int = 0
    seconds: float = 0.0
    digest: str = ""
    size: int = 0
    reason: str = ""
    message: str = ""
    repositories: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


class Collected(msgspec.Struct, frozen=True):
    layers: int
    blobs: int
    bytes: int
    uploads: int
    purged: int
    restored: int


def _lines(data_dir: Path | None, method: str, route: str, query: dict[str, str] | None = None) -> Iterator[bytes]:
    from longshore.cli.presence import running_state
    from longshore.cli.status import platform_of
    from longshore.config import DataDirectory
    from longshore.environment import environment

    data = DataDirectory(data_dir.absolute() if data_dir else environment().data_dir)
    return platform_of(running_state(data), data).own(method, f"registry/{route}", query, patience_s=_PATIENCE_S)


def _is_json(output: str) -> bool:
    if output not in ("text", "json"):
        raise Failure(f"unknown output {output!r}", "use -o text or -o json", ExitCode.USAGE)
    return output == "json"


@app.command()
def usage(data_dir: DataDir = None, output: Output = "text") -> None:
    """Show what the repositories have, and what lies on the disk."""
    as_json = _is_json(output)
    content = b"".join(_lines(data_dir, "GET", "usage"))
    if as_json:
        print(msgspec.json.format(content, indent=2).decode())
    else:
        print_usage(msgspec.json.decode(content, type=Usage))


@app.command()
def verify(
    repository: Annotated[str | None, typer.Option(help="Only what this repository has.")] = None,
    rate: Annotated[int | None, typer.Option(min=1, max=100_000, help="MiB read each second at most; 64 unless given.")] = None,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Read every blob back and compare it with its digest. Ends with 1 where something is broken or missing."""
    as_json = _is_json(output)
    query = {name: str(value) for name, value in (("repository", repository), ("rate", rate)) if value is not None}
    found = Found("")
    for line in _lines(data_dir, "POST", "verify", query):
        found = msgspec.json.decode(line, type=Found)
        if as_json:
            print(line.decode().rstrip(), flush=True)
        else:
            print_found(found)
    if found.event != "done":
        raise Failure(found.message or "the verification was cut short", "`longshore logs` may tell why")
    if found.broken or found.missing:
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def collect(
    empty_trash: Annotated[bool, typer.Option("--empty-trash", help="What lies in the trash leaves the disk at once.")] = False,
    data_dir: DataDir = None,
    output: Output = "text",
) -> None:
    """Look for garbage now: what is old enough goes to the trash, and what lay there long enough leaves the disk."""
    as_json = _is_json(output)
    content = b"".join(_lines(data_dir, "POST", "collect", {"trash": "empty"} if empty_trash else None))
    if as_json:
        print(msgspec.json.format(content, indent=2).decode())
        return
    done = msgspec.json.decode(content, type=Collected)
    print(f"{done.layers} layers left their repositories; {done.blobs} blobs ({size(done.bytes)}) went to the trash")
    print(f"{size(done.purged)} left the trash for good, {done.restored} blobs came back from it; {done.uploads} uploads were forgotten")


def print_usage(found: Usage) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    table = Table("REPOSITORY", "REGION", "ACCOUNT", "IMAGES", "LAYERS", "BYTES", "SHARED", "", box=None, pad_edge=False)
    for each in found.repositories:
        numbers = (str(each.images), str(each.layers), size(each.logical_bytes), size(each.shared_bytes))
        table.add_row(each.repository_name, each.region, each.registry_id, *numbers, "encrypted" if each.encrypted else "")
    if found.repositories:
        console.print(table)
        console.print()
    for name, what in (
        ("accounted for", found.accounted),
        ("stored", found.stored),
        ("unnamed", found.unnamed),
        ("uploads", found.uploads),
        ("trash", found.trash),
        ("quarantine", found.quarantine),
        ("unreadable", found.unreadable),
    ):
        console.print(f"{name:<15} {size(what.bytes):>10}  {what.blobs} {'files' if name == 'uploads' else 'blobs'}")
    console.print(f"{'encryption':<15} {size(found.overhead_bytes):>10}")
    console.print(f"{'on the disk':<15} {size(found.disk_bytes):>10}")
    lacking = found.accounted.bytes - found.stored.bytes
    if lacking:
        console.print(f"[red]stored and accounted for differ by {lacking} bytes[/]: `longshore registry verify` finds out why")


def print_found(found: Found) -> None:
    match found.event:
        case "progress":
            print(f"{found.blobs} blobs, {size(found.bytes)} …", flush=True)
        case "broken":
            print(f"BROKEN  {found.digest} ({size(found.size)}): {found.reason}; moved aside", flush=True)
        case "missing":
            print(f"MISSING {found.digest} ({size(found.size)})", flush=True)
        case "done":
            print(f"{found.blobs} blobs, {size(found.bytes)} in {found.seconds:.1f} s: {found.broken} broken, {found.missing} missing")
    for image in found.images:
        print(f"        needed by {image}; push it again")
    if not found.images and found.repositories:
        print(f"        of {', '.join(found.repositories)}")


def size(count: int) -> str:
    """Bytes for people: 1.5 MiB."""
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f"{count} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
