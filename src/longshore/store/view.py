"""Everything the store holds, in memory and in order: the side that is read.

One `Table` per kind: values by key, keys in order, secondary indexes, totals. Only the writer changes it, only after the commit,
and without an await in between; readers therefore see whole revisions.

An index or a total is built when it is first asked for and kept current from then on: a restart need not wait for all of them,
and what nobody asks for costs nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import cache
from operator import add
from typing import Any, TypeVar

import msgspec
from msgspec.structs import force_setattr

from longshore.kit.resource import Derivation, Derived, Kind
from longshore.store.base import StoreError
from longshore.store.facts import Facts, Ledger, facts_of, no_facts
from longshore.store.keys import Keys

T = TypeVar("T")
D = TypeVar("D", bound=Derived)


@cache
def _decoder_of(kind: Kind[Any]) -> msgspec.msgpack.Decoder[Any]:
    """One for each kind: to make one takes as long as to read a hundred rows."""
    return msgspec.msgpack.Decoder(kind.type)


class Table(Ledger[T]):
    """All resources of one kind."""

    __slots__ = ("decoder", "indexes", "keys", "nothing", "revisions", "totals", "values")

    def __init__(self, kind: Kind[T]) -> None:
        super().__init__(kind)
        self.nothing = no_facts(kind)
        self.decoder = _decoder_of(kind)
        self.values: dict[str, T] = {}
        self.revisions: dict[str, int] = {}
        self.keys = Keys()
        #: those built so far: name -> value -> keys
        self.indexes: dict[str, dict[str, Keys]] = {}
        #: those built so far: name -> group -> how many resources are in it, then the sums
        self.totals: dict[str, dict[str, tuple[int, ...]]] = {}

    def write(self, key: str, value: T | None, revision: int, was: Facts, now: Facts) -> None:
        """Store `value` (None: delete); `was` and `now` are the facts of what is there and of what comes."""
        if value is None:
            if self.values.pop(key, None) is not None:
                del self.revisions[key]
                self.keys.remove(key)
        else:
            if key not in self.values:
                self.keys.add(key)
            self.share(value)
            self.values[key] = value
            self.revisions[key] = revision
        self.move(key, was, now)

    def share(self, value: T) -> None:
        """Have the members that recur in others refer to the one copy there is. The value is as equal to what it was as can be."""
        for name in self.kind.recurring:
            force_setattr(value, name, sys.intern(getattr(value, name)))  # type: ignore[arg-type]

    def facts(self, key: str) -> Facts:
        value = self.values.get(key)
        return self.nothing if value is None else facts_of(self.kind, value)

    def enter(self, index: str, value: str, key: str) -> None:
        places = self.indexes.get(index)
        if places is None:
            return
        keys = places.get(value)
        if keys is None:
            keys = places[value] = Keys()
        keys.add(key)

    def leave(self, index: str, value: str, key: str) -> None:
        places = self.indexes.get(index)
        if places is None:
            return
        keys = places[value]
        keys.remove(key)
        if not keys:
            del places[value]

    def add(self, total: str, group: str, members: int, amounts: tuple[int, ...]) -> None:
        groups = self.totals.get(total)
        if groups is None:
            return
        standing = groups.get(group)
        if standing is None:
            groups[group] = (members, *amounts)
        elif standing[0] + members == 0:
            del groups[group]
        else:
            groups[group] = (standing[0] + members, *map(add, standing[1:], amounts))

    def found(self, index: str | None, value: str | None) -> Keys | None:
        """The ordered keys of the whole table, or of those under `value`; None when there are none."""
        if index is None:
            return self.keys
        if value is None:
            raise StoreError(f"no value given for index {index} of {self.kind!r}")
        places = self.indexes.get(index)
        if places is None:
            places = self._build_index(index)
        return places.get(value)

    def _build_index(self, index: str) -> dict[str, Keys]:
        try:
            values_of = self.kind.indexes[index]
        except KeyError:
            raise StoreError(f"{self.kind!r} has no index {index}") from None
        self.indexes[index] = {}
        for key in self.keys.page(None, None):
            for value in set(values_of(self.values[key])):
                self.enter(index, value, key)
        return self.indexes[index]

    def page(self, index: str | None, value: str | None, after: str | None, limit: int | None) -> list[str]:
        keys = self.found(index, value)
        return [] if keys is None else keys.page(after, limit)

    def total(self, name: str, group: str) -> tuple[int, ...]:
        groups = self.totals.get(name)
        if groups is None:
            groups = self._build_total(name)
        standing = groups.get(group)
        return (0,) * self.kind.totals[name].width if standing is None else standing[1:]

    def _build_total(self, name: str) -> dict[str, tuple[int, ...]]:
        try:
            total = self.kind.totals[name]
        except KeyError:
            raise StoreError(f"{self.kind!r} has no total {name}") from None
        self.totals[name] = {}
        for value in self.values.values():
            group = total.group(value)
            if group is not None:
                self.add(name, group, 1, total.amounts(value))
        return self.totals[name]


class View:
    """The tables of all kinds, and the revision they are at."""

    def __init__(self, kinds: Iterable[Kind[Any]]) -> None:
        self.revision = 0
        self.tables: dict[Kind[Any], Table[Any]] = {}
        #: those asked for so far; the writer's alone, and ahead of the tables while a batch is on its way to the log
        self.derived: dict[Derivation[Any], Any] = {}
        #: kind -> those that hear of its changes
        self.following: dict[Kind[Any], tuple[Derived, ...]] = {}
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
        """Take in a stored resource; before anything is read, and quickest in key order."""
        table = self.tables[kind]
        table.share(value)
        table.values[key] = value
        table.revisions[key] = revision
        table.keys.add(key)

    def everything(self) -> Iterator[tuple[Kind[Any], str, Any]]:
        for kind, table in self.tables.items():
            for key, value in table.values.items():
                yield kind, key, value

    def clear(self) -> None:
        self.tables = {kind: Table(kind) for kind in self.tables}
        self.forget_derived()

    def derive(self, derivation: Derivation[D]) -> D:
        found: D | None = self.derived.get(derivation)
        if found is None:
            for kind in derivation.kinds:
                self.table(kind)
            found = self.derived[derivation] = derivation.make()
            for kind in derivation.kinds:
                self.following[kind] = (*self.following.get(kind, ()), found)
        return found

    def forget_derived(self) -> None:
        """Whatever was derived is made anew when it is asked for again."""
        self.derived = {}
        self.following = {}

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
