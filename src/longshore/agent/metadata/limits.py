"""How much one caller may ask: 40 requests a second, and 60 at once, as the stock agent allows.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
"""

from __future__ import annotations

from longshore.kit.clock import Clock

PER_SECOND = 40.0
AT_ONCE = 60.0
#: callers remembered; who has been quiet has all his allowance again, so forgetting costs nothing
_MOST_CALLERS = 1024


class Limits:
    """One allowance for each caller, filled as time goes by."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: caller -> (what is left, as of when)
        self._left: dict[str, tuple[float, float]] = {}

    def allow(self, caller: str) -> bool:
        now = self._clock.now()
        left, at = self._left.get(caller, (AT_ONCE, now))
        left = min(AT_ONCE, left + max(0.0, now - at) * PER_SECOND)
        if len(self._left) >= _MOST_CALLERS and caller not in self._left:
            self._left.clear()
        allowed = left >= 1.0
        self._left[caller] = (left - 1.0 if allowed else left, now)
        return allowed
