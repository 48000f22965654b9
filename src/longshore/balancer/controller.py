"""Keeps HAProxy doing what the store says the load balancers are to do.

Watches load balancers, listeners, rules, target groups and targets. One key stands for everything that needs a reload, one
more per target group for its servers, which come and go at run time. What it writes: a load balancer's status, a target's
health, and the end of a deregistered target. HAProxy outlives this process; whoever starts next takes it over.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from longshore.balancer.binds import Binds, allocate, held_by
from longshore.balancer.files import forget_bodies, install, places_in, prepare, propose
from longshore.balancer.gather import gather
from longshore.balancer.ports import why_taken
from longshore.balancer.process import CannotRun, HAProxy
from longshore.balancer.render.configuration import Rendering, owner_of_line, render
from longshore.balancer.runtime import Runtime, RuntimeFailed, RuntimeRefused
from longshore.balancer.servers import Servers
from longshore.balancer.snapshot import Snapshot
from longshore.balancer.states import server_states
from longshore.balancer.status import statuses
from longshore.balancer.words import NOBODY, OPEN, backend_name
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.resource import Kind
from longshore.services.call import Site
from longshore.services.ecs.outlook.counts import GroupTraffic, Traffic
from longshore.services.elbv2.model import (
    LISTENERS,
    LOAD_BALANCERS,
    RULES,
    TARGET_GROUPS,
    TARGETS,
    LoadBalancer,
    LoadBalancerStatus,
    Target,
)
from longshore.store.base import Change, Store, Tx

log = logging.getLogger("longshore.balancer")

EVERYTHING = "everything"
NOT_INSTALLED = "HAProxy is not installed: apt-get install haproxy (macOS: brew install haproxy)"
#: how soon a port that was taken, or a HAProxy that was not there, is looked for again
_LOOK_AGAIN_S = 5.0
_READY_S = 20.0
#: a reload that takes longer than this may have failed
_SUSPICIOUS_S = 0.4
_MOST_REFUSALS = 200
_LINE = re.compile(r"\[[^\[\]]*:(\d+)\]")


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind that is watched, and the keys that a change of one of its resources touches."""

    kind: Kind[Any]
    keys: Callable[[Change[Any]], Iterable[str]]


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
        privileged_port_offset: int = 0,
        installation_secret: bytes = b"",
        log_file: Path | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._site = site
        self._directory = directory
        self._network = network
        self._offset = privileged_port_offset
        #: unseals the keys of certificates
        self._installation_secret = installation_secret
        self._places = places_in(directory)
        self._haproxy = HAProxy(haproxy, self._places, log_file or directory / "haproxy.log", clock)
        self._runtime = Runtime(self._places.runtime_socket)
        self._secret = ""
        #: one at a time tells HAProxy what to do
        self._lock = asyncio.Lock()
        self._servers = Servers(store, clock, self._runtime, self._haproxy, self._lock)
        #: names the structure that the worker runs; empty when none is known to run
        self._structure = ""
        #: its process id
        self._worker = 0
        #: ARN -> (the resource that was refused, why): not tried again until it is another
        self._refused: dict[str, tuple[Any, str]] = {}
        self._stopped = False
        self._jobs: list[asyncio.Task[None]] = []
        self._log_transport: asyncio.DatagramTransport | None = None
        self.watches: Sequence[Watched] = (
            Watched(LOAD_BALANCERS, _unless_only_status),
            Watched(LISTENERS, lambda change: (EVERYTHING,)),
            Watched(RULES, lambda change: (EVERYTHING,)),
            Watched(TARGET_GROUPS, _unless_only_created),
            Watched(TARGETS, _unless_only_health),
        )

    def __repr__(self) -> str:
        return f"Balancer({self._haproxy!r})"

    @property
    def pid(self) -> int | None:
        """Of HAProxy's master process; None while there is none."""
        return self._haproxy.pid

    def keys(self) -> Iterable[str]:
        return [EVERYTHING, *self._servers.group_arns()]

    async def traffic(self, group_arns: Sequence[str]) -> Traffic | None:
        """What HAProxy counts of target groups; None while it does not answer. Counts begin anew with each of its workers."""
        # whoever asks may be no task, and only in a task can an answer be waited for with a time limit
        return await asyncio.create_task(self._counted(group_arns))

    async def _counted(self, group_arns: Sequence[str]) -> Traffic | None:
        try:
            counts = await self._runtime.counts()
            worker = (await self._runtime.identity()).pid
        except RuntimeFailed:
            return None
        unserved = counts.get(NOBODY)
        groups: list[GroupTraffic] = []
        for arn in group_arns:
            found = [counts[name] for name in (backend_name(arn), backend_name(arn) + OPEN) if name in counts]
            groups.append(
                GroupTraffic(
                    target_group_arn=arn,
                    requests=sum(one.requests for one in found),
                    failed=sum(one.failed for one in found),
                    connect_errors=sum(one.connect_errors for one in found),
                    retries=sum(one.retries for one in found),
                )
            )
        return Traffic(target_groups=tuple(groups), unserved=unserved.failed if unserved else 0, counter=str(worker))

    async def start(self) -> None:
        """Takes over the HAProxy that runs already, or starts one."""
        await self._prepare()
        async with self._lock:
            try:
                if await self._haproxy.adopt():
                    log.info("HAProxy runs already as process %s", self._haproxy.pid)
                    await self._learn()
                await self._everything()
            except (RuntimeFailed, CannotRun, OSError) as problem:
                log.error("load balancers do not listen yet: %s", problem)
        self._jobs = [
            asyncio.create_task(self._supervise(), name="balancer:supervise"),
            asyncio.create_task(self._servers.follow(), name="balancer:health"),
        ]

    async def stop(self, keep_running: bool = False) -> None:
        """Ends HAProxy as well, unless it is to serve on without us."""
        self._stopped = True
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self._servers.close()
        async with self._lock:
            self._runtime.close()
        if self._log_transport is not None:
            self._log_transport.close()
        if not keep_running:
            await self._haproxy.stop()

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
                self._structure = ""
                return await self._everything()

    async def _prepare(self) -> None:
        self._secret = self._servers.secret = prepare(self._places, self._directory)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Log(self._servers.heard), local_addr=self._places.log_socket, family=socket.AF_UNIX
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
            failures = failures + 1 if self._clock.now() - begun < 10.0 else 0
            log.error("HAProxy (process %s) ended; starting it again", self._haproxy.pid)
            if failures:
                await self._clock.sleep(backoff_s(failures - 1, self._ids.fraction(), most_s=5.0))
            try:
                async with self._lock:
                    self._forget_process()
                    await self._everything()
            except Exception:  # supervising: whatever happened, it is tried again
                log.exception("HAProxy could not be started again")
                await self._clock.sleep(1.0)

    def _forget_process(self) -> None:
        if not self._haproxy.is_alive():
            self._haproxy.pid = None
            self._structure = ""
            self._runtime.close()
            self._servers.forget()

    async def _learn(self) -> None:
        """What the worker runs, asked of itself; which must be the one that the master started last."""
        begun = self._clock.now()
        while True:
            identity = await self._runtime.identity()
            if identity.pid == await self._haproxy.worker():
                break
            if self._clock.now() - begun > _READY_S:
                raise RuntimeFailed("the worker that answers is not the one that serves")
            self._runtime.close()
            await self._clock.sleep(0.005)
        self._worker, self._structure = identity.pid, identity.mark
        await self._servers.learn([group.arn for group in self._store.list(TARGET_GROUPS)])

    async def _everything(self) -> float | None:
        if self._haproxy.program() is None:
            return await self._without_haproxy()
        self._forget_process()
        snapshot = self._accepted(gather(self._store, self._network, self._offset))
        held = held_by(await self._runtime.frontends()) if self._haproxy.pid is not None else set()
        binds = allocate(snapshot.fronts, held, why_taken)
        rendering = render(snapshot, binds, self._places, self._secret)
        self._note_refused(snapshot, rendering.refused)
        if rendering.structure != self._structure:
            # The worker before serves on for a moment: it, too, must not send anything to whoever leaves.
            await self._reconcile_pools(snapshot)
            await self._servers.refresh()
            try:
                await self._change_structure(binds)
            except (RuntimeFailed, CannotRun) as problem:
                await self._say_failed(str(problem))
                raise
        snapshot = gather(self._store, self._network, self._offset)
        refused = {arn: reason for arn, (_, reason) in self._refused.items()}
        await self._put_statuses(statuses(snapshot, binds, refused, self._network))
        waits = await self._reconcile_pools(snapshot)
        waits += [_LOOK_AGAIN_S] if binds.taken else []
        return min(waits, default=None)

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

    async def _change_structure(self, binds: Binds) -> None:
        """Renders, has it checked, leaves out what is refused, and starts or reloads HAProxy."""
        for _ in range(_MOST_REFUSALS):
            snapshot = self._accepted(gather(self._store, self._network, self._offset))
            rendering = render(snapshot, binds, self._places, self._secret)
            self._note_refused(snapshot, rendering.refused)
            proposal = propose(self._places, rendering.text, rendering.files)
            refusal = await self._haproxy.refusal(str(proposal))
            if not refusal:
                break
            self._blame(snapshot, rendering, refusal)
        else:
            raise RuntimeFailed("HAProxy refuses its configuration again and again")
        if rendering.structure == self._structure:
            return
        install(self._places, proposal, server_states(snapshot.pools))
        await self._run(rendering)
        forget_bodies(self._places, rendering.files)

    async def _run(self, rendering: Rendering) -> None:
        begun = self._clock.now()
        if self._haproxy.pid is None:
            self._haproxy.start()
        else:
            await self._haproxy.reload()
        try:
            await self._until_it_runs(rendering.structure)
        except RuntimeFailed:
            self._forget_process()
            if self._haproxy.pid is not None:
                await self._learn()
            raise
        await self._learn()
        log.info("HAProxy runs configuration %s after %d ms", rendering.structure[:8], (self._clock.now() - begun) * 1000)

    async def _until_it_runs(self, structure: str) -> None:
        begun = self._clock.now()
        wait = 0.002
        while True:
            self._runtime.close()  # which leads to the worker before
            try:
                identity = await self._runtime.identity()
                if identity.mark == structure and identity.pid != self._worker:
                    return
            except RuntimeFailed:
                if not self._haproxy.is_alive():
                    raise RuntimeFailed("HAProxy ended while it started; its log says why") from None
            elapsed_s = self._clock.now() - begun
            if elapsed_s > _READY_S or (elapsed_s > _SUSPICIOUS_S and await self._haproxy.has_failed_to_reload()):
                raise RuntimeFailed("HAProxy does not take its new configuration and goes on with the one before; its log says why")
            await self._clock.sleep(wait)
            wait = min(wait * 1.5, 0.01 if elapsed_s < 1.0 else 0.1)

    def _blame(self, snapshot: Snapshot, rendering: Rendering, refusal: str) -> None:
        found = _LINE.search(refusal)
        owner = owner_of_line(rendering.text, int(found[1])) if found else None
        if owner is None or _resource(snapshot, owner) is None:
            raise RuntimeFailed(f"HAProxy refuses its configuration: {refusal}")
        self._note_refused(snapshot, {owner: refusal.rpartition("] : ")[2]})

    def _note_refused(self, snapshot: Snapshot, refused: dict[str, str]) -> None:
        for arn, reason in refused.items():
            log.error("%s cannot be served: %s", arn, reason)
            self._refused[arn] = (_resource(snapshot, arn), reason)

    def _accepted(self, snapshot: Snapshot) -> Snapshot:
        """Without what HAProxy has refused, as long as it is the same."""
        refused = {arn for arn, (value, _) in self._refused.items() if _resource(snapshot, arn) == value}
        self._refused = {arn: self._refused[arn] for arn in refused}
        return snapshot.leaving_out(refused) if refused else snapshot

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


def _resource(snapshot: Snapshot, arn: str) -> Any:
    for front in snapshot.fronts:
        if front.listener.arn == arn:
            return front.listener
        for rule in front.rules:
            if rule.arn == arn:
                return rule
    return next((pool.group for pool in snapshot.pools if pool.group.arn == arn), None)


def _unless_only_status(change: Change[LoadBalancer]) -> Iterable[str]:
    if change.old is not None and change.new is not None and msgspec.structs.replace(change.old, status=change.new.status) == change.new:
        return ()
    return (EVERYTHING,)


def _unless_only_created(change: Change[Any]) -> Iterable[str]:
    """A new target group is nobody's yet."""
    return () if change.old is None else (EVERYTHING,)


def _unless_only_health(change: Change[Target]) -> Iterable[str]:
    if change.old is not None and change.new is not None and msgspec.structs.replace(change.old, health=change.new.health) == change.new:
        return ()
    return (change.value.target_group_arn,)
