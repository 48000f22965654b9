"""Protected tasks: what leaves them alone, and what does not."""

from __future__ import annotations

from msgspec.structs import replace

from longshore.services.ecs import model as ecs
from tests.scenarios.stage import Stage, staged


async def protected_service(stage: Stage, desired: int, *, protect: int) -> list[ecs.Task]:
    """The protected tasks of a settled service."""
    for number, zone in enumerate("aab", 1):
        await stage.instance(number, zone)
    await stage.service(await stage.definition(1), desired)
    await stage.settle()
    await stage.run_pending()
    await stage.step(41)
    chosen = stage.tasks("RUNNING")[:protect]
    for task in chosen:
        await stage.protect(task, 60)
    return chosen


def still_runs(stage: Stage, task: ecs.Task) -> bool:
    found = stage.store.get(ecs.TASKS, task.arn)
    return found is not None and found.stop is None


async def test_scale_in_takes_others_and_waits_for_the_protected_until_their_protection_ends() -> None:
    async with staged() as stage:
        kept = await protected_service(stage, 4, protect=2)
        await stage.change(lambda spec: replace(spec, desired_count=1))
        await stage.settle()
        await stage.stop_stopping()
        assert sorted(task.arn for task in stage.tasks("RUNNING")) == sorted(task.arn for task in kept)
        assert stage.events()[-1] == (
            "(service web) was unable to reach steady state because (taskSet d1) was unable to scale in "
            "due to (reason 1 tasks under protection)"
        )
        await stage.step(3600)
        assert len(stage.tasks("STOPPING")) == 1
        await stage.stop_stopping()
        assert stage.events()[-1] == "(service web) has reached a steady state."


async def test_a_deployment_leaves_protected_tasks_and_completes_after_their_protection() -> None:
    async with staged() as stage:
        (kept,) = await protected_service(stage, 2, protect=1)
        await stage.deploy(await stage.definition(2), 2)
        await stage.settle()
        for _ in range(3):
            await stage.run_pending()
            await stage.step(41)
            await stage.stop_stopping()
        assert still_runs(stage, kept)
        assert [task.spec.deployment_id[-1] for task in stage.tasks("RUNNING")].count("2") == 2
        assert not any("deployment completed" in line and "d2" in line for line in stage.events())
        assert "1 tasks under protection" in stage.events()[-1]
        await stage.step(3600)
        await stage.stop_stopping()
        assert not still_runs(stage, kept)
        assert stage.events()[-2] == "(service web) (deployment d2) deployment completed."


async def test_a_drain_waits_for_protected_tasks() -> None:
    async with staged() as stage:
        protected = await protected_service(stage, 3, protect=3)
        where = int(protected[0].container_instance_arn[-4:], 16)
        await stage.drain(where)
        await stage.run_pending()
        await stage.step(41)
        assert all(still_runs(stage, task) for task in protected)
        await stage.step(3600)
        await stage.stop_stopping()
        assert not still_runs(stage, protected[0])


async def test_deleting_the_service_ends_them_all_the_same() -> None:
    async with staged() as stage:
        kept = await protected_service(stage, 2, protect=2)
        await stage.change(lambda spec: replace(spec, deleted=True, desired_count=0))
        await stage.settle()
        assert not any(still_runs(stage, task) for task in kept)
