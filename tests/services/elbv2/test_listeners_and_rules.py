"""Listeners and rules as they are asked: defaults, priorities, what may forward where."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.aws.errors import AwsError
from longshore.services.elbv2.model import LISTENERS, RULES, target_groups_of
from tests.services.ec2.wire import Cloud

NOT_FOUND: dict[str, Any] = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


@pytest.fixture
async def cloud() -> Cloud:
    return Cloud()


async def refused(cloud: Cloud, operation: str, **parameters: Any) -> tuple[str, str]:
    """(code, message)"""
    with pytest.raises(AwsError) as raised:
        await cloud.elb(operation, **parameters)
    return raised.value.wire("query")[0], raised.value.message


class Site:
    """A load balancer with one target group and one listener."""

    def __init__(self, cloud: Cloud, lb: dict[str, Any], group: dict[str, Any], listener: dict[str, Any]) -> None:
        self.cloud = cloud
        self.lb_arn: str = lb["LoadBalancerArn"]
        self.group_arn: str = group["TargetGroupArn"]
        self.listener = listener
        self.listener_arn: str = listener["ListenerArn"]

    def rule(self, priority: int, path: str = "/x", **more: Any) -> dict[str, Any]:
        return {
            "ListenerArn": self.listener_arn,
            "Priority": priority,
            "Conditions": [{"Field": "path-pattern", "Values": [path]}],
            "Actions": [{"Type": "forward", "TargetGroupArn": self.group_arn}],
            **more,
        }

    async def create_rule(self, priority: int, path: str = "/x", **more: Any) -> dict[str, Any]:
        made: dict[str, Any] = (await self.cloud.elb("CreateRule", **self.rule(priority, path, **more)))["Rules"][0]
        return made

    async def priorities(self) -> dict[str, str]:
        rules = (await self.cloud.elb("DescribeRules", ListenerArn=self.listener_arn))["Rules"]
        return {rule["RuleArn"]: rule["Priority"] for rule in rules}


@pytest.fixture
async def site(cloud: Cloud) -> Site:
    lb, group = await cloud.load_balancer(), await cloud.target_group()
    return Site(cloud, lb, group, await cloud.listener(lb, group))


# ── listeners ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_listener_forwards_with_every_default_filled_in(site: Site) -> None:
    assert site.listener["ListenerArn"].startswith(site.lb_arn.replace(":loadbalancer/", ":listener/") + "/")
    (action,) = site.listener["DefaultActions"]
    assert action == {
        "Type": "forward",
        "TargetGroupArn": site.group_arn,
        "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": site.group_arn, "Weight": 1}],
            "TargetGroupStickinessConfig": {"Enabled": False},
        },
    }
    group = (await site.cloud.elb("DescribeTargetGroups", TargetGroupArns=[site.group_arn]))["TargetGroups"][0]
    assert group["LoadBalancerArns"] == [site.lb_arn]


async def test_creating_the_same_listener_again_answers_with_the_one_that_is_there(cloud: Cloud, site: Site) -> None:
    again = await cloud.listener({"LoadBalancerArn": site.lb_arn}, {"TargetGroupArn": site.group_arn})
    assert again["ListenerArn"] == site.listener_arn
    code, message = await refused(
        cloud, "CreateListener", LoadBalancerArn=site.lb_arn, Protocol="HTTP", Port=80, DefaultActions=[NOT_FOUND]
    )
    assert (code, message) == ("DuplicateListener", f"A listener already exists on this port for this load balancer '{site.lb_arn}'")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Protocol": "TCP"}, "ValidationError"),
        ({"Protocol": "HTTPS"}, "ValidationError"),
        (
            {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/x"}]},
            "CertificateNotFound",
        ),
        ({"Certificates": [{"CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/x"}]}, "InvalidConfigurationRequest"),
        ({"SslPolicy": "ELBSecurityPolicy-2016-08"}, "InvalidConfigurationRequest"),
        ({"DefaultActions": []}, "ValidationError"),
        ({"LoadBalancerArn": "arn:nonsense"}, "ValidationError"),
        (
            {"LoadBalancerArn": "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/0000000000000000"},
            "LoadBalancerNotFound",
        ),
    ],
)
async def test_listeners_that_cannot_be_are_refused(cloud: Cloud, site: Site, changes: dict[str, Any], code: str) -> None:
    asked = {"LoadBalancerArn": site.lb_arn, "Protocol": "HTTP", "Port": 81, "DefaultActions": [NOT_FOUND], **changes}
    if not asked["DefaultActions"]:
        asked["DefaultActions"] = [{"Type": "forward"}]
    assert (await refused(cloud, "CreateListener", **asked))[0] == code


async def test_a_listener_moves_to_a_free_port_only(cloud: Cloud, site: Site) -> None:
    await cloud.elb("CreateListener", LoadBalancerArn=site.lb_arn, Protocol="HTTP", Port=81, DefaultActions=[NOT_FOUND])
    assert (await refused(cloud, "ModifyListener", ListenerArn=site.listener_arn, Port=81))[0] == "DuplicateListener"
    answer = await cloud.elb("ModifyListener", ListenerArn=site.listener_arn, Port=82, DefaultActions=[NOT_FOUND])
    (changed,) = answer["Listeners"]
    assert (changed["Port"], changed["DefaultActions"][0]["FixedResponseConfig"]["ContentType"]) == (82, "text/plain")
    listeners = (await cloud.elb("DescribeListeners", LoadBalancerArn=site.lb_arn))["Listeners"]
    assert sorted(listener["Port"] for listener in listeners) == [81, 82]


async def test_a_listener_is_deleted_with_its_rules(cloud: Cloud, site: Site) -> None:
    await site.create_rule(1)
    await cloud.elb("DeleteListener", ListenerArn=site.listener_arn)
    assert (cloud.store.count(LISTENERS), cloud.store.count(RULES)) == (0, 0)
    code, message = await refused(cloud, "DeleteListener", ListenerArn=site.listener_arn)
    assert (code, message) == ("ListenerNotFound", "One or more listeners not found")
    assert (await refused(cloud, "DescribeListeners"))[0] == "ValidationError"


async def test_a_network_load_balancer_passes_tcp_and_nothing_else(cloud: Cloud) -> None:
    lb = await cloud.load_balancer("net", Type="network")
    tcp = await cloud.target_group("tcp", Protocol="TCP", Port=5432)
    listener = await cloud.listener(lb, tcp, 5432, Protocol="TCP")
    assert listener["ListenerArn"].split(":")[5].startswith("listener/net/net/")
    arn = lb["LoadBalancerArn"]
    forward = [{"Type": "forward", "TargetGroupArn": tcp["TargetGroupArn"]}]
    assert (await refused(cloud, "CreateListener", LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=forward))[
        0
    ] == "ValidationError"
    assert (await refused(cloud, "CreateListener", LoadBalancerArn=arn, Protocol="UDP", Port=53, DefaultActions=forward))[0] == (
        "UnsupportedProtocol"
    )
    assert (await refused(cloud, "CreateListener", LoadBalancerArn=arn, Protocol="TCP", Port=1, DefaultActions=[NOT_FOUND]))[0] == (
        "InvalidLoadBalancerAction"
    )
    rule = {"Priority": 1, "Conditions": [{"Field": "path-pattern", "Values": ["/x"]}], "Actions": forward}
    assert (await refused(cloud, "CreateRule", ListenerArn=listener["ListenerArn"], **rule))[0] == "InvalidConfigurationRequest"


async def test_forwarding_needs_a_group_of_a_fitting_protocol_vpc_and_load_balancer(cloud: Cloud, site: Site) -> None:
    asked: dict[str, Any] = {"LoadBalancerArn": site.lb_arn, "Protocol": "HTTP", "Port": 81}

    async def code(group_arn: str) -> str:
        forward = [{"Type": "forward", "TargetGroupArn": group_arn}]
        return (await refused(cloud, "CreateListener", **asked, DefaultActions=forward))[0]

    tcp = await cloud.target_group("tcp", Protocol="TCP")
    assert await code(tcp["TargetGroupArn"]) == "IncompatibleProtocols"
    vpc_id = (await cloud.ec2("CreateVpc", CidrBlock="10.0.0.0/16"))["Vpc"]["VpcId"]
    assert await code((await cloud.target_group("far", VpcId=vpc_id))["TargetGroupArn"]) == "InvalidConfigurationRequest"
    foreign = await cloud.elsewhere(account_id="210987654321").target_group()
    assert await code(foreign["TargetGroupArn"]) == "TargetGroupNotFound"
    other = await cloud.load_balancer("other")
    asked["LoadBalancerArn"] = other["LoadBalancerArn"]
    assert await code(site.group_arn) == "TargetGroupAssociationLimit"


# ── rules ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_rules_are_described_by_priority_with_the_default_last(cloud: Cloud, site: Site) -> None:
    for priority in (50000, 7, 10):
        await site.create_rule(priority)
    rules = (await cloud.elb("DescribeRules", ListenerArn=site.listener_arn))["Rules"]
    assert [(rule["Priority"], rule["IsDefault"]) for rule in rules] == [("7", False), ("10", False), ("50000", False), ("default", True)]
    assert rules[0]["RuleArn"].startswith(site.listener_arn.replace(":listener/", ":listener-rule/") + "/")
    assert rules[0]["Conditions"] == [{"Field": "path-pattern", "Values": ["/x"], "PathPatternConfig": {"Values": ["/x"]}}]
    assert rules[-1]["Actions"] == site.listener["DefaultActions"]
    by_arn = await cloud.elb("DescribeRules", RuleArns=[rules[-1]["RuleArn"], rules[0]["RuleArn"]])
    assert [rule["Priority"] for rule in by_arn["Rules"]] == ["default", "7"]
    first = await cloud.elb("DescribeRules", ListenerArn=site.listener_arn, PageSize=3)
    second = await cloud.elb("DescribeRules", ListenerArn=site.listener_arn, PageSize=3, Marker=first["NextMarker"])
    assert first["Rules"] + second["Rules"] == rules and "NextMarker" not in second


async def test_a_priority_is_given_once_per_listener(site: Site) -> None:
    await site.create_rule(10)
    code, message = await refused(site.cloud, "CreateRule", **site.rule(10, "/y"))
    assert (code, message) == ("PriorityInUse", "Priority '10' is currently in use")


async def test_the_default_rule_cannot_be_changed_or_deleted(cloud: Cloud, site: Site) -> None:
    (arn,) = await site.priorities()
    assert (await refused(cloud, "DeleteRule", RuleArn=arn))[0] == "OperationNotPermitted"
    assert (await refused(cloud, "ModifyRule", RuleArn=arn, Actions=[NOT_FOUND]))[0] == "OperationNotPermitted"
    assert (await refused(cloud, "SetRulePriorities", RulePriorities=[{"RuleArn": arn, "Priority": 1}]))[0] == "OperationNotPermitted"
    stranger = cloud.elsewhere(account_id="210987654321")
    assert (await refused(stranger, "DeleteRule", RuleArn=arn))[0] == "RuleNotFound"
    assert (await refused(stranger, "DescribeRules", RuleArns=[arn]))[0] == "RuleNotFound"


async def test_priorities_are_exchanged_all_at_once_or_not_at_all(cloud: Cloud, site: Site) -> None:
    one, two, three = [(await site.create_rule(priority))["RuleArn"] for priority in (1, 2, 3)]
    swap = [{"RuleArn": one, "Priority": 2}, {"RuleArn": two, "Priority": 1}]
    answer = await cloud.elb("SetRulePriorities", RulePriorities=swap)
    assert {rule["RuleArn"]: rule["Priority"] for rule in answer["Rules"]} == {one: "2", two: "1"}
    before = await site.priorities()
    clash = [{"RuleArn": one, "Priority": 4}, {"RuleArn": two, "Priority": 3}]
    assert (await refused(cloud, "SetRulePriorities", RulePriorities=clash))[0] == "PriorityInUse"
    missing = [{"RuleArn": one, "Priority": 5}, {"RuleArn": three[:-16] + "0" * 16, "Priority": 6}]
    assert (await refused(cloud, "SetRulePriorities", RulePriorities=missing))[0] == "RuleNotFound"
    assert await site.priorities() == before


async def test_a_rule_is_modified_and_deleted(cloud: Cloud, site: Site) -> None:
    rule = await site.create_rule(1)
    hosts = [{"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.com"]}}]
    answer = await cloud.elb("ModifyRule", RuleArn=rule["RuleArn"], Conditions=hosts, Actions=[NOT_FOUND])
    (changed,) = answer["Rules"]
    assert changed["Conditions"][0]["Values"] == ["*.example.com"] and changed["Priority"] == "1"
    await cloud.elb("DeleteRule", RuleArn=rule["RuleArn"])
    assert (await refused(cloud, "DeleteRule", RuleArn=rule["RuleArn"]))[0] == "RuleNotFound"


async def test_weighted_forwards_name_all_their_groups(cloud: Cloud, site: Site) -> None:
    blue = await cloud.target_group("blue")
    groups = [{"TargetGroupArn": site.group_arn, "Weight": 0}, {"TargetGroupArn": blue["TargetGroupArn"], "Weight": 999}]
    action = {"Type": "forward", "ForwardConfig": {"TargetGroups": groups}}
    rule = await site.create_rule(1, Actions=[action])
    assert "TargetGroupArn" not in rule["Actions"][0]
    assert rule["Actions"][0]["ForwardConfig"]["TargetGroups"] == groups
    (stored,) = cloud.store.list(RULES)
    assert target_groups_of(stored.actions) == [site.group_arn, blue["TargetGroupArn"]]
    assert (await refused(cloud, "DeleteTargetGroup", TargetGroupArn=blue["TargetGroupArn"]))[0] == "ResourceInUse"


async def test_a_load_balancer_has_at_most_a_hundred_rules(site: Site) -> None:
    for priority in range(1, 101):
        await site.create_rule(priority)
    assert (await refused(site.cloud, "CreateRule", **site.rule(101)))[0] == "TooManyRules"


async def test_a_rule_keeps_its_transforms_until_they_are_taken_away(site: Site) -> None:
    transforms = [{"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/a/(.*)", "Replace": "/$1"}]}}]
    (rule,) = (await site.cloud.elb("CreateRule", **site.rule(1, Transforms=transforms)))["Rules"]
    assert rule["Transforms"] == transforms
    named = {"RuleArn": rule["RuleArn"]}
    (rule,) = (await site.cloud.elb("ModifyRule", **named, Conditions=[{"Field": "path-pattern", "Values": ["/b"]}]))["Rules"]
    assert rule["Transforms"] == transforms, "what is not named is not changed"
    code, _ = await refused(site.cloud, "ModifyRule", **named, Transforms=transforms, ResetTransforms=True)
    assert code == "ValidationError"
    (rule,) = (await site.cloud.elb("ModifyRule", **named, ResetTransforms=True))["Rules"]
    assert not rule.get("Transforms")
