"""The metric store's twin without a disk, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.store.metrics import (
    KEPT_S,
    MINUTE_S,
    MOST_POINTS,
    Datum,
    Period,
    Query,
    Series,
    Statistics,
    check_period,
    merged,
    order_of,
    periods,
)


class MemoryMetricStore:
    def __init__(self, *, kept_s: float = KEPT_S, most_points: int = MOST_POINTS) -> None:
        self._kept_s = kept_s
        self._most_points = most_points
        self._points: dict[Series, dict[int, Statistics]] = {}

    async def append(self, data: Sequence[Datum]) -> None:
        for datum in data:
            minutes = self._points.setdefault(datum.series, {})
            known = minutes.get(datum.minute)
            whole = merged([known, datum.statistics] if known is not None else [datum.statistics])
            assert whole is not None
            minutes[datum.minute] = whole

    async def series(self, query: Query, after: Series | None = None, limit: int = 500) -> list[Series]:
        found = sorted((series for series in self._points if query.holds(series)), key=order_of)
        return [series for series in found if after is None or order_of(series) > order_of(after)][:limit]

    async def read(self, series: Series, start: float, end: float, period_s: int = MINUTE_S) -> list[Period]:
        check_period(period_s)
        known = self._points.get(series, {})
        return periods([(minute, known[minute]) for minute in sorted(known) if start <= minute < end], int(start), period_s)

    async def trim(self, now: float) -> int:
        gone = self._drop(now - self._kept_s)
        while sum(len(minutes) for minutes in self._points.values()) > self._most_points:
            oldest = min(minute for minutes in self._points.values() for minute in minutes)
            gone += self._drop(oldest + 3600)
        return gone

    def _drop(self, before: float) -> int:
        gone = 0
        for series, minutes in list(self._points.items()):
            for minute in [minute for minute in minutes if minute < before]:
                del minutes[minute]
                gone += 1
            if not minutes:
                del self._points[series]
        return gone

    async def clear(self) -> None:
        self._points.clear()

    async def close(self) -> None: ...
