"""The event stream: follows what changes and appends the events that AWS documents to the event log.

Watched are tasks, container instances, services' event logs and deployments. Each change is told in the order in which it was made,
with the version that the store gave it. The log itself is the memory of what was told: at the start, after a lost watch and after
a failure everything there is is compared with it, and what is newer is told; states that passed while nobody listened are not.

What is left on a container instance changes with its tasks, which are other resources. So that such a change is told like any other,
with a version of its own that Describe shows, the instances touched are looked at once a second, and one that has less or more left
than was told last is written anew, which makes it a version. What was told last is remembered here only: after a start that is
not known of instances of which nothing else is told, and they get a version too many.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from longshore.control.event_stream.plan import Telling, Told, instances_touched, telling, untold
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.ecs.events.actions import action_detail, action_of, deployment_detail
from longshore.services.ecs.events.details import digest_of, instance_detail, remaining_resources, task_detail
from longshore.services.ecs.events.envelope import DEPLOYMENT_CHANGE, INSTANCE_CHANGE, SERVICE_ACTION, TASK_CHANGE, entry_of
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, ContainerInstance, Task
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICE_EVENTS, SERVICES, Deployment, ServiceEvent
from longshore.store.base import Batch, Fenced, Store, StoreError, Tx
from longshore.store.event_log import Entry, EventLog

log = logging.getLogger("longshore.control.event_stream")

#: between two appends, so that a burst of changes makes few of them
GATHER_S = 0.02
#: how often instances whose tasks changed are looked at
RESOURCES_EVERY_S = 1.0
#: instances in one transaction
MOST_INSTANCES = 200
#: what is too old is dropped so often
TRIM_EVERY_S = 60.0
#: events rendered before others get their turn, and appended together
TURN = 32
MOST_AT_ONCE = 2_000

#: detail type, the resource told of, detail, other ARNs it is found by
_Rendering = tuple[str, str, dict[str, Any], tuple[str, ...]]
_KINDS = (TASKS, CONTAINER_INSTANCES, SERVICE_EVENTS, DEPLOYMENTS, SERVICES)


class EventStream:
    name = "event-stream"

    def __init__(self, store: Store, events: EventLog, clock: Clock, ids: Ids, *, gather_s: float = GATHER_S) -> None:
        self._store = store
        self._events = events
        self._clock = clock
        self._ids = ids
        self._gather_s = gather_s
        #: container instances whose tasks have changed
        self._touched: set[str] = set()
        #: container instance -> the version told last, and of what was left on it then
        self._told: dict[str, tuple[int, int]] = {}

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name=f"{self.name}:follow")
            group.create_task(self._look_at_instances(), name=f"{self.name}:resources")
            group.create_task(self._trim(), name=f"{self.name}:trim")

    # ── following ──

    async def _follow(self) -> None:
        failures = 0
        while True:
            watch = self._store.watch(*_KINDS)
            try:
                await self._catch_up()
                failures = 0
                async for batch in watch.merged():
                    if batch.lost:
                        await self._catch_up()
                    else:
                        await self._tell(batch)
                    await self._clock.sleep(self._gather_s)
                return
            except Fenced:
                raise
            except StoreError as error:
                log.error("events wait: %s", error)
            except Exception:  # whatever keeps events from being told now must not keep them for good
                log.exception("the event stream stands still; it goes on from what was told last")
            finally:
                watch.close()
            failures += 1
            self._told.clear()
            await self._clock.sleep(backoff_s(failures - 1, self._ids.fraction()))

    async def _tell(self, batch: Batch) -> None:
        tellings: list[Telling] = []
        gone: list[str] = []
        for change in batch.changes:
            if change.kind is TASKS:
                self._touched |= instances_touched(change.old, change.new)
            if change.new is None:
                self._told.pop(change.key, None)
                if change.kind is not SERVICE_EVENTS:
                    gone.append(change.key)
            elif change.kind is not SERVICES and (one := telling(change.new)) is not None:
                tellings.append(one)
        await self._append(tellings, gone)

    async def _catch_up(self) -> None:
        """Tell what the log does not know yet, and have it forget what is no more."""
        marks = await self._events.marks()
        self._touched.update(instance.arn for instance in self._store.list(CONTAINER_INSTANCES))
        since = None if self._events.newest else self._clock.now()
        missing = untold(self._present(), marks, since)
        known = {self._subject_of(value) for value in self._present()} | {service.arn for service in self._store.list(SERVICES)}
        if missing:
            log.info("%d events are told that nobody has heard of yet", len(missing))
        await self._append(missing, [subject for subject in marks if subject not in known])

    def _present(self) -> Iterator[Told]:
        yield from self._store.list(CONTAINER_INSTANCES)
        yield from self._store.list(DEPLOYMENTS)
        yield from self._store.list(TASKS)
        yield from self._store.list(SERVICE_EVENTS)

    @staticmethod
    def _subject_of(value: Told) -> str:
        return value.service_arn if isinstance(value, ServiceEvent) else value.id if isinstance(value, Deployment) else value.arn

    async def _append(self, tellings: list[Telling], gone: list[str]) -> None:
        for start in range(0, max(1, len(tellings)), MOST_AT_ONCE):
            entries: list[Entry] = []
            for number, one in enumerate(tellings[start : start + MOST_AT_ONCE], start=1):
                entry = self._entry(one)
                if entry is not None:
                    entries.append(entry)
                if number % TURN == 0:
                    await asyncio.sleep(0)
            last = start + MOST_AT_ONCE >= len(tellings)
            if entries or (last and gone):
                await self._events.append(entries, self._clock.now(), gone if last else ())

    def _entry(self, one: Telling) -> Entry | None:
        try:
            return self._rendered(one)
        except Exception:  # one that cannot be told must not silence all others
            log.exception("what happened to %s cannot be told", one.subject)
            return None

    def _rendered(self, one: Telling) -> Entry | None:
        now, value = self._clock.now(), one.value
        told: _Rendering | None
        labels: tuple[str, ...]
        match value:
            case Task():
                labels = (value.cluster_arn, value.container_instance_arn, value.spec.service_arn)
                told = TASK_CHANGE, value.arn, task_detail(self._store, value, now), labels
            case ContainerInstance():
                if value.version <= self._told.get(value.arn, (0, 0))[0]:
                    return None
                told = INSTANCE_CHANGE, value.arn, instance_detail(self._store, value, now), (value.cluster_arn,)
                self._told[value.arn] = (value.version, digest_of(told[2]["remainingResources"]))
            case ServiceEvent() | Deployment():
                told = self._of_service(value)
        if told is None:
            return None
        detail_type, resource, detail, labels = told
        return entry_of(
            event_id=self._ids.uuid(),
            detail_type=detail_type,
            resource=resource,
            now=now,
            detail=detail,
            labels=labels,
            subject=one.subject,
            version=one.version,
        )

    def _of_service(self, value: ServiceEvent | Deployment) -> _Rendering | None:
        service = self._store.get(SERVICES, value.service_arn)
        if service is None:
            return None
        if isinstance(value, Deployment):
            return DEPLOYMENT_CHANGE, service.arn, deployment_detail(service, value), (service.cluster_arn,)
        action = action_of(value.message)
        if action is None:
            return None
        return SERVICE_ACTION, service.arn, action_detail(service, value, action), (service.cluster_arn,)

    # ── what is left on container instances ──

    async def _look_at_instances(self) -> None:
        while True:
            await self._clock.sleep(RESOURCES_EVERY_S)
            touched, self._touched = sorted(self._touched), set()
            for start in range(0, len(touched), MOST_INSTANCES):
                some = touched[start : start + MOST_INSTANCES]
                try:
                    await self._tell_what_is_left(some)
                except Fenced:
                    raise
                except StoreError as error:
                    log.warning("what is left on %d container instances could not be told: %s", len(some), error)
                    self._touched.update(some)
                except Exception:  # a look that fails must not end the stream: it is taken again
                    log.exception("what is left on %d container instances could not be told", len(some))
                    self._touched.update(some)

    async def _tell_what_is_left(self, arns: Iterable[str]) -> None:
        changed = [arn for arn in arns if self._differs(arn)]
        if changed:
            await self._store.transact(lambda tx: _as_new_versions(tx, changed))

    def _differs(self, arn: str) -> bool:
        """Whether something else is left on an instance than was told last."""
        instance = self._store.get(CONTAINER_INSTANCES, arn)
        if instance is None or instance.status == "INACTIVE":
            return False
        told = self._told.get(arn)
        return told is None or told[1] != digest_of(remaining_resources(self._store, instance))

    async def _trim(self) -> None:
        while True:
            try:
                gone = await self._events.trim(self._clock.now())
                if gone:
                    log.info("%d old events are not kept any more", gone)
            except StoreError as error:
                log.warning("old events could not be dropped: %s", error)
            await self._clock.sleep(TRIM_EVERY_S)


def _as_new_versions(tx: Tx, arns: Iterable[str]) -> None:
    for arn in arns:
        instance = tx.get(CONTAINER_INSTANCES, arn)
        if instance is not None and instance.status != "INACTIVE":
            tx.put(CONTAINER_INSTANCES, instance)
