"""Everything the store holds, in memory and in order: the side that is read.

One `Table` per kind: values by key, keys in order, secondary indexes, totals. Only the writer changes it, only after the commit,
and without an await in between; readers therefore see whole revisions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from longshore.kit.resource import Kind
from longshore.store.base import StoreError
from longshore.store.facts import Facts, Ledger, facts_of, no_facts
from longshore.store.keys import Keys

T = TypeVar("T")


class Table(Ledger[T]):
    """All resources of one kind."""

    __slots__ = ("decoder", "indexes", "keys", "nothing", "revisions", "totals", "values")

    def __init__(self, kind: Kind[T]) -> None:
        super().__init__(kind)
        self.nothing = no_facts(kind)
        self.decoder = msgspec.msgpack.Decoder(kind.type)
        self.values: dict[str, T] = {}
        self.revisions: dict[str, int] = {}
        self.keys = Keys()
        self.indexes: dict[str, dict[str, Keys]] = {name: {} for name in kind.indexes}
        #: per total and group: how many resources are in it, then the sums
        self.totals: dict[str, dict[str, tuple[int, ...]]] = {name: {} for name in kind.totals}

    def write(self, key: str, value: T | None, revision: int, was: Facts, now: Facts) -> None:
        """Store `value` (None: delete); `was` and `now` are the facts of what is there and of what comes."""
        if value is None:
            if self.values.pop(key, None) is not None:
                del self.revisions[key]
                self.keys.remove(key)
        else:
            if key not in self.values:
                self.keys.add(key)
            self.values[key] = value
            self.revisions[key] = revision
        self.move(key, was, now)

    def facts(self, key: str) -> Facts:
        value = self.values.get(key)
        return self.nothing if value is None else facts_of(self.kind, value)

    def enter(self, index: str, value: str, key: str) -> None:
        places = self.indexes[index]
        keys = places.get(value)
        if keys is None:
            keys = places[value] = Keys()
        keys.add(key)

    def leave(self, index: str, value: str, key: str) -> None:
        places = self.indexes[index]
        keys = places[value]
        keys.remove(key)
        if not keys:
            del places[value]

    def add(self, total: str, group: str, members: int, amounts: tuple[int, ...]) -> None:
        groups = self.totals[total]
        standing = groups.get(group)
        if standing is None:
            groups[group] = (members, *amounts)
            return
        if standing[0] + members == 0:
            del groups[group]
            return
        groups[group] = (standing[0] + members, *(a + b for a, b in zip(standing[1:], amounts, strict=True)))

    def found(self, index: str | None, value: str | None) -> Keys | None:
        """The ordered keys of the whole table, or of those under `value`; None when there are none."""
        if index is None:
            return self.keys
        if value is None:
            raise StoreError(f"no value given for index {index} of {self.kind!r}")
        try:
            return self.indexes[index].get(value)
        except KeyError:
            raise StoreError(f"{self.kind!r} has no index {index}") from None

    def page(self, index: str | None, value: str | None, after: str | None, limit: int | None) -> list[str]:
        keys = self.found(index, value)
        return [] if keys is None else keys.page(after, limit)

    def total(self, name: str, group: str) -> tuple[int, ...]:
        try:
            standing = self.totals[name].get(group)
        except KeyError:
            raise StoreError(f"{self.kind!r} has no total {name}") from None
        return (0,) * self.kind.totals[name].width if standing is None else standing[1:]


class View:
    """The tables of all kinds, and the revision they are at."""

    def __init__(self, kinds: Iterable[Kind[Any]]) -> None:
        self.revision = 0
        self.tables: dict[Kind[Any], Table[Any]] = {}
        names: set[str] = set()
        for kind in kinds:
            if kind.name in names:
                raise StoreError(f"two kinds are named {kind.name}")
            if unknown := kind.unique - kind.indexes.keys():
                raise StoreError(f"{kind!r} declares {', '.join(sorted(unknown))} unique, which is no index of it")
            names.add(kind.name)
            self.tables[kind] = Table(kind)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(table.keys)} {kind.name}" for kind, table in self.tables.items() if table.values)
        return f"View(revision {self.revision}: {counts or 'empty'})"

    def table(self, kind: Kind[T]) -> Table[T]:
        try:
            return self.tables[kind]
        except KeyError:
            raise StoreError(f"this store does not keep {kind!r}") from None

    def get(self, kind: Kind[T], key: str) -> T | None:
        try:
            table: Table[T] = self.tables[kind]
        except KeyError:
            raise StoreError(f"this store does not keep {kind!r}") from None
        return table.values.get(key)

    def count(self, kind: Kind[Any], index: str | None = None, value: str | None = None) -> int:
        keys = self.table(kind).found(index, value)
        return 0 if keys is None else len(keys)

    def total(self, kind: Kind[Any], name: str, group: str) -> tuple[int, ...]:
        return self.table(kind).total(name, group)

    def revision_of(self, kind: Kind[Any], key: str) -> int:
        return self.table(kind).revisions.get(key, 0)

    def load(self, kind: Kind[T], key: str, value: T, revision: int) -> None:
        """Take in a stored resource that is not there yet; quickest in key order."""
        table = self.table(kind)
        table.write(key, value, revision, table.nothing, facts_of(kind, value))

    def everything(self) -> Iterator[tuple[Kind[Any], str, Any]]:
        for kind, table in self.tables.items():
            for key, value in table.values.items():
                yield kind, key, value

    def clear(self) -> None:
        self.tables = {kind: Table(kind) for kind in self.tables}

    def list(
        self,
        kind: Kind[T],
        index: str | None = None,
        value: str | None = None,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[T]:
        table = self.table(kind)
        values = table.values
        return [values[key] for key in table.page(index, value, after, limit)]
