"""A host port that was a dead task's: whoever has it next is reached only when nobody is on the way to the dead one any more."""

from __future__ import annotations

from msgspec.structs import replace

from longshore.control.targets.controller import LOOK_AGAIN_S
from longshore.services.ecs.model import NetworkBinding, Task
from longshore.services.elbv2 import model as elbv2
from tests.scenarios.stage import GROUP, Stage, staged

PORT = 40_000
OTHER_GROUP = GROUP.replace("/web/", "/other/")


async def run_at(stage: Stage, task: Task, port: int) -> None:
    container = replace(task.status.containers[0], last_status="RUNNING", network_bindings=(NetworkBinding(80, port),))
    await stage.write_task(task, last_status="RUNNING", started_at=stage.clock.now(), containers=(container,))
    await stage.settle()


def rows(stage: Stage) -> list[tuple[str, int, bool, str]]:
    return [
        (row.target_group_arn, row.port, row.deregistered_at is not None, row.owner)
        for row in sorted(stage.store.list(elbv2.TARGETS), key=elbv2.TARGETS.key)
    ]


async def test_the_next_task_at_a_port_is_registered_when_the_row_of_the_dead_one_is_gone() -> None:
    async with staged() as stage:
        await stage.instance(1, "a")
        await stage.service(await stage.definition(1), 1, balanced=True)
        await stage.settle()
        (old,) = stage.tasks("PENDING")
        await run_at(stage, old, PORT)
        await stage.balance()
        (old,) = stage.tasks("RUNNING")
        await stage.end(old)
        (new,) = stage.tasks("PENDING")
        await run_at(stage, new, PORT)
        assert rows(stage) == [(GROUP, PORT, True, old.arn)], "connections of the dead task are never the next one's"
        await stage.balance()
        assert rows(stage) == [(GROUP, PORT, False, new.arn)]
        assert stage.store.list(elbv2.TARGETS)[0].health.state == "initial"


async def test_a_row_of_another_service_is_waited_for_too() -> None:
    async with staged() as stage:
        await stage.instance(1, "a")
        dead = f"{(await stage.standalone(await stage.definition(2), 1))[:-1]}9"
        group = elbv2.TargetGroup(OTHER_GROUP, "other", "HTTP", 80, "vpc-1", "ip", stage.clock.now())
        row = elbv2.Target(OTHER_GROUP, "127.0.1.1", PORT, 0.0, "127.0.1.1", deregistered_at=1.0, owner=dead)
        await stage.store.transact(lambda tx: (tx.put(elbv2.TARGET_GROUPS, group), tx.put(elbv2.TARGETS, row)))
        await stage.service(await stage.definition(1), 1, balanced=True)
        await stage.settle()
        (task,) = stage.tasks("PENDING")
        await run_at(stage, task, PORT)
        assert rows(stage) == [(OTHER_GROUP, PORT, True, dead)]
        await stage.store.transact(lambda tx: tx.delete(elbv2.TARGETS, elbv2.TARGETS.key(row)))
        await stage.step(LOOK_AGAIN_S)
        assert rows(stage) == [(GROUP, PORT, False, task.arn)]


async def test_what_somebody_registered_by_hand_keeps_nobody_waiting() -> None:
    async with staged() as stage:
        await stage.instance(1, "a")
        group = elbv2.TargetGroup(OTHER_GROUP, "other", "HTTP", 80, "vpc-1", "ip", stage.clock.now())
        row = elbv2.Target(OTHER_GROUP, "127.0.1.1", PORT, 0.0, "127.0.1.1")
        await stage.store.transact(lambda tx: (tx.put(elbv2.TARGET_GROUPS, group), tx.put(elbv2.TARGETS, row)))
        await stage.service(await stage.definition(1), 1, balanced=True)
        await stage.settle()
        (task,) = stage.tasks("PENDING")
        await run_at(stage, task, PORT)
        assert (GROUP, PORT, False, task.arn) in rows(stage)
