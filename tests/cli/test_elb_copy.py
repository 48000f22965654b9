"""What `longshore elb-copy` plans: every setting of a Classic load balancer is kept, changed with a reason, or said to be lost."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.cli.elb_copy.plan import Destination, Plan, Row, Subnet, Wishes, plan
from longshore.cli.elb_copy.source import (
    AccessLog,
    AdditionalAttribute,
    Attributes,
    Backend,
    Draining,
    HealthCheck,
    Instance,
    Listener,
    ListenerDescription,
    LoadBalancer,
    Policy,
    PolicyAttribute,
    Settings,
    Source,
    Switch,
    Tag,
)
from longshore.cli.outcome import Failure
from longshore.cli.query import form_of, read_answer, refusal_in

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/one"
HERE = Destination(
    subnets=(
        Subnet("subnet-a", "us-east-1a", "vpc-1", is_default=True),
        Subnet("subnet-b", "us-east-1b", "vpc-1", is_default=True),
        Subnet("subnet-c", "eu-west-1a", "vpc-2"),
    ),
    security_groups=("sg-1",),
    load_balancers=("taken",),
)


def listener(
    port: int, protocol: str = "HTTP", to: str = "HTTP:8080", *policies: str, certificate: str | None = None
) -> ListenerDescription:
    instance_protocol, _, instance_port = to.partition(":")
    certificate = certificate or (CERTIFICATE if protocol in ("HTTPS", "SSL") else None)
    return ListenerDescription(
        listener=Listener(
            protocol=protocol,
            load_balancer_port=port,
            instance_protocol=instance_protocol,
            instance_port=int(instance_port),
            ssl_certificate_id=certificate,
        ),
        policy_names=policies,
    )


def policy(name: str, type: str, **attributes: str) -> Policy:
    pairs = tuple(PolicyAttribute(key.replace("_", "-"), value) for key, value in attributes.items())
    return Policy(name, f"{type}PolicyType", pairs)


def classic(*listeners: ListenerDescription, check: str = "HTTP:8080/health", **more: Any) -> Source:
    source = {name: more.pop(name) for name in ("attributes", "policies", "tags") if name in more}
    lb = {
        "load_balancer_name": "shop",
        "health_check": HealthCheck(target=check, interval=5, timeout=2, unhealthy_threshold=3, healthy_threshold=4),
        "listener_descriptions": listeners or (listener(80),),
        "availability_zones": ("us-east-1a", "us-east-1b"),
        "subnets": ("subnet-a", "subnet-b"),
        "vpc_id": "vpc-1",
        "security_groups": ("sg-1",),
        "scheme": "internet-facing",
    }
    return Source(LoadBalancer(**(lb | more)), **source)


def planned(source: Source, here: Destination = HERE, **wishes: Any) -> Plan:
    return plan(source, here, Wishes(**({"mark": "ABC"} | wishes)))


def row(found: Plan, what: str) -> Row:
    (one,) = [one for one in found.rows if one.what == what]
    return one


def test_a_plain_one_becomes_an_application_load_balancer() -> None:
    found = planned(classic())
    assert (found.type, found.having("lost"), found.having("blocks")) == ("application", [], [])
    assert found.load_balancer == {
        "Name": "shop",
        "Type": "application",
        "Scheme": "internet-facing",
        "Subnets": ["subnet-a", "subnet-b"],
        "SecurityGroups": ["sg-1"],
    }
    (group,) = found.groups
    assert group.name == "shop-tg-8080-ABC"
    assert group.request == {
        "Name": "shop-tg-8080-ABC",
        "Protocol": "HTTP",
        "Port": 8080,
        "VpcId": "vpc-1",
        "TargetType": "instance",
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPath": "/health",
        "Matcher.HttpCode": "200",
        "HealthCheckPort": "traffic-port",
        "HealthCheckIntervalSeconds": "5",
        "HealthCheckTimeoutSeconds": "2",
        "HealthyThresholdCount": "4",
        "UnhealthyThresholdCount": "3",
    }
    assert group.attributes == {"deregistration_delay.timeout_seconds": "0"}
    assert found.listeners[0].request == {"Protocol": "HTTP", "Port": 80}


def test_tcp_becomes_a_network_load_balancer() -> None:
    found = planned(classic(listener(6379, "TCP", "TCP:6379"), listener(636, "SSL", "SSL:636"), check="TCP:6379"))
    assert found.type == "network" and not found.having("blocks")
    assert [(group.request["Protocol"], group.request["HealthCheckProtocol"]) for group in found.groups] == [("TCP", "TCP"), ("TLS", "TCP")]
    assert found.listeners[1].request["Protocol"] == "TLS"
    assert found.listeners[0].attributes == {"tcp.idle_timeout.seconds": "60"}
    assert row(found, "listener 6379 idle timeout").effect == "maps"
    assert row(found, "listener 636 idle timeout").why.startswith("idle connections of a TLS listener")
    short = planned(classic(listener(6379, "TCP", "TCP:6379"), attributes=Attributes(connection_settings=Settings(5))))
    assert row(short, "listener 6379 idle timeout").why == "a minute is the shortest"


def test_listeners_that_do_not_go_together_are_copied_one_kind_at_a_time() -> None:
    source = classic(listener(80), listener(6379, "TCP", "TCP:6379"))
    assert [one.what for one in planned(source).having("blocks")] == ["listener 80"]
    one, other = planned(source, type="application"), planned(source, type="network", name="shop-tcp")
    assert [one.what for one in one.having("lost")] == ["listener 6379"] and not one.having("blocks")
    assert [one.what for one in other.having("lost")] == ["listener 80"] and other.load_balancer["Name"] == "shop-tcp"


def test_listeners_that_reach_the_instances_alike_share_a_target_group() -> None:
    policies = (policy("sticky", "LBCookieStickiness", CookieExpirationPeriod="60"),)
    source = classic(listener(80), listener(81), listener(82, "HTTP", "HTTP:8080", "sticky"), policies=policies)
    found = planned(source)
    assert [group.ports for group in found.groups] == [(80, 81), (82,)]
    assert len({group.name for group in found.groups}) == 2 and "stickiness" in found.groups[1].name
    assert all(len(group.name) <= 32 for group in found.groups)


@pytest.mark.parametrize(
    ("given", "attributes", "effect"),
    [
        (policy("p", "LBCookieStickiness", CookieExpirationPeriod="60"), {"lb_cookie.duration_seconds": "60"}, "maps"),
        (policy("p", "LBCookieStickiness", CookieExpirationPeriod="9999999"), {"lb_cookie.duration_seconds": "604800"}, "changes"),
        (policy("p", "LBCookieStickiness"), {"lb_cookie.duration_seconds": "604800"}, "changes"),
        (policy("p", "AppCookieStickiness", CookieName="sid"), {"app_cookie.cookie_name": "sid", "type": "app_cookie"}, "changes"),
    ],
)
def test_stickiness_is_kept(given: Policy, attributes: dict[str, str], effect: str) -> None:
    found = planned(classic(listener(80, "HTTP", "HTTP:8080", "p"), policies=(given,)))
    of_group = found.groups[0].attributes
    assert of_group["stickiness.enabled"] == "true"
    assert {f"stickiness.{key}": value for key, value in attributes.items()}.items() <= of_group.items()
    assert row(found, "stickiness time (8080)").effect == effect


@pytest.mark.parametrize(
    ("check", "type", "request_", "effect"),
    [
        ("HTTPS:8443/up", "application", {"HealthCheckProtocol": "HTTPS", "HealthCheckPort": "8443", "HealthCheckPath": "/up"}, "maps"),
        ("TCP:8080", "application", {"HealthCheckProtocol": "HTTP", "Matcher.HttpCode": "200-499"}, "changes"),
        ("SSL:8080", "application", {"HealthCheckProtocol": "HTTPS", "Matcher.HttpCode": "200-499"}, "changes"),
        ("HTTP:8080/", "network", {"HealthCheckProtocol": "HTTP", "HealthCheckPath": "/"}, "maps"),
        ("SSL:8080", "network", {"HealthCheckProtocol": "TCP"}, "changes"),
    ],
)
def test_health_checks_are_kept_as_nearly_as_can_be(check: str, type: str, request_: dict[str, str], effect: str) -> None:
    one = listener(80) if type == "application" else listener(80, "TCP", "TCP:8080")
    found = planned(classic(one, check=check))
    assert request_.items() <= found.groups[0].request.items()
    assert row(found, "health check (8080)").effect == effect


@pytest.mark.parametrize(
    ("given", "becomes", "effect"),
    [
        (policy("ELBSecurityPolicy-2016-08", "SSLNegotiation"), "ELBSecurityPolicy-2016-08", "maps"),
        (
            policy("mine", "SSLNegotiation", Reference_Security_Policy="ELBSecurityPolicy-TLS-1-2-2017-01"),
            "ELBSecurityPolicy-TLS-1-2-2017-01",
            "maps",
        ),
        (
            Policy("own", "SSLNegotiationPolicyType", (PolicyAttribute("Protocol-TLSv1.1", "true"),)),
            "ELBSecurityPolicy-TLS-1-1-2017-01",
            "changes",
        ),
        (Policy("ELBSecurityPolicy-2014-01", "SSLNegotiationPolicyType"), "ELBSecurityPolicy-2016-08", "changes"),
    ],
)
def test_security_policies_become_the_same_or_the_nearest(given: Policy, becomes: str, effect: str) -> None:
    found = planned(classic(listener(443, "HTTPS", "HTTP:8080", given.policy_name), policies=(given,)))
    assert found.listeners[0].request["SslPolicy"] == becomes
    assert row(found, "listener 443 policy").effect == effect


def test_attributes_are_kept() -> None:
    attributes = Attributes(
        cross_zone_load_balancing=Switch(True),
        access_log=AccessLog(True, "logs", "prod", 60),
        connection_draining=Draining(True, 45),
        connection_settings=Settings(7),
        additional_attributes=(AdditionalAttribute("elb.http.desyncmitigationmode", "strictest"),),
    )
    found = planned(classic(attributes=attributes))
    assert found.attributes == {
        "idle_timeout.timeout_seconds": "7",
        "routing.http.desync_mitigation_mode": "strictest",
        "access_logs.s3.enabled": "true",
        "access_logs.s3.bucket": "logs",
        "access_logs.s3.prefix": "prod",
    }
    assert found.groups[0].attributes["deregistration_delay.timeout_seconds"] == "45"


def test_one_of_another_place_finds_its_network_here_and_needs_its_certificates_named() -> None:
    source = classic(listener(443, "HTTPS"), subnets=("subnet-9",), security_groups=("sg-9",), instances=(Instance("i-1"),))
    found = planned(source, from_elsewhere=True, registers_targets=True)
    assert found.load_balancer["Subnets"] == ["subnet-a", "subnet-b"] and "SecurityGroups" not in found.load_balancer
    assert [one.what for one in found.having("blocks")] == ["listener 443 certificate"]
    assert [one.what for one in found.having("lost")] == ["instances"] and found.targets == ()
    named = planned(source, from_elsewhere=True, certificates={CERTIFICATE: "arn:here"})
    assert not named.having("blocks")
    assert named.listeners[0].request["Certificates"] == [{"CertificateArn": "arn:here"}]


def test_an_application_load_balancer_gets_the_second_zone_it_needs() -> None:
    found = planned(classic(subnets=("subnet-a",), availability_zones=("us-east-1a",)))
    assert found.load_balancer["Subnets"] == ["subnet-a", "subnet-b"] and row(found, "subnets").effect == "changes"
    alone = Destination(subnets=(Subnet("subnet-a", "us-east-1a", "vpc-1", is_default=True),))
    assert [one.what for one in planned(classic(subnets=("subnet-a",)), alone).having("blocks")] == ["subnets"]


def test_what_is_in_the_way_is_said_by_name() -> None:
    assert [one.what for one in planned(classic(), name="taken").having("blocks")] == ["name"]
    assert [one.what for one in planned(classic(), subnets=("subnet-9",)).having("blocks")] == ["subnets"]
    assert [one.what for one in planned(classic(), type="network").having("blocks")] == ["listeners"]
    assert "listeners" in [one.what for one in planned(classic(listener_descriptions=())).having("blocks")]


def test_what_nobody_can_keep_is_lost_and_not_forgotten() -> None:
    policies = (
        policy("auth", "BackendServerAuthentication", PublicKeyPolicyName="key"),
        policy("proxy", "ProxyProtocol", ProxyProtocol="true"),
    )
    backends = (Backend(8443, ("auth",)),)
    secured = classic(listener(80, "HTTP", "HTTPS:8443"), backend_server_descriptions=backends, policies=policies)
    assert [one.what for one in planned(secured).having("lost")] == ["policy auth (8443)"]
    proxied = classic(listener(80, "TCP", "TCP:80"), backend_server_descriptions=(Backend(80, ("proxy",)),), policies=policies)
    found = planned(proxied)
    assert found.groups[0].attributes["proxy_protocol_v2.enabled"] == "true" and row(found, "proxy protocol").effect == "changes"


def test_tags_of_awss_own_are_left_out_and_told() -> None:
    found = planned(classic(tags=(Tag("team", "web"), Tag("aws:cloudformation:stack-name", "x"))))
    assert found.load_balancer["Tags"] == [{"Key": "team", "Value": "web"}]
    assert row(found, "tag aws:cloudformation:stack-name").effect == "changes"


def test_instances_are_registered_when_that_is_asked_for() -> None:
    source = classic(instances=(Instance("i-1"), Instance("i-2")))
    assert planned(source).targets == () and planned(source, registers_targets=True).targets == ("i-1", "i-2")


_LISTENERS = st.lists(
    st.builds(
        listener,
        st.integers(1, 65535),
        st.sampled_from(["HTTP", "HTTPS", "TCP", "SSL"]),
        st.sampled_from(["HTTP:80", "HTTP:8080", "HTTPS:8443", "TCP:5432", "SSL:636"]),
    ),
    max_size=6,
    unique_by=lambda one: one.listener.load_balancer_port,
)


@given(_LISTENERS, st.sampled_from(["", "application", "network"]))
def test_every_listener_is_created_or_told_of(listeners: list[ListenerDescription], type: str) -> None:
    found = planned(classic(listener_descriptions=tuple(listeners)), type=type)
    created = {int(str(one.request["Port"])) for one in found.listeners}
    told = {int(one.what.split()[1]) for one in found.rows if one.what.startswith("listener ") and one.effect in ("lost", "blocks")}
    assert created | told == {one.listener.load_balancer_port for one in listeners}
    assert {one.group for one in found.listeners} == {group.name for group in found.groups}
    for one in found.rows:
        assert one.why or one.effect == "maps", "whatever changes has a reason"


# ── the wire ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_nested_values_become_fields() -> None:
    form = form_of("Do", "1", {"A": "x", "B": [{"C": True}, {"C": 2}], "D": {"E": ["y"]}, "None": None})
    assert form == b"Action=Do&Version=1&A=x&B.member.1.C=true&B.member.2.C=2&D.E.member.1=y"
    assert form_of("Do", "1", {"A": ["x"]}, flat=True) == b"Action=Do&Version=1&A.1=x"


class _Answer(msgspec.Struct, rename="pascal"):
    count: int
    items: tuple[str, ...] | None = None
    on: bool = False


def test_answers_are_read_and_what_is_none_is_refused() -> None:
    body = b"<DoResponse xmlns='u'><DoResult><Count>3</Count><Items><member>a</member></Items><On>true</On></DoResult></DoResponse>"
    assert read_answer("Do", body, _Answer) == _Answer(3, ("a",), True)
    assert read_answer("Do", b"<DoResponse><DoResult><Count>3</Count><Items/></DoResult></DoResponse>", _Answer) == _Answer(3)
    for junk in (b"", b"no", b"<DoResponse/>", b"<DoResponse><DoResult><Count>x</Count></DoResult></DoResponse>", b"\xff\xfe"):
        with pytest.raises(Failure):
            read_answer("Do", junk, _Answer)


@pytest.mark.parametrize(
    "body",
    [
        b"<ErrorResponse xmlns='u'><Error><Type>Sender</Type><Code>Nope</Code><Message>no</Message></Error></ErrorResponse>",
        b"<Response><Errors><Error><Code>Nope</Code><Message>no</Message></Error></Errors></Response>",
    ],
)
def test_refusals_are_told_in_awss_words(body: bytes) -> None:
    assert refusal_in(body) == ("Nope", "no")
    assert refusal_in(b"<html>") == ("", "")
