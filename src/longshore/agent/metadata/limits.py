"""How much one caller may ask: 40 requests a second, and 60 at once, as the stock agent allows; and how many connections it may keep.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
"""

from __future__ import annotations

from collections import Counter

from longshore.kit.clock import Clock

PER_SECOND = 40.0
AT_ONCE = 60.0
#: of one address, before it is known who asks: containers that share the machine's network share it
LOOKUPS_PER_SECOND = 10 * PER_SECOND
LOOKUPS_AT_ONCE = 10 * AT_ONCE
#: callers remembered; who has been quiet has all his allowance again, so forgetting costs nothing
_MOST_CALLERS = 1024
#: connections of one address at once, and of all: what an agent needs for its own work must be left, whatever a container does
MOST_OF_ADDRESS = 128
MOST_CONNECTIONS = 1024


class Limits:
    """One allowance for each caller, filled as time goes by."""

    def __init__(self, clock: Clock, per_second: float = PER_SECOND, at_once: float = AT_ONCE) -> None:
        self._clock = clock
        self._per_second = per_second
        self._at_once = at_once
        #: caller -> (what is left, as of when)
        self._left: dict[str, tuple[float, float]] = {}

    def allow(self, caller: str) -> bool:
        now = self._clock.now()
        left, at = self._left.get(caller, (self._at_once, now))
        left = min(self._at_once, left + max(0.0, now - at) * self._per_second)
        if len(self._left) >= _MOST_CALLERS and caller not in self._left:
            self._left.clear()
        allowed = left >= 1.0
        self._left[caller] = (left - 1.0 if allowed else left, now)
        return allowed


class Crowd:
    """Who is connected: so many of one address, so many in all. Containers that share the machine's network have one address."""

    def __init__(self, most_of_address: int = MOST_OF_ADDRESS, most: int = MOST_CONNECTIONS) -> None:
        self._most_of_address = most_of_address
        self._most = most
        self._here: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """False where there is no room; who has entered leaves once."""
        if self._here[address] >= self._most_of_address or self._here.total() >= self._most:
            return False
        self._here[address] += 1
        return True

    def leave(self, address: str) -> None:
        self._here[address] -= 1
        if not self._here[address]:
            del self._here[address]
