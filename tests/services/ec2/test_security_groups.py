"""Security groups and their rules as they are asked."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.aws.errors import AwsError
from tests.services.ec2.wire import Cloud

HTTP: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "all"}]}


@pytest.fixture
async def cloud() -> Cloud:
    return Cloud()


async def refused(cloud: Cloud, operation: str, **parameters: Any) -> tuple[str, str]:
    """(code, message)"""
    with pytest.raises(AwsError) as raised:
        await cloud.ec2(operation, **parameters)
    return raised.value.wire("ec2")[0], raised.value.message


async def group_id(cloud: Cloud, name: str = "web", **parameters: Any) -> str:
    return str((await cloud.ec2("CreateSecurityGroup", GroupName=name, Description="for tests", **parameters))["GroupId"])


async def described(cloud: Cloud, id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await cloud.ec2("DescribeSecurityGroups", GroupIds=[id]))["SecurityGroups"][0]
    return found


async def test_a_new_group_lets_everything_out_and_nothing_in(cloud: Cloud) -> None:
    group = await described(cloud, await group_id(cloud))
    assert (group["IpPermissions"], group["VpcId"]) == ([], (await cloud.default_vpc())["VpcId"])
    assert [permission["IpRanges"] for permission in group["IpPermissionsEgress"]] == [[{"CidrIp": "0.0.0.0/0"}]]


async def test_a_name_is_given_once_per_vpc_and_never_default(cloud: Cloud) -> None:
    await group_id(cloud)
    vpc_id = (await cloud.default_vpc())["VpcId"]
    code, message = await refused(cloud, "CreateSecurityGroup", GroupName="web", Description="again")
    assert (code, message) == ("InvalidGroup.Duplicate", f"The security group 'web' already exists for VPC '{vpc_id}'")
    other = (await cloud.ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    await group_id(cloud, VpcId=other)
    assert (await refused(cloud, "CreateSecurityGroup", GroupName="default", Description="x"))[0] == "InvalidGroup.Reserved"
    assert (await refused(cloud, "CreateSecurityGroup", GroupName="sg-1", Description="x"))[0] == "InvalidParameterValue"
    assert (await refused(cloud, "CreateSecurityGroup", GroupName="naïve", Description="x"))[0] == "InvalidParameterValue"


async def test_rules_are_authorised_described_and_revoked(cloud: Cloud) -> None:
    id = await group_id(cloud)
    answer = await cloud.ec2("AuthorizeSecurityGroupIngress", GroupId=id, IpPermissions=[HTTP])
    (rule,) = answer["SecurityGroupRules"]
    assert answer["Return"] is True and rule["SecurityGroupRuleId"].startswith("sgr-")
    assert (rule["IsEgress"], rule["CidrIpv4"], rule["FromPort"], rule["Description"]) == (False, "0.0.0.0/0", 80, "all")
    await cloud.ec2("AuthorizeSecurityGroupIngress", GroupId=id, IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="10.0.0.9/8")
    (permission,) = (await described(cloud, id))["IpPermissions"]
    assert [entry["CidrIp"] for entry in permission["IpRanges"]] == ["0.0.0.0/0", "10.0.0.0/8"]
    rules = await cloud.ec2("DescribeSecurityGroupRules", Filters=[{"Name": "group-id", "Values": [id]}])
    assert len(rules["SecurityGroupRules"]) == 3
    await cloud.ec2("RevokeSecurityGroupIngress", GroupId=id, SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])
    await cloud.ec2("RevokeSecurityGroupIngress", GroupName="web", IpProtocol="tcp", FromPort=80, ToPort=80, CidrIp="10.0.0.0/8")
    assert (await described(cloud, id))["IpPermissions"] == []


async def test_the_same_rule_twice_is_a_duplicate_and_nothing_of_the_request_stays(cloud: Cloud) -> None:
    id = await group_id(cloud)
    await cloud.ec2("AuthorizeSecurityGroupIngress", GroupId=id, IpPermissions=[HTTP])
    another = {"IpProtocol": "udp", "FromPort": 53, "ToPort": 53, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    code, message = await refused(cloud, "AuthorizeSecurityGroupIngress", GroupId=id, IpPermissions=[another, HTTP])
    assert code == "InvalidPermission.Duplicate"
    assert message == 'the specified rule "peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW" already exists'
    assert len((await described(cloud, id))["IpPermissions"]) == 1


async def test_egress_is_kept_apart_from_ingress(cloud: Cloud) -> None:
    id = await group_id(cloud)
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    await cloud.ec2("RevokeSecurityGroupEgress", GroupId=id, IpPermissions=[everything])
    answer = await cloud.ec2(
        "AuthorizeSecurityGroupEgress",
        GroupId=id,
        IpPermissions=[{"IpProtocol": "6", "FromPort": 443, "ToPort": 443, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}],
    )
    assert answer["SecurityGroupRules"][0]["IpProtocol"] == "tcp"
    group = await described(cloud, id)
    assert (group["IpPermissions"], group["IpPermissionsEgress"][0]["Ipv6Ranges"]) == ([], [{"CidrIpv6": "::/0"}])


async def test_a_group_that_another_names_cannot_be_deleted(cloud: Cloud) -> None:
    web, database = await group_id(cloud), await group_id(cloud, "database")
    pair = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "UserIdGroupPairs": [{"GroupId": web}]}
    await cloud.ec2("AuthorizeSecurityGroupIngress", GroupId=database, IpPermissions=[pair])
    code, message = await refused(cloud, "DeleteSecurityGroup", GroupId=web)
    assert (code, message) == ("DependencyViolation", f"resource {web} has a dependent object")
    await cloud.ec2("DeleteSecurityGroup", GroupId=database)
    assert (await cloud.ec2("DeleteSecurityGroup", GroupId=web))["GroupId"] == web


async def test_a_group_that_a_load_balancer_uses_cannot_be_deleted(cloud: Cloud) -> None:
    id = await group_id(cloud)
    await cloud.load_balancer(SecurityGroups=[id])
    assert (await refused(cloud, "DeleteSecurityGroup", GroupId=id))[0] == "DependencyViolation"


async def test_the_default_group_cannot_be_deleted(cloud: Cloud) -> None:
    assert (await refused(cloud, "DeleteSecurityGroup", GroupName="default"))[0] == "CannotDelete"


@pytest.mark.parametrize(
    ("permission", "code"),
    [
        ({"IpProtocol": "tcp", "FromPort": 90, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "InvalidParameterValue"),
        ({"IpProtocol": "tcp", "FromPort": 0, "ToPort": 70000, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "InvalidParameterValue"),
        ({"IpProtocol": "tcp", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "InvalidParameterValue"),
        ({"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "IpRanges": [{"CidrIp": "1.2.3.4"}]}, "InvalidParameterValue"),
        ({"IpProtocol": "xyz", "FromPort": 1, "ToPort": 1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}, "InvalidPermission.Malformed"),
        ({"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1}, "MissingParameter"),
        ({"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-0123456789abcdef0"}]}, "InvalidGroup.NotFound"),
        ({"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "a\tb"}]}, "InvalidParameterValue"),
    ],
)
async def test_rules_that_mean_nothing_are_refused(cloud: Cloud, permission: dict[str, Any], code: str) -> None:
    id = await group_id(cloud)
    assert (await refused(cloud, "AuthorizeSecurityGroupIngress", GroupId=id, IpPermissions=[permission]))[0] == code


async def test_revoking_what_is_not_there_is_an_error(cloud: Cloud) -> None:
    id = await group_id(cloud)
    assert (await refused(cloud, "RevokeSecurityGroupIngress", GroupId=id, IpPermissions=[HTTP]))[0] == "InvalidPermission.NotFound"
    missing = ["sgr-0123456789abcdef0"]
    assert (await refused(cloud, "RevokeSecurityGroupIngress", GroupId=id, SecurityGroupRuleIds=missing))[0] == (
        "InvalidSecurityGroupRuleId.NotFound"
    )
    assert (await refused(cloud, "DescribeSecurityGroupRules", SecurityGroupRuleIds=["x"]))[0] == "InvalidSecurityGroupRuleId.Malformed"


async def test_a_group_holds_at_most_sixty_rules_of_a_direction(cloud: Cloud) -> None:
    id = await group_id(cloud)
    ranges = [{"CidrIp": f"10.0.{number}.0/24"} for number in range(61)]
    permission = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": ranges}
    assert (await refused(cloud, "AuthorizeSecurityGroupIngress", GroupId=id, IpPermissions=[permission]))[0] == (
        "RulesPerSecurityGroupLimitExceeded"
    )


async def test_groups_are_found_by_their_rules(cloud: Cloud) -> None:
    id = await group_id(cloud)
    await group_id(cloud, "other")
    await cloud.ec2("AuthorizeSecurityGroupIngress", GroupId=id, IpPermissions=[HTTP])
    found = await cloud.ec2("DescribeSecurityGroups", Filters=[{"Name": "ip-permission.from-port", "Values": ["80"]}])
    assert [group["GroupId"] for group in found["SecurityGroups"]] == [id]
    assert (await refused(cloud, "DescribeSecurityGroups", GroupNames=["absent"]))[0] == "InvalidGroup.NotFound"
