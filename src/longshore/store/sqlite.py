"""The durable log in one SQLite file, and the store opened from it.

WAL with synchronous=FULL: a commit is on the disk before anybody hears of it. All statements run on one thread of their own, one
hop per batch. Bodies are msgpack of the Structs: members unknown to this version are ignored, members added since are defaulted.
Those of kinds that hold secrets are sealed on their way to the file (`sealed_rows.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from longshore.kit.resource import Kind
from longshore.kit.sealing import MARK, Keys
from longshore.store.base import Reader, StoreError, StoreUnavailable
from longshore.store.local import LocalStore
from longshore.store.lock import DirectoryLock
from longshore.store.log import Row
from longshore.store.sealed_rows import SealedRows
from longshore.store.thread import OneThread
from longshore.store.view import View

R = TypeVar("R")

#: the keys that rows are sealed with, or who finds them; told what is kept that is not sealed, and how many rows are
KeysOf = Keys | Callable[[Reader, int], Keys]

logger = logging.getLogger(__name__)

FILE_NAME = "longshore.db"

#: How soon a busy event loop gives way to the thread that commits. With Python's own 5 ms, a loop that never idles but looks for
#: sockets every fraction of a millisecond keeps the thread from ever getting its turn: commits were measured to take seconds.
GIVE_WAY_S = 5e-5

#: Step n leads from format n to n + 1. Steps are never changed once released, only added.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # With rowids on purpose: bodies are long for an index, and as rows in order of arrival they fill pages and append to them.
        """CREATE TABLE object (
               kind TEXT NOT NULL, key TEXT NOT NULL, revision INTEGER NOT NULL,
               schema INTEGER NOT NULL DEFAULT 1,  -- of the body, for changes that defaults cannot bridge
               body BLOB NOT NULL,
               PRIMARY KEY (kind, key)
           )""",
        """CREATE TABLE meta (
               id INTEGER PRIMARY KEY CHECK (id = 1),
               revision INTEGER NOT NULL, epoch INTEGER NOT NULL, format INTEGER NOT NULL
           )""",
        "INSERT INTO meta VALUES (1, 0, 0, 0)",
    ),
    (
        # Kinds of which nothing in plain is left (store/sealed_rows.py), separated by commas.
        "ALTER TABLE meta ADD COLUMN scrubbed TEXT NOT NULL DEFAULT ''",
    ),
)

#: In key order, in which the view takes them in quickest.
SELECT = "SELECT key, revision, body FROM object WHERE kind = ? ORDER BY key"
UPSERT = """INSERT INTO object (kind, key, revision, body) VALUES {}
            ON CONFLICT (kind, key) DO UPDATE SET revision = excluded.revision, body = excluded.body"""
#: Every statement lets go of the interpreter and has to queue for it again behind a busy event loop, so a batch is written with as
#: few as possible: up to so many rows are one statement and with that a transaction of their own; each length is prepared once.
MOST_IN_STATEMENT = 64
#: Rows per statement, to statement, for what is longer.
UPSERTS = {rows: UPSERT.format(", ".join(["(?, ?, ?, ?)"] * rows)) for rows in (256, *range(MOST_IN_STATEMENT, 0, -1))}
DELETE = "DELETE FROM object WHERE kind = ? AND key = ?"
META = "UPDATE meta SET revision = ?, epoch = ?"


class SqliteLog:
    """The file and its thread. `prepare` and `load` come first, once each."""

    def __init__(self, directory: Path, lock: DirectoryLock, *, most_pages: int | None = None) -> None:
        """`most_pages` bounds the file's size, in pages of 4 KiB."""
        self.path = directory / FILE_NAME
        sys.setswitchinterval(min(GIVE_WAY_S, sys.getswitchinterval()))
        self._lock = lock
        self._most_pages = most_pages
        self._thread = OneThread("store")
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._epoch = 0
        self._sealing = SealedRows((), None)

    def __repr__(self) -> str:
        return str(self.path)

    async def on_thread(self, fn: Callable[..., R], *arguments: Any) -> R:
        return await self._thread.run(fn, *arguments)

    async def append(self, rows: list[Row], revision: int, epoch: int) -> None:
        await self.on_thread(self._append, rows, revision, epoch)

    async def wipe(self, revision: int, epoch: int) -> None:
        await self.on_thread(self._wipe, revision, epoch)

    async def reseal(self, most: int) -> int:
        return await self.on_thread(self._reseal, most)

    async def close(self) -> None:
        """Leave one tidy file behind, then let the next server in. Closing twice is fine."""
        if self._closed:
            return
        self._closed = True
        try:
            await self.on_thread(self._close)
        finally:
            self._thread.end()
            self._lock.release()

    # -- on the thread ---------------------------------------------------------------------------------------------------------

    @property
    def _database(self) -> sqlite3.Connection:
        assert self._connection is not None, "prepare comes first"
        return self._connection

    def prepare(self) -> None:
        """Open the file, creating it or bringing it up to this version's format."""
        try:
            self._keep_from_others()
            self._connection = database = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, cached_statements=2 * MOST_IN_STATEMENT
            )
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            # The write-ahead log is folded into the file every 16 MiB, and not left larger than four times that by a burst.
            database.execute("PRAGMA wal_autocheckpoint = 4000")
            database.execute("PRAGMA journal_size_limit = 67108864")
            if self._most_pages is not None:
                database.execute(f"PRAGMA max_page_count = {self._most_pages}")
            self._migrate()
        except (sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"cannot open {self.path}: {error}") from error

    def _keep_from_others(self) -> None:
        """Secret keys lie in the file, so it is its owner's alone, whatever the directory is; SQLite makes its other files alike."""
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        for beside in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.chmod(f"{self.path}{beside}", 0o600)

    def _migrate(self) -> None:
        database = self._database
        fresh = database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone() is None
        found: int = 0 if fresh else database.execute("SELECT format FROM meta").fetchone()[0]
        if found > len(MIGRATIONS):
            raise StoreError(
                f"{self.path} was written by a newer Longshore (format {found}, this one knows {len(MIGRATIONS)}):"
                " use that version, or another data directory"
            )
        for number, statements in enumerate(MIGRATIONS[found:], start=found + 1):
            database.execute("BEGIN IMMEDIATE")
            for statement in statements:
                database.execute(statement)
            database.execute("UPDATE meta SET format = ?", (number,))
            database.execute("COMMIT")
            logger.info("store: %s is at format %d", self.path, number)

    def load(self, view: View, keys: KeysOf | None = None) -> tuple[int, dict[str, int]]:
        """Fill `view`; the last epoch given out, and how many resources there are of each kind that `view` does not know."""
        kinds = {kind.name: kind for kind in view.tables}
        sealed: list[tuple[Kind[Any], str, int, bytes]] = []
        unknown: dict[str, int] = {}
        # The collector would walk every resource loaded so far, again and again, and find nothing.
        collecting = gc.isenabled()
        gc.disable()
        try:
            view.revision, self._epoch = self._database.execute("SELECT revision, epoch FROM meta").fetchone()
            by_kind = "SELECT kind, count(*), max(revision) FROM object GROUP BY kind"
            for name, count, newest in self._database.execute(by_kind).fetchall():
                view.revision = max(view.revision, newest)
                if name in kinds:
                    self._load_kind(view, kinds[name], sealed)
                else:
                    unknown[name] = count
            self._sealing = SealedRows(kinds.values(), keys(view, len(sealed)) if callable(keys) else keys)
            for kind, key, revision, body in sealed:
                self._load_row(view, kind, key, revision, self._sealing.opened(kind.name, key, body))
            self._sealing.settle(self._database)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot read {self.path}: {error}") from error
        finally:
            if collecting:
                gc.enable()
        return self._epoch, unknown

    def _load_kind(self, view: View, kind: Kind[Any], sealed: list[tuple[Kind[Any], str, int, bytes]]) -> None:
        """Rows that are sealed are put aside."""
        for key, revision, body in self._database.execute(SELECT, (kind.name,)):
            if kind.sealed and body[:1] == MARK:
                sealed.append((kind, key, revision, body))
            else:
                self._load_row(view, kind, key, revision, body)

    def _load_row(self, view: View, kind: Kind[Any], key: str, revision: int, body: bytes) -> None:
        try:
            value = view.table(kind).decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise StoreError(f"{self.path}: {kind.name} {key} cannot be read: {error}") from error
        view.load(kind, key, value, revision)

    def _append(self, rows: list[Row], revision: int, epoch: int) -> None:
        database = self._database
        if self._sealing.names:
            rows = [self._sealing.sealed(row) for row in rows]
        try:
            if len(rows) <= MOST_IN_STATEMENT and epoch == self._epoch and all(row.body is not None for row in rows):
                # One statement is its own transaction: `load` takes the newest revision from the rows, too.
                database.execute(UPSERTS[len(rows)], [column for row in rows for column in row])
                return
            database.execute("BEGIN IMMEDIATE")
            self._upsert([row for row in rows if row.body is not None])
            if deleted := [(row.kind, row.key) for row in rows if row.body is None]:
                database.executemany(DELETE, deleted)
            database.execute(META, (revision, epoch))
            database.execute("COMMIT")
            self._epoch = epoch
        except sqlite3.Error as error:
            self._give_up(error)

    def _upsert(self, rows: list[Row]) -> None:
        first = 0
        for length, statement in UPSERTS.items():
            while len(rows) - first >= length:
                self._database.execute(statement, [column for row in rows[first : first + length] for column in row])
                first += length

    def _wipe(self, revision: int, epoch: int) -> None:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("DELETE FROM object")
            self._database.execute(META, (revision, epoch))
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error)

    def _reseal(self, most: int) -> int:
        try:
            return self._sealing.reseal(self._database, most)
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: sqlite3.Error) -> NoReturn:
        if self._database.in_transaction:
            try:
                self._database.execute("ROLLBACK")
            except sqlite3.Error:
                pass  # SQLite has rolled back by itself
        raise StoreUnavailable(f"cannot write {self.path}: {error}") from error

    def _close(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            logger.warning("store: %s is closed with its write-ahead log: %s", self.path, error)
        self._connection.close()
        self._connection = None


def _claim(directory: Path) -> DirectoryLock:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    return DirectoryLock(directory)


async def open_store(
    directory: Path, kinds: Iterable[Kind[Any]], keys: KeysOf | None = None, *, most_pages: int | None = None
) -> LocalStore:
    """The store in `directory`, which is created if need be. `keys` are needed where any of `kinds` is sealed.

    Raises StoreLocked when a server runs there, StoreUnavailable when the disk or the file will not do, and StoreError when a
    newer Longshore wrote it, or a row does not open; and whatever is raised where keys are looked for.
    """
    view = View(kinds)
    lock = await asyncio.to_thread(_claim, directory)
    log = SqliteLog(directory, lock, most_pages=most_pages)
    try:
        await log.on_thread(log.prepare)
        epoch, unknown = await log.on_thread(log.load, view, keys)
    except BaseException:
        await log.close()
        raise
    for name, count in unknown.items():
        logger.warning("store: leaving %d resources of unknown kind %s alone", count, name)
    return LocalStore(view, log, epoch=epoch, unknown_kinds=unknown)
