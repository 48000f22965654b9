"""The event stream over a store in memory: what is told of which change, each version once, whatever happens in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.control.event_stream.controller import RESOURCES_EVERY_S, EventStream
from longshore.control.events import append_event
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.ecs import event_words
from longshore.services.ecs.kinds import KINDS
from longshore.services.ecs.model import (
    CONTAINER_INSTANCES,
    TASK_DEFINITIONS,
    TASKS,
    Capacity,
    Container,
    ContainerInstance,
    HostPort,
    Reservation,
    Task,
    TaskDefinition,
    TaskSpec,
    TaskStatus,
)
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICES, Deployment, Service, ServiceSpec
from longshore.store.base import Store, StoreUnavailable, Tx
from longshore.store.event_log import Entry, EventLog, Query
from longshore.store.memory import memory_store
from longshore.store.memory_events import MemoryEventLog

ARN = "arn:aws:ecs:us-east-1:000000000000:"
CLUSTER, SERVICE, INSTANCE = f"{ARN}cluster/demo", f"{ARN}service/demo/web", f"{ARN}container-instance/demo/9e"
DEFINITION = f"{ARN}task-definition/web:1"
WORDS = ("PENDING", "RUNNING", "STOPPING", "STOPPED")


def task_arn(number: int) -> str:
    return f"{ARN}task/demo/{number:032x}"


class World:
    def __init__(self, log: EventLog | None = None) -> None:
        self.store: Store = memory_store(KINDS)
        self.log: EventLog = log or MemoryEventLog()
        self.clock = SteppedClock()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        stream = asyncio.create_task(EventStream(self.store, self.log, self.clock, SeededIds(), gather_s=0.0).run())
        await self.settle()
        try:
            yield
        finally:
            await self.settle()
            stream.cancel()
            await asyncio.gather(stream, return_exceptions=True)

    async def settle(self) -> None:
        for _ in range(60):
            await asyncio.sleep(0)

    async def put(self, kind: Any, value: Any) -> None:
        await self.store.transact(lambda tx: tx.put(kind, value))

    async def begin(self) -> None:
        container = shapes.ContainerDefinition(name="main", image="web:1", cpu=256, memory=64)
        definition = shapes.TaskDefinition(task_definition_arn=DEFINITION, family="web", revision=1, container_definitions=(container,))
        await self.put(TASK_DEFINITIONS, TaskDefinition(DEFINITION, "web", 1, definition))
        await self.put(CONTAINER_INSTANCES, ContainerInstance(INSTANCE, CLUSTER, "i-1", self.clock.now(), Capacity(1024, 1024)))

    async def say(self, service: Service, sentence: str) -> None:
        await self.store.transact(lambda tx: append_event(tx, service, sentence, self.clock.now()))

    async def task(self, number: int, status: str = "PENDING") -> None:
        def write(tx: Tx) -> None:
            task = tx.get(TASKS, task_arn(number)) or Task(
                task_arn(number),
                CLUSTER,
                TaskSpec(
                    DEFINITION,
                    "service:web",
                    self.clock.now(),
                    service_arn=SERVICE,
                    reservation=Reservation(256, 64, (HostPort(8000 + number),)),
                    container_names=("main",),
                ),
                container_instance_arn=INSTANCE,
                status=TaskStatus(containers=(Container("main", f"{task_arn(number)}/main"),)),
            )
            tx.put(TASKS, replace(task, status=replace(task.status, last_status=status)))

        await self.store.transact(write)

    async def events(self, *labels: str) -> list[dict[str, Any]]:
        page = await self.log.read(Query("us-east-1:000000000000", labels=labels), 0, 100_000)
        return [json.loads(one.body) for one in page.entries]

    async def told_of(self, arn: str) -> list[tuple[int, str]]:
        return [
            (event["detail"]["version"], event["detail"].get("lastStatus", ""))
            for event in await self.events(arn)
            if event["resources"] == [arn]
        ]


async def test_every_change_of_a_task_is_an_event_with_its_version() -> None:
    world = World()
    await world.begin()
    async with world.listening():
        for status in WORDS:
            await world.task(1, status)
    assert await world.told_of(task_arn(1)) == [(1, "PENDING"), (2, "RUNNING"), (3, "STOPPING"), (4, "STOPPED")]
    event = (await world.events(task_arn(1)))[1]
    assert {name: event[name] for name in ("version", "detail-type", "source", "account", "region", "time", "resources")} == {
        "version": "0",
        "detail-type": "ECS Task State Change",
        "source": "aws.ecs",
        "account": "000000000000",
        "region": "us-east-1",
        "time": "2023-11-14T22:13:20Z",
        "resources": [task_arn(1)],
    }
    detail = event["detail"]
    assert (detail["taskArn"], detail["clusterArn"], detail["containerInstanceArn"], detail["group"]) == (
        *(task_arn(1), CLUSTER, INSTANCE),
        "service:web",
    )
    assert detail["createdAt"] == detail["updatedAt"] == "2023-11-14T22:13:20.000Z"
    assert detail["containers"][0]["name"] == "main"
    assert "tags" not in detail
    assert await world.events(SERVICE, task_arn(1), CLUSTER) == await world.events(task_arn(1))
    await world.store.close()


async def test_what_is_left_on_an_instance_is_told_once_a_second_with_a_version_that_describe_shows_too() -> None:
    world = World()
    await world.begin()
    async with world.listening():
        await world.task(1, "RUNNING")
        await world.task(2, "RUNNING")
        await world.settle()
        assert [version for version, _ in await world.told_of(INSTANCE)] == [1]
        await world.clock.step(RESOURCES_EVERY_S)
        await world.settle()
        await world.task(1, "STOPPING")  # takes no less for it
        await world.clock.step(RESOURCES_EVERY_S)
        await world.settle()
        assert [version for version, _ in await world.told_of(INSTANCE)] == [1, 2]
        await world.task(1, "STOPPED")
        await world.task(2, "STOPPED")
        await world.clock.step(RESOURCES_EVERY_S)
    told = [event["detail"] for event in await world.events(INSTANCE) if event["resources"] == [INSTANCE]]
    left = [{each["name"]: each.get("stringSetValue") or each["integerValue"] for each in detail["remainingResources"]} for detail in told]
    assert [(detail["version"], one["CPU"], one["MEMORY"], one["PORTS"]) for detail, one in zip(told, left, strict=True)] == [
        (1, 1024, 1024, 0),
        (2, 512, 896, ["8001", "8002"]),
        (3, 1024, 1024, 0),
    ]
    row = world.store.get(CONTAINER_INSTANCES, INSTANCE)
    assert row is not None
    assert row.version == 3
    assert "runningTasksCount" not in told[0]
    await world.store.close()


async def test_connections_and_states_of_instances_are_told() -> None:
    world = World()
    await world.begin()
    async with world.listening():
        for change in ({"agent_connected": True}, {"status": "DRAINING"}, {"agent_connected": False}):
            row = world.store.get(CONTAINER_INSTANCES, INSTANCE)
            assert row is not None
            await world.put(CONTAINER_INSTANCES, replace(row, **change))
    told = [event["detail"] for event in await world.events(INSTANCE)]
    assert [(detail["agentConnected"], detail["status"]) for detail in told] == [
        (False, "ACTIVE"),
        (True, "ACTIVE"),
        (True, "DRAINING"),
        (False, "DRAINING"),
    ]
    assert [detail["version"] for detail in told] == [1, 2, 3, 4]
    await world.store.close()


async def test_services_and_deployments_are_told_of_by_name() -> None:
    world = World()
    await world.begin()
    service = Service(SERVICE, CLUSTER, "web", world.clock.now(), ServiceSpec(DEFINITION, 1))
    deployment = Deployment("ecs-svc/1", SERVICE, DEFINITION, world.clock.now(), world.clock.now())
    async with world.listening():
        await world.put(SERVICES, service)
        await world.put(DEPLOYMENTS, deployment)
        for sentence in (event_words.started_tasks("web", [task_arn(1)]), event_words.steady_state("web")):
            await world.say(service, sentence)
        await world.put(DEPLOYMENTS, replace(deployment, status="ACTIVE"))
        await world.put(
            DEPLOYMENTS, replace(deployment, rollout_state="COMPLETED", rollout_state_reason="ECS deployment ecs-svc/1 completed.")
        )
    told = await world.events(SERVICE)
    assert [(event["detail-type"], event["detail"]["eventName"]) for event in told] == [
        ("ECS Deployment State Change", "SERVICE_DEPLOYMENT_IN_PROGRESS"),
        ("ECS Service Action", "SERVICE_STEADY_STATE"),
        ("ECS Deployment State Change", "SERVICE_DEPLOYMENT_COMPLETED"),
    ]
    assert all(event["resources"] == [SERVICE] for event in told)
    assert told[2]["detail"]["deploymentId"] == "ecs-svc/1"
    await world.store.close()


async def test_a_stream_that_begins_tells_the_present_and_no_history_of_services() -> None:
    world = World()
    await world.begin()
    await world.task(1, "PENDING")
    await world.task(1, "RUNNING")
    service = Service(SERVICE, CLUSTER, "web", world.clock.now(), ServiceSpec(DEFINITION, 1))
    await world.put(SERVICES, service)
    await world.store.transact(lambda tx: append_event(tx, service, event_words.steady_state("web"), world.clock.now() - 60))
    async with world.listening():
        pass
    assert await world.told_of(task_arn(1)) == [(2, "RUNNING")]
    assert await world.events(SERVICE, SERVICE) == await world.events(task_arn(1))
    await world.store.close()


async def test_what_is_no_more_is_forgotten_whether_somebody_listened_or_not() -> None:
    world = World()
    await world.begin()
    async with world.listening():
        await world.task(1)
        await world.task(2)
        await world.settle()
        await world.store.transact(lambda tx: tx.delete(TASKS, task_arn(1)))
    await world.store.transact(lambda tx: tx.delete(TASKS, task_arn(2)))
    async with world.listening():
        pass
    assert await world.log.marks() == {INSTANCE: 1}
    await world.store.close()


class Fickle(MemoryEventLog):
    """Fails as often as it is told to, before or after it has written."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[str] = []

    async def append(self, entries: Sequence[Entry], now: float, forget: Any = ()) -> int:
        failure = self.failures.pop() if self.failures else ""
        if failure == "before":
            raise StoreUnavailable("no room")
        newest = await super().append(entries, now, forget)
        if failure == "after":
            raise StoreUnavailable("written, and nobody knows")
        return newest


STEPS = st.one_of(
    st.tuples(st.just("task"), st.integers(1, 3)),
    st.sampled_from([("restart", 0), ("stop", 0), ("listen", 0), ("fail", "before"), ("fail", "after"), ("second", 0), ("instance", 0)]),
)


@example([("listen", 0), ("fail", "before"), ("instance", 0)])
@example([("listen", 0), ("task", 1), ("second", 0), ("fail", "after"), ("instance", 0), ("task", 2)])
@given(st.lists(STEPS, max_size=25))
@settings(max_examples=60, deadline=None)
def test_each_version_is_told_once_in_order_and_the_last_one_always(steps: list[tuple[str, Any]]) -> None:
    asyncio.run(_law(steps))


async def _law(steps: list[tuple[str, Any]]) -> None:
    log = Fickle()
    world = World(log)
    await world.begin()
    listening: Any = None

    async def listen() -> None:
        nonlocal listening
        if listening is None:
            listening = world.listening()
            await listening.__aenter__()

    async def fall_silent() -> None:
        nonlocal listening
        if listening is not None:
            await listening.__aexit__(None, None, None)
            listening = None

    stages = dict.fromkeys((1, 2, 3), 0)
    for word, detail in steps:
        match word:
            case "task":
                await world.task(detail, WORDS[min(stages[detail], 3)])
                stages[detail] += 1
            case "stop" | "restart":
                await fall_silent()
                if word == "restart":
                    await listen()
            case "listen":
                await listen()
            case "fail":
                log.failures.append(detail)
            case "second":
                await world.clock.step(RESOURCES_EVERY_S)
            case "instance":
                row = world.store.get(CONTAINER_INSTANCES, INSTANCE)
                assert row is not None
                await world.put(CONTAINER_INSTANCES, replace(row, agent_connected=not row.agent_connected))
    log.failures.clear()
    await listen()
    for _ in range(3):  # after a failure it waits; then what is left on the instance is looked at
        await world.settle()
        await world.clock.step(100.0)
    await fall_silent()
    rows: dict[str, Any] = {task_arn(number): world.store.get(TASKS, task_arn(number)) for number in stages}
    for key, row in {**rows, INSTANCE: world.store.get(CONTAINER_INSTANCES, INSTANCE)}.items():
        versions = [version for version, _ in await world.told_of(key)]
        assert versions == sorted(set(versions))
        assert versions[-1:] == ([row.version] if row is not None else [])
    last = [event for event in await world.events(INSTANCE) if event["resources"] == [INSTANCE]][-1]["detail"]
    left = next(each["integerValue"] for each in last["remainingResources"] if each["name"] == "CPU")
    assert left == 1024 - 256 * sum(1 for stage in stages.values() if 0 < stage < 4)
    await world.store.close()
