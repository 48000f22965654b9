"""What a service was and how it was deployed: recorded, listed, described, and ended by whoever asks."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICE_DEPLOYMENTS, SERVICE_REVISIONS
from longshore.services.ecs.rollout.revisions import KEPT_S, MOST_KEPT
from longshore.store.base import Tx
from tests.services.ecs.conftest import ACCOUNT, REGION, Ecs

STEM = f"arn:aws:ecs:{REGION}:{ACCOUNT}"


async def ready(ecs: Ecs, **members: Any) -> None:
    await ecs.cluster()
    await ecs.define()
    await ecs("CreateService", serviceName="web", taskDefinition="web", desiredCount=2, **members)


async def deploy(ecs: Ecs, **members: Any) -> None:
    await ecs.clock.step(1)
    await ecs("UpdateService", service="web", forceNewDeployment=True, **members)


async def listed(ecs: Ecs, **members: Any) -> list[dict[str, Any]]:
    return list((await ecs("ListServiceDeployments", service="web", **members))["serviceDeployments"])


async def test_a_service_begins_with_a_deployment_and_a_revision(ecs: Ecs) -> None:
    await ready(ecs)
    (brief,) = await listed(ecs)
    assert brief["serviceDeploymentArn"].startswith(f"{STEM}:service-deployment/default/web/")
    assert brief["targetServiceRevisionArn"].startswith(f"{STEM}:service-revision/default/web/")
    assert brief["status"] == "PENDING"
    arns = [brief["serviceDeploymentArn"]]
    (shown,) = (await ecs("DescribeServiceDeployments", serviceDeploymentArns=arns))["serviceDeployments"]
    assert shown["targetServiceRevision"]["requestedTaskCount"] == 2
    assert shown["sourceServiceRevisions"] == []
    assert shown["deploymentConfiguration"]["strategy"] == "ROLLING"
    assert shown["deploymentCircuitBreaker"]["status"] == "DISABLED"
    service = (await ecs("DescribeServices", services=["web"]))["services"][0]
    assert service["currentServiceDeployment"] == arns[0]
    assert [one["arn"] for one in service["currentServiceRevisions"]] == [brief["targetServiceRevisionArn"]]


async def test_a_revision_shows_what_was_to_run_whatever_the_service_became(ecs: Ecs) -> None:
    await ready(ecs)
    await ecs.define(container={"image": "busybox:2"})
    await deploy(ecs, taskDefinition="web:2")
    newer, older = [one["targetServiceRevisionArn"] for one in await listed(ecs)]
    revisions = (await ecs("DescribeServiceRevisions", serviceRevisionArns=[older, newer]))["serviceRevisions"]
    assert [one["taskDefinition"][-1] for one in revisions] == ["1", "2"]
    assert [one["containerImages"] for one in revisions] == [
        [{"containerName": "app", "image": "busybox"}],
        [{"containerName": "app", "image": "busybox:2"}],
    ]
    assert revisions[0]["launchType"] == "EC2"


async def test_the_list_is_filtered_by_status_and_time_and_comes_in_pages_newest_first(ecs: Ecs) -> None:
    await ready(ecs)
    for _ in range(4):
        await deploy(ecs)
    everything = [one["serviceDeploymentArn"] for one in await listed(ecs)]
    assert len(everything) == 5
    times = [one["createdAt"] for one in await listed(ecs)]
    assert times == sorted(times, reverse=True)
    assert len(await listed(ecs, status=["STOPPED"])) == 4
    assert await listed(ecs, status=["SUCCESSFUL"]) == []
    assert [one["serviceDeploymentArn"] for one in await listed(ecs, createdAt={"after": times[2].timestamp()})] == everything[:2]
    assert [one["serviceDeploymentArn"] for one in await listed(ecs, createdAt={"before": times[2].timestamp()})] == everything[3:]
    paged: list[str] = []
    token: dict[str, str] = {}
    for _ in range(3):
        page = await ecs("ListServiceDeployments", service="web", maxResults=2, **token)
        paged += [one["serviceDeploymentArn"] for one in page["serviceDeployments"]]
        token = {"nextToken": page["nextToken"]} if "nextToken" in page else {}
    assert paged == everything and not token
    assert (await ecs.refused("ListServiceDeployments", service="web", nextToken="guessed"))[0] == "InvalidParameterException"
    assert (await ecs.refused("ListServiceDeployments", service="nobody"))[0] == "ServiceNotFoundException"


async def test_a_newer_deployment_stops_the_one_before_it(ecs: Ecs) -> None:
    await ready(ecs)
    await deploy(ecs)
    newer, older = await listed(ecs)
    assert (newer["status"], older["status"]) == ("PENDING", "STOPPED")
    assert older["statusReason"] == "Service deployment stopped because a newer service deployment was started."


async def test_what_is_not_a_deployments_own_begins_none(ecs: Ecs) -> None:
    await ready(ecs)
    await ecs("UpdateService", service="web", desiredCount=3, deploymentConfiguration={"maximumPercent": 150}, propagateTags="SERVICE")
    assert len(await listed(ecs)) == 1


async def test_old_records_go_with_the_revisions_that_only_they_name(ecs: Ecs) -> None:
    await ready(ecs)

    def retire(tx: Tx) -> None:
        for one in tx.list(DEPLOYMENTS):
            if one.status == "ACTIVE":
                tx.put(DEPLOYMENTS, replace(one, status="INACTIVE"))

    for _ in range(MOST_KEPT + 5):
        await deploy(ecs)
        await ecs.call.store.transact(retire)
    assert ecs.call.store.count(SERVICE_DEPLOYMENTS) <= MOST_KEPT + 1
    assert ecs.call.store.count(SERVICE_REVISIONS) <= MOST_KEPT + 3
    assert ecs.call.store.count(DEPLOYMENTS) <= MOST_KEPT + 3
    await ecs.clock.step(KEPT_S + 1)
    await deploy(ecs)
    assert ecs.call.store.count(SERVICE_DEPLOYMENTS) == 1


async def test_a_service_made_again_under_its_name_has_no_past(ecs: Ecs) -> None:
    await ready(ecs)
    await deploy(ecs)
    await ecs("DeleteService", service="web", force=True)
    assert len(await listed(ecs)) == 2


@pytest.mark.parametrize(
    ("operation", "name", "arn", "words"),
    [
        ("DescribeServiceDeployments", "serviceDeploymentArns", "web", "not a valid service-deployment identifier"),
        ("DescribeServiceDeployments", "serviceDeploymentArns", f"{STEM}:service-revision/default/web/1", "not a valid service-deployment"),
        ("DescribeServiceRevisions", "serviceRevisionArns", f"{STEM}:service-revision/default/web", "not a valid service-revision"),
        ("DescribeServiceRevisions", "serviceRevisionArns", STEM.replace(ACCOUNT, "9" * 12) + ":service-revision/a/b/1", "another account"),
    ],
)
async def test_arns_of_other_things_are_refused(ecs: Ecs, operation: str, name: str, arn: str, words: str) -> None:
    code, message = await ecs.refused(operation, **{name: [arn]})
    assert code == "InvalidParameterException" and words in message


async def test_what_is_not_known_is_missing_and_only_one_service_is_asked_about(ecs: Ecs) -> None:
    await ready(ecs)
    unknown = f"{STEM}:service-deployment/default/web/unknown"
    answer = await ecs("DescribeServiceDeployments", serviceDeploymentArns=[unknown])
    assert answer["failures"] == [{"arn": unknown, "reason": "MISSING"}]
    other = f"{STEM}:service-deployment/default/other/unknown"
    assert "one service" in (await ecs.refused("DescribeServiceDeployments", serviceDeploymentArns=[unknown, other]))[1]
    many = [f"{STEM}:service-deployment/default/web/{number}" for number in range(21)]
    assert "more than 20" in (await ecs.refused("DescribeServiceDeployments", serviceDeploymentArns=many))[1]


async def test_stopping_asks_for_the_way_back_which_a_first_deployment_does_not_have(ecs: Ecs) -> None:
    await ready(ecs)
    (first,) = await listed(ecs)
    refused = await ecs.refused("StopServiceDeployment", serviceDeploymentArn=first["serviceDeploymentArn"])
    assert refused == ("ConflictException", "The service deployment cannot be rolled back: there is no previous service revision.")
    await deploy(ecs)
    newest = (await listed(ecs))[0]["serviceDeploymentArn"]
    assert (await ecs("StopServiceDeployment", serviceDeploymentArn=newest)) == {"serviceDeploymentArn": newest}
    assert (await listed(ecs))[0]["status"] == "ROLLBACK_REQUESTED"
    assert (await ecs.refused("StopServiceDeployment", serviceDeploymentArn=newest))[0] == "ConflictException"
    unknown = f"{STEM}:service-deployment/default/web/unknown"
    assert (await ecs.refused("StopServiceDeployment", serviceDeploymentArn=unknown))[0] == "ServiceDeploymentNotFoundException"
    assert (await ecs.refused("ContinueServiceDeployment", serviceDeploymentArn=newest, hookId="1"))[0] == "InvalidParameterException"


# ── how services may be deployed ────────────────────────────────────────────────────────────────────────────────────


PAUSE = {"targetType": "PAUSE", "lifecycleStages": ["POST_SCALE_UP"]}


@pytest.mark.parametrize(
    ("configuration", "code", "words"),
    [
        ({"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 1441}, "InvalidParameterException", "bakeTimeInMinutes"),
        (
            {"strategy": "BLUE_GREEN", "canaryConfiguration": {}},
            "InvalidParameterException",
            "strategy CANARY",
        ),
        ({"strategy": "CANARY", "linearConfiguration": {}}, "InvalidParameterException", "strategy LINEAR"),
        ({"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 0.05}}, "InvalidParameterException", "multiple of 0.1"),
        ({"strategy": "CANARY", "canaryConfiguration": {"canaryPercent": 100.1}}, "InvalidParameterException", "multiple of 0.1"),
        ({"strategy": "LINEAR", "linearConfiguration": {"stepPercent": 2.9}}, "InvalidParameterException", "between 3.0 and 100.0"),
        (
            {"strategy": "LINEAR", "linearConfiguration": {"stepBakeTimeInMinutes": -1}},
            "InvalidParameterException",
            "stepBakeTimeInMinutes",
        ),
        ({"strategy": "ROLLING", "bakeTimeInMinutes": 5}, "UnsupportedFeatureException", "bakeTimeInMinutes"),
        ({"lifecycleHooks": [PAUSE]}, "UnsupportedFeatureException", "ifecycle"),
        (
            {"strategy": "BLUE_GREEN", "lifecycleHooks": [{"lifecycleStages": ["POST_SCALE_UP"], "hookTargetArn": "arn:aws:lambda"}]},
            "UnsupportedFeatureException",
            "Lambda",
        ),
        ({"strategy": "BLUE_GREEN", "lifecycleHooks": [{"targetType": "PAUSE"}]}, "InvalidParameterException", "lifecycleStages"),
        (
            {"strategy": "BLUE_GREEN", "lifecycleHooks": [PAUSE | {"lifecycleStages": ["TEST_TRAFFIC_SHIFT"]}]},
            "InvalidParameterException",
            "TEST_TRAFFIC_SHIFT",
        ),
        ({"strategy": "BLUE_GREEN", "lifecycleHooks": [PAUSE | {"roleArn": "r"}]}, "InvalidParameterException", "roleArn"),
        (
            {"strategy": "BLUE_GREEN", "lifecycleHooks": [PAUSE | {"timeoutConfiguration": {"timeoutInMinutes": 0}}]},
            "InvalidParameterException",
            "timeoutInMinutes",
        ),
        ({"alarms": {"alarmNames": ["a"], "enable": True, "rollback": True}}, "UnsupportedFeatureException", "alarms"),
        (
            {"earlySuccessCriteria": {"enable": True, "healthyPercent": 100, "sourceServiceRevisionCleanup": "BLOCKING"}},
            "UnsupportedFeatureException",
            "Early success",
        ),
    ],
)
async def test_configurations_that_make_no_sense_or_cannot_be_done_are_refused(
    ecs: Ecs, configuration: dict[str, Any], code: str, words: str
) -> None:
    await ecs.cluster()
    await ecs.define()
    wanted = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "deploymentConfiguration": configuration}
    refused = await ecs.refused("CreateService", **wanted)
    assert refused[0] == code and words in refused[1]


async def test_what_belongs_to_a_strategy_goes_with_it(ecs: Ecs) -> None:
    await ready(ecs, deploymentConfiguration={"strategy": "CANARY", "bakeTimeInMinutes": 3, "lifecycleHooks": [PAUSE]})
    shown = (await ecs("DescribeServices", services=["web"]))["services"][0]["deploymentConfiguration"]
    assert (shown["strategy"], shown["bakeTimeInMinutes"], len(shown["lifecycleHooks"])) == ("CANARY", 3, 1)
    updated = await ecs("UpdateService", service="web", deploymentConfiguration={"strategy": "ROLLING"})
    shown = updated["service"]["deploymentConfiguration"]
    assert (shown["strategy"], shown["bakeTimeInMinutes"]) == ("ROLLING", 0)
    assert "lifecycleHooks" not in shown


async def test_daemons_and_foreign_controllers_shift_no_traffic(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.define()
    configuration = {"deploymentConfiguration": {"strategy": "BLUE_GREEN"}}
    daemon = {"serviceName": "web", "taskDefinition": "web", "schedulingStrategy": "DAEMON"}
    assert "DAEMON" in (await ecs.refused("CreateService", **daemon, **configuration))[1]
    foreign = {"serviceName": "web", "desiredCount": 1, "deploymentController": {"type": "EXTERNAL"}}
    assert "EXTERNAL" in (await ecs.refused("CreateService", **foreign, **configuration))[1]
