"""Trust stores: made of what was put here, used by listeners, with lists of what is revoked."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from longshore.aws.errors import AwsError
from longshore.gateway.trust_files import TrustFiles
from longshore.services.elbv2.model import LISTENERS, TRUST_STORE_FILES, TRUST_STORE_REVOCATIONS, TRUST_STORES, TrustStoreFile
from longshore.services.elbv2.trust_stores import CONTENT_S, MOST_FILE
from tests.services.acm.making import Made
from tests.services.ec2.wire import ACCOUNT, REGION, SECRET, Cloud
from tests.sweeps.certificates import revocations

NOW = 1_700_000_000.0
CLIENTS, OTHERS = Made("Clients", NOW, authority=True), Made("Others", NOW, authority=True)
ANSWER = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}]


class Safe(Cloud):
    async def put(self, key: str, content: bytes) -> None:
        """What LongshorePutTrustStoreFile writes."""
        file = TrustStoreFile(f"{REGION}:{ACCOUNT}", "trust", key, content, NOW)
        await self.write(lambda tx: tx.put(TRUST_STORE_FILES, file))

    async def trust_store(self, name: str = "clients", content: bytes = CLIENTS.pem) -> str:
        await self.put(f"{name}.pem", content)
        made = await self.elb("CreateTrustStore", Name=name, **bundle(f"{name}.pem"))
        return str(made["TrustStores"][0]["TrustStoreArn"])

    async def code(self, operation: str, **parameters: Any) -> str:
        with pytest.raises(AwsError) as raised:
            await self.elb(operation, **parameters)
        return raised.value.wire("query")[0]

    async def https(self, **mutual: Any) -> str:
        certificate = Made("web.example", NOW)
        arn = (await self.acm("ImportCertificate", Certificate=certificate.pem, PrivateKey=certificate.key))["CertificateArn"]
        lb = await self.load_balancer()
        asked = {"Protocol": "HTTPS", "Port": 443, "Certificates": [{"CertificateArn": arn}], "DefaultActions": ANSWER}
        made = await self.elb("CreateListener", LoadBalancerArn=lb["LoadBalancerArn"], MutualAuthentication=mutual, **asked)
        return str(made["Listeners"][0]["ListenerArn"])


def bundle(key: str) -> dict[str, str]:
    return {"CaCertificatesBundleS3Bucket": "trust", "CaCertificatesBundleS3Key": key}


@pytest.fixture
async def cloud() -> Safe:
    return Safe()


async def test_a_trust_store_is_a_copy_of_what_was_put_here(cloud: Safe) -> None:
    arn = await cloud.trust_store(content=CLIENTS.pem + OTHERS.pem + CLIENTS.pem)
    await cloud.put("clients.pem", OTHERS.pem)
    (shown,) = (await cloud.elb("DescribeTrustStores", Names=["clients"]))["TrustStores"]
    assert shown == {
        "Name": "clients",
        "TrustStoreArn": arn,
        "Status": "ACTIVE",
        "NumberOfCaCertificates": 2,
        "TotalRevokedEntries": 0,
    }
    (changed,) = (await cloud.elb("ModifyTrustStore", TrustStoreArn=arn, **bundle("clients.pem")))["TrustStores"]
    assert changed["NumberOfCaCertificates"] == 1
    assert await cloud.code("CreateTrustStore", Name="clients", **bundle("clients.pem")) == "DuplicateTrustStoreName"
    assert await cloud.code("DescribeTrustStores", Names=["nobody"]) == "TrustStoreNotFound"


@pytest.mark.parametrize(
    "content", [b"nonsense", Made("web.example", NOW).pem, CLIENTS.pem + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
async def test_what_is_no_authority_is_not_trusted(cloud: Safe, content: bytes) -> None:
    await cloud.put("bad.pem", content)
    assert await cloud.code("CreateTrustStore", Name="bad", **bundle("bad.pem")) == "InvalidCaCertificatesBundle"


async def test_no_file_but_those_put_here_is_ever_read(cloud: Safe) -> None:
    await cloud.put("clients.pem", CLIENTS.pem)
    for key in ("missing.pem", "../clients.pem", "/etc/ssl/certs/ca-certificates.crt"):
        assert await cloud.code("CreateTrustStore", Name="x", **bundle(key)) == "CaCertificatesBundleNotFound"
    versioned = bundle("clients.pem") | {"CaCertificatesBundleS3ObjectVersion": "1"}
    assert await cloud.code("CreateTrustStore", Name="x", **versioned) == "CaCertificatesBundleNotFound"
    strangers = cloud.elsewhere(account_id="210987654321")
    with pytest.raises(AwsError, match="not found"):
        await strangers.elb("CreateTrustStore", Name="x", **bundle("clients.pem"))


async def test_revocations_are_of_the_stores_own_authorities_and_keep_their_numbers(cloud: Safe) -> None:
    arn = await cloud.trust_store()
    await cloud.put("own.crl", revocations(CLIENTS, NOW, 1, 2, 3) + revocations(CLIENTS, NOW, 4))
    await cloud.put("others.crl", revocations(OTHERS, NOW, 1))
    await cloud.put("bad.crl", b"nonsense")

    def contents(*keys: str) -> dict[str, Any]:
        return {"TrustStoreArn": arn, "RevocationContents": [{"S3Bucket": "trust", "S3Key": key} for key in keys]}

    added = await cloud.elb("AddTrustStoreRevocations", **contents("own.crl", "own.crl"))
    assert [(each["RevocationId"], each["NumberOfRevokedEntries"]) for each in added["TrustStoreRevocations"]] == [(1, 4), (2, 4)]
    assert await cloud.code("AddTrustStoreRevocations", **contents("others.crl")) == "InvalidRevocationContent"
    assert await cloud.code("AddTrustStoreRevocations", **contents("bad.crl")) == "InvalidRevocationContent"
    assert await cloud.code("AddTrustStoreRevocations", **contents("missing.crl")) == "RevocationContentNotFound"
    assert (await cloud.elb("DescribeTrustStores"))["TrustStores"][0]["TotalRevokedEntries"] == 8
    await cloud.elb("RemoveTrustStoreRevocations", TrustStoreArn=arn, RevocationIds=[2])
    assert await cloud.code("RemoveTrustStoreRevocations", TrustStoreArn=arn, RevocationIds=[1, 2]) == "RevocationIdNotFound"
    assert cloud.store.count(TRUST_STORE_REVOCATIONS) == 1, "all of them or none"
    again = await cloud.elb("AddTrustStoreRevocations", **contents("own.crl"))
    assert again["TrustStoreRevocations"][0]["RevocationId"] == 3
    shown = await cloud.elb("DescribeTrustStoreRevocations", TrustStoreArn=arn)
    assert [each["RevocationId"] for each in shown["TrustStoreRevocations"]] == [1, 3]
    await cloud.elb("DeleteTrustStore", TrustStoreArn=arn)
    assert cloud.store.count(TRUST_STORE_REVOCATIONS) == 0


async def test_a_trust_store_that_a_listener_uses_cannot_be_deleted(cloud: Safe) -> None:
    arn = await cloud.trust_store()
    listener = await cloud.https(Mode="verify", TrustStoreArn=arn)
    (shown,) = (await cloud.elb("DescribeListeners", ListenerArns=[listener]))["Listeners"]
    assert shown["MutualAuthentication"] == {
        "Mode": "verify",
        "TrustStoreArn": arn,
        "IgnoreClientCertificateExpiry": False,
        "AdvertiseTrustStoreCaNames": "off",
    }
    assert await cloud.code("DeleteTrustStore", TrustStoreArn=arn) == "TrustStoreInUse"
    kept = cloud.store.get(LISTENERS, listener)
    assert kept is not None
    used = (await cloud.elb("DescribeTrustStoreAssociations", TrustStoreArn=arn))["TrustStoreAssociations"]
    assert used == [{"ResourceArn": kept.load_balancer_arn}]
    end = {"TrustStoreArn": arn, "ResourceArn": kept.load_balancer_arn}
    assert await cloud.code("DeleteSharedTrustStoreAssociation", **end) == "DeleteAssociationSameAccount"
    await cloud.elb("ModifyListener", ListenerArn=listener, MutualAuthentication={"Mode": "off"})
    assert await cloud.code("DeleteSharedTrustStoreAssociation", **end) == "AssociationNotFound"
    await cloud.elb("DeleteTrustStore", TrustStoreArn=arn)
    assert not cloud.store.list(TRUST_STORES)


@pytest.mark.parametrize(
    "mutual",
    [
        {"Mode": "sometimes"},
        {"Mode": "verify"},
        {"Mode": "passthrough", "IgnoreClientCertificateExpiry": True},
        {"Mode": "off", "AdvertiseTrustStoreCaNames": "on"},
        {"Mode": "passthrough", "TrustStoreAssociationStatus": "active"},
    ],
)
async def test_what_cannot_be_meant_of_clients_certificates_is_refused(cloud: Safe, mutual: dict[str, Any]) -> None:
    with pytest.raises(AwsError) as raised:
        await cloud.https(**mutual)
    assert raised.value.wire("query")[0] == "ValidationError"


async def test_a_link_opens_one_content_for_ten_minutes(cloud: Safe) -> None:
    arn = await cloud.trust_store()
    location = (await cloud.elb("GetTrustStoreCaCertificatesBundle", TrustStoreArn=arn))["Location"]
    door = TrustFiles(cloud.store, cloud.clock, SECRET)

    async def fetch(path: str, method: str = "GET") -> tuple[int, bytes]:
        answer = await door.handle(make_mocked_request(method, path))
        return answer.status, bytes(getattr(answer, "body", b"") or b"")

    path = location.removeprefix("http://127.0.0.1:4566")
    assert await fetch(path) == (200, CLIENTS.pem)
    assert (await fetch(path, "POST"))[0] == 405
    assert (await fetch(path[:-2] + ("AA" if path[-2:] != "AA" else "BB")))[0] == 403
    assert (await fetch("/_longshore/trust-stores/"))[0] == 403
    assert await cloud.code("GetTrustStoreRevocationContent", TrustStoreArn=arn, RevocationId=1) == "RevocationIdNotFound"
    await cloud.elb("DeleteTrustStore", TrustStoreArn=arn)
    assert (await fetch(path))[0] == 404
    await cloud.clock.step(CONTENT_S + 1)
    assert (await fetch(path))[0] == 403


def test_a_file_fits_into_a_request() -> None:
    from longshore.gateway.request import MOST_BODY

    assert 3 * MOST_FILE < MOST_BODY, "percent signs make three characters of one"
