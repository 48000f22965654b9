"""What processes write down: one line for one record whatever a client had a hand in, in files that do not grow for ever.

A line is written to the process's standard error, which is a file when the platform runs in the background. Its size is looked at as it
grows: beyond `MOST_BYTES` the file is moved aside (server.log becomes server.log.1, that becomes .2, …) and the descriptor is pointed at
a new one. Nothing is copied and nothing cut off, so no line is lost, nor what programs started from here write meanwhile: that goes on
into the file that was moved.

Names, user agents and paths come from clients. Control characters in them would forge lines, or play with the terminal of whoever reads,
so they are written as escapes; tracebacks keep their lines, indented, so that none looks like the beginning of a record.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

#: of one file, and how many older ones are kept beside it
MOST_BYTES, KEPT = 16 << 20, 4
#: how many bytes are written between two looks at the size
_LOOK_BYTES = 64 << 10
FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"
_STDERR = 2

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """`text` with escapes for what would end its line, be something else than text to a terminal, or turn it around."""
    return _CONTROL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match.group().encode("unicode_escape", "surrogatepass").decode("ascii")


class OneLine(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record))

    def formatException(self, info: object) -> str:
        told = super().formatException(info)  # type: ignore[arg-type]
        return "\n".join("    " + printable(line) for line in told.split("\n"))

    def formatStack(self, stack_info: str) -> str:
        return "\n".join("    " + printable(line) for line in stack_info.split("\n"))


class Rotation:
    """The file at `path`, which the process has open as `descriptors`. For one thread at a time."""

    def __init__(self, path: Path, descriptors: Sequence[int] = (_STDERR,), most: int = MOST_BYTES, kept: int = KEPT) -> None:
        self._path = path
        self._descriptors = tuple(descriptors)
        self._most = most
        self._kept = kept
        self._unlooked = _LOOK_BYTES  # it may be long already

    def grew(self, size: int) -> None:
        """To be told of every write, in bytes. Where the file cannot be moved, it goes on growing."""
        self._unlooked += size
        if self._unlooked >= min(_LOOK_BYTES, self._most):
            self._unlooked = 0
            self.look()

    def look(self) -> None:
        """Moves the file if it is long enough. Raises nothing."""
        with contextlib.suppress(OSError):
            if os.fstat(self._descriptors[0]).st_size >= self._most:
                self._rotate()

    def _rotate(self) -> None:
        """Raises OSError; whatever was reached by then, lines go on into one of the files."""
        if self._is_there():
            for number in range(self._kept - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
            os.replace(self._path, f"{self._path}.1")
        begun = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            for descriptor in self._descriptors:
                os.dup2(begun, descriptor)
        finally:
            os.close(begun)

    def _is_there(self) -> bool:
        """False where somebody moved it, or the last attempt got no further than that."""
        try:
            there, own = os.stat(self._path), os.fstat(self._descriptors[0])
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)


def rotation_of(path: Path | None, descriptors: Sequence[int] = (_STDERR,), most: int = MOST_BYTES, kept: int = KEPT) -> Rotation | None:
    """None where the first descriptor is not that file, as on a terminal or under a service manager, who keep lines by themselves."""
    rotation = Rotation(path, descriptors, most, kept) if path is not None else None
    return rotation if rotation is not None and rotation._is_there() else None


class LogHandler(logging.Handler):
    """Writes records to a descriptor, each with one call, so that lines of several processes do not mix."""

    def __init__(self, rotation: Rotation | None = None, descriptor: int = _STDERR) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._rotation = rotation
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        if self._lost:
            line = f"{self._lost} lines could not be written before this one\n{line}"
        content = (line + "\n").encode("utf-8", "backslashreplace")
        try:
            _write(self._descriptor, content)
        except OSError:  # a full disk: there is nobody to tell until there is room
            self._lost += 1
            return
        self._lost = 0
        if self._rotation is not None:
            self._rotation.grew(len(content))


def _write(descriptor: int, content: bytes) -> None:
    """Raises OSError."""
    while content:
        content = content[os.write(descriptor, content) :]


def log_to_stderr(level: str, file: Path | None = None) -> None:
    """The root logger's one way out from here on; `file` is what standard error is, where it is the platform's own."""
    sys.stderr.flush()
    handler = LogHandler(rotation_of(file))
    handler.setFormatter(OneLine(FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def appended(path: Path) -> IO[bytes]:
    """A log for another process to write to, which nobody else may read. Raises OSError."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab")


def begun_anew(path: Path, most: int, kept: int = KEPT) -> bool:
    """For the log of a program that keeps its file open and cannot be told of another: what is in it is copied aside and cut off.

    Whether there was so much. A line that it writes between the last look and the cut is lost: an instant, once in `most` bytes. Raises
    OSError.
    """
    if path.stat().st_size < most:
        return False
    for number in range(kept - 1, 0, -1):
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{path}.{number}", f"{path}.{number + 1}")
    aside = os.open(f"{path}.1", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with path.open("rb", buffering=0) as file:
            while piece := file.read(1 << 20):
                _write(aside, piece)
        os.truncate(path, 0)
    finally:
        os.close(aside)
    return True
