"""Classic load balancers as they are asked: creation, listeners, attributes, zones, tags, and what the data plane gets of it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from longshore.aws.errors import AwsError
from longshore.aws.shapes import elb as shapes
from longshore.services.elb.api import api
from longshore.services.elb.model import CLASSIC_LOAD_BALANCERS, REGISTERED_INSTANCES
from longshore.services.elbv2.model import LISTENERS, LOAD_BALANCERS, TARGET_GROUPS, TARGETS, LoadBalancerStatus
from tests.services.ec2.wire import Cloud
from tests.services.elb.house import ARN, FIRST, HTTP, TCP, described, refused, register, shop


@pytest.fixture
async def cloud() -> Cloud:
    return Cloud()


def test_every_operation_of_the_api_is_served() -> None:
    assert set(api.operations) == set(shapes.OPERATIONS) == set(shapes.KNOWN_OPERATIONS)


# ── creation ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_new_one_has_the_defaults_of_aws(cloud: Cloud) -> None:
    lb = await shop(cloud, HTTP, TCP)
    assert lb["DNSName"].startswith("shop-") and lb["DNSName"].endswith(".us-east-1.elb.localhost")
    assert lb["CanonicalHostedZoneName"] == lb["DNSName"]
    assert (lb["Scheme"], lb["AvailabilityZones"], lb["Instances"]) == ("internet-facing", ["us-east-1a"], [])
    check = {"Target": "TCP:6379", "Interval": 30, "Timeout": 5, "UnhealthyThreshold": 2, "HealthyThreshold": 10}
    assert lb["HealthCheck"] == check | {"Target": "TCP:8080"}
    (group,) = (await cloud.ec2("DescribeSecurityGroups"))["SecurityGroups"]
    assert lb["SecurityGroups"] == [group["GroupId"]]
    assert lb["SourceSecurityGroup"] == {"OwnerAlias": "123456789012", "GroupName": "default"}
    assert [one["Listener"] for one in lb["ListenerDescriptions"]] == [HTTP, TCP | {"InstanceProtocol": "TCP"}]
    assert lb["Policies"] == {"AppCookieStickinessPolicies": [], "LBCookieStickinessPolicies": [], "OtherPolicies": []}
    attributes = (await cloud.classic("DescribeLoadBalancerAttributes", LoadBalancerName="shop"))["LoadBalancerAttributes"]
    assert attributes == {
        "CrossZoneLoadBalancing": {"Enabled": False},
        "AccessLog": {"Enabled": False},
        "ConnectionDraining": {"Enabled": False, "Timeout": 300},
        "ConnectionSettings": {"IdleTimeout": 60},
        "AdditionalAttributes": [{"Key": "elb.http.desyncmitigationmode", "Value": "defensive"}],
    }


async def test_asking_again_for_the_same_is_no_error_and_for_another_is(cloud: Cloud) -> None:
    first = await shop(cloud)
    assert (await shop(cloud))["DNSName"] == first["DNSName"]
    code, _ = await refused(cloud, "CreateLoadBalancer", LoadBalancerName="shop", Listeners=[TCP], AvailabilityZones=["us-east-1a"])
    assert code == "DuplicateLoadBalancerName"


async def test_an_application_load_balancer_may_have_the_same_name(cloud: Cloud) -> None:
    classic = await shop(cloud)
    modern = await cloud.load_balancer("shop")
    assert classic["DNSName"] != modern["DNSName"]
    slots = [lb.slot for lb in cloud.store.list(LOAD_BALANCERS)]
    assert sorted(slots) == [1, 2]


@pytest.mark.parametrize(
    ("name", "listener", "more", "code"),
    [
        ("-shop", HTTP, {}, "ValidationError"),
        ("s" * 33, HTTP, {}, "ValidationError"),
        ("shop", HTTP | {"Protocol": "UDP"}, {}, "UnsupportedProtocol"),
        ("shop", HTTP | {"InstanceProtocol": "TCP"}, {}, "ValidationError"),
        ("shop", HTTP | {"LoadBalancerPort": 0}, {}, "ValidationError"),
        ("shop", HTTP | {"Protocol": "HTTPS"}, {}, "ValidationError"),
        (
            "shop",
            HTTP | {"Protocol": "HTTPS", "SSLCertificateId": "arn:aws:iam::123456789012:server-certificate/x"},
            {},
            "CertificateNotFound",
        ),
        ("shop", HTTP | {"SSLCertificateId": "arn:aws:iam::123456789012:server-certificate/x"}, {}, "InvalidConfigurationRequest"),
        ("shop", HTTP, {"Scheme": "secret"}, "InvalidScheme"),
        ("shop", HTTP, {"AvailabilityZones": []}, "ValidationError"),
        ("shop", HTTP, {"AvailabilityZones": ["mars-1a"]}, "ValidationError"),
        ("shop", HTTP, {"Subnets": ["subnet-0"], "AvailabilityZones": []}, "SubnetNotFound"),
        ("shop", HTTP, {"SecurityGroups": ["sg-0"]}, "InvalidSecurityGroup"),
        ("shop", HTTP, {"Tags": [{"Key": "aws:x", "Value": "y"}]}, "ValidationError"),
        ("shop", HTTP, {"Tags": [{"Key": f"k{n}"} for n in range(11)]}, "TooManyTags"),
        ("shop", HTTP, {"Tags": [{"Key": "a"}, {"Key": "a"}]}, "DuplicateTagKeys"),
    ],
)
async def test_what_cannot_be_is_refused_and_leaves_nothing(
    cloud: Cloud, name: str, listener: dict[str, Any], more: dict[str, Any], code: str
) -> None:
    asked = {"LoadBalancerName": name, "Listeners": [listener], "AvailabilityZones": ["us-east-1a"], **more}
    assert (await refused(cloud, "CreateLoadBalancer", **asked))[0] == code
    assert not cloud.store.list(CLASSIC_LOAD_BALANCERS) and not cloud.store.list(LOAD_BALANCERS)


async def test_who_is_asked_for_and_not_there_is_named(cloud: Cloud) -> None:
    code, message = await refused(cloud, "DescribeLoadBalancers", LoadBalancerNames=["nobody"])
    assert (code, message) == ("LoadBalancerNotFound", "There is no ACTIVE Load Balancer named 'nobody'")


async def test_nobody_sees_those_of_another_account_or_region(cloud: Cloud) -> None:
    await shop(cloud)
    for elsewhere in (cloud.elsewhere(region="eu-west-1"), cloud.elsewhere(account_id="210987654321")):
        assert (await elsewhere.classic("DescribeLoadBalancers"))["LoadBalancerDescriptions"] == []
        assert (await refused(elsewhere, "ConfigureHealthCheck", LoadBalancerName="shop", HealthCheck=CHECK))[0] == "LoadBalancerNotFound"


CHECK = {"Target": "HTTP:8080/health", "Interval": 10, "Timeout": 3, "UnhealthyThreshold": 2, "HealthyThreshold": 2}


async def test_a_listing_comes_in_pages(cloud: Cloud) -> None:
    for name in ("a", "b", "c"):
        await cloud.classic("CreateLoadBalancer", LoadBalancerName=name, Listeners=[HTTP], AvailabilityZones=["us-east-1a"])
    first = await cloud.classic("DescribeLoadBalancers", PageSize=2)
    rest = await cloud.classic("DescribeLoadBalancers", PageSize=2, Marker=first["NextMarker"])
    names = [lb["LoadBalancerName"] for page in (first, rest) for lb in page["LoadBalancerDescriptions"]]
    assert names == ["a", "b", "c"] and "NextMarker" not in rest


async def test_there_are_twenty_at_most(cloud: Cloud) -> None:
    for number in range(20):
        await cloud.classic("CreateLoadBalancer", LoadBalancerName=f"lb{number}", Listeners=[HTTP], AvailabilityZones=["us-east-1a"])
    assert (await refused(cloud, "CreateLoadBalancer", LoadBalancerName="lb", Listeners=[HTTP], AvailabilityZones=["us-east-1a"]))[0] == (
        "TooManyLoadBalancers"
    )
    limits = (await cloud.classic("DescribeAccountLimits"))["Limits"]
    assert {limit["Name"]: limit["Max"] for limit in limits}["classic-load-balancers"] == "20"


# ── what the data plane gets ────────────────────────────────────────────────────────────────────────────────────────


async def test_the_data_plane_has_a_load_balancer_with_a_group_per_listener(cloud: Cloud) -> None:
    await shop(cloud, HTTP, TCP)
    (lb,) = cloud.store.list(LOAD_BALANCERS)
    assert (lb.type, lb.arn, lb.slot) == ("classic", ARN, 1)
    served = sorted((listener.port, listener.protocol) for listener in cloud.store.list(LISTENERS))
    assert served == [(80, "HTTP"), (6379, "TCP")]
    groups = sorted((group.port, group.protocol, group.health_check.protocol, group.classic) for group in cloud.store.list(TARGET_GROUPS))
    assert groups == [(6379, "TCP", "TCP", "shop"), (8080, "HTTP", "TCP", "shop")]


async def test_the_other_api_does_not_see_it(cloud: Cloud) -> None:
    await shop(cloud)
    (group,) = cloud.store.list(TARGET_GROUPS)
    (listener,) = cloud.store.list(LISTENERS)
    assert (await cloud.elb("DescribeLoadBalancers"))["LoadBalancers"] == []
    assert (await cloud.elb("DescribeTargetGroups"))["TargetGroups"] == []
    for operation, asked, code in (
        ("DeleteLoadBalancer", {"LoadBalancerArn": ARN}, "ValidationError"),
        ("DescribeListeners", {"LoadBalancerArn": ARN}, "ValidationError"),
        ("RegisterTargets", {"TargetGroupArn": group.arn, "Targets": [{"Id": FIRST}]}, "TargetGroupNotFound"),
        ("ModifyListener", {"ListenerArn": listener.arn, "Port": 81}, "ListenerNotFound"),
    ):
        with pytest.raises(AwsError) as raised:
            await cloud.elb(operation, **asked)
        assert raised.value.wire("query")[0] == code, operation


async def test_changes_leave_alone_what_the_balancer_wrote(cloud: Cloud) -> None:
    await shop(cloud)
    (lb,) = cloud.store.list(LOAD_BALANCERS)
    active = replace(lb, status=LoadBalancerStatus("active", address="127.0.2.1"))
    await cloud.write(lambda tx: tx.put(LOAD_BALANCERS, active))
    await cloud.classic(
        "ModifyLoadBalancerAttributes",
        LoadBalancerName="shop",
        LoadBalancerAttributes={"ConnectionSettings": {"IdleTimeout": 7}, "ConnectionDraining": {"Enabled": True, "Timeout": 30}},
    )
    (lb,) = cloud.store.list(LOAD_BALANCERS)
    assert (lb.status.state, lb.slot, lb.attributes["idle_timeout.timeout_seconds"]) == ("active", 1, "7")
    (group,) = cloud.store.list(TARGET_GROUPS)
    assert group.deregistration_delay_s == 30


async def test_deleting_it_leaves_nothing_behind_and_deleting_it_again_is_no_error(cloud: Cloud) -> None:
    await cloud.instance(FIRST)
    await shop(cloud, HTTP, TCP)
    await register(cloud, FIRST)
    for _ in range(2):
        await cloud.classic("DeleteLoadBalancer", LoadBalancerName="shop")
    for kind in (CLASSIC_LOAD_BALANCERS, REGISTERED_INSTANCES, LOAD_BALANCERS, LISTENERS, TARGET_GROUPS, TARGETS):
        assert cloud.store.list(kind) == [], kind.name


async def test_one_made_anew_has_nothing_of_the_one_before(cloud: Cloud) -> None:
    await shop(cloud)
    (before,) = cloud.store.list(TARGET_GROUPS)
    await cloud.classic("DeleteLoadBalancer", LoadBalancerName="shop")
    await shop(cloud)
    (after,) = cloud.store.list(TARGET_GROUPS)
    assert before.arn != after.arn


# ── listeners ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_listeners_come_and_go(cloud: Cloud) -> None:
    await shop(cloud)
    await cloud.classic("CreateLoadBalancerListeners", LoadBalancerName="shop", Listeners=[TCP, HTTP])
    assert [one["Listener"]["LoadBalancerPort"] for one in (await described(cloud))["ListenerDescriptions"]] == [80, 6379]
    await cloud.classic("DeleteLoadBalancerListeners", LoadBalancerName="shop", LoadBalancerPorts=[80, 4711])
    assert [one["Listener"]["LoadBalancerPort"] for one in (await described(cloud))["ListenerDescriptions"]] == [6379]
    assert [listener.port for listener in cloud.store.list(LISTENERS)] == [6379]
    assert [group.port for group in cloud.store.list(TARGET_GROUPS)] == [6379]


async def test_a_port_has_one_listener(cloud: Cloud) -> None:
    await shop(cloud)
    other = HTTP | {"InstancePort": 9090}
    assert (await refused(cloud, "CreateLoadBalancerListeners", LoadBalancerName="shop", Listeners=[other]))[0] == "DuplicateListener"


async def test_a_port_of_the_instances_is_spoken_to_with_tls_by_all_listeners_or_by_none(cloud: Cloud) -> None:
    await shop(cloud)
    other = {"Protocol": "HTTP", "LoadBalancerPort": 81, "InstanceProtocol": "HTTPS", "InstancePort": 8080}
    code, _ = await refused(cloud, "CreateLoadBalancerListeners", LoadBalancerName="shop", Listeners=[other])
    assert code == "InvalidConfigurationRequest"


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"ConnectionDraining": {"Enabled": True, "Timeout": 3601}}, "ValidationError"),
        ({"AccessLog": {"Enabled": True}}, "InvalidConfigurationRequest"),
        ({"AccessLog": {"Enabled": True, "S3BucketName": "logs", "EmitInterval": 7}}, "InvalidConfigurationRequest"),
        ({"AccessLog": {"Enabled": True, "S3BucketName": "../logs"}}, "InvalidConfigurationRequest"),
        ({"AccessLog": {"Enabled": True, "S3BucketName": "logs", "S3BucketPrefix": "a/../../b"}}, "InvalidConfigurationRequest"),
        ({"AdditionalAttributes": [{"Key": "elb.http.other", "Value": "x"}]}, "LoadBalancerAttributeNotFound"),
        ({"AdditionalAttributes": [{"Key": "elb.http.desyncmitigationmode", "Value": "lax"}]}, "InvalidConfigurationRequest"),
    ],
)
async def test_attributes_are_checked(cloud: Cloud, attributes: dict[str, Any], code: str) -> None:
    await shop(cloud)
    before = cloud.store.revision
    assert (await refused(cloud, "ModifyLoadBalancerAttributes", LoadBalancerName="shop", LoadBalancerAttributes=attributes))[0] == code
    assert cloud.store.revision == before


@pytest.mark.parametrize(
    "target",
    ["HTTP:8080", "TCP:80/x", "UDP:53", "HTTP:0/", "HTTP:99999/", "http:80/", "HTTP:80/a b", "HTTP:80/\n", "", "HTTP:80/" + "a" * 1024],
)
async def test_a_health_check_that_says_nothing_is_refused(cloud: Cloud, target: str) -> None:
    await shop(cloud)
    code, _ = await refused(cloud, "ConfigureHealthCheck", LoadBalancerName="shop", HealthCheck=CHECK | {"Target": target})
    assert code == "ValidationError"


async def test_a_health_check_is_kept_and_shared_by_all_groups(cloud: Cloud) -> None:
    await shop(cloud, HTTP, TCP)
    answered = await cloud.classic("ConfigureHealthCheck", LoadBalancerName="shop", HealthCheck=CHECK)
    assert answered["HealthCheck"] == CHECK == (await described(cloud))["HealthCheck"]
    for group in cloud.store.list(TARGET_GROUPS):
        check = group.health_check
        assert (check.protocol, check.port, check.path, check.http_codes, check.interval_s) == ("HTTP", "8080", "/health", "200", 10)
    code, _ = await refused(cloud, "ConfigureHealthCheck", LoadBalancerName="shop", HealthCheck=CHECK | {"Timeout": 10})
    assert code == "ValidationError"


async def test_zones_are_enabled_and_disabled_but_never_all(cloud: Cloud) -> None:
    await shop(cloud)
    done = await cloud.classic(
        "EnableAvailabilityZonesForLoadBalancer", LoadBalancerName="shop", AvailabilityZones=["us-east-1b", "us-east-1a"]
    )
    assert done["AvailabilityZones"] == ["us-east-1a", "us-east-1b"]
    done = await cloud.classic("DisableAvailabilityZonesForLoadBalancer", LoadBalancerName="shop", AvailabilityZones=["us-east-1a"])
    assert done["AvailabilityZones"] == ["us-east-1b"]
    for zones in (["us-east-1b"], ["us-east-1a"]):
        code, _ = await refused(cloud, "DisableAvailabilityZonesForLoadBalancer", LoadBalancerName="shop", AvailabilityZones=zones)
        assert code == "InvalidConfigurationRequest"


async def test_subnets_are_attached_one_per_zone_and_detached(cloud: Cloud) -> None:
    first, second, _ = [subnet["SubnetId"] for subnet in await cloud.default_subnets()]
    await shop(cloud, Subnets=[first])
    assert (await cloud.classic("AttachLoadBalancerToSubnets", LoadBalancerName="shop", Subnets=[second]))["Subnets"] == [first, second]
    assert (await cloud.classic("DetachLoadBalancerFromSubnets", LoadBalancerName="shop", Subnets=[first]))["Subnets"] == [second]
    assert (await refused(cloud, "DetachLoadBalancerFromSubnets", LoadBalancerName="shop", Subnets=[first]))[0] == (
        "InvalidConfigurationRequest"
    )


async def test_a_subnet_and_a_group_that_it_uses_cannot_be_deleted(cloud: Cloud) -> None:
    lb = await shop(cloud)
    with pytest.raises(AwsError) as raised:
        await cloud.ec2("DeleteSubnet", SubnetId=lb["Subnets"][0])
    assert raised.value.wire("ec2")[0] == "DependencyViolation"


async def test_security_groups_are_of_its_own_network(cloud: Cloud) -> None:
    lb = await shop(cloud)
    made = await cloud.ec2("CreateSecurityGroup", GroupName="edge", Description="d", VpcId=lb["VPCId"])
    done = await cloud.classic("ApplySecurityGroupsToLoadBalancer", LoadBalancerName="shop", SecurityGroups=[made["GroupId"]])
    assert done["SecurityGroups"] == [made["GroupId"]]
    assert (await described(cloud))["SourceSecurityGroup"]["GroupName"] == "edge"


async def test_tags_are_added_shown_and_removed(cloud: Cloud) -> None:
    await shop(cloud, Tags=[{"Key": "team", "Value": "web"}])
    await cloud.classic("AddTags", LoadBalancerNames=["shop"], Tags=[{"Key": "team", "Value": "edge"}, {"Key": "stage"}])
    await cloud.classic("RemoveTags", LoadBalancerNames=["shop"], Tags=[{"Key": "stage"}])
    found = (await cloud.classic("DescribeTags", LoadBalancerNames=["shop"]))["TagDescriptions"]
    assert found == [{"LoadBalancerName": "shop", "Tags": [{"Key": "team", "Value": "edge"}]}]
