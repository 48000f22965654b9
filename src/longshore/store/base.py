"""The store's seam: what everybody may ask of it, whichever engine stands behind.

One authoritative in-memory view per process, one totally ordered durable log behind it, one writer that group-commits.
Reads are synchronous look-ups in the view and are consistent until the next await. Memory changes only after the commit,
so nobody ever sees a write that a crash could take back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from longshore.kit.resource import Derivation, Derived, Kind

T = TypeVar("T")
R = TypeVar("R")
D = TypeVar("D", bound=Derived)


class StoreError(Exception):
    """The store refused or could not do what was asked."""


class Conflict(StoreError):
    """The resource changed since it was read."""


class AlreadyExists(StoreError):
    """Another resource holds that key or that unique index value."""


class Fenced(StoreError):
    """The writer's lease belongs to somebody else by now."""


class StoreUnavailable(StoreError):
    """The durable log cannot be written at present (disk full, database away); nothing was changed."""


class StoreLocked(StoreError):
    """Another process uses this data directory."""


class Change(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """One resource before and after: `old` is None for a creation, `new` is None for a deletion."""

    kind: Kind[T]
    key: str
    old: T | None
    new: T | None

    @property
    def value(self) -> T:
        """The newest value there is: the new one, or what was deleted."""
        found = self.new if self.new is not None else self.old
        assert found is not None
        return found


class Batch(msgspec.Struct, frozen=True):
    """All changes of one revision. `lost` says the watcher was too slow and must list everything again."""

    revision: int
    changes: tuple[Change[Any], ...] = ()
    lost: bool = False


class Watch(Protocol):
    def __aiter__(self) -> AsyncIterator[Batch]: ...

    async def next(self) -> Batch:
        """The next batch, waiting for it if need be."""

    def merged(self) -> AsyncIterator[Batch]:
        """Like iterating, but everything that waits comes as one batch."""

    def close(self) -> None: ...


class Reader(Protocol):
    """What can be read, from the store or inside a transaction (which sees its own writes)."""

    def get(self, kind: Kind[T], key: str) -> T | None: ...

    def list(
        self,
        kind: Kind[T],
        index: str | None = None,
        value: str | None = None,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[T]:
        """Resources in key order, all of them or those under `value` in `index`; `after` is a key, exclusive (paging)."""

    def count(self, kind: Kind[Any], index: str | None = None, value: str | None = None) -> int: ...

    def total(self, kind: Kind[Any], name: str, group: str) -> tuple[int, ...]:
        """The sums kept for `group`; zeros when nothing is in it."""

    def revision_of(self, kind: Kind[Any], key: str) -> int:
        """The revision that last wrote this resource; 0 when there is none."""


class Tx(Reader, Protocol):
    """The view inside `transact`. The function given to it is synchronous, does nothing but read and write here, and may run again."""

    def put(self, kind: Kind[T], value: T, *, expect: int | None = None) -> T:
        """Create or replace; returns what is kept (see `Kind.succeed`). `expect` is the revision read before (0: must not exist);
        otherwise raises Conflict or AlreadyExists."""

    def create(self, kind: Kind[T], value: T) -> T:
        """Create; raises AlreadyExists."""

    def delete(self, kind: Kind[Any], key: str, *, expect: int | None = None) -> None:
        """Delete if there."""

    def derived(self, derivation: Derivation[D]) -> D:
        """What `derivation` makes of everything written so far, here and in transactions before; not to be kept past this one."""


class Store(Reader, Protocol):
    @property
    def revision(self) -> int: ...

    async def transact(self, fn: Callable[[Tx], R], *, epoch: int | None = None) -> R:
        """Run `fn` and commit what it wrote, durably, before returning its result. What `fn` raises is raised here and nothing is written.

        `epoch` is a lease's: raises Fenced when the lease has moved on.
        """

    def watch(self, *kinds: Kind[Any], index: str | None = None, value: str | None = None) -> Watch:
        """Every later batch that touches one of `kinds` (of any kind, where none is given).

        With one kind, `index` and `value`: only changes from, to or under that index value.

        Subscribing and then listing without an await in between misses nothing.
        """

    async def read_barrier(self) -> None:
        """Returns when the view holds everything acknowledged anywhere before the call (at once where there is one process)."""

    async def acquire_lease(self, name: str) -> int:
        """Waits until this process leads and returns the epoch that fences its writes."""

    async def reseal(self, most: int) -> int:
        """Have up to `most` rows of sealed kinds that an older generation of keys sealed be sealed with the current one; how many
        there were. Nothing that can be read changes. Raises StoreUnavailable."""

    async def reset(self) -> None:
        """Forget everything (watchers get the deletions)."""

    async def close(self) -> None: ...
