"""What a starting supervisor tells: JSON lines among its ordinary log lines, read from its log file as they appear.

{"event": "starting", "part": "server"}
{"event": "ready", "part": "server"}
{"event": "ready", "part": "platform", "endpoint": …, "registry": …, "load_balancers": …}
{"event": "failed", "part": "server", "cause": …, "fix": …}
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import msgspec

PLATFORM = "platform"


class Event(msgspec.Struct, frozen=True, kw_only=True):
    event: str
    part: str = ""
    endpoint: str = ""
    registry: str = ""
    load_balancers: str = ""
    cause: str = ""
    fix: str = ""


_decoder = msgspec.json.Decoder(Event)


def read_event(line: bytes) -> Event | None:
    """The event in a line, None when it is an ordinary log line."""
    if not line.startswith(b"{"):
        return None
    try:
        return _decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class GrowingFile:
    """A log that another process appends to: hands out whole lines, and starts over when the file is replaced or cut."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb")
        self._rest = b""

    def __enter__(self) -> GrowingFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def new_lines(self) -> Iterator[bytes]:
        replaced = self._is_replaced()
        yield from self._lines()  # of the old file, too: whoever replaced it had written there before
        if replaced:
            self._file.close()
            self._file = self._path.open("rb")
            self._rest = b""
            yield from self._lines()

    def _lines(self) -> Iterator[bytes]:
        while chunk := self._file.readline():
            self._rest += chunk
            if self._rest.endswith(b"\n"):
                line, self._rest = self._rest, b""
                yield line.rstrip(b"\n")

    def _is_replaced(self) -> bool:
        """One that was cut is begun anew at once."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        if now.st_ino != _inode(self._file.fileno()):
            return True
        if now.st_size < self._file.tell():
            self._file.seek(0)
            self._rest = b""
        return False


def _inode(descriptor: int) -> int:
    import os

    return os.fstat(descriptor).st_ino


def last_lines(path: Path, count: int) -> list[bytes]:
    """The last `count` lines of a file; none when it is absent."""
    try:
        with path.open("rb") as file:
            return [line.rstrip(b"\n") for line in deque(file, maxlen=count)]
    except FileNotFoundError:
        return []
