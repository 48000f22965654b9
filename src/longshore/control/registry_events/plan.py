"""How much of a registry's stream of events is kept: a pure function of how many there are, their times and the time."""

from __future__ import annotations

from collections.abc import Sequence

#: newest events kept of each registry
KEPT = 10_000
#: and for how long
KEPT_S = 90 * 86_400.0


def surplus(count: int, oldest: Sequence[float], now: float, most: int = KEPT) -> int:
    """How many of the `oldest` (their times, in order) of `count` events are more than `most`, or too old."""
    too_many = min(max(0, count - most), len(oldest))
    too_old = sum(1 for at in oldest if now - at > KEPT_S)
    return max(too_many, too_old)
