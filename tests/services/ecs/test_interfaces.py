"""Tasks with addresses of their own: what may be asked for, what they are given, and how it is shown."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.services.ec2.defaults import default_security_group_id, default_subnet_id
from longshore.services.ec2.model import SECURITY_GROUPS, SUBNETS, SecurityGroup, Subnet
from longshore.services.ecs.interfaces import FIRST_HOST, free_address
from tests.services.ecs.conftest import ACCOUNT, REGION, ZONES, Ecs

SUBNET = default_subnet_id(ACCOUNT, REGION, ZONES[0])
OTHER_ZONE = default_subnet_id(ACCOUNT, REGION, ZONES[1])
GROUP = default_security_group_id(ACCOUNT, REGION)
CAN = (("ecs.capability.task-eni", ""), ("longshore.task-network", "10.77.1.0/24"))
ENI = ({"name": "ENI", "type": "INTEGER", "integerValue": 250},)


def network(*subnets: str, **members: Any) -> dict[str, Any]:
    return {"awsvpcConfiguration": {"subnets": list(subnets), **members}}


async def ready(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.instance(attributes=CAN, more=ENI)
    await ecs.define("vpc", networkMode="awsvpc", container={"portMappings": [{"containerPort": 80}]})


async def test_a_task_has_an_interface_of_its_own_from_the_start(ecs: Ecs) -> None:
    await ready(ecs)
    made = (await ecs("RunTask", taskDefinition="vpc", count=2, networkConfiguration=network(SUBNET, securityGroups=[GROUP])))["tasks"]
    addresses = set()
    for task in made:
        (attachment,) = task["attachments"]
        details = {detail["name"]: detail["value"] for detail in attachment["details"]}
        assert (attachment["type"], attachment["status"]) == ("ElasticNetworkInterface", "ATTACHING")
        assert list(details) == ["subnetId", "networkInterfaceId", "macAddress", "privateDnsName", "privateIPv4Address"]
        address = details["privateIPv4Address"]
        assert details["subnetId"] == SUBNET and details["networkInterfaceId"].startswith("eni-")
        assert IPv4Address(address) in IPv4Network("10.77.1.0/24")
        assert details["privateDnsName"] == f"ip-{address.replace('.', '-')}.ec2.internal"
        (container,) = task["containers"]
        assert container["networkInterfaces"] == [{"attachmentId": attachment["id"], "privateIpv4Address": address}]
        addresses.add(address)
    assert len(addresses) == 2, "both may listen on the same port"


async def test_the_agent_says_when_an_interface_is_there(ecs: Ecs) -> None:
    await ready(ecs)
    ((first, second), _) = (await ecs("RunTask", taskDefinition="vpc", count=2, networkConfiguration=network(SUBNET)))["tasks"], 0

    def arn(task: dict[str, Any]) -> str:
        return f"arn:aws:ecs:{REGION}:{ACCOUNT}:attachment/{task['attachments'][0]['id']}"

    await ecs(
        "SubmitTaskStateChange", cluster="default", task=first["taskArn"], attachments=[{"attachmentArn": arn(first), "status": "ATTACHED"}]
    )
    await ecs(
        "SubmitAttachmentStateChanges",
        attachments=[
            {"attachmentArn": arn(second), "status": "ATTACHED"},
            {"attachmentArn": "arn:aws:ecs:x:y:attachment/z", "status": "ATTACHED"},
        ],
    )
    shown = (await ecs("DescribeTasks", tasks=[first["taskArn"], second["taskArn"]]))["tasks"]
    assert [task["attachments"][0]["status"] for task in shown] == ["ATTACHED", "ATTACHED"]
    await ecs.report(first["taskArn"], "STOPPED")
    shown = (await ecs("DescribeTasks", tasks=[first["taskArn"]]))["tasks"]
    assert shown[0]["attachments"][0]["status"] == "DELETED"


async def test_what_an_agent_says_of_another_tasks_interface_changes_nothing(ecs: Ecs) -> None:
    await ready(ecs)
    first, second = (await ecs("RunTask", taskDefinition="vpc", count=2, networkConfiguration=network(SUBNET)))["tasks"]
    foreign = [{"attachmentArn": f"arn:aws:ecs:{REGION}:{ACCOUNT}:attachment/{second['attachments'][0]['id']}", "status": "ATTACHED"}]
    await ecs("SubmitTaskStateChange", cluster="default", task=first["taskArn"], attachments=foreign)
    shown = (await ecs("DescribeTasks", tasks=[first["taskArn"], second["taskArn"]]))["tasks"]
    assert [task["attachments"][0]["status"] for task in shown] == ["ATTACHING", "ATTACHING"]


@pytest.mark.parametrize(
    ("configuration", "words"),
    [
        (None, "Network Configuration must be provided when networkMode 'awsvpc' is specified."),
        (network(), "subnets can not be empty."),
        (network(*["subnet-1"] * 17), "subnets can have at most 16 items."),
        (network("subnet-00000000000000000"), "(ErrorCode: InvalidSubnetID.NotFound)"),
        (network(SUBNET, "subnet-elsewhere"), "subnets must belong to the same VPC."),
        (network(SUBNET, securityGroups=["sg-00000000000000000"]), "(ErrorCode: InvalidGroup.NotFound)"),
        (network(SUBNET, securityGroups=["sg-elsewhere"]), "does not appear to belong to the same VPC"),
        (network(SUBNET, securityGroups=[GROUP] * 6), "securityGroups can have at most 5 items."),
        (network(SUBNET, assignPublicIp="ENABLED"), "Assign public IP is not supported for this launch type"),
    ],
)
async def test_networks_that_are_not_there_are_refused(ecs: Ecs, configuration: dict[str, Any] | None, words: str) -> None:
    await ready(ecs)

    def elsewhere(tx: Any) -> None:
        tx.put(SUBNETS, Subnet("subnet-elsewhere", ACCOUNT, REGION, "vpc-2", "10.0.0.0/24", ZONES[0]))
        tx.put(SECURITY_GROUPS, SecurityGroup("sg-elsewhere", ACCOUNT, REGION, "vpc-2", "g", "g"))

    await ecs.call.store.transact(elsewhere)
    asked = {"networkConfiguration": configuration} if configuration is not None else {}
    code, message = await ecs.refused("RunTask", taskDefinition="vpc", **asked)
    assert code == "InvalidParameterException" and words in message
    code, message = await ecs.refused("CreateService", serviceName="s", desiredCount=1, taskDefinition="vpc", **asked)
    assert code == "InvalidParameterException" and words in message


async def test_a_network_is_for_tasks_that_have_one_only(ecs: Ecs) -> None:
    await ready(ecs)
    await ecs.define("bridged")
    code, message = await ecs.refused("RunTask", taskDefinition="bridged", networkConfiguration=network(SUBNET))
    assert (code, message) == (
        "InvalidParameterException",
        "Network Configuration is not valid for the given networkMode of this task definition.",
    )


async def test_instances_that_give_no_addresses_take_no_such_tasks(ecs: Ecs) -> None:
    """The stock agent among them, unless it says that it can."""
    await ecs.cluster()
    await ecs.instance()
    await ecs.define("vpc", networkMode="awsvpc")
    answer = await ecs("RunTask", taskDefinition="vpc", networkConfiguration=network(SUBNET))
    assert answer["tasks"] == [] and answer["failures"][0]["reason"] == "ATTRIBUTE"


@pytest.mark.parametrize(
    "claimed", ["", "nonsense", "127.0.0.0/24", "0.0.0.0/0", "8.8.8.0/24", "169.254.0.0/16", "10.0.0.0/8", "10.1.1.0/30"]
)
async def test_what_an_agent_claims_is_no_range_unless_it_is_private(ecs: Ecs, claimed: str) -> None:
    """No task that needs an address is placed there, and load balancers are sent nowhere."""
    await ecs.cluster()
    await ecs.instance(attributes=(CAN[0], ("longshore.task-network", claimed)), more=ENI)
    await ecs.define("vpc", networkMode="awsvpc")
    answer = await ecs("RunTask", taskDefinition="vpc", networkConfiguration=network(SUBNET))
    assert answer["tasks"] == [] and [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:ENI"]


async def test_the_range_is_the_agents_to_say(ecs: Ecs) -> None:
    await ecs.cluster()
    instance = await ecs.instance(attributes=CAN, more=ENI)
    wider = {"name": "longshore.task-network", "value": "10.0.0.0/16", "targetId": instance}
    for action in ("PutAttributes", "DeleteAttributes"):
        code, words = await ecs.refused(action, attributes=[wider])
        assert code == "InvalidParameterException" and "cannot be changed" in words


async def test_an_instance_takes_no_more_tasks_than_its_range_has_addresses(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.instance(attributes=(CAN[0], ("longshore.task-network", "10.1.1.0/28")), more=ENI)
    await ecs.define("vpc", networkMode="awsvpc", container={"memory": 4, "cpu": 0})
    taken: list[str] = []
    for _ in range(2):
        answer = await ecs("RunTask", taskDefinition="vpc", count=10, networkConfiguration=network(SUBNET))
        taken += [detail["value"] for task in answer["tasks"] for detail in task["attachments"][0]["details"] if "IPv4" in detail["name"]]
    assert len(taken) == len(set(taken)) == 16 - FIRST_HOST - 1
    assert {failure["reason"] for failure in answer["failures"]} == {"RESOURCE:ENI"}


async def test_subnets_say_in_which_zones_a_task_may_be(ecs: Ecs) -> None:
    await ready(ecs)
    refused = await ecs("RunTask", taskDefinition="vpc", networkConfiguration=network(OTHER_ZONE))
    assert refused["tasks"] == [] and [failure["reason"] for failure in refused["failures"]] == ["LOCATION"]
    there = await ecs.instance(2, zone=ZONES[1], attributes=CAN, more=ENI)
    for subnets in ((OTHER_ZONE,), (SUBNET, OTHER_ZONE)):
        (task,) = (await ecs("RunTask", taskDefinition="vpc", networkConfiguration=network(*subnets)))["tasks"]
        details = {detail["name"]: detail["value"] for detail in task["attachments"][0]["details"]}
        assert details["subnetId"] == (OTHER_ZONE if task["containerInstanceArn"] == there else SUBNET)


async def test_an_instance_takes_as_many_as_it_has_interfaces_for(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.instance(attributes=CAN, more=({"name": "ENI", "type": "INTEGER", "integerValue": 2},))
    await ecs.define("vpc", networkMode="awsvpc")
    answer = await ecs("RunTask", taskDefinition="vpc", count=3, networkConfiguration=network(SUBNET))
    assert len(answer["tasks"]) == 2 and [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:ENI"]
    await ecs.report(answer["tasks"][0]["taskArn"], "STOPPED")
    assert len((await ecs("RunTask", taskDefinition="vpc", networkConfiguration=network(SUBNET)))["tasks"]) == 1


@given(st.integers(24, 28), st.sets(st.integers(0, 255)), st.text(min_size=1))
def test_an_address_is_given_as_long_as_one_is_free_and_never_twice(prefix: int, taken: set[int], arn: str) -> None:
    block = IPv4Network(f"10.77.1.0/{prefix}")
    busy = {str(block.network_address + number) for number in taken}
    hosts = {str(block.network_address + number) for number in range(FIRST_HOST, block.num_addresses - 1)}
    found = free_address(block, busy, arn)
    assert (found is None) == (not hosts - busy)
    assert found is None or str(found) in hosts - busy


@given(st.integers(24, 28), st.data(), st.text(min_size=1))
def test_the_last_address_that_is_free_is_found(prefix: int, data: st.DataObject, arn: str) -> None:
    block = IPv4Network(f"10.77.1.0/{prefix}")
    hosts = [str(block.network_address + number) for number in range(FIRST_HOST, block.num_addresses - 1)]
    left = data.draw(st.sampled_from(hosts))
    assert str(free_address(block, set(hosts) - {left}, arn)) == left
