"""How fast guesses may follow each other: what keeps six digits, and passwords that people remember, from being tried out.

A few mistakes cost nothing. After that each failure makes the next one wait twice as long, up to an hour, whatever is tried in the
meantime: a guess that comes too early is not looked at, so that it tells nothing. One success clears the record.
"""

from __future__ import annotations

import msgspec

#: failures in a row that cost nothing
FREE = 5
_FIRST_WAIT_S = 30.0
_LONGEST_WAIT_S = 3600.0


class Guesses(msgspec.Struct, frozen=True, gc=False):
    """What went wrong since it last went right."""

    failures: int = 0
    #: seconds since the epoch
    failed_at: float = 0.0

    def failed(self, now: float) -> Guesses:
        return Guesses(self.failures + 1, now)

    def wait_until(self) -> float:
        """When the next one is looked at; 0.0: at once. A clock that is set back makes nobody wait longer than it says."""
        if self.failures < FREE:
            return 0.0
        return self.failed_at + wait_s(self.failures)

    def are_held(self, now: float) -> bool:
        return self.failed_at <= now < self.wait_until()


def wait_s(failures: int) -> float:
    """Seconds between the last of so many failures and the next guess."""
    if failures < FREE:
        return 0.0
    return min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(failures - FREE, 16))
