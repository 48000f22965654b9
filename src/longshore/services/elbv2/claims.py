"""What targets are told of people who have logged in: claims, signed so that a target can tell ours from anybody's."""

from __future__ import annotations

import hashlib
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from longshore.kit.keyring import derive
from longshore.kit.sealing import Keys, newest, secrets_of

#: where the public key is to be had, by its name
KEYS_ROUTE = "/_longshore/elb-keys/"
_ORDER_OF_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def unpadded(content: bytes) -> str:
    """base64url, as tokens have it."""
    return urlsafe_b64encode(content).rstrip(b"=").decode()


class Signer:
    """Signs what targets are told of somebody: ES256, with a key that one secret of the installation gives, the same on every start."""

    def __init__(self, secret: bytes) -> None:
        number = int.from_bytes(derive(secret, "elb-claims") + derive(secret, "elb-claims-more")[:8], "big")
        self._key = ec.derive_private_key(number % (_ORDER_OF_P256 - 1) + 1, ec.SECP256R1())
        self.public_pem = self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        #: what targets ask for it by
        self.kid = str(uuid.UUID(bytes=hashlib.sha256(self.public_pem).digest()[:16], version=4))

    def signed(self, claims: Mapping[str, object], *, signer: str, issuer: str, client_id: str, expires_at: int) -> str:
        """The claims with their expiry and issuer. `signer` is the ARN of the load balancer."""
        about = {"iss": issuer, "exp": expires_at}
        header = {"typ": "JWT", "kid": self.kid, "alg": "ES256", "signer": signer, "client": client_id, **about}
        text = ".".join(unpadded(msgspec.json.encode(part)) for part in (header, {**claims, **about}))
        r, s = decode_dss_signature(self._key.sign(text.encode(), ec.ECDSA(SHA256())))
        return f"{text}.{unpadded(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Signers:
    """Those of the installation's secrets: the newest signs, and targets may ask for the key of each."""

    def __init__(self, secret: Keys) -> None:
        self._secret = secret

    @property
    def current(self) -> Signer:
        return _signer(newest(self._secret))

    def find(self, kid: str) -> Signer | None:
        return next((signer for signer in map(_signer, secrets_of(self._secret)) if signer.kid == kid), None)


@lru_cache(maxsize=8)
def _signer(secret: bytes) -> Signer:
    return Signer(secret)
