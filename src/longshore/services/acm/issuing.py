"""A certificate made out by the installation's own authority: a new key each time, sealed before it goes anywhere."""

from __future__ import annotations

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from longshore.kit.certificates import Authority, IssuedKey, certificates
from longshore.kit.sealing import Keys, seal
from longshore.services.acm.details import CURVES
from longshore.services.acm.model import PURPOSE, Certificate

#: for how long what is issued is good, as ACM's are
DAYS = 198
#: ACM's names of the keys that certificates are made out for
KEY_ALGORITHMS = ("RSA_2048", "EC_prime256v1", "EC_secp384r1")


def issued(request: Certificate, authority: Authority, secret: Keys, now: float) -> Certificate:
    """`request` with a certificate, for the first time or once more. Raises CertificateProblem.

    RSA keys take a good part of a second: to be called in a thread of its own.
    """
    key = _new_key(request.key_algorithm)
    made = certificates(authority.issue(request.names, now, DAYS, key))[0]
    return msgspec.structs.replace(
        request,
        status="ISSUED",
        certificate=made.public_bytes(Encoding.PEM),
        chain=authority.root_pem,
        sealed_key=seal(secret, PURPOSE, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
        not_before=made.not_valid_before_utc.timestamp(),
        not_after=made.not_valid_after_utc.timestamp(),
        issued_at=request.issued_at or now,
        renewed_at=now if request.issued_at else 0.0,
        renewal_asked_at=0.0,
    )


def _new_key(algorithm: str) -> IssuedKey:
    if algorithm in CURVES:
        return ec.generate_private_key(CURVES[algorithm])
    return rsa.generate_private_key(public_exponent=65537, key_size=int(algorithm.removeprefix("RSA_")))
