"""Token buckets: how much may come at once, how fast it comes back, and for how many callers that is kept.

A bucket is told by one number, the moment at which it will be full again. Whoever takes a token moves that moment on by what one token
takes to come back; where it would lie further off than a whole bucket takes to fill, there was none. Nothing runs in the background, and
a bucket nobody took from lately is full and need not be kept: memory is bounded by dropping those first.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

#: for what is lost in sums of floating-point numbers, in seconds
_SLACK_S = 1e-9


class Rate(NamedTuple):
    """A bucket holds `burst` tokens and gets `per_s` of them back each second."""

    burst: float
    per_s: float

    @property
    def fill_s(self) -> float:
        """Seconds in which an empty one is full."""
        return self.burst / self.per_s


def taken(rate: Rate, full_at: float, now: float) -> tuple[float, float]:
    """(when the bucket is full again, seconds to wait): with nothing to wait for a token was taken, else all stays as it was.

    `full_at` is what the call before gave, or anything up to `now` for a full bucket. Of any stretch of time no more is taken than
    `burst + per_s × its length`.
    """
    after = max(full_at, now) + 1.0 / rate.per_s
    wait_s = after - now - rate.fill_s
    return (after, 0.0) if wait_s <= _SLACK_S else (full_at, wait_s)


class Buckets:
    """One for each key. Where more than `most` are not full, those that are closest to it are given up: their owners begin anew."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._full_at: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, rate: Rate, now: float) -> float:
        """0.0 for a token taken, else the seconds after which there is one again."""
        full_at, wait_s = taken(rate, self._full_at.get(key, now), now)
        if wait_s <= 0.0:
            self._full_at[key] = full_at
            if len(self._full_at) > self._most:
                self._forget(now)
        return wait_s

    def _forget(self, now: float) -> None:
        """Down to three quarters, so that this is seldom."""
        kept = {key: full_at for key, full_at in self._full_at.items() if full_at > now}
        if len(kept) > self._most * 3 // 4:
            fullest_last = sorted(kept.items(), key=lambda entry: entry[1], reverse=True)
            kept = dict(fullest_last[: self._most * 3 // 4])
        self._full_at = kept
