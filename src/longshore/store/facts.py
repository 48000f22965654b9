"""What a kind's declarations say of one value: where it is listed and what it adds to which totals.

Worked out once per write, before anything is changed, so that a declaration that raises leaves no half-updated index behind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, NamedTuple, TypeVar

from longshore.kit.resource import Kind

T = TypeVar("T")


class Facts(NamedTuple):
    #: per index, in the order of `Kind.indexes`: the values under which it is found
    places: tuple[tuple[str, ...], ...]
    #: per total, in the order of `Kind.totals`: its group and what it adds there
    shares: tuple[tuple[str, tuple[int, ...]] | None, ...]


def no_facts(kind: Kind[Any]) -> Facts:
    """The facts of a resource that does not exist."""
    return Facts(((),) * len(kind.indexes), (None,) * len(kind.totals))


def facts_of(kind: Kind[T], value: T) -> Facts:
    places: list[tuple[str, ...]] = []
    for name, index in kind.indexes.items():
        found = index(value)
        if type(found) is tuple:
            places.append(found)
        elif isinstance(found, str):
            raise TypeError(f"index {name} of {kind!r} gives a string, not a collection of strings")
        else:
            places.append(tuple(found))
    shares: list[tuple[str, tuple[int, ...]] | None] = []
    for name, total in kind.totals.items():
        group = total.group(value)
        if group is None:
            shares.append(None)
            continue
        amounts = total.amounts(value)
        if len(amounts) != total.width:
            raise TypeError(f"total {name} of {kind!r} gives {len(amounts)} amounts instead of {total.width}")
        shares.append((group, amounts))
    return Facts(tuple(places), tuple(shares))


class Ledger(ABC, Generic[T]):
    """Something that keeps indexes and totals: all of them (the view) or how they differ from the view's (a transaction)."""

    __slots__ = ("index_names", "kind", "total_names")

    def __init__(self, kind: Kind[T]) -> None:
        self.kind = kind
        self.index_names = tuple(kind.indexes)
        self.total_names = tuple(kind.totals)

    def move(self, key: str, was: Facts, now: Facts) -> None:
        """Bring indexes and totals from the facts of the old value to those of the new one."""
        for name, left, entered in zip(self.index_names, was.places, now.places, strict=True):
            if left == entered:
                continue
            if len(left) <= 1 and len(entered) <= 1:  # as nearly always
                if left:
                    self.leave(name, left[0], key)
                if entered:
                    self.enter(name, entered[0], key)
                continue
            for value in set(left).difference(entered):
                self.leave(name, value, key)
            for value in set(entered).difference(left):
                self.enter(name, value, key)
        for name, taken, given in zip(self.total_names, was.shares, now.shares, strict=True):
            if taken == given:
                continue
            if taken is not None:
                self.add(name, taken[0], -1, tuple(-amount for amount in taken[1]))
            if given is not None:
                self.add(name, given[0], 1, given[1])

    @abstractmethod
    def enter(self, index: str, value: str, key: str) -> None: ...

    @abstractmethod
    def leave(self, index: str, value: str, key: str) -> None: ...

    @abstractmethod
    def add(self, total: str, group: str, members: int, amounts: tuple[int, ...]) -> None: ...
