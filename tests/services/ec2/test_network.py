"""VPCs, subnets, zones and regions as they are asked."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.aws.errors import AwsError
from longshore.aws.shapes import ec2 as shapes
from longshore.services.ec2.api import api
from longshore.services.ec2.defaults import default_security_group_id, default_subnet_id, default_vpc_id, ensure_default_network
from longshore.services.ec2.errors import DryRunOperation
from longshore.services.ec2.regions import zone_id
from tests.services.ec2.wire import ACCOUNT, REGION, ZONES, Cloud


@pytest.fixture
async def cloud() -> Cloud:
    return Cloud()


async def refused(cloud: Cloud, operation: str, **parameters: Any) -> tuple[str, str]:
    """(code, message)"""
    with pytest.raises(AwsError) as raised:
        await cloud.ec2(operation, **parameters)
    return raised.value.wire("ec2")[0], raised.value.message


def test_every_operation_with_a_shape_is_served() -> None:
    assert set(api.operations) == set(shapes.OPERATIONS)


# ── the default network ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_account_finds_a_default_vpc_with_a_subnet_per_zone(cloud: Cloud) -> None:
    vpc = await cloud.default_vpc()
    assert (vpc["VpcId"], vpc["CidrBlock"], vpc["State"], vpc["OwnerId"]) == (
        default_vpc_id(ACCOUNT, REGION),
        "172.31.0.0/16",
        "available",
        ACCOUNT,
    )
    assert vpc["DhcpOptionsId"].startswith("dopt-")
    subnets = await cloud.default_subnets()
    assert [(s["AvailabilityZone"], s["CidrBlock"], s["AvailabilityZoneId"]) for s in subnets] == [
        ("us-east-1a", "172.31.0.0/20", "use1-az1"),
        ("us-east-1b", "172.31.16.0/20", "use1-az2"),
        ("us-east-1c", "172.31.32.0/20", "use1-az3"),
    ]
    assert all(s["MapPublicIpOnLaunch"] and s["DefaultForAz"] and s["AvailableIpAddressCount"] == 4091 for s in subnets)
    assert subnets[0]["SubnetId"] == default_subnet_id(ACCOUNT, REGION, "us-east-1a")


async def test_the_default_security_group_lets_its_members_talk_and_everything_out(cloud: Cloud) -> None:
    (group,) = (await cloud.ec2("DescribeSecurityGroups"))["SecurityGroups"]
    assert (group["GroupName"], group["GroupId"]) == ("default", default_security_group_id(ACCOUNT, REGION))
    assert group["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == group["GroupId"]
    assert group["IpPermissionsEgress"][0]["IpRanges"] == [{"CidrIp": "0.0.0.0/0"}]
    assert group["IpPermissionsEgress"][0]["IpProtocol"] == "-1" and "FromPort" not in group["IpPermissionsEgress"][0]


async def test_making_the_default_network_again_changes_nothing(cloud: Cloud) -> None:
    await cloud.default_vpc()
    before = cloud.store.revision
    await cloud.write(lambda tx: ensure_default_network(tx, ACCOUNT, REGION, ZONES, 5.0))
    assert cloud.store.revision == before


async def test_a_default_vpc_that_was_deleted_stays_deleted(cloud: Cloud) -> None:
    for subnet in await cloud.default_subnets():
        await cloud.ec2("DeleteSubnet", SubnetId=subnet["SubnetId"])
    await cloud.ec2("DeleteVpc", VpcId=default_vpc_id(ACCOUNT, REGION))
    assert (await cloud.ec2("DescribeVpcs"))["Vpcs"] == []
    assert (await cloud.ec2("DescribeSecurityGroups"))["SecurityGroups"] == []
    more = cloud.with_zones(*ZONES, "us-east-1d")
    assert (await more.ec2("DescribeSubnets"))["Subnets"] == []


async def test_a_zone_added_later_gets_its_subnet_and_deleted_ones_stay_away(cloud: Cloud) -> None:
    first = (await cloud.default_subnets())[0]
    await cloud.ec2("DeleteSubnet", SubnetId=first["SubnetId"])
    more = cloud.with_zones(*ZONES, "us-east-1d")
    assert [(s["AvailabilityZone"], s["CidrBlock"]) for s in await more.default_subnets()] == [
        ("us-east-1b", "172.31.16.0/20"),
        ("us-east-1c", "172.31.32.0/20"),
        ("us-east-1d", "172.31.0.0/20"),
    ]


async def test_other_regions_and_accounts_have_networks_of_their_own(cloud: Cloud) -> None:
    here = await cloud.default_vpc()
    ireland = cloud.elsewhere(region="eu-west-1")
    there = await ireland.default_vpc()
    other = await cloud.elsewhere(account_id="210987654321").default_vpc()
    assert len({here["VpcId"], there["VpcId"], other["VpcId"]}) == 3
    assert [s["AvailabilityZone"] for s in await ireland.default_subnets()] == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
    code, _ = await refused(ireland, "DescribeVpcs", VpcIds=[here["VpcId"]])
    assert code == "InvalidVpcID.NotFound"


async def test_a_region_that_aws_does_not_have_stays_empty(cloud: Cloud) -> None:
    nowhere = cloud.elsewhere(region="xx-anything-1")
    assert (await nowhere.ec2("DescribeVpcs"))["Vpcs"] == []
    assert (await nowhere.ec2("DescribeAvailabilityZones"))["AvailabilityZones"] == []
    assert cloud.store.revision == 0


# ── VPCs ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_vpc_is_created_with_tags_and_its_own_default_group(cloud: Cloud) -> None:
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "edge"}]}]
    vpc = (await cloud.ec2("CreateVpc", CidrBlock="10.1.2.3/16", TagSpecifications=tags))["Vpc"]
    assert (vpc["CidrBlock"], vpc["IsDefault"], vpc["Tags"]) == ("10.1.0.0/16", False, [{"Key": "Name", "Value": "edge"}])
    groups = await cloud.ec2("DescribeSecurityGroups", Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])
    assert [group["GroupName"] for group in groups["SecurityGroups"]] == ["default"]
    found = await cloud.ec2("DescribeVpcs", Filters=[{"Name": "tag:Name", "Values": ["ed*"]}])
    assert [v["VpcId"] for v in found["Vpcs"]] == [vpc["VpcId"]]
    await cloud.ec2("DeleteVpc", VpcId=vpc["VpcId"])
    assert (await refused(cloud, "DescribeVpcs", VpcIds=[vpc["VpcId"]]))[0] == "InvalidVpcID.NotFound"


@pytest.mark.parametrize(
    ("block", "code"),
    [
        ("10.0.0.0/8", "InvalidVpc.Range"),
        ("10.0.0.0/29", "InvalidVpc.Range"),
        ("10.0.0.0", "InvalidParameterValue"),
        ("x/16", "InvalidParameterValue"),
    ],
)
async def test_a_vpc_has_a_block_of_a_size_that_ec2_allows(cloud: Cloud, block: str, code: str) -> None:
    assert (await refused(cloud, "CreateVpc", CidrBlock=block))[0] == code


async def test_a_vpc_with_something_in_it_cannot_be_deleted(cloud: Cloud) -> None:
    code, message = await refused(cloud, "DeleteVpc", VpcId=default_vpc_id(ACCOUNT, REGION))
    assert code == "DependencyViolation"
    assert message == f"The vpc '{default_vpc_id(ACCOUNT, REGION)}' has dependencies and cannot be deleted."
    vpc = (await cloud.ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]
    group = await cloud.ec2("CreateSecurityGroup", GroupName="web", Description="web", VpcId=vpc["VpcId"])
    assert (await refused(cloud, "DeleteVpc", VpcId=vpc["VpcId"]))[0] == "DependencyViolation"
    await cloud.ec2("DeleteSecurityGroup", GroupId=group["GroupId"])
    await cloud.target_group(VpcId=vpc["VpcId"])
    assert (await refused(cloud, "DeleteVpc", VpcId=vpc["VpcId"]))[0] == "DependencyViolation"


@pytest.mark.parametrize("id", ["nonsense", "subnet-0123456789abcdef0", "vpc-XYZ", "vpc-" + "0" * 18])
async def test_an_id_of_the_wrong_form_is_malformed(cloud: Cloud, id: str) -> None:
    code, message = await refused(cloud, "DescribeVpcs", VpcIds=[id])
    assert (code, message) == ("InvalidVpcID.Malformed", f'Invalid id: "{id}" (expecting "vpc-...")')


# ── subnets ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_subnets_lie_inside_their_vpc_and_apart_from_each_other(cloud: Cloud) -> None:
    vpc_id = (await cloud.ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    subnet = (await cloud.ec2("CreateSubnet", VpcId=vpc_id, CidrBlock="10.0.1.0/24", AvailabilityZone="us-east-1b"))["Subnet"]
    assert (subnet["AvailabilityZone"], subnet["AvailabilityZoneId"], subnet["DefaultForAz"]) == ("us-east-1b", "use1-az2", False)
    assert subnet["AvailableIpAddressCount"] == 251
    code, message = await refused(cloud, "CreateSubnet", VpcId=vpc_id, CidrBlock="10.0.1.128/25")
    assert (code, message) == ("InvalidSubnet.Conflict", "The CIDR '10.0.1.128/25' conflicts with another subnet")
    assert (await refused(cloud, "CreateSubnet", VpcId=vpc_id, CidrBlock="10.1.0.0/24"))[0] == "InvalidSubnet.Range"
    assert (await refused(cloud, "CreateSubnet", VpcId=vpc_id, CidrBlock="10.0.2.0/24", AvailabilityZone="eu-west-1a"))[0] == (
        "InvalidParameterValue"
    )
    assert (await refused(cloud, "CreateSubnet", VpcId="vpc-00000000", CidrBlock="10.0.2.0/24"))[0] == "InvalidVpcID.NotFound"
    by_zone_id = await cloud.ec2("CreateSubnet", VpcId=vpc_id, CidrBlock="10.0.3.0/24", AvailabilityZoneId="use1-az3")
    assert by_zone_id["Subnet"]["AvailabilityZone"] == "us-east-1c"


async def test_a_subnet_that_a_load_balancer_or_an_instance_stands_in_cannot_be_deleted(cloud: Cloud) -> None:
    first, second, third = await cloud.default_subnets()
    await cloud.load_balancer(Subnets=[first["SubnetId"], second["SubnetId"]])
    await cloud.instance(availability_zone="us-east-1c")
    for subnet in (first, third):
        assert (await refused(cloud, "DeleteSubnet", SubnetId=subnet["SubnetId"]))[0] == "DependencyViolation"
    described = (await cloud.ec2("DescribeSubnets", SubnetIds=[third["SubnetId"]]))["Subnets"][0]
    assert described["AvailableIpAddressCount"] == 4090


async def test_subnets_are_filtered_by_vpc_and_zone_together(cloud: Cloud) -> None:
    vpc_id = (await cloud.default_vpc())["VpcId"]
    other = (await cloud.ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    await cloud.ec2("CreateSubnet", VpcId=other, CidrBlock="10.0.1.0/24", AvailabilityZone="us-east-1a")
    filters = [{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "availability-zone", "Values": ["us-east-1a", "us-east-1?"]}]
    assert len((await cloud.ec2("DescribeSubnets", Filters=filters))["Subnets"]) == 3
    filters[1]["Values"] = ["us-east-1a"]
    assert len((await cloud.ec2("DescribeSubnets", Filters=filters))["Subnets"]) == 1


# ── listings ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_listings_come_in_pages(cloud: Cloud) -> None:
    for number in range(9):
        await cloud.ec2("CreateVpc", CidrBlock=f"10.{number}.0.0/16")
    first = await cloud.ec2("DescribeVpcs", MaxResults=6)
    second = await cloud.ec2("DescribeVpcs", MaxResults=6, NextToken=first["NextToken"])
    assert (len(first["Vpcs"]), len(second["Vpcs"]), second.get("NextToken")) == (6, 4, None)
    assert len({vpc["VpcId"] for vpc in first["Vpcs"] + second["Vpcs"]}) == 10
    assert (await refused(cloud, "DescribeVpcs", NextToken="???"))[0] == "InvalidPaginationToken"
    vpc_id = first["Vpcs"][0]["VpcId"]
    assert (await refused(cloud, "DescribeVpcs", VpcIds=[vpc_id], MaxResults=6))[0] == "InvalidParameterCombination"


async def test_an_unknown_filter_is_refused_by_name(cloud: Cloud) -> None:
    code, message = await refused(cloud, "DescribeSubnets", Filters=[{"Name": "colour", "Values": ["red"]}])
    assert (code, message) == ("InvalidParameterValue", "The filter 'colour' is invalid")


async def test_a_dry_run_changes_nothing_and_says_so(cloud: Cloud) -> None:
    with pytest.raises(DryRunOperation) as raised:
        await cloud.ec2("CreateVpc", CidrBlock="10.0.0.0/16", DryRun=True)
    assert raised.value.wire("ec2") == ("DryRunOperation", 412)
    assert cloud.store.revision == 0


# ── zones, regions, account ───────────────────────────────────────────────────────────────────────────────────────────


async def test_zones_are_the_installations_own_in_its_region(cloud: Cloud) -> None:
    zones = (await cloud.with_zones("us-east-1a", "us-east-1b").ec2("DescribeAvailabilityZones"))["AvailabilityZones"]
    assert [(z["ZoneName"], z["ZoneId"], z["State"], z["RegionName"]) for z in zones] == [
        ("us-east-1a", "use1-az1", "available", "us-east-1"),
        ("us-east-1b", "use1-az2", "available", "us-east-1"),
    ]
    one = await cloud.ec2("DescribeAvailabilityZones", ZoneNames=["us-east-1c"])
    assert [z["ZoneName"] for z in one["AvailabilityZones"]] == ["us-east-1c"]
    assert (await refused(cloud, "DescribeAvailabilityZones", ZoneNames=["us-east-1x"]))[0] == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("region", "zone", "id"),
    [
        ("us-east-1", "us-east-1a", "use1-az1"),
        ("ap-southeast-2", "ap-southeast-2c", "apse2-az3"),
        ("eu-central-1", "eu-central-1b", "euc1-az2"),
    ],
)
def test_zone_ids_look_like_aws_ones(region: str, zone: str, id: str) -> None:
    assert zone_id(region, zone) == id


async def test_regions_are_listed_and_the_default_vpc_is_an_account_attribute(cloud: Cloud) -> None:
    names = [region["RegionName"] for region in (await cloud.ec2("DescribeRegions"))["Regions"]]
    assert "us-east-1" in names and names == sorted(names)
    answer = await cloud.ec2("DescribeAccountAttributes", AttributeNames=["default-vpc", "supported-platforms"])
    values = {a["AttributeName"]: a["AttributeValues"][0]["AttributeValue"] for a in answer["AccountAttributes"]}
    assert values == {"default-vpc": default_vpc_id(ACCOUNT, REGION), "supported-platforms": "VPC"}


# ── instances ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_container_instance_shows_up_as_a_running_instance(cloud: Cloud) -> None:
    await cloud.instance()
    await cloud.instance("i-0fedcba9876543210", address="127.0.1.2", availability_zone="us-east-1b", status="DRAINING")
    await cloud.instance("i-0aaaaaaaaaaaaaaaa", status="INACTIVE")
    await cloud.instance("mi-0bbbbbbbbbbbbbbbb")
    reservations = (await cloud.ec2("DescribeInstances"))["Reservations"]
    instances = [instance for reservation in reservations for instance in reservation["Instances"]]
    assert [i["InstanceId"] for i in instances] == ["i-0123456789abcdef0", "i-0fedcba9876543210"]
    first = instances[0]
    assert (first["State"], first["PrivateIpAddress"], first["InstanceType"]) == ({"Code": 16, "Name": "running"}, "127.0.1.1", "t3.medium")
    assert first["Placement"]["AvailabilityZone"] == "us-east-1a"
    assert first["SubnetId"] == default_subnet_id(ACCOUNT, REGION, "us-east-1a")
    assert first["VpcId"] == default_vpc_id(ACCOUNT, REGION)
    assert first["PrivateDnsName"] == "ip-127-0-1-1.ec2.internal"
    found = await cloud.ec2("DescribeInstances", Filters=[{"Name": "private-ip-address", "Values": ["127.0.1.2"]}])
    assert [i["InstanceId"] for r in found["Reservations"] for i in r["Instances"]] == ["i-0fedcba9876543210"]
    assert (await refused(cloud, "DescribeInstances", InstanceIds=["i-0aaaaaaaaaaaaaaaa"]))[0] == "InvalidInstanceID.NotFound"
    assert (await refused(cloud, "DescribeInstances", InstanceIds=["i-xyz"]))[0] == "InvalidInstanceID.Malformed"


async def test_instances_of_other_accounts_are_not_shown(cloud: Cloud) -> None:
    await cloud.instance()
    assert (await cloud.elsewhere(account_id="210987654321").ec2("DescribeInstances"))["Reservations"] == []


# ── tags ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_everything_with_an_id_can_be_tagged(cloud: Cloud) -> None:
    await cloud.instance()
    vpc_id = (await cloud.default_vpc())["VpcId"]
    subnet_id = (await cloud.default_subnets())[0]["SubnetId"]
    (group,) = (await cloud.ec2("DescribeSecurityGroups"))["SecurityGroups"]
    (rule, _) = (await cloud.ec2("DescribeSecurityGroupRules"))["SecurityGroupRules"]
    ids = [vpc_id, subnet_id, group["GroupId"], rule["SecurityGroupRuleId"], "i-0123456789abcdef0"]
    await cloud.ec2("CreateTags", Resources=ids, Tags=[{"Key": "team", "Value": "edge"}, {"Key": "Name", "Value": "it"}])
    tags = (await cloud.ec2("DescribeTags", Filters=[{"Name": "key", "Values": ["team"]}]))["Tags"]
    assert {(tag["ResourceId"], tag["ResourceType"], tag["Value"]) for tag in tags} == {
        (vpc_id, "vpc", "edge"),
        (subnet_id, "subnet", "edge"),
        (group["GroupId"], "security-group", "edge"),
        (rule["SecurityGroupRuleId"], "security-group-rule", "edge"),
        ("i-0123456789abcdef0", "instance", "edge"),
    }
    await cloud.ec2("DeleteTags", Resources=ids, Tags=[{"Key": "team"}, {"Key": "Name", "Value": "another"}])
    assert {tag["Key"] for tag in (await cloud.ec2("DescribeTags"))["Tags"]} == {"Name"}
    instance = (await cloud.ec2("DescribeInstances"))["Reservations"][0]["Instances"][0]
    assert instance["Tags"] == [{"Key": "Name", "Value": "it"}]


@pytest.mark.parametrize(
    ("id", "key", "code"),
    [
        ("vpc-0123456789abcdef0", "k", "InvalidVpcID.NotFound"),
        ("thing-1", "k", "InvalidID"),
        (default_vpc_id(ACCOUNT, REGION), "aws:k", "InvalidParameterValue"),
        ("i-0123456789abcdef1", "k", "InvalidInstanceID.NotFound"),
        ("sgr-0123456789abcdef1", "k", "InvalidSecurityGroupRuleId.NotFound"),
    ],
)
async def test_tags_are_refused_where_they_cannot_be(cloud: Cloud, id: str, key: str, code: str) -> None:
    assert (await refused(cloud, "CreateTags", Resources=[id], Tags=[{"Key": key, "Value": "v"}]))[0] == code


async def test_a_resource_carries_at_most_fifty_tags(cloud: Cloud) -> None:
    tags = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
    code, _ = await refused(cloud, "CreateTags", Resources=[default_vpc_id(ACCOUNT, REGION)], Tags=tags)
    assert code == "TagLimitExceeded"


# ── authorisation ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_operations_name_the_resources_that_policies_speak_of(cloud: Cloud) -> None:
    prefix = f"arn:aws:ec2:{REGION}:{ACCOUNT}"
    assert cloud.resources("ec2", "CreateVpc", CidrBlock="10.0.0.0/16") == [f"{prefix}:vpc/*"]
    assert cloud.resources("ec2", "CreateSubnet", VpcId="vpc-1", CidrBlock="10.0.0.0/24") == [f"{prefix}:subnet/*", f"{prefix}:vpc/vpc-1"]
    assert cloud.resources("ec2", "DescribeVpcs") == ["*"]
    assert cloud.resources("ec2", "CreateTags", Resources=["i-1", "sg-2"], Tags=[{"Key": "k"}]) == [
        f"{prefix}:instance/i-1",
        f"{prefix}:security-group/sg-2",
    ]
    assert cloud.resources("ec2", "DeleteSecurityGroup", GroupId="sg-1") == [f"{prefix}:security-group/sg-1"]
    assert cloud.resources("ec2", "DeleteSecurityGroup", GroupName="no-such") == [f"{prefix}:security-group/*"]
