"""X.509 for our own use: a certificate authority of the installation, what it issues, and a look at what others issued.

Bytes and values in, bytes and values out: files, sockets and the time of day are the caller's. Keys are on the curve P-256,
which every client of the last fifteen years takes. An authority is kept as one PEM text of key and certificate, and so is
what it issues, so that no crash leaves one without the other. The profile of certificates is RFC 5280's; that clients look
at the alternative names only is RFC 9525's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

#: an authority outlives every machine that trusts it; what it issues is renewed often
AUTHORITY_DAYS = 3650
ISSUED_DAYS = 90
#: clocks of clients may be behind by so much
_BACKDATED = timedelta(hours=1)
_HOST_NAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
#: what may stand as a common name
_LONGEST_COMMON_NAME = 64


#: keys that a server can prove itself with
ServerKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
#: those that certificates are made out for
IssuedKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class CertificateProblem(Exception):
    """Something that is no usable certificate, key or pair of them; says what."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a certificate says of itself. Times are seconds since the epoch."""

    subject: str
    #: host names and IP addresses it is good for, in its own order
    names: tuple[str, ...]
    not_before: float
    not_after: float
    #: SHA-256 of its DER form, as browsers and `openssl x509 -fingerprint` show it
    fingerprint: str
    #: whether it is its own issuer, so that trusting it means trusting nobody else
    self_signed: bool

    def covers(self, host: str) -> bool:
        """Whether a client that connects to `host` is content; a `*` stands for just one label."""
        host = host.lower()
        wild = f"*.{host.partition('.')[2]}"
        return any(name in (host, wild) for name in self.names)


@dataclass(frozen=True, slots=True, repr=False)
class Authority:
    """Issues certificates that everybody trusts who trusts `certificate`."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, name: str, now: float) -> Authority:
        """A new root that is called `name` by those who list what they trust."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Longshore")])
        builder = _builder(subject, subject, key.public_key(), now, AUTHORITY_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        return cls(key, builder.sign(key, hashes.SHA256()))

    @classmethod
    def of_pem(cls, text: bytes, password: bytes | None = None) -> Authority:
        """What `pem` gave, with its key encrypted or not. Raises CertificateProblem."""
        key = private_key(text, password)
        certificate = certificates(text)[0]
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CertificateProblem("the authority's key is of another kind than those made here")
        if _public_bytes(key.public_key()) != _public_bytes(certificate.public_key()):
            raise CertificateProblem("the authority's key does not belong to its certificate")
        return cls(key, certificate)

    def __repr__(self) -> str:
        return f"Authority({self.certificate.subject.rfc4514_string()})"

    @property
    def pem(self) -> bytes:
        """Key and certificate: for its owner only."""
        return _key_pem(self.key) + self.root_pem

    @property
    def root_pem(self) -> bytes:
        """The certificate, for everybody who is to trust it."""
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(self, names: Sequence[str], now: float, days: float = ISSUED_DAYS, key: IssuedKey | None = None) -> bytes:
        """PEM of a new key, a server's certificate for `names` (host names and IP addresses) and the root; never valid beyond it.

        A `key` that is given is used instead of a new one.

        Raises CertificateProblem for a name that is none, and when the authority itself has ended.
        """
        ends = self.certificate.not_valid_after_utc.timestamp()
        if ends <= now:
            raise CertificateProblem(f"the certificate authority ended on {_day(ends)}")
        key = ec.generate_private_key(ec.SECP256R1()) if key is None else key
        alternatives = [_general_name(name) for name in dict.fromkeys(names)]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:_LONGEST_COMMON_NAME])])
        builder = _builder(subject, self.certificate.subject, key.public_key(), now, min(days, (ends - now) / 86_400))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False, enciphers=isinstance(key, rsa.RSAPrivateKey)), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        issuer = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer), critical=False)
        issued = builder.sign(self.key, hashes.SHA256())
        return _key_pem(key) + issued.public_bytes(Encoding.PEM) + self.root_pem

    def issued(self, text: bytes) -> bool:
        """Whether the first certificate in `text` is this authority's own work."""
        try:
            certificates(text)[0].verify_directly_issued_by(self.certificate)
        except (CertificateProblem, InvalidSignature, ValueError, TypeError):
            return False
        return True


def certificates(text: bytes) -> list[x509.Certificate]:
    """Those in a PEM text, at least one. Raises CertificateProblem."""
    try:
        return x509.load_pem_x509_certificates(text)
    except ValueError as error:
        raise CertificateProblem("there is no certificate in PEM form (-----BEGIN CERTIFICATE-----) in it") from error


def private_key(text: bytes, password: bytes | None = None) -> ServerKey:
    """The key in a PEM text. Raises CertificateProblem."""
    try:
        key = load_pem_private_key(text, password)
    except TypeError as error:
        raise CertificateProblem("its private key has a passphrase, and nobody is here to give it when the server starts") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateProblem("there is no private key in PEM form (-----BEGIN PRIVATE KEY-----) in it") from error
    if not isinstance(key, ServerKey):
        raise CertificateProblem("its private key is of a kind that TLS servers do not use")
    return key


def facts(text: bytes) -> Facts:
    """Of the first certificate in a PEM text. Raises CertificateProblem."""
    found = certificates(text)[0]
    try:
        alternatives: Iterable[x509.GeneralName] = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        alternatives = ()
    except ValueError as error:
        raise CertificateProblem("the certificate's extensions cannot be read") from error
    return Facts(
        subject=found.subject.rfc4514_string(),
        names=tuple(str(name.value).lower() for name in alternatives if isinstance(name, x509.DNSName | x509.IPAddress)),
        not_before=found.not_valid_before_utc.timestamp(),
        not_after=found.not_valid_after_utc.timestamp(),
        fingerprint=found.fingerprint(hashes.SHA256()).hex(":").upper(),
        self_signed=found.subject == found.issuer,
    )


def check_pair(certificate: bytes, key: bytes, now: float, password: bytes | None = None) -> Facts:
    """Whether a server can serve with this certificate and this key. Raises CertificateProblem with what is wrong."""
    found = facts(certificate)
    if _public_bytes(private_key(key, password).public_key()) != _public_bytes(certificates(certificate)[0].public_key()):
        raise CertificateProblem(f"the private key does not belong to the certificate of {found.subject or 'the first in the file'}")
    if found.not_after <= now:
        raise CertificateProblem(f"the certificate ended on {_day(found.not_after)}")
    if found.not_before > now:
        raise CertificateProblem(f"the certificate is not valid before {_day(found.not_before)}")
    return found


def is_name(text: str) -> bool:
    """Whether a certificate can be made out to `text`: a host name, one with `*.` in front, or an IP address."""
    try:
        _general_name(text)
    except CertificateProblem:
        return False
    return True


def trusts_its_own(text: bytes) -> bool:
    """Whether a PEM text carries its own root: clients then need to trust that text, and no store knows it."""
    return any(found.subject == found.issuer for found in certificates(text))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey, now: float, days: float
) -> x509.CertificateBuilder:
    begins = datetime.fromtimestamp(now, UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - _BACKDATED)
        .not_valid_after(begins + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool, enciphers: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=enciphers,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    lower = name.lower()
    if len(lower) > 253 or not _HOST_NAME.fullmatch(lower) or lower.rpartition(".")[2].isdigit():
        raise CertificateProblem(f"{name!r} is neither a host name nor an IP address")
    return x509.DNSName(lower)


def _key_pem(key: IssuedKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _public_bytes(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
