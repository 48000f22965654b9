"""Whole lives of services, told by their event logs."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.control.deployments.controller import pause_after_nothing_s
from longshore.services.ecs import model as ecs
from longshore.services.ecs.rollout import model as rollout
from longshore.services.elbv2 import model as elbv2
from tests.scenarios.stage import CLUSTER, SERVICE, Stage, staged


async def two_zones(stage: Stage) -> None:
    for number, zone in ((1, "a"), (2, "b"), (3, "a")):
        await stage.instance(number, zone)


async def running_service(stage: Stage, desired: int = 3, *, balanced: bool = False, **spec: object) -> None:
    await two_zones(stage)
    await stage.service(await stage.definition(1), desired, balanced=balanced, **spec)
    await stage.settle()
    await stage.run_pending()
    if balanced:
        await stage.balance()


async def test_a_new_service_spreads_over_zones_and_becomes_steady() -> None:
    async with staged() as stage:
        await running_service(stage)
        assert Counter(task.availability_zone for task in stage.tasks("RUNNING")) in (
            {"us-east-1a": 2, "us-east-1b": 1},
            {"us-east-1a": 1, "us-east-1b": 2},
        )
        assert stage.events()[0].startswith("(service web) has started 3 tasks: (task t")
        assert stage.events()[1:] == [], "what runs since a moment ago could still turn out to be a failed start"
        await stage.step(10)
        await stage.settle()
        assert stage.events()[1:] == [
            "(service web) (deployment d1) deployment completed.",
            "(service web) has reached a steady state.",
        ]


async def test_a_task_that_dies_is_replaced_at_once_and_the_steady_state_is_told_again() -> None:
    async with staged() as stage:
        await running_service(stage)
        await stage.step(60)
        await stage.end(stage.tasks("RUNNING")[0])
        assert len(stage.tasks("PENDING")) == 1
        await stage.run_pending()
        assert len(stage.tasks("RUNNING")) == 3
        assert stage.events()[-1] == "(service web) has reached a steady state."


async def test_a_rollout_keeps_the_floor_and_ends_with_the_new_tasks_only() -> None:
    async with staged() as stage:
        await running_service(stage)
        await stage.step(60)
        await stage.deploy(await stage.definition(2), 2)
        await stage.settle()
        await stage.run_pending()
        assert len(stage.tasks("RUNNING")) == 6, "old ones serve until the new ones have run for a while"
        await stage.step(41)
        assert {task.spec.task_definition_arn[-1] for task in stage.tasks("RUNNING")} == {"2"}
        await stage.stop_stopping()
        assert stage.events()[-2:] == [
            "(service web) (deployment d2) deployment completed.",
            "(service web) has reached a steady state.",
        ]
        deployments = stage.store.list(rollout.DEPLOYMENTS, "service", SERVICE)
        assert [(deployment.id[-1], deployment.rollout_state) for deployment in deployments] == [("2", "COMPLETED")]


async def test_traffic_leaves_before_the_task_is_stopped() -> None:
    async with staged() as stage:
        await running_service(stage, 2, balanced=True)
        assert stage.store.count(elbv2.TARGETS) == 2
        await stage.change(lambda spec: replace(spec, desired_count=1))
        await stage.settle()
        leaving = stage.tasks("DEACTIVATING")
        assert len(leaving) == 1, "no agent is told anything yet"
        assert [t.deregistered_at is not None for t in stage.store.list(elbv2.TARGETS, "owner", leaving[0].arn)] == [True]
        await stage.balance()
        assert [task.arn for task in stage.tasks("STOPPING")] == [leaving[0].arn]
        assert "(service web, taskSet d1) has begun draining connections on 1 tasks." in stage.events()
        assert "(service web) deregistered 1 targets in (target-group web)" in stage.events()


async def test_a_task_whose_container_died_leaves_its_target_group_without_waiting() -> None:
    async with staged() as stage:
        await running_service(stage, 2, balanced=True)
        await stage.end(stage.tasks("RUNNING")[0])
        assert sum(1 for target in stage.store.list(elbv2.TARGETS) if target.deregistered_at is not None) == 1


async def test_a_target_that_turns_unhealthy_gets_its_task_replaced_start_first() -> None:
    async with staged() as stage:
        await running_service(stage, 2, balanced=True)
        sick = stage.tasks("RUNNING")[0]
        row = stage.store.list(elbv2.TARGETS, "owner", sick.arn)[0]
        ill = elbv2.TargetHealth("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]")
        await stage.store.transact(lambda tx: tx.put(elbv2.TARGETS, replace(row, health=ill)))
        await stage.settle()
        assert len(stage.tasks("PENDING")) == 1
        assert not stage.tasks("DEACTIVATING"), "it stays until its replacement is there"
        sentence = "is unhealthy in (target-group web) due to (reason Health checks failed with these codes: [503])"
        assert sum(sentence in line for line in stage.events()) == 1
        await stage.run_pending()
        stopped = stage.store.get(ecs.TASKS, sick.arn)
        assert stopped is not None and stopped.stop is not None
        assert stopped.stop.reason.startswith("Task failed ELB health checks in (target-group ")


async def test_grace_protects_a_task_that_is_not_healthy_yet() -> None:
    async with staged() as stage:
        await two_zones(stage)
        await stage.service(await stage.definition(1), 1, balanced=True, health_check_grace_period_s=100)
        await stage.settle()
        await stage.run_pending()
        await stage.balance("unhealthy")
        assert len(stage.tasks()) == 1
        await stage.step(101)
        await stage.balance("unhealthy")
        assert len(stage.tasks()) == 2


async def test_without_a_place_the_service_says_why_once_and_goes_on_when_there_is_one() -> None:
    async with staged() as stage:
        await stage.instance(1, "a", memory_mib=100)
        await stage.service(await stage.definition(1, memory=64), 2)
        await stage.settle()
        await stage.run_pending()
        refusals = [line for line in stage.events() if "unable to place" in line]
        assert len(refusals) == 1
        closest = "(container-instance i00000001)"
        assert f"The closest matching {closest} has insufficient memory available." in refusals[0]
        await stage.step(65)
        assert len([line for line in stage.events() if "unable to place" in line]) == 1
        await stage.instance(2, "b")
        await stage.settle()
        assert len(stage.tasks("PENDING")) == 1


async def test_an_empty_cluster_is_named_as_the_reason() -> None:
    async with staged() as stage:
        await stage.service(await stage.definition(1), 1)
        await stage.settle()
        assert "No Container Instances were found in your cluster." in stage.events()[-1]
        assert stage.tasks() == []


async def test_a_crash_loop_slows_down_and_says_so() -> None:
    async with staged() as stage:
        await two_zones(stage)
        await stage.service(await stage.definition(1), 1)
        await stage.settle()
        ends = 0
        for _ in range(600):
            for task in stage.tasks("PENDING"):
                await stage.end(task)
                ends += 1
            await stage.step(1)
        assert 8 <= ends <= 14, "three at once, then after 1, 2, 4 … seconds"
        assert sum("unable to consistently start tasks" in line for line in stage.events()) == 1


async def test_the_circuit_breaker_rolls_back_to_what_worked() -> None:
    async with staged() as stage:
        breaker = shapes.DeploymentCircuitBreaker(enable=True, rollback=True)
        await running_service(stage, 2, circuit_breaker=breaker)
        await stage.step(60)
        await stage.deploy(await stage.definition(2), 2)
        await stage.settle()
        for _ in range(20):
            for task in stage.tasks("PENDING"):
                if task.spec.task_definition_arn.endswith(":2"):
                    await stage.end(task)
            await stage.step(5)
            if not any(task.spec.task_definition_arn.endswith(":2") for task in stage.tasks("PENDING")):
                await stage.run_pending()
                await stage.stop_stopping()
        primary = next(d for d in stage.store.list(rollout.DEPLOYMENTS, "service", SERVICE) if d.status == "PRIMARY")
        assert primary.task_definition_arn.endswith(":1")
        assert any("rolling back to" in line for line in stage.events())
        running = stage.tasks("RUNNING")
        assert [task.spec.task_definition_arn[-1] for task in running] == ["1", "1"]


async def test_a_deleted_service_drains_and_ends() -> None:
    async with staged() as stage:
        await running_service(stage)
        await stage.change(lambda spec: replace(spec, deleted=True, desired_count=0))
        await stage.settle()
        service = stage.store.get(rollout.SERVICES, SERVICE)
        assert service is not None and service.status == "DRAINING"
        await stage.stop_stopping()
        service = stage.store.get(rollout.SERVICES, SERVICE)
        assert service is not None and (service.status, service.inactive_at) == ("INACTIVE", stage.clock.now())
        assert stage.store.list(rollout.SERVICES, "cluster", CLUSTER) == []


async def test_scaling_in_keeps_the_zones_balanced() -> None:
    async with staged() as stage:
        await running_service(stage, 6)
        await stage.change(lambda spec: replace(spec, desired_count=2))
        await stage.settle()
        assert Counter(task.availability_zone for task in stage.tasks("RUNNING")) == {"us-east-1a": 1, "us-east-1b": 1}


async def test_room_that_a_stopping_task_still_takes_is_waited_for_without_a_word() -> None:
    async with staged() as stage:
        await stage.instance(1, "a", memory_mib=100)
        await stage.service(await stage.definition(1, memory=64), 1, minimum_healthy_percent=0, maximum_percent=100)
        await stage.settle()
        await stage.run_pending()
        await stage.deploy(await stage.definition(2, memory=64), 2)
        await stage.settle()
        assert len(stage.tasks("STOPPING")) == 1
        await stage.stop_stopping()
        assert len(stage.tasks("PENDING")) == 1
        await stage.run_pending()
        assert not any("unable to place" in line for line in stage.events())
        await stage.change(lambda spec: replace(spec, desired_count=2))
        await stage.settle()
        assert sum("unable to place" in line for line in stage.events()) == 1, "and where nothing stops it is said at once"


async def test_a_large_service_is_looked_at_less_often_and_misses_nothing() -> None:
    assert (pause_after_nothing_s(250), pause_after_nothing_s(5000)) == (0.0, 0.5)
    async with staged() as stage:
        await stage.instance(1, "a", memory_mib=64 * 400)
        await stage.service(await stage.definition(1), 300)
        await stage.settle()
        await stage.step(1)
        assert len(stage.tasks("PENDING")) == 300
        await stage.run_pending()
        await stage.step(10)
        await stage.step(1)
        assert stage.events()[-1] == "(service web) has reached a steady state."
        await stage.end(stage.tasks("RUNNING")[0])
        await stage.step(1)
        assert len(stage.tasks("PENDING")) == 1


async def test_scale_in_mirrors_the_services_own_strategy() -> None:
    async with staged() as stage:
        for number, zone in ((1, "a"), (2, "a"), (3, "b")):
            await stage.instance(number, zone)
            await stage.change_instance(number, attributes=(ecs.Attribute("rack", "left" if number < 3 else "right"),))
        racks = (shapes.PlacementStrategy(type="spread", field="attribute:rack"),)
        await stage.service(await stage.definition(1), 6, placement_strategy=racks)
        await stage.settle()
        await stage.run_pending()
        assert len(stage.tasks(on=3)) == 3
        await stage.change(lambda spec: replace(spec, desired_count=2))
        await stage.settle()
        assert len(stage.tasks("RUNNING", on=3)) == 1
        assert len(stage.tasks("RUNNING", on=1)) + len(stage.tasks("RUNNING", on=2)) == 1


async def test_scale_in_empties_an_instance_where_tasks_are_packed() -> None:
    async with staged() as stage:
        await stage.instance(1, "a", memory_mib=256)
        await stage.instance(2, "a", memory_mib=256)
        packed = (shapes.PlacementStrategy(type="binpack", field="memory"),)
        await stage.service(await stage.definition(1, memory=64), 6, placement_strategy=packed)
        await stage.settle()
        await stage.run_pending()
        assert sorted(len(stage.tasks("RUNNING", on=number)) for number in (1, 2)) == [2, 4]
        await stage.change(lambda spec: replace(spec, desired_count=4))
        await stage.settle()
        assert sorted(len(stage.tasks("RUNNING", on=number)) for number in (1, 2)) == [0, 4]
