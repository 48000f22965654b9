"""The scanner that needs nothing but itself and the operator's vulnerability database.

Each scan is a process of its own (`worker.py`): layers are streamed to it, its answer comes back, and whatever a layer does to it
stays there. The index of the database is made by such a process too, whenever the operator's files have changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from longshore.scanner.index import files_of
from longshore.scanner.limits import Limits
from longshore.scanner.process import Overlong, answer_of, ended_by
from longshore.scanner.report import Report
from longshore.scanner.seam import BlobRef, ImageSource, ScanInterrupted
from longshore.scanner.worker import NAME, Made, Making, Task

log = logging.getLogger("longshore.scanner")

_WORKER = (sys.executable, "-I", "-m", "longshore.scanner.worker")
#: bytes of an answer: what the server must hold of it at once
_LARGEST_ANSWER = 16 << 20
_FRAME = 1 << 20


class BuiltIn:
    name = NAME

    def __init__(
        self,
        directory: Path,
        source: Path | None,
        *,
        limits: Limits | None = None,
        scan_timeout_s: float = 1800.0,
        build_timeout_s: float = 3600.0,
    ) -> None:
        """`directory` is where indexes are kept; `source` the operator's vulnerability database."""
        self._directory = directory
        self._source = source
        self._limits = limits or Limits()
        self._scan_timeout_s = scan_timeout_s
        self._build_timeout_s = build_timeout_s
        self._index: Path | None = None
        self._stamp = ""
        #: what was looked at last, usable or not
        self._seen = ""
        self._problem = ""
        self._refreshing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"BuiltIn({self._source}, index {self._stamp or 'none'})"

    async def refresh(self) -> str:
        if self._source is None:
            return ""
        async with self._refreshing:
            try:
                stamp = await asyncio.to_thread(stamp_of, self._source)
            except OSError as error:
                self._fail("", f"the vulnerability database {self._source} cannot be read: {error.strerror}")
            else:
                if stamp != self._seen:
                    await self._renew(self._source, stamp)
        return self._stamp

    def _fail(self, seen: str, problem: str) -> None:
        """An index there was goes on being used."""
        if problem != self._problem:
            log.warning("%s", problem)
        self._seen, self._problem = seen, problem

    async def _renew(self, source: Path, stamp: str) -> None:
        index = self._directory / f"vulnerabilities-{stamp}.sqlite"
        if not await asyncio.to_thread(index.exists):
            await asyncio.to_thread(self._directory.mkdir, parents=True, exist_ok=True)
            try:
                made = await self._build(source, index, stamp)
            except (Overlong, ScanInterrupted, msgspec.DecodeError) as error:
                made = Made(failure=f"the index of the vulnerability database {source} could not be made: {error}")
            if made.failure:
                self._fail(stamp, made.failure)
                return
            log.info("vulnerability database %s: %d records, %d skipped", source, made.records, made.skipped)
        self._index, self._stamp, self._seen, self._problem = index, stamp, stamp, ""
        await asyncio.to_thread(self._sweep, index)

    async def _build(self, source: Path, index: Path, stamp: str) -> Made:
        making = Making(source=str(source), target=str(index), stamp=stamp)
        status, said, words = await answer_of(
            (*_WORKER, "index"), _line(making), environment={}, timeout_s=self._build_timeout_s, most=_LARGEST_ANSWER
        )
        if status != 0:
            raise ScanInterrupted(_last_line(words) or ended_by(status))
        return msgspec.json.decode(said, type=Made)

    def _sweep(self, index: Path) -> None:
        """Earlier indexes, and what a killed process left of one; a scan that still reads one goes on with it."""
        for pattern in ("vulnerabilities-*.sqlite", ".vulnerabilities-*"):
            for path in self._directory.glob(pattern):
                if path != index:
                    path.unlink(missing_ok=True)

    async def scan(self, image: ImageSource) -> Report:
        if not self._seen:
            await self.refresh()
        task = Task(
            layers=tuple(layer.digest for layer in image.layers),
            index=str(self._index) if self._index else "",
            problem=self._problem,
            limits=self._limits,
        )
        try:
            status, said, words = await answer_of(
                (*_WORKER, "scan"), _layers(task, image), environment={}, timeout_s=self._scan_timeout_s, most=_LARGEST_ANSWER
            )
        except Overlong as error:
            return Report(scanner=NAME, failure=f"the scan was ended: {error}")
        if status == -signal.SIGXCPU:
            return Report(scanner=NAME, failure=f"the scan was ended: more than {self._limits.cpu_s} s of processor time")
        if status != 0:
            raise ScanInterrupted(_last_line(words) or f"the scanning process ended with {ended_by(status)}")
        try:
            report = msgspec.json.decode(said, type=Report)
        except msgspec.DecodeError as error:
            raise ScanInterrupted(f"the scanning process answered nonsense: {error}") from error
        if self._problem and report.database_stamp:
            return msgspec.structs.replace(report, notes=(*report.notes, f"an earlier database was used: {self._problem}"))
        return report


def stamp_of(source: Path) -> str:
    """Changes when a file of the database does; raises OSError."""
    digest = hashlib.sha256()
    for path in files_of(source):
        status = path.stat()
        digest.update(f"{path}\0{status.st_mtime_ns}\0{status.st_size}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]


async def _line(value: msgspec.Struct) -> AsyncIterator[bytes]:
    yield msgspec.json.encode(value) + b"\n"


async def _layers(task: Task, image: ImageSource) -> AsyncIterator[bytes]:
    """As worker.Frames reads them."""
    yield msgspec.json.encode(task) + b"\n"
    for layer in image.layers:
        async for piece in _pieces(layer, image):
            yield len(piece).to_bytes(4, "big") + piece
        yield bytes(4)


async def _pieces(layer: BlobRef, image: ImageSource) -> AsyncIterator[bytes]:
    async for content in image.read(layer):
        for at in range(0, len(content), _FRAME):
            yield content[at : at + _FRAME]


def _last_line(words: str) -> str:
    return words.rpartition("\n")[2].strip()
