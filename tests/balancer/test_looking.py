"""The health of targets is written down in the end, whatever is not heard of, and whatever fails on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from msgspec.structs import replace

from longshore.balancer.looking import Looking
from longshore.balancer.runtime import Runtime, RuntimeFailed, Seen
from longshore.balancer.words import backend_name, server_name
from longshore.kit.clock import SteppedClock
from longshore.services.elbv2 import model
from longshore.services.elbv2.model import TARGET_GROUPS, TARGETS, TargetGroup
from longshore.store.memory import memory_store
from tests.balancer.cases import GROUP, pool, target

TARGET = target("10.0.0.1:80")
BACKEND = backend_name(GROUP)


class World:
    """One backend of a HAProxy, and who looks at it."""

    def __init__(self) -> None:
        self.status = "UP"
        self.problem: Exception | None = None
        self.clock = SteppedClock()
        self.store = memory_store(model.KINDS)
        self.looking = Looking(self.store, self.clock, cast(Runtime, self), asyncio.Lock())

    async def backends(self) -> list[str]:
        return [BACKEND]

    async def servers(self, backend: str = "-1", number: int = -1) -> list[Seen]:
        if self.problem is not None:
            raise self.problem
        return [Seen(BACKEND, server_name(TARGET), self.status, "L7STS", "500", 0, 1)]

    async def passes(self, seconds: float) -> None:
        for _ in range(int(seconds / 0.25) + 1):
            await asyncio.sleep(0)
            await self.clock.step(0.25)

    @property
    def state(self) -> str:
        found = self.store.get(TARGETS, TARGETS.key(TARGET))
        return found.health.state if found is not None else "gone"


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    group: TargetGroup = pool().group

    def put(tx: Any) -> None:
        tx.put(TARGET_GROUPS, group)
        tx.put(TARGETS, replace(TARGET, registered_at=world.clock.now()))

    await world.store.transact(put)
    await world.looking.learn()
    job = asyncio.create_task(world.looking.follow())
    await world.passes(1.0)
    assert world.state == "healthy"
    yield world
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)


async def test_what_was_never_heard_of_is_found_all_the_same(world: World) -> None:
    world.status = "DOWN"
    await world.passes(11.0)
    assert world.state == "unhealthy"


@pytest.mark.parametrize("problem", [RuntimeFailed("it has just been reloaded"), OSError(28, "No space left on device")])
async def test_what_was_heard_of_while_it_could_not_be_looked_at_is_not_forgotten(world: World, problem: Exception) -> None:
    world.status, world.problem = "DOWN", problem
    world.looking.heard(f"Server {BACKEND}/{server_name(TARGET)} is DOWN")
    await world.passes(1.0)
    assert world.state == "healthy"
    world.problem = None
    await world.passes(1.0)
    assert world.state == "unhealthy", "long before everybody is looked at anyway"


async def test_looking_goes_on_after_a_round_that_failed(world: World) -> None:
    world.status, world.problem = "DOWN", RuntimeFailed("it does not answer")
    await world.passes(11.0)
    assert world.state == "healthy"
    world.problem = None
    await world.passes(11.0)
    assert world.state == "unhealthy"
