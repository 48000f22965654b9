"""The store of one process: a view, the writer that changes it, and a log behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from longshore.kit.resource import Kind
from longshore.store.base import Tx
from longshore.store.lease import Leases
from longshore.store.log import Log
from longshore.store.overlay import Overlay
from longshore.store.view import View
from longshore.store.watch import QueueWatch, Watches
from longshore.store.writer import Writer

T = TypeVar("T")
R = TypeVar("R")


class LocalStore:
    """A `Store` (see base.py). `view` is what `log` holds at its revision, and `epoch` the last one it has given out."""

    def __init__(self, view: View, log: Log, *, epoch: int = 0, unknown_kinds: Mapping[str, int] | None = None) -> None:
        self._view = view
        self._log = log
        self._watches = Watches()
        self._leases = Leases()
        self._writer = Writer(view, log, self._watches, self._leases, epoch)
        self._writer.start()
        #: kinds found in the log that nobody declared, with how many resources each has; they are left alone
        self.unknown_kinds: Mapping[str, int] = unknown_kinds or {}

    def __repr__(self) -> str:
        return f"LocalStore({self._log!r}, {self._view!r})"

    @property
    def revision(self) -> int:
        return self._view.revision

    def get(self, kind: Kind[T], key: str) -> T | None:
        return self._view.get(kind, key)

    def count(self, kind: Kind[Any], index: str | None = None, value: str | None = None) -> int:
        return self._view.count(kind, index, value)

    def total(self, kind: Kind[Any], name: str, group: str) -> tuple[int, ...]:
        return self._view.total(kind, name, group)

    def revision_of(self, kind: Kind[Any], key: str) -> int:
        return self._view.revision_of(kind, key)

    async def transact(self, fn: Callable[[Tx], R], *, epoch: int | None = None) -> R:
        return await self._writer.submit(fn, epoch)

    def watch(self, *kinds: Kind[Any], index: str | None = None, value: str | None = None) -> QueueWatch:
        """Without any kind: every kind there is."""
        for kind in kinds:
            self._view.table(kind)
        return self._watches.subscribe(kinds or tuple(self._view.tables), index, value)

    async def read_barrier(self) -> None:
        """Nothing to wait for: whatever was acknowledged was acknowledged here."""

    async def acquire_lease(self, name: str) -> int:
        """At once; an earlier holder of `name` is fenced off from here on."""
        epoch = await self._writer.submit(Overlay.raise_epoch)
        self._leases.grant(name, epoch)
        return epoch

    async def reset(self) -> None:
        await self._writer.submit(None)

    async def reseal(self, most: int) -> int:
        return await self._log.reseal(most)

    async def close(self) -> None:
        """Write what is queued, end all watches, let go of the log."""
        await self._writer.close()
        self._watches.close()
        await self._log.close()

    def list(
        self,
        kind: Kind[T],
        index: str | None = None,
        value: str | None = None,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[T]:
        return self._view.list(kind, index, value, after=after, limit=limit)
