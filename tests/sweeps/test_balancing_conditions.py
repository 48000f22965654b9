"""Policies that ask for the tags of load balancers and certificates, and for what a request would lead to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sweeps.certificates import UPLOAD
from tests.sweeps.installation import OWNER, REGION, USER, House, Installation

ELB = "elasticloadbalancing"
TEAM = [{"Key": "team", "Value": "web"}]
ANSWER = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]


def allow(*actions: str, operator: str = "StringEquals", **condition: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    if condition:
        found["Condition"] = {operator: {key.replace("__", ":").replace("_OF_", "/"): value for key, value in condition.items()}}
    return found


@pytest.mark.parametrize("key", ["aws__ResourceTag_OF_team", "elasticloadbalancing__ResourceTag_OF_team"])
async def test_rights_by_the_tags_of_a_load_balancer_and_what_belongs_to_it_follow_their_tags(
    there: Installation, house: House, key: str
) -> None:
    names = house.names
    for operation, parameters in (
        ("DeleteRule", {"RuleArn": names["rule"]}),
        ("DeleteListener", {"ListenerArn": names["listener"]}),
        ("DeleteLoadBalancer", {"LoadBalancerArn": names["load_balancer"]}),
        ("DeleteTargetGroup", {"TargetGroupArn": names["idle_group"]}),
        ("DeleteTrustStore", {"TrustStoreArn": names["idle_trust_store"]}),
    ):
        await there.allow(allow(f"{ELB}:{operation}", **{key: "web"}))
        assert (await there.ask("elbv2", operation, parameters, USER)).denied
        await there.done("elbv2", "AddTags", ResourceArns=list(parameters.values()), Tags=TEAM)
        assert (await there.ask("elbv2", operation, parameters, USER)).status == 200


async def test_rights_by_the_tags_of_a_certificate_follow_its_tags(there: Installation, house: House) -> None:
    asked = {"CertificateArn": house.names["idle_certificate"]}
    await there.allow(allow("acm:DeleteCertificate", aws__ResourceTag_OF_team="web"))
    assert (await there.ask("acm", "DeleteCertificate", asked, USER)).denied
    await there.done("acm", "AddTagsToCertificate", Tags=TEAM, **asked)
    assert (await there.ask("acm", "DeleteCertificate", asked, USER)).status == 200


async def test_certificates_can_be_allowed_for_some_domains_and_with_some_tags_only(there: Installation) -> None:
    await there.allow(allow("acm:RequestCertificate", operator="ForAllValues:StringLike", acm__DomainNames="*.web.example"))
    for domain, denied in (("a.web.example", False), ("a.other.example", True)):
        assert (await there.ask("acm", "RequestCertificate", {"DomainName": domain}, USER)).denied is denied
    await there.allow(allow("acm:ImportCertificate", aws__RequestTag_OF_team="web"))
    assert (await there.ask("acm", "ImportCertificate", UPLOAD, USER)).denied
    assert (await there.ask("acm", "ImportCertificate", UPLOAD | {"Tags": TEAM}, USER)).status == 200


async def test_a_listener_is_judged_by_the_protocol_and_the_policy_that_it_would_have(there: Installation, house: House) -> None:
    asked = {
        "LoadBalancerArn": house.names["load_balancer"],
        "Protocol": "HTTPS",
        "Port": 8443,
        "Certificates": [{"CertificateArn": house.names["certificate"]}],
        "DefaultActions": ANSWER,
    }
    modern = "ELBSecurityPolicy-TLS13-1-2-2021-06"
    await there.allow(allow(f"{ELB}:CreateListener", elasticloadbalancing__SecurityPolicy=modern))
    assert (await there.ask("elbv2", "CreateListener", asked, USER)).denied, "without a policy it would have the old one"
    made = await there.ask("elbv2", "CreateListener", asked | {"SslPolicy": modern}, USER)
    assert made.status == 200
    listener = {"ListenerArn": made.parsed["Listeners"][0]["ListenerArn"]}
    await there.allow(
        allow(f"{ELB}:ModifyListener", elasticloadbalancing__ListenerProtocol="HTTPS", elasticloadbalancing__SecurityPolicy=modern)
    )
    assert (await there.ask("elbv2", "ModifyListener", listener | {"Port": 9443}, USER)).status == 200
    assert (await there.ask("elbv2", "ModifyListener", listener | {"Protocol": "HTTP"}, USER)).denied
    assert (await there.ask("elbv2", "ModifyListener", listener | {"SslPolicy": "ELBSecurityPolicy-2016-08"}, USER)).denied


async def test_tags_at_creation_need_the_right_to_tag(there: Installation, house: House) -> None:
    asked = {"Name": "other", "Protocol": "HTTP", "Port": 80, "VpcId": house.names["default_vpc"], "TargetType": "ip", "Tags": TEAM}
    create = allow(f"{ELB}:CreateTargetGroup")
    await there.allow(create)
    assert (await there.ask("elbv2", "CreateTargetGroup", asked, USER)).denied
    await there.allow(create, allow(f"{ELB}:AddTags", elasticloadbalancing__CreateAction="CreateLoadBalancer"))
    assert (await there.ask("elbv2", "CreateTargetGroup", asked, USER)).denied
    tag = allow(f"{ELB}:AddTags", elasticloadbalancing__CreateAction="CreateTargetGroup", aws__RequestTag_OF_team="web")
    await there.allow(create, tag | {"Resource": f"arn:aws:{ELB}:{REGION}:{OWNER}:targetgroup/other/*"})
    assert (await there.ask("elbv2", "CreateTargetGroup", asked, USER)).status == 200


async def test_a_load_balancer_is_judged_by_its_scheme_and_its_subnets(there: Installation, house: House) -> None:
    asked = {"Name": "other", "Subnets": [house.names["subnet_a"], house.names["subnet_b"]]}
    await there.allow(allow(f"{ELB}:CreateLoadBalancer", elasticloadbalancing__Scheme="internal"))
    assert (await there.ask("elbv2", "CreateLoadBalancer", asked, USER)).denied
    assert (await there.ask("elbv2", "CreateLoadBalancer", asked | {"Scheme": "internal"}, USER)).status == 200
