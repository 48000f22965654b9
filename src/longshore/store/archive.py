"""What is over and only looked up now and then: kept on the disk, not in memory, and found by time and by facets.

The store holds in memory everything that is alive, and is read back whole at every start. The past would make both grow without
end, so it is handed over to an archive: entries that are written once (or once more, whole), looked up by their key, or listed
newest first, and dropped when they are old or too many. Collections keep apart what is of different kinds; a partition is what a
listing is confined to; facets are what it may be narrowed by.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

#: where a page ended: (time, key) of its last entry
Position = tuple[float, str]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    #: what it is listed by; entries of no partition are found by their key only
    partition: str = ""
    #: seconds since the epoch
    at: float
    body: bytes
    facets: tuple[str, ...] = ()


class Archive(Protocol):
    """Every method but `close` raises StoreUnavailable when the disk refuses."""

    async def put(self, collection: str, entries: Sequence[Entry]) -> None:
        """Durable when it returns. An entry takes the place of one with the same key."""

    async def get(self, collection: str, keys: Iterable[str]) -> dict[str, bytes]:
        """Bodies by key, of those that are there."""

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
        """Newest first; those that have all of `facets`, not older than `since` and not younger than `until`.

        `before` is the place of an entry: only what comes after it in this order.
        """

    async def count(self, collection: str) -> int: ...

    async def prune(self, collection: str, *, older_than: float, most: int) -> int:
        """Drop what is older, and of the rest all but the newest `most`; how many went."""

    async def clear(self) -> None:
        """Forget everything."""

    async def close(self) -> None: ...


class MemoryArchive:
    """For tests: the same promises, but for lasting."""

    def __init__(self) -> None:
        self._collections: dict[str, dict[str, Entry]] = {}

    async def put(self, collection: str, entries: Sequence[Entry]) -> None:
        self._collections.setdefault(collection, {}).update({entry.key: entry for entry in entries})

    async def get(self, collection: str, keys: Iterable[str]) -> dict[str, bytes]:
        held = self._collections.get(collection, {})
        return {key: held[key].body for key in keys if key in held}

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
        found = [
            entry
            for entry in self._collections.get(collection, {}).values()
            if entry.partition == partition
            and set(facets) <= set(entry.facets)
            and entry.at >= since
            and (until is None or entry.at <= until)
            and (before is None or (entry.at, entry.key) < before)
        ]
        return sorted(found, key=lambda entry: (entry.at, entry.key), reverse=True)[:limit]

    async def count(self, collection: str) -> int:
        return len(self._collections.get(collection, {}))

    async def prune(self, collection: str, *, older_than: float, most: int) -> int:
        held = self._collections.get(collection, {})
        kept = sorted((entry for entry in held.values() if entry.at >= older_than), key=lambda entry: (entry.at, entry.key))
        kept = kept[max(0, len(kept) - most) :]
        self._collections[collection] = {entry.key: entry for entry in kept}
        return len(held) - len(kept)

    async def clear(self) -> None:
        self._collections.clear()

    async def close(self) -> None:
        return
