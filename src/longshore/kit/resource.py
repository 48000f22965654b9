"""What the store keeps: kinds of resources, declared beside their models.

A resource is a frozen `msgspec.Struct`. Its `Kind` tells how it is named, by which values it is looked up (indexes) and
which sums over it are kept current in memory (totals). Totals are derived, never stored: they take the place of counters
in parents (runningCount, remainingResources, …), and a transaction sees its own writes in them. Where sums are not enough, a
`Derivation` keeps whatever it likes current, change by change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Total(Generic[T]):
    """A vector of sums per group: `amounts(value)` is added to the group that `group(value)` names (None: to no group)."""

    width: int
    group: Callable[[T], str | None]
    amounts: Callable[[T], tuple[int, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Kind(Generic[T]):
    """One kind of resource. Compared by identity; `name` is what stands in the database and must never change."""

    name: str
    type: type[T]
    key: Callable[[T], str]
    #: index name -> the values under which a resource is found there (none, one or several)
    indexes: Mapping[str, Callable[[T], Iterable[str]]] = field(default_factory=dict)
    #: index names in which one value belongs to at most one resource
    unique: frozenset[str] = frozenset()
    totals: Mapping[str, Total[T]] = field(default_factory=dict)
    #: members (strings) that many resources have alike: memory holds each value of theirs once
    recurring: tuple[str, ...] = ()
    #: it holds secrets: rows are encrypted on the disk, and plain in memory
    sealed: bool = False
    #: what is really kept when the second takes the place of the first, e.g. with the next version number
    succeed: Callable[[T, T], T] | None = None

    def __repr__(self) -> str:
        return f"Kind({self.name})"


class Derived(Protocol):
    """Something worked out of resources, brought up to date with each change of one."""

    def moved(self, kind: Kind[Any], old: Any, new: Any) -> None:
        """`old` (None: nothing) has given way to `new` (None: nothing). What was moved may be moved back.

        Must not raise for whatever a transaction may write: the transaction would fail, and everything derived be made anew.
        """


D = TypeVar("D", bound=Derived)


@dataclass(frozen=True, slots=True, eq=False)
class Derivation(Generic[D]):
    """What transactions may ask for beside indexes and totals. It is one object for all of them, and runs ahead of the commit.

    It is made when it is first asked for and moved with every write from then on, also those of the transaction that is under
    way; what is rolled back is moved back, and when a commit fails it is forgotten. Between transactions nobody may look at it.
    """

    name: str
    kinds: tuple[Kind[Any], ...]
    #: empty; it fills itself from the transaction that asks it something
    make: Callable[[], D]
