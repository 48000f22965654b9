"""What HAProxy says of servers: heard of in its log, looked at one by one, and written down as targets' health.

HAProxy tells of each check that changes something. A line only says where to look: lines may be lost (the system keeps ten of them
for us), answers are not. So every server is looked at now and then, whether anything was heard of it or not.
A new target is probed by us as well, at once, because HAProxy's own first check comes later.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable

import msgspec

from longshore.balancer.health import drain_interval_s, health_of
from longshore.balancer.probe import can_probe, is_itself, passes
from longshore.balancer.runtime import Runtime, RuntimeFailed, Seen
from longshore.balancer.snapshot import Pool
from longshore.balancer.words import OPEN, backend_name, server_name
from longshore.kit.clock import Clock
from longshore.services.elbv2.model import TARGET_GROUPS, TARGETS, Target, TargetGroup, TargetHealth
from longshore.store.base import Store, Tx

log = logging.getLogger("longshore.balancer")

_ABOUT = re.compile(r"\b[Ss]erver (tg-[^/ ]+)/(\S+)")
_FIRST_PROBE_AGAIN_S = 0.02
_MOST_PROBE_AGAIN_S = 1.0
#: how long a change that nothing was heard of may go unseen
_SWEEP_S = 10.0
#: so many servers of a backend are looked at one by one; for more of them all are listed
_FEW = 8


class Known(msgspec.Struct):
    """A server in the worker that serves, as it was last seen or put."""

    status: str
    #: within its backend
    number: int = 0
    #: when the target that it was put there for was registered; None when somebody else put it there
    registered_at: float | None = None

    @property
    def is_new(self) -> bool:
        return self.status.startswith("NOLB")

    @property
    def is_withheld(self) -> bool:
        return self.status.startswith("MAINT")


class Looking:
    """Everything here but `heard` and `follow` is called with the balancer's lock held."""

    def __init__(self, store: Store, clock: Clock, runtime: Runtime, lock: asyncio.Lock) -> None:
        #: backend -> server -> what is known of it; a backend that is not here is not in the configuration
        self.known: dict[str, dict[str, Known]] = {}
        self.is_learned = False
        self._store = store
        self._clock = clock
        self._runtime = runtime
        self._lock = lock
        #: backend -> ARN of its target group
        self._groups: dict[str, str] = {}
        self._heard: dict[str, set[str]] = {}
        self._something = asyncio.Event()
        self._probes: dict[tuple[str, str], asyncio.Task[None]] = {}

    def group_arns(self) -> list[str]:
        return list(self._groups.values())

    def forget(self) -> None:
        self.is_learned = False
        self.known.clear()

    def heard(self, line: str) -> None:
        """A line of HAProxy's log."""
        found = _ABOUT.search(line)
        if found is not None:
            self.look_soon(found[1].removesuffix(OPEN), found[2])

    def look_soon(self, backend: str, server: str) -> None:
        self._heard.setdefault(backend, set()).add(server)
        self._something.set()

    async def follow(self) -> None:
        """Writes down changes of health, until cancelled: as they are heard of, or else as they are found."""
        sweeping = asyncio.create_task(self._sweep(), name="balancer:sweep")
        try:
            await self._listen()
        finally:
            sweeping.cancel()

    async def _listen(self) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            heard, self._heard = self._heard, {}
            try:
                async with self._lock:
                    await self._look(heard)
            except Exception:  # supervising: what was heard of is looked at again
                log.exception("the health of targets could not be written down")
                for backend, names in heard.items():
                    self._heard.setdefault(backend, set()).update(names)
                self._something.set()
                await self._clock.sleep(0.5)

    async def _sweep(self) -> None:
        """Looks at every server now and then: one backend at a time, so that nobody waits long for the lock."""
        while True:
            await self._clock.sleep(_SWEEP_S)
            for backend in list(self.known):
                try:
                    async with self._lock:
                        await self.refresh(backend)
                except RuntimeFailed as problem:
                    log.debug("%s could not be looked at: %s", backend, problem)  # whoever starts HAProxy again says more
                    break
                except Exception:  # supervising: the next round tries again
                    log.exception("the health of targets in %s could not be written down", backend)

    async def learn(self) -> None:
        """Everything about all servers, from a worker not known yet."""
        self._groups = {backend_name(group.arn): group.arn for group in self._store.list(TARGET_GROUPS)}
        before = self.known
        self.known = {name: {} for name in await self._runtime.backends() if name.startswith("tg-") and not name.endswith(OPEN)}
        seen = [server for server in await self._runtime.servers() if server.backend in self.known]
        for server in seen:
            stood = before.get(server.backend, {}).get(server.name)
            self.known[server.backend][server.name] = Known(server.status, server.number, stood.registered_at if stood else None)
        self.is_learned = True
        await self._write_down(seen)

    async def refresh(self, backend: str | None = None) -> None:
        """Reads what HAProxy says of all servers, or of those of one backend, and writes down what has changed."""
        if not self.known or (backend is not None and backend not in self.known):
            return
        if backend is not None:
            seen = await self._runtime.servers(backend)
        else:
            seen = [server for server in await self._runtime.servers() if server.backend in self.known]
        there = {(server.backend, server.name) for server in seen}
        for name in self.known if backend is None else (backend,):
            for server_there in [one for one in self.known[name] if (name, one) not in there]:
                del self.known[name][server_there]
        self._take(seen)
        await self._write_down(seen)

    async def _look(self, heard: dict[str, set[str]]) -> None:
        seen: list[Seen] = []
        for backend, names in heard.items():
            known = self.known.get(backend)
            if known is None:
                continue
            here = [known[name] for name in names if name in known]
            if len(here) > _FEW or not all(one.number for one in here):
                seen += await self._runtime.servers(backend)
            else:
                for one in here:
                    seen += await self._runtime.servers(backend, one.number)
        self._take(seen)
        await self._write_down(seen)

    def _take(self, seen: Iterable[Seen]) -> None:
        for server in seen:
            here = self.known[server.backend]
            if server.name in here:
                here[server.name].status, here[server.name].number = server.status, server.number
            else:
                here[server.name] = Known(server.status, server.number)

    async def _write_down(self, seen: Iterable[Seen]) -> None:
        now = self._clock.now()
        by_backend: dict[str, dict[str, Seen]] = {}
        for server in seen:
            by_backend.setdefault(server.backend, {})[server.name] = server
        changed: dict[str, TargetHealth] = {}
        for backend, servers in by_backend.items():
            group = self._store.get(TARGET_GROUPS, self._groups.get(backend, ""))
            drains_s = drain_interval_s(group) if group is not None else 0.0
            for target in self._targets(backend, servers):
                if target.deregistered_at is not None:
                    continue
                health = health_of(servers[server_name(target)], target, now, drains_s)
                if health is not target.health:
                    changed[TARGETS.key(target)] = health
                    log.info("%s in %s is %s %s", target.id, backend, health.state, health.description)
        if not changed:
            return

        def put(tx: Tx) -> None:
            for key, health in changed.items():
                target = tx.get(TARGETS, key)
                if target is not None and target.deregistered_at is None:
                    tx.put(TARGETS, msgspec.structs.replace(target, health=health))

        await self._store.transact(put)

    def _targets(self, backend: str, servers: Iterable[str]) -> list[Target]:
        """Those that the servers stand for."""
        arn = self._groups.get(backend)
        wanted = set(servers)
        rows = self._store.list(TARGETS, "target_group", arn) if arn is not None else []
        return [target for target in rows if server_name(target) in wanted]

    def believe(self, pool: Pool, backend: str) -> None:
        """Servers that are there already are there for who is registered now."""
        for target in pool.targets:
            known = self.known[backend].get(server_name(target))
            if known is not None and known.registered_at is None:
                known.registered_at = target.registered_at

    def probe_new(self, pool: Pool, backend: str) -> None:
        if not can_probe(pool.group):
            return
        for target in pool.targets:
            key = (backend, server_name(target))
            if self._is_new(key) and (key not in self._probes or self._probes[key].done()):
                self._probes[key] = asyncio.create_task(self._probe(pool.group, target, key), name=f"balancer:probe:{key[1]}")

    def _is_new(self, key: tuple[str, str]) -> bool:
        known = self.known.get(key[0], {}).get(key[1])
        return known is not None and known.is_new

    async def _probe(self, group: TargetGroup, target: Target, key: tuple[str, str]) -> None:
        """Until the target passes its check once, or HAProxy has found out for itself what it is."""
        wait = _FIRST_PROBE_AGAIN_S
        try:
            while self._is_new(key):
                if await passes(group, target) and await is_itself(target):
                    async with self._lock:
                        if self._is_new(key):
                            for name in (key[0], key[0] + OPEN) if target.identity else ():
                                await self._runtime.expect(f"set server {name}/{key[1]} agent up")
                            await self._runtime.expect(f"set server {key[0]}/{key[1]} health up")
                            self.look_soon(*key)
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
