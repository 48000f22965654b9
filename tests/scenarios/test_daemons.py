"""DAEMON services: one task per instance, whatever becomes of the instances."""

from __future__ import annotations

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs import model as ecs
from longshore.services.ecs.rollout.model import SERVICES
from longshore.services.ecs.service_views import service_view
from tests.scenarios.stage import Stage, service_arn, staged


async def daemon(stage: Stage, *, instances: int = 3, rails: tuple[int, int] = (0, 100), **spec: object) -> None:
    for number in range(1, instances + 1):
        await stage.instance(number, "abc"[number % 3])
    wanted = {"scheduling_strategy": "DAEMON", "minimum_healthy_percent": rails[0], "maximum_percent": rails[1], **spec}
    await stage.service(await stage.definition(1), 0, **wanted)
    await stage.settle()
    await stage.run_pending()
    await stage.step(41)


def per_instance(stage: Stage, *, of: str = "web") -> list[int]:
    rows = sorted(stage.store.list(ecs.CONTAINER_INSTANCES), key=lambda row: row.arn)
    wanted = [task for task in stage.tasks(of=of) if task.desired_status == "RUNNING"]
    return [sum(1 for task in wanted if task.container_instance_arn == row.arn) for row in rows]


def desired(stage: Stage) -> int | None:
    service = stage.store.get(SERVICES, service_arn("web"))
    assert service is not None
    return service_view(stage.store, service, with_tags=False).desired_count


async def test_every_instance_has_one_and_so_has_every_new_one() -> None:
    async with staged() as stage:
        await daemon(stage)
        assert (per_instance(stage), desired(stage)) == ([1, 1, 1], 3)
        assert stage.events()[-1] == "(service web) has reached a steady state."
        await stage.instance(4, "a")
        await stage.settle()
        assert (per_instance(stage), desired(stage)) == ([1, 1, 1, 1], 4)
        await stage.run_pending()
        assert stage.events()[-1] == "(service web) has reached a steady state."


async def test_constraints_choose_the_instances() -> None:
    async with staged() as stage:
        blue = shapes.PlacementConstraint(type="memberOf", expression="attribute:colour == blue")
        await daemon(stage, placement_constraints=(blue,))
        assert per_instance(stage) == [0, 0, 0]
        await stage.change_instance(2, attributes=(ecs.Attribute("colour", "blue"),))
        assert (per_instance(stage), desired(stage)) == ([0, 1, 0], 1)
        await stage.run_pending()
        await stage.change_instance(2, attributes=())
        assert per_instance(stage) == [0, 0, 0]


async def test_a_daemon_that_dies_is_started_again_where_it_was() -> None:
    async with staged() as stage:
        await daemon(stage)
        (task,) = stage.tasks("RUNNING", on=2)
        await stage.end(task)
        assert per_instance(stage) == [1, 1, 1]


async def test_a_drained_instance_loses_its_daemon_last() -> None:
    async with staged() as stage:
        await daemon(stage)
        await stage.service(await stage.definition(1), 3, name="api")
        await stage.settle()
        await stage.run_pending()
        await stage.step(41)
        await stage.drain(1)
        assert (per_instance(stage), per_instance(stage, of="api")[0]) == ([1, 1, 1], 1)
        await stage.run_pending()
        await stage.step(41)
        assert (per_instance(stage), per_instance(stage, of="api")[0]) == ([1, 1, 1], 0), "the other task is only stopping"
        await stage.stop_stopping()
        assert per_instance(stage) == [0, 1, 1]
        last = next(task for task in stage.tasks(on=1, of="web"))
        assert last.stop is not None
        assert "container instance is in DRAINING state" in last.stop.reason
        assert desired(stage) == 2
        await stage.change_instance(1, status="ACTIVE")
        await stage.stop_stopping()
        assert per_instance(stage) == [1, 1, 1]


async def test_an_update_stops_and_starts_within_the_floor() -> None:
    async with staged() as stage:
        await daemon(stage, instances=4, rails=(50, 100))
        await stage.deploy(await stage.definition(2), 2)
        await stage.settle()
        assert (len(stage.tasks("STOPPING")), len(stage.tasks("RUNNING")), len(stage.tasks("PENDING"))) == (2, 2, 0)
        await stage.stop_stopping()
        assert len(stage.tasks("PENDING")) == 2
        await stage.run_pending()
        assert len(stage.tasks("STOPPING")) == 0, "the new ones have not run for long enough"
        await stage.step(41)
        assert len(stage.tasks("STOPPING")) == 2
        await stage.stop_stopping()
        await stage.run_pending()
        await stage.step(41)
        assert {task.spec.task_definition_arn[-1] for task in stage.tasks("RUNNING")} == {"2"}
        assert stage.events()[-2:] == ["(service web) (deployment d2) deployment completed.", "(service web) has reached a steady state."]


async def test_an_update_with_room_starts_first() -> None:
    async with staged() as stage:
        await daemon(stage, instances=2, rails=(100, 200))
        await stage.deploy(await stage.definition(2), 2)
        await stage.settle()
        assert (len(stage.tasks("RUNNING")), len(stage.tasks("PENDING"))) == (2, 2)
        assert sorted(task.container_instance_arn for task in stage.tasks("PENDING")) == sorted(
            task.container_instance_arn for task in stage.tasks("RUNNING")
        )
        await stage.run_pending()
        await stage.step(41)
        await stage.stop_stopping()
        assert {task.spec.task_definition_arn[-1] for task in stage.tasks("RUNNING")} == {"2"}
        assert per_instance(stage) == [1, 1]


async def test_an_instance_without_room_hinders_no_other_and_is_named() -> None:
    async with staged() as stage:
        await stage.instance(4, "a", memory_mib=10)
        await daemon(stage)
        assert per_instance(stage) == [1, 1, 1, 0]
        (refusal,) = [line for line in stage.events() if "unable to place" in line]
        assert "(container-instance i00000004) has insufficient memory available." in refusal


async def test_a_daemon_on_a_lost_instance_is_neither_replaced_nor_missed() -> None:
    async with staged() as stage:
        await daemon(stage)
        await stage.cut_off(1)
        await stage.step(700)
        assert per_instance(stage) == [1, 1, 1]
        await stage.instance(5, "b")
        await stage.settle()
        await stage.run_pending()
        assert per_instance(stage) == [1, 1, 1, 1]


async def test_on_a_new_instance_the_daemon_comes_before_whoever_waits_for_room() -> None:
    async with staged() as stage:
        await daemon(stage, instances=1)
        await stage.service(await stage.definition(3, memory=8000), 3, name="big")
        await stage.settle()
        await stage.instance(2, "b", memory_mib=8050)
        await stage.settle()
        assert per_instance(stage) == [1, 1]
        assert per_instance(stage, of="big") == [1, 0], "what is left there is too little"
