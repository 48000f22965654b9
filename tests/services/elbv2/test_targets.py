"""Target groups, targets and their health as they are asked, and registration as a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from longshore.aws.errors import AwsError
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.errors import TooManyTargets
from longshore.services.elbv2.model import (
    LOAD_BALANCERS,
    TARGET_GROUPS,
    TARGETS,
    LoadBalancerStatus,
    Target,
    TargetGroup,
    TargetHealth,
)
from longshore.services.elbv2.registration import deregister, register
from tests.services.ec2.wire import ACCOUNT, REGION, Cloud

PREFIX = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}"
INSTANCE = "i-0123456789abcdef0"
ABSENT = f"{PREFIX}:targetgroup/web/0000000000000000"


@pytest.fixture
async def cloud() -> Cloud:
    return Cloud()


async def refused(cloud: Cloud, operation: str, **parameters: Any) -> tuple[str, str]:
    """(code, message)"""
    with pytest.raises(AwsError) as raised:
        await cloud.elb(operation, **parameters)
    return raised.value.wire("query")[0], raised.value.message


async def used_group(cloud: Cloud, **parameters: Any) -> str:
    """The ARN of a target group that a listener forwards to."""
    group = await cloud.target_group(**parameters)
    await cloud.listener(await cloud.load_balancer(), group)
    return str(group["TargetGroupArn"])


async def health(cloud: Cloud, arn: str, *targets: dict[str, Any]) -> list[tuple[str, int, str, str | None]]:
    """(id, port, state, reason) of each target."""
    asked = {"Targets": list(targets)} if targets else {}
    found = (await cloud.elb("DescribeTargetHealth", TargetGroupArn=arn, **asked))["TargetHealthDescriptions"]
    return [(one["Target"]["Id"], one["Target"]["Port"], one["TargetHealth"]["State"], one["TargetHealth"].get("Reason")) for one in found]


async def change_target(cloud: Cloud, change: Callable[[Target], Target]) -> None:
    """What the balancer writes, on the only target there is."""
    (target,) = cloud.store.list(TARGETS)
    await cloud.write(lambda tx: tx.put(TARGETS, change(target)))


# ── target groups ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_target_group_has_the_health_check_of_the_api_reference(cloud: Cloud) -> None:
    group = await cloud.target_group()
    assert group["TargetGroupArn"].startswith(f"{PREFIX}:targetgroup/web/")
    expected = {
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckEnabled": True,
        "HealthCheckIntervalSeconds": 30,
        "HealthCheckTimeoutSeconds": 6,
        "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2,
        "HealthCheckPath": "/",
        "Matcher": {"HttpCode": "200"},
        "TargetType": "instance",
        "ProtocolVersion": "HTTP1",
        "LoadBalancerArns": [],
        "IpAddressType": "ipv4",
    }
    assert {key: group[key] for key in expected} == expected
    tcp = await cloud.target_group("tcp", Protocol="TCP")
    assert (tcp["HealthCheckProtocol"], tcp["HealthCheckTimeoutSeconds"]) == ("TCP", 10)
    assert not {"Matcher", "HealthCheckPath", "ProtocolVersion"} & set(tcp)
    grpc = await cloud.target_group("grpc", ProtocolVersion="GRPC")
    assert (grpc["Matcher"], grpc["HealthCheckPath"]) == ({"GrpcCode": "12"}, "/AWS.ALB/healthcheck")


async def test_creating_the_same_target_group_again_answers_with_the_one_that_is_there(cloud: Cloud) -> None:
    first = await cloud.target_group()
    assert (await cloud.target_group())["TargetGroupArn"] == first["TargetGroupArn"]
    vpc_id = (await cloud.default_vpc())["VpcId"]
    code, message = await refused(cloud, "CreateTargetGroup", Name="web", Protocol="HTTP", Port=81, VpcId=vpc_id)
    assert (code, message) == (
        "DuplicateTargetGroupName",
        "A target group with the same name 'web' exists, but with different settings",
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Name": "-x"}, "ValidationError"),
        ({"Name": "x" * 33}, "ValidationError"),
        ({"VpcId": "vpc-0123456789abcdef0"}, "ValidationError"),
        ({"TargetType": "lambda"}, "InvalidConfigurationRequest"),
        ({"TargetType": "alb"}, "InvalidConfigurationRequest"),
        ({"Protocol": "UDP"}, "UnsupportedProtocol"),
        ({"Protocol": "GENEVE"}, "UnsupportedProtocol"),
        ({"Protocol": "SCTP"}, "ValidationError"),
        ({"Protocol": "TLS", "ProtocolVersion": "HTTP2"}, "ValidationError"),
        ({"Protocol": "TCP", "TargetType": "alb", "HealthCheckProtocol": "TCP"}, "ValidationError"),
        ({"ProtocolVersion": "HTTP3"}, "ValidationError"),
        ({"HealthCheckProtocol": "TCP"}, "ValidationError"),
        ({"HealthCheckPort": "x"}, "ValidationError"),
        ({"HealthCheckPort": "65536"}, "ValidationError"),
        ({"HealthCheckPath": "health"}, "ValidationError"),
        ({"HealthCheckPath": "/a b"}, "ValidationError"),
        ({"HealthCheckPath": "/a\r\nX: y"}, "ValidationError"),
        ({"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 5}, "ValidationError"),
        ({"HealthCheckEnabled": False}, "ValidationError"),
        ({"Matcher": {"HttpCode": "199"}}, "ValidationError"),
        ({"Matcher": {"HttpCode": "200-500"}}, "ValidationError"),
        ({"Matcher": {"HttpCode": "299-200"}}, "ValidationError"),
        ({"Matcher": {"HttpCode": "200, 201"}}, "ValidationError"),
        ({"Matcher": {"GrpcCode": "12"}}, "ValidationError"),
        ({"IpAddressType": "ipv6"}, "InvalidConfigurationRequest"),
    ],
)
async def test_target_groups_that_cannot_be_are_refused(cloud: Cloud, changes: dict[str, Any], code: str) -> None:
    asked = {"Name": "web", "Protocol": "HTTP", "Port": 80, "VpcId": (await cloud.default_vpc())["VpcId"], **changes}
    assert (await refused(cloud, "CreateTargetGroup", **asked))[0] == code


@pytest.mark.parametrize("missing", ["Protocol", "Port", "VpcId"])
async def test_protocol_port_and_vpc_are_needed(cloud: Cloud, missing: str) -> None:
    asked = {"Protocol": "HTTP", "Port": 80, "VpcId": (await cloud.default_vpc())["VpcId"]}
    del asked[missing]
    assert (await refused(cloud, "CreateTargetGroup", Name="web", **asked))[0] == "ValidationError"


async def test_a_health_check_is_modified_piece_by_piece(cloud: Cloud) -> None:
    arn = (await cloud.target_group())["TargetGroupArn"]
    await cloud.elb("ModifyTargetGroup", TargetGroupArn=arn, HealthCheckPath="/up", Matcher={"HttpCode": "200,202-299"})
    answer = await cloud.elb("ModifyTargetGroup", TargetGroupArn=arn, HealthCheckIntervalSeconds=10, UnhealthyThresholdCount=3)
    (group,) = answer["TargetGroups"]
    assert (group["HealthCheckPath"], group["Matcher"], group["HealthCheckIntervalSeconds"]) == ("/up", {"HttpCode": "200,202-299"}, 10)
    assert group["HealthCheckTimeoutSeconds"] == 6
    assert (await refused(cloud, "ModifyTargetGroup", TargetGroupArn=arn, HealthCheckTimeoutSeconds=10))[0] == "ValidationError"


async def test_a_tcp_group_changes_to_http_checks_and_back(cloud: Cloud) -> None:
    arn = (await cloud.target_group(Protocol="TCP"))["TargetGroupArn"]
    to_http = await cloud.elb("ModifyTargetGroup", TargetGroupArn=arn, HealthCheckProtocol="HTTP", HealthCheckPath="/up")
    assert (to_http["TargetGroups"][0]["HealthCheckPath"], to_http["TargetGroups"][0]["Matcher"]) == ("/up", {"HttpCode": "200-399"})
    to_tcp = await cloud.elb("ModifyTargetGroup", TargetGroupArn=arn, HealthCheckProtocol="TCP")
    assert not {"Matcher", "HealthCheckPath"} & set(to_tcp["TargetGroups"][0])


async def test_target_groups_are_found_by_name_arn_and_load_balancer(cloud: Cloud) -> None:
    arn = await used_group(cloud)
    spare = (await cloud.target_group("spare"))["TargetGroupArn"]
    lb_arn = (await cloud.elb("DescribeLoadBalancers"))["LoadBalancers"][0]["LoadBalancerArn"]

    async def found(**parameters: Any) -> list[str]:
        return [group["TargetGroupArn"] for group in (await cloud.elb("DescribeTargetGroups", **parameters))["TargetGroups"]]

    assert await found(LoadBalancerArn=lb_arn) == [arn]
    assert await found(Names=["spare"]) == [spare]
    assert sorted(await found()) == sorted([arn, spare])
    assert await found(TargetGroupArns=[arn]) == [arn]
    code, message = await refused(cloud, "DescribeTargetGroups", Names=["absent"])
    assert (code, message) == ("TargetGroupNotFound", "One or more target groups not found")
    assert (await refused(cloud, "DescribeTargetGroups", TargetGroupArns=[ABSENT]))[0] == "TargetGroupNotFound"


async def test_a_group_in_use_cannot_be_deleted_and_an_absent_one_can(cloud: Cloud) -> None:
    arn = await used_group(cloud)
    code, message = await refused(cloud, "DeleteTargetGroup", TargetGroupArn=arn)
    assert (code, message) == ("ResourceInUse", f"Target group '{arn}' is currently in use by a listener or a rule")
    await cloud.elb("DeleteTargetGroup", TargetGroupArn=ABSENT)


async def test_a_group_is_deleted_with_its_targets(cloud: Cloud) -> None:
    await cloud.instance()
    arn = (await cloud.target_group())["TargetGroupArn"]
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    await cloud.elb("DeleteTargetGroup", TargetGroupArn=arn)
    assert cloud.store.count(TARGETS) == 0


async def test_group_attributes_have_defaults_and_ranges(cloud: Cloud) -> None:
    arn = (await cloud.target_group())["TargetGroupArn"]
    answer = await cloud.elb("DescribeTargetGroupAttributes", TargetGroupArn=arn)
    shown = {attribute["Key"]: attribute["Value"] for attribute in answer["Attributes"]}
    assert shown["deregistration_delay.timeout_seconds"] == "300" and shown["stickiness.type"] == "lb_cookie"
    await cloud.elb(
        "ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]
    )
    group = cloud.store.get(TARGET_GROUPS, arn)
    assert group is not None and group.deregistration_delay_s == 5


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"deregistration_delay.timeout_seconds": "3601"}, "ValidationError"),
        ({"slow_start.duration_seconds": "29"}, "ValidationError"),
        ({"stickiness.type": "source_ip"}, "ValidationError"),
        ({"stickiness.app_cookie.cookie_name": "AWSALBX"}, "ValidationError"),
        ({"stickiness.app_cookie.cookie_name": "a;b"}, "ValidationError"),
        ({"stickiness.enabled": "true", "stickiness.type": "app_cookie"}, "InvalidConfigurationRequest"),
        ({"load_balancing.algorithm.anomaly_mitigation": "on"}, "InvalidConfigurationRequest"),
        ({"slow_start.duration_seconds": "30", "load_balancing.algorithm.type": "weighted_random"}, "InvalidConfigurationRequest"),
        ({"preserve_client_ip.enabled": "true"}, "ValidationError"),
    ],
)
async def test_group_attributes_that_cannot_be_are_refused(cloud: Cloud, attributes: dict[str, str], code: str) -> None:
    arn = (await cloud.target_group())["TargetGroupArn"]
    given = [{"Key": key, "Value": value} for key, value in attributes.items()]
    assert (await refused(cloud, "ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=given))[0] == code


# ── registration ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_instance_is_reached_at_its_own_address(cloud: Cloud) -> None:
    await cloud.instance(address="127.0.1.7", availability_zone="us-east-1b")
    arn = await used_group(cloud)
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}, {"Id": INSTANCE, "Port": 32768}])
    targets = cloud.store.list(TARGETS)
    assert [(t.address, t.port, t.availability_zone) for t in targets] == [
        ("127.0.1.7", 32768, "us-east-1b"),
        ("127.0.1.7", 80, "us-east-1b"),
    ]


async def test_only_registered_instances_can_be_targets(cloud: Cloud) -> None:
    arn = await used_group(cloud)
    code, message = await refused(cloud, "RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    assert (code, message) == ("InvalidTarget", f"Instance ID '{INSTANCE}' is not valid")
    await cloud.instance(status="INACTIVE")
    code, message = await refused(cloud, "RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    assert code == "InvalidTarget" and "not in a running state" in message
    await cloud.elsewhere(account_id="210987654321").instance("i-0aaaaaaaaaaaaaaaa")
    assert (await refused(cloud, "RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": "i-0aaaaaaaaaaaaaaaa"}]))[0] == "InvalidTarget"
    assert (await refused(cloud, "RegisterTargets", TargetGroupArn=ABSENT, Targets=[{"Id": INSTANCE}]))[0] == "TargetGroupNotFound"


@pytest.mark.parametrize(
    ("address", "zone"), [("172.31.16.9", "us-east-1b"), ("127.0.0.1", "all"), ("10.9.8.7", "all"), ("192.168.1.1", "all")]
)
async def test_ip_targets_lie_in_the_vpc_or_a_private_range(cloud: Cloud, address: str, zone: str) -> None:
    arn = await used_group(cloud, TargetType="ip")
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": address, "Port": 8080}])
    answer = await cloud.elb("DescribeTargetHealth", TargetGroupArn=arn)
    assert answer["TargetHealthDescriptions"][0]["Target"] == {"Id": address, "Port": 8080, "AvailabilityZone": zone}


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({"Id": "8.8.8.8"}, "InvalidTarget"),
        ({"Id": "169.254.169.254"}, "InvalidTarget"),
        ({"Id": "i-0123456789abcdef0"}, "ValidationError"),
        ({"Id": "::1"}, "ValidationError"),
        ({"Id": "10.0.0.1", "AvailabilityZone": "us-east-1a"}, "ValidationError"),
    ],
)
async def test_ip_targets_elsewhere_are_refused(cloud: Cloud, target: dict[str, Any], code: str) -> None:
    arn = await used_group(cloud, TargetType="ip")
    assert (await refused(cloud, "RegisterTargets", TargetGroupArn=arn, Targets=[target]))[0] == code


async def test_registering_again_changes_nothing_but_brings_a_draining_target_back(cloud: Cloud) -> None:
    await cloud.instance()
    arn = await used_group(cloud)
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    await change_target(cloud, lambda target: msgspec.structs.replace(target, health=TargetHealth("healthy", "", "")))
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    assert await health(cloud, arn) == [(INSTANCE, 80, "healthy", None)]
    await cloud.elb("DeregisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    assert await health(cloud, arn) == [(INSTANCE, 80, "draining", "Target.DeregistrationInProgress")]
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    assert await health(cloud, arn) == [(INSTANCE, 80, "initial", "Elb.RegistrationInProgress")]


async def test_deregistering_marks_the_target_once(cloud: Cloud) -> None:
    await cloud.instance()
    arn = await used_group(cloud)
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    begun = cloud.clock.now()
    for _ in range(2):
        await cloud.elb("DeregisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}, {"Id": "i-0aaaaaaaaaaaaaaaa"}])
        await cloud.clock.step(5)
    assert [target.deregistered_at for target in cloud.store.list(TARGETS)] == [begun]


async def test_a_target_of_a_group_that_nobody_uses_goes_at_once(cloud: Cloud) -> None:
    await cloud.instance()
    arn = (await cloud.target_group())["TargetGroupArn"]
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    await cloud.elb("DeregisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    assert cloud.store.count(TARGETS) == 0


async def test_when_the_last_listener_goes_draining_targets_go_and_health_starts_anew(cloud: Cloud) -> None:
    await cloud.instance()
    await cloud.instance("i-0fedcba9876543210", address="127.0.1.2")
    arn = await used_group(cloud)
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    await change_target(cloud, lambda target: msgspec.structs.replace(target, health=TargetHealth("healthy", "", "")))
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": "i-0fedcba9876543210"}])
    await cloud.elb("DeregisterTargets", TargetGroupArn=arn, Targets=[{"Id": "i-0fedcba9876543210"}])
    lb_arn = (await cloud.elb("DescribeLoadBalancers"))["LoadBalancers"][0]["LoadBalancerArn"]
    await cloud.elb("DeleteLoadBalancer", LoadBalancerArn=lb_arn)
    assert [(target.id, target.health.state) for target in cloud.store.list(TARGETS)] == [(INSTANCE, "initial")]
    assert await health(cloud, arn) == [(INSTANCE, 80, "unused", "Target.NotInUse")]


async def test_registration_remembers_the_task_that_a_target_stands_for(cloud: Cloud) -> None:
    await cloud.instance()
    arn = await used_group(cloud)
    group = cloud.store.get(TARGET_GROUPS, arn)
    assert group is not None
    described = [shapes.TargetDescription(id=INSTANCE, port=32768)]
    await cloud.write(lambda tx: register(tx, group, described, 1.0, owner="task-1"))
    assert [target.owner for target in cloud.store.list(TARGETS, "owner", "task-1")] == ["task-1"]
    await cloud.write(lambda tx: register(tx, group, described, 2.0, owner="task-2"))
    assert [(target.owner, target.registered_at) for target in cloud.store.list(TARGETS)] == [("task-2", 2.0)]
    await cloud.write(lambda tx: deregister(tx, group, described, 3.0))
    assert [target.deregistered_at for target in cloud.store.list(TARGETS)] == [3.0]


async def test_a_group_holds_at_most_a_thousand_targets(cloud: Cloud) -> None:
    arn = (await cloud.target_group(TargetType="ip"))["TargetGroupArn"]
    group: TargetGroup | None = cloud.store.get(TARGET_GROUPS, arn)
    assert group is not None
    thousand = [shapes.TargetDescription(id="10.0.0.1", port=port) for port in range(1, 1001)]
    await cloud.write(lambda tx: register(tx, group, thousand, 1.0))
    with pytest.raises(TooManyTargets):
        await cloud.write(lambda tx: register(tx, group, [shapes.TargetDescription(id="10.0.0.2")], 1.0))
    await cloud.write(lambda tx: register(tx, group, thousand[:1], 1.0))


# ── health ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_health_is_what_the_balancer_wrote(cloud: Cloud) -> None:
    await cloud.instance()
    arn = await used_group(cloud)
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    unhealthy = TargetHealth("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]")
    await change_target(cloud, lambda target: msgspec.structs.replace(target, health=unhealthy))
    (one,) = (await cloud.elb("DescribeTargetHealth", TargetGroupArn=arn))["TargetHealthDescriptions"]
    assert one == {
        "Target": {"Id": INSTANCE, "Port": 80},
        "HealthCheckPort": "80",
        "TargetHealth": {
            "State": "unhealthy",
            "Reason": "Target.ResponseCodeMismatch",
            "Description": "Health checks failed with these codes: [503]",
        },
    }


async def test_targets_that_are_asked_for_but_not_registered_are_unused(cloud: Cloud) -> None:
    await cloud.instance()
    arn = await used_group(cloud)
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}, {"Id": INSTANCE, "Port": 81}])
    assert await health(cloud, arn, {"Id": INSTANCE, "Port": 81}, {"Id": "i-0aaaaaaaaaaaaaaaa"}) == [
        (INSTANCE, 81, "initial", "Elb.RegistrationInProgress"),
        ("i-0aaaaaaaaaaaaaaaa", 80, "unused", "Target.NotRegistered"),
    ]
    assert len(await health(cloud, arn, {"Id": INSTANCE})) == 2
    assert (await refused(cloud, "DescribeTargetHealth", TargetGroupArn=ABSENT))[0] == "TargetGroupNotFound"
    assert (await refused(cloud, "DescribeTargetHealth", TargetGroupArn="x"))[0] == "ValidationError"


async def test_the_health_check_port_is_shown(cloud: Cloud) -> None:
    await cloud.instance()
    arn = await used_group(cloud, HealthCheckPort="9000")
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    (one,) = (await cloud.elb("DescribeTargetHealth", TargetGroupArn=arn))["TargetHealthDescriptions"]
    assert one["HealthCheckPort"] == "9000"


async def test_what_is_asked_for_beside_health_is_told(cloud: Cloud) -> None:
    arn = await used_group(cloud, TargetType="ip")
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": "10.0.0.1"}])
    plain = (await cloud.elb("DescribeTargetHealth", TargetGroupArn=arn))["TargetHealthDescriptions"][0]
    assert not {"AnomalyDetection", "AdministrativeOverride"} & plain.keys()
    found = (await cloud.elb("DescribeTargetHealth", TargetGroupArn=arn, Include=["All"]))["TargetHealthDescriptions"][0]
    assert found["AnomalyDetection"] == {"Result": "normal", "MitigationInEffect": "no"}
    assert found["AdministrativeOverride"]["State"] == "no_override"
    one = (await cloud.elb("DescribeTargetHealth", TargetGroupArn=arn, Include=["AnomalyDetection"]))["TargetHealthDescriptions"][0]
    assert "AnomalyDetection" in one and "AdministrativeOverride" not in one


async def test_targets_at_which_nobody_can_answer_are_unused(cloud: Cloud) -> None:
    arn = await used_group(cloud, TargetType="ip")
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": "127.0.2.1"}, {"Id": "127.0.2.9"}])
    lb = cloud.store.list(LOAD_BALANCERS)[0]
    status = LoadBalancerStatus("active", address="127.0.2.1")
    await cloud.store.transact(lambda tx: tx.put(LOAD_BALANCERS, msgspec.structs.replace(lb, status=status)))
    assert [(id, state, reason) for id, _, state, reason in await health(cloud, arn)] == [
        ("127.0.2.1", "unused", "Target.IpUnusable"),
        ("127.0.2.9", "initial", "Elb.RegistrationInProgress"),
    ]


async def test_another_task_at_the_same_port_begins_anew(cloud: Cloud) -> None:
    arn = await used_group(cloud, TargetType="ip")
    group = cloud.store.get(TARGET_GROUPS, arn)
    assert group is not None
    place = (shapes.TargetDescription(id="10.0.0.1", port=80),)
    await cloud.store.transact(lambda tx: register(tx, group, place, 1.0, owner="task/a"))
    await change_target(cloud, lambda row: msgspec.structs.replace(row, health=TargetHealth("healthy", "", "")))
    await cloud.store.transact(lambda tx: register(tx, group, place, 2.0, owner="task/a"))
    assert cloud.store.list(TARGETS)[0].health.state == "healthy", "the same one again changes nothing"
    await cloud.store.transact(lambda tx: register(tx, group, place, 3.0, owner="task/b"))
    row = cloud.store.list(TARGETS)[0]
    assert (row.owner, row.health.state, row.registered_at) == ("task/b", "initial", 3.0)
