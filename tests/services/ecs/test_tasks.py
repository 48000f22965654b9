"""Tasks: run, started, stopped, shown, listed; and what agents report of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from longshore.services.elbv2.model import TARGETS, Target
from tests.services.ecs.conftest import ACCOUNT, Ecs

_CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "data" / "agent-captures"


async def ready(ecs: Ecs, instances: int = 1, **define: Any) -> list[str]:
    await ecs.cluster()
    arns = [await ecs.instance(n + 1, zone=("us-east-1a", "us-east-1b")[n % 2]) for n in range(instances)]
    await ecs.define(**define)
    return arns


# ── RunTask ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_task_gets_a_place_and_waits_for_its_agent(ecs: Ecs) -> None:
    (instance,) = await ready(ecs, container={"cpu": 10, "memory": 128})
    answer = await ecs("RunTask", taskDefinition="web", startedBy="me")
    (task,) = answer["tasks"]
    assert answer["failures"] == []
    assert (task["lastStatus"], task["desiredStatus"], task["launchType"]) == ("PENDING", "RUNNING", "EC2")
    assert (task["containerInstanceArn"], task["availabilityZone"]) == (instance, "us-east-1a")
    assert (task["group"], task["startedBy"], task["cpu"], task["memory"]) == ("family:web", "me", "10", "128")
    assert task["overrides"]["containerOverrides"] == [{"name": "app"}]
    (container,) = task["containers"]
    assert (container["name"], container["lastStatus"], container["cpu"], container["memory"]) == ("app", "PENDING", "10", "128")
    assert (await ecs("DescribeTasks", tasks=[task["taskArn"]]))["tasks"] == [task]


async def test_tasks_spread_over_zones(ecs: Ecs) -> None:
    await ready(ecs, instances=2)
    tasks = (await ecs("RunTask", taskDefinition="web", count=4))["tasks"]
    assert sorted(task["availabilityZone"] for task in tasks) == ["us-east-1a", "us-east-1a", "us-east-1b", "us-east-1b"]


async def test_what_does_not_fit_is_told_for_each_instance(ecs: Ecs) -> None:
    instances = await ready(ecs, instances=2, container={"memory": 1500})
    answer = await ecs("RunTask", taskDefinition="web", count=3)
    assert len(answer["tasks"]) == 2
    assert sorted(failure["arn"] for failure in answer["failures"]) == sorted(instances)
    assert {failure["reason"] for failure in answer["failures"]} == {"RESOURCE:MEMORY"}


async def test_a_host_port_is_given_once_and_free_again_when_the_task_has_stopped(ecs: Ecs) -> None:
    await ready(ecs, container={"portMappings": [{"containerPort": 80, "hostPort": 8080}]})
    (task,) = (await ecs("RunTask", taskDefinition="web"))["tasks"]
    assert (await ecs("RunTask", taskDefinition="web"))["failures"][0]["reason"] == "RESOURCE:PORTS"
    await ecs.report(task["taskArn"], "STOPPED")
    assert (await ecs("RunTask", taskDefinition="web"))["failures"] == []


async def test_a_port_that_the_machine_keeps_is_taken(ecs: Ecs) -> None:
    await ready(ecs, container={"portMappings": [{"containerPort": 22, "hostPort": 22}]})
    assert (await ecs("RunTask", taskDefinition="web"))["failures"][0]["reason"] == "RESOURCE:PORTS"


async def test_an_agent_that_is_away_gets_nothing(ecs: Ecs) -> None:
    (instance,) = await ready(ecs)
    await ecs.connect(instance, connected=False)
    assert (await ecs("RunTask", taskDefinition="web"))["failures"] == [{"arn": instance, "reason": "AGENT"}]


async def test_a_missing_capability_is_a_missing_attribute(ecs: Ecs) -> None:
    (instance,) = await ready(ecs, container={"privileged": True})
    assert (await ecs("RunTask", taskDefinition="web"))["failures"] == [{"arn": instance, "reason": "ATTRIBUTE"}]


async def test_an_empty_cluster_is_refused(ecs: Ecs) -> None:
    await ready(ecs, instances=0)
    assert await ecs.refused("RunTask", taskDefinition="web") == (
        "InvalidParameterException",
        "No Container Instances were found in your cluster.",
    )


async def test_tasks_that_are_asked_for_at_the_same_time_do_not_share_what_there_is(ecs: Ecs) -> None:
    await ready(ecs, instances=2, container={"memory": 200})
    answers = await asyncio.gather(*(ecs("RunTask", taskDefinition="web", count=3) for _ in range(10)))
    assert sum(len(answer["tasks"]) for answer in answers) == 2 * (2048 // 200)
    arns = (await ecs("ListContainerInstances"))["containerInstanceArns"]
    for shown in (await ecs("DescribeContainerInstances", containerInstances=arns))["containerInstances"]:
        assert {one["name"]: one["integerValue"] for one in shown["remainingResources"]}["MEMORY"] == 2048 % 200


async def test_the_same_client_token_runs_the_same_tasks_once(ecs: Ecs) -> None:
    await ready(ecs)
    first = await ecs("RunTask", taskDefinition="web", count=2, clientToken="t")
    again = await ecs("RunTask", taskDefinition="web", count=2, clientToken="t")
    assert sorted(task["taskArn"] for task in first["tasks"]) == sorted(task["taskArn"] for task in again["tasks"])
    assert len((await ecs("ListTasks"))["taskArns"]) == 2
    assert (await ecs.refused("RunTask", taskDefinition="web", clientToken="t", startedBy="x"))[0] == "ConflictException"


async def test_overrides_change_what_a_task_is_and_takes(ecs: Ecs) -> None:
    await ready(ecs)
    overrides = {"containerOverrides": [{"name": "app", "command": ["true"], "memory": 256, "cpu": 64}], "memory": "1 GB"}
    (task,) = (await ecs("RunTask", taskDefinition="web", overrides=overrides))["tasks"]
    assert (task["cpu"], task["memory"], task["containers"][0]["memory"]) == ("64", "1024", "256")
    assert task["overrides"]["containerOverrides"][0]["command"] == ["true"]
    unknown = {"containerOverrides": [{"name": "db"}]}
    code, message = await ecs.refused("RunTask", taskDefinition="web", overrides=unknown)
    assert (code, message) == ("InvalidParameterException", "Override for container named db is not a container in the TaskDefinition.")
    long = {"containerOverrides": [{"name": "app", "command": ["x" * 9000]}]}
    assert "8192" in (await ecs.refused("RunTask", taskDefinition="web", overrides=long))[1]


async def test_placement_can_be_constrained(ecs: Ecs) -> None:
    _, second = await ready(ecs, instances=2)
    there = [{"type": "memberOf", "expression": "attribute:ecs.availability-zone == us-east-1b"}]
    tasks = (await ecs("RunTask", taskDefinition="web", count=2, placementConstraints=there))["tasks"]
    assert {task["containerInstanceArn"] for task in tasks} == {second}
    await ecs.define("single", placementConstraints=there)
    answer = await ecs("RunTask", taskDefinition="single", count=2, placementConstraints=[{"type": "distinctInstance"}])
    assert [task["containerInstanceArn"] for task in answer["tasks"]] == [second]
    assert {failure["reason"] for failure in answer["failures"]} == {
        "DistinctInstance placement constraint unsatisfied.",
        "MemberOf placement constraint unsatisfied.",
    }


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"count": 0}, "InvalidParameterException"),
        ({"count": 11}, "InvalidParameterException"),
        ({"startedBy": "a b"}, "InvalidParameterException"),
        ({"startedBy": "a" * 129}, "InvalidParameterException"),
        ({"group": "service:web"}, "InvalidParameterException"),
        ({"cluster": "other"}, "ClusterNotFoundException"),
        ({"cluster": "a/b"}, "InvalidParameterException"),
        ({"taskDefinition": "nobody"}, "ClientException"),
        ({"launchType": "FARGATE"}, "UnsupportedFeatureException"),
        ({"capacityProviderStrategy": [{"capacityProvider": "x"}]}, "InvalidParameterException"),
        ({"networkConfiguration": {"awsvpcConfiguration": {"subnets": ["s"]}}}, "InvalidParameterException"),
        ({"placementStrategy": [{"type": "binpack", "field": "disk"}]}, "InvalidParameterException"),
        ({"placementStrategy": [{"type": "spread"}]}, "InvalidParameterException"),
        ({"placementStrategy": [{"type": "random"}] * 6}, "InvalidParameterException"),
        ({"placementConstraints": [{"type": "memberOf", "expression": "nonsense"}]}, "InvalidParameterException"),
        ({"placementConstraints": [{"type": "distinctInstance"}] * 11}, "InvalidParameterException"),
        ({"propagateTags": "SERVICE"}, "InvalidParameterException"),
    ],
)
async def test_what_cannot_be_run_is_refused(ecs: Ecs, members: dict[str, Any], code: str) -> None:
    await ready(ecs)
    assert (await ecs.refused("RunTask", **{"taskDefinition": "web", **members}))[0] == code
    assert (await ecs("ListTasks"))["taskArns"] == []


async def test_tags_come_from_the_request_the_definition_and_ecs_itself(ecs: Ecs) -> None:
    await ready(ecs, tags=[{"key": "a", "value": "definition"}, {"key": "b", "value": "definition"}])
    (task,) = (
        await ecs(
            "RunTask",
            taskDefinition="web",
            propagateTags="TASK_DEFINITION",
            enableECSManagedTags=True,
            tags=[{"key": "a", "value": "own"}],
        )
    )["tasks"]
    assert {tag["key"]: tag["value"] for tag in task["tags"]} == {"a": "own", "b": "definition", "aws:ecs:clusterName": "default"}
    assert (await ecs("DescribeTasks", tasks=[task["taskArn"]]))["tasks"][0]["tags"] == []


# ── StartTask ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_task_is_started_on_each_instance_that_is_named(ecs: Ecs) -> None:
    first, second = await ready(ecs, instances=2, container={"portMappings": [{"containerPort": 80, "hostPort": 80}]})
    await ecs.connect(second, connected=False)
    missing = first.rsplit("/", 1)[0] + "/" + "f" * 32
    answer = await ecs("StartTask", taskDefinition="web", containerInstances=[first, second, missing, first])
    assert [task["containerInstanceArn"] for task in answer["tasks"]] == [first]
    assert [(failure["arn"], failure["reason"]) for failure in answer["failures"]] == [
        (second, "AGENT"),
        (missing, "MISSING"),
        (first, "RESOURCE:PORTS"),
    ]


# ── StopTask ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stopped_task_says_who_stopped_it(ecs: Ecs) -> None:
    await ready(ecs)
    arn = (await ecs("RunTask", taskDefinition="web"))["tasks"][0]["taskArn"]
    stopping = (await ecs("StopTask", task=arn.rsplit("/", 1)[-1], reason="enough"))["task"]
    assert (stopping["desiredStatus"], stopping["lastStatus"]) == ("STOPPED", "STOPPING")
    assert (stopping["stoppedReason"], stopping["stopCode"]) == ("enough", "UserInitiated")
    assert (await ecs("StopTask", task=arn, reason="again"))["task"]["stoppedReason"] == "enough"
    await ecs.report(arn, "STOPPED", containers=[{"containerName": "app", "status": "STOPPED", "exitCode": 137}])
    stopped = (await ecs("DescribeTasks", tasks=[arn]))["tasks"][0]
    assert (stopped["lastStatus"], stopped["stoppedReason"], stopped["containers"][0]["exitCode"]) == ("STOPPED", "enough", 137)


async def test_a_task_behind_a_load_balancer_loses_its_traffic_first(ecs: Ecs) -> None:
    await ready(ecs)
    arn = (await ecs("RunTask", taskDefinition="web"))["tasks"][0]["taskArn"]
    target = Target(target_group_arn="tg", id="i-1", port=80, registered_at=0.0, address="127.0.1.1", owner=arn)
    await ecs.call.store.transact(lambda tx: tx.put(TARGETS, target))
    assert (await ecs("StopTask", task=arn))["task"]["lastStatus"] == "DEACTIVATING"


async def test_tasks_that_nobody_knows(ecs: Ecs) -> None:
    await ready(ecs)
    unknown = "f" * 32
    assert await ecs.refused("StopTask", task=unknown) == ("InvalidParameterException", "The referenced task was not found.")
    assert (await ecs.refused("StopTask", task="x"))[1] == "taskId length should be one of [32,36]"
    failures = (await ecs("DescribeTasks", tasks=[unknown]))["failures"]
    assert failures == [{"arn": f"arn:aws:ecs:us-east-1:000000000000:task/default/{unknown}", "reason": "MISSING"}]
    other = f"arn:aws:ecs:us-east-1:000000000000:task/other/{unknown}"
    assert (await ecs.refused("DescribeTasks", tasks=[other]))[1] == "Identifier is for cluster other. Your cluster is default"


# ── listing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_tasks_are_listed_by_everything_that_tells_them_apart(ecs: Ecs) -> None:
    first, second = await ready(ecs, instances=2)
    await ecs.define("api")
    web = (await ecs("RunTask", taskDefinition="web", startedBy="me", count=2))["tasks"]
    api = (await ecs("StartTask", taskDefinition="api", startedBy="me", containerInstances=[first]))["tasks"]
    arns = {"web": sorted(task["taskArn"] for task in web), "api": [task["taskArn"] for task in api]}

    async def listed(**filters: Any) -> list[str]:
        found: list[str] = (await ecs("ListTasks", **filters))["taskArns"]
        return found

    assert await listed() == sorted(arns["web"] + arns["api"])
    assert await listed(family="web") == arns["web"]
    assert await listed(startedBy="me") == sorted(arns["web"] + arns["api"])
    assert await listed(startedBy="you") == []
    assert await listed(containerInstance=first, family="api") == arns["api"]
    assert await listed(containerInstance=second) == [task["taskArn"] for task in web if task["containerInstanceArn"] == second]
    assert await listed(launchType="FARGATE") == []
    assert await listed(desiredStatus="STOPPED") == []
    await ecs("StopTask", task=arns["api"][0])
    assert await listed(desiredStatus="STOPPED") == arns["api"]
    assert await listed(family="api") == []
    assert (await ecs.refused("ListTasks", serviceName="nobody"))[0] == "ServiceNotFoundException"
    assert (await ecs.refused("ListTasks", containerInstance="f" * 32))[0] == "InvalidParameterException"


@pytest.mark.parametrize("other", [{"family": "web"}, {"serviceName": "site"}, {"launchType": "EC2"}, {"containerInstance": "f" * 32}])
async def test_who_started_a_task_is_no_filter_beside_others(ecs: Ecs, other: dict[str, str]) -> None:
    await ready(ecs)
    code, message = await ecs.refused("ListTasks", startedBy="me", **other)
    assert (code, message) == (
        "InvalidParameterException",
        "When you specify startedBy as the filter, it must be the only filter that you use.",
    )


async def test_task_listings_go_page_by_page(ecs: Ecs) -> None:
    await ready(ecs)
    await ecs("RunTask", taskDefinition="web", count=7)
    first = await ecs("ListTasks", maxResults=5)
    second = await ecs("ListTasks", maxResults=5, nextToken=first["nextToken"])
    assert len(set(first["taskArns"] + second["taskArns"])) == 7
    assert (await ecs.refused("ListTasks", family="web", nextToken=first["nextToken"]))[0] == "InvalidParameterException"


# ── what agents report ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_task_runs_when_its_agent_says_so_and_never_goes_back(ecs: Ecs) -> None:
    await ready(ecs)
    arn = (await ecs("RunTask", taskDefinition="web"))["tasks"][0]["taskArn"]
    binding = {"bindIP": "127.0.1.1", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"}
    running = {"containerName": "app", "status": "RUNNING", "runtimeId": "abc", "networkBindings": [binding]}
    await ecs.report(arn, "RUNNING", containers=[running], pullStartedAt=1.0, pullStoppedAt=2.0)
    shown = (await ecs("DescribeTasks", tasks=[arn]))["tasks"][0]
    assert (shown["lastStatus"], shown["connectivity"]) == ("RUNNING", "CONNECTED")
    assert shown["containers"][0]["networkBindings"] == [binding]
    await ecs.connect(shown["containerInstanceArn"], connected=False)
    assert (await ecs("DescribeTasks", tasks=[arn]))["tasks"][0]["connectivity"] == "DISCONNECTED"
    assert shown["pullStartedAt"].timestamp() == 1.0
    await ecs.report(arn, "PENDING")
    assert (await ecs("DescribeTasks", tasks=[arn]))["tasks"][0]["lastStatus"] == "RUNNING"
    await ecs.report(arn, "STOPPED", containers=[{"containerName": "app", "status": "STOPPED", "exitCode": 3}])
    await ecs.report(arn, "RUNNING", containers=[running])
    shown = (await ecs("DescribeTasks", tasks=[arn]))["tasks"][0]
    assert (shown["lastStatus"], shown["stopCode"]) == ("STOPPED", "EssentialContainerExited")
    assert shown["stoppedReason"] == "Essential container in task exited"


async def test_a_task_that_never_ran_failed_to_start(ecs: Ecs) -> None:
    await ready(ecs)
    arn = (await ecs("RunTask", taskDefinition="web"))["tasks"][0]["taskArn"]
    reason = "CannotPullContainerError: no such image"
    await ecs.report(arn, "STOPPED", containers=[{"containerName": "app", "status": "STOPPED", "reason": reason}])
    shown = (await ecs("DescribeTasks", tasks=[arn]))["tasks"][0]
    assert (shown["stopCode"], shown["stoppedReason"], shown["containers"][0]["reason"]) == ("TaskFailedToStart", reason, reason)


async def test_reports_on_tasks_of_other_clusters_or_of_nobody_are_dropped_for_good(ecs: Ecs) -> None:
    await ready(ecs)
    await ecs.cluster("other")
    arn = (await ecs("RunTask", taskDefinition="web"))["tasks"][0]["taskArn"]
    for cluster, task in (("other", arn), ("default", arn[:-1] + "g"), ("default", arn[:-32] + "f" * 32), ("default", "x")):
        code, _ = await ecs.refused("SubmitTaskStateChange", cluster=cluster, task=task, status="RUNNING")
        assert code == "InvalidParameterException"


@pytest.mark.skipif(not _CAPTURES.is_dir(), reason="the captures of the agent are not beside this checkout")
async def test_the_stock_agents_reports_are_understood(ecs: Ecs) -> None:
    await ecs.cluster("demo")
    await ecs.instance(cluster="demo")
    containers = [
        {"name": "web", "image": "bb:1", "memory": 32},
        {"name": "init", "image": "bb:1", "memory": 32, "essential": False},
    ]
    await ecs.define("fam", containerDefinitions=containers)
    arn = (await ecs("RunTask", cluster="demo", taskDefinition="fam"))["tasks"][0]["taskArn"]
    for name, status, codes in (("0082", "RUNNING", (None, 0)), ("0131", "STOPPED", (0, 0))):
        body = json.loads((_CAPTURES / f"{name}-api-SubmitTaskStateChange.json").read_bytes())["data"]["body"]
        await ecs("SubmitTaskStateChange", **{**body, "task": arn})
        shown = (await ecs("DescribeTasks", cluster="demo", tasks=[arn]))["tasks"][0]
        assert shown["lastStatus"] == status
        assert tuple(one.get("exitCode") for one in shown["containers"]) == codes
        assert shown["containers"][1]["lastStatus"] == "STOPPED"


# ── client tokens ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_token_starts_its_tasks_once_for_a_day(ecs: Ecs) -> None:
    await ready(ecs)
    asked = {"taskDefinition": "web", "count": 2, "clientToken": "a|b"}
    first = (await ecs("RunTask", **asked))["tasks"]
    assert sorted(task["taskArn"] for task in (await ecs("RunTask", **asked))["tasks"]) == sorted(task["taskArn"] for task in first)
    assert (await ecs.refused("RunTask", **asked | {"count": 1}))[0] == "ConflictException"
    assert (await ecs.refused("RunTask", **asked | {"clientToken": "with blank"}))[0] == "InvalidParameterException"
    await ecs.clock.step(24 * 3600.0)
    assert not {task["taskArn"] for task in (await ecs("RunTask", **asked))["tasks"]} & {task["taskArn"] for task in first}


@pytest.mark.parametrize(
    ("overrides", "code", "words"),
    [
        ({"containerOverrides": [{"name": "app", "memory": 256, "memoryReservation": 300}]}, "ClientException", "must not be less than"),
        ({"containerOverrides": [{"name": "app", "memory": 600}], "memory": "512"}, "ClientException", "sum of the container memory"),
        ({"containerOverrides": [{"name": "app", "cpu": 512}], "cpu": "256"}, "ClientException", "sum of the container 'cpu'"),
        ({"containerOverrides": [{"name": "app", "environment": [{"name": "TOKEN", "value": "x"}]}]}, "ClientException", "such as 'TOKEN'"),
        (
            {"containerOverrides": [{"name": "app", "environmentFiles": [{"value": "arn:aws:s3:::b/k", "type": "s3"}]}]},
            "UnsupportedFeatureException",
            "there is no S3",
        ),
        (
            {"containerOverrides": [{"name": "app", "resourceRequirements": [{"type": "GPU", "value": "few"}]}]},
            "ClientException",
            "GPU resource requirement",
        ),
        ({"ephemeralStorage": {"sizeInGiB": 50}}, "InvalidParameterException", "Fargate"),
    ],
)
async def test_overrides_must_leave_a_definition_that_can_run(ecs: Ecs, overrides: dict[str, Any], code: str, words: str) -> None:
    await ready(ecs)
    role = f"arn:aws:iam::{ACCOUNT}:role/execution"
    await ecs.define("sealed", executionRoleArn=role, container={"secrets": [{"name": "TOKEN", "valueFrom": "token"}]})
    found = await ecs.refused("RunTask", taskDefinition="sealed", overrides=overrides)
    assert found[0] == code and words in found[1]


async def test_a_token_gives_its_tasks_though_the_task_definition_is_inactive(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.instance()
    await ecs.define()
    asked = {"taskDefinition": "web", "clientToken": "t"}
    first = await ecs("RunTask", **asked)
    await ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    assert [task["taskArn"] for task in (await ecs("RunTask", **asked))["tasks"]] == [first["tasks"][0]["taskArn"]]
    assert (await ecs.refused("RunTask", **asked | {"clientToken": "u"}))[0] == "ClientException"
