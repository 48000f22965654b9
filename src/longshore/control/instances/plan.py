"""Whether a container instance counts as lost: a pure function of when its agent was last there."""

from __future__ import annotations

import msgspec


class Seen(msgspec.Struct, frozen=True):
    """An instance that is registered."""

    connected: bool
    #: when its agent came or went
    changed_at: float
    lost_at: float | None
    now: float
    #: agents had no chance to be there before that: when the server started
    since: float


class Plan(msgspec.Struct, frozen=True):
    #: what `lost_at` is to be from now on; the same as before when nothing changes
    lost_at: float | None
    look_again_at: float | None = None


def plan(seen: Seen, lost_after_s: float) -> Plan:
    """`lost_after_s`: how long an agent may be away; 0: for ever."""
    if seen.connected or lost_after_s <= 0:
        return Plan(None)
    if seen.lost_at is not None:
        return Plan(seen.lost_at)
    due = max(seen.changed_at, seen.since) + lost_after_s
    return Plan(seen.now) if seen.now >= due else Plan(None, look_again_at=due)
