"""The metric store in one SQLite file of its own, `metrics.db`.

One thread appends and one reads beside it (WAL), as with the event log. An append is one transaction that is not forced to the disk:
it survives the end of the process, and a power failure takes the last minutes. Points of a series lie together, by their minute, so
that a range of one series is one stretch of the file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from longshore.store.base import StoreError, StoreUnavailable
from longshore.store.metrics import (
    KEPT_S,
    MINUTE_S,
    MOST_POINTS,
    Datum,
    Period,
    Query,
    Series,
    Statistics,
    check_period,
    merged,
    order_of,
    periods,
)
from longshore.store.thread import OneThread

R = TypeVar("R")

FILE_NAME = "metrics.db"
#: of the file; a file of a later version is left alone
FORMAT = 1
_SCHEMA = (
    """CREATE TABLE series (
           id INTEGER PRIMARY KEY,
           scope TEXT NOT NULL, namespace TEXT NOT NULL, metric TEXT NOT NULL, dimensions TEXT NOT NULL, unit TEXT NOT NULL,
           UNIQUE (scope, namespace, metric, dimensions, unit)
       )""",
    """CREATE TABLE point (
           series INTEGER NOT NULL, minute INTEGER NOT NULL,
           count REAL NOT NULL, sum REAL NOT NULL, minimum REAL NOT NULL, maximum REAL NOT NULL, distribution BLOB NOT NULL,
           PRIMARY KEY (series, minute)
       ) WITHOUT ROWID""",
    "CREATE INDEX point_minute ON point (minute)",
    f"PRAGMA user_version = {FORMAT}",
)
_COLUMNS = "scope, namespace, metric, dimensions, unit"
_MOST_DROPPED = 5_000
_PAGES_BACK = 4_000
_decode_distribution = msgspec.msgpack.Decoder(dict[int, float]).decode
_decode_dimensions = msgspec.json.Decoder(tuple[tuple[str, str], ...]).decode


class SqliteMetricStore:
    """Opened by `open_metric_store`."""

    def __init__(self, directory: Path, *, kept_s: float, most_points: int) -> None:
        self.path = directory / FILE_NAME
        self._kept_s = kept_s
        self._most_points = most_points
        self._writing = OneThread("metrics")
        self._reading = OneThread("metrics-reader")
        self._write: sqlite3.Connection | None = None
        self._read: sqlite3.Connection | None = None
        #: ids of series, as far as they were looked up
        self._ids: dict[Series, int] = {}
        self._closed = False

    def __repr__(self) -> str:
        return f"SqliteMetricStore({self.path})"

    async def open(self) -> None:
        await self._writing.run(self._guarded, self._prepare)

    async def append(self, data: Sequence[Datum]) -> None:
        await self._writing.run(self._guarded, self._append, tuple(data))

    async def series(self, query: Query, after: Series | None = None, limit: int = 500) -> list[Series]:
        return await self._reading.run(self._translated, self._series, query, after, limit)

    async def read(self, series: Series, start: float, end: float, period_s: int = MINUTE_S) -> list[Period]:
        check_period(period_s)
        return await self._reading.run(self._translated, self._periods, series, start, end, period_s)

    async def trim(self, now: float) -> int:
        gone = 0
        while dropped := await self._writing.run(self._guarded, self._trim, now - self._kept_s):
            gone += dropped
        return gone

    async def clear(self) -> None:
        await self._writing.run(self._guarded, self._clear)

    async def close(self) -> None:
        """Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
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
            uri = f"{self.path.absolute().as_uri()}?mode=ro"
            self._read = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        return self._read

    def _guarded(self, fn: Callable[..., R], *arguments: Any) -> R:
        """On the writing thread alone: what began there is taken back there."""
        try:
            return self._translated(fn, *arguments)
        except StoreUnavailable:
            self._ids.clear()  # some may have been given in what is taken back
            if self._write is not None and self._write.in_transaction:
                self._write.rollback()
            raise

    def _translated(self, fn: Callable[..., R], *arguments: Any) -> R:
        try:
            return fn(*arguments)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"the metric store {self.path}: {error}") from error

    def _prepare(self) -> None:
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._write = database = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        (found,) = database.execute("PRAGMA user_version").fetchone()
        if found > FORMAT:
            raise StoreError(f"{self.path} was written by a newer Longshore (format {found}): use that version, or move the file away")
        if not found:
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA journal_size_limit = 67108864")
        if not found:
            database.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute("COMMIT")

    def _append(self, data: tuple[Datum, ...]) -> None:
        database = self._writer
        database.execute("BEGIN IMMEDIATE")
        for datum in data:
            id = self._id(datum.series)
            row = database.execute(
                "SELECT count, sum, minimum, maximum, distribution FROM point WHERE series = ? AND minute = ?", (id, datum.minute)
            ).fetchone()
            whole = merged([_statistics(row), datum.statistics]) if row is not None else datum.statistics
            assert whole is not None
            database.execute(
                "INSERT OR REPLACE INTO point VALUES (?, ?, ?, ?, ?, ?, ?)",
                (id, datum.minute, whole.count, whole.sum, whole.minimum, whole.maximum, msgspec.msgpack.encode(whole.distribution)),
            )
        database.execute("COMMIT")

    def _id(self, series: Series) -> int:
        known = self._ids.get(series)
        if known is None:
            columns = order_of(series)
            self._writer.execute(f"INSERT OR IGNORE INTO series ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", columns)
            known = self._ids[series] = int(self._writer.execute(f"SELECT id FROM series WHERE {_is_series()}", columns).fetchone()[0])
        return known

    def _series(self, query: Query, after: Series | None, limit: int) -> list[Series]:
        where, values = ["scope = ?"], [query.scope]
        for column, value in (("namespace", query.namespace), ("metric", query.metric)):
            if value:
                where.append(f"{column} = ?")
                values.append(value)
        if after is not None:
            where.append(f"({_COLUMNS}) > (?, ?, ?, ?, ?)")
            values += order_of(after)
        statement = f"SELECT {_COLUMNS} FROM series WHERE {' AND '.join(where)} ORDER BY {_COLUMNS}"
        found: list[Series] = []
        for scope, namespace, metric, dimensions, unit in self._reader.execute(statement, values):
            series = Series(scope, namespace, metric, _decode_dimensions(dimensions), unit)
            if query.holds(series):
                found.append(series)
                if len(found) == limit:
                    break
        return found

    def _periods(self, series: Series, start: float, end: float, period_s: int) -> list[Period]:
        rows = self._reader.execute(
            f"""SELECT minute, count, sum, minimum, maximum, distribution FROM point
                WHERE series = (SELECT id FROM series WHERE {_is_series()}) AND minute >= ? AND minute < ? ORDER BY minute""",
            (*order_of(series), start, end),
        )
        return periods(((row[0], _statistics(row[1:])) for row in rows), int(start), period_s)

    def _trim(self, before: float) -> int:
        """One step: what is older than `before`, else the oldest hour of what is too much; 0 when nothing is."""
        database = self._writer
        (count,) = database.execute("SELECT count(*) FROM point").fetchone()
        if count > self._most_points:
            (oldest,) = database.execute("SELECT min(minute) FROM point").fetchone()
            before = max(before, oldest + 3600)
        database.execute("BEGIN IMMEDIATE")
        gone = database.execute(
            "DELETE FROM point WHERE (series, minute) IN (SELECT series, minute FROM point WHERE minute < ? LIMIT ?)",
            (before, _MOST_DROPPED),
        ).rowcount
        if gone:
            # Nothing is known of what nothing is left of.
            database.execute("DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM point WHERE point.series = series.id)")
            self._ids.clear()
        database.execute("COMMIT")
        if gone:
            database.execute(f"PRAGMA incremental_vacuum({_PAGES_BACK})").fetchall()
        return gone

    def _clear(self) -> None:
        database = self._writer
        database.execute("BEGIN IMMEDIATE")
        database.execute("DELETE FROM point")
        database.execute("DELETE FROM series")
        database.execute("COMMIT")
        self._ids.clear()

    def _close_reader(self) -> None:
        if self._read is not None:
            self._read.close()
            self._read = None

    def _close_writer(self) -> None:
        if self._write is not None:
            self._write.close()
            self._write = None


def _is_series() -> str:
    return " AND ".join(f"{column} = ?" for column in _COLUMNS.split(", "))


def _statistics(row: Sequence[Any]) -> Statistics:
    count, sum, minimum, maximum, distribution = row
    return Statistics(count, sum, minimum, maximum, _decode_distribution(distribution))


async def open_metric_store(directory: Path, *, kept_s: float = KEPT_S, most_points: int = MOST_POINTS) -> SqliteMetricStore:
    """The metric store in `directory`, which is there. Raises StoreUnavailable, and StoreError when a newer Longshore wrote it."""
    opened = SqliteMetricStore(directory, kept_s=kept_s, most_points=most_points)
    try:
        await opened.open()
    except BaseException:
        await opened.close()
        raise
    return opened
