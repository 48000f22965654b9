"""What has been over for long enough to be forgotten: a pure function of ends and the time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

#: seconds that each kind of thing stays visible after its end, unless told otherwise
KEPT_S: Mapping[str, float] = {"task": 3600.0, "service": 3600.0, "instance": 3600.0}


class Ended(msgspec.Struct, frozen=True):
    what: str  # task | service | instance
    key: str
    at: float


def plan(ended: Iterable[Ended], now: float, kept_s: Mapping[str, float] = KEPT_S) -> list[Ended]:
    """Oldest first."""
    return sorted((one for one in ended if now - one.at >= kept_s[one.what]), key=lambda one: (one.at, one.key))
