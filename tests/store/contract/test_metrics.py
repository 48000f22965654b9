"""Every metric store there is: what is appended to a minute, what is read of a range, what is listed, what is dropped."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.store.base import StoreError
from longshore.store.memory_metrics import MemoryMetricStore
from longshore.store.metrics import Datum, MetricStore, Query, Series, Statistics, merged, of_samples, one_value, total
from longshore.store.sqlite_metrics import FILE_NAME, open_metric_store

NOW = 1_700_000_040
SCOPE = "us-east-1:000000000000"


def series(metric: str = "RequestCount", scope: str = SCOPE, unit: str = "Count", **dimensions: str) -> Series:
    return Series(scope, "AWS/ApplicationELB", metric, tuple(sorted(dimensions.items())), unit)


@pytest.fixture(params=["memory", "sqlite"])
async def metrics(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MetricStore]:
    opened: MetricStore = (
        MemoryMetricStore(kept_s=7200.0, most_points=500)
        if request.param == "memory"
        else await open_metric_store(tmp_path, kept_s=7200.0, most_points=500)
    )
    yield opened
    await opened.close()


async def test_what_is_appended_to_one_minute_becomes_one_statistic_set(metrics: MetricStore) -> None:
    of_lb = series(LoadBalancer="app/a/1")
    await metrics.append([Datum(of_lb, NOW, total(3)), Datum(of_lb, NOW, total(5))])
    await metrics.append([Datum(of_lb, NOW, total(1))])
    (period,) = await metrics.read(of_lb, NOW, NOW + 60)
    assert (period.start, period.statistics) == (NOW, Statistics(3, 9, 1, 5))


async def test_a_range_is_read_in_periods_that_begin_where_it_begins(metrics: MetricStore) -> None:
    of_lb = series()
    await metrics.append([Datum(of_lb, NOW + 60 * minute, total(minute)) for minute in (0, 1, 2, 5, 6)])
    read = await metrics.read(of_lb, NOW + 60, NOW + 360, 180)
    assert [(period.start - NOW, period.statistics.sum, period.statistics.count) for period in read] == [(60, 3, 2), (240, 5, 1)]
    assert await metrics.read(series("Other"), NOW, NOW + 600) == []
    with pytest.raises(ValueError, match="multiple"):
        await metrics.read(of_lb, NOW, NOW + 60, 90)


async def test_series_are_listed_by_what_is_known_of_them_and_page_by_page(metrics: MetricStore) -> None:
    known = [series(metric, LoadBalancer=lb) for metric in ("A", "B") for lb in ("app/a/1", "app/b/2")]
    await metrics.append([Datum(one, NOW, total(1)) for one in reversed(known)])
    await metrics.append([Datum(series("A", scope="us-east-1:111111111111"), NOW, total(1))])
    assert await metrics.series(Query(SCOPE)) == known
    assert await metrics.series(Query(SCOPE, metric="B")) == known[2:]
    assert await metrics.series(Query(SCOPE, dimensions={"LoadBalancer": "app/b/2"})) == [known[1], known[3]]
    assert await metrics.series(Query(SCOPE, namespace="AWS/ELB")) == []
    assert await metrics.series(Query(SCOPE), limit=3) == known[:3]
    assert await metrics.series(Query(SCOPE), after=known[2]) == known[3:]


async def test_percentiles_outlive_the_store(metrics: MetricStore) -> None:
    times = of_samples([number / 1000 for number in range(1, 1001)])
    assert times is not None
    await metrics.append([Datum(series("TargetResponseTime"), NOW, times)])
    (period,) = await metrics.read(series("TargetResponseTime"), NOW, NOW + 60)
    for percent in (50, 90, 99):
        assert period.statistics.percentile(percent) == pytest.approx(percent / 100, rel=0.06)
    assert period.statistics.percentile(100) == pytest.approx(1.0, rel=0.06)
    assert total(5).percentile(50) is None


async def test_what_is_too_old_or_too_much_is_dropped_with_series_that_nothing_is_left_of(metrics: MetricStore) -> None:
    await metrics.append([Datum(series("Old"), NOW - 7260, total(1)), Datum(series("New"), NOW, total(1))])
    assert await metrics.trim(NOW) == 1
    assert await metrics.series(Query(SCOPE)) == [series("New")]
    await metrics.append([Datum(series("New"), NOW - 60 * minute, total(1)) for minute in range(1, 100)])
    await metrics.append([Datum(series(f"M{number}"), NOW, total(1)) for number in range(450)])
    await metrics.trim(NOW)
    # the oldest hour alone
    assert [period.start for period in await metrics.read(series("New"), 0, NOW + 60)] == [
        NOW - 60 * minute for minute in range(39, -1, -1)
    ]
    # a series that went can come again
    await metrics.append([Datum(series("Old"), NOW, total(2))])
    assert [period.statistics.sum for period in await metrics.read(series("Old"), NOW, NOW + 60)] == [2]
    await metrics.clear()
    assert await metrics.series(Query(SCOPE)) == []


samples = st.lists(st.floats(0, 1e9, allow_nan=False), min_size=1, max_size=30)


@given(st.lists(samples, min_size=1, max_size=4))
def test_merging_sets_is_having_had_all_samples_in_one(parts: list[list[float]]) -> None:
    together = of_samples([value for part in parts for value in part])
    apart = merged([found for part in parts if (found := of_samples(part)) is not None])
    assert together is not None and apart is not None
    assert (apart.count, apart.minimum, apart.maximum, apart.distribution) == (
        together.count,
        together.minimum,
        together.maximum,
        together.distribution,
    )
    assert math.isclose(apart.sum, together.sum, rel_tol=1e-9, abs_tol=1e-9)


@given(samples, st.floats(0, 100))
def test_a_percentile_is_near_the_sample_that_stands_there(values: list[float], percent: float) -> None:
    found = of_samples(values)
    assert found is not None
    exact = sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
    assert found.percentile(percent) == pytest.approx(exact, rel=0.06, abs=1e-8)


@given(st.floats(1e-6, 1e6), st.integers(1, 1000))
def test_one_value_is_every_percentile_of_itself(value: float, count: int) -> None:
    assert one_value(value, count).percentile(50) == value


async def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    opened = await open_metric_store(tmp_path)
    await opened.close()
    database = sqlite3.connect(tmp_path / FILE_NAME)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="newer"):
        await open_metric_store(tmp_path)


_KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from longshore.store.metrics import Datum, Series, total
from longshore.store.sqlite_metrics import open_metric_store

async def main():
    store = await open_metric_store(Path(sys.argv[1]))
    for minute in range(50):
        await store.append([Datum(Series("s", "n", "m"), minute * 60, total(minute))])
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_what_was_appended_survives_a_killed_process(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _KILLED, str(tmp_path), env=dict(os.environ))
    assert await process.wait() == -signal.SIGKILL
    opened = await open_metric_store(tmp_path)
    assert len(await opened.read(Series("s", "n", "m"), 0, 3000)) == 50
    await opened.close()
