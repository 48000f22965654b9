"""Certificates as listeners may have them: of the caller's own account (and region, for ACM's), issued, and such that TLS works.

A certificate that OpenSSL would not load must not get as far as the data plane, where it would take its neighbours along.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.hashes import MD5, SHA1
from msgspec.structs import replace

from longshore.kit.certificates import CertificateProblem, certificates
from longshore.services.acm.details import key_algorithm
from longshore.services.acm.material import find_certificate
from longshore.services.call import Call
from longshore.services.elb.model import CLASSIC_LOAD_BALANCERS
from longshore.services.elbv2.errors import (
    CertificateNotFound,
    OperationNotPermitted,
    TooManyCertificates,
    UnsupportedCertificate,
)
from longshore.services.elbv2.model import LISTENERS, Listener
from longshore.services.elbv2.quotas import CERTIFICATES_PER_LOAD_BALANCER
from longshore.store.base import Reader, Tx

#: bits that OpenSSL asks of keys at its usual level of security
_LEAST_RSA_BITS = 2048
_LEAST_CURVE_BITS = 224


def check_certificate(reader: Reader, account_id: str, region: str, arn: str) -> None:
    """Raises CertificateNotFound and UnsupportedCertificate."""
    found = find_certificate(reader, arn) if _is_own(account_id, region, arn) else None
    if found is None:
        raise CertificateNotFound(f"Certificate '{arn}' not found")
    if not found.certificate or getattr(found, "status", "ISSUED") != "ISSUED":
        raise _unsupported(arn)
    check_usable(arn, found.certificate, found.chain)


def check_usable(arn: str, certificate: bytes, chain: bytes) -> None:
    """Whether a load balancer can serve with it. Raises UnsupportedCertificate."""
    try:
        own, links = certificates(certificate)[0], certificates(chain) if chain.strip() else []
    except CertificateProblem:
        raise _unsupported(arn) from None
    if not key_algorithm(own) or not all(_is_strong(each) for each in (own, *links)):
        raise _unsupported(arn)


def _is_own(account_id: str, region: str, arn: str) -> bool:
    return arn.startswith((f"arn:aws:acm:{region}:{account_id}:certificate/", f"arn:aws:iam::{account_id}:server-certificate/"))


def _unsupported(arn: str) -> UnsupportedCertificate:
    return UnsupportedCertificate(
        f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a supported key size."
    )


def _is_strong(certificate: x509.Certificate) -> bool:
    try:
        key, digest = certificate.public_key(), certificate.signature_hash_algorithm
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        if key.key_size < (_LEAST_RSA_BITS if isinstance(key, rsa.RSAPublicKey) else _LEAST_CURVE_BITS):
            return False
    elif not isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        return False
    # Nobody looks at the signature under a root.
    return certificate.subject == certificate.issuer or not isinstance(digest, MD5 | SHA1)


def added(reader: Reader, call: Call, listener: Listener, arns: Iterable[str]) -> Listener:
    """`listener` with these in the list that names are looked up in. Raises CertificateNotFound, TooManyCertificates, …"""
    default, further = listener.certificates[:1], dict.fromkeys(listener.certificates[1:])
    for arn in arns:
        check_certificate(reader, call.account_id, call.region, arn)
        further[arn] = None
    changed = replace(listener, certificates=(*default, *further))
    others = {
        arn
        for other in reader.list(LISTENERS, "load_balancer", listener.load_balancer_arn)
        if other.arn != listener.arn
        for arn in other.certificates[1:]
    }
    if len(others | set(further)) > CERTIFICATES_PER_LOAD_BALANCER:
        raise TooManyCertificates
    return changed


def removed(listener: Listener, arns: Iterable[str]) -> Listener:
    """`listener` without these in its list; the default one is not in there for being the default."""
    gone = set(arns)
    default, further = listener.certificates[:1], listener.certificates[1:]
    if gone & set(default) and not gone & set(further):
        raise OperationNotPermitted("Default certificate cannot be removed")
    return replace(listener, certificates=(*default, *(arn for arn in further if arn not in gone)))


def take_along(tx: Tx, old: str, new: str) -> None:
    """A certificate's ARN has become another: the listeners that have it have it still, those of Classic load balancers as well."""
    for listener in tx.list(LISTENERS, "certificate", old):
        tx.put(LISTENERS, replace(listener, certificates=tuple(new if arn == old else arn for arn in listener.certificates)))
        classic = tx.get(CLASSIC_LOAD_BALANCERS, listener.load_balancer_arn)
        if classic is not None:
            listeners = tuple(replace(each, certificate=new) if each.certificate == old else each for each in classic.listeners)
            tx.put(CLASSIC_LOAD_BALANCERS, replace(classic, listeners=listeners))
