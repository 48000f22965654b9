"""Tasks that keep failing: how the scheduler slows down, gives up, goes back, and says so."""

from __future__ import annotations

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs import model as ecs
from longshore.services.ecs.rollout import model as rollout
from longshore.services.ecs.service_views import service_view
from longshore.services.elbv2 import model as elbv2
from tests.scenarios.stage import SERVICE, Stage, staged

ROLL_BACK = shapes.DeploymentCircuitBreaker(enable=True, rollback=True)
ONLY_FAIL = shapes.DeploymentCircuitBreaker(enable=True, rollback=False)


async def two_instances(stage: Stage) -> None:
    for number, zone in enumerate("ab", 1):
        await stage.instance(number, zone)


async def running_service(stage: Stage, desired: int, *, balanced: bool = False, **spec: object) -> None:
    await two_instances(stage)
    await stage.service(await stage.definition(1), desired, balanced=balanced, **spec)
    await stage.settle()
    await stage.run_pending()
    if balanced:
        await stage.balance()
    await stage.step(60)


async def fail_new(stage: Stage, number: int) -> int:
    """Every task of that deployment that only starts ends by itself; how many did."""
    failing = [task for task in stage.tasks("PENDING") if task.spec.deployment_id.endswith(str(number))]
    for task in failing:
        await stage.end(task)
    return len(failing)


def primary(stage: Stage) -> rollout.Deployment:
    return next(one for one in stage.store.list(rollout.DEPLOYMENTS, "service", SERVICE) if one.status == "PRIMARY")


async def test_the_waits_stay_long_though_stopped_tasks_are_forgotten() -> None:
    async with staged() as stage:
        await two_instances(stage)
        await stage.service(await stage.definition(1), 1)
        await stage.settle()
        ends: list[float] = []
        for _ in range(4 * 60):
            for task in stage.tasks("PENDING"):
                await stage.end(task)
                ends.append(stage.clock.now())
            old = [task for task in stage.tasks("STOPPED") if stage.clock.now() - (task.status.stopped_at or 0) > 3600]
            await stage.store.transact(lambda tx, old=old: [tx.delete(ecs.TASKS, task.arn) for task in old])
            await stage.step(60)
        late = [at for at in ends if at > ends[0] + 2 * 3600]
        assert len(late) <= 8, "one try in a quarter of an hour"
        assert primary(stage).tally.failed_starts == len(ends)


async def test_a_new_deployment_is_tried_at_once_whatever_became_of_the_one_before() -> None:
    async with staged() as stage:
        await two_instances(stage)
        await stage.service(await stage.definition(1), 2)
        await stage.settle()
        for _ in range(60):
            await fail_new(stage, 1)
            await stage.step(10)
        assert not stage.tasks("PENDING")
        await stage.deploy(await stage.definition(2), 2)
        await stage.settle()
        assert len(stage.tasks("PENDING")) == 2


async def test_tasks_that_end_a_moment_after_they_run_complete_no_deployment() -> None:
    """Nothing checks them: for that moment all that are wanted are RUNNING."""
    async with staged() as stage:
        await two_instances(stage)
        await stage.service(await stage.definition(1), 2, circuit_breaker=ROLL_BACK)
        for _ in range(6):
            await stage.settle()
            await stage.run_pending()
            await stage.step(1)
            for task in stage.tasks("RUNNING"):
                await stage.end(task)
            await stage.step(8)
        assert any("(deployment d1) deployment failed" in line for line in stage.events()), "\n".join(stage.events())
        assert not any("completed" in line or "steady" in line for line in stage.events())
        assert primary(stage).rollout_state == "FAILED"


async def test_the_circuit_breaker_tells_its_story() -> None:
    async with staged() as stage:
        await running_service(stage, 2, circuit_breaker=ROLL_BACK)
        said = len(stage.events())
        await stage.deploy(await stage.definition(2), 2)
        await stage.settle()
        failed = 0
        while not any(one.status == "PRIMARY" and one.rolls_back for one in stage.store.list(rollout.DEPLOYMENTS, "service", SERVICE)):
            failed += await fail_new(stage, 2)
            await stage.step(5)
            assert failed < 20
        assert 3 <= failed <= 4
        back = primary(stage)
        assert back.task_definition_arn.endswith(":1")
        assert back.rollout_state_reason == "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/0000000000000000001."
        (broken,) = [one for one in stage.store.list(rollout.DEPLOYMENTS) if one.rollout_state == "FAILED"]
        assert broken.rollout_state_reason == "ECS deployment circuit breaker: tasks failed to start."
        for _ in range(3):
            await stage.run_pending()
            await stage.step(41)
            await stage.stop_stopping()
        lines = [line for line in stage.events()[said:] if "has started" not in line and "has stopped" not in line]
        assert lines == [
            "(service web) (deployment d2) deployment failed: tasks failed to start.",
            "(service web) rolling back to deployment d1.",
            "(service web) stopped 1 pending tasks.",
            f"(service web) (deployment d{int(back.id[8:])}) deployment completed.",
            "(service web) has reached a steady state.",
        ]
        assert {task.spec.task_definition_arn[-1] for task in stage.tasks("RUNNING")} == {"1"}


async def test_without_a_rollback_a_failed_deployment_starts_nothing_more_and_old_tasks_go_on() -> None:
    async with staged() as stage:
        await running_service(stage, 3, circuit_breaker=ONLY_FAIL)
        await stage.deploy(await stage.definition(2), 2)
        await stage.settle()
        for _ in range(60):
            await fail_new(stage, 2)
            await stage.step(10)
        assert primary(stage).rollout_state == "FAILED"
        count = len(stage.tasks())
        await stage.step(3600)
        assert len(stage.tasks()) == count
        assert [task.spec.task_definition_arn[-1] for task in stage.tasks("RUNNING")] == ["1"] * 3
        service = stage.store.get(rollout.SERVICES, SERVICE)
        assert service is not None
        shown = service_view(stage.store, service, with_tags=False).deployments
        assert shown is not None
        assert (shown[0].rollout_state, shown[0].failed_tasks) == ("FAILED", primary(stage).tally.failed_starts)


async def test_a_rollback_that_fails_too_is_not_rolled_back() -> None:
    async with staged() as stage:
        await running_service(stage, 2, circuit_breaker=ROLL_BACK)
        await stage.deploy(await stage.definition(2), 2)
        await stage.settle()
        for _ in range(200):
            for task in stage.tasks("PENDING"):
                await stage.end(task)
            for task in stage.tasks("RUNNING"):
                await stage.end(task)
            await stage.step(10)
        deployments = stage.store.list(rollout.DEPLOYMENTS)
        assert [one.rollout_state for one in sorted(deployments, key=lambda one: one.created_at)] == ["COMPLETED", "FAILED", "FAILED"]


async def test_failed_health_checks_break_a_deployment_whose_tasks_do_run() -> None:
    async with staged() as stage:
        await running_service(stage, 2, balanced=True, circuit_breaker=ROLL_BACK)
        await stage.deploy(await stage.definition(2), 2)
        await stage.settle()
        for _ in range(40):
            await stage.run_pending()

            def probe(tx):  # type: ignore[no-untyped-def]
                for target in tx.list(elbv2.TARGETS):
                    task = tx.get(ecs.TASKS, target.owner)
                    if target.deregistered_at is not None:
                        tx.delete(elbv2.TARGETS, elbv2.TARGETS.key(target))
                    elif task is not None:
                        state = "unhealthy" if task.spec.task_definition_arn.endswith(":2") else "healthy"
                        tx.put(elbv2.TARGETS, replace(target, health=elbv2.TargetHealth(state, "", "", stage.clock.now())))

            await stage.store.transact(probe)
            await stage.step(20)
            await stage.stop_stopping()
        assert primary(stage).task_definition_arn.endswith(":1")
        (broken,) = [one for one in stage.store.list(rollout.DEPLOYMENTS) if one.rollout_state == "FAILED"]
        assert broken.tally.failed_checks >= 3
        assert [task.spec.task_definition_arn[-1] for task in stage.tasks("RUNNING")] == ["1", "1"]
        assert any("Amazon ECS replaced" in line for line in stage.events())


async def test_one_failure_among_many_that_run_is_nothing_to_a_deployment() -> None:
    async with staged() as stage:
        await running_service(stage, 4, circuit_breaker=ROLL_BACK)
        await stage.deploy(await stage.definition(2), 2)
        await stage.settle()
        (first, *_) = stage.tasks("PENDING")
        await stage.end(first)
        for _ in range(3):
            await stage.run_pending()
            await stage.step(41)
            await stage.stop_stopping()
        assert primary(stage).rollout_state == "COMPLETED"
        assert primary(stage).tally.failed_starts == 0, "a task that runs well ends the count"
