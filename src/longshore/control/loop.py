"""The engine every controller runs on: watch, map to keys, reconcile each key, one worker per key at a time.

A controller says which kinds it watches and which keys a change touches; `reconcile(key)` gathers a snapshot, plans, and
carries the plan out in one transaction. Everything is level-triggered: at the start, after a lost watch and every
`resync_s` all keys are looked at again, so nothing depends on having seen an event. A conflict means another look at once;
an error means another look after a jittered wait, and one line in the log that names the key.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.resource import Kind
from longshore.store.base import Change, Conflict, Fenced, Store

log = logging.getLogger("longshore.control")


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind a controller watches, and the keys that a change of one of its resources touches."""

    kind: Kind[Any]
    keys: Callable[[Change[Any]], Iterable[str]]


class Watches(Protocol):
    """What a `Watched` says; controllers outside of this package bring their own."""

    @property
    def kind(self) -> Kind[Any]: ...

    @property
    def keys(self) -> Callable[[Change[Any]], Iterable[str]]: ...


class Controller(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def watches(self) -> Sequence[Watches]: ...

    def keys(self) -> Iterable[str]:
        """Every key there is to look at: for the start and each resync."""

    async def reconcile(self, key: str) -> float | None:
        """Bring `key` a step nearer to what is wanted; returns seconds until it is to be looked at again, None: when something changes."""


class Loop:
    """Runs one controller until cancelled."""

    def __init__(self, controller: Controller, store: Store, clock: Clock, ids: Ids, *, workers: int = 4, resync_s: float = 300.0) -> None:
        self._controller = controller
        self._store = store
        self._clock = clock
        self._ids = ids
        self._workers = workers
        self._resync_s = resync_s
        self._queue: deque[str] = deque()
        self._queued: set[str] = set()
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._failures: dict[str, int] = {}
        self._alarms: dict[str, asyncio.Task[None]] = {}
        self._wakeup = asyncio.Event()

    async def run(self) -> None:
        watch = self._store.watch(*(watched.kind for watched in self._controller.watches))
        try:
            async with asyncio.TaskGroup() as group:
                self._enqueue_all()
                group.create_task(self._follow(watch), name=f"{self._controller.name}:watch")
                group.create_task(self._resync(), name=f"{self._controller.name}:resync")
                for number in range(self._workers):
                    group.create_task(self._work(), name=f"{self._controller.name}:{number}")
        finally:
            watch.close()
            for alarm in self._alarms.values():
                alarm.cancel()

    def enqueue(self, key: str) -> None:
        """Have `key` looked at: once, however often this is called before its turn."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._queue.append(key)
            self._wakeup.set()

    def _enqueue_all(self) -> None:
        for key in self._controller.keys():
            self.enqueue(key)

    async def _follow(self, watch: Any) -> None:
        mapping = {watched.kind.name: watched.keys for watched in self._controller.watches}
        async for batch in watch:
            if batch.lost:
                self._enqueue_all()
                continue
            for change in batch.changes:
                keys = mapping.get(change.kind.name)
                for key in keys(change) if keys else ():
                    self.enqueue(key)

    async def _resync(self) -> None:
        while True:
            await self._clock.sleep(self._resync_s)
            self._enqueue_all()

    async def _work(self) -> None:
        while True:
            while not self._queue:
                self._wakeup.clear()
                await self._wakeup.wait()
            key = self._queue.popleft()
            self._queued.discard(key)
            self._working.add(key)
            try:
                await self._once(key)
            finally:
                self._working.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.enqueue(key)

    async def _once(self, key: str) -> None:
        try:
            after = await self._controller.reconcile(key)
        except Conflict:
            self._again.add(key)
        except Fenced:
            raise
        except Exception:  # the one place that must go on whatever a controller meets
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            wait = backoff_s(failures - 1, self._ids.fraction())
            log.exception("%s %s: failed %d time(s), again in %.1f s", self._controller.name, key, failures, wait)
            self._look_again(key, wait)
        else:
            self._failures.pop(key, None)
            if after is not None:
                self._look_again(key, after)
            else:
                self._forget_alarm(key)

    def _look_again(self, key: str, after_s: float) -> None:
        self._forget_alarm(key)

        async def ring() -> None:
            await self._clock.sleep(after_s)
            self._alarms.pop(key, None)
            self.enqueue(key)

        self._alarms[key] = asyncio.create_task(ring(), name=f"{self._controller.name}:alarm:{key}")

    def _forget_alarm(self, key: str) -> None:
        alarm = self._alarms.pop(key, None)
        if alarm is not None:
            alarm.cancel()
