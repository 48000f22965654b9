"""Blue/green, canary and linear deployments from their first task to their last, and back."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.services.ecs import model as ecs
from longshore.services.ecs.rollout import model as rollout
from longshore.services.elbv2 import model as elbv2
from longshore.services.elbv2.shifting import weights_at
from tests.scenarios.shifting import (
    BLUE,
    BLUE_TOO,
    FOREIGN,
    GREEN,
    GREEN_TOO,
    PRODUCTION,
    PRODUCTION_TOO,
    TEST,
    Theatre,
    load_balancer,
    pause,
    reborn,
    second_load_balancer,
    theatre,
    turned,
)

BLUE_GREEN: dict[str, Any] = {"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 5}


async def test_all_traffic_shifts_at_once_and_the_old_tasks_stay_until_the_bake_time_is_over() -> None:
    async with theatre() as there:
        await there.created(**BLUE_GREEN)
        assert there.running() == {"1": 2}
        await there.deploy()
        await there.stage.run_pending()
        assert there.weights() == (100, 0), "green stands behind the rule already, so that its targets are probed"
        assert there.running() == {"1": 2, "2": 2}
        await there.stage.balance()
        assert (there.weights(), there.weights(TEST)) == ((0, 100), (0, 100))
        assert there.running() == {"1": 2, "2": 2}
        assert (await there.latest())["lifecycleStage"] == "BAKE_TIME"
        await there.stage.step(301)
        await there.work()
        assert there.running() == {"2": 2}
        last = await there.latest()
        assert last["status"] == "SUCCESSFUL"
        assert last["targetServiceRevision"]["requestedProductionTrafficWeight"] == 100.0


async def test_the_next_deployment_takes_the_side_that_is_free() -> None:
    async with theatre() as there:
        await there.created(strategy="BLUE_GREEN", bakeTimeInMinutes=0)
        for revision, weights in ((2, (0, 100)), (3, (100, 0)), (1, (0, 100))):
            await there.deploy(revision)
            await there.work()
            assert there.running() == {str(revision): 2}
            assert there.weights() == weights
            groups = {target.target_group_arn for target in there.stage.store.list(elbv2.TARGETS)}
            assert groups == {GREEN if weights[1] else BLUE}


async def test_a_canary_gets_its_percent_waits_and_then_gets_the_rest() -> None:
    async with theatre() as there:
        canary = {"canaryPercent": 0.5, "canaryBakeTimeInMinutes": 10}
        await there.created(strategy="CANARY", bakeTimeInMinutes=1, canaryConfiguration=canary)
        await there.deploy()
        await there.stage.run_pending()
        await there.stage.balance()
        assert there.weights() == (995, 5)
        await there.stage.step(599)
        assert there.weights() == (995, 5)
        await there.stage.step(2)
        assert there.weights() == (0, 100)
        await there.stage.step(61)
        await there.work()
        assert there.running() == {"2": 2}


async def test_linear_steps_end_at_a_hundred_and_none_waits_after_it() -> None:
    async with theatre() as there:
        linear = {"stepPercent": 40.0, "stepBakeTimeInMinutes": 2}
        await there.created(strategy="LINEAR", linearConfiguration=linear)
        await there.deploy()
        await there.stage.run_pending()
        await there.stage.balance()
        seen = [there.weights()]
        for _ in range(2):
            await there.stage.step(121)
            seen.append(there.weights())
        assert seen == [(60, 40), (20, 80), (0, 100)]
        await there.work()
        assert there.running() == {"2": 2}


async def test_a_pause_holds_the_deployment_until_somebody_lets_it_go_on() -> None:
    async with theatre() as there:
        await there.created(**BLUE_GREEN, lifecycleHooks=[])
        configuration = {"lifecycleHooks": [pause("POST_TEST_TRAFFIC_SHIFT")]}
        await there.deploy(deploymentConfiguration=configuration)
        await there.stage.run_pending()
        await there.stage.balance()
        held = await there.latest()
        assert (held["lifecycleStage"], there.weights(TEST), there.weights()) == ("POST_TEST_TRAFFIC_SHIFT", (0, 100), (100, 0))
        (hook,) = held["lifecycleHookDetails"]
        assert (hook["status"], hook["targetType"], hook["timeoutAction"]) == ("AWAITING_ACTION", "PAUSE", "ROLLBACK")
        await there.stage.step(3600)
        assert there.weights() == (100, 0)
        await there.ecs("ContinueServiceDeployment", serviceDeploymentArn=held["serviceDeploymentArn"], hookId=hook["hookId"])
        await there.stage.settle()
        assert there.weights() == (0, 100)
        again = {"serviceDeploymentArn": held["serviceDeploymentArn"], "hookId": hook["hookId"]}
        assert await there.ecs.refused("ContinueServiceDeployment", **again) == (
            "InvalidParameterException",
            "The lifecycle hook is not awaiting an action: it is SUCCEEDED.",
        )


async def test_a_pause_stands_before_every_step_of_a_canary() -> None:
    async with theatre() as there:
        await there.created(strategy="CANARY", canaryConfiguration={"canaryPercent": 10.0, "canaryBakeTimeInMinutes": 0})
        await there.deploy(deploymentConfiguration={"lifecycleHooks": [pause("PRE_PRODUCTION_TRAFFIC_SHIFT")]})
        await there.stage.run_pending()
        await there.stage.balance()
        seen = []
        for _ in range(2):
            seen.append(there.weights())
            one = await there.latest()
            (hook,) = [hook for hook in one["lifecycleHookDetails"] if hook["status"] == "AWAITING_ACTION"]
            await there.ecs("ContinueServiceDeployment", serviceDeploymentArn=one["serviceDeploymentArn"], hookId=hook["hookId"])
            await there.stage.settle()
        assert [*seen, there.weights()] == [(100, 0), (90, 10), (0, 100)]


@pytest.mark.parametrize(("action", "weights"), [("CONTINUE", (0, 100)), ("ROLLBACK", (100, 0))])
async def test_a_pause_that_nobody_answers_ends_as_it_was_told_to(action: str, weights: tuple[int, int]) -> None:
    async with theatre() as there:
        await there.created(**BLUE_GREEN)
        hook = pause("POST_SCALE_UP", timeoutInMinutes=30, action=action)
        await there.deploy(deploymentConfiguration={"lifecycleHooks": [hook]})
        await there.stage.run_pending()
        await there.stage.balance()
        await there.stage.step(1801)
        assert there.weights() == weights
        await there.work()
        assert there.running() == ({"1": 2, "2": 2} if action == "CONTINUE" else {"1": 2})


async def test_a_first_deployment_that_is_told_to_go_back_ends_where_it_is() -> None:
    async with theatre() as there:
        await there.create(strategy="BLUE_GREEN", lifecycleHooks=[pause("PRE_SCALE_UP")])
        await let_go(there, "ROLLBACK")
        last = await there.latest()
        assert (last["status"], there.stage.tasks()) == ("STOPPED", [])
        service = (await there.ecs("DescribeServices", services=["web"]))["services"][0]
        assert service["deployments"][0]["rolloutState"] == "FAILED"
        await there.deploy(2, deploymentConfiguration={"lifecycleHooks": []})
        await there.work()
        assert (there.running(), (await there.latest())["status"]) == ({"2": 2}, "SUCCESSFUL")


async def test_a_rollback_in_the_bake_time_shifts_back_at_once_and_stops_the_new_tasks_only() -> None:
    async with theatre() as there:
        await there.created(**BLUE_GREEN)
        await there.deploy()
        await there.stage.run_pending()
        await there.stage.balance()
        assert there.weights() == (0, 100)
        one = await there.latest()
        await there.ecs("StopServiceDeployment", serviceDeploymentArn=one["serviceDeploymentArn"], stopType="ROLLBACK")
        await there.stage.settle()
        assert (there.weights(), there.weights(TEST)) == ((100, 0), (100, 0))
        assert (await there.latest())["status"] == "ROLLBACK_IN_PROGRESS"
        await there.work()
        assert there.running() == {"1": 2}
        last = await there.latest()
        assert last["status"] == "ROLLBACK_SUCCESSFUL"
        assert last["rollback"]["serviceRevisionArn"] == last["sourceServiceRevisions"][0]["arn"]
        service = (await there.ecs("DescribeServices", services=["web"]))["services"][0]
        assert service["taskDefinition"].endswith(":1")
        assert [one["status"] for one in service["deployments"]] == ["PRIMARY"]
        refused = await there.ecs.refused("StopServiceDeployment", serviceDeploymentArn=one["serviceDeploymentArn"])
        assert refused == ("ConflictException", "The service deployment cannot be stopped: it is ROLLBACK_SUCCESSFUL.")


async def test_new_tasks_that_cannot_start_are_given_up_by_the_circuit_breaker_with_no_traffic_moved() -> None:
    async with theatre() as there:
        breaker = {"enable": True, "rollback": True}
        await there.created(**BLUE_GREEN, deploymentCircuitBreaker=breaker)
        await there.deploy()
        for _ in range(8):
            for task in there.stage.tasks("PENDING"):
                await there.stage.end(task)
            await there.stage.step(60)
        await there.work()
        last = await there.latest()
        assert (last["status"], last["deploymentCircuitBreaker"]["status"]) == ("ROLLBACK_SUCCESSFUL", "TRIGGERED")
        assert there.weights() == (100, 0)
        assert there.running() == {"1": 2}


async def test_that_new_tasks_cannot_start_is_said_once_and_the_old_ones_serve_on() -> None:
    async with theatre() as there:
        await there.created(**BLUE_GREEN)
        await there.deploy()
        for _ in range(12):
            for task in there.stage.tasks("PENDING"):
                await there.stage.end(task)
            await there.stage.step(300)
        said = [line for line in there.stage.events() if "unable to consistently start" in line]
        assert len(said) == 1
        assert (there.running(), there.weights()) == ({"1": 2}, (100, 0))


async def test_a_protected_old_task_holds_the_clean_up_and_that_is_said_once() -> None:
    async with theatre() as there:
        await there.created(strategy="BLUE_GREEN")
        await there.stage.protect(there.stage.tasks("RUNNING")[0], 30)
        await there.deploy()
        await there.work()
        for _ in range(5):
            await there.stage.step(60)
        assert there.running() == {"1": 1, "2": 2}
        assert (await there.latest())["lifecycleStage"] == "CLEAN_UP"
        assert len([line for line in there.stage.events() if "protection" in line]) == 1
        await there.stage.step(1800)
        await there.work()
        assert (await there.latest())["status"] == "SUCCESSFUL"


async def test_traffic_goes_back_when_no_new_task_is_healthy_any_more() -> None:
    async with theatre() as there:
        await there.created(**BLUE_GREEN)
        await there.deploy()
        await there.stage.run_pending()
        await there.stage.balance()
        assert there.weights() == (0, 100)
        for task in there.stage.tasks("RUNNING"):
            if task.spec.task_definition_arn.endswith(":2"):
                await there.stage.end(task)
        assert there.weights() == (100, 0)
        assert "none of the new service revision's tasks is healthy" in (await there.latest())["statusReason"]


async def test_an_old_task_that_dies_before_the_end_is_replaced_by_an_old_one() -> None:
    async with theatre() as there:
        await there.created(**BLUE_GREEN)
        await there.deploy()
        await there.stage.run_pending()
        await there.stage.balance()
        victim = next(task for task in there.stage.tasks("RUNNING") if task.spec.task_definition_arn.endswith(":1"))
        await there.stage.end(victim)
        (new,) = there.stage.tasks("PENDING")
        assert new.spec.task_definition_arn.endswith(":1")


async def test_a_deployment_that_begins_in_the_middle_of_another_takes_over_from_what_serves() -> None:
    async with theatre() as there:
        await there.created(strategy="CANARY", canaryConfiguration={"canaryPercent": 50.0, "canaryBakeTimeInMinutes": 60})
        await there.deploy(2)
        await there.stage.run_pending()
        await there.stage.balance()
        assert there.weights() == (50, 50)
        await there.deploy(3)
        assert there.weights() == (100, 0)
        newest, superseded, _ = await there.deployments()
        assert superseded["status"] == "STOPPED"
        assert newest["lifecycleStage"] == "RECONCILE_SERVICE"
        await there.work()
        assert there.running() == {"1": 2, "3": 2}
        assert there.weights() == (50, 50)
        await there.stage.step(3601)
        await there.work()
        assert there.running() == {"3": 2}


async def test_without_a_load_balancer_both_run_for_the_bake_time() -> None:
    async with theatre() as there:
        await there.created(balanced=False, **BLUE_GREEN)
        await there.deploy()
        await there.stage.run_pending()
        await there.stage.step(41)
        assert there.running() == {"1": 2, "2": 2}
        await there.stage.step(301)
        await there.stage.stop_stopping()
        assert there.running() == {"2": 2}
        await there.stage.settle()
        assert (await there.latest())["status"] == "SUCCESSFUL"


async def test_a_rule_that_is_gone_takes_the_deployment_back() -> None:
    async with theatre() as there:
        await there.created(**BLUE_GREEN)
        await there.deploy()
        await there.stage.store.transact(lambda tx: tx.delete(elbv2.RULES, TEST))
        await there.stage.run_pending()
        await there.stage.balance()
        await there.work()
        last = await there.latest()
        assert last["status"] == "ROLLBACK_SUCCESSFUL"
        assert "test listener rule" in last["statusReason"]
        assert there.running() == {"1": 2}


async def test_the_desired_count_may_change_while_traffic_shifts() -> None:
    async with theatre() as there:
        await there.created(**BLUE_GREEN)
        await there.deploy()
        await there.stage.run_pending()
        await there.ecs("UpdateService", service="web", desiredCount=3)
        await there.stage.settle()
        await there.work()
        assert there.running() == {"1": 3, "2": 3}
        await there.stage.step(301)
        await there.work()
        assert there.running() == {"2": 3}
        assert {task.spec.deployment_id for task in there.stage.store.list(ecs.TASKS) if not task.is_stopped} == {
            (await there.ecs("DescribeServices", services=["web"]))["services"][0]["deployments"][0]["id"]
        }


async def test_a_service_that_is_deleted_in_the_middle_goes_and_its_deployment_is_stopped() -> None:
    async with theatre() as there:
        await there.created(**BLUE_GREEN)
        await there.deploy()
        await there.stage.run_pending()
        await there.ecs("DeleteService", service="web", force=True)
        await there.stage.settle()
        await there.work()
        assert there.running() == {}
        assert (await there.latest())["status"] == "STOPPED"


async def test_a_rolling_update_stays_on_the_side_that_serves() -> None:
    async with theatre() as there:
        await there.created(strategy="BLUE_GREEN")
        await there.deploy(2)
        await there.work()
        assert there.weights() == (0, 100)
        await there.deploy(3, deploymentConfiguration={"strategy": "ROLLING"})
        await there.work()
        assert (there.running(), there.weights()) == ({"3": 2}, (0, 100))
        assert {target.target_group_arn for target in there.stage.store.list(elbv2.TARGETS)} == {GREEN}


async def test_a_rolling_update_in_the_middle_of_a_canary_gets_all_traffic_on_one_side() -> None:
    async with theatre() as there:
        await there.created(strategy="CANARY", canaryConfiguration={"canaryPercent": 50.0, "canaryBakeTimeInMinutes": 60})
        await there.deploy(2)
        await there.stage.run_pending()
        await there.stage.balance()
        assert there.weights() == (50, 50)
        await there.deploy(3, deploymentConfiguration={"strategy": "ROLLING"})
        assert there.weights() == (100, 0)
        await there.work()
        assert (there.running(), there.weights()) == ({"3": 2}, (100, 0))
        assert (await there.latest())["status"] == "SUCCESSFUL"


async def test_what_never_served_is_nothing_to_take_over_from() -> None:
    async with theatre() as there:
        await there.create(strategy="ROLLING")
        await there.deploy(2, deploymentConfiguration={"strategy": "CANARY"})
        await there.deploy(3, deploymentConfiguration={"strategy": "ROLLING"})
        await there.work()
        assert (there.running(), there.weights()) == ({"3": 2}, (100, 0))
        assert {target.target_group_arn for target in there.stage.store.list(elbv2.TARGETS)} == {BLUE}


async def test_who_gives_up_shifting_names_the_target_group_that_serves() -> None:
    async with theatre() as there:
        await there.created(strategy="BLUE_GREEN")
        await there.deploy(2)
        await there.work()
        plain = {"targetGroupArn": BLUE, "containerName": "main", "containerPort": 80}
        change = {"service": "web", "deploymentConfiguration": {"strategy": "ROLLING"}}
        code, message = await there.ecs.refused("UpdateService", **change, loadBalancers=[plain])
        assert code == "InvalidParameterException" and GREEN in message
        await there.deploy(3, deploymentConfiguration={"strategy": "ROLLING"}, loadBalancers=[plain | {"targetGroupArn": GREEN}])
        await there.work()
        assert (there.running(), there.weights()) == ({"3": 2}, (0, 100))
        assert {target.target_group_arn for target in there.stage.store.list(elbv2.TARGETS)} == {GREEN}


async def test_a_rolling_service_may_begin_to_shift_traffic() -> None:
    async with theatre() as there:
        plain = {"targetGroupArn": BLUE, "containerName": "main", "containerPort": 80}
        await there.ecs("CreateService", serviceName="web", taskDefinition="web:1", desiredCount=2, loadBalancers=[plain])
        await there.work()
        await there.deploy(2, deploymentConfiguration=BLUE_GREEN, loadBalancers=[load_balancer()])
        await there.work()
        assert (there.running(), there.weights()) == ({"1": 2, "2": 2}, (0, 100))
        one = await there.latest()
        await there.ecs("StopServiceDeployment", serviceDeploymentArn=one["serviceDeploymentArn"])
        await there.work()
        assert (there.running(), there.weights()) == ({"1": 2}, (100, 0))
        service = (await there.ecs("DescribeServices", services=["web"]))["services"][0]
        assert "advancedConfiguration" not in service["loadBalancers"][0]


@pytest.mark.parametrize(
    ("advanced", "words"),
    [
        ({"alternateTargetGroupArn": BLUE}, "must differ"),
        ({"alternateTargetGroupArn": GREEN + "0"}, "does not exist"),
        ({"productionListenerRule": TEST[:-1] + "9"}, "production listener rule does not exist"),
        ({"testListenerRule": PRODUCTION}, "listener rules of a service must differ"),
        ({"testListenerRule": FOREIGN}, "forwards to other target groups"),
        ({"roleArn": ""}, "roleArn"),
    ],
)
async def test_what_traffic_is_to_be_shifted_by_must_be_there(advanced: dict[str, str], words: str) -> None:
    async with theatre() as there:
        wanted = {"serviceName": "web", "taskDefinition": "web:1", "desiredCount": 1, "deploymentConfiguration": BLUE_GREEN}
        code, message = await there.ecs.refused("CreateService", **wanted, loadBalancers=[load_balancer(**advanced)])
        assert code == "InvalidParameterException" and words in message


async def test_a_rule_shifts_the_traffic_of_one_service() -> None:
    async with theatre() as there:
        wanted = {"taskDefinition": "web:1", "desiredCount": 1, "deploymentConfiguration": BLUE_GREEN, "loadBalancers": [load_balancer()]}
        await there.ecs("CreateService", serviceName="web", **wanted)
        code, message = await there.ecs.refused("CreateService", serviceName="other", **wanted)
        assert code == "InvalidParameterException" and "shifts the traffic of the service web already" in message
        await there.work()
        await there.ecs("UpdateService", service="web", forceNewDeployment=True, deploymentConfiguration=BLUE_GREEN)
        await there.ecs("DeleteService", service="web", force=True)
        await there.work()
        await there.ecs("CreateService", serviceName="other", **wanted)


#: where a deployment waits for somebody, and whom the production rule serves there
_HELD = {
    "PRE_SCALE_UP": (100, 0),
    "POST_SCALE_UP": (100, 0),
    "POST_TEST_TRAFFIC_SHIFT": (100, 0),
    "PRE_PRODUCTION_TRAFFIC_SHIFT": (100, 0),
    "POST_PRODUCTION_TRAFFIC_SHIFT": (0, 100),
}


async def let_go(there: Theatre, action: str = "CONTINUE") -> None:
    one = await there.latest()
    (hook,) = [hook for hook in one["lifecycleHookDetails"] if hook["status"] == "AWAITING_ACTION"]
    wish = {"hookId": hook["hookId"], "action": action}
    await there.ecs("ContinueServiceDeployment", serviceDeploymentArn=one["serviceDeploymentArn"], **wish)
    await there.stage.settle()


@pytest.mark.parametrize("stage", _HELD)
@pytest.mark.parametrize("action", ["CONTINUE", "ROLLBACK"])
async def test_what_was_written_down_is_all_that_a_deployment_needs_to_go_on_from_any_stage(stage: str, action: str) -> None:
    async with theatre() as there:
        await there.created(strategy="BLUE_GREEN", bakeTimeInMinutes=5)
        await there.deploy(deploymentConfiguration={"lifecycleHooks": [pause(stage)]})
        await there.stage.run_pending()
        await there.stage.balance()
        assert there.weights() == _HELD[stage]
        async with reborn(there) as after:
            assert after.weights() == _HELD[stage]
            await let_go(after, action)
            await after.work()
            await after.stage.step(301)
            await after.work()
            last = await after.latest()
            if action == "CONTINUE":
                assert (last["status"], after.running(), after.weights()) == ("SUCCESSFUL", {"2": 2}, (0, 100))
            else:
                assert (last["status"], after.running(), after.weights()[0]) == ("ROLLBACK_SUCCESSFUL", {"1": 2}, 100)


async def test_the_log_of_a_deployment_that_pauses_and_is_taken_back() -> None:
    async with theatre() as there:
        await there.created(**BLUE_GREEN)
        said = len(there.stage.events())
        await there.deploy(deploymentConfiguration={"lifecycleHooks": [pause("POST_PRODUCTION_TRAFFIC_SHIFT")]})
        await there.work()
        await let_go(there, "ROLLBACK")
        await there.work()
        blue, green = sorted(there.stage.store.list(rollout.DEPLOYMENTS), key=lambda one: one.created_at)
        names = {BLUE: "blue", GREEN: "green", short(blue.id): "d-blue", short(green.id): "d-green"}
        assert [named(line, names) for line in there.stage.events()[said:]] == [
            "(service web) has started 2 tasks: (task t3) (task t4).",
            "(service web) registered 2 targets in (target-group green)",
            "(service web) (deployment d-green) deployment failed.",
            "(service web) rolling back to deployment d-blue.",
            "(service web, taskSet d-green) has begun draining connections on 2 tasks.",
            "(service web) has stopped 2 running tasks: (task t4) (task t3).",
            "(service web) deregistered 2 targets in (target-group green)",
            "(service web) has reached a steady state.",
        ]


def short(deployment_id: str) -> str:
    """As the stage writes it."""
    return f"d{deployment_id.removeprefix('ecs-svc/').lstrip('0')}"


def named(line: str, names: dict[str, str]) -> str:
    for long, name in names.items():
        line = line.replace(long, name)
    return line


async def test_pairs_of_target_groups_are_turned_round_together_or_not_at_all() -> None:
    async with theatre() as there:
        await there.created(pairs=2, strategy="BLUE_GREEN", bakeTimeInMinutes=0)
        one, other = load_balancer(), second_load_balancer()
        for pairs in ([turned(one), other], [one, turned(other)]):
            for strategy in ("BLUE_GREEN", "ROLLING"):
                asked = {"loadBalancers": pairs, "deploymentConfiguration": {"strategy": strategy}}
                code, words = await there.ecs.refused("UpdateService", service="web", **asked)
                assert code == "InvalidParameterException" and "Turn either all pairs" in words
        await there.ecs("UpdateService", service="web", loadBalancers=[turned(one), turned(other)])
        await there.work()
        assert [weights_at(there.stage.store, rule) for rule in (PRODUCTION, PRODUCTION_TOO)] == [
            {BLUE: 0, GREEN: 100},
            {BLUE_TOO: 0, GREEN_TOO: 100},
        ]
