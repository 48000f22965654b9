"""What a server has begun, and how it ends: its loops, and whatever else wants to be told. And what all its parts are made of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple

from longshore.config import ServerConfig
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.call import Site

log = logging.getLogger("longshore.server")


class Running:
    """Last in, first out: what is told to end last is what was begun first."""

    def __init__(self) -> None:
        self._ends: list[Callable[[], Awaitable[Any]]] = []
        self._jobs: list[asyncio.Task[Any]] = []
        #: those that may be over before the server is
        self._short: set[asyncio.Task[Any]] = set()

    def ends_with(self, end: Callable[[], Awaitable[Any]]) -> None:
        """`end` is called once, when everything that was begun after it has ended, and all loops have."""
        self._ends.append(end)

    def begin(self, job: Coroutine[Any, Any, Any], name: str, *, short: bool = False) -> None:
        """`short`: it does something, and is over."""
        task = asyncio.create_task(job, name=name)
        self._jobs.append(task)
        if short:
            self._short.add(task)

    async def until(self, stop: asyncio.Event) -> None:
        """Returns when `stop` is set; raises when a loop ends, which none ever should."""
        waiting = asyncio.create_task(stop.wait(), name="stop")
        loops = [job for job in self._jobs if job not in self._short]
        done, _ = await asyncio.wait({waiting, *loops}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        for job in done - {waiting}:
            job.result()
            raise RuntimeError(f"the loop of {job.get_name()} ended")

    async def end(self) -> None:
        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        while self._ends:
            end = self._ends.pop()
            try:
                await end()
            except Exception:  # what is left must still be closed, the store above all
                log.exception("while stopping")


class Setting(NamedTuple):
    """What every part of one server is given."""

    config: ServerConfig
    clock: Clock
    ids: Ids
    site: Site
    running: Running
