"""What is brought along: a certificate, its key and the way to a root, checked before anything is kept of them.

The same for ACM's ImportCertificate and IAM's UploadServerCertificate; each says what is wrong in an error of its own. What
passes is written out anew, so that only what was understood goes on to whoever reads PEM after us.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from longshore.kit.certificates import CertificateProblem, certificates, private_key
from longshore.services.acm.details import Details, details

#: certificates in a chain
_MOST_LINKS = 20


class NotUsable(Exception):
    """Says what is wrong, and with which part: `certificate`, `chain`, `key` or `pair`."""

    def __init__(self, part: str, problem: str) -> None:
        super().__init__(problem)
        self.part = part


@dataclass(frozen=True, slots=True, repr=False)
class Upload:
    """PEM, the key in the clear: to be sealed at once."""

    certificate: bytes
    chain: bytes
    key: bytes
    details: Details


def checked(certificate: bytes, key: bytes, chain: bytes, now: float) -> Upload:
    """Raises NotUsable. Large keys take a good part of a second: to be called in a thread of its own."""
    own = _certificate(certificate)
    found = details(own)
    if not found.key_algorithm:
        raise NotUsable("certificate", "The certificate's key algorithm or key length is not supported.")
    if found.not_after <= now:
        raise NotUsable("certificate", "The certificate is expired.")
    if found.not_before > now:
        raise NotUsable("certificate", "The certificate is not valid yet.")
    links = _chain(own, chain)
    return Upload(
        certificate=own.public_bytes(Encoding.PEM),
        chain=b"".join(link.public_bytes(Encoding.PEM) for link in links),
        key=_key(own, key),
        details=found,
    )


def _certificate(text: bytes) -> x509.Certificate:
    try:
        found = certificates(text)
        if len(found) == 1:
            # names, dates and extensions are read when they are asked for: what cannot be read is refused here
            _readable(found[0])
    except (CertificateProblem, ValueError) as problem:
        raise NotUsable("certificate", "The certificate field contains an invalid PEM certificate.") from problem
    if len(found) > 1:
        raise NotUsable(
            "certificate", "The certificate field contains more than one certificate. You can specify only one certificate in this field."
        )
    return found[0]


def _readable(certificate: x509.Certificate) -> None:
    """Raises ValueError."""
    try:
        certificate.subject, certificate.issuer, certificate.not_valid_after_utc, certificate.not_valid_before_utc  # noqa: B018
        certificate.extensions  # noqa: B018
        certificate.public_key()
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, UnsupportedAlgorithm, TypeError) as problem:
        raise ValueError("not readable") from problem


def _chain(own: x509.Certificate, text: bytes) -> list[x509.Certificate]:
    """Each signed by the next one, the first link having signed `own`."""
    if not text.strip():
        return []
    try:
        links = certificates(text)
        for link in links[: _MOST_LINKS + 1]:
            _readable(link)
    except (CertificateProblem, ValueError) as problem:
        raise NotUsable("chain", "The certificate chain is not in a valid PEM format.") from problem
    if len(links) > _MOST_LINKS:
        raise NotUsable("chain", f"The certificate chain has more than {_MOST_LINKS} certificates.")
    below = own
    for link in links:
        try:
            below.verify_directly_issued_by(link)
        except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm) as problem:
            raise NotUsable("chain", "Could not validate the certificate with the certificate chain.") from problem
        below = link
    return links


def _key(own: x509.Certificate, text: bytes) -> bytes:
    try:
        key = private_key(text)
    except CertificateProblem as problem:
        if isinstance(problem.__cause__, TypeError):
            raise NotUsable("key", "The private key is encrypted. You must provide an unencrypted private key.") from problem
        raise NotUsable("key", "The private key is not supported or is not in a valid PEM format.") from problem
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*form) != own.public_key().public_bytes(*form):
        raise NotUsable("pair", "The private key does not match the certificate.")
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
