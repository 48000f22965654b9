"""Requests that would fill the log, and are counted in the place of that: those that nobody is behind (not signed, signed wrongly, with a
key that is none), and those that were refused since somebody asks too much.

Whoever can connect can send thousands of them a second, and must not fill the disk by that. Of each neighbour and each kind of refusal the
first in a minute is written down at once; those that follow are counted, and the count is written when the minute is over. The same goes
for each principal and operation that is held up.
"""

from __future__ import annotations

from typing import NamedTuple

from longshore.services.call import Principal

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
    #: who it was, where that is known
    principal: Principal | None = None


class _Bucket:
    __slots__ = ("began", "count", "last", "operation", "principal", "service", "source")

    def __init__(self, now: float, source: str, service: str, operation: str, principal: Principal | None) -> None:
        self.began = now
        self.last = now
        self.count = 0
        self.source = source
        self.service = service
        self.operation = operation
        self.principal = principal


class Strangers:
    def __init__(self) -> None:
        #: (neighbour or ARN, kind of refusal, of somebody known: what was asked for)
        self._buckets: dict[tuple[str, ...], _Bucket] = {}

    def is_first(
        self, source: str, code: str, now: float, service: str = "", operation: str = "", principal: Principal | None = None
    ) -> bool:
        """Whether this one is to be written down; otherwise it has been counted."""
        key = (source, code) if principal is None else (principal.arn, code, service, operation)
        bucket = self._buckets.get(key)
        if bucket is None and len(self._buckets) >= MOST_SOURCES:
            key = _OTHERS
            bucket = self._buckets.get(key)
            if bucket is None:
                bucket = self._buckets[key] = _Bucket(now, "", "", "", None)
        if bucket is None:
            self._buckets[key] = _Bucket(now, source, service, operation, principal)
            return True
        bucket.count += 1
        bucket.last = now
        return False

    def over(self, now: float, *, all_of_them: bool = False) -> list[Counted]:
        """Of the minutes that are over, those in which there was more than one."""
        ended = [key for key, bucket in self._buckets.items() if all_of_them or not bucket.began <= now < bucket.began + WINDOW_S]
        found = []
        for key in ended:
            it = self._buckets.pop(key)
            if it.count:
                found.append(Counted(it.source, key[1], it.count, it.began, it.last, it.service, it.operation, it.principal))
        return found
