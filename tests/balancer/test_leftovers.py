"""Workers of before are seen to their end, whatever happens to whoever is told, and to whoever asks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from longshore.balancer.leftovers import SETTLED_S, Leftovers
from longshore.balancer.process import HAProxy
from longshore.balancer.runtime import RuntimeFailed
from longshore.kit.clock import SteppedClock


class Master:
    """Without a worker of before, and as deaf as a test wants it."""

    def __init__(self) -> None:
        self.is_deaf = False
        self.asked = 0

    async def workers(self) -> list[int]:
        self.asked += 1
        if self.is_deaf:
            raise RuntimeFailed("the master does not answer")
        return [100]

    def is_alive(self) -> bool:
        return True


class Told:
    def __init__(self) -> None:
        self.times = 0
        self.problem: Exception | None = None

    async def __call__(self) -> None:
        self.times += 1
        if self.problem is not None:
            raise self.problem


async def passes(clock: SteppedClock, seconds: float) -> None:
    """In small steps, since whoever wakes sleeps again."""
    for _ in range(int(seconds / 0.25) + 1):
        await asyncio.sleep(0)
        await clock.step(0.25)


@asynccontextmanager
async def followed(master: Master, told: Told) -> AsyncIterator[tuple[Leftovers, SteppedClock]]:
    clock = SteppedClock()
    leftovers = Leftovers(clock, cast(HAProxy, master), told)
    job = asyncio.create_task(leftovers.follow())
    try:
        yield leftovers, clock
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)


@pytest.mark.parametrize("problem", [OSError(28, "No space left on device"), RuntimeFailed("it has just ended"), KeyError("anything")])
async def test_a_reload_is_over_once_somebody_could_be_told(problem: Exception) -> None:
    told = Told()
    async with followed(Master(), told) as (leftovers, clock):
        told.problem = problem
        leftovers.began()
        await passes(clock, SETTLED_S)
        assert told.times >= 1 and not leftovers.are_settled
        told.problem = None
        await passes(clock, 2 * SETTLED_S)
        assert leftovers.are_settled
        leftovers.began()
        assert not leftovers.are_settled
        await passes(clock, SETTLED_S)
        assert leftovers.are_settled, "later reloads end, too"


async def test_nothing_is_over_while_the_master_is_deaf() -> None:
    master, told = Master(), Told()
    async with followed(master, told) as (leftovers, clock):
        master.is_deaf = True
        leftovers.began()
        await passes(clock, 4 * SETTLED_S)
        assert not leftovers.are_settled and 1 < master.asked < 10
        master.is_deaf = False
        await passes(clock, 2 * SETTLED_S)
        assert leftovers.are_settled and told.times == 1
