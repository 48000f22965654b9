"""The audit log itself: lines are appended before what they tell of is answered, and what is written can be shown to be whole.

An append is one write to the end of a file, which survives the end of this process at once. Beside it a thread, every second, forces
what was written to the disk and signs how far it got (`head`); closes files that are full or whose hour is over: compressed, with
a digest that names the one before; and lets the oldest go. The hash of an open file is reckoned from what is appended, not from what
lies on the disk: who changes the file while it is open is found out when it is closed.

The open file has room for some thousand records more than are in it, so that on a full disk requests still leave theirs: those that read,
and those that make room. While there is no room for another file, the open one goes on beyond its hour.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from longshore.audit.closing import Closed, Closer, Opened
from longshore.audit.layout import OPEN, Growing, stem_of
from longshore.audit.lookup import Page, Place, Query, Reader
from longshore.audit.record import moment
from longshore.kit.clock import Clock
from longshore.kit.reserving import reserve

R = TypeVar("R")

log = logging.getLogger("longshore.audit")

#: a file is closed at this many bytes, or when the hour it was begun in is over
FULL_BYTES = 16 << 20
HOUR_S = 3600.0
TICK_S = 1.0
#: bytes of room ahead of what is written, and how many may be left of it before there is more
RESERVE_BYTES, LEAST_RESERVE_BYTES = 2 << 20, 1 << 20
#: how long a file goes on whose successor has no room
GOES_ON_S = 60.0
KEPT_S = 90 * 86_400.0
KEPT_BYTES = 4 << 30


class AuditUnavailable(Exception):
    """The log cannot be written."""


class AuditLog:
    """Opened by `open_audit_log`. Everything is called on the event loop."""

    def __init__(self, closer: Closer, clock: Clock, *, full_bytes: int = FULL_BYTES) -> None:
        self.directory = closer.directory
        self._closer = closer
        self._clock = clock
        self._full_bytes = full_bytes
        self._thread = ThreadPoolExecutor(1, "audit")
        self._reading = ThreadPoolExecutor(1, "audit-reader")
        self._reader = Reader(closer.directory)
        self._open: Opened | None = None
        #: closed files whose digest is yet to be made
        self._pending: list[Opened] = []
        self._number = 0
        self._changed = False
        self._over = False
        self._failing = False
        self._grown = asyncio.Event()
        self.records = 0

    def __repr__(self) -> str:
        return f"AuditLog({self.directory})"

    async def open(self) -> None:
        """Take up what is there. Raises OSError."""
        self._pending = await self._on_thread(self._closer.find_again)
        self._number = self._closer.newest
        self._changed = True
        await self.tick()

    def append(self, lines: bytes, count: int = 1) -> None:
        """Whole lines. They survive the end of the process when this returns. Raises AuditUnavailable."""
        now = self._clock.now()
        file = self._open
        try:
            if file is None or file.length >= self._full_bytes or not file.began <= now < file.ends:
                file = self._next(now)
            if os.write(file.descriptor, lines) != len(lines):
                # a disk that was full in the middle: what is there of it is no record
                self._put_aside(file)
                raise OSError(28, os.strerror(28))
        except OSError as problem:
            if not self._failing:
                log.error("records cannot be written to %s: %s", self.directory, problem)
            self._failing = True
            raise AuditUnavailable(f"the audit log cannot be written: {problem.strerror or problem}") from None
        file.hash.update(lines)
        file.length += len(lines)
        file.records += count
        if file.reserved - file.length < LEAST_RESERVE_BYTES:
            _reserve(file)
        self.records += count
        self._failing = False
        self._changed = True
        if not self._grown.is_set():
            self._grown.set()

    @property
    def is_over(self) -> bool:
        return self._over

    def end(self) -> Place:
        """Behind everything that is written."""
        file = self._open or (self._pending[-1] if self._pending else None)
        if file is None:
            return Place(self._number, 1 << 62)
        return Place(self._number, file.length)

    async def grown_since(self, place: Place, within_s: float) -> bool:
        """Whether something was written behind `place`: at once, or within that time."""
        if self.end() > place or self._over:
            return self.end() > place
        self._grown.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._grown.wait(), within_s)
        return self.end() > place

    @property
    def closer(self) -> Closer:
        """What it is signed with, and which digests there are."""
        return self._closer

    def parts(self) -> tuple[tuple[Closed, ...], tuple[Growing, ...]]:
        """What can be read now: closed files, and the ones without digest as far as they are written; the oldest first."""
        closed = self._closer.closed
        files = [file for file in self._pending if not file.done]
        return closed, tuple(file.growing() for file in (*files, *([self._open] if self._open else ())))

    async def search(self, query: Query, limit: int, begin: Place | None = None) -> Page:
        """Raises AuditUnavailable where the log cannot be read."""
        closed, growing = self.parts()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._reading, self._reader.look_up, closed, growing, query, limit, begin
            )
        except OSError as problem:
            raise AuditUnavailable(f"the audit log cannot be read: {problem.strerror or problem}") from None

    async def keep(self) -> None:
        """Runs until cancelled."""
        while True:
            await self._clock.sleep(TICK_S)
            await self.tick()

    async def tick(self) -> None:
        """What is to be done every second. It does not fail: what could not be done is tried again."""
        file, now = self._open, self._clock.now()
        if file is not None and (now >= file.ends or (self._closer.findings and file.records)) and self._has_room():
            self._put_aside(file)
        self._pending = [one for one in self._pending if not one.done]
        if self._changed or self._pending or self._closer.has_too_much(now):
            self._changed = False
            await self._go_on(now)

    async def close(self) -> None:
        """Everything gets its digest. Closing twice is fine."""
        if self._over:
            return
        self._over = True
        self._grown.set()
        if self._open is not None:
            self._put_aside(self._open)
        await self._go_on(self._clock.now())
        self._thread.shutdown()
        self._reading.shutdown()

    async def _go_on(self, now: float) -> None:
        file = self._open
        growing = tuple(one.growing() for one in (*self._pending, *([file] if file else ())) if not one.done)
        await self._on_thread(self._closer.go_on, tuple(self._pending), growing, file.descriptor if file else None, now)

    # ── files ──

    def _next(self, now: float) -> Opened:
        """Another file; or the open one for a while yet, where only that has room."""
        file = self._open
        if file is None or file.length >= file.reserved or self._has_room():
            return self._begin(now)
        file.ends = now + GOES_ON_S
        return file

    def _has_room(self) -> bool:
        """For a file and its reserve."""
        disk = os.statvfs(self.directory)
        return disk.f_bavail * disk.f_frsize > 2 * RESERVE_BYTES

    def _begin(self, now: float) -> Opened:
        if self._over:
            raise OSError(9, "it is closed")
        if self._open is not None:
            self._put_aside(self._open)
        path = self.directory / f"{stem_of(self._number + 1, moment(int(now)))}{OPEN}"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._number += 1
        self._open = Opened(path, descriptor, hashlib.sha256(), began=now, ends=(now // HOUR_S + 1) * HOUR_S)
        _reserve(self._open)
        return self._open

    def _put_aside(self, file: Opened) -> None:
        self._open = None
        self._pending.append(file)

    async def _on_thread(self, fn: Callable[..., R], *arguments: Any) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, fn, *arguments)


def _reserve(file: Opened) -> None:
    """Or look again later: some file systems promise no room, and a full disk has none."""
    try:
        reserve(file.descriptor, file.reserved, RESERVE_BYTES)
    except OSError:
        file.reserved = max(file.reserved, file.length)
    else:
        file.reserved += RESERVE_BYTES


async def open_audit_log(
    directory: Path,
    key: bytes,
    clock: Clock,
    installation: str,
    *,
    kept_s: float = KEPT_S,
    kept_bytes: int = KEPT_BYTES,
    full_bytes: int = FULL_BYTES,
) -> AuditLog:
    """The log in `directory`, which is made. `key` is the raw key that it is signed with. Raises OSError."""
    opened = AuditLog(Closer(directory, key, installation, kept_s=kept_s, kept_bytes=kept_bytes), clock, full_bytes=full_bytes)
    await opened.open()
    return opened
