"""What is over is forgotten after a while: stopped tasks, deleted services, deregistered instances, sessions nobody came to, what ended
sessions that would have ended by themselves meanwhile.

ECS shows a stopped task for at least an hour; so does this, or for longer where it is told to. Before a task is forgotten it is
put into the archive, where history is read from, and the archive in turn is kept within its bounds. One key, looked at every
minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from longshore.config import History
from longshore.control.expiry.plan import KEPT_S, Ended, plan
from longshore.control.loop import Watched
from longshore.kit.clock import Clock
from longshore.services.ecs.exec.rules import drop_expired
from longshore.services.ecs.flight.entries import FLIGHT, history_entry
from longshore.services.ecs.flight.entries import TASKS as ARCHIVED
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Task
from longshore.services.ecs.rollout.model import SERVICE_EVENTS, SERVICES
from longshore.services.ecs.rollout.revisions import forget_history
from longshore.services.sts.revocations import forget, forgettable
from longshore.store.archive import Archive
from longshore.store.base import Store, StoreUnavailable, Tx

log = logging.getLogger("longshore.control")

EVERY_S = 60.0
#: resources forgotten in one transaction
MOST = 500
#: stopped tasks looked at before others have their turn
_PAGE = 5000


class Expiry:
    name = "expiry"
    watches: Sequence[Watched] = ()

    def __init__(self, store: Store, clock: Clock, archive: Archive, history: History) -> None:
        self._store = store
        self._clock = clock
        self._archive = archive
        self._history = history
        self._kept_s = {**KEPT_S, "task": max(KEPT_S["task"], history.stopped_tasks_kept_s)}

    def keys(self) -> Iterable[str]:
        return ("everything",)

    async def reconcile(self, key: str) -> float | None:
        now = self._clock.now()
        gone = [*await self._ended_tasks(now), *plan(self._ended(), now, self._kept_s)]
        for start in range(0, len(gone), MOST):
            some = gone[start : start + MOST]
            if await self._archived(some):
                await self._store.transact(lambda tx, some=some: _forget(tx, some))  # type: ignore[misc]
        await self._store.transact(lambda tx: drop_expired(tx, now))
        if over := forgettable(self._store, now):
            await self._store.transact(lambda tx: forget(tx, over, now))
        await self._keep_bounds(now)
        return EVERY_S

    async def _ended_tasks(self, now: float) -> list[Ended]:
        gone: list[Ended] = []
        after: str | None = None
        while page := self._store.list(TASKS, "stopped", "stopped", after=after, limit=_PAGE):
            gone += plan((Ended("task", task.arn, task.status.stopped_at or 0.0) for task in page), now, self._kept_s)
            after = page[-1].arn
            await asyncio.sleep(0)
        return gone

    def _ended(self) -> list[Ended]:
        services = (
            Ended("service", service.arn, service.inactive_at or 0.0)
            for service in self._store.list(SERVICES)
            if service.status == "INACTIVE"
        )
        instances = (
            Ended("instance", instance.arn, instance.deregistered_at or 0.0)
            for instance in self._store.list(CONTAINER_INSTANCES)
            if instance.status == "INACTIVE"
        )
        return [*services, *instances]

    async def _archived(self, gone: Sequence[Ended]) -> bool:
        """Whether the tasks among them are history now; those that cannot be are kept for another while."""
        tasks = [task for ended in gone if ended.what == "task" and (task := self._store.get(TASKS, ended.key)) is not None]
        try:
            await self._put(tasks)
        except StoreUnavailable as error:
            log.error("%d stopped tasks cannot be put into the archive: %s", len(tasks), error)
            return False
        return True

    async def _put(self, tasks: Sequence[Task]) -> None:
        if tasks and self._history.task_history_kept_s > 0:
            await self._archive.put(ARCHIVED, [history_entry(task) for task in tasks])

    async def _keep_bounds(self, now: float) -> None:
        history, most = self._history, self._history.task_history_most
        try:
            await self._archive.prune(ARCHIVED, older_than=now - history.task_history_kept_s, most=most)
            # a record is there from a task's end on, and is kept for as long as anybody can ask for the task
            oldest = now - history.task_history_kept_s - self._kept_s["task"] - EVERY_S
            await self._archive.prune(FLIGHT, older_than=oldest, most=most + self._store.count(TASKS, "stopped", "stopped"))
        except StoreUnavailable as error:
            log.error("the archive cannot be kept within its bounds: %s", error)


def _forget(tx: Tx, gone: Sequence[Ended]) -> None:
    for ended in gone:
        match ended.what:
            case "task":
                tx.delete(TASKS, ended.key)
            case "instance":
                tx.delete(CONTAINER_INSTANCES, ended.key)
            case "service":
                _forget_service(tx, ended.key)


def _forget_service(tx: Tx, arn: str) -> None:
    service = tx.get(SERVICES, arn)
    if service is None or service.status != "INACTIVE":
        return  # made again under the same name meanwhile
    for event in tx.list(SERVICE_EVENTS, "service", arn):
        tx.delete(SERVICE_EVENTS, SERVICE_EVENTS.key(event))
    forget_history(tx, arn)
    tx.delete(SERVICES, arn)
