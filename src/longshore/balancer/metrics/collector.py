"""Looks at HAProxy's counters, makes metrics of them once a minute, and keeps totals for whoever scrapes.

One look takes backends one at a time, so that no answer of HAProxy's holds up its requests for longer than a target group's servers
take to be listed. It comes at the end of each minute, right before each reload, and every second as long as a worker that a reload
left behind still finishes requests: what that one counts after the last look is not told of (docs/metrics-and-logs.md).

Metrics of a minute are appended once. When the store cannot be written they wait, a bounded number of minutes.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from longshore.balancer.access_log.tally import Tally
from longshore.balancer.metrics.calculate import Minute, metrics_of, zone_of
from longshore.balancer.metrics.counters import GAUGES, Counting, Counts, Place, Row, added, rows_in
from longshore.balancer.process import HAProxy
from longshore.balancer.runtime import Runtime, RuntimeFailed
from longshore.balancer.snapshot import Snapshot
from longshore.balancer.words import backend_name, server_name
from longshore.kit.clock import Clock
from longshore.store.base import StoreUnavailable
from longshore.store.metrics import MINUTE_S, Datum, MetricStore, Series, minute_of, total

log = logging.getLogger("longshore.balancer")

_OLD_WORKER_S = 1.0
_TRIM_S = 3600.0
#: minutes that wait for a store that cannot be written
_MOST_WAITING = 60
#: backends whose servers are not looked at one backend at a time: all at once is cheaper for a few
_FEW = 8


class Totals(msgspec.Struct):
    """Since this process began."""

    counts: dict[Place, Counts] = {}
    gauges: dict[Place, Counts] = {}
    lost_lines: int = 0
    malformed_lines: int = 0


class Collector:
    def __init__(
        self,
        metrics: MetricStore,
        clock: Clock,
        haproxy: HAProxy,
        runtime: Runtime,
        gathered: Callable[[], Snapshot],
        *,
        told: Path,
        scope: str,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._haproxy = haproxy
        #: a connection of its own: commands of the balancer's do not wait behind it
        self._runtime = runtime
        self._gathered = gathered
        #: where the reader of log lines puts what they say
        self._told_at = told
        #: region:account that what is nobody's own is told of
        self._scope = scope
        self._lock = asyncio.Lock()
        self._counting = Counting()
        self._minute: dict[Place, Counts] = {}
        self.totals = Totals()
        self._waiting: deque[list[Datum]] = deque(maxlen=_MOST_WAITING)
        self._zones: dict[tuple[str, str], str] = {}

    def __repr__(self) -> str:
        return f"Collector({self._haproxy!r})"

    async def run(self) -> None:
        """Until cancelled."""
        await self._begin()
        trimmed = self._clock.now()
        while True:
            now = self._clock.now()
            ends = minute_of(now) + MINUTE_S
            while (left_s := ends - self._clock.now()) > 0:
                await self._clock.sleep(min(left_s, _OLD_WORKER_S))
                try:
                    if left_s > _OLD_WORKER_S and len(await self._workers()) > 1:
                        await self.look()
                except Exception:  # supervising: there is another look at the minute's end
                    log.exception("a worker that ends could not be looked at")
            try:
                await self.minute_over(ends - MINUTE_S)
                if ends - trimmed >= _TRIM_S:
                    trimmed = ends
                    await self._metrics.trim(self._clock.now())
            except Exception:  # supervising: the next minute tries again
                log.exception("metrics of a minute were not kept")

    async def _begin(self) -> None:
        """A HAProxy that ran before us has counted for others: what it counted while nobody looked belongs to no minute."""
        try:
            self._counting.begin_at(await self._rows(self._gathered()))
        except RuntimeFailed as problem:
            log.info("there is nothing to count yet: %s", problem)

    async def look(self) -> Snapshot:
        """Counts what has happened since the last look. What cannot be asked now is counted by the next one."""
        async with self._lock:
            snapshot = self._gathered()
            try:
                workers = await self._rows(snapshot)
            except RuntimeFailed as problem:
                log.info("HAProxy's counters are not known: %s", problem)
                return snapshot
            since = self._counting.look(workers, self._place)
            self._counting.forget_all_but(workers)
            added(self._minute, since)
            added(self.totals.counts, since)
            self.totals.gauges = self._gauges(workers)
            return snapshot

    async def before_reload(self) -> None:
        """The worker that serves now may be gone a moment later."""
        if self._haproxy.pid is not None:
            await self.look()

    async def minute_over(self, begun: int) -> list[Datum]:
        """Appends what there is to tell of the minute. What lines say is taken as soon as it is there: of minutes before, mostly."""
        snapshot = await self.look()
        counts, self._minute = self._minute, {}
        tally, files = self._tallied()
        minute = Minute(begun, snapshot, counts, self.totals.gauges, tuple(tally.told))
        data = [*metrics_of(minute), *self._own(begun, tally)]
        self._waiting.append(data)
        for path in files:
            path.unlink(missing_ok=True)
        while self._waiting:
            try:
                await self._metrics.append(self._waiting[0])
            except StoreUnavailable as problem:
                log.error("metrics wait: %s", problem)
                break
            self._waiting.popleft()
        return data

    def _own(self, begun: int, tally: Tally) -> list[Datum]:
        """What is ours alone: lines that were lost are never lost silently."""
        self.totals.lost_lines += tally.lost
        self.totals.malformed_lines += tally.malformed
        return [
            Datum(Series(self._scope, "Longshore/LoadBalancing", metric, (), "Count"), begun, total(count))
            for metric, count in (("LostLogLines", tally.lost), ("MalformedLogLines", tally.malformed))
            if count
        ]

    def _tallied(self) -> tuple[Tally, list[Path]]:
        whole, files = Tally(), sorted(self._told_at.glob("*.json"))
        for path in files:
            try:
                one = msgspec.json.decode(path.read_bytes(), type=Tally)
            except (OSError, msgspec.DecodeError) as problem:
                log.error("%s cannot be read: %s", path, problem)
                continue
            whole = Tally([*whole.told, *one.told], whole.lost + one.lost, whole.malformed + one.malformed)
        return whole, files

    async def _workers(self) -> list[int]:
        return await self._haproxy.workers() if self._haproxy.pid is not None else []

    async def _rows(self, snapshot: Snapshot) -> dict[int, list[Row]]:
        """Of each worker that answers, the one that serves first. Raises RuntimeFailed when that one does not."""
        if self._haproxy.pid is None:
            raise RuntimeFailed("HAProxy does not run")
        self._zones = {
            (backend_name(pool.group.arn), server_name(target)): zone_of(target) for pool in snapshot.pools for target in pool.targets
        }
        current, *old = await self._workers() or [0]
        found: dict[int, list[Row]] = {}
        for worker in old:
            try:
                found[worker] = rows_in(await self._haproxy.ask(f"@!{worker} show stat -1 7 -1"))
            except (RuntimeFailed, ValueError) as problem:
                log.info("worker %s is over, or does not answer: %s", worker, problem)
        try:
            if (await self._runtime.identity()).pid != current:
                raise RuntimeFailed("another worker serves by now")
            found[current] = await self._serving()
        except ValueError as problem:
            raise RuntimeFailed(f"show stat: {problem}") from None
        finally:
            self._runtime.close()  # by the next look another worker may serve
        return found

    async def _serving(self) -> list[Row]:
        rows = rows_in(await self._runtime.command("show stat -1 3 -1"))
        backends = [row.proxy for row in rows if row.name == "BACKEND" and row.proxy.startswith("tg-")]
        if len(backends) <= _FEW:
            return rows + rows_in(await self._runtime.command("show stat -1 4 -1"))
        for backend in backends:
            answer = await self._runtime.command(f"show stat {backend} 4 -1")
            if answer.startswith("#"):
                rows += rows_in(answer)
        return rows

    def _place(self, row: Row) -> Place:
        if row.name in ("FRONTEND", "BACKEND"):
            return Place(row.proxy, row.name)
        return Place(row.proxy, "SERVERS", self._zones.get((row.proxy.removesuffix(".open"), row.name), ""))

    def _gauges(self, workers: dict[int, list[Row]]) -> dict[Place, Counts]:
        found: dict[Place, Counts] = {}
        for row in (row for rows in workers.values() for row in rows):
            gauges = found.setdefault(self._place(row), {})
            for name, value in zip(GAUGES, row.gauges, strict=True):
                gauges[name] = gauges.get(name, 0) + value
        return found
