"""What a certificate says, in ACM's words: keys, names, usages. PEM in, facts out.

Certificates come from everywhere, so every part may be missing, odd or unreadable; what cannot be read is left out, and
names that no client could ask for are no names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

from longshore.kit.certificates import certificates, is_name

E = TypeVar("E", bound=x509.ExtensionType)

#: ACM's name of a key algorithm -> its curve
CURVES: dict[str, ec.EllipticCurve] = {
    "EC_prime256v1": ec.SECP256R1(),
    "EC_secp384r1": ec.SECP384R1(),
    "EC_secp521r1": ec.SECP521R1(),
}
#: bits of RSA keys that ACM takes
RSA_BITS = (1024, 2048, 3072, 4096)

_SIGNATURES = {
    SignatureAlgorithmOID.RSA_WITH_SHA1: "SHA1WITHRSA",
    SignatureAlgorithmOID.RSA_WITH_SHA224: "SHA224WITHRSA",
    SignatureAlgorithmOID.RSA_WITH_SHA256: "SHA256WITHRSA",
    SignatureAlgorithmOID.RSA_WITH_SHA384: "SHA384WITHRSA",
    SignatureAlgorithmOID.RSA_WITH_SHA512: "SHA512WITHRSA",
    SignatureAlgorithmOID.ECDSA_WITH_SHA1: "SHA1WITHECDSA",
    SignatureAlgorithmOID.ECDSA_WITH_SHA224: "SHA224WITHECDSA",
    SignatureAlgorithmOID.ECDSA_WITH_SHA256: "SHA256WITHECDSA",
    SignatureAlgorithmOID.ECDSA_WITH_SHA384: "SHA384WITHECDSA",
    SignatureAlgorithmOID.ECDSA_WITH_SHA512: "SHA512WITHECDSA",
}
_KEY_USAGES = (
    ("digital_signature", "DIGITAL_SIGNATURE"),
    ("content_commitment", "NON_REPUDIATION"),
    ("key_encipherment", "KEY_ENCIPHERMENT"),
    ("data_encipherment", "DATA_ENCIPHERMENT"),
    ("key_agreement", "KEY_AGREEMENT"),
    ("key_cert_sign", "CERTIFICATE_SIGNING"),
    ("crl_sign", "CRL_SIGNING"),
)
_EXTENDED_USAGES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "TLS_WEB_SERVER_AUTHENTICATION",
    ExtendedKeyUsageOID.CLIENT_AUTH: "TLS_WEB_CLIENT_AUTHENTICATION",
    ExtendedKeyUsageOID.CODE_SIGNING: "CODE_SIGNING",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "EMAIL_PROTECTION",
    ExtendedKeyUsageOID.TIME_STAMPING: "TIME_STAMPING",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSP_SIGNING",
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "ANY",
}


@dataclass(frozen=True, slots=True)
class Details:
    #: as RFC 4514 writes it, the most special part first
    subject: str
    issuer: str
    common_name: str
    issuer_common_name: str
    #: lower-case pairs of hexadecimal digits with colons between them
    serial: str
    #: RSA_2048, EC_prime256v1, …; empty for a kind that ACM does not have
    key_algorithm: str
    signature_algorithm: str
    key_usages: tuple[str, ...]
    #: (name, object identifier)
    extended_key_usages: tuple[tuple[str, str], ...]
    #: host names that it is good for, its common name among them, each once
    names: tuple[str, ...]
    not_before: float
    not_after: float

    @property
    def domain_name(self) -> str:
        """What ACM calls it by."""
        return self.common_name or (self.names[0] if self.names else "")


def details_of(pem: bytes) -> Details:
    """Of the first certificate in a PEM text. Raises CertificateProblem."""
    return details(certificates(pem)[0])


def details(found: x509.Certificate) -> Details:
    common_name = _common_name(found.subject)
    alternatives = _extension(found, x509.SubjectAlternativeName)
    given = [name.value for name in alternatives or () if isinstance(name, x509.DNSName)]
    if common_name and common_name.lower() not in {name.lower() for name in given}:
        given.insert(0, common_name)
    return Details(
        subject=found.subject.rfc4514_string(),
        issuer=found.issuer.rfc4514_string(),
        common_name=common_name,
        issuer_common_name=_common_name(found.issuer),
        serial=_serial(found.serial_number),
        key_algorithm=key_algorithm(found),
        signature_algorithm=_SIGNATURES.get(found.signature_algorithm_oid, found.signature_algorithm_oid.dotted_string),
        key_usages=_key_usages(_extension(found, x509.KeyUsage)),
        extended_key_usages=tuple(
            (_EXTENDED_USAGES.get(oid, "CUSTOM"), oid.dotted_string) for oid in _extension(found, x509.ExtendedKeyUsage) or ()
        ),
        names=tuple(dict.fromkeys(name.lower() for name in given if is_host_name(name))),
        not_before=found.not_valid_before_utc.timestamp(),
        not_after=found.not_valid_after_utc.timestamp(),
    )


def key_algorithm(found: x509.Certificate) -> str:
    """In ACM's words; empty for what ACM does not take."""
    try:
        key = found.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return ""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA_{key.key_size}" if key.key_size in RSA_BITS else ""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return next((name for name, curve in CURVES.items() if curve.name == key.curve.name), "")
    return ""


def is_host_name(text: str) -> bool:
    """A host name, perhaps with `*.` in front; an address is none."""
    return is_name(text) and not text.rpartition(".")[2].isdigit() and ":" not in text


def _common_name(name: x509.Name) -> str:
    for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME):
        return attribute.value if isinstance(attribute.value, str) else attribute.value.decode(errors="replace")
    return ""


def _serial(number: int) -> str:
    number = abs(number)
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big").hex(":")


def _extension(found: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return found.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError, UnsupportedAlgorithm):
        return None


def _key_usages(usage: x509.KeyUsage | None) -> tuple[str, ...]:
    if usage is None:
        return ()
    found = [name for attribute, name in _KEY_USAGES if getattr(usage, attribute)]
    if usage.key_agreement:
        found += [name for bit, name in ((usage.encipher_only, "ENCIPHER_ONLY"), (usage.decipher_only, "DECIPHER_ONLY")) if bit]
    return tuple(found)
