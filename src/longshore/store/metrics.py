"""What was measured, minute by minute: an append-only store beside the store, from which a CloudWatch can be served.

A *series* is a metric of one thing: a namespace, a name, dimensions and a unit. Of each series there is at most one *statistic set*
for each minute: how many samples, their sum, the least and the greatest, and how they are distributed. What is appended to a
minute that has one already is merged with it, so that several may measure the same thing, and one of them in several goes.

Distributions are counts by size: each step of sizes is a tenth greater than the one before, so that a percentile is off by 5 % at
most, and a minute of any number of requests takes some dozens of numbers. Pure, but for the protocol that the stores follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import msgspec

#: seconds: what is older is dropped; CloudWatch keeps minutes for as long
KEPT_S = 15 * 86_400.0
#: statistic sets altogether; the oldest hours go when there are more
MOST_POINTS = 20_000_000
MINUTE_S = 60

_STEP = math.log(1.1)
#: of sizes that are not above it there is but one
_LEAST = 1e-9


class Series(msgspec.Struct, frozen=True, gc=False):
    #: region:account
    scope: str
    #: e.g. AWS/ApplicationELB
    namespace: str
    metric: str
    #: (name, value), in order of the names
    dimensions: tuple[tuple[str, str], ...] = ()
    #: in CloudWatch's words: Count, Seconds, Bytes, None …
    unit: str = "None"


class Statistics(msgspec.Struct, frozen=True, gc=False):
    """Of some samples. Nobody keeps a set of none."""

    count: float
    sum: float
    minimum: float
    maximum: float
    #: step -> how many samples; may be fewer than `count` where only averages are known of some
    distribution: dict[int, float] = {}

    def average(self) -> float:
        return self.sum / self.count

    def percentile(self, percent: float) -> float | None:
        """Where `percent` (0 to 100) of the samples are not greater; None where nothing is known of how they are distributed."""
        total = sum(self.distribution.values())
        if not total:
            return None
        wanted, seen = total * percent / 100.0, 0.0
        for step in sorted(self.distribution):
            seen += self.distribution[step]
            if seen >= wanted:
                return min(max(_size(step), self.minimum), self.maximum)
        return self.maximum


class Datum(msgspec.Struct, frozen=True, gc=False):
    series: Series
    #: seconds since the epoch, at which the minute began
    minute: int
    statistics: Statistics


class Period(msgspec.Struct, frozen=True, gc=False):
    #: seconds since the epoch, at which it began
    start: int
    statistics: Statistics


def minute_of(moment: float) -> int:
    return int(moment // MINUTE_S) * MINUTE_S


def one_value(value: float, count: float = 1.0) -> Statistics:
    """`count` samples that are all the same."""
    return Statistics(count, value * count, value, value, {step_of(value): count})


def total(value: float) -> Statistics:
    """One sample that is a count of something: its distribution says nothing."""
    return Statistics(1.0, value, value, value)


def of_samples(values: Iterable[float]) -> Statistics | None:
    known = list(values)
    if not known:
        return None
    distribution: dict[int, float] = {}
    for value in known:
        step = step_of(value)
        distribution[step] = distribution.get(step, 0.0) + 1.0
    return Statistics(float(len(known)), math.fsum(known), min(known), max(known), distribution)


def step_of(value: float) -> int:
    return round(math.log(value) / _STEP) if value > _LEAST else -1_000


def _size(step: int) -> float:
    return math.exp(step * _STEP) if step > -1_000 else 0.0


def merged(sets: Iterable[Statistics]) -> Statistics | None:
    """As if all the samples had been in one set; None of none."""
    result: Statistics | None = None
    for one in sets:
        if result is None:
            result = one
            continue
        distribution = dict(result.distribution)
        for step, count in one.distribution.items():
            distribution[step] = distribution.get(step, 0.0) + count
        result = Statistics(
            result.count + one.count,
            result.sum + one.sum,
            min(result.minimum, one.minimum),
            max(result.maximum, one.maximum),
            distribution,
        )
    return result


def periods(points: Iterable[tuple[int, Statistics]], start: int, period_s: int) -> list[Period]:
    """Minutes, in order of time, put together into periods counted from `start`; there is none where nothing was measured."""
    by_start: dict[int, list[Statistics]] = {}
    for minute, statistics in points:
        by_start.setdefault(start + (minute - start) // period_s * period_s, []).append(statistics)
    found: list[Period] = []
    for begun, sets in sorted(by_start.items()):
        whole = merged(sets)
        if whole is not None:
            found.append(Period(begun, whole))
    return found


class Query(msgspec.Struct, frozen=True):
    """Which series: all that is given must hold; of the dimensions, those that are named."""

    scope: str
    namespace: str = ""
    metric: str = ""
    dimensions: Mapping[str, str] = {}

    def holds(self, series: Series) -> bool:
        return (
            series.scope == self.scope
            and self.namespace in ("", series.namespace)
            and self.metric in ("", series.metric)
            and self.dimensions.items() <= dict(series.dimensions).items()
        )


class MetricStore(Protocol):
    async def append(self, data: Sequence[Datum]) -> None:
        """All of it or nothing. Survives the end of the process at once. Raises StoreUnavailable."""

    async def series(self, query: Query, after: Series | None = None, limit: int = 500) -> list[Series]:
        """In one order that does not change; those behind `after`. Raises StoreUnavailable."""

    async def read(self, series: Series, start: float, end: float, period_s: int = MINUTE_S) -> list[Period]:
        """What was measured in minutes that began at `start` or later and before `end`. Raises ValueError for a period that is no
        multiple of a minute, and StoreUnavailable."""

    async def trim(self, now: float) -> int:
        """Drop what is too old, or too much; returns how many statistic sets went. Raises StoreUnavailable."""

    async def clear(self) -> None:
        """Raises StoreUnavailable."""

    async def close(self) -> None: ...


def order_of(series: Series) -> tuple[str, str, str, str, str]:
    return series.scope, series.namespace, series.metric, dimensions_text(series), series.unit


def dimensions_text(series: Series) -> str:
    return msgspec.json.encode(series.dimensions).decode()


def check_period(period_s: int) -> None:
    if period_s < MINUTE_S or period_s % MINUTE_S:
        raise ValueError(f"a period of {period_s} s is no multiple of {MINUTE_S} s")
