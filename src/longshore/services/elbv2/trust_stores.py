"""Trust stores: the authorities whose certificates clients may prove themselves with, and lists of what those have revoked.

AWS reads both out of S3. There is no S3 here, so they are put into the installation beforehand, under the bucket and the key
that the AWS operations are then given; no file of any machine is ever opened for it. What is taken over into a trust store
is a copy: changing or deleting the file afterwards changes nothing there.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from longshore.aws.errors import AwsError
from longshore.aws.pagination import seal, unseal
from longshore.kit.certificates import CertificateProblem, certificates
from longshore.kit.sealing import Keys
from longshore.services.elbv2.errors import InvalidCaCertificatesBundle, InvalidRevocationContent
from longshore.services.elbv2.model import TRUST_STORE_FILES, TrustStoreFile, trust_store_file_key
from longshore.store.base import Reader

TRUST_STORES_PER_REGION = 20
AUTHORITIES_PER_TRUST_STORE = 25
REVOCATION_FILES_PER_TRUST_STORE = 30
REVOKED_ENTRIES_PER_TRUST_STORE = 500_000
#: bytes of a file
MOST_FILE = 2 * 1024 * 1024
FILES_PER_REGION = 100
#: path below which the contents of trust stores can be fetched with a token
CONTENT_ROUTE = "/_longshore/trust-stores/"
#: for so long
CONTENT_S = 600.0

_QUESTION = ("trust-store-content",)
_CRL_BEGINS, _CRL_ENDS = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"


@dataclass(frozen=True, slots=True)
class Bundle:
    pem: bytes
    authorities: int


def file_at(reader: Reader, scope: str, bucket: str, name: str, version: str | None, missing: AwsError) -> TrustStoreFile:
    """Raises `missing`, also where a version is asked for: there is only ever the newest."""
    found = reader.get(TRUST_STORE_FILES, trust_store_file_key(scope, bucket, name))
    if found is None or version:
        raise missing
    return found


def checked_bundle(content: bytes) -> Bundle:
    """Raises InvalidCaCertificatesBundle."""
    try:
        found = certificates(content)
        for each in found:
            if not each.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
                raise InvalidCaCertificatesBundle(f"{each.subject.rfc4514_string()} in the bundle is not a certificate authority's")
            each.public_key()
    except x509.ExtensionNotFound:
        raise InvalidCaCertificatesBundle("A certificate in the bundle is not a certificate authority's") from None
    except (CertificateProblem, ValueError, TypeError, x509.DuplicateExtension, UnsupportedAlgorithm):
        raise InvalidCaCertificatesBundle("The bundle is not one of certificates in PEM form") from None
    if len(found) > AUTHORITIES_PER_TRUST_STORE:
        raise InvalidCaCertificatesBundle(f"The bundle has more than {AUTHORITIES_PER_TRUST_STORE} certificates")
    unique = dict.fromkeys(each.public_bytes(Encoding.PEM) for each in found)
    return Bundle(b"".join(unique), len(unique))


def checked_revocations(content: bytes, bundle: bytes) -> tuple[bytes, int]:
    """(PEM, entries) of revocation lists, each issued by an authority in `bundle`. Raises InvalidRevocationContent."""
    authorities = certificates(bundle)
    lists = _lists(content)
    for each in lists:
        if not any(_issued(each, authority) for authority in authorities):
            raise InvalidRevocationContent("A revocation list was not issued by any certificate authority of the trust store")
    return b"".join(each.public_bytes(Encoding.PEM) for each in lists), sum(len(each) for each in lists)


def _lists(content: bytes) -> list[x509.CertificateRevocationList]:
    parts = [_CRL_BEGINS + part.partition(_CRL_ENDS)[0] + _CRL_ENDS for part in content.split(_CRL_BEGINS)[1:]]
    try:
        found = [x509.load_pem_x509_crl(part) for part in parts]
    except (ValueError, UnsupportedAlgorithm):
        found = []
    if not found:
        raise InvalidRevocationContent("The file is not one of certificate revocation lists in PEM form")
    return found


def _issued(revoked: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return revoked.issuer == authority.subject and revoked.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def content_token(secret: Keys, trust_store_arn: str, revocation_id: int, now: float) -> str:
    """Opens one content for a while; revocation 0 is the bundle."""
    return seal(secret, _QUESTION, f"{now + CONTENT_S:.0f} {revocation_id} {trust_store_arn}")


def opened_by(secret: Keys, token: str, now: float, refusal: AwsError) -> tuple[str, int]:
    """(trust store's ARN, revocation id) that `token` opens. Raises `refusal`."""
    opened = unseal(secret, _QUESTION, token, refusal)
    if opened is None:
        raise refusal
    until, revocation_id, arn = opened.split(" ", 2)
    if float(until) < now:
        raise refusal
    return arn, int(revocation_id)
