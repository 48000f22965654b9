"""An archive in a SQLite file of its own: `archive.db` in the data directory.

One thread owns the connection. Writes that arrive while it is busy are committed together, each durable before its caller is
told (WAL, synchronous=FULL, as the store itself). Bodies are compressed. A file that cannot be read any more is moved aside and
begun anew: the past is not worth keeping the present from starting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from longshore.store.archive import Entry, Position
from longshore.store.base import StoreUnavailable
from longshore.store.thread import OneThread

log = logging.getLogger("longshore.store")

R = TypeVar("R")

FILE_NAME = "archive.db"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    collection TEXT NOT NULL, key TEXT NOT NULL, part TEXT NOT NULL, at REAL NOT NULL, facets TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (collection, key)
);
CREATE INDEX IF NOT EXISTS entry_at ON entry (collection, at, key);
CREATE INDEX IF NOT EXISTS entry_part ON entry (collection, part, at, key);
CREATE TABLE IF NOT EXISTS facet (
    collection TEXT NOT NULL, part TEXT NOT NULL, facet TEXT NOT NULL, at REAL NOT NULL, key TEXT NOT NULL,
    PRIMARY KEY (collection, part, facet, at, key)
) WITHOUT ROWID;
"""
#: between facets, where they are kept in one text
_AND = "\x1f"
_LATEST = 1e18
#: entries dropped in one transaction: others have their turn in between
_MOST_DROPPED = 1000
_COMPRESSION = 1


class SqliteArchive:
    """Made by `open`."""

    def __init__(self, connection: sqlite3.Connection, thread: OneThread) -> None:
        self._connection = connection
        self._thread = thread
        self._waiting: list[tuple[str, Entry]] = []
        self._writing: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, directory: Path) -> SqliteArchive:
        """Raises StoreUnavailable when the directory cannot be written to."""
        thread = OneThread("archive")
        try:
            connection = await thread.run(_opened, directory / FILE_NAME)
        except (sqlite3.Error, OSError) as error:
            thread.end()
            raise StoreUnavailable(f"{directory / FILE_NAME}: {error}") from error
        return cls(connection, thread)

    async def close(self) -> None:
        await self._thread.run(self._connection.close)
        self._thread.end()

    # ── writing ──

    async def put(self, collection: str, entries: Sequence[Entry]) -> None:
        self._waiting += [(collection, entry) for entry in entries]
        if self._writing is None:
            self._writing = asyncio.ensure_future(self._write_waiting())
        await asyncio.shield(self._writing)

    async def _write_waiting(self) -> None:
        """Everything that waits when the thread is free; what arrives after that is the next turn's."""
        await asyncio.sleep(0)
        self._writing, waiting = None, self._waiting
        self._waiting = []
        await self._run(self._write, waiting)

    def _write(self, entries: list[tuple[str, Entry]]) -> None:
        with self._transaction() as connection:
            for collection, entry in entries:
                self._forget(connection, collection, entry.key)
                body = zlib.compress(entry.body, _COMPRESSION)
                row = (collection, entry.key, entry.partition, entry.at, _AND.join(entry.facets), body)
                connection.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", row)
                rows = [(collection, entry.partition, facet, entry.at, entry.key) for facet in set(entry.facets)]
                connection.executemany("INSERT INTO facet VALUES (?, ?, ?, ?, ?)", rows)

    def _forget(self, connection: sqlite3.Connection, collection: str, key: str) -> None:
        found = connection.execute("SELECT part, at, facets FROM entry WHERE collection = ? AND key = ?", (collection, key)).fetchone()
        if found is None:
            return
        part, at, facets = found
        rows = [(collection, part, facet, at, key) for facet in set(facets.split(_AND))]
        connection.executemany("DELETE FROM facet WHERE collection = ? AND part = ? AND facet = ? AND at = ? AND key = ?", rows)
        connection.execute("DELETE FROM entry WHERE collection = ? AND key = ?", (collection, key))

    async def prune(self, collection: str, *, older_than: float, most: int) -> int:
        gone = 0
        while True:
            dropped = await self._run(self._prune, collection, older_than, most)
            gone += dropped
            if dropped < _MOST_DROPPED:
                return gone

    def _prune(self, collection: str, older_than: float, most: int) -> int:
        with self._transaction() as connection:
            (held,) = connection.execute("SELECT count(*) FROM entry WHERE collection = ?", (collection,)).fetchone()
            oldest = "SELECT key FROM entry WHERE collection = ? AND at < ? ORDER BY at, key LIMIT ?"
            keys = connection.execute(oldest, (collection, older_than, _MOST_DROPPED)).fetchall()
            if len(keys) < min(held - most, _MOST_DROPPED):
                keys = connection.execute(oldest, (collection, _LATEST, min(held - most, _MOST_DROPPED))).fetchall()
            for (key,) in keys:
                self._forget(connection, collection, key)
            return len(keys)

    async def clear(self) -> None:
        await self._run(self._clear)

    def _clear(self) -> None:
        with self._transaction() as connection:
            connection.execute("DELETE FROM facet")
            connection.execute("DELETE FROM entry")

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise

    # ── reading ──

    async def get(self, collection: str, keys: Iterable[str]) -> dict[str, bytes]:
        return await self._run(self._get, collection, list(keys))

    def _get(self, collection: str, keys: list[str]) -> dict[str, bytes]:
        found = {}
        for key in keys:
            row = self._connection.execute("SELECT body FROM entry WHERE collection = ? AND key = ?", (collection, key)).fetchone()
            if row is not None:
                found[key] = zlib.decompress(row[0])
        return found

    async def find(
        self,
        collection: str,
        partition: str,
        *,
        facets: Sequence[str] = (),
        since: float = 0.0,
        until: float | None = None,
        before: Position | None = None,
        limit: int = 100,
    ) -> list[Entry]:
        latest = (until if until is not None else _LATEST, "\U0010ffff")
        return await self._run(self._find, collection, partition, tuple(facets), since, min(before or latest, latest), limit)

    def _find(self, collection: str, part: str, facets: tuple[str, ...], since: float, before: Position, limit: int) -> list[Entry]:
        """Along the first facet, which whoever asks puts where it narrows most, looking the others up."""
        if facets:
            first, *others = facets
            source, given = "facet AS place", [collection, part, first]
            narrowed = "place.collection = ? AND place.part = ? AND place.facet = ?"
            also = "".join(
                " AND EXISTS (SELECT 1 FROM facet AS f WHERE f.collection = place.collection AND f.part = place.part"
                " AND f.facet = ? AND f.at = place.at AND f.key = place.key)"
                for _ in others
            )
            query = f"SELECT place.key FROM {source} WHERE {narrowed}"
        else:
            others, given, also = [], [collection, part], ""
            query = "SELECT place.key FROM entry AS place WHERE place.collection = ? AND place.part = ?"
        query += f" AND place.at >= ? AND (place.at, place.key) < (?, ?){also} ORDER BY place.at DESC, place.key DESC LIMIT ?"
        keys = self._connection.execute(query, (*given, since, *before, *others, limit)).fetchall()
        return [self._entry(collection, key) for (key,) in keys]

    def _entry(self, collection: str, key: str) -> Entry:
        row = self._connection.execute("SELECT part, at, facets, body FROM entry WHERE collection = ? AND key = ?", (collection, key))
        part, at, facets, body = row.fetchone()
        return Entry(key=key, partition=part, at=at, body=zlib.decompress(body), facets=tuple(facets.split(_AND)) if facets else ())

    async def count(self, collection: str) -> int:
        return await self._run(self._count, collection)

    def _count(self, collection: str) -> int:
        (count,) = self._connection.execute("SELECT count(*) FROM entry WHERE collection = ?", (collection,)).fetchone()
        return int(count)

    async def _run(self, fn: Callable[..., R], *arguments: object) -> R:
        try:
            return await self._thread.run(fn, *arguments)
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"the archive: {error}") from error


def _opened(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        aside = path.with_suffix(".broken")
        log.error("%s cannot be read (%s): moved to %s, and begun anew", path, error, aside.name)
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                path.with_name(path.name + suffix).replace(aside.with_name(aside.name + suffix))
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    path.touch(mode=0o600, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.executescript(_SCHEMA)
        connection.execute("SELECT count(*) FROM facet").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
