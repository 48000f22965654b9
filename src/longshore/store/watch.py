"""Who wants to hear of which changes: one bounded queue per watcher.

The writer looks watchers up by kind and, where they asked for one index value, by that value; a watcher whom a change does not
concern costs nothing. A watcher that falls too far behind gets one `lost` batch in place of everything it missed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any

from longshore.kit.resource import Kind
from longshore.store.base import Batch, Change, StoreError

#: Changes that may wait in one queue.
MOST_WAITING = 65_536


class WatchClosed(StoreError):
    """This watch was closed, or its store was."""


class QueueWatch:
    """One watcher's queue."""

    def __init__(self, watches: Watches, kinds: tuple[Kind[Any], ...], index: str | None, value: str | None) -> None:
        self._watches = watches
        self.kinds = kinds
        self.index = index
        self.value = value
        self._batches: deque[Batch] = deque()
        self._waiting = 0
        self._arrived = asyncio.Event()
        self._closed = False

    def __repr__(self) -> str:
        of = ", ".join(kind.name for kind in self.kinds)
        where = "" if self.index is None else f" with {self.index} {self.value}"
        return f"QueueWatch({of}{where}: {self._waiting} changes waiting)"

    def push(self, batch: Batch) -> None:
        self._waiting += len(batch.changes)
        if self._waiting > MOST_WAITING:
            self._batches.clear()
            self._waiting = 0
            batch = Batch(batch.revision, lost=True)
        elif self._batches and self._batches[0].lost:
            # The watcher has yet to hear that it must list everything again; that will cover this batch too.
            self._batches.clear()
            self._waiting = 0
            batch = Batch(batch.revision, lost=True)
        self._batches.append(batch)
        self._arrived.set()

    async def next(self) -> Batch:
        while not self._closed:
            if self._batches:
                batch = self._batches.popleft()
                self._waiting -= len(batch.changes)
                return batch
            self._arrived.clear()
            await self._arrived.wait()
        raise WatchClosed(f"{self!r} is closed")

    async def merged(self) -> AsyncIterator[Batch]:
        """Like iterating, but everything that waits comes as one batch: for whoever answers many changes as cheaply as one."""
        async for batch in self:
            if not self._batches:
                yield batch
                continue
            waiting, self._batches, self._waiting = [batch, *self._batches], deque(), 0
            changes = tuple(change for one in waiting for change in one.changes)
            yield Batch(waiting[-1].revision, changes, lost=any(one.lost for one in waiting))

    async def _until_closed(self) -> AsyncIterator[Batch]:
        while True:
            try:
                batch = await self.next()
            except WatchClosed:
                return
            yield batch

    def __aiter__(self) -> AsyncIterator[Batch]:
        return self._until_closed()

    def close(self) -> None:
        self._closed = True
        self._arrived.set()
        self._watches.forget(self)


class Watches:
    """All watchers of one store."""

    def __init__(self) -> None:
        self._by_kind: dict[Kind[Any], set[QueueWatch]] = {}
        #: kind -> index -> value -> watchers
        self._by_value: dict[Kind[Any], dict[str, dict[str, set[QueueWatch]]]] = {}

    def subscribe(self, kinds: tuple[Kind[Any], ...], index: str | None, value: str | None) -> QueueWatch:
        if index is not None:
            if len(kinds) != 1 or value is None:
                raise StoreError("a watch by index is for one kind and one value")
            if index not in kinds[0].indexes:
                raise StoreError(f"{kinds[0]!r} has no index {index}")
        watch = QueueWatch(self, kinds, index, value)
        if index is not None and value is not None:
            self._by_value.setdefault(kinds[0], {}).setdefault(index, {}).setdefault(value, set()).add(watch)
        else:
            for kind in kinds:
                self._by_kind.setdefault(kind, set()).add(watch)
        return watch

    def forget(self, watch: QueueWatch) -> None:
        if watch.index is None or watch.value is None:
            for kind in watch.kinds:
                self._by_kind.get(kind, set()).discard(watch)
            return
        kind = watch.kinds[0]
        values = self._by_value.get(kind, {}).get(watch.index, {})
        watchers = values.get(watch.value)
        if watchers is None:
            return
        watchers.discard(watch)
        # Leave no empty rung behind: the writer computes index values only where somebody listens.
        if not watchers:
            del values[watch.value]
        if not values:
            self._by_value[kind].pop(watch.index, None)
        if not self._by_value[kind]:
            del self._by_value[kind]

    def publish(self, revision: int, changes: tuple[Change[Any], ...]) -> None:
        """Tell everyone concerned of one revision, each of its own changes in the order they were made."""
        concerned: dict[QueueWatch, list[Change[Any]]] = {}
        for change in changes:
            for watch in self._by_kind.get(change.kind, ()):
                concerned.setdefault(watch, []).append(change)
            for index, values in self._by_value.get(change.kind, {}).items():
                for value in _places(change, index):
                    for watch in values.get(value, ()):
                        concerned.setdefault(watch, []).append(change)
        if not concerned:
            return
        whole = Batch(revision, changes)
        for watch, theirs in concerned.items():
            watch.push(whole if len(theirs) == len(changes) else Batch(revision, tuple(theirs)))

    def close(self) -> None:
        everyone = {watch for watchers in self._by_kind.values() for watch in watchers}
        for indexes in self._by_value.values():
            for values in indexes.values():
                everyone.update(watch for watchers in values.values() for watch in watchers)
        for watch in everyone:
            watch.close()


def _places(change: Change[Any], index: str) -> Iterable[str]:
    """The values under which the resource was or is found."""
    place = change.kind.indexes[index]
    if change.old is None:
        return set(place(change.new))
    if change.new is None:
        return set(place(change.old))
    return {*place(change.old), *place(change.new)}
