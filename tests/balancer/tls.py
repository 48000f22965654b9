"""Certificates for listeners of the laboratory, and clients that say what a handshake showed them."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from longshore.kit.certificates import Authority, facts
from longshore.kit.sealing import seal
from longshore.services.acm.model import CERTIFICATES, PURPOSE, Certificate
from longshore.services.elbv2.model import TRUST_STORE_REVOCATIONS, TRUST_STORES, TrustStore, TrustStoreRevocation
from tests.balancer.lab import Lab

SECRET = b"the installation's own secret"
_DAY_S = 86_400.0


@cache
def authority(name: str = "Test Root") -> Authority:
    return Authority.make(name, time.time() - 100 * _DAY_S)


def issued(*names: str, days: float = 30.0, age_days: float = 0.0) -> tuple[bytes, bytes]:
    """(certificate, key), PEM; of a key of its own each time."""
    text = authority().issue(names, time.time() - age_days * _DAY_S, days)
    blocks = [f"-----BEGIN{block}".encode() for block in text.decode().split("-----BEGIN")[1:]]
    key = next(block for block in blocks if b"PRIVATE KEY" in block)
    return next(block for block in blocks if b"CERTIFICATE" in block), key


async def put_certificate(lab: Lab, *names: str, label: str = "", pair: tuple[bytes, bytes] | None = None, secret: bytes = SECRET) -> str:
    """A certificate in the store, by ARN; the same `label` (its first name, unless given) stands for the same ARN."""
    certificate, key = pair or issued(*names)
    mark = hashlib.sha256((label or names[0]).encode()).hexdigest()
    arn = f"arn:aws:acm:us-east-1:000000000000:certificate/{mark[:8]}-{mark[8:12]}-{mark[12:16]}-{mark[16:20]}-{mark[20:32]}"
    known = facts(certificate)
    row = Certificate(
        arn=arn,
        type="IMPORTED",
        status="ISSUED",
        domain_name=names[0],
        created_at=time.time(),
        names=names,
        certificate=certificate,
        chain=authority().root_pem,
        sealed_key=seal(secret, PURPOSE, key),
        not_before=known.not_before,
        not_after=known.not_after,
    )
    await lab.store.transact(lambda tx: tx.put(CERTIFICATES, row))
    return arn


@dataclass(frozen=True)
class Shown:
    """What a handshake came to."""

    name: str
    serial: int
    version: str
    cipher: str
    protocol: str | None


def context(*protocols: str, verified: bool = False) -> ssl.SSLContext:
    made = ssl.create_default_context(cadata=authority().root_pem.decode())
    if not verified:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


async def shake(address: str, port: int, name: str | None = None, using: ssl.SSLContext | None = None) -> Shown:
    """Raises OSError (ssl.SSLError among them) when there is no agreement."""
    async with asyncio.timeout(10):
        _, writer = await asyncio.open_connection(address, port, ssl=using or context(), server_hostname=name or "")
    try:
        connection = writer.get_extra_info("ssl_object")
        certificate = x509.load_der_x509_certificate(connection.getpeercert(binary_form=True))
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        cipher, *_ = connection.cipher()
        return Shown(str(common), certificate.serial_number, connection.version(), cipher, connection.selected_alpn_protocol())
    finally:
        writer.transport.abort()


@dataclass(frozen=True)
class Person:
    """Somebody with a certificate, or an authority."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def context(self, directory: Path, *chain: Person) -> ssl.SSLContext:
        """Of a client that shows this certificate, and those of `chain` behind it."""
        path = directory / f"{self.certificate.serial_number}.pem"
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(b"".join([self.pem, *(one.pem for one in chain), key]))
        made = context()
        made.load_cert_chain(path)
        return made


def person(name: str, issuer: Person | None = None, *, serial: int = 0, is_authority: bool = False, days: float = 30.0) -> Person:
    """`days` from now until the end, which may be behind us."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Ä, Co"), x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(now - timedelta(days=100))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    return Person(builder.sign(issuer.key if issuer else key, SHA256()), key)


def revoked(issuer: Person, *people: Person) -> bytes:
    """The issuer's list of revoked certificates, PEM."""
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.certificate.subject)
    builder = builder.last_update(now - timedelta(days=1)).next_update(now + timedelta(days=30))
    for one in people:
        entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number).revocation_date(now - timedelta(days=1))
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, SHA256()).public_bytes(Encoding.PEM)


async def put_trust_store(lab: Lab, *authorities: Person, lists: tuple[bytes, ...] = ()) -> str:
    arn = "arn:aws:elasticloadbalancing:us-east-1:000000000000:truststore/clients/0123456789abcdef"
    row = TrustStore(arn, "clients", time.time(), b"".join(one.pem for one in authorities), len(authorities))
    await lab.store.transact(lambda tx: tx.put(TRUST_STORES, row))
    for number, content in enumerate(lists, 1):
        revocation = TrustStoreRevocation(arn, number, content, 1)
        await lab.store.transact(lambda tx, revocation=revocation: tx.put(TRUST_STORE_REVOCATIONS, revocation))
    return arn
