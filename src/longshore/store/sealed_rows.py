"""Rows of kinds that hold secrets: encrypted in the database file, and nothing of them left there in plain.

A sealed body begins with a byte that no msgpack begins with, so a row tells by itself what it is: rows that were written before their
kind was sealed are read as they are. They are rewritten when the store opens, and then the file is made anew without its free
pages, where older contents lie, and the write-ahead log is emptied. Which kinds that has been done for is noted in the file itself,
last: a start that is cut short does it again. Everything here runs on the store's thread.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from typing import Any

from longshore.kit.resource import Kind
from longshore.kit.sealing import MARK, Keyring, Keys, SealBroken, generation_of, is_sealed_anew, seal, unseal
from longshore.store.base import StoreError
from longshore.store.log import Row

logger = logging.getLogger(__name__)

UPDATE = "UPDATE object SET body = ? WHERE kind = ? AND key = ?"


class SealedRows:
    """What the log asks about bodies on their way to the file and back. Without `keys` there may be no kind that is sealed."""

    def __init__(self, kinds: Iterable[Kind[Any]], keys: Keys | None) -> None:
        self.names = frozenset(kind.name for kind in kinds if kind.sealed)
        if self.names and keys is None:
            raise ValueError(f"{', '.join(sorted(self.names))} cannot be kept without keys to seal with")
        #: marks are what tells sealed bodies, so even a single secret is a generation here
        self._keys = Keyring.of(keys) if isinstance(keys, bytes) else keys

    def __repr__(self) -> str:
        return f"SealedRows({len(self.names)} kinds, {self._keys!r})"

    def sealed(self, row: Row) -> Row:
        if row.body is None or row.kind not in self.names or self._keys is None:
            return row
        return row._replace(body=seal(self._keys, _purpose(row.kind), row.body, row.key.encode()))

    def opened(self, kind: str, key: str, body: bytes) -> bytes:
        """As it was given to `sealed`. Raises StoreError."""
        if self._keys is None:
            raise StoreError(f"{kind} {key} is sealed, and there are no keys to open it with")
        try:
            return unseal(self._keys, _purpose(kind), body, key.encode())
        except SealBroken:
            raise StoreError(
                f"{kind} {key} does not open: it was changed, or sealed by a key that is not here (generation {generation_of(body)})"
            ) from None

    def settle(self, database: sqlite3.Connection) -> None:
        """Leaves nothing in plain of kinds that are to be sealed, wherever in the file it was."""
        noted = set(filter(None, database.execute("SELECT scrubbed FROM meta").fetchone()[0].split(",")))
        wanted = self.names - noted
        if not wanted:
            return
        was_used = database.execute("SELECT 1 FROM object LIMIT 1").fetchone() or database.execute("PRAGMA freelist_count").fetchone()[0]
        if was_used:
            database.execute("PRAGMA secure_delete = ON")
            database.execute("BEGIN IMMEDIATE")
            rewritten = sum(self._seal_plain(database, kind) for kind in sorted(wanted))
            database.execute("COMMIT")
            logger.info("store: %d rows of %s are sealed from now on", rewritten, ", ".join(sorted(wanted)))
            try:
                # Whatever was written over before lies in free pages, and in the log of what is on its way to the file.
                database.execute("VACUUM")
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                logger.warning("store: older contents of these rows may be left in the file, the next start tries again: %s", error)
                return
            finally:
                database.execute("PRAGMA secure_delete = OFF")
        database.execute("UPDATE meta SET scrubbed = ?", (",".join(sorted(noted | wanted)),))

    def _seal_plain(self, database: sqlite3.Connection, kind: str) -> int:
        plain = "SELECT key, revision, body FROM object WHERE kind = ? AND substr(body, 1, 1) != ?"
        rows = [self.sealed(Row(kind, *found)) for found in database.execute(plain, (kind, MARK)).fetchall()]
        database.executemany(UPDATE, [(row.body, row.kind, row.key) for row in rows])
        return len(rows)

    def reseal(self, database: sqlite3.Connection, most: int) -> int:
        """Seals up to `most` rows with the current generation that another one has sealed; how many there were."""
        keys = self._keys
        if keys is None:
            return 0
        found: list[tuple[str, str, bytes]] = []
        for kind in sorted(self.names):
            rows = database.execute("SELECT key, body FROM object WHERE kind = ?", (kind,))
            found.extend((kind, key, body) for key, body in rows if not is_sealed_anew(keys, body))
            if len(found) >= most:
                break
        anew = [self.sealed(Row(kind, key, 0, self.opened(kind, key, body))) for kind, key, body in found[:most]]
        if anew:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(UPDATE, [(row.body, row.kind, row.key) for row in anew])
            database.execute("COMMIT")
        return len(anew)


def _purpose(kind: str) -> str:
    return f"row:{kind}"
