"""Keeps HAProxy doing what the store says the load balancers are to do.

Watches load balancers, listeners, rules, target groups and targets. One key stands for everything that needs a reload, one
more per target group for its servers, which come and go at run time. What it writes: a load balancer's status, a target's
health, and the end of a deregistered target. HAProxy outlives this process; whoever starts next takes it over.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from longshore.balancer.binds import Binds, allocate, held_by
from longshore.balancer.gather import gather
from longshore.balancer.ports import why_taken
from longshore.balancer.process import CannotRun, HAProxy
from longshore.balancer.render import Places, Rendering, owner_of_line, render
from longshore.balancer.runtime import Runtime, RuntimeFailed
from longshore.balancer.servers import Servers
from longshore.balancer.snapshot import Snapshot
from longshore.balancer.states import server_states
from longshore.balancer.status import statuses
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.resource import Kind
from longshore.services.call import Site
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
#: how soon a port that was taken, or a HAProxy that was not there, is looked for again
_LOOK_AGAIN_S = 5.0
_READY_S = 20.0
_MOST_REFUSALS = 200
#: names of unix sockets end at about 107 characters
_LONGEST_DIRECTORY = 70
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
        log_file: Path | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._site = site
        self._directory = directory
        self._network = network
        self._offset = privileged_port_offset
        self._places = Places(str(_short(directory)))
        self._haproxy = HAProxy(haproxy, self._places, log_file or directory / "haproxy.log", clock)
        self._runtime = Runtime(self._places.runtime_socket)
        self._secret = ""
        #: one at a time tells HAProxy what to do
        self._lock = asyncio.Lock()
        self._servers = Servers(store, clock, self._runtime, self._haproxy, self._lock)
        #: names the structure that the worker runs; empty when none is known to run
        self._structure = ""
        #: ARN -> (the resource that was refused, why): not tried again until it is another
        self._refused: dict[str, tuple[Any, str]] = {}
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

    async def start(self) -> None:
        """Takes over the HAProxy that runs already, or starts one."""
        await self._prepare()
        async with self._lock:
            if await self._haproxy.adopt():
                log.info("HAProxy runs already as process %s", self._haproxy.pid)
                await self._learn()
            try:
                await self._everything()
            except (RuntimeFailed, CannotRun, OSError) as problem:
                log.error("load balancers do not listen yet: %s", problem)
        self._jobs = [
            asyncio.create_task(self._supervise(), name="balancer:supervise"),
            asyncio.create_task(self._servers.follow(), name="balancer:health"),
        ]

    async def stop(self, keep_running: bool = False) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self._servers.close()
        self._runtime.close()
        if self._log_transport is not None:
            self._log_transport.close()
        if not keep_running:
            await self._haproxy.stop()

    async def reconcile(self, key: str) -> float | None:
        async with self._lock:
            if key == EVERYTHING:
                return await self._everything()
            return await self._servers.reconcile(key)

    async def _prepare(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        _link(Path(self._places.directory), self._directory)
        Path(self._places.bodies).mkdir(exist_ok=True)
        secret = self._directory / "secret"
        if not secret.exists():
            _write(secret, os.urandom(16).hex().encode())
        self._secret = self._servers.secret = secret.read_text().strip()
        place = Path(self._places.log_socket)
        place.unlink(missing_ok=True)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Listener(self._servers.heard), local_addr=str(place), family=1)
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
        """What the worker runs, asked of itself."""
        try:
            self._structure = await self._runtime.mark()
            await self._servers.learn([group.arn for group in self._store.list(TARGET_GROUPS)])
        except RuntimeFailed as problem:
            log.warning("the running HAProxy cannot be asked (%s); it gets its configuration anew", problem)
            self._structure = ""

    async def _everything(self) -> float | None:
        if self._haproxy.program() is None:
            return await self._without_haproxy()
        self._forget_process()
        snapshot = self._accepted(gather(self._store, self._network, self._offset))
        held = held_by(await self._runtime.frontends()) if self._structure else set()
        binds = allocate(snapshot.fronts, held, why_taken)
        rendering = render(snapshot, binds, self._places, self._secret)
        if rendering.structure != self._structure:
            await self._servers.refresh()
            snapshot, rendering = await self._change_structure(binds)
        self._note_refused(snapshot, rendering.refused)
        await self._write_statuses(binds)
        waits = [await self._servers.reconcile(pool.group.arn) for pool in snapshot.pools]
        waits.append(_LOOK_AGAIN_S if binds.taken else None)
        return min((wait for wait in waits if wait is not None), default=None)

    async def _without_haproxy(self) -> float:
        problem = "HAProxy is not installed: apt-get install haproxy (macOS: brew install haproxy)"
        wanted = {lb.arn: LoadBalancerStatus(state="failed", reason=problem) for lb in self._store.list(LOAD_BALANCERS)}
        await self._put_statuses(wanted)
        gone = [target for target in self._store.list(TARGETS) if target.deregistered_at is not None]
        await self._servers.delete(gone)
        return _LOOK_AGAIN_S

    async def _change_structure(self, binds: Binds) -> tuple[Snapshot, Rendering]:
        """Renders, has it checked, leaves out what is refused, and starts or reloads HAProxy."""
        places = self._places
        for _ in range(_MOST_REFUSALS):
            snapshot = self._accepted(gather(self._store, self._network, self._offset))
            rendering = render(snapshot, binds, places, self._secret)
            self._note_refused(snapshot, rendering.refused)
            for path, content in rendering.files.items():
                if not Path(path).exists():
                    _write(Path(path), content)
            beside = Path(f"{places.config}.next")
            _write(beside, rendering.text.encode())
            refusal = await self._haproxy.refusal(str(beside))
            if not refusal:
                break
            self._blame(snapshot, rendering, refusal)
        else:
            raise RuntimeFailed("HAProxy refuses its configuration again and again")
        _write(Path(places.states), server_states(snapshot.pools).encode())
        beside.replace(places.config)
        await self._run(rendering)
        return snapshot, rendering

    async def _run(self, rendering: Rendering) -> None:
        if self._haproxy.pid is None:
            Path(self._places.master_socket).unlink(missing_ok=True)
            self._haproxy.start()
        else:
            await self._haproxy.reload()
        self._structure = ""
        begun = self._clock.now()
        wait = 0.002
        while True:
            self._runtime.close()
            try:
                if await self._runtime.mark() == rendering.structure:
                    break
            except RuntimeFailed:
                if not self._haproxy.is_alive():
                    self._forget_process()
                    raise RuntimeFailed("HAProxy ended while starting; its log says why") from None
            if self._clock.now() - begun > _READY_S:
                raise RuntimeFailed("HAProxy does not take its new configuration; its log says why")
            await self._clock.sleep(wait)
            wait = min(wait * 1.5, 0.05)
        self._structure = rendering.structure
        await self._servers.learn([group.arn for group in self._store.list(TARGET_GROUPS)])
        log.info("HAProxy runs configuration %s (%d ms)", rendering.structure[:8], (self._clock.now() - begun) * 1000)

    def _blame(self, snapshot: Snapshot, rendering: Rendering, refusal: str) -> None:
        found = _LINE.search(refusal)
        owner = owner_of_line(rendering.text, int(found[1])) if found else None
        if owner is None or owner in self._refused and self._refused[owner][0] is _resource(snapshot, owner):
            raise RuntimeFailed(f"HAProxy refuses its configuration: {refusal}")
        self._note_refused(snapshot, {owner: refusal})

    def _note_refused(self, snapshot: Snapshot, refused: dict[str, str]) -> None:
        for arn, reason in refused.items():
            log.error("%s cannot be served: %s", arn, reason)
            self._refused[arn] = (_resource(snapshot, arn), reason)

    def _accepted(self, snapshot: Snapshot) -> Snapshot:
        """Without what HAProxy has refused, as long as it is the same."""
        refused = {arn for arn, (value, _) in self._refused.items() if _resource(snapshot, arn) == value}
        self._refused = {arn: self._refused[arn] for arn in refused}
        return snapshot.leaving_out(refused) if refused else snapshot

    async def _write_statuses(self, binds: Binds) -> None:
        whole = gather(self._store, self._network, self._offset)
        await self._put_statuses(statuses(whole, binds, {arn: reason for arn, (_, reason) in self._refused.items()}, self._network))

    async def _put_statuses(self, wanted: dict[str, LoadBalancerStatus]) -> None:
        def put(tx: Tx) -> None:
            for arn, status in wanted.items():
                lb = tx.get(LOAD_BALANCERS, arn)
                if lb is not None and lb.status != status:
                    tx.put(LOAD_BALANCERS, msgspec.structs.replace(lb, status=status))

        if any((lb := self._store.get(LOAD_BALANCERS, arn)) is not None and lb.status != status for arn, status in wanted.items()):
            await self._store.transact(put)


class _Listener(asyncio.DatagramProtocol):
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


def _short(directory: Path) -> Path:
    """`directory`, or where a link to it goes when its name is too long for sockets."""
    if len(str(directory)) <= _LONGEST_DIRECTORY:
        return directory
    return Path("/tmp") / f"longshore-{os.geteuid()}-{hashlib.sha256(str(directory).encode()).hexdigest()[:12]}"


def _link(link: Path, directory: Path) -> None:
    if link == directory:
        return
    try:
        link.symlink_to(directory)
    except FileExistsError:
        if link.lstat().st_uid != os.geteuid() or os.readlink(link) != str(directory):
            raise OSError(f"{link} is somebody else's; remove it") from None


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
