"""When older generations of the installation's secret go: pure.

A generation is needed for what it has sealed here, until all of that is sealed anew, and for what it has signed that others hold. The
longest of that are logins at load balancers, which may last a week. One whose signatures were declared void is needed for neither, but
somebody may be about to write what was sealed with it a moment ago.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

#: longer than whatever is signed is good: a login at a load balancer lasts 7 days at most, a session 36 hours, a docker login 12
KEPT_S = 7 * 86_400.0 + 3600.0
#: longer than any write takes from sealing to the store
VOID_KEPT_S = 3600.0


class Standing(msgspec.Struct, frozen=True):
    """One generation. Times are seconds since the epoch."""

    number: int
    made_at: float
    has_secret: bool
    is_void: bool = False


class Snapshot(msgspec.Struct, frozen=True):
    #: the oldest first; the last one is current
    generations: tuple[Standing, ...]
    #: nothing here is sealed by any but the current one
    is_sealed_anew: bool
    now: float


class Plan(msgspec.Struct, frozen=True):
    #: numbers of those that go now
    drop: frozenset[int] = frozenset()
    #: seconds until there is something to do; None: not before something changes
    after_s: float | None = None


def needs_sealing(generations: Sequence[Standing]) -> bool:
    """Whether anything can be sealed by another one than the current."""
    return sum(one.has_secret for one in generations) > 1


def goes_at(generations: Sequence[Standing], number: int) -> float | None:
    """When that generation may go; None for the current one, and for one that has gone."""
    for one, successor in pairwise(generations):
        if one.number == number and one.has_secret:
            return successor.made_at + (VOID_KEPT_S if one.is_void else KEPT_S)
    return None


def plan(snapshot: Snapshot) -> Plan:
    times = {one.number: goes_at(snapshot.generations, one.number) for one in snapshot.generations}
    due = frozenset(number for number, at in times.items() if at is not None and at <= snapshot.now)
    waiting = [at - snapshot.now for number, at in times.items() if at is not None and number not in due]
    after_s = min(waiting, default=None)
    if not due:
        return Plan(after_s=after_s)
    return Plan(drop=due, after_s=after_s) if snapshot.is_sealed_anew else Plan(after_s=0.0)
