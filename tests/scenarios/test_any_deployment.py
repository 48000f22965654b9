"""Whatever is asked of a service in whatever order, it ends with one revision that runs in full and has all the traffic."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from longshore.aws.errors import AwsError
from longshore.services.ecs.rollout import model as rollout
from longshore.services.ecs.rollout.revisions import settings_of
from longshore.services.elbv2 import model as elbv2
from longshore.services.elbv2.shifting import weights_at
from tests.scenarios.shifting import PRODUCTION, PRODUCTION_TOO, Theatre, load_balancer, pause, second_load_balancer, theatre, turned
from tests.scenarios.stage import service_arn

SERVICE = service_arn("web")
STRATEGIES: dict[str, dict[str, Any]] = {
    "ROLLING": {},
    "BLUE_GREEN": {"bakeTimeInMinutes": 2},
    "CANARY": {"canaryConfiguration": {"canaryPercent": 25.0, "canaryBakeTimeInMinutes": 3}},
    "LINEAR": {"linearConfiguration": {"stepPercent": 40.0, "stepBakeTimeInMinutes": 2}},
}
STAGES = ("PRE_SCALE_UP", "POST_SCALE_UP", "POST_TEST_TRAFFIC_SHIFT", "PRE_PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT")
ACTIONS = st.one_of(
    st.tuples(st.just("deploy"), st.integers(1, 3), st.sampled_from(list(STRATEGIES)), st.sampled_from(["", *STAGES])),
    st.tuples(st.sampled_from(["run", "run", "balance", "balance", "stop"])),
    st.tuples(st.just("wait"), st.sampled_from([1, 10, 130, 400])),
    st.tuples(st.just("kill"), st.integers(0, 9)),
    st.tuples(st.just("scale"), st.integers(1, 3)),
    st.tuples(st.just("turn"), st.booleans(), st.booleans(), st.sampled_from(list(STRATEGIES))),
    st.tuples(st.just("roll back")),
    st.tuples(st.just("answer"), st.sampled_from(["CONTINUE", "CONTINUE", "ROLLBACK"])),
)


async def act(there: Theatre, action: tuple[Any, ...]) -> None:
    match action:
        case ("deploy", revision, strategy, stage):
            configuration = {"strategy": strategy, **STRATEGIES[strategy]}
            if stage and strategy != "ROLLING":
                configuration["lifecycleHooks"] = [pause(stage)]
            await there.deploy(revision, deploymentConfiguration=configuration, forceNewDeployment=True)
        case ("run",):
            await there.stage.run_pending()
        case ("balance",):
            await there.stage.balance()
        case ("stop",):
            await there.stage.stop_stopping()
        case ("wait", seconds):
            await there.stage.step(seconds)
        case ("kill", which):
            running = there.stage.tasks("RUNNING")
            if running:
                await there.stage.end(running[which % len(running)])
        case ("scale", count):
            await there.ecs("UpdateService", service="web", desiredCount=count)
            await there.stage.settle()
        case ("turn", first, second, strategy):
            pairs = [load_balancer(), second_load_balancer()]
            given = [turned(pair) if turns else pair for pair, turns in zip(pairs, (first, second), strict=True)]
            configuration = {"strategy": strategy, **STRATEGIES[strategy]}
            await asked(there, "UpdateService", service="web", loadBalancers=given, deploymentConfiguration=configuration)
        case ("roll back",):
            await asked(there, "StopServiceDeployment", serviceDeploymentArn=(await there.latest())["serviceDeploymentArn"])
        case ("answer", wish):
            await answer(there, wish)


async def asked(there: Theatre, operation: str, **members: Any) -> None:
    """It may be refused; it is settled either way."""
    try:
        await there.ecs(operation, **members)
    except AwsError as refusal:
        assert refusal.wire("json")[0] in ("ConflictException", "InvalidParameterException")
    await there.stage.settle()


async def answer(there: Theatre, wish: str) -> None:
    one = await there.latest()
    for hook in one.get("lifecycleHookDetails", ()):
        if hook["status"] == "AWAITING_ACTION":
            arn = one["serviceDeploymentArn"]
            await asked(there, "ContinueServiceDeployment", serviceDeploymentArn=arn, hookId=hook["hookId"], action=wish)


def served(there: Theatre, rule: str) -> list[str]:
    """The target groups that get traffic by it."""
    weights = weights_at(there.stage.store, rule)
    assert sum(weights.values()) in (1, 100, 1000)
    return [group for group, weight in weights.items() if weight]


def check_traffic(there: Theatre, *, undisturbed: bool) -> None:
    """Production traffic of every rule goes somewhere; and, as long as nobody dies, to somebody who serves it."""
    for rule in (PRODUCTION, PRODUCTION_TOO):
        groups = served(there, rule)
        assert groups, "traffic goes somewhere"
        assert not undisturbed or any(there.stage.store.list(elbv2.TARGETS, "target_group", group) for group in groups)


async def play(actions: list[tuple[Any, ...]]) -> None:
    async with theatre() as there:
        await there.created(pairs=2, strategy="BLUE_GREEN")
        killed = False
        for action in actions:
            await act(there, action)
            killed = killed or action[0] == "kill"
            check_traffic(there, undisturbed=not killed)
        for _ in range(12):
            await there.work()
            await answer(there, "CONTINUE")
            await there.stage.step(190)
        await there.work()
        service = there.stage.store.get(rollout.SERVICES, SERVICE)
        assert service is not None
        (living,) = there.stage.store.list(rollout.DEPLOYMENTS, "service", SERVICE)
        assert (living.status, living.rollout_state) == ("PRIMARY", "COMPLETED")
        assert living.task_definition_arn == service.spec.task_definition_arn
        assert there.running() == {living.task_definition_arn[-1]: service.spec.desired_count}
        assert there.stage.store.list(rollout.SERVICE_DEPLOYMENTS, "open", SERVICE) == []
        ended = there.stage.store.list(rollout.SERVICE_DEPLOYMENTS)
        assert "AWAITING_ACTION" not in {pause.status for one in ended for pause in one.pauses}
        stands_in = {lb.target_group_arn for lb in settings_of(there.stage.store, service, living.id).load_balancers}
        assert {target.target_group_arn for target in there.stage.store.list(elbv2.TARGETS)} == stands_in
        all_traffic = [group for rule in (PRODUCTION, PRODUCTION_TOO) for group in served(there, rule)]
        assert sorted(all_traffic) == sorted(stands_in), "all traffic goes where the tasks are"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example([("turn", True, False, "BLUE_GREEN"), ("run",), ("balance",), ("roll back",)])
@given(st.lists(ACTIONS, min_size=3, max_size=18))
def test_it_ends_with_one_revision_that_runs_in_full_and_has_all_the_traffic(actions: list[tuple[Any, ...]]) -> None:
    asyncio.run(play(actions))
