"""Instances that are drained, that are lost and that come back, as the event logs of the services on them tell it."""

from __future__ import annotations

from collections import Counter

from msgspec.structs import replace

from longshore.services.ecs import model as ecs
from longshore.services.ecs.rollout import model as rollout
from longshore.services.elbv2 import model as elbv2
from tests.scenarios.stage import SERVICE, Stage, instance_arn, staged


async def settled_service(stage: Stage, desired: int, *, instances: str = "aab", balanced: bool = False, **spec: object) -> None:
    for number, zone in enumerate(instances, 1):
        await stage.instance(number, zone)
    await stage.service(await stage.definition(1), desired, balanced=balanced, **spec)
    await stage.settle()
    await stage.run_pending()
    if balanced:
        await stage.balance()
    await stage.step(41)


def running(stage: Stage, on: int) -> int:
    return len(stage.tasks("RUNNING", on=on))


async def turn(stage: Stage) -> None:
    """Agents do what they were told, and the new tasks have run for a while."""
    await stage.run_pending()
    await stage.step(41)
    await stage.stop_stopping()


async def test_a_drain_starts_replacements_first_and_stops_a_task_only_when_they_serve() -> None:
    async with staged() as stage:
        await settled_service(stage, 3)
        said = len(stage.events())
        await stage.drain(1)
        assert running(stage, 1) == 1, "nothing stops before its replacement serves"
        (replacement,) = stage.tasks("PENDING")
        assert replacement.container_instance_arn != instance_arn(1)
        await stage.run_pending()
        assert running(stage, 1) == 1
        await stage.step(41)
        (leaving,) = stage.tasks("STOPPING")
        assert leaving.stop is not None
        assert leaving.stop.code == "ServiceSchedulerInitiated"
        assert "container instance is in DRAINING state" in leaving.stop.reason
        await stage.stop_stopping()
        assert (running(stage, 1), len(stage.tasks("RUNNING"))) == (0, 3)
        assert stage.events()[said:] == [
            "(service web) has started 1 tasks: (task t4).",
            f"(service web) has stopped 1 running tasks: (task t{1 + stage.tasks().index(stage.tasks('STOPPED')[0])}).",
            "(service web) has reached a steady state.",
        ]


async def test_a_low_floor_lets_the_drain_stop_tasks_first() -> None:
    async with staged() as stage:
        await settled_service(stage, 4, instances="a", minimum_healthy_percent=50, maximum_percent=100)
        await stage.instance(2, "b")
        await stage.drain(1)
        assert (len(stage.tasks("STOPPING")), len(stage.tasks("PENDING", on=2))) == (2, 2)
        await turn(stage)
        assert (running(stage, 1), running(stage, 2), len(stage.tasks("STOPPED"))) == (0, 2, 4)
        assert len(stage.tasks("PENDING", on=2)) == 2


async def test_rails_that_leave_no_room_are_told_once_and_nothing_stops() -> None:
    async with staged() as stage:
        await settled_service(stage, 1, minimum_healthy_percent=100, maximum_percent=150)
        where = next(number for number in (1, 2, 3) if running(stage, number))
        await stage.drain(where)
        for _ in range(3):
            await stage.step(400)
        assert running(stage, where) == 1
        told = [line for line in stage.events() if "Update the minimumHealthyPercent or maximumPercent value" in line]
        assert len(told) == 1
        await stage.step(6 * 3600)
        await stage.step(400)
        assert len([line for line in stage.events() if "Update the minimumHealthyPercent" in line]) == 2, "said again after six hours"


async def test_what_only_starts_on_a_drained_instance_goes_at_once() -> None:
    async with staged() as stage:
        await stage.instance(1, "a")
        await stage.service(await stage.definition(1), 2)
        await stage.settle()
        await stage.instance(2, "b")
        await stage.drain(1)
        assert Counter(task.last_status for task in stage.tasks(on=1)) == {"STOPPING": 2}
        assert Counter(task.last_status for task in stage.tasks(on=2)) == {"PENDING": 2}
        assert "(service web) stopped 2 pending tasks." in stage.events()


async def test_standalone_tasks_stay_where_they_are() -> None:
    async with staged() as stage:
        await settled_service(stage, 2)
        own = await stage.standalone(await stage.definition(7), 1)
        await stage.drain(1)
        await turn(stage)
        task = stage.store.get(ecs.TASKS, own)
        assert task is not None
        assert (task.stop, [one.arn for one in stage.tasks("RUNNING", on=1)]) == (None, [own])


async def test_traffic_leaves_a_drained_task_before_it_is_stopped() -> None:
    async with staged() as stage:
        await settled_service(stage, 2, instances="ab", balanced=True)
        await stage.instance(3, "a")
        await stage.drain(1)
        await stage.run_pending()
        assert not stage.tasks("DEACTIVATING"), "the replacement is not healthy yet"
        await stage.balance()
        (leaving,) = stage.tasks("DEACTIVATING")
        rows = stage.store.list(elbv2.TARGETS, "owner", leaving.arn)
        assert [row.deregistered_at is not None for row in rows] == [True]
        assert [row.deregistered_at is None for row in stage.store.list(elbv2.TARGETS)].count(True) == 2
        await stage.balance()
        assert [task.arn for task in stage.tasks("STOPPING")] == [leaving.arn]


async def test_an_instance_that_is_active_again_keeps_what_it_still_has() -> None:
    async with staged() as stage:
        await settled_service(stage, 3, instances="ab", maximum_percent=150)
        before = running(stage, 1)
        await stage.drain(1)
        await stage.change_instance(1, status="ACTIVE")
        assert running(stage, 1) == before
        await turn(stage)
        await turn(stage)
        assert len(stage.tasks("RUNNING")) == 3
        assert not stage.tasks("STOPPING")
        assert not stage.tasks("PENDING")


async def test_every_service_on_the_instance_is_drained_by_its_own_rules() -> None:
    async with staged() as stage:
        await settled_service(stage, 2, instances="a")
        await stage.service(await stage.definition(1), 2, name="api", minimum_healthy_percent=0, maximum_percent=100)
        await stage.settle()
        await stage.run_pending()
        await stage.step(41)
        await stage.instance(2, "b")
        await stage.drain(1)
        assert Counter(task.last_status for task in stage.tasks(of="web")) == {"RUNNING": 2, "PENDING": 2}
        assert Counter(task.last_status for task in stage.tasks(of="api")) == {"STOPPING": 2, "PENDING": 2}
        await turn(stage)
        await turn(stage)
        assert running(stage, 1) == 0
        assert running(stage, 2) == 4


async def test_a_deployment_and_a_drain_end_together() -> None:
    async with staged() as stage:
        await settled_service(stage, 4, instances="ab")
        await stage.instance(3, "a")
        await stage.deploy(await stage.definition(2), 2)
        await stage.drain(1)
        for _ in range(4):
            await turn(stage)
        assert {task.spec.task_definition_arn[-1] for task in stage.tasks("RUNNING")} == {"2"}
        assert (running(stage, 1), len(stage.tasks("RUNNING"))) == (0, 4)
        assert stage.events()[-1] == "(service web) has reached a steady state."


# ── lost instances ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_disconnected_agent_keeps_its_tasks_until_the_instance_counts_as_lost() -> None:
    async with staged() as stage:
        await settled_service(stage, 3)
        said = len(stage.events())
        await stage.cut_off(1)
        await stage.step(599)
        assert (running(stage, 1), len(stage.tasks())) == (1, 3)
        await stage.step(1)
        (lost,) = stage.tasks(on=1)
        assert lost.stop is not None
        assert lost.stop.reason == "Host EC2 (instance i-00000000000000001) lost: its agent is disconnected"
        await stage.run_pending()
        assert len(stage.tasks("RUNNING")) == 3
        await stage.step(41)
        assert stage.events()[said].startswith("(service web) has stopped 1 running tasks")
        assert stage.events()[said + 1].startswith("(service web) has started 1 tasks")
        assert stage.events()[-1] == "(service web) has reached a steady state.", "nobody waits for an agent that is not there"


async def test_an_agent_that_comes_back_stops_what_was_replaced_and_is_used_again() -> None:
    async with staged() as stage:
        await settled_service(stage, 3)
        await stage.cut_off(1)
        await stage.step(601)
        await stage.run_pending()
        await stage.step(41)
        await stage.come_back(1)
        row = stage.store.get(ecs.CONTAINER_INSTANCES, instance_arn(1))
        assert row is not None
        assert row.lost_at is None
        assert [task.last_status for task in stage.tasks(on=1)] == ["STOPPING"]
        await stage.stop_stopping()
        assert (len(stage.tasks("RUNNING")), len(stage.tasks("STOPPED"))) == (3, 1)


async def test_a_short_absence_changes_nothing() -> None:
    async with staged() as stage:
        await settled_service(stage, 3)
        await stage.cut_off(1)
        await stage.step(300)
        await stage.come_back(1)
        await stage.step(1000)
        assert (len(stage.tasks("RUNNING")), len(stage.tasks())) == (3, 3)


async def test_a_lost_task_that_its_load_balancer_still_finds_healthy_goes_start_first() -> None:
    async with staged() as stage:
        await settled_service(stage, 2, instances="ab", balanced=True)
        await stage.instance(3, "b")
        await stage.cut_off(1)
        await stage.step(601)
        assert running(stage, 1) == 1, "it serves, whatever has become of its agent"
        await stage.run_pending()
        await stage.balance()
        assert [task.last_status for task in stage.tasks(on=1)] == ["DEACTIVATING"]


async def test_a_lost_zone_is_made_up_for_in_the_other() -> None:
    async with staged() as stage:
        await settled_service(stage, 4, instances="abab", availability_zone_rebalancing="ENABLED")
        said = len(stage.events())
        for number in (1, 3):
            await stage.cut_off(number)
        await stage.step(601)
        await turn(stage)
        assert Counter(task.availability_zone for task in stage.tasks("RUNNING")) == {"us-east-1b": 4}
        for number in (1, 3):
            await stage.come_back(number)
        await stage.stop_stopping()
        for _ in range(4):
            await turn(stage)
        assert Counter(task.availability_zone for task in stage.tasks("RUNNING")) == {"us-east-1a": 2, "us-east-1b": 2}
        assert stage.events()[said:] == [
            "(service web) has stopped 1 running tasks: (task t2).",
            "(service web) has started 1 tasks: (task t5).",
            "(service web) has stopped 1 running tasks: (task t3).",
            "(service web) has started 1 tasks: (task t6).",
            "(service web) has reached a steady state.",
            "(service web) is not AZ balanced with 4 tasks in us-east-1b, 0 tasks in us-east-1a. AZ Rebalancing in progress.",
            "(service web) has started 2 tasks in us-east-1a to AZ Rebalance: (task t8) (task t7).",
            "(service web) has stopped 2 running tasks in us-east-1b due to AZ rebalancing: (task t5) (task t6).",
            "(service web) has reached a steady state.",
            "(service web) is AZ balanced with 2 tasks in us-east-1a, 2 tasks in us-east-1b.",
        ]


async def test_tasks_of_nobodys_service_are_left_on_a_lost_instance() -> None:
    async with staged() as stage:
        await settled_service(stage, 1)
        own = await stage.standalone(await stage.definition(7), 2)
        await stage.cut_off(2)
        await stage.step(700)
        task = stage.store.get(ecs.TASKS, own)
        assert task is not None
        assert task.stop is None


async def test_deleting_a_service_does_not_wait_for_a_lost_instance() -> None:
    async with staged() as stage:
        await settled_service(stage, 3)
        await stage.cut_off(1)
        await stage.step(601)
        await stage.change(lambda spec: replace(spec, deleted=True, desired_count=0))
        await stage.settle()
        await stage.stop_stopping()
        service = stage.store.get(rollout.SERVICES, SERVICE)
        assert service is not None
        assert service.status == "INACTIVE"
