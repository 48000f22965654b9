"""Load balancers as they are asked: creation, names, subnets, security groups, attributes, tags, quotas."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from longshore.aws.errors import AwsError
from longshore.aws.operation import OWN_PREFIX
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.api import api
from longshore.services.elbv2.model import LISTENERS, LOAD_BALANCERS, RULES, LoadBalancerStatus
from longshore.services.elbv2.quotas import LOAD_BALANCERS_PER_REGION
from tests.services.ec2.wire import ACCOUNT, REGION, Cloud

PREFIX = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"


@pytest.fixture
async def cloud() -> Cloud:
    return Cloud()


async def refused(cloud: Cloud, operation: str, **parameters: Any) -> tuple[str, str]:
    """(code, message)"""
    with pytest.raises(AwsError) as raised:
        await cloud.elb(operation, **parameters)
    return raised.value.wire("query")[0], raised.value.message


async def subnet_ids(cloud: Cloud) -> list[str]:
    return [subnet["SubnetId"] for subnet in await cloud.default_subnets()]


def test_every_operation_with_a_shape_is_served() -> None:
    assert {name for name in api.operations if not name.startswith(OWN_PREFIX)} == set(shapes.OPERATIONS)


# ── creation ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_new_load_balancer_is_provisioning_with_the_defaults_of_aws(cloud: Cloud) -> None:
    lb = await cloud.load_balancer("web", Tags=[{"Key": "team", "Value": "edge"}])
    arn = lb["LoadBalancerArn"]
    assert arn.startswith(f"{PREFIX}:loadbalancer/app/web/") and len(arn.rpartition("/")[2]) == 16
    assert (lb["State"]["Code"], lb["Scheme"], lb["Type"], lb["IpAddressType"]) == (
        "provisioning",
        "internet-facing",
        "application",
        "ipv4",
    )
    assert lb["DNSName"].startswith("web-") and lb["DNSName"].endswith(".us-east-1.elb.localhost")
    assert [zone["ZoneName"] for zone in lb["AvailabilityZones"]] == ["us-east-1a", "us-east-1b"]
    (default,) = (await cloud.ec2("DescribeSecurityGroups"))["SecurityGroups"]
    assert (lb["SecurityGroups"], lb["VpcId"]) == ([default["GroupId"]], default["VpcId"])
    tags = await cloud.elb("DescribeTags", ResourceArns=[arn])
    assert tags["TagDescriptions"] == [{"ResourceArn": arn, "Tags": [{"Key": "team", "Value": "edge"}]}]


async def test_the_state_is_what_the_balancer_wrote(cloud: Cloud) -> None:
    arn = (await cloud.load_balancer())["LoadBalancerArn"]
    lb = cloud.store.get(LOAD_BALANCERS, arn)
    assert lb is not None
    active = msgspec.structs.replace(lb, status=LoadBalancerStatus("active", address="127.0.2.1"))
    await cloud.write(lambda tx: tx.put(LOAD_BALANCERS, active))
    described = (await cloud.elb("DescribeLoadBalancers", Names=["web"]))["LoadBalancers"][0]
    assert described["State"] == {"Code": "active"}


async def test_creating_the_same_again_answers_with_the_one_that_is_there(cloud: Cloud) -> None:
    first = await cloud.load_balancer()
    assert (await cloud.load_balancer())["LoadBalancerArn"] == first["LoadBalancerArn"]
    code, message = await refused(cloud, "CreateLoadBalancer", Name="web", Subnets=(await subnet_ids(cloud))[:2], Scheme="internal")
    assert code == "DuplicateLoadBalancerName"
    assert message == "A load balancer with the same name 'web' exists, but with different settings"


async def test_the_same_name_is_free_in_another_region_and_account(cloud: Cloud) -> None:
    here = await cloud.load_balancer()
    there = await cloud.elsewhere(region="eu-west-1").load_balancer()
    other = await cloud.elsewhere(account_id="210987654321").load_balancer()
    assert len({lb["LoadBalancerArn"] for lb in (here, there, other)}) == 3
    assert [lb["LoadBalancerArn"] for lb in (await cloud.elb("DescribeLoadBalancers"))["LoadBalancers"]] == [here["LoadBalancerArn"]]
    assert (await refused(cloud, "DescribeLoadBalancers", LoadBalancerArns=[other["LoadBalancerArn"]]))[0] == "LoadBalancerNotFound"


@pytest.mark.parametrize("name", ["x" * 33, "-web", "web-", "we_b", "internal-web", "w b", "wéb", "web\n"])
async def test_a_name_that_aws_refuses_is_refused(cloud: Cloud, name: str) -> None:
    code, message = await refused(cloud, "CreateLoadBalancer", Name=name, Subnets=await subnet_ids(cloud))
    assert code == "ValidationError" and name in message


async def test_every_load_balancer_has_the_lowest_free_slot(cloud: Cloud) -> None:
    for name in ("one", "two", "three"):
        await cloud.load_balancer(name)
    two = (await cloud.elb("DescribeLoadBalancers", Names=["two"]))["LoadBalancers"][0]
    await cloud.elb("DeleteLoadBalancer", LoadBalancerArn=two["LoadBalancerArn"])
    await cloud.elsewhere(region="eu-west-1").load_balancer("four")
    await cloud.load_balancer("five")
    assert {lb.name: lb.slot for lb in cloud.store.list(LOAD_BALANCERS)} == {"one": 1, "three": 3, "four": 2, "five": 4}


async def test_an_application_load_balancer_needs_two_zones_of_one_vpc(cloud: Cloud) -> None:
    ids = await subnet_ids(cloud)
    code, message = await refused(cloud, "CreateLoadBalancer", Name="web", Subnets=ids[:1])
    assert (code, message) == ("ValidationError", "At least two subnets in two different Availability Zones must be specified")
    assert (await refused(cloud, "CreateLoadBalancer", Name="web"))[0] == "ValidationError"
    code, message = await refused(cloud, "CreateLoadBalancer", Name="web", Subnets=[ids[0], "subnet-0123456789abcdef0"])
    assert (code, message) == ("SubnetNotFound", "The subnet ID 'subnet-0123456789abcdef0' does not exist")
    vpc_id = (await cloud.ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    other = (await cloud.ec2("CreateSubnet", VpcId=vpc_id, CidrBlock="10.0.0.0/24", AvailabilityZone="us-east-1b"))["Subnet"]["SubnetId"]
    assert (await refused(cloud, "CreateLoadBalancer", Name="web", Subnets=[ids[0], other]))[0] == "InvalidConfigurationRequest"
    same = (await cloud.ec2("CreateSubnet", VpcId=vpc_id, CidrBlock="10.0.1.0/24", AvailabilityZone="us-east-1b"))["Subnet"]["SubnetId"]
    assert (await refused(cloud, "CreateLoadBalancer", Name="web", Subnets=[other, same]))[0] == "InvalidConfigurationRequest"


async def test_a_network_load_balancer_is_content_with_one_zone_and_no_security_group(cloud: Cloud) -> None:
    lb = await cloud.load_balancer("net", Type="network", Subnets=(await subnet_ids(cloud))[:1])
    assert lb["LoadBalancerArn"].startswith(f"{PREFIX}:loadbalancer/net/net/") and "SecurityGroups" not in lb
    code, _ = await refused(cloud, "SetSecurityGroups", LoadBalancerArn=lb["LoadBalancerArn"], SecurityGroups=["sg-1"])
    assert code == "InvalidConfigurationRequest"
    assert (await refused(cloud, "CreateLoadBalancer", Name="gw", Type="gateway", Subnets=await subnet_ids(cloud)))[0] == (
        "InvalidConfigurationRequest"
    )


async def test_security_groups_must_exist_in_the_vpc(cloud: Cloud) -> None:
    ids = await subnet_ids(cloud)
    assert (await refused(cloud, "CreateLoadBalancer", Name="web", Subnets=ids, SecurityGroups=["sg-12345678"]))[
        0
    ] == "InvalidSecurityGroup"
    vpc_id = (await cloud.ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    foreign = (await cloud.ec2("CreateSecurityGroup", GroupName="f", Description="f", VpcId=vpc_id))["GroupId"]
    assert (await refused(cloud, "CreateLoadBalancer", Name="web", Subnets=ids, SecurityGroups=[foreign]))[
        0
    ] == "InvalidConfigurationRequest"


async def test_there_are_at_most_fifty_of_a_type_in_a_region(cloud: Cloud) -> None:
    for number in range(LOAD_BALANCERS_PER_REGION):
        await cloud.load_balancer(f"web-{number}")
    assert (await refused(cloud, "CreateLoadBalancer", Name="more", Subnets=await subnet_ids(cloud)))[0] == "TooManyLoadBalancers"
    await cloud.load_balancer("net", Type="network")


# ── listing ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_load_balancers_are_listed_in_pages_and_found_by_name_and_arn(cloud: Cloud) -> None:
    arns = {(await cloud.load_balancer(f"web-{number}"))["LoadBalancerArn"] for number in range(5)}
    first = await cloud.elb("DescribeLoadBalancers", PageSize=3)
    second = await cloud.elb("DescribeLoadBalancers", PageSize=3, Marker=first["NextMarker"])
    assert "NextMarker" not in second
    assert {lb["LoadBalancerArn"] for lb in first["LoadBalancers"] + second["LoadBalancers"]} == arns
    assert (await refused(cloud, "DescribeLoadBalancers", Marker="%%"))[0] == "ValidationError"
    code, message = await refused(cloud, "DescribeLoadBalancers", Names=["web-1", "absent"])
    assert (code, message) == ("LoadBalancerNotFound", "Load balancers '[absent]' not found")
    assert (await refused(cloud, "DescribeLoadBalancers", LoadBalancerArns=["arn:nonsense"]))[0] == "ValidationError"


# ── change and deletion ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_subnets_and_security_groups_are_replaced(cloud: Cloud) -> None:
    lb = await cloud.load_balancer()
    ids = await subnet_ids(cloud)
    answer = await cloud.elb("SetSubnets", LoadBalancerArn=lb["LoadBalancerArn"], Subnets=ids[1:])
    assert [zone["SubnetId"] for zone in answer["AvailabilityZones"]] == ids[1:]
    group = (await cloud.ec2("CreateSecurityGroup", GroupName="web", Description="web"))["GroupId"]
    answer = await cloud.elb("SetSecurityGroups", LoadBalancerArn=lb["LoadBalancerArn"], SecurityGroups=[group])
    assert answer["SecurityGroupIds"] == [group]
    assert (await refused(cloud, "SetSubnets", LoadBalancerArn=lb["LoadBalancerArn"], Subnets=ids[:1]))[0] == "ValidationError"


async def test_deletion_takes_listeners_and_rules_along_and_can_be_repeated(cloud: Cloud) -> None:
    lb, group = await cloud.load_balancer(), await cloud.target_group()
    listener = await cloud.listener(lb, group)
    await cloud.elb(
        "CreateRule",
        ListenerArn=listener["ListenerArn"],
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/x"]}],
        Actions=[{"Type": "forward", "TargetGroupArn": group["TargetGroupArn"]}],
    )
    for _ in range(2):
        await cloud.elb("DeleteLoadBalancer", LoadBalancerArn=lb["LoadBalancerArn"])
    assert (cloud.store.count(LISTENERS), cloud.store.count(RULES)) == (0, 0)
    assert (await refused(cloud, "DescribeLoadBalancers", Names=["web"]))[0] == "LoadBalancerNotFound"
    await cloud.elb("DeleteTargetGroup", TargetGroupArn=group["TargetGroupArn"])


async def test_deletion_protection_protects(cloud: Cloud) -> None:
    arn = (await cloud.load_balancer())["LoadBalancerArn"]
    on = [{"Key": "deletion_protection.enabled", "Value": "true"}]
    await cloud.elb("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=on)
    code, message = await refused(cloud, "DeleteLoadBalancer", LoadBalancerArn=arn)
    assert (code, message) == (
        "OperationNotPermitted",
        f"Load balancer '{arn}' cannot be deleted because deletion protection is enabled",
    )
    on[0]["Value"] = "false"
    await cloud.elb("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=on)
    await cloud.elb("DeleteLoadBalancer", LoadBalancerArn=arn)


# ── attributes ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_attributes_have_defaults_and_only_what_differs_is_kept(cloud: Cloud) -> None:
    arn = (await cloud.load_balancer())["LoadBalancerArn"]
    answer = await cloud.elb("DescribeLoadBalancerAttributes", LoadBalancerArn=arn)
    shown = {attribute["Key"]: attribute["Value"] for attribute in answer["Attributes"]}
    assert (shown["idle_timeout.timeout_seconds"], shown["routing.http2.enabled"]) == ("60", "true")
    changes = [{"Key": "idle_timeout.timeout_seconds", "Value": "4000"}, {"Key": "routing.http2.enabled", "Value": "true"}]
    answer = await cloud.elb("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=changes)
    assert {"Key": "idle_timeout.timeout_seconds", "Value": "4000"} in answer["Attributes"]
    lb = cloud.store.get(LOAD_BALANCERS, arn)
    assert lb is not None and lb.attributes == {"idle_timeout.timeout_seconds": "4000"}


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("idle_timeout.timeout_seconds", "0", "ValidationError"),
        ("idle_timeout.timeout_seconds", "4001", "ValidationError"),
        ("idle_timeout.timeout_seconds", "٦٠", "ValidationError"),
        ("client_keep_alive.seconds", "59", "ValidationError"),
        ("routing.http.desync_mitigation_mode", "lax", "ValidationError"),
        ("load_balancing.cross_zone.enabled", "false", "ValidationError"),
        ("no.such.key", "1", "ValidationError"),
        ("access_logs.s3.enabled", "true", "InvalidConfigurationRequest"),
    ],
)
async def test_attributes_outside_their_range_are_refused(cloud: Cloud, key: str, value: str, code: str) -> None:
    arn = (await cloud.load_balancer())["LoadBalancerArn"]
    given = [{"Key": key, "Value": value}]
    assert (await refused(cloud, "ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=given))[0] == code


# ── tags and quotas ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_tags_are_added_replaced_and_removed_on_every_kind_of_resource(cloud: Cloud) -> None:
    lb, group = await cloud.load_balancer(), await cloud.target_group()
    listener = await cloud.listener(lb, group)
    arns = [lb["LoadBalancerArn"], group["TargetGroupArn"], listener["ListenerArn"]]
    await cloud.elb("AddTags", ResourceArns=arns, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    await cloud.elb("AddTags", ResourceArns=arns, Tags=[{"Key": "a", "Value": "3"}])
    await cloud.elb("RemoveTags", ResourceArns=arns, TagKeys=["b", "absent"])
    described = (await cloud.elb("DescribeTags", ResourceArns=arns))["TagDescriptions"]
    assert [entry["Tags"] for entry in described] == [[{"Key": "a", "Value": "3"}]] * 3


async def test_tags_are_refused_in_aws_words(cloud: Cloud) -> None:
    arn = (await cloud.load_balancer())["LoadBalancerArn"]
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    assert (await refused(cloud, "AddTags", ResourceArns=[arn], Tags=twice))[0] == "DuplicateTagKeys"
    assert (await refused(cloud, "AddTags", ResourceArns=[arn], Tags=[{"Key": "aws:a", "Value": "1"}]))[0] == "ValidationError"
    many = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
    assert (await refused(cloud, "AddTags", ResourceArns=[arn], Tags=many))[0] == "TooManyTags"
    absent = f"{PREFIX}:targetgroup/web/0123456789abcdef"
    assert (await refused(cloud, "AddTags", ResourceArns=[arn, absent], Tags=[{"Key": "a", "Value": "1"}]))[0] == "TargetGroupNotFound"
    assert (await refused(cloud, "DescribeTags", ResourceArns=["arn:aws:s3:::bucket"]))[0] == "ValidationError"
    assert (await cloud.elb("DescribeTags", ResourceArns=[arn]))["TagDescriptions"][0]["Tags"] == []


async def test_limits_are_listed_with_their_quotas(cloud: Cloud) -> None:
    limits = {limit["Name"]: limit["Max"] for limit in (await cloud.elb("DescribeAccountLimits"))["Limits"]}
    assert limits["application-load-balancers"] == "50" and limits["targets-per-target-group"] == "1000"
    first = await cloud.elb("DescribeAccountLimits", PageSize=10)
    second = await cloud.elb("DescribeAccountLimits", PageSize=10, Marker=first["NextMarker"])
    assert [limit["Name"] for limit in first["Limits"] + second["Limits"]] == sorted(limits)


def test_operations_name_the_resources_that_policies_speak_of(cloud: Cloud) -> None:
    arn = f"{PREFIX}:loadbalancer/app/web/0123456789abcdef"
    assert cloud.resources("elbv2", "CreateLoadBalancer", Name="web") == [f"{PREFIX}:loadbalancer/app/web/*"]
    assert cloud.resources("elbv2", "CreateTargetGroup", Name="web") == [f"{PREFIX}:targetgroup/web/*"]
    assert cloud.resources("elbv2", "DeleteLoadBalancer", LoadBalancerArn=arn) == [arn]
    assert cloud.resources("elbv2", "DescribeTargetHealth", TargetGroupArn=arn) == ["*"]
    assert cloud.resources("elbv2", "AddTags", ResourceArns=[arn], Tags=[{"Key": "a"}]) == [arn]
    assert {operation.action.partition(":")[0] for operation in api.operations.values()} == {"elasticloadbalancing"}


@pytest.mark.parametrize("kind", ["access_logs", "connection_logs"])
async def test_logs_go_to_a_bucket_that_is_one(cloud: Cloud, kind: str) -> None:
    arn = (await cloud.load_balancer())["LoadBalancerArn"]

    def on(bucket: str, prefix: str = "") -> list[dict[str, str]]:
        values = {"enabled": "true", "bucket": bucket, "prefix": prefix}
        return [{"Key": f"{kind}.s3.{key}", "Value": value} for key, value in values.items()]

    for bucket, prefix in (("..", ""), ("Not_A_Bucket", ""), ("logs", "../up"), ("logs", "/a"), ("logs", "AWSLogs")):
        code, _ = await refused(cloud, "ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=on(bucket, prefix))
        assert code == "InvalidConfigurationRequest"
    await cloud.elb("ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=on("logs", "a/b"))


async def test_health_check_logs_are_refused_by_name(cloud: Cloud) -> None:
    arn = (await cloud.load_balancer())["LoadBalancerArn"]
    given = [{"Key": f"health_check_logs.s3.{key}", "Value": value} for key, value in (("enabled", "true"), ("bucket", "logs"))]
    code, message = await refused(cloud, "ModifyLoadBalancerAttributes", LoadBalancerArn=arn, Attributes=given)
    assert code == "InvalidConfigurationRequest" and "Health check logs" in message
