"""The event log's twin without a disk, for tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from longshore.store.event_log import KEPT_BYTES, KEPT_S, MOST_LOOKED_AT, Entry, Page, Query, Recorded, position_at


class Growth:
    """Who waits for more in a log."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._over = False

    @property
    def over(self) -> bool:
        return self._over

    def tell(self) -> None:
        event, self._event = self._event, asyncio.Event()
        event.set()

    def end(self) -> None:
        self._over = True
        self.tell()

    async def wait(self) -> None:
        await self._event.wait()


class MemoryEventLog:
    def __init__(self, *, kept_s: float = KEPT_S, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_s = kept_s
        self._kept_bytes = kept_bytes
        self._entries: list[tuple[int, Entry]] = []
        self._marks: dict[str, int] = {}
        self._newest = 0
        self._dropped = 0
        self._growth = Growth()

    def __repr__(self) -> str:
        return f"MemoryEventLog({len(self._entries)} entries)"

    @property
    def newest(self) -> int:
        return self._newest

    async def append(self, entries: Sequence[Entry], now: float, forget: Iterable[str] = ()) -> int:
        before = self._newest
        for entry in entries:
            if entry.subject:
                if entry.version <= self._marks.get(entry.subject, 0):
                    continue
                self._marks[entry.subject] = entry.version
            self._newest = max(self._newest + 1, position_at(now))
            self._entries.append((self._newest, entry))
        for subject in forget:
            self._marks.pop(subject, None)
        if self._newest != before:
            self._growth.tell()
        return self._newest

    async def marks(self) -> dict[str, int]:
        return dict(self._marks)

    async def read(self, query: Query, after: int, limit: int) -> Page:
        missed = 0 < after < self._dropped
        behind = [one for one in self._entries if one[0] > after]
        found: list[Recorded] = []
        for position, entry in behind[:MOST_LOOKED_AT]:
            if _matches(query, entry):
                found.append(Recorded(position, entry.type, entry.body))
                if len(found) == limit:
                    return Page(tuple(found), position, position < self._newest, missed)
        if len(behind) > MOST_LOOKED_AT:
            return Page(tuple(found), behind[MOST_LOOKED_AT - 1][0], more=True, missed=missed)
        return Page(tuple(found), max(after, self._newest), missed=missed)

    async def last(self, query: Query, limit: int) -> Page:
        found: list[Recorded] = []
        for position, entry in reversed(self._entries[-MOST_LOOKED_AT:]):
            if len(found) < limit and _matches(query, entry):
                found.append(Recorded(position, entry.type, entry.body))
        return Page(tuple(reversed(found)), self._newest)

    async def grown(self, after: int) -> None:
        while self._newest <= after and not self._growth.over:
            await self._growth.wait()

    def end_waiting(self) -> None:
        self._growth.end()

    async def trim(self, now: float) -> int:
        size = sum(len(entry.body) for _, entry in self._entries)
        gone = 0
        for position, entry in self._entries:
            if position >= position_at(now - self._kept_s) and size <= self._kept_bytes:
                break
            size -= len(entry.body)
            self._dropped = position
            gone += 1
        del self._entries[:gone]
        return gone

    async def clear(self) -> None:
        self._entries.clear()
        self._marks.clear()
        self._dropped = self._newest

    async def close(self) -> None:
        self._growth.end()


def _matches(query: Query, entry: Entry) -> bool:
    return (
        entry.scope == query.scope
        and (not query.source or entry.source == query.source)
        and (not query.types or entry.type in query.types)
        and all(label in entry.labels for label in query.labels)
    )
