"""Rolling updates as service deployments: how they go, how they are ended, and what is kept of them. And task sets at work."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from longshore.services.ecs import model as ecs
from longshore.services.elbv2 import model as elbv2
from tests.scenarios.shifting import BLUE, GREEN, Theatre, theatre


async def test_a_rolling_update_is_in_progress_until_the_last_old_task_is_gone() -> None:
    async with theatre() as there:
        await there.create(balanced=False)
        assert (await there.latest())["status"] == "IN_PROGRESS"
        await there.work()
        await there.deploy()
        await there.stage.run_pending()
        newest, first = await there.deployments()
        assert (newest["status"], first["status"]) == ("IN_PROGRESS", "SUCCESSFUL")
        assert newest["sourceServiceRevisions"][0]["arn"] == first["targetServiceRevision"]["arn"]
        assert newest["sourceServiceRevisions"][0]["runningTaskCount"] == 2
        await there.work()
        done = await there.latest()
        assert done["status"] == "SUCCESSFUL" and done["finishedAt"] >= done["startedAt"] >= done["createdAt"]
        assert done["targetServiceRevision"]["runningTaskCount"] == 2


async def test_digests_are_known_once_a_task_has_pulled_its_images() -> None:
    async with theatre() as there:
        await there.create(balanced=False)
        for task in there.stage.tasks("PENDING"):
            container = replace(task.status.containers[0], image_digest="sha256:abc")
            await there.stage.write_task(task, containers=(container,))
        await there.stage.run_pending()
        arn = (await there.latest())["targetServiceRevision"]["arn"]
        (revision,) = (await there.ecs("DescribeServiceRevisions", serviceRevisionArns=[arn]))["serviceRevisions"]
        assert revision["containerImages"] == [{"containerName": "main", "image": "busybox", "imageDigest": "sha256:abc"}]


async def test_stopping_a_rolling_update_takes_the_service_back_to_its_revision() -> None:
    async with theatre() as there:
        await there.create(balanced=False)
        await there.work()
        await there.deploy()
        await there.stage.run_pending()
        one = await there.latest()
        await there.ecs("StopServiceDeployment", serviceDeploymentArn=one["serviceDeploymentArn"])
        await there.stage.settle()
        assert (await there.latest())["status"] == "ROLLBACK_IN_PROGRESS"
        await there.work()
        last = await there.latest()
        assert (last["status"], last["rollback"]["reason"]) == (
            "ROLLBACK_SUCCESSFUL",
            "Service deployment rolled back because it was requested by a user.",
        )
        assert there.running() == {"1": 2}
        service = (await there.ecs("DescribeServices", services=["web"]))["services"][0]
        assert service["taskDefinition"].endswith(":1")


async def test_a_rolling_update_that_is_aborted_starts_nothing_more() -> None:
    async with theatre() as there:
        await there.create(balanced=False)
        await there.work()
        await there.deploy()
        one = await there.latest()
        await there.ecs("StopServiceDeployment", serviceDeploymentArn=one["serviceDeploymentArn"], stopType="ABORT")
        await there.stage.settle()
        last = await there.latest()
        assert (last["status"], "stoppedAt" in last) == ("STOPPED", True)
        for task in there.stage.tasks("PENDING"):
            await there.stage.end(task)
        await there.stage.step(120)
        assert not there.stage.tasks("PENDING")
        assert there.running() == {"1": 2}


async def test_the_circuit_breaker_shows_what_it_did() -> None:
    async with theatre() as there:
        await there.create(balanced=False, deploymentCircuitBreaker={"enable": True, "rollback": True})
        await there.work()
        await there.deploy()
        assert (await there.latest())["deploymentCircuitBreaker"]["status"] == "MONITORING"
        for _ in range(8):
            for task in there.stage.tasks("PENDING"):
                if task.spec.task_definition_arn.endswith(":2"):
                    await there.stage.end(task)
            await there.stage.step(60)
        await there.work()
        last = await there.latest()
        assert (last["status"], last["deploymentCircuitBreaker"]["status"]) == ("ROLLBACK_SUCCESSFUL", "TRIGGERED")
        assert last["statusReason"] == "Service deployment rolled back because the circuit breaker threshold was exceeded."
        assert there.running() == {"1": 2}


async def test_a_rollback_brings_back_the_target_groups_of_its_revision() -> None:
    async with theatre() as there:
        plain = {"targetGroupArn": BLUE, "containerName": "main", "containerPort": 80}
        await there.ecs("CreateService", serviceName="web", taskDefinition="web:1", desiredCount=2, loadBalancers=[plain])
        await there.work()
        await there.stage.store.transact(_serve_green)
        await there.deploy(2, loadBalancers=[plain | {"targetGroupArn": GREEN}])
        await there.stage.run_pending()
        assert _groups(there) == {"1": {BLUE}, "2": {GREEN}}, "each stands where its own revision says"
        one = await there.latest()
        await there.ecs("StopServiceDeployment", serviceDeploymentArn=one["serviceDeploymentArn"])
        await there.stage.settle()
        await there.work()
        assert _groups(there) == {"1": {BLUE}}
        service = (await there.ecs("DescribeServices", services=["web"]))["services"][0]
        assert service["loadBalancers"][0]["targetGroupArn"] == BLUE


def _serve_green(tx: Any) -> None:
    for rule in tx.list(elbv2.RULES):
        if rule.priority == 2:
            tx.put(elbv2.RULES, replace(rule, actions=(elbv2.shapes.Action(type="forward", target_group_arn=GREEN),)))


def _groups(there: Theatre) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for target in there.stage.store.list(elbv2.TARGETS):
        task = there.stage.store.get(ecs.TASKS, target.owner)
        if task is not None and target.deregistered_at is None:
            found.setdefault(task.spec.task_definition_arn[-1], set()).add(target.target_group_arn)
    return found


# ── task sets ───────────────────────────────────────────────────────────────────────────────────────────────────────


FOREIGN = {"cluster": "default", "service": "web"}


async def foreign(there: Theatre, desired: int = 3) -> None:
    await there.ecs("CreateService", serviceName="web", desiredCount=desired, deploymentController={"type": "EXTERNAL"})


async def task_set(there: Theatre, revision: int, percent: float, group: str = "") -> str:
    balancers = [{"targetGroupArn": group, "containerName": "main", "containerPort": 80}] if group else []
    scale = {"value": percent, "unit": "PERCENT"}
    wanted = {"taskDefinition": f"web:{revision}", "scale": scale, "loadBalancers": balancers}
    made = (await there.ecs("CreateTaskSet", **FOREIGN, **wanted))["taskSet"]
    await there.stage.settle()
    return str(made["id"])


async def test_each_task_set_is_kept_at_its_share_of_the_service() -> None:
    async with theatre() as there:
        await foreign(there)
        first = await task_set(there, 1, 100)
        await task_set(there, 2, 34)
        await there.stage.run_pending()
        await there.stage.step(41)
        assert there.running() == {"1": 3, "2": 2}
        shown = (await there.ecs("DescribeTaskSets", **FOREIGN))["taskSets"]
        assert [one["stabilityStatus"] for one in shown] == ["STEADY_STATE"] * 2
        victim = next(task for task in there.stage.tasks("RUNNING") if task.spec.task_set_id == first)
        assert victim.spec.started_by == first
        await there.stage.end(victim)
        assert len(there.stage.tasks("PENDING")) == 1
        assert (await there.ecs("DescribeTaskSets", **FOREIGN, taskSets=[first]))["taskSets"][0]["stabilityStatus"] == "STABILIZING"


async def test_task_sets_follow_the_desired_count_and_drain_when_they_are_deleted() -> None:
    async with theatre() as there:
        await foreign(there, 2)
        first, second = await task_set(there, 1, 100), await task_set(there, 2, 100)
        await there.stage.run_pending()
        await there.ecs("UpdateService", service="web", desiredCount=3)
        await there.stage.settle()
        await there.stage.run_pending()
        assert there.running() == {"1": 3, "2": 3}
        await there.ecs("UpdateServicePrimaryTaskSet", **FOREIGN, primaryTaskSet=second)
        await there.ecs("DeleteTaskSet", **FOREIGN, taskSet=first, force=True)
        await there.stage.settle()
        await there.stage.stop_stopping()
        assert there.running() == {"2": 3}
        shown = (await there.ecs("DescribeTaskSets", **FOREIGN))["taskSets"]
        assert [one["id"] for one in shown] == [second]
        await there.ecs("DeleteService", service="web", force=True)
        await there.stage.settle()
        await there.stage.stop_stopping()
        assert (await there.ecs("DescribeServices", services=["web"]))["services"][0]["status"] == "INACTIVE"


async def test_the_tasks_of_a_task_set_stand_in_its_own_target_group_and_leave_it_first() -> None:
    async with theatre() as there:
        await foreign(there, 1)
        await there.stage.store.transact(_serve_green)
        first, _ = await task_set(there, 1, 100, BLUE), await task_set(there, 2, 100, GREEN)
        await there.stage.run_pending()
        await there.stage.balance()
        assert _groups(there) == {"1": {BLUE}, "2": {GREEN}}
        await there.ecs("DeleteTaskSet", **FOREIGN, taskSet=first, force=True)
        await there.stage.settle()
        assert [task.spec.task_set_id for task in there.stage.tasks("DEACTIVATING")] == [first]
        await there.stage.balance()
        await there.stage.stop_stopping()
        assert there.running() == {"2": 1}
        number = first.removeprefix("ecs-svc/").lstrip("0")
        assert f"(service web, taskSet d{number}) has begun draining connections on 1 tasks." in there.stage.events()


async def test_that_a_task_set_cannot_start_is_said_once() -> None:
    async with theatre() as there:
        await foreign(there, 1)
        await task_set(there, 1, 100)
        for _ in range(12):
            for task in there.stage.tasks("PENDING"):
                await there.stage.end(task)
            await there.stage.step(300)
        assert len([line for line in there.stage.events() if "unable to consistently start" in line]) == 1
