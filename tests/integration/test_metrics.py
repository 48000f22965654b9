"""What is measured of a running HAProxy, minute by minute, over reloads and kills."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from longshore.balancer.metrics.collector import Collector
from longshore.services.elbv2.model import LISTENERS
from longshore.store.base import StoreUnavailable
from longshore.store.memory_metrics import MemoryMetricStore
from longshore.store.metrics import Datum, Query, Series
from tests.balancer.lab import SITE, Lab, fixed, laboratory, paths, until

pytestmark = pytest.mark.engine("haproxy")

SCOPE = f"{SITE.region}:{SITE.account_id}"


async def collecting(lab: Lab, metrics: MemoryMetricStore) -> Collector:
    collector = lab.balancer.measured(metrics, lab.directory / "state")
    await collector.look()
    return collector


async def summed(metrics: MemoryMetricStore, metric: str) -> float:
    """Over all minutes, of the load balancer itself."""
    found = [one for one in await metrics.series(Query(SCOPE, metric=metric)) if len(one.dimensions) == 1]
    return sum([period.statistics.sum for one in found for period in await metrics.read(one, 0, 10_000)])


async def test_requests_are_counted_once_however_often_haproxy_is_reloaded(tmp_path: Path) -> None:
    metrics = MemoryMetricStore()
    async with laboratory(tmp_path / "h") as lab:
        upstream = await lab.upstream("a")
        await lab.serving(upstream)
        collector = await collecting(lab, metrics)
        (listener,) = lab.store.list(LISTENERS)
        for number in range(3):
            for _ in range(10):
                await lab.ask("/")
            await lab.rule(listener, 100 + number, [paths(f"/fixed{number}")], fixed(404))
            await lab.settled()
        await lab.ask("/fixed0")
        await until(lambda: _all_seen(collector, 31))
        await collector.minute_over(60)
        assert await summed(metrics, "RequestCount") == 30
        assert await summed(metrics, "HTTPCode_Target_2XX_Count") == 30
        assert await summed(metrics, "HTTPCode_ELB_4XX_Count") == 1
        assert await summed(metrics, "NewConnectionCount") >= 31
        await collector.minute_over(120)
        assert await summed(metrics, "RequestCount") == 30


async def _all_seen(collector: Collector, requests: int) -> bool:
    await collector.look()
    return sum(counts.get("req_tot", 0) for place, counts in collector.totals.counts.items() if place.side == "FRONTEND") >= requests


async def test_a_haproxy_that_is_killed_takes_only_its_last_moment_with_it(tmp_path: Path) -> None:
    metrics = MemoryMetricStore()
    async with laboratory(tmp_path / "h") as lab:
        upstream = await lab.upstream("a")
        await lab.serving(upstream)
        collector = await collecting(lab, metrics)
        await lab.ask("/")
        await until(lambda: _all_seen(collector, 1))
        pid = lab.balancer.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: lab.balancer.pid not in (None, pid))
        await until(lambda: lab.ask("/"))
        await until(lambda: _all_seen(collector, 2))
        await collector.minute_over(60)
        assert await summed(metrics, "RequestCount") == 2


class Full(MemoryMetricStore):
    is_full = True

    async def append(self, data: Sequence[Datum]) -> None:
        if self.is_full:
            raise StoreUnavailable("no room")
        await super().append(data)


async def test_metrics_wait_for_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    metrics = Full()
    async with laboratory(tmp_path / "h") as lab:
        await lab.serving(await lab.upstream("a"))
        collector = await collecting(lab, metrics)
        await lab.ask("/")
        await until(lambda: _all_seen(collector, 1))
        await collector.minute_over(60)
        metrics.is_full = False
        await collector.minute_over(120)
        assert await summed(metrics, "RequestCount") == 1
        hosts: list[Series] = await metrics.series(Query(SCOPE, metric="HealthyHostCount"))
        assert [period.start for period in await metrics.read(hosts[0], 0, 10_000)] == [60, 120]
