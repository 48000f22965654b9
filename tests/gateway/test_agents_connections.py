"""How long connections live, what a storm of agents costs, and what agents say of their machines: beyond what the recordings show."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import WSMsgType

from longshore.gateway.agents.ending import LIFE_S, SPREAD_S
from longshore.gateway.agents.sessions import RETURN_S
from longshore.gateway.agents.telemetry import status_reports
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import RandomIds, SeededIds
from longshore.services.ecs.model import CONTAINER_INSTANCES
from longshore.services.ecs.operations import container_instances
from longshore.services.ecs.views import container_instance_view
from longshore.store.memory import memory_store
from tests.gateway.platform import INSTANCE, KINDS, Platform, platform_on, until
from tests.gateway.stock_agent import StockAgent, open_socket, telemetry_url

assert container_instances


class Early(RandomIds):
    """Connections live as short as they may."""

    def fraction(self) -> float:
        return 0.0


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with platform_on(SteppedClock(), Early()) as running:
        await running.cluster()
        await running.instance()
        await running.definition()
        yield running


async def grow_old(platform: Platform, agent: StockAgent) -> None:
    """Step until the connection has expired; the agent answers all that it is asked meanwhile."""
    await agent.settled()
    for _ in range(int(LIFE_S / 30)):
        assert not agent.socket.closed
        await platform.clock.step(30)
        await agent.settled_or_closed()


# ── age ──


async def test_a_connection_is_closed_for_its_age_before_the_agent_does_it_and_the_instance_was_never_gone(platform: Platform) -> None:
    async with StockAgent(platform) as first:
        await until(lambda: platform.seen().agent_connected)
        version = platform.seen().version
        await grow_old(platform, first)
        assert await first.until_closed() == 1000, "agents come back without delay after 1000"
        assert LIFE_S + SPREAD_S < 30 * 60, "agents close by themselves after 30 to 35 minutes"
        async with StockAgent(platform) as second:
            arn = await platform.task(1)
            await second.until_told(arn, "RUNNING")
            await platform.clock.step(RETURN_S + 1)
            await second.settled()
            assert platform.seen().agent_connected
            assert platform.seen().version == version, "something was written of it"
            assert platform.sessions.connected_instances == (INSTANCE,)


async def test_an_agent_that_does_not_come_back_after_its_connection_has_expired_is_gone(platform: Platform) -> None:
    async with StockAgent(platform) as agent:
        await until(lambda: platform.seen().agent_connected)
        await grow_old(platform, agent)
        assert await agent.until_closed() == 1000
        assert platform.seen().agent_connected
        for _ in range(int(RETURN_S) + 2):
            await platform.clock.step(1)
        await until(lambda: not platform.seen().agent_connected)
        assert platform.sessions.connected_instances == ()


async def test_a_server_that_stops_does_not_wait_for_agents_whose_connections_have_just_expired(platform: Platform) -> None:
    async with StockAgent(platform) as agent:
        await until(lambda: platform.seen().agent_connected)
        await grow_old(platform, agent)
        await agent.until_closed()
        await platform.sessions.close()
        await platform.clock.step(1)
        await until(lambda: not platform.seen().agent_connected)


async def test_telemetry_connections_expire_as_well(platform: Platform) -> None:
    socket = await open_socket(platform, telemetry_url(platform))
    for _ in range(int(LIFE_S / 60)):
        assert not socket.closed
        await platform.clock.step(60)
    while (await asyncio.wait_for(socket.receive(), 5.0)).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED):
        pass
    assert socket.close_code == 1000


# ── storms ──


async def test_a_storm_of_agents_costs_one_change_each_and_every_one_hears_of_its_tasks() -> None:
    """A server has been killed: all its agents come at once, some of them twice."""
    store, clock = memory_store(KINDS), SteppedClock()
    arns = [f"{INSTANCE[:-3]}{number:03x}" for number in range(60)]
    async with platform_on(clock, SeededIds(3), store) as platform:
        await platform.cluster()
        await platform.definition()
        for arn in arns:
            await platform.instance(arn)
        tasks = [await platform.task(number % 10, instance=arn) for number, arn in enumerate(arns[:10])]
        before = store.revision
        agents = [StockAgent(platform, arn) for arn in (*arns, *arns[:20])]
        await asyncio.gather(*(agent.__aenter__() for agent in agents))
        await until(lambda: all(platform.seen(arn).agent_connected for arn in arns))
        await until(lambda: len(platform.sessions.connected_instances) == len(arns))
        living = {id(agent): agent for agent in agents if not agent.socket.closed}
        for arn, task in zip(arns, tasks, strict=False):
            await until(lambda task=task: any((task, "RUNNING") in agent.told for agent in living.values()))  # type: ignore[misc]
            assert platform.seen(arn).version == 2
        assert store.revision - before == len(arns), "a session after another was written down"
        await asyncio.gather(*(agent.__aexit__() for agent in agents))
        await until(lambda: not any(platform.seen(arn).agent_connected for arn in arns))
    await store.close()


# ── the state of the machine ──


async def report(platform: Platform, *statuses: object) -> None:
    socket = await open_socket(platform, telemetry_url(platform))
    message = {"type": "PublishInstanceStatusRequest", "message": {"metadata": {}, "statuses": list(statuses), "timestamp": 1.0}}
    await socket.send_str(f"Host: x\r\n\r\n{json.dumps(message)}")
    while json.loads((await asyncio.wait_for(socket.receive(), 5.0)).data)["type"] != "AckPublishInstanceStatus":
        pass
    await socket.close()


def health(platform: Platform) -> tuple[str | None, dict[str | None, str | None]]:
    shown = container_instance_view(platform.store, platform.seen(), with_tags=False, with_health=True).health_status
    assert shown is not None
    return shown.overall_status, {check.type: check.status for check in shown.details or ()}


async def test_what_an_agent_says_of_its_machine_is_its_health(platform: Platform) -> None:
    assert health(platform) == ("IMPAIRED", {"AGENT_CONNECTIVITY": "IMPAIRED"})
    async with StockAgent(platform):
        await until(lambda: platform.seen().agent_connected)
        assert health(platform) == ("OK", {"AGENT_CONNECTIVITY": "OK"})
        await report(platform, {"type": "ContainerRuntime", "status": "OK", "lastUpdated": 5.0, "lastStatusChange": 5.0})
        assert health(platform) == ("OK", {"AGENT_CONNECTIVITY": "OK", "CONTAINER_RUNTIME": "OK"})
        revision = platform.store.revision
        await report(platform, {"type": "ContainerRuntime", "status": "OK", "lastUpdated": 9.0}, {"type": "Agent", "status": "OK"}, 7)
        assert platform.store.revision == revision, "nothing changed, and something was written"
        await report(platform, {"type": "ContainerRuntime", "status": "IMPAIRED"}, {"type": "EBSDaemon", "status": "INITIALIZING"})
        assert health(platform) == ("IMPAIRED", {"AGENT_CONNECTIVITY": "OK", "CONTAINER_RUNTIME": "IMPAIRED", "DAEMON": "INITIALIZING"})
    shown = container_instance_view(platform.store, platform.seen(), with_tags=False)
    assert shown.health_status is None, "it is shown to whoever asks for it only"


@pytest.mark.parametrize("wrong", [{}, {"statuses": 7}, {"statuses": [{"type": ["ContainerRuntime"], "status": "OK"}, {"status": []}]}])
def test_a_state_that_is_none_says_nothing(wrong: dict[str, object]) -> None:
    assert status_reports(wrong) == {}


async def test_a_machine_that_is_not_registered_any_more_has_no_health_written(platform: Platform) -> None:
    socket = await open_socket(platform, telemetry_url(platform))
    await platform.deregister()
    row = platform.seen()
    frame = json.dumps({"type": "PublishInstanceStatusRequest", "message": {"statuses": [{"type": "ContainerRuntime", "status": "OK"}]}})
    if not socket.closed:
        await socket.send_str(f"Host: x\r\n\r\n{frame}")
    while not socket.closed:
        await asyncio.wait_for(socket.receive(), 5.0)
    assert platform.store.get(CONTAINER_INSTANCES, INSTANCE) == row
