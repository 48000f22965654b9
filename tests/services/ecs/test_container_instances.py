"""Container instances: registered, shown, listed by expression, given attributes, deregistered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longshore.services.ecs.model import CONTAINER_INSTANCES
from tests.services.ecs.conftest import Ecs, resources

_CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "data" / "agent-captures"


def named(attributes: list[dict[str, str]]) -> dict[str, str | None]:
    return {one["name"]: one.get("value") for one in attributes}


async def test_an_instance_is_what_its_identity_document_says(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = await ecs.instance(7, zone="us-east-1b", attributes=(("stack", "prod"),))
    shown = (await ecs("DescribeContainerInstances", containerInstances=[arn]))["containerInstances"][0]
    assert shown["ec2InstanceId"] == "i-00000000000000007"
    assert shown["status"] == "ACTIVE"
    assert shown["agentConnected"] is True
    attributes = named(shown["attributes"])
    assert attributes["ecs.availability-zone"] == "us-east-1b"
    assert attributes["ecs.instance-type"] == "longshore.local"
    assert attributes["stack"] == "prod"
    kept = ecs.call.store.get(CONTAINER_INSTANCES, arn)
    assert kept is not None
    assert (kept.address, kept.availability_zone) == ("127.0.1.7", "us-east-1b")


async def test_a_machine_without_a_document_is_known_by_where_it_calls_from(ecs: Ecs) -> None:
    await ecs.cluster()
    answer = await ecs("RegisterContainerInstance", instanceIdentityDocument="", totalResources=resources(1024, 512))
    shown = answer["containerInstance"]
    assert shown["ec2InstanceId"].startswith("mi-")
    kept = ecs.call.store.get(CONTAINER_INSTANCES, shown["containerInstanceArn"])
    assert kept is not None
    assert (kept.address, kept.availability_zone) == ("127.0.0.1", "us-east-1a")


@pytest.mark.parametrize("document", ["{", "[]", '"i-1"', "null", "[" * 5000, "x" * 20_000])
async def test_a_document_that_is_none_is_refused(ecs: Ecs, document: str) -> None:
    await ecs.cluster()
    code, _ = await ecs.refused("RegisterContainerInstance", instanceIdentityDocument=document, totalResources=resources(1, 1))
    assert code == "InvalidParameterException"


async def test_what_a_document_claims_is_believed_only_where_it_makes_sense(ecs: Ecs) -> None:
    await ecs.cluster()
    lies = json.dumps({"instanceId": "i-../../x", "privateIp": "evil.example", "availabilityZone": 7, "instanceType": {"a": 1}})
    shown = (await ecs("RegisterContainerInstance", instanceIdentityDocument=lies, totalResources=resources(1, 1)))["containerInstance"]
    kept = ecs.call.store.get(CONTAINER_INSTANCES, shown["containerInstanceArn"])
    assert kept is not None
    assert (kept.address, kept.availability_zone) == ("127.0.0.1", "us-east-1a")
    assert kept.ec2_instance_id.startswith("mi-")


async def test_an_instance_needs_cpu_and_memory(ecs: Ecs) -> None:
    await ecs.cluster()
    assert (await ecs.refused("RegisterContainerInstance", totalResources=[]))[0] == "InvalidParameterException"
    for port in ("http", "0", "65536", "0000121234567", "00012" + "0" * 5000):
        bad_ports = resources(1, 1, ports=(port,))
        assert (await ecs.refused("RegisterContainerInstance", totalResources=bad_ports))[0] == "InvalidParameterException"


async def test_an_unknown_cluster_is_named_so_that_agents_make_it(ecs: Ecs) -> None:
    assert await ecs.refused("RegisterContainerInstance", totalResources=resources(1, 1)) == (
        "ClusterNotFoundException",
        "Cluster not found.",
    )


@pytest.mark.skipif(not _CAPTURES.is_dir(), reason="the captures of the agent are not beside this checkout")
async def test_the_stock_agent_gets_every_attribute_back_and_keeps_its_own_when_it_returns(ecs: Ecs) -> None:
    first = json.loads((_CAPTURES / "0001-api-RegisterContainerInstance.json").read_bytes())["data"]["body"]
    again = json.loads((_CAPTURES / "0154-api-RegisterContainerInstance.json").read_bytes())["data"]["body"]
    await ecs.cluster(first["cluster"])
    made = (await ecs("RegisterContainerInstance", **first))["containerInstance"]
    for attribute in first["attributes"]:
        assert (named(made["attributes"])[attribute["name"]] or "") == attribute.get("value", "")
    back = (await ecs("RegisterContainerInstance", **{**again, "containerInstanceArn": made["containerInstanceArn"]}))["containerInstance"]
    assert back["containerInstanceArn"] == made["containerInstanceArn"]
    assert back["ec2InstanceId"] == made["ec2InstanceId"]
    assert named(back["attributes"])["stack"] == "stub"


async def test_the_same_machine_comes_back_to_its_place(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = await ecs.instance(1)
    assert await ecs.instance(1, cpu=4096) == arn
    assert (await ecs("ListContainerInstances"))["containerInstanceArns"] == [arn]


async def test_a_machine_does_not_change_its_type(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.instance(1)
    document = json.dumps({"instanceId": f"i-{1:017x}", "instanceType": "t2.huge"})
    refused = await ecs.refused("RegisterContainerInstance", instanceIdentityDocument=document, totalResources=resources(1, 1))
    assert refused == ("ClientException", "Container instance type changes are not supported.")


async def test_an_arn_of_somebody_elses_is_refused(ecs: Ecs) -> None:
    await ecs.cluster()
    for arn in (
        f"arn:aws:ecs:us-east-1:111111111111:container-instance/default/{'0' * 32}",
        f"arn:aws:ecs:us-east-1:000000000000:container-instance/other/{'0' * 32}",
        "arn:aws:ecs:us-east-1:000000000000:container-instance/default/../x",
    ):
        code, _ = await ecs.refused("RegisterContainerInstance", containerInstanceArn=arn, totalResources=resources(1, 1))
        assert code == "InvalidParameterException"


async def test_what_tasks_take_is_missing_from_what_remains(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = await ecs.instance(cpu=1024, memory=1024)
    await ecs.define(container={"cpu": 100, "memory": 128, "portMappings": [{"containerPort": 80, "hostPort": 8080}]})
    await ecs("RunTask", taskDefinition="web")
    shown = (await ecs("DescribeContainerInstances", containerInstances=[arn]))["containerInstances"][0]
    remaining = {one["name"]: one.get("stringSetValue", one["integerValue"]) for one in shown["remainingResources"]}
    assert remaining == {"CPU": 924, "MEMORY": 896, "PORTS": ["22", "8080"], "PORTS_UDP": []}
    assert shown["pendingTasksCount"] == 1


async def test_ports_that_agents_chose_are_missing_from_what_remains_those_of_ranges_too(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = await ecs.instance(attributes=(("ecs.capability.network.container-port-range", ""),))
    await ecs.define(container={"portMappings": [{"containerPort": 80, "hostPort": 0}, {"containerPortRange": "9000-9002"}]})
    task = (await ecs("RunTask", taskDefinition="web"))["tasks"][0]["taskArn"]
    bindings = [
        {"bindIP": "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"},
        {"bindIP": "0.0.0.0", "containerPortRange": "9000-9002", "hostPortRange": "32775-32777", "protocol": "tcp"},
        {"bindIP": "0.0.0.0", "containerPortRange": "9000-9002", "hostPortRange": "1-99999", "protocol": "tcp"},
        {"bindIP": "0.0.0.0", "containerPortRange": "9000-9002", "hostPortRange": "many", "protocol": "tcp"},
    ]
    await ecs.report(task, "RUNNING", containers=[{"containerName": "app", "status": "RUNNING", "networkBindings": bindings}])
    shown = (await ecs("DescribeContainerInstances", containerInstances=[arn]))["containerInstances"][0]
    remaining = {one["name"]: one.get("stringSetValue") for one in shown["remainingResources"]}
    assert remaining["PORTS"] == ["22", "32768", "32775", "32776", "32777"]


async def test_instances_are_listed_by_status_and_expression(ecs: Ecs) -> None:
    await ecs.cluster()
    first, second = await ecs.instance(1), await ecs.instance(2, zone="us-east-1b", connected=False)
    found = await ecs("ListContainerInstances", filter="attribute:ecs.availability-zone == us-east-1b")
    assert found["containerInstanceArns"] == [second]
    assert (await ecs("ListContainerInstances", filter="agentConnected == true"))["containerInstanceArns"] == [first]
    assert (await ecs("ListContainerInstances", status="DRAINING"))["containerInstanceArns"] == []
    code, message = await ecs.refused("ListContainerInstances", filter="attribute:a ==")
    assert (code, message) == ("InvalidParameterException", "Invalid filter expression: a value is missing at position 15")


async def test_an_instance_with_tasks_is_deregistered_by_force_only(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = await ecs.instance()
    await ecs.define()
    task = (await ecs("RunTask", taskDefinition="web"))["tasks"][0]["taskArn"]
    assert await ecs.refused("DeregisterContainerInstance", containerInstance=arn) == (
        "InvalidParameterException",
        "Found running tasks on the instance.",
    )
    gone = (await ecs("DeregisterContainerInstance", containerInstance=arn, force=True))["containerInstance"]
    assert (gone["status"], gone["agentConnected"]) == ("INACTIVE", False)
    shown = (await ecs("DescribeTasks", tasks=[task]))["tasks"][0]
    assert (shown["lastStatus"], shown["stoppedReason"]) == ("STOPPED", "Container instance deregistration forced by user")
    assert (await ecs("ListContainerInstances"))["containerInstanceArns"] == []
    assert (await ecs.refused("DeregisterContainerInstance", containerInstance=arn))[0] == "InvalidParameterException"


async def test_a_deregistered_instance_does_not_come_back_by_itself(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = await ecs.instance()
    await ecs("DeregisterContainerInstance", containerInstance=arn)
    code, _ = await ecs.refused("RegisterContainerInstance", containerInstanceArn=arn, totalResources=resources(1, 1))
    assert code == "ClientException"


# ── attributes ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_attributes_are_put_listed_and_deleted(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = await ecs.instance()
    short = arn.rsplit("/", 1)[-1]
    put = await ecs("PutAttributes", attributes=[{"name": "stack", "value": "prod", "targetType": "container-instance", "targetId": short}])
    assert put["attributes"] == [{"name": "stack", "value": "prod", "targetType": "container-instance", "targetId": arn}]
    listed = await ecs("ListAttributes", targetType="container-instance", attributeName="stack")
    assert listed["attributes"] == put["attributes"]
    await ecs("DeleteAttributes", attributes=[{"name": "stack", "targetId": arn}])
    assert (await ecs("ListAttributes", targetType="container-instance", attributeName="stack"))["attributes"] == []


async def test_attributes_that_ecs_sets_and_targets_that_are_not_there_are_refused(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = await ecs.instance()
    reserved = [{"name": "ecs.availability-zone", "value": "x", "targetId": arn}]
    assert (await ecs.refused("PutAttributes", attributes=reserved))[0] == "InvalidParameterException"
    missing = [{"name": "a", "targetId": "f" * 32}]
    assert (await ecs.refused("PutAttributes", attributes=missing))[0] == "TargetNotFoundException"
    await ecs("PutAttributes", attributes=[{"name": f"a{n}", "targetId": arn} for n in range(10)])
    one_more = [{"name": "b", "targetId": arn}]
    assert (await ecs.refused("PutAttributes", attributes=one_more))[0] == "AttributeLimitExceededException"


async def test_attributes_are_listed_page_by_page(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = await ecs.instance()
    await ecs("PutAttributes", attributes=[{"name": f"a{n}", "targetId": arn} for n in range(3)])
    seen, token = [], None
    while True:
        more = {"nextToken": token} if token else {}
        answer = await ecs("ListAttributes", targetType="container-instance", maxResults=2, **more)
        seen += [one["name"] for one in answer["attributes"]]
        token = answer.get("nextToken")
        if token is None:
            break
    assert seen == sorted(set(seen))
    assert {"a0", "a1", "a2", "ecs.availability-zone"} <= set(seen)
