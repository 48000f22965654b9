"""`longshore logs`: what the parts of the platform wrote down."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import BinaryIO

from longshore.cli.events import GrowingFile, last_lines
from longshore.cli.outcome import Failure
from longshore.config import DataDirectory

_LOOK_EVERY_S = 0.2


def parts(data: DataDirectory) -> list[str]:
    """Those that have a log, by name."""
    return sorted(path.stem for path in data.logs.glob("*.log"))


def show(data: DataDirectory, part: str, lines: int, follow: bool, out: BinaryIO = sys.stdout.buffer) -> None:
    """The last `lines` lines of a part's log and, with `follow`, all that come; ends with the reader's Ctrl-C."""
    known = parts(data)
    if part not in known:
        raise Failure(
            f"there is no log of {part!r} in {data.logs}",
            f"there are: {', '.join(known)}" if known else "nothing has been started from this data directory yet",
        )
    path = data.log_file(part)
    if not follow:
        _write(out, last_lines_of_all(path, lines))
        return
    with GrowingFile(path) as file:
        so_far = list(file.new_lines())
        older = last_lines_of_all(path.with_name(f"{path.name}.1"), lines - len(so_far)) if lines > len(so_far) else []
        _write(out, [*older, *(so_far[-lines:] if lines else [])])
        while True:
            _write(out, list(file.new_lines()))
            time.sleep(_LOOK_EVERY_S)


def last_lines_of_all(path: Path, count: int) -> list[bytes]:
    """The last `count` lines of a log and, where it has fewer, of those that were moved aside before it: x.log.1, x.log.2, …"""
    found = last_lines(path, count)
    name, _, number = path.name.rpartition(".")
    older = path.with_name(f"{name}.{int(number) + 1}" if number.isdigit() else f"{path.name}.1")
    return last_lines_of_all(older, count - len(found)) + found if len(found) < count and older.exists() else found


def _write(out: BinaryIO, lines: list[bytes]) -> None:
    if lines:
        out.write(b"\n".join(lines) + b"\n")
        out.flush()
