"""UpdateTaskProtection and GetTaskProtection: which tasks, for how long, and who is refused."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, Stop, Task, TaskSpec, TaskStatus
from longshore.services.ecs.rollout.model import DEPLOYMENTS
from tests.services.ecs.conftest import Ecs

CLUSTER = "arn:aws:ecs:us-east-1:000000000000:cluster/default"
SERVICE = "arn:aws:ecs:us-east-1:000000000000:service/default/web"


async def service_task(ecs: Ecs, number: int = 1, *, deployment_id: str = "", stopped: bool = False) -> str:
    """A running task of the service `web`; its ARN."""
    definition = "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1"
    arn = f"arn:aws:ecs:us-east-1:000000000000:task/default/{number:032x}"
    primary = ecs.call.store.list(DEPLOYMENTS, "service", SERVICE)[0].id
    spec = TaskSpec(definition, "service:web", 0.0, service_arn=SERVICE, deployment_id=deployment_id or primary)
    task = Task(arn, CLUSTER, spec, status=TaskStatus("RUNNING"), stop=Stop("enough", "UserInitiated", 0.0) if stopped else None)
    await ecs.call.store.transact(lambda tx: tx.put(TASKS, task))
    return arn


@pytest.fixture
async def served(ecs: Ecs) -> Ecs:
    await ecs.cluster()
    await ecs.define()
    await ecs("CreateService", serviceName="web", taskDefinition="web", desiredCount=1)
    return ecs


async def update(ecs: Ecs, *tasks: str, **members: Any) -> dict[str, Any]:
    return await ecs("UpdateTaskProtection", cluster="default", tasks=list(tasks), **{"protectionEnabled": True, **members})


async def test_protection_lasts_two_hours_unless_it_is_said(served: Ecs) -> None:
    arn = await service_task(served)
    for members, minutes in (({}, 120), ({"expiresInMinutes": 1}, 1), ({"expiresInMinutes": 2880}, 2880)):
        (shown,) = (await update(served, arn, **members))["protectedTasks"]
        assert (shown["taskArn"], shown["protectionEnabled"]) == (arn, True)
        assert shown["expirationDate"].timestamp() == pytest.approx(served.clock.now() + minutes * 60, abs=1)


async def test_protection_ends_by_itself_and_on_request(served: Ecs) -> None:
    arn = await service_task(served)
    await update(served, arn, expiresInMinutes=10)
    await served.clock.step(601)
    assert (await served("GetTaskProtection", cluster="default", tasks=[arn]))["protectedTasks"] == [
        {"taskArn": arn, "protectionEnabled": False}
    ]
    await update(served, arn)
    assert (await update(served, arn, protectionEnabled=False))["protectedTasks"] == [{"taskArn": arn, "protectionEnabled": False}]
    (task,) = served.call.store.list(TASKS)
    assert task.protected_until is None


async def test_only_running_tasks_of_services_can_be_protected(served: Ecs) -> None:
    await served.instance()
    own = (await served("RunTask", taskDefinition="web"))["tasks"][0]["taskArn"]
    gone = await service_task(served, 2, stopped=True)
    answer = await update(served, own, gone, "f" * 32)
    assert [(one["arn"], one["reason"]) for one in answer["failures"]] == [
        (own, "TASK_NOT_VALID"),
        (gone, "TASK_NOT_VALID"),
        (f"arn:aws:ecs:us-east-1:000000000000:task/default/{'f' * 32}", "MISSING"),
    ]
    assert answer["protectedTasks"] == []


async def test_what_is_asked_for_has_bounds(served: Ecs) -> None:
    arn = await service_task(served)
    for members in ({"expiresInMinutes": 0}, {"expiresInMinutes": 2881}, {"tasks": []}, {"tasks": [arn] * 11}):
        asked = {"cluster": "default", "tasks": [arn], "protectionEnabled": True, **members}
        assert (await served.refused("UpdateTaskProtection", **asked))[0] == "InvalidParameterException"


async def test_protected_tasks_that_hold_up_a_deployment_cannot_be_protected_for_longer(served: Ecs) -> None:
    before = served.call.store.list(DEPLOYMENTS, "service", SERVICE)[0].id
    arn = await service_task(served, deployment_id=before)
    await update(served, arn)
    await served("UpdateService", service="web", forceNewDeployment=True)
    (newest,) = [one.id for one in served.call.store.list(DEPLOYMENTS, "service", SERVICE) if one.status == "PRIMARY"]
    assert newest != before
    other = await service_task(served, 2, deployment_id=newest)
    answer = await update(served, arn, other)
    assert [(one["arn"], one["reason"]) for one in answer["failures"]] == [(arn, "DEPLOYMENT_BLOCKED")]
    assert (await update(served, arn, protectionEnabled=False))["failures"] == []


async def test_without_tasks_every_running_one_of_a_service_is_shown(served: Ecs) -> None:
    arns = [await service_task(served, number) for number in (1, 2)]
    await service_task(served, 3, stopped=True)
    shown = await served("GetTaskProtection", cluster="default")
    assert sorted(one["taskArn"] for one in shown["protectedTasks"]) == arns


# ── instances ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_instances_are_drained_and_made_active_again(ecs: Ecs) -> None:
    await ecs.cluster()
    arns = [await ecs.instance(number) for number in (1, 2)]
    drained = await ecs("UpdateContainerInstancesState", containerInstances=arns, status="DRAINING")
    assert [(one["containerInstanceArn"], one["status"]) for one in drained["containerInstances"]] == [(arn, "DRAINING") for arn in arns]
    assert (await ecs("ListContainerInstances", status="DRAINING"))["containerInstanceArns"] == sorted(arns)
    refused = await ecs.refused("RunTask", taskDefinition=await ecs.define())
    assert refused[0] == "InvalidParameterException"
    started = await ecs("StartTask", taskDefinition="web", containerInstances=arns[:1])
    assert [(one["arn"], one["reason"]) for one in started["failures"]] == [(arns[0], "INACTIVE")]
    again = await ecs("UpdateContainerInstancesState", containerInstances=[arns[0].rsplit("/", 1)[-1]], status="ACTIVE")
    assert [one["status"] for one in again["containerInstances"]] == ["ACTIVE"]
    assert not (await ecs("RunTask", taskDefinition="web"))["failures"]


async def test_what_cannot_be_drained_is_told_by_instance(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = await ecs.instance()
    gone = arn[:-4] + "ffff"
    await ecs.call.store.transact(lambda tx: tx.put(CONTAINER_INSTANCES, replace(tx.list(CONTAINER_INSTANCES)[0], status="INACTIVE")))
    answer = await ecs("UpdateContainerInstancesState", containerInstances=[arn, gone], status="DRAINING")
    assert answer["containerInstances"] == []
    assert [(one["arn"], one["reason"]) for one in answer["failures"]] == [(arn, "INACTIVE"), (gone, "MISSING")]
    for members in ({"containerInstances": []}, {"containerInstances": [gone] * 11}, {"status": "REGISTERING"}):
        asked = {"containerInstances": [gone], "status": "DRAINING", **members}
        assert (await ecs.refused("UpdateContainerInstancesState", **asked))[0] == "InvalidParameterException"


# ── what services are told at their creation ────────────────────────────────────────────────────────────────────────


async def test_a_daemon_service_wants_as_many_tasks_as_there_are_instances(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.define()
    await ecs.instance(1, attributes=(("colour", "blue"),))
    await ecs.instance(2)
    made = (await ecs("CreateService", serviceName="all", taskDefinition="web", schedulingStrategy="DAEMON"))["service"]
    assert (made["schedulingStrategy"], made["desiredCount"], made["availabilityZoneRebalancing"]) == ("DAEMON", 2, "DISABLED")
    rails = made["deploymentConfiguration"]
    assert (rails["minimumHealthyPercent"], rails["maximumPercent"]) == (0, 100)
    blue = [{"type": "memberOf", "expression": "attribute:colour == blue"}]
    some = await ecs("CreateService", serviceName="some", taskDefinition="web", schedulingStrategy="DAEMON", placementConstraints=blue)
    assert some["service"]["desiredCount"] == 1
    assert (await ecs("DeleteService", service="all"))["service"]["status"] == "DRAINING", "no force is needed"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"desiredCount": 1}, "does not support a desired count"),
        ({"placementStrategy": [{"type": "random"}]}, "does not support placement strategies"),
        ({"placementConstraints": [{"type": "distinctInstance"}]}, "distinctInstance"),
        ({"deploymentConfiguration": {"maximumPercent": 300}}, "between 100 and 200"),
        ({"availabilityZoneRebalancing": "ENABLED"}, "with the daemon scheduling strategy"),
    ],
)
async def test_what_a_daemon_service_cannot_have_is_refused(ecs: Ecs, members: dict[str, Any], words: str) -> None:
    await ecs.cluster()
    await ecs.define()
    asked = {"serviceName": "all", "taskDefinition": "web", "schedulingStrategy": "DAEMON", **members}
    code, message = await ecs.refused("CreateService", **asked)
    assert code == "InvalidParameterException"
    assert words in message


@pytest.mark.parametrize(
    ("members", "shown"),
    [
        ({}, "ENABLED"),
        ({"availabilityZoneRebalancing": "DISABLED"}, "DISABLED"),
        ({"deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 100}}, "DISABLED"),
        ({"placementStrategy": [{"type": "spread", "field": "attribute:ecs.availability-zone"}, {"type": "random"}]}, "ENABLED"),
        ({"placementStrategy": [{"type": "binpack", "field": "memory"}]}, "DISABLED"),
    ],
)
async def test_zones_are_balanced_unless_the_service_says_otherwise(ecs: Ecs, members: dict[str, Any], shown: str) -> None:
    await ecs.cluster()
    await ecs.define()
    made = await ecs("CreateService", serviceName="web", taskDefinition="web", desiredCount=1, **members)
    assert made["service"]["availabilityZoneRebalancing"] == shown
    kept = await ecs("UpdateService", service="web", desiredCount=2)
    assert kept["service"]["availabilityZoneRebalancing"] == shown
    off = await ecs("UpdateService", service="web", availabilityZoneRebalancing="DISABLED")
    assert off["service"]["availabilityZoneRebalancing"] == "DISABLED"


async def test_zones_that_cannot_be_balanced_are_refused(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.define()
    rails = {"minimumHealthyPercent": 50, "maximumPercent": 100}
    asked = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "availabilityZoneRebalancing": "ENABLED"}
    assert "maximumPercent of 100" in (await ecs.refused("CreateService", **asked, deploymentConfiguration=rails))[1]
    await ecs("CreateService", **asked)
    code, message = await ecs.refused("UpdateService", service="web", deploymentConfiguration=rails)
    assert (code, "Set it to DISABLED" in message) == ("InvalidParameterException", True)
