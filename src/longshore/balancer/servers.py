"""The servers of target groups in the running HAProxy: added, withheld and removed at run time.

Who leaves gets no new request from now on, is waited for as long as something is on its way to it (in workers that a reload
left behind, too) and no longer than its group allows, and only then do its row and its server go: whoever waits for the row
to go, before a process is stopped, cuts nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from longshore.balancer.gather import gather_pool
from longshore.balancer.health import UNHEALTHY_DRAINING, drain_interval_s
from longshore.balancer.leftovers import Leftovers
from longshore.balancer.looking import Known, Looking
from longshore.balancer.memory import Remembered, recall, remind
from longshore.balancer.plan import Step, plan, stays_s
from longshore.balancer.render.backends import identity, question, server_options
from longshore.balancer.render.stickiness import is_by_app_cookie
from longshore.balancer.runtime import Runtime, RuntimeFailed, RuntimeRefused
from longshore.balancer.snapshot import Pool
from longshore.balancer.words import OPEN, backend_name, server_name
from longshore.kit.clock import Clock
from longshore.services.elbv2.model import TARGET_GROUPS, TARGETS, Target, TargetGroup
from longshore.store.base import Store, Tx

log = logging.getLogger("longshore.balancer")

_ADDED = "New server registered."
_KNOWN = "Already exists a server with the same name in backend."
_DELETED = "Server deleted."
_HELD = "Server still has connections attached to it, cannot remove it."
_REMOVE_AGAIN_S = 0.25


class Servers:
    """Everything here is called with the balancer's lock held."""

    def __init__(self, store: Store, clock: Clock, runtime: Runtime, leftovers: Leftovers, lock: asyncio.Lock) -> None:
        #: keys the cookies by which clients stay with their target
        self.secret = ""
        self.looking = Looking(store, clock, runtime, lock)
        self._store = store
        self._clock = clock
        self._runtime = runtime
        self._leftovers = leftovers

    def __repr__(self) -> str:
        return f"Servers({sum(map(len, self.looking.known.values()))})"

    async def reconcile(self, group_arn: str) -> float | None:
        """Brings one group's servers to what is registered; returns seconds until it is to be looked at again."""
        pool = gather_pool(self._store, group_arn)
        backend = backend_name(group_arn)
        known = self.looking.known.get(backend)
        if known is None:
            # Not in the configuration (yet): whoever puts it there puts its targets there, too, and nobody is on his way to them.
            await self._forget_leaving(group_arn)
            return None
        if pool is None:
            return None
        todo = plan(
            pool,
            {name: server.status for name, server in known.items()},
            {name: server.registered_at for name, server in known.items() if server.registered_at is not None},
        )
        try:
            for step in todo.add:
                await self._add(pool.group, backend, step)
            for step in todo.revive:
                await self._revive(backend, step)
            for step in todo.withhold:
                await self._withhold(backend, step)
            wait = await self._finish(pool, backend, (*todo.withhold, *todo.finish))
            for step in todo.remove:
                if not await self._remove(backend, step.server, cut=_is_cut(pool.group)):
                    wait = earlier(wait, _REMOVE_AGAIN_S)
        except RuntimeFailed:
            await self._learn_again(backend)
            raise
        self.looking.believe(pool, backend)
        wait = earlier(wait, await self._end_drained(pool, backend))
        await self.delete([step.target for step in todo.forget if step.target is not None])
        self.looking.probe_new(pool, backend)
        return wait

    async def _end_drained(self, pool: Pool, backend: str) -> float | None:
        """Ends connections to targets that have been unhealthy for as long as those may go on; returns seconds until the next one is."""
        interval_s, now = drain_interval_s(pool.group), self._clock.now()
        wait: float | None = None
        for target in pool.targets:
            if target.health.state != UNHEALTHY_DRAINING or target.deregistered_at is not None:
                continue
            left_s = target.health.since + interval_s - now
            if left_s > 0:
                wait = earlier(wait, left_s)
                continue
            server = server_name(target)
            log.info("%s/%s: unhealthy for %g s: its connections end", backend, server, interval_s)
            for name in (backend, backend + OPEN):
                await self._runtime.command(f"shutdown sessions server {name}/{server}")
            self.looking.look_soon(backend, server)
        return wait

    async def recall(self) -> dict[str, list[Remembered]]:
        """Which values of applications' cookies lead where. Raises RuntimeFailed."""
        groups = [group for group in self._store.list(TARGET_GROUPS) if is_by_app_cookie(group)]
        known = [backend for group in groups if (backend := backend_name(group.arn)) in self.looking.known]
        return await recall(self._runtime, [name for backend in known for name in (backend, backend + OPEN)])

    async def remind(self, remembered: dict[str, list[Remembered]]) -> None:
        """Has the worker that serves now remember the same. Raises RuntimeFailed."""
        numbers: dict[str, dict[str, int]] = {}
        for name in remembered:
            servers = self.looking.known.get(name.removesuffix(OPEN), {})
            numbers[name] = {server.rpartition("_")[2]: known.number for server, known in servers.items()}
        await remind(self._runtime, {name: rows for name, rows in remembered.items() if numbers[name]}, numbers)

    async def _forget_leaving(self, group_arn: str) -> None:
        if self.looking.is_learned:
            targets = self._store.list(TARGETS, "target_group", group_arn)
            await self.delete([target for target in targets if target.deregistered_at is not None])

    async def _learn_again(self, backend: str) -> None:
        try:
            servers = await self._runtime.servers(backend)
        except RuntimeFailed:
            self.looking.known.pop(backend, None)
        else:
            self.looking.known[backend] = {seen.name: Known(seen.status, seen.number) for seen in servers}

    async def _add(self, group: TargetGroup, backend: str, step: Step) -> None:
        assert step.target is not None
        known = self.looking.known[backend]
        server, address = step.server, f"{step.target.address}:{step.target.port}"
        # With a number of our own choosing it can be asked about alone.
        number, is_numbered = max((one.number for one in known.values()), default=0) + 1, True
        for name in (backend, backend + OPEN):
            options = server_options(group, name.endswith(OPEN), step.target.port, step.target.address, identity(step.target))
            answer = await self._runtime.command(f"add server {name}/{server} {address} id {number} {options}".rstrip())
            if answer not in (_ADDED, _KNOWN):
                raise RuntimeRefused(f"add server {name}/{server} {address} id {number} {options}: {answer}")
            is_numbered = is_numbered and answer == _ADDED
        if is_cookie_sticky(group):
            for name in (backend, backend + OPEN):
                # Added servers have no cookie until the key is set, even to what it is.
                await self._runtime.expect(f"set dynamic-cookie-key backend {name} {self.secret}")
        await self._introduce(backend, step, Known("NOLB", number if is_numbered else 0), is_new=True)

    async def _introduce(self, backend: str, step: Step, known: Known, *, is_new: bool) -> None:
        """Out of service until a check has passed: leaving maintenance for `ready` at once would put it into service unchecked."""
        assert step.target is not None
        checked = f"{backend}/{step.server}"
        await self._runtime.expect(f"set server {checked} state drain")
        for name in (backend, backend + OPEN) if step.target.identity else ():
            if is_new:
                await self._runtime.expect(f"enable agent {name}/{step.server}")
            # Whatever its checks say, it is out of service until it is known who is there.
            await self._runtime.expect(f"set server {name}/{step.server} agent down")
        await self._runtime.expect(f"set server {checked} health stopping")
        if is_new:
            await self._runtime.expect(f"enable health {checked}")
        await self._runtime.expect(f"set server {checked} state ready")
        await self._runtime.expect(f"set server {backend}{OPEN}/{step.server} state ready")
        known.status, known.registered_at = "NOLB", step.target.registered_at
        self.looking.known[backend][step.server] = known
        self.looking.look_soon(backend, step.server)
        log.info("%s: %s", checked, step.reason)

    async def _revive(self, backend: str, step: Step) -> None:
        assert step.target is not None
        for name in (backend, backend + OPEN):
            # Its address may have been taken away with its idle connections.
            await self._runtime.command(f"set server {name}/{step.server} addr {step.target.address} port {step.target.port}")
            if step.target.identity:
                await self._runtime.expect(f"set server {name}/{step.server} agent-send {question(step.target)}")
        await self._introduce(backend, step, self.looking.known[backend][step.server], is_new=False)

    async def _withhold(self, backend: str, step: Step) -> None:
        for name in (backend, backend + OPEN):
            await self._runtime.expect(f"set server {name}/{step.server} state maint")
        self.looking.known[backend][step.server].status = "MAINT"
        log.info("%s/%s: %s", backend, step.server, step.reason)

    async def _finish(self, pool: Pool, backend: str, steps: Iterable[Step]) -> float | None:
        """Targets that leave: gone when nothing is under way to them any more, or when their time is over."""
        steps = [step for step in steps if step.target is not None]
        if not steps:
            return None
        now = self._clock.now()
        busy = await self._busy(backend, {step.server for step in steps})
        gone: list[Target] = []
        wait: float | None = None
        for step in steps:
            assert step.target is not None
            is_busy = step.server in busy
            soon_s = stays_s(step.target, is_busy=is_busy, delay_s=pool.group.deregistration_delay_s, now=now)
            if soon_s:
                wait = earlier(wait, soon_s)
                continue
            await self._remove(backend, step.server, cut=is_busy and _is_cut(pool.group))
            gone.append(step.target)
        await self.delete(gone)
        return wait

    async def _busy(self, backend: str, servers: set[str]) -> set[str]:
        """Those of the servers that something is on its way to: at both twins, in the worker that serves and in those before it."""
        busy: set[str] = set()
        for name in (backend, backend + OPEN):
            busy |= {server for server, count in (await self._runtime.connections(name)).items() if count}
        known = self.looking.known[backend]
        for server in servers - busy:
            # A request that has its server but no connection yet counts, too.
            for name in (backend, backend + OPEN):
                seen = (
                    await self._runtime.servers(name, known[server].number) if known[server].number else await self._runtime.servers(name)
                )
                if any(one.current_sessions for one in seen if one.name == server):
                    busy.add(server)
        return (busy | await self._leftovers.busy((backend, backend + OPEN))) & servers

    async def _remove(self, backend: str, server: str, *, cut: bool) -> bool:
        """False while connections hold it; `cut` ends them."""
        removed = True
        for name in (backend, backend + OPEN):
            path = f"{name}/{server}"
            await self._runtime.command(f"set server {path} state maint")
            if cut:
                await self._runtime.command(f"shutdown sessions server {path}")
            answer = await self._runtime.command(f"del server {path}")
            if answer == _HELD:
                # Perhaps by idle connections only, which a change of address drops.
                await self._runtime.command(f"set server {path} addr 127.0.0.1 port 1")
                answer = await self._runtime.command(f"del server {path}")
            removed = removed and (answer == _DELETED or answer.startswith("No such server"))
        known = self.looking.known[backend]
        if removed:
            known.pop(server, None)
            log.info("%s/%s: gone", backend, server)
        elif server in known:
            known[server].status = "MAINT"
        return removed

    async def delete(self, targets: list[Target]) -> None:
        if not targets:
            return

        def delete(tx: Tx) -> None:
            for target in targets:
                now_known = tx.get(TARGETS, TARGETS.key(target))
                if now_known is not None and now_known.deregistered_at == target.deregistered_at:
                    tx.delete(TARGETS, TARGETS.key(target))

        await self._store.transact(delete)


def earlier(one: float | None, other: float | None) -> float | None:
    return one if other is None else other if one is None else min(one, other)


def _is_cut(group: TargetGroup) -> bool:
    """Whether connections end with the deregistration delay: a network load balancer leaves them unless told otherwise."""
    return group.protocol not in ("TCP", "TLS") or group.attributes.get("deregistration_delay.connection_termination.enabled") == "true"


def is_cookie_sticky(group: TargetGroup) -> bool:
    attributes = group.attributes
    return (
        group.protocol != "TCP"
        and attributes.get("stickiness.enabled") == "true"
        and attributes.get("stickiness.type", "lb_cookie") == "lb_cookie"
    )
