"""Keeps HAProxy doing what the store says the load balancers are to do.

What it writes: a load balancer's status, a target's health, and the end of a deregistered target. HAProxy outlives this
process; whoever starts next takes it over. The configuration is structure.py's concern, servers are servers.py's, and what a
change in the store touches stands in watches.py.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from longshore.balancer.auth.service import Authentication
from longshore.balancer.binds import Binds, allocate, held_by
from longshore.balancer.certificates import Certificates
from longshore.balancer.counting import counted
from longshore.balancer.files import places_in, prepare, release
from longshore.balancer.gather import gather
from longshore.balancer.leftovers import Leftovers
from longshore.balancer.links import Links, linked
from longshore.balancer.metrics.collector import Collector
from longshore.balancer.ports import why_taken
from longshore.balancer.process import CannotRun, HAProxy
from longshore.balancer.render.places import Places
from longshore.balancer.runtime import Runtime, RuntimeFailed, RuntimeRefused
from longshore.balancer.servers import Servers
from longshore.balancer.snapshot import Snapshot
from longshore.balancer.status import followed, next_end, statuses
from longshore.balancer.structure import Structure
from longshore.balancer.watches import EVERYTHING, Watched, watches
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.sealing import Keys
from longshore.services.call import Site
from longshore.services.ecs.outlook.counts import Traffic
from longshore.services.elbv2.model import LOAD_BALANCERS, TARGETS, LoadBalancerStatus
from longshore.store.base import Store, Tx
from longshore.store.metrics import MetricStore

log = logging.getLogger("longshore.balancer")

NOT_INSTALLED = "HAProxy is not installed: apt-get install haproxy (macOS: brew install haproxy)"
#: how soon a port that was taken, or a HAProxy that was not there, is looked for again
_LOOK_AGAIN_S = 5.0
_LONGEST_WAIT_S = 86_400.0
#: a HAProxy that ended after longer than this is started again at once
_STABLE_S = 2.0


class Balancer:
    name = "balancer"

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        site: Site,
        directory: Path,
        haproxy: str = "haproxy",
        *,
        network: str = "127.0.2.",
        link_network: str = "",
        public_address: str = "",
        privileged_port_offset: int = 0,
        installation_secret: Keys = b"",
        authority: Path | None = None,
        log_file: Path | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._site = site
        self._directory = directory
        self._network = network
        self._public = public_address
        self._offset = privileged_port_offset
        #: gives containers their way to load balancers
        self._links = Links(link_network, directory / "links")
        #: unseals the keys of certificates
        self._installation_secret = installation_secret
        self._places = places_in(directory)
        self._haproxy = HAProxy(haproxy, self._places, log_file or directory / "haproxy.log", clock)
        self._runtime = Runtime(self._places.runtime_socket)
        self._certificates = Certificates(store, self._places, installation_secret)
        #: lets in whoever HAProxy cannot let in by itself
        self._authentication = Authentication(store, clock, self._places, installation_secret, self._look_again, authority)
        #: one at a time tells HAProxy what to do
        self._lock = asyncio.Lock()
        self._leftovers = Leftovers(clock, self._haproxy, self._look_again)
        self._servers = Servers(store, clock, self._runtime, self._leftovers, self._lock)
        self._structure = Structure(clock, self._places, self._haproxy, self._runtime, self._servers, self._certificates, self._leftovers)
        self._stopped = False
        self._jobs: list[asyncio.Task[None]] = []
        self._log_transport: asyncio.DatagramTransport | None = None
        self.watches: Sequence[Watched] = watches()

    def __repr__(self) -> str:
        return f"Balancer({self._haproxy!r})"

    @property
    def pid(self) -> int | None:
        """Of HAProxy's master process; None while there is none."""
        return self._haproxy.pid

    def keys(self) -> Iterable[str]:
        return [EVERYTHING, *self._servers.looking.group_arns()]

    async def traffic(self, group_arns: Sequence[str]) -> Traffic | None:
        """What HAProxy counts of target groups; None while it does not answer."""
        # whoever asks may be no task, and only in a task can an answer be waited for with a time limit
        return await asyncio.create_task(counted(self._runtime, group_arns))

    def measured(self, metrics: MetricStore, state: Path) -> Collector:
        """Who counts what HAProxy does; `state` is where the reader of its lines keeps what it knows."""
        scope = f"{self._site.region}:{self._site.account_id}"
        runtime = Runtime(self._places.runtime_socket)
        collector = Collector(metrics, self._clock, self._haproxy, runtime, self._gathered, told=state / "told", scope=scope)
        self._structure.before_reload = collector.before_reload
        return collector

    @property
    def places(self) -> Places:
        """Where its files are, for as long as HAProxy runs."""
        return self._places

    @property
    def own_places(self) -> Places:
        """The same files by their directory's own name, however long: for whoever reads on when HAProxy has ended."""
        return Places(str(self._directory.absolute()))

    async def start(self) -> None:
        """Takes over the HAProxy that runs already, or starts one."""
        await self._prepare()
        await self._authentication.start()
        async with self._lock:
            try:
                if await self._haproxy.adopt():
                    log.info("HAProxy runs already as process %s", self._haproxy.pid)
                    await self._structure.learn()
                await self._everything()
            except (RuntimeFailed, CannotRun, OSError) as problem:
                log.error("load balancers do not listen yet: %s", problem)
        self._jobs = [
            asyncio.create_task(self._supervise(), name="balancer:supervise"),
            asyncio.create_task(self._servers.looking.follow(), name="balancer:health"),
            asyncio.create_task(self._leftovers.follow(), name="balancer:leftovers"),
        ]

    async def stop(self, keep_running: bool = False) -> None:
        """Ends HAProxy as well, unless it is to serve on without us."""
        self._stopped = True
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self._servers.looking.close()
        await self._authentication.close()
        async with self._lock:
            self._runtime.close()
        if self._log_transport is not None:
            self._log_transport.close()
        if not keep_running:
            await self._haproxy.stop()
            await self._links.drop()
            release(self._places, self._directory)

    async def reconcile(self, key: str) -> float | None:
        async with self._lock:
            if self._stopped:
                return None
            if key == EVERYTHING:
                return await self._everything()
            try:
                return await self._servers.reconcile(key)
            except RuntimeRefused as refusal:
                log.warning("a reload does what HAProxy refuses to do at run time: %s", refusal)
                self._structure.forget()
                return await self._everything()

    async def _look_again(self) -> None:
        """Tokens are signed with other keys from now on, or a reload is over for everybody."""
        async with self._lock:
            if not self._stopped:
                await self._everything()

    async def _prepare(self) -> None:
        self._structure.secret = self._servers.secret = prepare(self._places, self._directory)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Log(self._servers.looking.heard), local_addr=self._places.log_socket, family=socket.AF_UNIX
        )
        self._log_transport = transport

    async def _supervise(self) -> None:
        """Starts HAProxy again when it ends; once more and more slowly while it keeps ending."""
        failures = 0
        while True:
            if self._haproxy.pid is None:
                await self._clock.sleep(_LOOK_AGAIN_S)
                continue
            begun = self._clock.now()
            await self._haproxy.ended()
            failures = failures + 1 if self._clock.now() - begun < _STABLE_S else 0
            log.error("HAProxy (process %s) ended; starting it again", self._haproxy.pid)
            if failures:
                await self._clock.sleep(backoff_s(failures - 1, self._ids.fraction(), most_s=5.0))
            try:
                async with self._lock:
                    self._structure.forget_ended()
                    await self._everything()
            except Exception:  # supervising: whatever happened, it is tried again
                log.exception("HAProxy could not be started again")
                await self._clock.sleep(1.0)

    def _gathered(self) -> Snapshot:
        """What the load balancers are to be, with what HAProxy needs to know who somebody is."""
        snapshot = gather(self._store, self._network, self._offset, self._installation_secret)
        return self._authentication.filled(linked(snapshot, self._links.network))

    async def _everything(self) -> float | None:
        if self._haproxy.program() is None:
            return await self._without_haproxy()
        self._structure.forget_ended()
        self._haproxy.bound_log()
        snapshot = self._gathered()
        await self._links.keep(front.link for front in snapshot.fronts if front.link)
        names = await self._runtime.frontends() if self._haproxy.pid is not None else []
        held = held_by(names, {front.address: front.link for front in snapshot.fronts})
        binds = allocate(self._structure.accepted(snapshot).fronts, held, why_taken, self._public)
        if not self._structure.is_current(snapshot, binds):
            # The worker before serves on for a moment: it, too, must not send anything to whoever leaves.
            await self._reconcile_pools(snapshot)
            await self._servers.looking.refresh()
            snapshot = self._gathered()
            binds = allocate(self._structure.accepted(snapshot).fronts, held, why_taken, self._public)
            try:
                await self._structure.change(snapshot, binds)
            except (RuntimeFailed, CannotRun) as problem:
                await self._say_failed(str(problem))
                raise
        await self._follow_certificates(snapshot, binds)
        return await self._settle(snapshot, binds)

    async def _settle(self, snapshot: Snapshot, binds: Binds) -> float | None:
        """Says how the load balancers are, and brings in the servers; returns seconds until there is something to be looked at again.

        What has been written since `snapshot` was gathered is another change, and is said to be served when it is.
        """
        now = self._clock.now()
        found = statuses(snapshot, binds, self._structure.refusals.reasons(), self._network, now)
        marks = followed(snapshot, is_settled=self._leftovers.are_settled)
        await self._put_statuses({arn: msgspec.structs.replace(status, followed=marks[arn]) for arn, status in found.items()})
        waits = await self._reconcile_pools(snapshot)
        waits += [_LOOK_AGAIN_S] if binds.taken else []
        ends = next_end(snapshot, now)
        waits += [] if ends is None else [min(ends + 1.0, _LONGEST_WAIT_S)]
        return min(waits, default=None)

    async def _follow_certificates(self, snapshot: Snapshot, binds: Binds) -> None:
        try:
            await self._certificates.tell(self._structure.accepted(snapshot), self._runtime)
        except RuntimeRefused as refusal:
            log.warning("a reload tries what HAProxy refuses to do at run time: %s", refusal)
            self._certificates.forget()
            self._structure.forget()
            await self._structure.change(snapshot, binds)

    async def _reconcile_pools(self, snapshot: Snapshot) -> list[float]:
        """Seconds until some of them are to be looked at again. What one group's servers are refused does not hold up the others."""
        waits: list[float] = []
        for pool in snapshot.pools:
            try:
                wait = await self._servers.reconcile(pool.group.arn)
            except RuntimeRefused as refusal:
                log.error("%s", refusal)
                wait = _LOOK_AGAIN_S
            waits += [] if wait is None else [wait]
        return waits

    async def _without_haproxy(self) -> float:
        await self._say_failed(NOT_INSTALLED)
        return _LOOK_AGAIN_S

    async def _say_failed(self, problem: str) -> None:
        """Of load balancers that do not serve yet: those that do go on as they are."""
        failed = LoadBalancerStatus(state="failed", reason=problem[:1024])
        load_balancers = self._store.list(LOAD_BALANCERS)
        if self._haproxy.pid is None:
            # Nothing is on its way to anybody.
            await self._servers.delete([target for target in self._store.list(TARGETS) if target.deregistered_at is not None])
        else:
            load_balancers = [lb for lb in load_balancers if lb.status.state in ("provisioning", "failed")]
        await self._put_statuses(dict.fromkeys((lb.arn for lb in load_balancers), failed))

    async def _put_statuses(self, wanted: dict[str, LoadBalancerStatus]) -> None:
        def put(tx: Tx) -> None:
            for arn, status in wanted.items():
                lb = tx.get(LOAD_BALANCERS, arn)
                if lb is not None and lb.status != status:
                    tx.put(LOAD_BALANCERS, msgspec.structs.replace(lb, status=status))

        if any((lb := self._store.get(LOAD_BALANCERS, arn)) is not None and lb.status != status for arn, status in wanted.items()):
            await self._store.transact(put)


class _Log(asyncio.DatagramProtocol):
    """HAProxy's log: a line about a server says that its health may have changed."""

    def __init__(self, heard: Callable[[str], None]) -> None:
        self._heard = heard

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._heard(data.decode(errors="replace"))
