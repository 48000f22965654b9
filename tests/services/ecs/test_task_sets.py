"""Task sets: what an external deployment controller says about a service."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.services.ecs.rollout.views import computed_count
from tests.services.ecs.conftest import Ecs

FOREIGN = {"cluster": "default", "service": "web"}


async def ready(ecs: Ecs, desired: int = 3) -> None:
    await ecs.cluster()
    await ecs.define()
    await ecs("CreateService", serviceName="web", desiredCount=desired, deploymentController={"type": "EXTERNAL"})


async def made(ecs: Ecs, percent: float = 50, **members: Any) -> dict[str, Any]:
    scale = {"value": percent, "unit": "PERCENT"}
    return dict((await ecs("CreateTaskSet", **FOREIGN, taskDefinition="web", scale=scale, **members))["taskSet"])


async def test_such_a_service_has_nothing_to_run_until_a_task_set_is_primary(ecs: Ecs) -> None:
    await ready(ecs)
    service = (await ecs("DescribeServices", services=["web"]))["services"][0]
    assert service["deploymentController"] == {"type": "EXTERNAL"}
    assert service["deployments"] == [] and service["taskSets"] == []
    assert "taskDefinition" not in service and "launchType" not in service
    one = await made(ecs)
    assert (one["status"], one["computedDesiredCount"], one["stabilityStatus"]) == ("ACTIVE", 2, "STABILIZING")
    assert one["taskSetArn"].endswith(f"task-set/default/web/{one['id']}")
    promoted = await ecs("UpdateServicePrimaryTaskSet", **FOREIGN, primaryTaskSet=one["id"])
    assert promoted["taskSet"]["status"] == "PRIMARY"
    service = (await ecs("DescribeServices", services=["web"]))["services"][0]
    assert service["taskDefinition"].endswith("/web:1")
    assert [shown["id"] for shown in service["taskSets"]] == [one["id"]]


async def test_one_is_primary_at_a_time(ecs: Ecs) -> None:
    await ready(ecs)
    first, second = await made(ecs), await made(ecs)
    for chosen in (first, second):
        await ecs("UpdateServicePrimaryTaskSet", **FOREIGN, primaryTaskSet=chosen["taskSetArn"])
    shown = (await ecs("DescribeTaskSets", **FOREIGN))["taskSets"]
    assert {one["id"]: one["status"] for one in shown} == {first["id"]: "ACTIVE", second["id"]: "PRIMARY"}


async def test_tags_and_what_is_missing_are_told_when_asked_for(ecs: Ecs) -> None:
    await ready(ecs)
    one = await made(ecs, tags=[{"key": "a", "value": "b"}], externalId="build-7")
    shown = await ecs("DescribeTaskSets", **FOREIGN, taskSets=[one["id"], "ecs-svc/1"], include=["TAGS"])
    assert shown["taskSets"][0]["tags"] == [{"key": "a", "value": "b"}]
    assert shown["taskSets"][0]["externalId"] == "build-7"
    assert [failure["reason"] for failure in shown["failures"]] == ["MISSING"]
    await ecs("TagResource", resourceArn=one["taskSetArn"], tags=[{"key": "c", "value": "d"}])
    assert len((await ecs("ListTagsForResource", resourceArn=one["taskSetArn"]))["tags"]) == 2


async def test_the_same_token_makes_one_and_five_are_the_most(ecs: Ecs) -> None:
    await ready(ecs)
    first, again = await made(ecs, clientToken="t"), await made(ecs, clientToken="t")
    assert first["id"] == again["id"]
    refused = await ecs.refused("CreateTaskSet", **FOREIGN, taskDefinition="web", clientToken="t", externalId="other")
    assert refused == ("InvalidParameterException", "Creation of task set was not idempotent.")
    for _ in range(4):
        await made(ecs)
    assert (await ecs.refused("CreateTaskSet", **FOREIGN, taskDefinition="web"))[0] == "LimitExceededException"


@pytest.mark.parametrize(
    "members", [{"scale": {"value": 20, "unit": "PERCENT"}}, {"tags": [{"key": "a", "value": "b"}]}, {"launchType": "EC2"}]
)
async def test_the_same_token_with_anything_else_is_refused(ecs: Ecs, members: dict[str, Any]) -> None:
    await ready(ecs)
    asked = FOREIGN | {"taskDefinition": "web", "clientToken": "t"}
    await ecs("CreateTaskSet", **asked)
    assert "not idempotent" in (await ecs.refused("CreateTaskSet", **asked | members))[1]


async def test_a_token_is_good_after_what_the_request_named_is_gone_and_no_more_once_the_task_set_goes(ecs: Ecs) -> None:
    await ready(ecs)
    first = await made(ecs, clientToken="t")
    await ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    assert (await made(ecs, clientToken="t"))["id"] == first["id"]
    await ecs("DeleteTaskSet", **FOREIGN, taskSet=first["id"], force=True)
    code, words = await ecs.refused(
        "CreateTaskSet", **FOREIGN, taskDefinition="web", scale={"value": 50, "unit": "PERCENT"}, clientToken="t"
    )
    assert code == "InvalidParameterException" and "DRAINING" in words


async def test_a_task_set_goes_when_it_wants_nothing_or_by_force(ecs: Ecs) -> None:
    await ready(ecs)
    one = await made(ecs)
    assert "scaled above 0" in (await ecs.refused("DeleteTaskSet", **FOREIGN, taskSet=one["id"]))[1]
    scaled = await ecs("UpdateTaskSet", **FOREIGN, taskSet=one["id"], scale={"value": 0, "unit": "PERCENT"})
    assert scaled["taskSet"]["computedDesiredCount"] == 0
    gone = await ecs("DeleteTaskSet", **FOREIGN, taskSet=one["id"])
    assert gone["taskSet"]["status"] == "DRAINING"
    assert "DRAINING" in (await ecs.refused("UpdateTaskSet", **FOREIGN, taskSet=one["id"], scale={"value": 1, "unit": "PERCENT"}))[1]
    two = await made(ecs)
    await ecs("UpdateServicePrimaryTaskSet", **FOREIGN, primaryTaskSet=two["id"])
    assert "without force" in (await ecs.refused("DeleteTaskSet", **FOREIGN, taskSet=two["id"]))[1]
    assert (await ecs("DeleteTaskSet", **FOREIGN, taskSet=two["id"], force=True))["taskSet"]["computedDesiredCount"] == 0


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"taskDefinition": "web"}, "taskDefinition"),
        ({"launchType": "EC2"}, "launchType"),
        ({"platformVersion": "LATEST"}, "platformVersion"),
        ({"deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": False}}}, "circuit breaker"),
        ({"schedulingStrategy": "DAEMON"}, "DAEMON"),
    ],
)
async def test_what_task_sets_say_for_themselves_the_service_does_not(ecs: Ecs, members: dict[str, Any], words: str) -> None:
    await ecs.cluster()
    await ecs.define()
    foreign = {"serviceName": "web", "desiredCount": 1, "deploymentController": {"type": "EXTERNAL"}}
    if "schedulingStrategy" in members:
        foreign.pop("desiredCount")
    code, message = await ecs.refused("CreateService", **foreign, **members)
    assert code == "InvalidParameterException" and words in message


async def test_an_update_changes_the_count_and_begins_no_deployment(ecs: Ecs) -> None:
    await ready(ecs)
    updated = (await ecs("UpdateService", service="web", desiredCount=5))["service"]
    assert (updated["desiredCount"], updated["deployments"]) == (5, [])
    assert "taskDefinition" in (await ecs.refused("UpdateService", service="web", taskDefinition="web"))[1]
    assert "forceNewDeployment" in (await ecs.refused("UpdateService", service="web", forceNewDeployment=True))[1]


async def test_only_such_services_have_task_sets_and_they_go_with_force(ecs: Ecs) -> None:
    await ready(ecs, desired=0)
    await ecs("CreateService", serviceName="own", taskDefinition="web", desiredCount=1)
    refused = await ecs.refused("CreateTaskSet", cluster="default", service="own", taskDefinition="web")
    assert "EXTERNAL" in refused[1]
    unknown = {"taskSet": "ecs-svc/1", "force": True}
    assert (await ecs.refused("DeleteTaskSet", **FOREIGN, **unknown))[0] == "TaskSetNotFoundException"
    await made(ecs)
    assert "task sets" in (await ecs.refused("DeleteService", service="web"))[1]
    assert (await ecs("DeleteService", service="web", force=True))["service"]["status"] == "DRAINING"
    assert (await ecs.refused("CreateTaskSet", **FOREIGN, taskDefinition="web"))[0] == "ServiceNotActiveException"


@pytest.mark.parametrize(("desired", "percent", "count"), [(3, 50, 2), (3, 0, 0), (10, 0.1, 1), (10, 10, 1), (3, 100, 3), (0, 50, 0)])
def test_a_share_is_rounded_up(desired: int, percent: float, count: int) -> None:
    assert computed_count(desired, percent) == count


@pytest.mark.parametrize("value", [-1, 101])
async def test_a_scale_is_a_percentage(ecs: Ecs, value: float) -> None:
    await ready(ecs)
    scale = {"value": value, "unit": "PERCENT"}
    assert (await ecs.refused("CreateTaskSet", **FOREIGN, taskDefinition="web", scale=scale))[0] == "InvalidParameterException"
