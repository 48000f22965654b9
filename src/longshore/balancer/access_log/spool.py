"""The spool: a file that HAProxy writes lines to, and how far it has been dealt with.

It grows at its end alone, so a position in it says all. HAProxy takes `O_APPEND` off what it writes to: its workers share one place
in the file, and every HAProxy that is started gets a file of its own; what the one before wrote is kept beside it until it has been
dealt with. The first line of each is its name.

What lies before the last checkpoint is given back to the file system as a hole; the file keeps its length. A *checkpoint* is a small
file: which spool, how far, and which finished files are still to be moved to where they belong. It is written first, and
the moves come after: whoever is killed in between makes them good at the next start, once.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

log = logging.getLogger("longshore.access_log")

_PIECE = 1 << 20
_PUNCH_HOLE, _KEEP_SIZE = 2, 1
_HOLE_BYTES = 1 << 20
#: bytes that may wait to be dealt with, and those that always may
_MOST_WAITING = 4 << 30
_FEWEST_WAITING = 64 << 20


def begin_spool(path: Path) -> int:
    """A descriptor of a new one in the place of the one before, for whoever writes to it. Raises OSError."""
    began = f"{time.time_ns():020d}-{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        path.rename(path.with_name(f"{path.name}.{began}"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, f"#{began}\n".encode())
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Checkpoint(msgspec.Struct, frozen=True):
    #: name of the spool, as its first line says
    spool: str = ""
    position: int = 0
    #: finished files that are to be moved: from -> to
    moves: dict[str, str] = {}
    #: lines before it are in metrics already
    counted: int = 0
    #: worker|listener -> number of its next line
    numbers: dict[str, int] = {}


class Spool:
    def __init__(self, path: Path, state: Path) -> None:
        self.path = path
        self._state = state
        self._current = path
        self._descriptor = -1
        self._punched = _HOLE_BYTES
        self._rest = b""
        self.position = 0

    def open(self) -> Checkpoint:
        """Of the oldest spool there is; what is known of it: position 0 for a new one. Raises OSError."""
        self.close()
        self._current = (*self._older(), self.path)[0]
        self._descriptor = os.open(self._current, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        known, name = self._read(), self._name()
        if known.spool != name or known.position > self.size():
            known = Checkpoint(spool=name, moves=known.moves)
        self.position, self._rest = known.position, b""
        return known

    def _older(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{self.path.name}.*"))

    def _name(self) -> str:
        first = os.pread(self._descriptor, 100, 0).partition(b"\n")[0]
        return first[1:].decode("ascii", errors="replace") if first.startswith(b"#") else ""

    def is_over(self) -> bool:
        """Whether nobody writes to this one any more: another has taken its place."""
        return self._current != self.path or bool(self._older()) or not self._name()

    def forget(self) -> None:
        """All of it has been dealt with, and nobody writes to it any more."""
        if self._current != self.path:
            self._current.unlink(missing_ok=True)

    def _read(self) -> Checkpoint:
        try:
            return msgspec.json.decode(self._state.read_bytes(), type=Checkpoint)
        except (FileNotFoundError, msgspec.DecodeError):
            return Checkpoint()

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def lines(self, most_bytes: int) -> Iterator[tuple[int, bytes]]:
        """(where it ends, the line) of what has come, whole lines alone, up to about `most_bytes` of them."""
        read = 0
        while read < most_bytes:
            piece = os.pread(self._descriptor, _PIECE, self.position + len(self._rest))
            if not piece:
                return
            read += len(piece)
            *whole, self._rest = (self._rest + piece).split(b"\n")
            for line in whole:
                self.position += len(line) + 1
                yield self.position, line

    def waiting(self) -> int:
        """Bytes that have come and have not been dealt with, in this spool and in those after it. Raises OSError."""
        later = [path for path in (*self._older(), self.path) if self._current != self.path and (path > self._current or path == self.path)]
        return max(0, self.size() - self.position) + sum(path.stat().st_size for path in later if path.exists())

    @property
    def is_followed(self) -> bool:
        """Whether this is not the one that is written to."""
        return self._current != self.path

    def room(self) -> int:
        """How many bytes may wait: a quarter of what would be free without them, so that others can go on writing. Raises OSError."""
        disk = os.fstatvfs(self._descriptor)
        return min(_MOST_WAITING, max(_FEWEST_WAITING, (disk.f_bavail * disk.f_frsize + self.waiting()) // 4))

    def leave_out(self, most_bytes: int) -> int:
        """Goes on with a whole line so that no more than `most_bytes` wait; returns how many bytes were left out. Raises OSError."""
        before = self.position
        start = max(before, self.size() - most_bytes)
        while piece := os.pread(self._descriptor, _PIECE, start):
            end = piece.find(b"\n")
            if end >= 0:
                self.position, self._rest = start + end + 1, b""
                break
            start += len(piece)
        return self.position - before

    def save(self, checkpoint: Checkpoint) -> None:
        beside = self._state.with_suffix(".beside")
        with beside.open("wb") as file:
            file.write(msgspec.json.encode(checkpoint))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._state)

    def give_back(self, position: int) -> None:
        """Everything before `position` is dealt with. Where the file system makes no holes, the file just goes on growing."""
        end = position // _HOLE_BYTES * _HOLE_BYTES
        if end > self._punched and _punch(self._descriptor, self._punched, end - self._punched):
            self._punched = end

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._punched = _HOLE_BYTES  # its name stays


def _punch(descriptor: int, start: int, length: int) -> bool:
    fallocate = getattr(ctypes.CDLL(None, use_errno=True), "fallocate64", None) or getattr(ctypes.CDLL(None), "fallocate", None)
    if fallocate is None:
        return False
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return bool(fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, start, length) == 0)
