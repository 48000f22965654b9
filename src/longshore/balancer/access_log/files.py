"""Log files while they are being written, and how they come to where they belong.

A file is written beside the spool and moved to its bucket when it is finished, so that nobody comes upon half of one. What lies there
unfinished when the reader starts is of a reader that was killed: its lines are still in the spool.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import shutil
from pathlib import Path
from typing import IO, cast

from longshore.balancer.access_log.layout import Unplaceable, path_of
from longshore.balancer.access_log.legend import Legend, Place

#: gzip's fastest but one: at the best, it would take as long as all the rest
_LEVEL = 2
_BATCH_BYTES = 1 << 16


class Unfinished:
    """One file to be."""

    def __init__(self, path: Path, place: Place, legend: Legend, kind: str, begun: float) -> None:
        self.path = path
        self.place = place
        self.legend = legend
        self.kind = kind
        #: when it is due, at a multiple of its interval
        self.due = (int(begun) // (60 * place.every) + 1) * 60 * place.every
        self._file = _opened(path, is_plain=legend.type == "classic")
        self._lines: list[bytes] = []
        self._bytes = 0
        self.lines = 0

    def add(self, line: str) -> None:
        content = line.encode() + b"\n"
        self._lines.append(content)
        self._bytes += len(content)
        self.lines += 1
        if self._bytes >= _BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._file.write(b"".join(self._lines))
        self._lines, self._bytes = [], 0

    def finish(self) -> None:
        """Whole and on the disk. Raises OSError."""
        self._flush()
        self._file.close()
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _opened(path: Path, *, is_plain: bool) -> IO[bytes]:
    if is_plain:
        return path.open("wb")
    return cast("IO[bytes]", gzip.GzipFile(path, "wb", compresslevel=_LEVEL))


class LogFiles:
    def __init__(self, beside: Path, buckets: Path) -> None:
        self._beside = beside
        self._buckets = buckets
        self._open: dict[tuple[Place, str, str], Unfinished] = {}
        self._made = 0

    def forget(self) -> None:
        """What another left unfinished. Raises OSError."""
        self._beside.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._open.clear()
        for path in self._beside.glob("*.part"):
            path.unlink()

    def add(self, place: Place, legend: Legend, kind: str, line: str, now: float) -> None:
        """Raises OSError."""
        key = (place, legend.load_balancer_arn, kind)
        file = self._open.get(key)
        if file is None:
            self._made += 1
            path = self._beside / f"{os.getpid()}-{self._made}.part"
            file = self._open[key] = Unfinished(path, place, legend, kind, now)
        file.add(line)

    def is_due(self, now: float) -> bool:
        return any(now >= file.due for file in self._open.values())

    def finished(self, now: float, spool: str) -> dict[str, str]:
        """Finishes all that are open: from -> to. `spool` names what they were made of. Raises OSError."""
        moves: dict[str, str] = {}
        for number, file in enumerate(self._open.values()):
            file.finish()
            mark = hashlib.sha256(f"{spool}|{number}|{now}".encode()).hexdigest()[:8]
            end = min(file.due, now) if file.due > now else file.due
            try:
                to = path_of(file.place, file.legend, kind=file.kind, end=end, node=file.legend.address, mark=mark)
            except Unplaceable:
                file.path.unlink()
                continue
            moves[str(file.path)] = str(self._buckets / to)
        self._open.clear()
        return moves


def move(moves: dict[str, str]) -> None:
    """What has been moved already is left alone. Raises OSError."""
    for path, to in moves.items():
        if not Path(path).exists():
            continue
        Path(to).parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(path, to)
        except OSError as problem:
            if problem.errno != errno.EXDEV:
                raise
            # Buckets may lie on a disk of their own.
            beside = f"{to}.part"
            shutil.copyfile(path, beside)
            os.replace(beside, to)
            os.unlink(path)
