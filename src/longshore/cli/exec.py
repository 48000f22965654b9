"""`longshore exec TASK [-c CONTAINER] [--] COMMAND…`: a command in a container of a task, as if it ran here.

With a terminal on both sides it has one, and keys, Ctrl-C and changes of the window's size reach it. Otherwise its standard
input, output and error are ours, byte for byte, and it ends with its input. Its exit code is this command's.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from longshore.cli import reach
from longshore.cli.client import Platform
from longshore.cli.find_task import whole_task_id
from longshore.cli.outcome import ExitCode, Failure

_PATIENCE_S = 30.0
#: as shells say of a command that wrote where nobody reads (128 and SIGPIPE)
_NOBODY_READS = 141


@dataclass(frozen=True, slots=True)
class Asked:
    """What stands between TASK and COMMAND."""

    command: tuple[str, ...]
    container: str | None = None
    cluster: str | None = None
    terminal: bool | None = None


class _Started(msgspec.Struct, frozen=True, rename="camel"):
    session: dict[str, str]


def after_task(words: Sequence[str], container: str | None, cluster: str | None, terminal: bool | None) -> Asked:
    """Options may stand behind TASK, too; the first word that is none begins the command. Raises Failure."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            break
        if word in ("-t", "--tty", "-T", "--no-tty"):
            terminal = word in ("-t", "--tty")
        elif name in ("-c", "--container", "--cluster"):
            if not equals and not rest:
                raise Failure(f"{name} wants a value", code=ExitCode.USAGE)
            given = value if equals else rest.pop(0)
            container, cluster = (container, given) if name == "--cluster" else (given, cluster)
        else:
            raise Failure(f"no such option: {word}", "put -- before a command that begins with a dash", ExitCode.USAGE)
    if not rest:
        raise Failure("which command?", "longshore exec TASK -- COMMAND…, such as /bin/sh", ExitCode.USAGE)
    return Asked(tuple(rest), container, cluster, terminal)


def execute(
    task: Annotated[str, typer.Argument(help="A task's id, the beginning of it, or its ARN.")],
    words: Annotated[list[str] | None, typer.Argument(metavar="[--] COMMAND…")] = None,
    container: Annotated[str | None, typer.Option("--container", "-c", help="Needed where the task has several.")] = None,
    cluster: Annotated[str | None, typer.Option(help="The task's cluster; `default` unless given.")] = None,
    tty: Annotated[bool | None, typer.Option("--tty/--no-tty", "-t/-T", help="With a terminal or not; as here, unless given.")] = None,
    region: Annotated[str | None, typer.Option(help="The cluster's region; the platform's own unless given.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where the platform keeps everything [env: LONGSHORE_DATA_DIR].")] = None,
) -> None:
    """Run a command in a container of a task (one that runs with execute command enabled)."""
    asked = after_task(words or (), container, cluster, tty)
    platform = reach.platform(data_dir, region, _PATIENCE_S)
    terminal = (sys.stdin.isatty() and sys.stdout.isatty()) if asked.terminal is None else asked.terminal
    request: dict[str, object] = {
        "task": whole_task_id(platform, asked.cluster, task),
        "command": shlex.join(asked.command),
        "interactive": terminal,
        **({"cluster": asked.cluster} if asked.cluster else {}),
        **({"container": asked.container} if asked.container else {}),
    }
    started = platform.ecs("ExecuteCommand", request, _Started)
    raise typer.Exit(follow(platform, started.session, terminal=terminal, takes_input=True))


def follow(platform: Platform, session: dict[str, str], *, terminal: bool, takes_input: bool) -> int:
    """Carries a session until it ends; returns the exit code. Raises Failure where it did not end by itself."""
    from longshore.cli import stream

    ends = stream.Ends(stdin=sys.stdin.fileno() if takes_input else None, size=_window if terminal and sys.stdout.isatty() else None)
    carried = stream.Stream(msgspec.convert(session, stream.Session), platform.trust, ends)
    sys.stdout.flush()

    async def run() -> int:
        loop = asyncio.get_running_loop()
        telling: set[asyncio.Task[None]] = set()

        def resized() -> None:
            job = asyncio.ensure_future(carried.tell_size())
            telling.add(job)
            job.add_done_callback(telling.discard)

        if ends.size is not None:
            loop.add_signal_handler(signal.SIGWINCH, resized)
        try:
            closing = await carried.run()
        except stream.NobodyReads:
            return _NOBODY_READS
        if closing.exit_code is None:
            raise Failure(closing.output or "the command did not say how it ended", code=ExitCode.FAILED)
        return closing.exit_code

    if terminal and sys.stdin.isatty():
        with stream.raw_terminal(sys.stdin.fileno()):
            return asyncio.run(run())
    return asyncio.run(run())


def _window() -> tuple[int, int]:
    """(columns, rows) of the terminal itself: COLUMNS in the environment may be of another one, or of an earlier size."""
    size = os.get_terminal_size(sys.stdout.fileno())
    return size.columns, size.lines
