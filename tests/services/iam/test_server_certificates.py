"""Server certificates: uploaded, renamed, used by listeners, and kept for as long as one does."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.aws.errors import AwsError
from longshore.services.acm.material import material_of
from longshore.services.elbv2.model import LISTENERS
from longshore.services.iam.model import SERVER_CERTIFICATES
from tests.services.acm.making import Made
from tests.services.ec2.wire import ACCOUNT, SECRET, Cloud

NOW = 1_700_000_000.0
ROOT = Made("Root", NOW, authority=True)
WEB = Made("web.example", NOW, issuer=ROOT)
UPLOAD = {"CertificateBody": WEB.pem.decode(), "PrivateKey": WEB.key.decode(), "CertificateChain": ROOT.pem.decode()}
ANSWER = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]


@pytest.fixture
async def cloud() -> Cloud:
    return Cloud()


async def code(cloud: Cloud, operation: str, **parameters: Any) -> tuple[str, int]:
    with pytest.raises(AwsError) as raised:
        await cloud.iam(operation, **parameters)
    return raised.value.wire("query")


async def upload(cloud: Cloud, name: str = "web", **more: Any) -> dict[str, Any]:
    made = await cloud.iam("UploadServerCertificate", ServerCertificateName=name, **(UPLOAD | more))
    return dict(made["ServerCertificateMetadata"])


async def https(cloud: Cloud, arn: str) -> str:
    lb = await cloud.load_balancer()
    asked = {"Protocol": "HTTPS", "Port": 443, "Certificates": [{"CertificateArn": arn}], "DefaultActions": ANSWER}
    made = await cloud.elb("CreateListener", LoadBalancerArn=lb["LoadBalancerArn"], **asked)
    return str(made["Listeners"][0]["ListenerArn"])


async def test_an_uploaded_certificate_is_shown_without_its_key_which_lies_sealed(cloud: Cloud) -> None:
    made = await upload(cloud, Path="/cloudfront/", Tags=[{"Key": "team", "Value": "web"}])
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:server-certificate/cloudfront/web"
    assert made["ServerCertificateId"].startswith("ASCA")
    assert made["Expiration"].timestamp() == NOW - 3600 + 90 * 86_400
    got = (await cloud.iam("GetServerCertificate", ServerCertificateName="web"))["ServerCertificate"]
    assert (got["CertificateBody"], got["CertificateChain"]) == (WEB.pem.decode(), ROOT.pem.decode())
    assert got["Tags"] == [{"Key": "team", "Value": "web"}]
    (kept,) = cloud.store.list(SERVER_CERTIFICATES)
    assert b"PRIVATE" not in kept.sealed_key
    material = material_of(cloud.store, made["Arn"], SECRET)
    assert material is not None
    assert material.key == WEB.key


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"CertificateBody": "nonsense"}, ("MalformedCertificate", 400)),
        ({"PrivateKey": ROOT.key.decode()}, ("KeyPairMismatch", 400)),
        ({"PrivateKey": "nonsense"}, ("MalformedCertificate", 400)),
        ({"CertificateChain": WEB.pem.decode()}, ("MalformedCertificate", 400)),
        ({"ServerCertificateName": "WEB"}, ("EntityAlreadyExists", 409)),
        ({"ServerCertificateName": "a b"}, ("ValidationError", 400)),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, ("InvalidInput", 400)),
    ],
)
async def test_what_is_not_in_order_is_refused(cloud: Cloud, more: dict[str, Any], expected: tuple[str, int]) -> None:
    await upload(cloud)
    assert await code(cloud, "UploadServerCertificate", **({"ServerCertificateName": "other"} | UPLOAD | more)) == expected
    assert cloud.store.count(SERVER_CERTIFICATES) == 1


async def test_there_may_be_twenty(cloud: Cloud) -> None:
    for number in range(20):
        await upload(cloud, f"web{number}")
    assert await code(cloud, "UploadServerCertificate", ServerCertificateName="more", **UPLOAD) == ("LimitExceeded", 409)
    first = await cloud.iam("ListServerCertificates", MaxItems=15)
    rest = await cloud.iam("ListServerCertificates", MaxItems=15, Marker=first["Marker"])
    names = [each["ServerCertificateName"] for page in (first, rest) for each in page["ServerCertificateMetadataList"]]
    assert sorted(names) == sorted(f"web{number}" for number in range(20))


async def test_who_renames_one_takes_the_listeners_along(cloud: Cloud) -> None:
    arn = (await upload(cloud))["Arn"]
    listener = await https(cloud, arn)
    await upload(cloud, "other")
    taken = {"ServerCertificateName": "web", "NewServerCertificateName": "Other"}
    assert await code(cloud, "UpdateServerCertificate", **taken) == ("EntityAlreadyExists", 409)
    await cloud.iam("UpdateServerCertificate", ServerCertificateName="web", NewServerCertificateName="site", NewPath="/a/")
    kept = cloud.store.get(LISTENERS, listener)
    assert kept is not None
    assert kept.certificates == (f"arn:aws:iam::{ACCOUNT}:server-certificate/a/site",)
    assert await code(cloud, "GetServerCertificate", ServerCertificateName="web") == ("NoSuchEntity", 404)
    assert material_of(cloud.store, kept.certificates[0], SECRET) is not None


async def test_a_classic_load_balancer_keeps_a_certificate_that_is_renamed(cloud: Cloud) -> None:
    arn = (await upload(cloud))["Arn"]
    secure = {"Protocol": "HTTPS", "LoadBalancerPort": 443, "InstanceProtocol": "HTTP", "InstancePort": 80, "SSLCertificateId": arn}
    subnets = [subnet["SubnetId"] for subnet in (await cloud.default_subnets())[:1]]
    await cloud.ask("elb", "CreateLoadBalancer", LoadBalancerName="old", Listeners=[secure], Subnets=subnets)
    assert await code(cloud, "DeleteServerCertificate", ServerCertificateName="web") == ("DeleteConflict", 409)
    await cloud.iam("UpdateServerCertificate", ServerCertificateName="web", NewServerCertificateName="site")
    renamed = f"arn:aws:iam::{ACCOUNT}:server-certificate/site"
    (shown,) = (await cloud.ask("elb", "DescribeLoadBalancers"))["LoadBalancerDescriptions"]
    assert shown["ListenerDescriptions"][0]["Listener"]["SSLCertificateId"] == renamed
    assert [listener.certificates for listener in cloud.store.list(LISTENERS)] == [(renamed,)]


async def test_what_a_listener_uses_cannot_be_deleted(cloud: Cloud) -> None:
    listener = await https(cloud, (await upload(cloud))["Arn"])
    assert await code(cloud, "DeleteServerCertificate", ServerCertificateName="web") == ("DeleteConflict", 409)
    await cloud.elb("DeleteListener", ListenerArn=listener)
    await cloud.iam("DeleteServerCertificate", ServerCertificateName="web")
    assert await code(cloud, "DeleteServerCertificate", ServerCertificateName="web") == ("NoSuchEntity", 404)


async def test_tags_come_and_go(cloud: Cloud) -> None:
    await upload(cloud)
    named = {"ServerCertificateName": "web"}
    await cloud.iam("TagServerCertificate", **named, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    await cloud.iam("UntagServerCertificate", **named, TagKeys=["A"])
    assert (await cloud.iam("ListServerCertificateTags", **named))["Tags"] == [{"Key": "b", "Value": "2"}]


async def test_a_right_to_rename_is_one_for_both_names(cloud: Cloud) -> None:
    await upload(cloud)
    asked = {"ServerCertificateName": "web", "NewServerCertificateName": "site", "NewPath": "/a/"}
    found = cloud.resources("iam", "UpdateServerCertificate", **asked)
    assert found == [f"arn:aws:iam::{ACCOUNT}:server-certificate/web", f"arn:aws:iam::{ACCOUNT}:server-certificate/a/site"]
