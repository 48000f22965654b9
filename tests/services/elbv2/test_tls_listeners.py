"""HTTPS and TLS listeners as they are asked for: certificates, policies, ALPN, what becomes of clients' certificates."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.aws.errors import AwsError
from longshore.services.acm.model import CERTIFICATES
from longshore.services.elbv2.model import LISTENERS
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
    from cryptography.hazmat.primitives.asymmetric import rsa

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
