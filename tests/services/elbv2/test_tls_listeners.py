"""HTTPS and TLS listeners as they are asked for: certificates, policies, ALPN, what becomes of clients' certificates."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from longshore.aws.errors import AwsError
from longshore.services.acm.material import find_certificate
from longshore.services.acm.model import CERTIFICATES
from longshore.services.elbv2.model import LISTENERS
from longshore.services.elbv2.ssl_policies import DEFAULT, POLICIES
from tests.services.acm.making import Made
from tests.services.ec2.wire import Cloud

ANSWER: list[dict[str, Any]] = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]


@pytest.fixture
async def cloud() -> Cloud:
    return Cloud()


async def imported(cloud: Cloud, name: str = "web.example", **more: Any) -> str:
    made = Made(name, cloud.clock.now(), **more)
    return str((await cloud.acm("ImportCertificate", Certificate=made.pem, PrivateKey=made.key))["CertificateArn"])


async def code(cloud: Cloud, operation: str, **parameters: Any) -> str:
    with pytest.raises(AwsError) as raised:
        await cloud.elb(operation, **parameters)
    return raised.value.wire("query")[0]


class Site:
    def __init__(self, cloud: Cloud, lb_arn: str) -> None:
        self.cloud = cloud
        self.lb_arn = lb_arn

    async def https(self, *arns: str, port: int = 443, **more: Any) -> dict[str, Any]:
        return dict((await self.cloud.elb("CreateListener", **self.asked(*arns, port=port, **more)))["Listeners"][0])

    def asked(self, *arns: str, port: int = 443, **more: Any) -> dict[str, Any]:
        certificates = [{"CertificateArn": arn} for arn in arns]
        settings = {"Protocol": "HTTPS", "Port": port, "DefaultActions": ANSWER, "Certificates": certificates, **more}
        return {"LoadBalancerArn": self.lb_arn, **settings}


@pytest.fixture
async def site(cloud: Cloud) -> Site:
    return Site(cloud, (await cloud.load_balancer())["LoadBalancerArn"])


async def test_an_https_listener_has_its_certificate_and_the_default_policy(cloud: Cloud, site: Site) -> None:
    arn = await imported(cloud)
    made = await site.https(arn)
    assert made["Certificates"] == [{"CertificateArn": arn}]
    assert made["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    assert made["MutualAuthentication"] == {"Mode": "off"}
    assert await site.https(arn) == made, "asking again for the same succeeds"
    another = await imported(cloud, "other.example")
    assert await code(cloud, "CreateListener", **site.asked(another)) == "DuplicateListener"


async def test_a_certificate_must_be_there_issued_and_ones_own(cloud: Cloud, site: Site) -> None:
    abroad = await imported(cloud.elsewhere(region="eu-west-1"))
    strangers = await imported(cloud.elsewhere(account_id="210987654321"))
    missing = "arn:aws:acm:us-east-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
    for arn in (abroad, strangers, missing, "arn:aws:iam::123456789012:server-certificate/none", "x"):
        assert await code(cloud, "CreateListener", **site.asked(arn)) == "CertificateNotFound"
    pending = (await cloud.acm("RequestCertificate", DomainName="web.example", ValidationMethod="DNS"))["CertificateArn"]
    assert await code(cloud, "CreateListener", **site.asked(pending)) == "UnsupportedCertificate"
    assert await code(cloud, "CreateListener", **site.asked()) == "ValidationError"
    arn = await imported(cloud)
    assert await code(cloud, "CreateListener", **site.asked(arn, arn)) == "ValidationError"


async def test_a_certificate_that_openssl_would_not_load_gets_no_listener(cloud: Cloud, site: Site) -> None:
    weak = await imported(cloud, key=rsa.generate_private_key(public_exponent=65537, key_size=1024))
    assert await code(cloud, "CreateListener", **site.asked(weak)) == "UnsupportedCertificate"
    assert cloud.store.get(CERTIFICATES, weak) is not None


async def test_what_https_has_and_http_has_not_is_refused_and_forgotten(cloud: Cloud, site: Site) -> None:
    arn = await imported(cloud)
    asked = site.asked(arn, Protocol="HTTP")
    assert await code(cloud, "CreateListener", **asked) == "InvalidConfigurationRequest"
    listener = (await site.https(arn))["ListenerArn"]
    await cloud.elb("ModifyListener", ListenerArn=listener, Protocol="HTTP")
    kept = cloud.store.get(LISTENERS, listener)
    assert kept is not None
    assert (kept.certificates, kept.ssl_policy) == ((), "")
    assert await code(cloud, "ModifyListener", ListenerArn=listener, Protocol="HTTPS") == "ValidationError"
    again = await cloud.elb("ModifyListener", ListenerArn=listener, Protocol="HTTPS", Certificates=[{"CertificateArn": arn}])
    assert again["Listeners"][0]["SslPolicy"] == "ELBSecurityPolicy-2016-08"


async def test_actions_that_were_checked_for_one_protocol_keep_a_listener_from_another(cloud: Cloud, site: Site) -> None:
    arn = await imported(cloud)
    jwt = {"JwksEndpoint": "https://id.example/keys", "Issuer": "https://id.example/"}
    listener = (await site.https(arn))["ListenerArn"]
    paths = [{"Field": "path-pattern", "Values": ["/x"]}]
    asks = [{"Type": "jwt-validation", "JwtValidationConfig": jwt, "Order": 1}, ANSWER[0] | {"Order": 2}]
    rule = await cloud.elb("CreateRule", ListenerArn=listener, Priority=1, Conditions=paths, Actions=asks)
    assert await code(cloud, "ModifyListener", ListenerArn=listener, Protocol="HTTP") == "InvalidLoadBalancerAction"
    await cloud.elb("DeleteRule", RuleArn=rule["Rules"][0]["RuleArn"])
    await cloud.elb("ModifyListener", ListenerArn=listener, Protocol="HTTP")
    plain = [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTP", "Port": "8080", "StatusCode": "HTTP_301"}}]
    await cloud.elb("ModifyListener", ListenerArn=listener, DefaultActions=plain)
    secure: dict[str, Any] = {"ListenerArn": listener, "Protocol": "HTTPS", **named(arn)}
    assert await code(cloud, "ModifyListener", **secure) == "InvalidLoadBalancerAction"
    await cloud.elb("ModifyListener", **secure, DefaultActions=ANSWER)


# ── further certificates ─────────────────────────────────────────────────────────────────────────────────────────────


async def certificates(cloud: Cloud, listener: str) -> list[tuple[str, bool]]:
    shown = (await cloud.elb("DescribeListenerCertificates", ListenerArn=listener))["Certificates"]
    return [(each["CertificateArn"], each["IsDefault"]) for each in shown]


def named(*arns: str) -> dict[str, Any]:
    return {"Certificates": [{"CertificateArn": arn} for arn in arns]}


async def test_further_certificates_come_and_go_beside_the_default_one(cloud: Cloud, site: Site) -> None:
    default, first, second = [await imported(cloud, f"{name}.example") for name in ("a", "b", "c")]
    listener = (await site.https(default))["ListenerArn"]
    await cloud.elb("AddListenerCertificates", ListenerArn=listener, **named(first, second, first))
    await cloud.elb("AddListenerCertificates", ListenerArn=listener, **named(first, default))
    further = sorted([first, second, default])
    assert await certificates(cloud, listener) == [(default, True), *((arn, False) for arn in further)]
    await cloud.elb("RemoveListenerCertificates", ListenerArn=listener, **named(default, first))
    assert await certificates(cloud, listener) == [(default, True), (second, False)]
    assert await code(cloud, "RemoveListenerCertificates", ListenerArn=listener, **named(default)) == "OperationNotPermitted"
    await cloud.elb("ModifyListener", ListenerArn=listener, **named(first))
    assert await certificates(cloud, listener) == [(first, True), (second, False)]
    assert await site.https(first) == (await cloud.elb("DescribeListeners", ListenerArns=[listener]))["Listeners"][0]
    plain = (await site.https(Protocol="HTTP", port=80, Certificates=[]))["ListenerArn"]
    assert await code(cloud, "AddListenerCertificates", ListenerArn=plain, **named(first)) == "ValidationError"


async def test_a_load_balancer_has_25_further_certificates(cloud: Cloud, site: Site) -> None:
    made = Made("web.example", cloud.clock.now())
    arns = [(await cloud.acm("ImportCertificate", Certificate=made.pem, PrivateKey=made.key))["CertificateArn"] for _ in range(27)]
    listener, other = [(await site.https(arns[0], port=port))["ListenerArn"] for port in (443, 8443)]
    await cloud.elb("AddListenerCertificates", ListenerArn=listener, **named(*arns[1:20]))
    await cloud.elb("AddListenerCertificates", ListenerArn=other, **named(*arns[1:26]))
    assert await code(cloud, "AddListenerCertificates", ListenerArn=listener, **named(arns[26])) == "TooManyCertificates"
    page = await cloud.elb("DescribeListenerCertificates", ListenerArn=other, PageSize=20)
    rest = await cloud.elb("DescribeListenerCertificates", ListenerArn=other, PageSize=20, Marker=page["NextMarker"])
    assert len(page["Certificates"]) + len(rest["Certificates"]) == 26


# ── policies, ALPN, attributes ───────────────────────────────────────────────────────────────────────────────────────


async def test_policies_are_of_the_table_and_fips_is_all_or_nothing(cloud: Cloud, site: Site) -> None:
    arn = await imported(cloud)
    assert await code(cloud, "CreateListener", **site.asked(arn, SslPolicy="ELBSecurityPolicy-Nothing")) == "SSLPolicyNotFound"
    assert await code(cloud, "CreateListener", **site.asked(arn, SslPolicy="ELBSecurityPolicy-2015-05")) == "SSLPolicyNotFound"
    await site.https(arn)
    fips = site.asked(arn, port=8443, SslPolicy="ELBSecurityPolicy-TLS13-1-2-FIPS-2023-04")
    assert await code(cloud, "CreateListener", **fips) == "InvalidConfigurationRequest"


async def test_a_tls_listener_may_have_one_alpn_policy_and_an_https_listener_none(cloud: Cloud, site: Site) -> None:
    arn = await imported(cloud)
    assert await code(cloud, "CreateListener", **site.asked(arn, AlpnPolicy=["HTTP2Only"])) == "InvalidConfigurationRequest"
    lb = await cloud.load_balancer("net", Type="network")
    group = await cloud.target_group("tcp", Protocol="TCP")
    asked: dict[str, Any] = {"Protocol": "TLS", "Certificates": [{"CertificateArn": arn}]}
    settings = {"LoadBalancerArn": lb["LoadBalancerArn"], "Port": 443, "DefaultActions": [{"Type": "forward", **group_of(group)}], **asked}
    assert await code(cloud, "CreateListener", **settings, AlpnPolicy=["HTTP2Only", "None"]) == "ValidationError"
    assert await code(cloud, "CreateListener", **settings, AlpnPolicy=["HTTP3"]) == "ALPNPolicyNotSupported"
    made = await cloud.listener(lb, group, 443, **asked, AlpnPolicy=["HTTP2Preferred"])
    assert (made["AlpnPolicy"], made["SslPolicy"]) == (["HTTP2Preferred"], "ELBSecurityPolicy-2016-08")
    assert "MutualAuthentication" not in made
    changed = await cloud.elb("ModifyListener", ListenerArn=made["ListenerArn"], AlpnPolicy=["None"])
    assert changed["Listeners"][0]["AlpnPolicy"] == ["None"]


def group_of(group: dict[str, Any]) -> dict[str, str]:
    return {"TargetGroupArn": group["TargetGroupArn"]}


async def test_the_table_of_policies_is_consistent(cloud: Cloud) -> None:
    shown = (await cloud.elb("DescribeSSLPolicies"))["SslPolicies"]
    assert len(shown) == len(POLICIES) >= 39
    for policy in POLICIES.values():
        assert bool(policy.tls13_ciphers) == ("TLSv1.3" in policy.protocols)
        assert bool(policy.older_ciphers) == (policy.protocols != ("TLSv1.3",))
        assert len(set(policy.ciphers)) == len(policy.ciphers)
    assert DEFAULT in POLICIES
    network = (await cloud.elb("DescribeSSLPolicies", LoadBalancerType="network"))["SslPolicies"]
    assert "ELBSecurityPolicy-2015-05" in {policy["Name"] for policy in network}
    (one,) = (await cloud.elb("DescribeSSLPolicies", Names=["ELBSecurityPolicy-TLS13-1-2-Res-2021-06"]))["SslPolicies"]
    assert one["SslProtocols"] == ["TLSv1.3", "TLSv1.2"]
    assert [cipher["Priority"] for cipher in one["Ciphers"]] == list(range(1, 8))
    assert await code(cloud, "DescribeSSLPolicies", Names=["ELBSecurityPolicy-Nothing"]) == "SSLPolicyNotFound"


async def test_openssl_knows_every_cipher_of_every_policy() -> None:
    for policy in POLICIES.values():
        older = [cipher for cipher in policy.older_ciphers if not cipher.startswith("DES-")]
        if older:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_ciphers(":".join((*older, "@SECLEVEL=0")))
            known = {cipher["name"] for cipher in context.get_ciphers()}
            assert known >= set(older), policy.name


async def attributes(cloud: Cloud, listener: str) -> dict[str, str]:
    shown = (await cloud.elb("DescribeListenerAttributes", ListenerArn=listener))["Attributes"]
    return {each["Key"]: each["Value"] for each in shown}


def set_to(**values: str) -> dict[str, Any]:
    return {"Attributes": [{"Key": f"routing.http.{key.replace('__', '.')}", "Value": value} for key, value in values.items()]}


async def test_attributes_have_defaults_and_follow_the_protocol(cloud: Cloud, site: Site) -> None:
    listener = (await site.https(await imported(cloud)))["ListenerArn"]
    shown = await attributes(cloud, listener)
    assert shown["routing.http.response.server.enabled"] == "true"
    assert shown["routing.http.request.x_amzn_mtls_clientcert_leaf.header_name"] == "X-Amzn-Mtls-Clientcert-Leaf"
    assert len(shown) == 19
    changes = set_to(response__server__enabled="false", request__x_amzn_tls_version__header_name="X-Tls")
    await cloud.elb("ModifyListenerAttributes", ListenerArn=listener, **changes)
    await cloud.elb("ModifyListener", ListenerArn=listener, Protocol="HTTP")
    kept = cloud.store.get(LISTENERS, listener)
    assert kept is not None
    assert kept.attributes == {"routing.http.response.server.enabled": "false"}
    assert len(await attributes(cloud, listener)) == 11


@pytest.mark.parametrize(
    "change",
    [
        {"request__x_amzn_tls_version__header_name": "Host"},
        {"request__x_amzn_tls_version__header_name": "bad name"},
        {"request__x_amzn_tls_version__header_name": "x" * 41},
        {"response__strict_transport_security__header_value": "max-age=1\r\nSet-Cookie: a"},
        {"response__content_security_policy__header_value": "default-src 'self'\n"},
        {"response__content_security_policy__header_value": "é"},
        {"response__access_control_allow_origin__header_value": "not an origin"},
        {"response__access_control_max_age__header_value": "86401"},
        {"response__x_frame_options__header_value": "SOMETIMES"},
        {"response__x_content_type_options__header_value": "sniff"},
        {"response__server__enabled": "maybe"},
        {"response__nothing": "x"},
    ],
)
async def test_what_no_header_may_say_is_refused(cloud: Cloud, site: Site, change: dict[str, str]) -> None:
    listener = (await site.https(await imported(cloud)))["ListenerArn"]
    assert await code(cloud, "ModifyListenerAttributes", ListenerArn=listener, **set_to(**change)) == "ValidationError"


async def test_two_values_never_go_under_one_name(cloud: Cloud, site: Site) -> None:
    listener = (await site.https(await imported(cloud)))["ListenerArn"]
    twice = set_to(request__x_amzn_tls_version__header_name="x-amzn-tls-cipher-suite")
    assert await code(cloud, "ModifyListenerAttributes", ListenerArn=listener, **twice) == "InvalidConfigurationRequest"


async def test_an_idle_timeout_belongs_to_tcp(cloud: Cloud) -> None:
    lb, group = await cloud.load_balancer("net", Type="network"), await cloud.target_group("tcp", Protocol="TCP")
    listener = (await cloud.listener(lb, group, 443, Protocol="TCP"))["ListenerArn"]
    assert await attributes(cloud, listener) == {"tcp.idle_timeout.seconds": "350"}
    asked = {"ListenerArn": listener, "Attributes": [{"Key": "tcp.idle_timeout.seconds", "Value": "59"}]}
    assert await code(cloud, "ModifyListenerAttributes", **asked) == "ValidationError"


# ── what is not to be had ────────────────────────────────────────────────────────────────────────────────────────────


async def test_capacity_and_addresses_are_what_the_machine_has(cloud: Cloud, site: Site) -> None:
    lb = {"LoadBalancerArn": site.lb_arn}
    shown = await cloud.elb("DescribeCapacityReservation", **lb)
    assert {each["EffectiveCapacityUnits"] for each in shown["CapacityReservationState"]} == {0.0}
    assert "MinimumLoadBalancerCapacity" not in shown
    asked: dict[str, Any] = {"MinimumLoadBalancerCapacity": {"CapacityUnits": 100}}
    assert await code(cloud, "ModifyCapacityReservation", **lb, **asked) == "InvalidConfigurationRequest"
    assert await code(cloud, "ModifyCapacityReservation", **lb) == "ValidationError"
    assert await code(cloud, "ModifyIpPools", **lb, IpamPools={"Ipv4IpamPoolId": "ipam-pool-1"}) == "InvalidConfigurationRequest"
    assert await code(cloud, "SetIpAddressType", **lb, IpAddressType="dualstack") == "InvalidSubnet"
    assert (await cloud.elb("SetIpAddressType", **lb, IpAddressType="ipv4"))["IpAddressType"] == "ipv4"


# ── the law ──────────────────────────────────────────────────────────────────────────────────────────────────────────

_CERTIFICATE, _OTHER = Made("web.example", 1_700_000_000.0), Made("other.example", 1_700_000_000.0)
#: what is done, and with which of two of ACM's and two of IAM's certificates
_STEPS = st.lists(
    st.tuples(st.sampled_from(("create", "modify", "add", "remove", "drop", "delete", "rename")), st.integers(0, 3)),
    min_size=2,
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@example(rounds=[[("delete", 2)], [("rename", 3), ("add", 0)]])
@example(rounds=[[("delete", 1), ("add", 1)], [("drop", 0), ("delete", 0)]])
@given(rounds=st.lists(_STEPS, min_size=1, max_size=3))
def test_every_certificate_that_a_listener_names_exists_whoever_comes_first(rounds: list[list[tuple[str, int]]]) -> None:
    """Each round's requests are made at once."""
    asyncio.run(_keeps_the_law(rounds))


async def _keeps_the_law(rounds: list[list[tuple[str, int]]]) -> None:
    cloud = Cloud()
    site = Site(cloud, (await cloud.load_balancer())["LoadBalancerArn"])
    arns = [(await cloud.acm("ImportCertificate", Certificate=_OTHER.pem, PrivateKey=_OTHER.key))["CertificateArn"] for _ in range(2)]
    for name in ("one", "two"):
        body = {"CertificateBody": _CERTIFICATE.pem.decode(), "PrivateKey": _CERTIFICATE.key.decode()}
        made = await cloud.iam("UploadServerCertificate", ServerCertificateName=name, **body)
        arns.append(made["ServerCertificateMetadata"]["Arn"])

    for port, arn in ((440, arns[2]), (441, arns[0])):
        listener = (await site.https(arn, port=port))["ListenerArn"]
        await cloud.elb("AddListenerCertificates", ListenerArn=listener, **named(arns[3]))

    async def does(step: str, which: int) -> None:
        arn = arns[which]
        listener = next((each.arn for each in cloud.store.list(LISTENERS) if each.port == 440 + which % 2), "none")
        with contextlib.suppress(AwsError):
            match step:
                case "create":
                    await site.https(arn, port=440 + which % 2)
                case "modify":
                    await cloud.elb("ModifyListener", ListenerArn=listener, **named(arn))
                case "add":
                    await cloud.elb("AddListenerCertificates", ListenerArn=listener, **named(arn))
                case "remove":
                    await cloud.elb("RemoveListenerCertificates", ListenerArn=listener, **named(arn))
                case "drop":
                    await cloud.elb("DeleteListener", ListenerArn=listener)
                case "delete" if which < 2:
                    await cloud.acm("DeleteCertificate", CertificateArn=arn)
                case "delete":
                    await cloud.iam("DeleteServerCertificate", ServerCertificateName=arn.rpartition("/")[2])
                case "rename" if which >= 2:
                    await cloud.iam("UpdateServerCertificate", ServerCertificateName=arn.rpartition("/")[2], NewPath="/moved/")

    for steps in rounds:
        await asyncio.gather(*(does(step, which) for step, which in steps))
        for listener in cloud.store.list(LISTENERS):
            assert listener.certificates
            for arn in listener.certificates:
                assert find_certificate(cloud.store, arn) is not None, arn
    await cloud.store.close()
