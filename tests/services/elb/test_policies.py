"""Policies of Classic load balancers: which there may be, who may have them, and what the data plane makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.services.elb.policy_types import POLICY_TYPES
from longshore.services.elb.ssl_negotiation import PREDEFINED
from longshore.services.elbv2.model import LISTENERS, TARGET_GROUPS
from tests.services.acm.making import Made
from tests.services.ec2.wire import Cloud
from tests.services.elb.house import HTTP, TCP, described, refused, shop


@pytest.fixture
async def cloud() -> Cloud:
    cloud = Cloud()
    made = Made("shop.example", cloud.clock.now())
    arn = (await cloud.acm("ImportCertificate", Certificate=made.pem, PrivateKey=made.key))["CertificateArn"]
    https = {"Protocol": "HTTPS", "LoadBalancerPort": 443, "InstanceProtocol": "HTTP", "InstancePort": 8080, "SSLCertificateId": arn}
    await shop(cloud, HTTP, TCP, https)
    return cloud


async def create(cloud: Cloud, name: str, type: str, *attributes: tuple[str, str]) -> None:
    await cloud.classic("CreateLoadBalancerPolicy", **asked(name, type, *attributes))


def asked(name: str, type: str, *attributes: tuple[str, str]) -> dict[str, Any]:
    pairs = [{"AttributeName": key, "AttributeValue": value} for key, value in attributes]
    return {"LoadBalancerName": "shop", "PolicyName": name, "PolicyTypeName": f"{type}PolicyType", "PolicyAttributes": pairs}


async def of_listener(cloud: Cloud, port: int, *names: str) -> None:
    await cloud.classic("SetLoadBalancerPoliciesOfListener", LoadBalancerName="shop", LoadBalancerPort=port, PolicyNames=list(names))


def group_of(cloud: Cloud, port: int) -> dict[str, str]:
    """Attributes of the target group behind a listener."""
    (found,) = [group for group in cloud.store.list(TARGET_GROUPS) if group.name == f"shop-{port}"]
    return found.attributes


def listener_of(cloud: Cloud, port: int) -> dict[str, str]:
    (found,) = [listener for listener in cloud.store.list(LISTENERS) if listener.port == port]
    return found.attributes


# ── stickiness ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_load_balancers_cookie_lasts_as_long_as_the_policy_says(cloud: Cloud) -> None:
    await cloud.classic("CreateLBCookieStickinessPolicy", LoadBalancerName="shop", PolicyName="hour", CookieExpirationPeriod=3600)
    await cloud.classic("CreateLBCookieStickinessPolicy", LoadBalancerName="shop", PolicyName="session")
    await of_listener(cloud, 80, "hour")
    assert group_of(cloud, 80)["stickiness.lb_cookie.duration_seconds"] == "3600"
    assert "stickiness.enabled" not in group_of(cloud, 443)
    await of_listener(cloud, 80, "session")
    assert group_of(cloud, 80)["stickiness.lb_cookie.duration_seconds"] == "0"
    await of_listener(cloud, 80)
    assert "stickiness.enabled" not in group_of(cloud, 80)
    shown = (await described(cloud))["Policies"]["LBCookieStickinessPolicies"]
    assert shown == [{"PolicyName": "hour", "CookieExpirationPeriod": 3600}, {"PolicyName": "session"}]


async def test_an_applications_cookie_is_followed(cloud: Cloud) -> None:
    await cloud.classic("CreateAppCookieStickinessPolicy", LoadBalancerName="shop", PolicyName="app", CookieName="JSESSIONID")
    await of_listener(cloud, 80, "app")
    assert group_of(cloud, 80)["stickiness.app_cookie.cookie_name"] == "JSESSIONID"
    assert (await described(cloud))["Policies"]["AppCookieStickinessPolicies"] == [{"PolicyName": "app", "CookieName": "JSESSIONID"}]


@pytest.mark.parametrize("name", ["a b", "a;b", "a\r\nSet-Cookie: x", "", "AWSELB", "a" * 256])
async def test_what_is_no_name_of_a_cookie_is_refused(cloud: Cloud, name: str) -> None:
    code, _ = await refused(cloud, "CreateAppCookieStickinessPolicy", LoadBalancerName="shop", PolicyName="app", CookieName=name)
    assert code == "InvalidConfigurationRequest"


async def test_a_listener_has_one_stickiness_and_only_where_there_are_cookies(cloud: Cloud) -> None:
    for name in ("one", "two"):
        await cloud.classic("CreateLBCookieStickinessPolicy", LoadBalancerName="shop", PolicyName=name)
    both = {"LoadBalancerName": "shop", "LoadBalancerPort": 80, "PolicyNames": ["one", "two"]}
    assert (await refused(cloud, "SetLoadBalancerPoliciesOfListener", **both))[0] == "InvalidConfigurationRequest"
    on_tcp = {"LoadBalancerName": "shop", "LoadBalancerPort": 6379, "PolicyNames": ["one"]}
    assert (await refused(cloud, "SetLoadBalancerPoliciesOfListener", **on_tcp))[0] == "InvalidConfigurationRequest"


# ── TLS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_secure_listener_has_awss_default_policy_from_the_start(cloud: Cloud) -> None:
    lb = await described(cloud)
    assert lb["Policies"]["OtherPolicies"] == ["ELBSecurityPolicy-2016-08"]
    assert [one["PolicyNames"] for one in lb["ListenerDescriptions"]] == [[], ["ELBSecurityPolicy-2016-08"], []]
    assert listener_of(cloud, 443)["ssl.protocols"] == "TLSv1,TLSv1.1,TLSv1.2"
    assert listener_of(cloud, 80) == {}


async def test_a_policy_of_awss_is_adopted_when_a_listener_gets_it(cloud: Cloud) -> None:
    await of_listener(cloud, 443, "ELBSecurityPolicy-TLS-1-2-2017-01")
    assert listener_of(cloud, 443)["ssl.protocols"] == "TLSv1.2"
    assert "ELBSecurityPolicy-TLS-1-2-2017-01" in (await described(cloud))["Policies"]["OtherPolicies"]


async def test_a_policy_may_be_put_together_or_refer_to_one_of_awss(cloud: Cloud) -> None:
    await create(cloud, "own", "SSLNegotiation", ("Protocol-TLSv1.2", "true"), ("AES128-SHA", "true"), ("AES256-SHA", "false"))
    await of_listener(cloud, 443, "own")
    assert (listener_of(cloud, 443)["ssl.protocols"], listener_of(cloud, 443)["ssl.ciphers"]) == ("TLSv1.2", "AES128-SHA")
    assert listener_of(cloud, 443)["ssl.server_defined_cipher_order"] == "false"
    await create(cloud, "like", "SSLNegotiation", ("Reference-Security-Policy", "ELBSecurityPolicy-TLS-1-1-2017-01"))
    await of_listener(cloud, 443, "like")
    assert listener_of(cloud, 443)["ssl.protocols"] == "TLSv1.1,TLSv1.2"
    shown = (await cloud.classic("DescribeLoadBalancerPolicies", LoadBalancerName="shop", PolicyNames=["like"]))["PolicyDescriptions"][0]
    attributes = {one["AttributeName"]: one["AttributeValue"] for one in shown["PolicyAttributeDescriptions"]}
    assert attributes["Reference-Security-Policy"] == "ELBSecurityPolicy-TLS-1-1-2017-01"
    assert (attributes["Protocol-TLSv1"], attributes["Protocol-TLSv1.2"]) == ("false", "true")


@pytest.mark.parametrize(
    "attributes",
    [
        [("Protocol-TLSv1.2", "true")],
        [("AES128-SHA", "true")],
        [("Protocol-SSLv3", "true"), ("AES128-SHA", "true")],
        [("Protocol-TLSv1.2", "true"), ("RC4-SHA", "true")],
        [("Protocol-TLSv1.2", "yes"), ("AES128-SHA", "true")],
        [("Protocol-TLSv9", "true"), ("AES128-SHA", "true")],
        [("Reference-Security-Policy", "ELBSecurityPolicy-1999")],
        [("Reference-Security-Policy", "ELBSecurityPolicy-2016-08"), ("AES128-SHA", "true")],
    ],
)
async def test_a_negotiation_that_cannot_be_served_is_refused(cloud: Cloud, attributes: list[tuple[str, str]]) -> None:
    assert (await refused(cloud, "CreateLoadBalancerPolicy", **asked("own", "SSLNegotiation", *attributes)))[0] == (
        "InvalidConfigurationRequest"
    )


async def test_a_certificate_is_replaced_by_another_that_there_is(cloud: Cloud) -> None:
    made = Made("other.example", cloud.clock.now())
    arn = (await cloud.acm("ImportCertificate", Certificate=made.pem, PrivateKey=made.key))["CertificateArn"]
    at = {"LoadBalancerName": "shop", "LoadBalancerPort": 443}
    await cloud.classic("SetLoadBalancerListenerSSLCertificate", **at, SSLCertificateId=arn)
    (secure,) = [one for one in cloud.store.list(LISTENERS) if one.port == 443]
    assert secure.certificates == (arn,)
    for more, code in (
        ({"SSLCertificateId": arn[:-1]}, "CertificateNotFound"),
        ({"SSLCertificateId": arn, "LoadBalancerPort": 80}, "InvalidConfigurationRequest"),
        ({"SSLCertificateId": arn, "LoadBalancerPort": 81}, "ListenerNotFound"),
    ):
        assert (await refused(cloud, "SetLoadBalancerListenerSSLCertificate", **(at | more)))[0] == code
    with pytest.raises(Exception, match="in use"):
        await cloud.acm("DeleteCertificate", CertificateArn=arn)


# ── ports of the instances ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_proxy_protocol_is_for_ports_of_tcp_listeners(cloud: Cloud) -> None:
    await create(cloud, "proxied", "ProxyProtocol", ("ProxyProtocol", "true"))
    to = {"LoadBalancerName": "shop", "PolicyNames": ["proxied"]}
    await cloud.classic("SetLoadBalancerPoliciesForBackendServer", **to, InstancePort=6379)
    assert group_of(cloud, 6379)["proxy_protocol_v1.enabled"] == "true"
    assert (await described(cloud))["BackendServerDescriptions"] == [{"InstancePort": 6379, "PolicyNames": ["proxied"]}]
    for port in (8080, 4711):
        code, _ = await refused(cloud, "SetLoadBalancerPoliciesForBackendServer", **to, InstancePort=port)
        assert code == "InvalidConfigurationRequest"
    await cloud.classic("SetLoadBalancerPoliciesForBackendServer", LoadBalancerName="shop", InstancePort=6379, PolicyNames=[])
    assert "proxy_protocol_v1.enabled" not in group_of(cloud, 6379)


async def test_authentication_of_the_instances_is_refused_by_name(cloud: Cloud) -> None:
    await create(cloud, "key", "PublicKey", ("PublicKey", "MIIB…"))
    await create(cloud, "trusted", "BackendServerAuthentication", ("PublicKeyPolicyName", "key"))
    code, message = await refused(
        cloud, "SetLoadBalancerPoliciesForBackendServer", LoadBalancerName="shop", InstancePort=8080, PolicyNames=["trusted"]
    )
    assert code == "InvalidConfigurationRequest" and "authentication of back-end servers is not served" in message


# ── policies themselves ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "type", "attributes", "code"),
    [
        ("a b", "ProxyProtocol", [("ProxyProtocol", "true")], "ValidationError"),
        ("ELBSecurityPolicy-2016-08", "ProxyProtocol", [("ProxyProtocol", "true")], "DuplicatePolicyName"),
        ("new", "Unheard", [], "PolicyTypeNotFound"),
        ("new", "ProxyProtocol", [], "InvalidConfigurationRequest"),
        ("new", "ProxyProtocol", [("ProxyProtocol", "maybe")], "InvalidConfigurationRequest"),
        ("new", "ProxyProtocol", [("ProxyProtocol", "true")] * 2, "InvalidConfigurationRequest"),
        ("new", "ProxyProtocol", [("Other", "true")], "InvalidConfigurationRequest"),
        ("new", "LBCookieStickiness", [("CookieExpirationPeriod", "-1")], "InvalidConfigurationRequest"),
        ("new", "LBCookieStickiness", [("CookieExpirationPeriod", "9" * 30)], "InvalidConfigurationRequest"),
        ("new", "BackendServerAuthentication", [("PublicKeyPolicyName", "nobody")], "PolicyNotFound"),
    ],
)
async def test_a_policy_is_checked_against_its_type(
    cloud: Cloud, name: str, type: str, attributes: list[tuple[str, str]], code: str
) -> None:
    assert (await refused(cloud, "CreateLoadBalancerPolicy", **asked(name, type, *attributes)))[0] == code


async def test_a_policy_in_use_is_not_deleted(cloud: Cloud) -> None:
    await cloud.classic("CreateLBCookieStickinessPolicy", LoadBalancerName="shop", PolicyName="sticky")
    await of_listener(cloud, 80, "sticky")
    code, _ = await refused(cloud, "DeleteLoadBalancerPolicy", LoadBalancerName="shop", PolicyName="sticky")
    assert code == "InvalidConfigurationRequest"
    await of_listener(cloud, 80)
    await cloud.classic("DeleteLoadBalancerPolicy", LoadBalancerName="shop", PolicyName="sticky")
    assert (await refused(cloud, "DescribeLoadBalancerPolicies", LoadBalancerName="shop", PolicyNames=["sticky"]))[0] == "PolicyNotFound"


async def test_policies_and_listeners_that_are_not_there_are_named(cloud: Cloud) -> None:
    at = {"LoadBalancerName": "shop", "LoadBalancerPort": 80}
    assert (await refused(cloud, "SetLoadBalancerPoliciesOfListener", **at, PolicyNames=["nobody"]))[0] == "PolicyNotFound"
    code, _ = await refused(cloud, "SetLoadBalancerPoliciesOfListener", LoadBalancerName="shop", LoadBalancerPort=81, PolicyNames=[])
    assert code == "ListenerNotFound"


async def test_anybody_may_look_at_sample_policies_and_policy_types(cloud: Cloud) -> None:
    samples = (await cloud.classic("DescribeLoadBalancerPolicies"))["PolicyDescriptions"]
    names = {one["PolicyName"] for one in samples}
    assert set(PREDEFINED) < names and "ELBSample-OpenSSLDefaultCipherPolicy" in names
    types = (await cloud.classic("DescribeLoadBalancerPolicyTypes"))["PolicyTypeDescriptions"]
    assert {one["PolicyTypeName"] for one in types} == set(POLICY_TYPES)
    assert (await refused(cloud, "DescribeLoadBalancerPolicyTypes", PolicyTypeNames=["Unheard"]))[0] == "PolicyTypeNotFound"
