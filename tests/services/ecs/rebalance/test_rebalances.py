"""Rebalances through the API, and carried out by their controller beside the one of deployments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace as changed

from longshore.control.deployments.controller import Deployments
from longshore.control.deployments.outlook import outlook
from longshore.control.rebalance.controller import Rebalances
from longshore.services.ecs.errors import ClientException, ConflictException, InvalidParameterException
from longshore.services.ecs.model import TASKS, Task
from longshore.services.ecs.operations import rebalances as operations
from longshore.services.ecs.rebalance import shapes
from longshore.services.ecs.rebalance.model import REBALANCES
from longshore.services.ecs.rollout.model import SERVICES
from longshore.store.base import Change, Store, Tx
from tests.services.ecs.conftest import SITE, ZONES, Ecs

R = TypeVar("R")


class Counting:
    """A store that counts its transactions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.transactions = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def transact(self, fn: Callable[[Tx], R], *, epoch: int | None = None) -> R:
        self.transactions += 1
        return await self._store.transact(fn, epoch=epoch)


class World:
    """A service whose four tasks are all on one of three instances, and the controllers that keep it, stepped by hand."""

    def __init__(self, ecs: Ecs) -> None:
        self.ecs = replace(ecs, call=replace(ecs.call, scheduler=partial(outlook, warm_up_s=SITE.warm_up_s)))
        call = ecs.call
        self.store = call.store
        self.deployments = Deployments(call.store, call.clock, call.ids, SITE)
        self.rebalances = Rebalances(call.store, call.clock, call.ids, SITE)

    async def settle(self, *, agents: bool = True) -> None:
        """Controllers and agents, until nothing changes any more; tasks that were told to stop have stopped at once."""
        for _ in range(30):
            before = self.store.revision
            for service in self.store.list(SERVICES):
                await self.deployments.reconcile(service.arn)
            for key in self.rebalances.keys():
                await self.rebalances.reconcile(key)
            if agents:
                await self.report()
            if self.store.revision == before:
                return
        raise AssertionError("it does not come to rest")

    async def report(self) -> None:
        for task in self.store.list(TASKS):
            if task.stop is not None and not task.is_stopped:
                await self.ecs.report(task.arn, "STOPPED")
            elif task.last_status == "PENDING":
                await self.ecs.report(task.arn, "RUNNING")
        await self.ecs.clock.step(SITE.warm_up_s + 1)

    def running(self) -> list[Task]:
        return [task for task in self.store.list(TASKS) if not task.is_stopped]

    def zones(self) -> list[str]:
        return sorted(task.availability_zone for task in self.running())


@pytest.fixture
async def world(ecs: Ecs) -> World:
    await ecs.cluster()
    await ecs.instance(1, zone=ZONES[0])
    await ecs.define()
    there = World(ecs)
    await ecs("CreateService", serviceName="site", taskDefinition="web", desiredCount=4, availabilityZoneRebalancing="DISABLED")
    await there.settle()
    await ecs.instance(2, zone=ZONES[1])
    return there


async def start(world: World, **members: Any) -> shapes.RebalanceView:
    return (await operations.start_rebalance(world.ecs.call, shapes.StartRebalanceRequest(**members))).rebalance


async def test_a_plan_changes_nothing_and_says_what_would_be(world: World) -> None:
    before = world.store.revision
    planned = await operations.plan_rebalance(world.ecs.call, shapes.PlanRebalanceRequest(service="site"))
    assert world.store.revision == before
    assert len(planned.moves) == 2
    (service,) = planned.services
    assert (service.zones_before, service.zones_after) == ({ZONES[0]: 4, ZONES[1]: 0}, {ZONES[0]: 2, ZONES[1]: 2})
    assert [one.tasks_after for one in planned.instances] == [2, 2]


async def test_moves_are_carried_out_and_tasks_are_never_fewer(world: World) -> None:
    begun = await start(world)
    assert begun.status == "IN_PROGRESS"
    await world.rebalances.reconcile(begun.rebalance_arn)
    assert len(world.running()) == 5
    await world.settle()
    assert world.zones() == [ZONES[0], ZONES[0], ZONES[1], ZONES[1]]
    (over,) = (await operations.describe_rebalances(world.ecs.call, shapes.DescribeRebalancesRequest())).rebalances
    assert over.status == "SUCCEEDED" and [move.status for move in over.moves] == ["DONE", "DONE"]
    with pytest.raises(ClientException):
        await start(world)


async def test_another_controller_goes_on_where_the_first_was(world: World) -> None:
    begun = await start(world)
    await world.rebalances.reconcile(begun.rebalance_arn)
    again = World(world.ecs)
    await again.settle()
    assert again.zones() == [ZONES[0], ZONES[0], ZONES[1], ZONES[1]]
    assert len([task for task in world.store.list(TASKS) if task.spec.in_place_of]) == 2


async def test_a_stopped_rebalance_finishes_what_it_began(world: World) -> None:
    begun = await start(world)
    await world.rebalances.reconcile(begun.rebalance_arn)
    stop = shapes.StopRebalanceRequest(rebalance=begun.rebalance_arn)
    assert (await operations.stop_rebalance(world.ecs.call, stop)).rebalance.status == "STOPPING"
    await world.settle()
    kept = world.store.get(REBALANCES, begun.rebalance_arn)
    assert kept is not None and kept.status == "STOPPED"
    assert sorted(move.status for move in kept.moves) == ["DONE", "SKIPPED"]
    assert world.zones().count(ZONES[1]) == 1


async def test_one_goes_on_in_a_cluster_at_a_time(world: World) -> None:
    await start(world)
    with pytest.raises(ConflictException):
        await start(world)
    with pytest.raises(InvalidParameterException):
        await operations.stop_rebalance(world.ecs.call, shapes.StopRebalanceRequest(rebalance="nothing"))


async def test_protected_tasks_stay(world: World) -> None:
    until = world.ecs.clock.now() + 1e6

    def protect(tx: Any) -> None:
        for task in tx.list(TASKS):
            tx.put(TASKS, changed(task, protected_until=until))

    await world.store.transact(protect)
    planned = await operations.plan_rebalance(world.ecs.call, shapes.PlanRebalanceRequest())
    assert not planned.moves and planned.services[0].left_because == "it has no task that may be moved"


async def test_a_task_that_is_protected_meanwhile_is_skipped(world: World) -> None:
    begun = await start(world)
    old = world.store.get(TASKS, begun.moves[0].task_arn)
    assert old is not None
    protected = changed(old, protected_until=world.ecs.clock.now() + 1e6)
    await world.store.transact(lambda tx: tx.put(TASKS, protected))
    await world.settle()
    kept = world.store.get(REBALANCES, begun.rebalance_arn)
    assert kept is not None and [move.status for move in kept.moves] == ["SKIPPED", "DONE"]
    assert kept.moves[0].detail == "the task is protected"


@pytest.mark.parametrize(
    ("configuration", "why"),
    [({"minimumHealthyPercent": 50, "maximumPercent": 100}, "its maximumPercent leaves no room to start a task before another is stopped")],
)
async def test_services_that_cannot_be_moved_are_left_with_the_reason(world: World, configuration: dict[str, int], why: str) -> None:
    await world.ecs("UpdateService", service="site", deploymentConfiguration=configuration)
    await world.settle()
    planned = await operations.plan_rebalance(world.ecs.call, shapes.PlanRebalanceRequest())
    assert [one.left_because for one in planned.services] == [why]


async def test_a_service_of_several_capacity_providers_is_left_alone(world: World) -> None:
    for name in ("od", "spot"):
        await world.ecs("CreateCapacityProvider", name=name, autoScalingGroupProvider={"autoScalingGroupArn": name})
    both = {"capacityProviders": ["od", "spot"], "defaultCapacityProviderStrategy": []}
    await world.ecs("PutClusterCapacityProviders", cluster="default", **both)
    strategy = [{"capacityProvider": "od", "weight": 1}, {"capacityProvider": "spot", "weight": 1}]
    await world.ecs("UpdateService", service="site", capacityProviderStrategy=strategy)
    planned = await operations.plan_rebalance(world.ecs.call, shapes.PlanRebalanceRequest())
    assert [one.left_because for one in planned.services] == ["its capacity provider strategy shares its tasks out"]


async def test_tasks_of_one_capacity_provider_stay_with_it(world: World) -> None:
    await world.ecs("CreateCapacityProvider", name="own", autoScalingGroupProvider={"autoScalingGroupArn": "own"})
    one = {"capacityProviders": ["own"], "defaultCapacityProviderStrategy": []}
    await world.ecs("PutClusterCapacityProviders", cluster="default", **one)
    other = await world.ecs.instance(3, zone=ZONES[1])
    first = world.running()[0].container_instance_arn
    (second,) = [arn for arn in (await world.ecs("ListContainerInstances"))["containerInstanceArns"] if arn not in (first, other)]

    async def belongs(arn: str) -> None:
        await world.ecs("PutAttributes", attributes=[{"name": "longshore.capacity-provider", "value": "own", "targetId": arn}])

    await belongs(first)
    await world.ecs("UpdateService", service="site", capacityProviderStrategy=[{"capacityProvider": "own", "weight": 1}])
    await world.settle()
    assert world.zones() == [ZONES[0]] * 4
    await belongs(second)
    await start(world)
    await world.settle()
    assert sorted(task.container_instance_arn for task in world.running()) == sorted([first, first, second, second])
    assert {task.spec.capacity_provider for task in world.running()} == {"own"}


async def test_a_successor_that_ends_leaves_its_task_where_it_is(world: World) -> None:
    begun = await start(world, max_moves=1)
    await world.rebalances.reconcile(begun.rebalance_arn)
    (new,) = [task for task in world.running() if task.spec.in_place_of]
    await world.ecs.report(new.arn, "STOPPED")
    await world.settle()
    kept = world.store.get(REBALANCES, begun.rebalance_arn)
    assert kept is not None and [move.status for move in kept.moves] == ["FAILED"]
    assert world.zones() == [ZONES[0]] * 4


async def test_a_move_that_its_service_has_no_room_for_any_more_is_skipped(world: World) -> None:
    begun = await start(world)
    await world.ecs("UpdateService", service="site", deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 100})
    await world.settle()
    kept = world.store.get(REBALANCES, begun.rebalance_arn)
    assert kept is not None and kept.status == "SUCCEEDED" and [move.status for move in kept.moves] == ["SKIPPED", "SKIPPED"]
    assert "maximumPercent" in kept.moves[0].detail


async def test_only_tasks_of_its_moves_and_services_wake_it(world: World) -> None:
    await world.ecs("RunTask", taskDefinition="web", count=1)
    begun = await start(world)
    (wakes,) = [watched.keys for watched in world.rebalances.watches if watched.kind is TASKS]

    def woken(task: Task) -> list[str]:
        return list(wakes(Change(kind=TASKS, key=task.arn, old=task, new=task)))

    (stranger,) = [task for task in world.store.list(TASKS) if not task.spec.service_arn]
    of_service = [task for task in world.store.list(TASKS) if task.spec.service_arn]
    assert woken(stranger) == []
    assert all(woken(task) == [begun.rebalance_arn] for task in of_service)


async def test_a_look_that_changes_nothing_opens_no_transaction(world: World) -> None:
    begun = await start(world)
    await world.rebalances.reconcile(begun.rebalance_arn)
    counting = Counting(world.store)
    again = Rebalances(counting, world.ecs.call.clock, world.ecs.call.ids, SITE)
    assert await again.reconcile(begun.rebalance_arn) is not None
    assert counting.transactions == 0
