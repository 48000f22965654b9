"""Certificates of all kinds, made on the spot. Times are seconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


class Made:
    """A certificate with its key, signed by `issuer` or by itself."""

    def __init__(
        self,
        name: str,
        now: float,
        *,
        names: tuple[str, ...] | None = None,
        issuer: Made | None = None,
        authority: bool = False,
        key: Key | None = None,
        days: float = 90,
        starts: float | None = None,
    ) -> None:
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.private = key or ec.generate_private_key(ec.SECP256R1())
        begins = moment(now - 3600.0 if starts is None else starts)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name if issuer else self.name)
            .public_key(self.private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            alternatives = [x509.DNSName(each) for each in ((name,) if names is None else names)]
            if alternatives:
                builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        signer = issuer.private if issuer else self.private
        self.certificate = builder.sign(signer, None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key(self) -> bytes:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def locked_key(self, passphrase: bytes) -> bytes:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
