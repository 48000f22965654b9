"""Telling the platform what has become of tasks, until it says that it has heard.

Every report holds all that is known of a task, so a later one of the same status takes an earlier one's place; RUNNING is
still sent before STOPPED, and before that in turn the task's flight record, so that whoever sees the task stopped can see why.
One task's reports go one after the other, ten tasks at a time. `InvalidParameterException` drops
a report for good (the platform does not know the task); after anything else it is tried again (agent protocol §1.3).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Protocol

from longshore.agent.api import CallRefused, PlatformUnreachable, TaskChange, TaskRecord
from longshore.agent.pause import pause
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids

log = logging.getLogger("longshore.agent")

MOST_AT_ONCE = 10
#: changes of containers in a task that does not run yet are gathered for so long
GATHER_S = 5.0
REASON_LENGTH = 1024
#: a record that the platform fails to take so often is done without: that the task has stopped matters more
MOST_RECORD_TRIES = 5
_ORDER = ("PENDING", "RUNNING", "STOPPED")


class Outcome(Enum):
    """What became of an attempt to report."""

    HEARD = 1
    #: the platform does not know the task: never to be tried again
    DROPPED = 2
    FAILED = 3


class Submits(Protocol):
    async def submit_task_state_change(self, change: TaskChange) -> None: ...

    async def submit_task_record(self, record: TaskRecord) -> None: ...


async def no_record(arn: str) -> TaskRecord | None:
    return None


class Reporter:
    def __init__(
        self,
        api: Submits,
        clock: Clock,
        ids: Ids,
        acknowledged: Callable[[str, str, bool], None],
        record_of: Callable[[str], Awaitable[TaskRecord | None]] = no_record,
    ) -> None:
        """`acknowledged` is told the task's ARN, the status, and whether the platform knew the task (or the report was dropped).

        `record_of` makes the flight record of a task that has stopped.
        """
        self._api = api
        self._clock = clock
        self._ids = ids
        self._acknowledged = acknowledged
        self._record_of = record_of
        #: tasks whose record was not taken → how often it was tried
        self._record_tries: dict[str, int] = {}
        #: tasks whose record was taken, and whose report was not yet
        self._recorded_already: set[str] = set()
        self._waiting: dict[str, dict[str, TaskChange]] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)
        #: woken by `try_now` and by every new report
        self._wakes: dict[str, asyncio.Event] = {}

    def __repr__(self) -> str:
        return f"Reporter({len(self._waiting)} tasks waiting)"

    @property
    def waiting(self) -> int:
        """Tasks with something that was not heard yet."""
        return len(self._waiting)

    def submit(self, change: TaskChange) -> None:
        reports = self._waiting.setdefault(change.task, {})
        if change.status == "PENDING" and reports.keys() - {"PENDING"}:
            return
        if change.status != "PENDING":
            reports.pop("PENDING", None)
        reports[change.status] = change
        wake = self._wakes.setdefault(change.task, asyncio.Event())
        if change.status != "PENDING":
            wake.set()
        if change.task not in self._workers:
            self._workers[change.task] = asyncio.create_task(self._work(change.task, wake), name=f"report:{change.task}")

    def try_now(self) -> None:
        """The platform is there again."""
        for wake in self._wakes.values():
            wake.set()

    async def heard_all(self, within_s: float) -> None:
        """Returns when the platform has heard of everything, or that took too long."""
        if self._workers:
            await asyncio.wait(list(self._workers.values()), timeout=within_s)

    async def forget_all(self) -> None:
        """Whatever was not heard is of no interest any more."""
        workers = list(self._workers.values())
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        self._waiting.clear()

    async def _work(self, arn: str, wake: asyncio.Event) -> None:
        reports = self._waiting[arn]
        failures = 0
        try:
            while reports:
                status = min(reports, key=_ORDER.index)
                if status == "PENDING":
                    await pause(self._clock, GATHER_S, wake)
                    status = min(reports, key=_ORDER.index)
                wake.clear()
                change = reports[status]
                outcome = await self._send(change) if await self._recorded(change) else Outcome.FAILED
                heard = outcome is not Outcome.FAILED
                if heard and reports.get(status) is change:
                    del reports[status]
                    self._acknowledged(arn, status, outcome is Outcome.HEARD)
                failures = 0 if heard else failures + 1
                if not heard:
                    wait = backoff_s(failures - 1, self._ids.fraction(), first_s=1.0, most_s=30.0, factor=1.3)
                    await pause(self._clock, wait, wake)
        finally:
            self._waiting.pop(arn, None)
            self._record_tries.pop(arn, None)
            self._recorded_already.discard(arn)
            self._workers.pop(arn, None)
            self._wakes.pop(arn, None)

    async def _recorded(self, change: TaskChange) -> bool:
        """Whether the report may follow. The record is made anew until it is taken: the engine is still there to be asked."""
        if change.status != "STOPPED" or change.task in self._recorded_already:
            return True
        record = await self._record_of(change.task)
        if record is None:
            return True
        async with self._slots:
            try:
                await self._api.submit_task_record(record)
            except CallRefused as error:
                tries = self._record_tries[change.task] = self._record_tries.get(change.task, 0) + 1
                log.info("%s: its record is not taken: %s", change.task, error)
                return not error.may_pass or tries >= MOST_RECORD_TRIES
            except PlatformUnreachable as error:
                log.info("%s: its record waits: %s", change.task, error)
                return False
        self._recorded_already.add(change.task)
        return True

    async def _send(self, change: TaskChange) -> Outcome:
        async with self._slots:
            try:
                await self._api.submit_task_state_change(change)
            except CallRefused as error:
                if error.code == "InvalidParameterException":
                    log.warning("%s: report %s dropped: %s", change.task, change.status, error)
                    return Outcome.DROPPED
                log.warning("%s: report %s not heard, another try follows: %s", change.task, change.status, error)
                return Outcome.FAILED
            except PlatformUnreachable as error:
                log.info("%s: report %s waits: %s", change.task, change.status, error)
                return Outcome.FAILED
        log.info("%s: reported %s", change.task, change.status)
        return Outcome.HEARD
