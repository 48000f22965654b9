"""Writes on their way to the log: what transactions of one batch have changed, laid over the view.

One overlay serves all transactions of a batch, one after the other, so each sees what those before it wrote. `begin` opens a
transaction; it ends in `finish`, which returns its changes, or in `rollback`, which leaves no trace of it.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from longshore.kit.resource import Derivation, Derived, Kind
from longshore.store.base import AlreadyExists, Change, Conflict
from longshore.store.facts import Facts, Ledger, facts_of
from longshore.store.log import Row
from longshore.store.view import Table, View

T = TypeVar("T")
D = TypeVar("D", bound=Derived)

_encode = msgspec.msgpack.Encoder().encode


class Entry(Generic[T]):
    """A written resource: its newest value (None: deleted), and the facts needed to carry it over into the view."""

    __slots__ = ("below", "facts", "revision", "value")

    def __init__(self, value: T | None, revision: int, facts: Facts, below: Facts) -> None:
        self.value = value
        self.revision = revision
        self.facts = facts
        #: facts of what the view holds
        self.below = below


class Place:
    """How the keys found in one place differ from the view's."""

    __slots__ = ("come", "gone")

    def __init__(self) -> None:
        self.come: set[str] = set()
        self.gone: set[str] = set()

    def enter(self, key: str) -> None:
        if key in self.gone:
            self.gone.remove(key)
        else:
            self.come.add(key)

    def leave(self, key: str) -> None:
        if key in self.come:
            self.come.remove(key)
        else:
            self.gone.add(key)


class Delta(Ledger[T]):
    """How one table will differ from the view's.

    Most batches write much and ask little, so how the indexes and totals will differ is not kept before somebody asks: it is worked
    out of the entries then, and kept current for the rest of the batch.
    """

    __slots__ = ("asked", "entries", "places", "table", "totals")

    def __init__(self, table: Table[T]) -> None:
        super().__init__(table.kind)
        self.table = table
        self.entries: dict[str, Entry[T]] = {}
        #: by (index, value); all keys of the table stand under (None, None)
        self.places: dict[tuple[str | None, str | None], Place] = {}
        self.totals: dict[tuple[str, str], tuple[int, ...]] = {}
        #: whether somebody has asked
        self.asked = False

    def _place(self, index: str | None, value: str | None) -> Place:
        place = self.places.get((index, value))
        if place is None:
            place = self.places[index, value] = Place()
        return place

    def enter(self, index: str | None, value: str | None, key: str) -> None:
        self._place(index, value).enter(key)

    def leave(self, index: str | None, value: str | None, key: str) -> None:
        self._place(index, value).leave(key)

    def add(self, total: str, group: str, members: int, amounts: tuple[int, ...]) -> None:
        standing = self.totals.get((total, group))
        if standing is not None:
            amounts = tuple(a + b for a, b in zip(standing, amounts, strict=True))
        self.totals[total, group] = amounts

    def write(self, key: str, entry: Entry[T] | None, before: Entry[T] | None, was: Facts, now: Facts) -> None:
        """Put `entry` in the place of `before` (None: what the view holds shows through)."""
        if self.asked:
            existed = before.value is not None if before is not None else key in self.table.values
            exists = entry.value is not None if entry is not None else key in self.table.values
            self._account(key, was, now, came=exists - existed)
        if entry is None:
            del self.entries[key]
        else:
            self.entries[key] = entry

    def _account(self, key: str, was: Facts, now: Facts, *, came: int) -> None:
        if came > 0:
            self.enter(None, None, key)
        elif came < 0:
            self.leave(None, None, key)
        self.move(key, was, now)

    def _ask(self) -> None:
        if self.asked:
            return
        self.asked = True
        for key, entry in self.entries.items():
            self._account(key, entry.below, entry.facts, came=(entry.value is not None) - (key in self.table.values))

    def page(self, index: str | None, value: str | None, after: str | None, limit: int | None) -> list[str]:
        self._ask()
        place = self.places.get((index, value))
        if place is None:
            return self.table.page(index, value, after, limit)
        gone = place.gone
        keys = self.table.page(index, value, after, None if limit is None else limit + len(gone))
        if gone:
            keys = [key for key in keys if key not in gone]
        if place.come:
            keys += place.come if after is None else [key for key in place.come if key > after]
            keys.sort()
        return keys if limit is None else keys[:limit]

    def count(self, index: str | None, value: str | None) -> int:
        self._ask()
        keys = self.table.found(index, value)
        place = self.places.get((index, value))
        count = 0 if keys is None else len(keys)
        return count if place is None else count + len(place.come) - len(place.gone)

    def total(self, name: str, group: str) -> tuple[int, ...]:
        self._ask()
        below = self.table.total(name, group)
        change = self.totals.get((name, group))
        return below if change is None else tuple(a + b for a, b in zip(below, change, strict=True))

    def value(self, key: str) -> T | None:
        entry = self.entries.get(key)
        return self.table.values.get(key) if entry is None else entry.value

    def body(self, key: str, value: T) -> bytes:
        """The bytes to store. Read back on the spot, because a row that cannot be read would keep the next start from happening."""
        body = _encode(value)
        try:
            key.encode()
            self.table.decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeEncodeError) as error:
            raise TypeError(f"{self.kind.name} {key!r} would not be readable again: {error}") from error
        return body


class Overlay:
    """The `Tx` that functions given to `transact` read and write through."""

    def __init__(self, view: View, epoch: int) -> None:
        self._view = view
        self._deltas: dict[Kind[Any], Delta[Any]] = {}
        self._bodies: dict[tuple[Kind[Any], str], bytes | None] = {}
        self.revision = view.revision
        self.epoch = epoch
        self._first_epoch = epoch
        #: what the running transaction found in the places it wrote to: the overlay's entry and the value
        self._touched: dict[tuple[Kind[Any], str], tuple[Entry[Any] | None, Any]] = {}

    @property
    def written(self) -> bool:
        """Whether any finished transaction has something to commit."""
        return bool(self._bodies) or self.epoch != self._first_epoch

    # -- the batch's side ------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        self._touched = {}

    def finish(self) -> tuple[Change[Any], ...]:
        """End the running transaction: its changes, one per resource, none for a resource created and deleted again."""
        changes: list[Change[Any]] = []
        bodies: dict[tuple[Kind[Any], str], bytes | None] = {}
        vanished: list[tuple[Kind[Any], str, Entry[Any] | None]] = []
        for (kind, key), (before, old) in self._touched.items():
            delta = self._deltas[kind]
            new = delta.entries[key].value
            if old is None and new is None:
                vanished.append((kind, key, before))
                continue
            bodies[kind, key] = None if new is None else delta.body(key, new)
            changes.append(Change(kind, key, old, new))
        for kind, key, before in vanished:
            self._restore(kind, key, before)
        self._bodies.update(bodies)
        self._touched = {}
        if changes:
            self.revision += 1
        return tuple(changes)

    def rollback(self) -> None:
        for (kind, key), (before, _) in self._touched.items():
            self._restore(kind, key, before)
        self._touched = {}

    def _restore(self, kind: Kind[Any], key: str, before: Entry[Any] | None) -> None:
        delta = self._deltas[kind]
        entry = delta.entries[key]
        delta.write(key, before, entry, entry.facts, entry.below if before is None else before.facts)
        self._follow(kind, entry.value, delta.value(key))

    def rows(self) -> list[Row]:
        """What the log must write for the whole batch."""
        return [Row(kind.name, key, self._deltas[kind].entries[key].revision, body) for (kind, key), body in self._bodies.items()]

    def apply(self) -> None:
        """Carry everything over into the view; after the commit."""
        for delta in self._deltas.values():
            table = delta.table
            for key, entry in delta.entries.items():
                table.write(key, entry.value, entry.revision, entry.below, entry.facts)
        self._view.revision = self.revision

    def raise_epoch(self) -> int:
        """The next lease epoch; committed like any write, without a revision of its own."""
        self.epoch += 1
        return self.epoch

    # -- the transaction's side ------------------------------------------------------------------------------------------------

    def _delta(self, kind: Kind[T]) -> Delta[T]:
        delta = self._deltas.get(kind)
        if delta is None:
            delta = self._deltas[kind] = Delta(self._view.table(kind))
        return delta

    def get(self, kind: Kind[T], key: str) -> T | None:
        delta: Delta[T] | None = self._deltas.get(kind)
        return self._view.get(kind, key) if delta is None else delta.value(key)

    def count(self, kind: Kind[Any], index: str | None = None, value: str | None = None) -> int:
        delta = self._deltas.get(kind)
        return self._view.count(kind, index, value) if delta is None else delta.count(index, value)

    def total(self, kind: Kind[Any], name: str, group: str) -> tuple[int, ...]:
        delta = self._deltas.get(kind)
        return self._view.total(kind, name, group) if delta is None else delta.total(name, group)

    def revision_of(self, kind: Kind[Any], key: str) -> int:
        delta = self._deltas.get(kind)
        entry = None if delta is None else delta.entries.get(key)
        if entry is None:
            return self._view.revision_of(kind, key)
        return 0 if entry.value is None else entry.revision

    def put(self, kind: Kind[T], value: T, *, expect: int | None = None) -> T:
        if not isinstance(value, kind.type):
            raise TypeError(f"{kind!r} keeps {kind.type.__name__}, not {type(value).__name__}")
        key = kind.key(value)
        self._expect(kind, key, expect)
        if kind.succeed is not None and (before := self.get(kind, key)) is not None:
            value = kind.succeed(before, value)
        self._write(kind, key, value, facts_of(kind, value))
        return value

    def create(self, kind: Kind[T], value: T) -> T:
        return self.put(kind, value, expect=0)

    def delete(self, kind: Kind[Any], key: str, *, expect: int | None = None) -> None:
        self._expect(kind, key, expect)
        delta = self._delta(kind)
        if delta.value(key) is not None:
            self._write(kind, key, None, delta.table.nothing)

    def _expect(self, kind: Kind[Any], key: str, expect: int | None) -> None:
        if expect is None:
            return
        current = self.revision_of(kind, key)
        if current == expect:
            return
        if expect == 0:
            raise AlreadyExists(f"{kind.name} {key} exists already")
        raise Conflict(f"{kind.name} {key} is at revision {current}, not {expect}")

    def _write(self, kind: Kind[T], key: str, value: T | None, now: Facts) -> None:
        delta = self._delta(kind)
        before = delta.entries.get(key)
        below = delta.table.facts(key) if before is None else before.below
        was = below if before is None else before.facts
        self._check_unique(delta, key, now)
        old = delta.value(key)
        self._touched.setdefault((kind, key), (before, old))
        delta.write(key, Entry(value, self.revision + 1, now, below), before, was, now)
        self._follow(kind, old, value)

    def derived(self, derivation: Derivation[D]) -> D:
        return self._view.derive(derivation)

    def _follow(self, kind: Kind[Any], old: Any, new: Any) -> None:
        """Tell what is derived. What cannot follow is forgotten with all the rest, and the transaction fails."""
        try:
            for derived in self._view.following.get(kind, ()):
                derived.moved(kind, old, new)
        except BaseException:
            self._view.forget_derived()
            raise

    def _check_unique(self, delta: Delta[Any], key: str, now: Facts) -> None:
        kind = delta.kind
        if not kind.unique:
            return
        for name, values in zip(delta.index_names, now.places, strict=True):
            if name not in kind.unique:
                continue
            for value in values:
                for holder in delta.page(name, value, None, 2):
                    if holder != key:
                        raise AlreadyExists(f"{kind.name} {holder} has {name} {value} already")

    def list(
        self,
        kind: Kind[T],
        index: str | None = None,
        value: str | None = None,
        *,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[T]:
        delta: Delta[T] | None = self._deltas.get(kind)
        if delta is None:
            return self._view.list(kind, index, value, after=after, limit=limit)
        entries, values = delta.entries, delta.table.values
        return [entries[key].value if key in entries else values[key] for key in delta.page(index, value, after, limit)]  # type: ignore[misc]
