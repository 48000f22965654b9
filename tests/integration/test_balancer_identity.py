"""Targets that are asked which task they are, on the real HAProxy and the agent's real answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.agent.identity import Identity
from longshore.balancer.health import ANOTHER_TASK
from longshore.kit.clock import SteppedClock
from longshore.services.elbv2.model import TARGETS, Target, TargetGroup
from tests.agent.test_identity import ARN, Job
from tests.balancer.lab import Lab, Upstream, fixed, forward, laboratory, paths, until

pytestmark = pytest.mark.engine("haproxy")

OTHER = ARN[:-1] + "0"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy") as lab:
        yield lab


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Identity]:
    agent = Identity("127.0.0.1", tmp_path / "port", SteppedClock())
    agent.jobs = {}
    await agent.open()
    yield agent
    await agent.close()


def runs(agent: Identity, arn: str, upstream: Upstream) -> None:
    """From now on that task is the one at the port."""
    agent.jobs = {arn: Job(containerPort=80, hostPort=upstream.port)}  # type: ignore[dict-item]


async def register(lab: Lab, group: TargetGroup, upstream: Upstream, agent: Identity) -> None:
    now = lab.clock.now()
    row = Target(group.arn, "127.0.0.1", upstream.port, now, "127.0.0.1", owner=ARN, identity=f"127.0.0.1:{agent.port}")
    await lab.store.transact(lambda tx: tx.put(TARGETS, row))


async def test_a_port_that_another_task_has_gets_no_request(lab: Lab, agent: Identity) -> None:
    """Not even while no target is healthy, when all others would get some; nor after a reload."""
    upstream = await lab.upstream("one")
    runs(agent, OTHER, upstream)
    lb, group = await lab.serving(group=await lab.group())
    await lab.active(lb)
    await register(lab, group, upstream, agent)
    await until(lambda: upstream.checks >= 2)
    assert (await lab.ask()).status == 503
    listener = await lab.listener(lb, forward(group), port=lab.port)
    await lab.rule(listener, 1, [paths("/x")], fixed(200))
    await lab.settled()
    checks = upstream.checks
    # Long enough for checks of HAProxy's own, too.
    await until(lambda: upstream.checks >= checks + 12)
    assert {(await lab.ask()).status for _ in range(4)} == {503}
    assert not upstream.asked, "it passes its health checks, and yet nobody is sent there"
    runs(agent, ARN, upstream)
    await lab.healthy(group, upstream)
    assert (await lab.ask()).status == 200


async def test_a_target_is_withheld_when_another_task_takes_its_port_over(lab: Lab, agent: Identity) -> None:
    upstream = await lab.upstream("one")
    runs(agent, ARN, upstream)
    _, group = await lab.serving(group=await lab.group())
    await register(lab, group, upstream, agent)
    async with asyncio.timeout(3.0):
        await lab.healthy(group, upstream)
    assert (await lab.ask()).status == 200
    runs(agent, OTHER, upstream)
    await until(lambda: lab.health(group, upstream) == ("unhealthy", ANOTHER_TASK))
    row = lab.target(group, upstream)
    assert row is not None and row.health.reason == "Target.FailedHealthChecks"
    await until(lambda: _is_refused(lab))
    asked = len(upstream.asked)
    assert {(await lab.ask()).status for _ in range(4)} == {503} and len(upstream.asked) == asked


async def _is_refused(lab: Lab) -> bool:
    return (await lab.ask()).status == 503


async def test_an_agent_that_is_away_for_a_while_takes_nothing_out_of_service(lab: Lab, agent: Identity) -> None:
    upstream = await lab.upstream("one")
    runs(agent, ARN, upstream)
    _, group = await lab.serving(group=await lab.group())
    await register(lab, group, upstream, agent)
    await lab.healthy(group, upstream)
    await agent.close()
    checks = upstream.checks
    await until(lambda: upstream.checks >= checks + 3)
    assert lab.health(group, upstream)[0] == "healthy" and (await lab.ask()).status == 200
