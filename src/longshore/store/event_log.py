"""What happened, in order: an append-only log beside the store, for everybody who follows events.

The store keeps what is; this keeps what was said about it, for a while. Each entry has a position that only grows: whoever
remembers the last one he has seen goes on from there, also after the server was restarted, and sees every entry once. A position
is the microsecond at which the entry was appended (or the next free one), so times can be looked up like positions, and one
that was lost with the machine's power is never given to another entry.

Who appends names what an entry tells of (`subject`) and that subject's version. An entry whose version the log already has is left
out, so whoever is not sure whether he has told something tells it again: of each (subject, version) there is one entry. The log
remembers the version last told of a subject (`marks`) until it is told to forget it, also when the entry itself has been dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

#: entries are kept for so long, and altogether so many bytes of them
KEPT_S = 7 * 86_400.0
KEPT_BYTES = 1 << 30
#: entries looked at in one reading, whether they match or not
MOST_LOOKED_AT = 20_000


class Entry(msgspec.Struct, frozen=True, gc=False):
    """What is appended. `labels` are what it is found by, ARNs mostly; `body` is the whole event as its readers get it."""

    #: region:account it happened in
    scope: str
    #: who says so, e.g. aws.ecs
    source: str
    #: detail-type
    type: str
    labels: tuple[str, ...]
    body: bytes
    #: what it tells of, and that one's version; an entry without a subject is never left out
    subject: str = ""
    version: int = 0


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An entry as it is read."""

    position: int
    type: str
    body: bytes


class Query(msgspec.Struct, frozen=True):
    """Which entries: those of one scope that are of one of the types (any, where none is named) and have all the labels."""

    scope: str
    types: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    source: str = ""


class Page(msgspec.Struct, frozen=True):
    entries: tuple[Recorded, ...]
    #: where to go on: everything up to here has been looked at
    position: int
    #: there is (or may be) more after `position` that is in the log already
    more: bool = False
    #: entries after the position asked for are not kept any more
    missed: bool = False


def position_at(moment: float) -> int:
    """Entries appended at `moment` (seconds since the epoch) or later have a position of at least this."""
    return int(moment * 1_000_000)


def moment_of(position: int) -> float:
    return position / 1_000_000


class EventLog(Protocol):
    @property
    def newest(self) -> int:
        """The last position given out; 0 at the very beginning."""

    async def append(self, entries: Sequence[Entry], now: float, forget: Iterable[str] = ()) -> int:
        """Add what is new of `entries`, in their order, and forget the versions of the subjects in `forget`: all of it or nothing.

        Returns the newest position. It survives the end of the process at once, and the machine's power a moment later. Raises
        StoreUnavailable when it cannot be written.
        """

    async def marks(self) -> dict[str, int]:
        """The version last told of every subject that was not forgotten."""

    async def read(self, query: Query, after: int, limit: int) -> Page:
        """Up to `limit` entries behind the position `after`, oldest first. Looks at a bounded number; a page may be empty and have more.

        Raises StoreUnavailable.
        """

    async def last(self, query: Query, limit: int) -> Page:
        """The newest `limit` entries, oldest of them first, among those a bounded reading from the end comes upon."""

    async def grown(self, after: int) -> None:
        """Returns once there is something behind `after`, and at once after `end_waiting`."""

    def end_waiting(self) -> None:
        """Nobody waits for more from now on: the server stops."""

    async def trim(self, now: float) -> int:
        """Drop what is too old, or too much, from the beginning; returns how many entries went."""

    async def clear(self) -> None:
        """Drop everything, marks too; positions go on, and whoever remembers one is told that it missed something.

        Raises StoreUnavailable.
        """

    async def close(self) -> None: ...
