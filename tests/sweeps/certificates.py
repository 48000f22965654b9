"""Certificates of every kind, what listeners do with them, and trust stores, for the house that sweeps look through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from longshore.control.certificates.controller import Certificates
from longshore.kit.certificates import Authority
from tests.services.acm.making import Made, moment

if TYPE_CHECKING:
    from tests.sweeps.installation import Installation

#: of the steps' clock
NOW = 1_700_000_000.0
WEB = Made("web.example", NOW)
CLIENTS = Made("Clients", NOW, authority=True)
#: an hour's worth of nothing: what the sweep's own requests bring
UPLOAD = {"Certificate": WEB.pem, "PrivateKey": WEB.key}
SERVER_UPLOAD = {"CertificateBody": WEB.pem.decode(), "PrivateKey": WEB.key.decode()}
BUNDLE = {"CaCertificatesBundleS3Bucket": "trust", "CaCertificatesBundleS3Key": "clients.pem"}
REVOKED = {"S3Bucket": "trust", "S3Key": "revoked.pem"}


def revocations(issuer: Made, now: float, *serials: int) -> bytes:
    """PEM of a list that `issuer` gave out."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.name).last_update(moment(now)).next_update(moment(now + 86_400))
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment(now)).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer.private, hashes.SHA256()).public_bytes(Encoding.PEM)


async def certify(there: Installation, names: dict[str, str], signing_secret: bytes) -> None:
    for name in ("certificate", "idle_certificate"):
        names[name] = (await there.done("acm", "ImportCertificate", **UPLOAD))["CertificateArn"]
    options = {"ValidationMethod": "EMAIL", "KeyAlgorithm": "EC_prime256v1", "Options": {"Export": "ENABLED"}}
    for name in ("issued_certificate", "pending_certificate"):
        tags = [{"Key": "team", "Value": "edge"}]
        names[name] = (await there.done("acm", "RequestCertificate", DomainName="api.example", Tags=tags, **options))["CertificateArn"]
    authority = Authority.make("Longshore", there.clock.now())
    await Certificates(there.store, there.clock, lambda now: authority, signing_secret).reconcile(names["issued_certificate"])
    await there.done("acm", "ExportCertificate", CertificateArn=names["issued_certificate"], Passphrase=b"open sesame")
    for name in ("web", "idle"):
        await there.done("iam", "UploadServerCertificate", ServerCertificateName=name, **SERVER_UPLOAD)
    await there.done("iam", "TagServerCertificate", ServerCertificateName="web", Tags=[{"Key": "team", "Value": "edge"}])
    await _trust(there, names)
    made = await there.done(
        "elbv2",
        "CreateListener",
        LoadBalancerArn=names["load_balancer"],
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": names["certificate"]}],
        MutualAuthentication={"Mode": "verify", "TrustStoreArn": names["trust_store"]},
        DefaultActions=[{"Type": "forward", "TargetGroupArn": names["target_group"]}],
    )
    names["https_listener"] = made["Listeners"][0]["ListenerArn"]
    further = [{"CertificateArn": f"arn:aws:iam::{names['load_balancer'].split(':')[4]}:server-certificate/web"}]
    await there.done("elbv2", "AddListenerCertificates", ListenerArn=names["https_listener"], Certificates=further)


async def _trust(there: Installation, names: dict[str, str]) -> None:
    await there.done("elbv2", "LongshorePutTrustStoreFile", Bucket="trust", Key="clients.pem", Content=CLIENTS.pem.decode())
    content = revocations(CLIENTS, there.clock.now(), 7, 8).decode()
    await there.done("elbv2", "LongshorePutTrustStoreFile", Bucket="trust", Key="revoked.pem", Content=content)
    for name in ("trust_store", "idle_trust_store"):
        made = await there.done("elbv2", "CreateTrustStore", Name=name.replace("_", "-"), **BUNDLE)
        names[name] = made["TrustStores"][0]["TrustStoreArn"]
    await there.done("elbv2", "AddTrustStoreRevocations", TrustStoreArn=names["trust_store"], RevocationContents=[REVOKED])
