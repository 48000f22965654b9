"""The one writer: takes what has queued up, stages it over the view, commits it, and only then lets it be seen.

Whatever arrives while a commit is under way makes up the next batch; nothing waits for company. Each transaction of a batch sees
what those before it wrote, and gets a revision of its own. One that raises fails alone. When the log refuses, all that were staged
fail with StoreUnavailable, including those that only read or raised: what they saw never came to be.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from types import CoroutineType
from typing import Any, TypeVar

from longshore.store.base import Change, StoreError, StoreUnavailable
from longshore.store.lease import Leases
from longshore.store.log import Log
from longshore.store.overlay import Overlay
from longshore.store.view import View
from longshore.store.watch import Watches

R = TypeVar("R")

logger = logging.getLogger(__name__)

#: Transactions in one commit.
MOST_IN_BATCH = 512


class Request:
    """A queued transaction. `fn` is None for one that wipes everything."""

    __slots__ = ("epoch", "fn", "future")

    def __init__(self, fn: Callable[[Overlay], Any] | None, epoch: int | None, future: asyncio.Future[Any]) -> None:
        self.fn = fn
        self.epoch = epoch
        self.future = future


class Outcome:
    """What came of a request, held back until the batch is committed."""

    __slots__ = ("changes", "error", "request", "result", "revision")

    def __init__(self, request: Request, revision: int, result: Any, changes: tuple[Change[Any], ...], error: Exception | None) -> None:
        self.request = request
        self.revision = revision
        self.result = result
        self.changes = changes
        self.error = error

    def deliver(self) -> None:
        future = self.request.future
        if future.done():
            return
        if self.error is not None:
            future.set_exception(self.error)
        else:
            future.set_result(self.result)


class Writer:
    def __init__(self, view: View, log: Log, watches: Watches, leases: Leases, epoch: int) -> None:
        self._view = view
        self._log = log
        self._watches = watches
        self._leases = leases
        self._epoch = epoch
        self._queue: deque[Request] = deque()
        self._arrived = asyncio.Event()
        self._closing = False
        self._failing = False
        self._job: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._job = asyncio.create_task(self._work(), name="store writer")

    def submit(self, fn: Callable[[Overlay], R] | None, epoch: int | None = None) -> asyncio.Future[R]:
        """Queue a transaction (None: wipe everything); its result, or what it raised, comes once it is durable."""
        if self._closing:
            raise StoreError("the store is closed")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append(Request(fn, epoch, future))
        self._arrived.set()
        return future

    async def close(self) -> None:
        """Write what is queued, then stop."""
        self._closing = True
        self._arrived.set()
        if self._job is not None:
            await self._job

    async def _work(self) -> None:
        while True:
            while not self._queue:
                if self._closing:
                    return
                self._arrived.clear()
                await self._arrived.wait()
            batch = self._take()
            try:
                if batch[0].fn is None:
                    await self._wipe(batch[0])
                else:
                    await self._commit(batch)
            except StoreUnavailable as error:
                self._refuse(batch, error)
            except Exception as error:  # the one loop all writes depend on outlives any mistake
                logger.exception("store: a batch of %d transactions failed unexpectedly", len(batch))
                self._refuse(batch, StoreUnavailable(f"the write failed: {error!r}"))
            # Those just answered often have their next write ready: let it make the next batch instead of the one after.
            await asyncio.sleep(0)

    def _take(self) -> list[Request]:
        """The next batch. A wipe is a batch of its own."""
        batch: list[Request] = []
        while self._queue and len(batch) < MOST_IN_BATCH:
            if self._queue[0].fn is None and batch:
                break
            batch.append(self._queue.popleft())
            if batch[0].fn is None:
                break
        return batch

    def _refuse(self, batch: list[Request], error: StoreUnavailable) -> None:
        if not self._failing:
            logger.error("store: cannot write: %s", error)
        self._failing = True
        self._view.forget_derived()  # it knows of writes that did not come to be
        for request in batch:
            if not request.future.done():
                request.future.set_exception(StoreUnavailable(str(error)))

    async def _commit(self, batch: list[Request]) -> None:
        overlay = Overlay(self._view, self._epoch)
        staged = self._stage(batch, overlay)
        if not overlay.written:
            return
        await self._log.append(overlay.rows(), overlay.revision, overlay.epoch)
        self._recovered()
        overlay.apply()
        self._epoch = overlay.epoch
        for outcome in staged:
            if outcome.changes:
                self._watches.publish(outcome.revision, outcome.changes)
        for outcome in staged:
            outcome.deliver()

    def _stage(self, batch: list[Request], overlay: Overlay) -> list[Outcome]:
        """Run every transaction of the batch. Those that neither wrote nor saw an uncommitted write are answered at once."""
        staged: list[Outcome] = []
        for request in batch:
            if request.future.done():  # its caller has gone
                continue
            saw_uncommitted = overlay.written
            outcome = self._run(request, overlay)
            if saw_uncommitted or overlay.written:
                staged.append(outcome)
            else:
                outcome.deliver()
        return staged

    def _run(self, request: Request, overlay: Overlay) -> Outcome:
        assert request.fn is not None
        overlay.begin()
        try:
            if request.epoch is not None:
                self._leases.check(request.epoch)
            result = request.fn(overlay)
            if isinstance(result, CoroutineType):
                result.close()
                raise TypeError("the function given to transact must be synchronous")
            changes = overlay.finish()
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
            overlay.rollback()
            return Outcome(request, overlay.revision, None, (), error)
        return Outcome(request, overlay.revision, result, changes, None)

    async def _wipe(self, request: Request) -> None:
        revision = self._view.revision + 1
        await self._log.wipe(revision, self._epoch)
        self._recovered()
        changes = tuple(Change(kind, key, value, None) for kind, key, value in self._view.everything())
        self._view.clear()
        self._view.revision = revision
        self._watches.publish(revision, changes)
        Outcome(request, revision, None, changes, None).deliver()

    def _recovered(self) -> None:
        if self._failing:
            logger.info("store: writing again")
        self._failing = False
