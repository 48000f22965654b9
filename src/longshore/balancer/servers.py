"""The servers of target groups in the running HAProxy: added, withheld and removed at run time, and their health told back."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable

import msgspec

from longshore.balancer.gather import gather_pool
from longshore.balancer.health import health_of
from longshore.balancer.plan import Step, plan
from longshore.balancer.probe import can_probe, passes
from longshore.balancer.process import HAProxy
from longshore.balancer.render.backends import server_options
from longshore.balancer.runtime import Runtime, RuntimeFailed, RuntimeRefused, Seen, connections_in
from longshore.balancer.snapshot import Pool
from longshore.balancer.words import OPEN, backend_name, server_name
from longshore.kit.clock import Clock
from longshore.services.elbv2.model import TARGET_GROUPS, TARGETS, Target, TargetGroup, TargetHealth
from longshore.store.base import Store, Tx

log = logging.getLogger("longshore.balancer")

_ADDED = "New server registered."
_KNOWN = "Already exists a server with the same name in backend."
_DELETED = "Server deleted."
_HELD = "Server still has connections attached to it, cannot remove it."
_ABOUT = re.compile(r"\b[Ss]erver (tg-[^/ ]+)/")
_REMOVE_AGAIN_S = 0.25
_FIRST_PROBE_AGAIN_S = 0.02
_MOST_PROBE_AGAIN_S = 1.0


class Servers:
    """Everything here but `heard` and `follow` is called with the lock held."""

    def __init__(self, store: Store, clock: Clock, runtime: Runtime, haproxy: HAProxy, lock: asyncio.Lock) -> None:
        #: keys the cookies by which clients stay with their target
        self.secret = ""
        self._store = store
        self._clock = clock
        self._runtime = runtime
        self._haproxy = haproxy
        self._lock = lock
        #: backend -> server -> status, as HAProxy said it last
        self._statuses: dict[str, dict[str, str]] = {}
        self._is_learned = False
        #: backend -> ARN of its target group
        self._groups: dict[str, str] = {}
        self._heard: set[str] = set()
        self._something = asyncio.Event()
        self._probes: dict[tuple[str, str], asyncio.Task[None]] = {}

    def group_arns(self) -> list[str]:
        return list(self._groups.values())

    def forget(self) -> None:
        self._is_learned = False
        self._statuses.clear()

    def heard(self, line: str) -> None:
        """A line of HAProxy's log."""
        found = _ABOUT.search(line)
        if found is not None:
            self._look(found[1].removesuffix(OPEN))

    def _look(self, backend: str) -> None:
        self._heard.add(backend)
        self._something.set()

    async def follow(self) -> None:
        """Writes down changes of health as they are heard of, until cancelled."""
        while True:
            await self._something.wait()
            self._something.clear()
            try:
                async with self._lock:
                    heard = self._heard & self._statuses.keys()
                    self._heard.clear()
                    await self.refresh(heard)
            except Exception:  # supervising: the next line, or the next resync, tries again
                log.exception("the health of targets could not be written down")
                await self._clock.sleep(0.5)

    async def learn(self) -> None:
        """Everything about all servers, from a worker not known yet."""
        self._groups = {backend_name(group.arn): group.arn for group in self._store.list(TARGET_GROUPS)}
        self._statuses = {name: {} for name in await self._runtime.backends() if name.startswith("tg-") and not name.endswith(OPEN)}
        for seen in await self._runtime.servers():
            if seen.backend in self._statuses:
                self._statuses[seen.backend][seen.name] = seen.status
        self._is_learned = True
        await self.refresh()

    async def refresh(self, backends: Iterable[str] | None = None) -> None:
        """Reads what HAProxy says of all servers, or of those of some backends, and writes down what has changed."""
        wanted = set(self._statuses) if backends is None else set(backends)
        if not wanted or not self._statuses:
            return
        if len(wanted) <= 3:
            seen = [server for backend in sorted(wanted) for server in await self._runtime.servers(backend)]
        else:
            seen = [server for server in await self._runtime.servers() if server.backend in wanted]
        by_backend: dict[str, dict[str, Seen]] = {backend: {} for backend in wanted}
        for server in seen:
            by_backend[server.backend][server.name] = server
        for backend, servers in by_backend.items():
            self._statuses[backend] = {name: server.status for name, server in servers.items()}
        await self._write_down(by_backend)

    async def _write_down(self, by_backend: dict[str, dict[str, Seen]]) -> None:
        now = self._clock.now()
        changed: dict[str, TargetHealth] = {}
        by_group = {arn: by_backend[backend] for backend, arn in self._groups.items() if backend in by_backend}
        for arn, servers in by_group.items():
            for target in self._store.list(TARGETS, "target_group", arn):
                seen = servers.get(server_name(target))
                if seen is None or target.deregistered_at is not None:
                    continue
                health = health_of(seen, target, now)
                if health is not target.health:
                    changed[TARGETS.key(target)] = health
                    log.info("%s in %s is %s %s", target.id, seen.backend, health.state, health.description)
        if not changed:
            return

        def put(tx: Tx) -> None:
            for key, health in changed.items():
                target = tx.get(TARGETS, key)
                if target is not None and target.deregistered_at is None:
                    tx.put(TARGETS, msgspec.structs.replace(target, health=health))

        await self._store.transact(put)

    async def reconcile(self, group_arn: str) -> float | None:
        """Brings one group's servers to what is registered; returns seconds until it is to be looked at again."""
        pool = gather_pool(self._store, group_arn)
        backend = backend_name(group_arn)
        known = self._statuses.get(backend)
        if known is None:
            # Not in the configuration (yet): whoever puts it there puts its targets there, too, and nobody is on his way to them.
            await self._forget_leaving(group_arn)
            return None
        if pool is None:
            return None
        todo = plan(pool, known)
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
                    wait = _REMOVE_AGAIN_S if wait is None else min(wait, _REMOVE_AGAIN_S)
        except RuntimeFailed:
            await self._learn_again(backend)
            raise
        await self.delete([step.target for step in todo.forget if step.target is not None])
        self._probe_new(pool, backend)
        if todo.add or todo.revive:
            await self.refresh((backend,))
        return wait

    async def _forget_leaving(self, group_arn: str) -> None:
        if self._is_learned:
            targets = self._store.list(TARGETS, "target_group", group_arn)
            await self.delete([target for target in targets if target.deregistered_at is not None])

    async def _learn_again(self, backend: str) -> None:
        try:
            self._statuses[backend] = {seen.name: seen.status for seen in await self._runtime.servers(backend)}
        except RuntimeFailed:
            self._statuses.pop(backend, None)

    async def _add(self, group: TargetGroup, backend: str, step: Step) -> None:
        assert step.target is not None
        server, address = step.server, f"{step.target.address}:{step.target.port}"
        for name in (backend, backend + OPEN):
            options = server_options(group, name.endswith(OPEN), step.target.port)
            answer = await self._runtime.command(f"add server {name}/{server} {address} {options}".rstrip())
            if answer not in (_ADDED, _KNOWN):
                raise RuntimeRefused(f"add server {name}/{server} {address} {options}: {answer}")
        if is_cookie_sticky(group):
            for name in (backend, backend + OPEN):
                # Added servers have no cookie until the key is set, even to what it is.
                await self._runtime.expect(f"set dynamic-cookie-key backend {name} {self.secret}")
        await self._introduce(backend, server, is_new=True)
        log.info("%s/%s: %s", backend, server, step.reason)

    async def _introduce(self, backend: str, server: str, *, is_new: bool) -> None:
        """Out of service until a check has passed: leaving maintenance for `ready` at once would put it into service unchecked."""
        checked = f"{backend}/{server}"
        await self._runtime.expect(f"set server {checked} state drain")
        await self._runtime.expect(f"set server {checked} health stopping")
        if is_new:
            await self._runtime.expect(f"enable health {checked}")
        await self._runtime.expect(f"set server {checked} state ready")
        await self._runtime.expect(f"set server {backend}{OPEN}/{server} state ready")
        self._statuses[backend][server] = "NOLB"

    async def _revive(self, backend: str, step: Step) -> None:
        assert step.target is not None
        for name in (backend, backend + OPEN):
            # Its address may have been taken away with its idle connections.
            await self._runtime.command(f"set server {name}/{step.server} addr {step.target.address} port {step.target.port}")
        await self._introduce(backend, step.server, is_new=False)
        log.info("%s/%s: %s", backend, step.server, step.reason)

    async def _withhold(self, backend: str, step: Step) -> None:
        for name in (backend, backend + OPEN):
            await self._runtime.expect(f"set server {name}/{step.server} state maint")
        self._statuses[backend][step.server] = "MAINT"
        log.info("%s/%s: %s", backend, step.server, step.reason)

    async def _finish(self, pool: Pool, backend: str, steps: Iterable[Step]) -> float | None:
        """Targets that leave: gone when nothing is under way to them any more, or when their time is over."""
        steps = [step for step in steps if step.target is not None]
        if not steps:
            return None
        now = self._clock.now()
        busy = await self._connections(backend)
        gone: list[Target] = []
        wait: float | None = None
        for step in steps:
            assert step.target is not None and step.target.deregistered_at is not None
            age_s = max(0.0, now - step.target.deregistered_at)
            left_s = pool.group.deregistration_delay_s - age_s
            is_over = left_s <= 0
            if is_over or not busy.get(step.server, 0):
                await self._remove(backend, step.server, cut=is_over and _is_cut(pool.group))
                gone.append(step.target)
                continue
            soon = min(max(0.01, age_s / 4), 0.5, max(left_s, 0.01))
            wait = soon if wait is None else min(wait, soon)
        await self.delete(gone)
        return wait

    async def _connections(self, backend: str) -> dict[str, int]:
        """Of both twins, in the worker that serves and in those that only finish what they have begun."""
        total: dict[str, int] = {}
        for name in (backend, backend + OPEN):
            used = await self._runtime.connections(name)
            # A request that has its server but no connection yet counts, too.
            for seen in await self._runtime.servers(name):
                count = max(seen.current_sessions, used.get(seen.name, 0))
                total[seen.name] = total.get(seen.name, 0) + count
        for pid in (await self._haproxy.workers())[1:]:
            for name in (backend, backend + OPEN):
                answer = await self._haproxy.ask(f"@!{pid} show servers conn {name}")
                for server, count in connections_in(answer).items():
                    total[server] = total.get(server, 0) + count
        return total

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
        if removed:
            self._statuses[backend].pop(server, None)
            log.info("%s/%s: gone", backend, server)
        else:
            self._statuses[backend][server] = "MAINT"
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

    def _probe_new(self, pool: Pool, backend: str) -> None:
        if not can_probe(pool.group):
            return
        for target in pool.targets:
            key = (backend, server_name(target))
            if self._is_new(key) and (key not in self._probes or self._probes[key].done()):
                self._probes[key] = asyncio.create_task(self._probe(pool.group, target, key), name=f"balancer:probe:{key[1]}")

    def _is_new(self, key: tuple[str, str]) -> bool:
        return self._statuses.get(key[0], {}).get(key[1], "").startswith("NOLB")

    async def _probe(self, group: TargetGroup, target: Target, key: tuple[str, str]) -> None:
        """Until the target passes its check once, or HAProxy has found out for itself what it is."""
        wait = _FIRST_PROBE_AGAIN_S
        try:
            while self._is_new(key):
                if await passes(group, target):
                    async with self._lock:
                        if self._is_new(key):
                            await self._runtime.expect(f"set server {key[0]}/{key[1]} health up")
                            self._look(key[0])
                    return
                await self._clock.sleep(wait)
                wait = min(wait * 1.5, _MOST_PROBE_AGAIN_S)
        except RuntimeFailed as problem:
            log.warning("%s/%s: %s; HAProxy's own check decides", *key, problem)
        finally:
            self._probes.pop(key, None)

    async def close(self) -> None:
        probes = list(self._probes.values())
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)


def _is_cut(group: TargetGroup) -> bool:
    """Whether connections end with the deregistration delay: a network load balancer leaves them unless told otherwise."""
    return group.protocol != "TCP" or group.attributes.get("deregistration_delay.connection_termination.enabled") == "true"


def is_cookie_sticky(group: TargetGroup) -> bool:
    attributes = group.attributes
    return (
        group.protocol != "TCP"
        and attributes.get("stickiness.enabled") == "true"
        and attributes.get("stickiness.type", "lb_cookie") == "lb_cookie"
    )
