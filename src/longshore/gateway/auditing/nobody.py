"""Requests that nobody is behind: not signed, signed wrongly, with a key that is none.

Whoever can connect can send thousands of them a second, and must not fill the disk by that. Of each neighbour and each kind of refusal the
first in a minute is written down at once; those that follow are counted, and the count is written when the minute is over.
"""

from __future__ import annotations

from typing import NamedTuple

WINDOW_S = 60.0
#: kept apart in one minute; all further ones are counted together
MOST_SOURCES = 200
_OTHERS = ("", "")


class Counted(NamedTuple):
    """What followed on the first one."""

    source: str
    code: str
    further: int
    since: float
    until: float
    #: what the first one asked for
    service: str
    operation: str


class _Bucket:
    __slots__ = ("began", "count", "last", "operation", "service")

    def __init__(self, now: float, service: str, operation: str) -> None:
        self.began = now
        self.last = now
        self.count = 0
        self.service = service
        self.operation = operation


class Strangers:
    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def is_first(self, source: str, code: str, now: float, service: str = "", operation: str = "") -> bool:
        """Whether this one is to be written down; otherwise it has been counted."""
        key = (source, code)
        bucket = self._buckets.get(key)
        if bucket is None and len(self._buckets) >= MOST_SOURCES:
            key = _OTHERS
            bucket = self._buckets.get(key)
            if bucket is None:
                bucket = self._buckets[key] = _Bucket(now, "", "")
        if bucket is None:
            self._buckets[key] = _Bucket(now, service, operation)
            return True
        bucket.count += 1
        bucket.last = now
        return False

    def over(self, now: float, *, all_of_them: bool = False) -> list[Counted]:
        """Of the minutes that are over, those in which there was more than one."""
        ended = [key for key, bucket in self._buckets.items() if all_of_them or not bucket.began <= now < bucket.began + WINDOW_S]
        found = []
        for key in ended:
            bucket = self._buckets.pop(key)
            if bucket.count:
                found.append(Counted(*key, bucket.count, bucket.began, bucket.last, bucket.service, bucket.operation))
        return found
