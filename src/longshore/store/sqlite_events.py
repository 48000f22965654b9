"""The event log in one SQLite file of its own, `events.db`.

Two threads: one appends, whole batches at a time, one reads beside it (WAL), so that neither a long reading nor an append ever holds
up the other, nor the store. An append is not forced to the disk: what the process has written survives its end, and what a
power failure takes away is told again by whoever appends, since the marks go with the entries. Labels stand in one column between
line feeds: readings walk the log in order and look for `\\nLABEL\\n`, which costs less than an index over several ARNs per entry would
cost each append.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from longshore.store.base import StoreError, StoreUnavailable
from longshore.store.event_log import KEPT_BYTES, KEPT_S, MOST_LOOKED_AT, Entry, Page, Query, Recorded, position_at
from longshore.store.memory_events import Growth
from longshore.store.thread import OneThread

R = TypeVar("R")

log = logging.getLogger(__name__)

FILE_NAME = "events.db"
#: of the file; a file of a later version is left alone
FORMAT = 1
_SCHEMA = (
    """CREATE TABLE event (
           position INTEGER PRIMARY KEY,
           scope TEXT NOT NULL, source TEXT NOT NULL, type TEXT NOT NULL, labels TEXT NOT NULL, body BLOB NOT NULL
       )""",
    "CREATE TABLE mark (subject TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), newest INTEGER NOT NULL, dropped INTEGER NOT NULL)",
    "INSERT INTO meta VALUES (1, 0, 0)",
    f"PRAGMA user_version = {FORMAT}",
)
_INSERT = "INSERT INTO event (position, scope, source, type, labels, body) VALUES {}"
_MARK = "INSERT INTO mark VALUES {} ON CONFLICT (subject) DO UPDATE SET version = excluded.version"
#: rows in one statement: every statement lets go of the interpreter and queues for it again behind a busy event loop
_MOST_ROWS = 64
#: subjects asked about in one statement
_MOST_SUBJECTS = 500
#: entries dropped in one transaction, and pages given back to the file system after it
_MOST_DROPPED = 2_000
_PAGES_BACK = 4_000


class SqliteEventLog:
    """Opened by `open_event_log`."""

    def __init__(self, directory: Path, *, kept_s: float, kept_bytes: int) -> None:
        self.path = directory / FILE_NAME
        self._kept_s = kept_s
        self._kept_bytes = kept_bytes
        self._writing = OneThread("events")
        self._reading = OneThread("events-reader")
        self._write: sqlite3.Connection | None = None
        self._read: sqlite3.Connection | None = None
        self._newest = 0
        self._dropped = 0
        self._growth = Growth()
        self._closed = False

    def __repr__(self) -> str:
        return f"SqliteEventLog({self.path})"

    @property
    def newest(self) -> int:
        return self._newest

    async def open(self) -> None:
        await self._writing.run(self._guarded, self._prepare)

    async def append(self, entries: Sequence[Entry], now: float, forget: Iterable[str] = ()) -> int:
        newest = await self._writing.run(self._guarded, self._append, tuple(entries), position_at(now), tuple(forget))
        if newest > self._newest:
            self._newest = newest
            self._growth.tell()
        return self._newest

    async def marks(self) -> dict[str, int]:
        return await self._reading.run(self._translated, lambda: dict(self._reader.execute("SELECT subject, version FROM mark")))

    async def read(self, query: Query, after: int, limit: int) -> Page:
        return await self._reading.run(self._translated, self._page, query, after, limit, self._newest)

    async def last(self, query: Query, limit: int) -> Page:
        return await self._reading.run(self._translated, self._last, query, limit, self._newest)

    async def grown(self, after: int) -> None:
        while self._newest <= after and not self._growth.over:
            await self._growth.wait()

    def end_waiting(self) -> None:
        self._growth.end()

    async def trim(self, now: float) -> int:
        gone = 0
        while dropped := await self._writing.run(self._guarded, self._trim, position_at(now - self._kept_s)):
            gone += dropped
        return gone

    async def clear(self) -> None:
        await self._writing.run(self._guarded, self._clear)

    async def close(self) -> None:
        """Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        self._growth.end()
        await self._reading.run(self._close_reader)
        await self._writing.run(self._close_writer)
        self._reading.end()
        self._writing.end()

    # ── on the threads ──

    @property
    def _writer(self) -> sqlite3.Connection:
        assert self._write is not None, "open comes first"
        return self._write

    @property
    def _reader(self) -> sqlite3.Connection:
        if self._read is None:
            self._read = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, check_same_thread=False
            )
        return self._read

    def _guarded(self, fn: Callable[..., R], *arguments: Any) -> R:
        """On the writing thread alone: what began there is taken back there."""
        try:
            return self._translated(fn, *arguments)
        except StoreUnavailable:
            if self._write is not None and self._write.in_transaction:
                self._write.rollback()
            raise

    def _translated(self, fn: Callable[..., R], *arguments: Any) -> R:
        try:
            return fn(*arguments)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"the event log {self.path}: {error}") from error

    def _prepare(self) -> None:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._write = database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, cached_statements=4 * _MOST_ROWS)
        (found,) = database.execute("PRAGMA user_version").fetchone()
        if found > FORMAT:
            raise StoreError(f"{self.path} was written by a newer Longshore (format {found}): use that version, or move the file away")
        if not found:
            database.execute("PRAGMA page_size = 16384")  # of 4 KiB, an entry would leave half empty
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        # every 8 MiB: what goes to the disk at once is what commits of the store may have to wait behind
        database.execute("PRAGMA wal_autocheckpoint = 500")
        database.execute("PRAGMA journal_size_limit = 67108864")
        if not found:
            database.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute("COMMIT")
        newest, self._dropped = database.execute("SELECT newest, dropped FROM meta").fetchone()
        (last,) = database.execute("SELECT max(position) FROM event").fetchone()
        self._newest = max(newest, self._dropped, last or 0)

    def _append(self, entries: tuple[Entry, ...], at_least: int, forget: tuple[str, ...]) -> int:
        database = self._writer
        database.execute("BEGIN IMMEDIATE")
        newest, new, told = self._newest, [], self._told({entry.subject for entry in entries if entry.subject})
        marks: dict[str, int] = {}
        for entry in entries:
            if entry.subject:
                if entry.version <= told.get(entry.subject, 0):
                    continue
                told[entry.subject] = marks[entry.subject] = entry.version
            newest = max(newest + 1, at_least)
            labels = "\n".join(("", *entry.labels, ""))
            new.append((newest, entry.scope, entry.source, entry.type, labels, entry.body))
        _insert(database, _INSERT, new)
        _insert(database, _MARK, list(marks.items()))
        database.executemany("DELETE FROM mark WHERE subject = ?", [(subject,) for subject in forget])
        database.execute("COMMIT")
        return newest

    def _told(self, subjects: set[str]) -> dict[str, int]:
        asked = sorted(subjects)
        told: dict[str, int] = {}
        for start in range(0, len(asked), _MOST_SUBJECTS):
            some = asked[start : start + _MOST_SUBJECTS]
            places = ", ".join("?" * len(some))
            told.update(self._writer.execute(f"SELECT subject, version FROM mark WHERE subject IN ({places})", some).fetchall())
        return told

    def _page(self, query: Query, after: int, limit: int, newest: int) -> Page:
        missed = 0 < after < self._dropped
        # what one reading looks at ends here; none: at the end of the log
        bound = self._reader.execute(
            "SELECT position FROM event WHERE position > ? ORDER BY position LIMIT 1 OFFSET ?", (after, MOST_LOOKED_AT - 1)
        ).fetchone()
        until = min(bound[0], newest) if bound is not None else newest
        where, values = _condition(query)
        rows = self._reader.execute(
            f"SELECT position, type, body FROM event WHERE position > ? AND position <= ?{where} ORDER BY position LIMIT ?",
            (after, until, *values, limit),
        ).fetchall()
        found = tuple(Recorded(*row) for row in rows)
        reached = found[-1].position if len(found) == limit else max(after, until)
        return Page(found, reached, more=reached < newest, missed=missed)

    def _last(self, query: Query, limit: int, newest: int) -> Page:
        bound = self._reader.execute("SELECT position FROM event ORDER BY position DESC LIMIT 1 OFFSET ?", (MOST_LOOKED_AT - 1,)).fetchone()
        where, values = _condition(query)
        rows = self._reader.execute(
            f"SELECT position, type, body FROM event WHERE position >= ? AND position <= ?{where} ORDER BY position DESC LIMIT ?",
            (bound[0] if bound is not None else 0, newest, *values, limit),
        ).fetchall()
        return Page(tuple(Recorded(*row) for row in reversed(rows)), newest)

    def _trim(self, before: int) -> int:
        """One step: what is older than `before`, else what is too much; 0 when nothing is."""
        database = self._writer
        cut = database.execute(
            "SELECT max(position) FROM (SELECT position FROM event WHERE position < ? ORDER BY position LIMIT ?)", (before, _MOST_DROPPED)
        ).fetchone()[0]
        if cut is None and self._bytes() > self._kept_bytes:
            # a hundredth at a time, so that hardly more goes than has to
            (count,) = database.execute("SELECT count(*) FROM event").fetchone()
            step = min(_MOST_DROPPED, max(1, count // 100))
            cut = database.execute("SELECT max(position) FROM (SELECT position FROM event ORDER BY position LIMIT ?)", (step,)).fetchone()[
                0
            ]
        if cut is None:
            return 0
        database.execute("BEGIN IMMEDIATE")
        gone = database.execute("DELETE FROM event WHERE position <= ?", (cut,)).rowcount
        database.execute("UPDATE meta SET newest = ?, dropped = ?", (self._newest, cut))
        database.execute("COMMIT")
        self._dropped = cut
        database.execute(f"PRAGMA incremental_vacuum({_PAGES_BACK})").fetchall()
        return gone

    def _clear(self) -> None:
        database = self._writer
        database.execute("BEGIN IMMEDIATE")
        database.execute("DELETE FROM event")
        database.execute("DELETE FROM mark")
        database.execute("UPDATE meta SET newest = ?, dropped = ?", (self._newest, self._newest))
        database.execute("COMMIT")
        self._dropped = self._newest

    def _bytes(self) -> int:
        """What the file's pages in use amount to."""
        pages, free, size = (
            self._writer.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _close_reader(self) -> None:
        if self._read is not None:
            self._read.close()
            self._read = None

    def _close_writer(self) -> None:
        if self._write is None:
            return
        try:
            self._write.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            log.warning("%s is closed with its write-ahead log: %s", self.path, error)
        self._write.close()
        self._write = None


def _insert(database: sqlite3.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """As few statements as it takes; each length is prepared once."""
    for start in range(0, len(rows), _MOST_ROWS):
        some = rows[start : start + _MOST_ROWS]
        one = f"({', '.join('?' * len(some[0]))})"
        database.execute(statement.format(", ".join([one] * len(some))), [column for row in some for column in row])


def _condition(query: Query) -> tuple[str, list[str]]:
    """(SQL that follows other conditions, its values)"""
    parts, values = [" AND scope = ?"], [query.scope]
    if query.source:
        parts.append(" AND source = ?")
        values.append(query.source)
    if query.types:
        parts.append(f" AND type IN ({', '.join('?' * len(query.types))})")
        values += query.types
    for label in query.labels:
        parts.append(" AND instr(labels, ?) > 0")
        values.append(f"\n{label}\n")
    return "".join(parts), values


async def open_event_log(directory: Path, *, kept_s: float = KEPT_S, kept_bytes: int = KEPT_BYTES) -> SqliteEventLog:
    """The event log in `directory`, which is there. Raises StoreUnavailable, and StoreError when a newer Longshore wrote it."""
    opened = SqliteEventLog(directory, kept_s=kept_s, kept_bytes=kept_bytes)
    try:
        await opened.open()
    except BaseException:
        await opened.close()
        raise
    return opened
