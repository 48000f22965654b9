"""Tokens: what a provider's id token must say, keys out of a key set, and the token that tells targets who somebody is."""

from __future__ import annotations

import binascii
import hashlib
import re
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from longshore.balancer.auth.errors import NotLetIn
from longshore.balancer.snapshot import SigningKey
from longshore.kit.sealing import derived_key

#: of a key set
MOST_KEYS = 10
_MOST_KEY_NAME = 256
_MODULUS_BITS = range(2048, 8193)
_ORDER_OF_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


class BadKeySet(Exception):
    """Says what is wrong with it."""


def unpadded(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    """Raises ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise ValueError("not base64")
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64") from error


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(header, claims) of a token, its signature not looked at. Raises ValueError."""
    pieces = token.split(".")
    if len(pieces) != 3:
        raise ValueError("not three parts")
    header, claims = (msgspec.json.decode(_bytes(piece)) for piece in pieces[:2])
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise ValueError("not objects")
    return header, claims


def check_id_token(token: str, *, issuer: str, client_id: str, nonce: str | None, now: float) -> dict[str, Any]:
    """Its claims. It comes from the token endpoint itself, over a connection that has proved whose it is, which OpenID Connect
    (Core, 3.1.3.7) takes in place of its signature. `nonce` is None where a refresh brought it. Raises NotLetIn.
    """
    try:
        header, claims = parts_of(token)
    except (ValueError, msgspec.DecodeError) as error:
        raise NotLetIn(401, "AuthInvalidIdToken", str(error)) from None
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    expires_at = claims.get("exp")
    problem = ""
    if not isinstance(header.get("alg"), str) or header["alg"].lower() == "none":
        problem = "it is not signed"
    elif claims.get("iss") != issuer:
        problem = "another issuer"
    elif client_id not in audiences:
        problem = "for another client"
    elif len(audiences) > 1 and claims.get("azp", client_id) != client_id:
        problem = "asked for by another client"
    elif not isinstance(expires_at, int | float) or isinstance(expires_at, bool) or expires_at <= now:
        problem = "it has expired"
    elif nonce is not None and claims.get("nonce") != nonce:
        problem = "for another login"
    elif not isinstance(claims.get("sub"), str) or not claims["sub"]:
        problem = "of nobody"
    if problem:
        raise NotLetIn(401, "AuthInvalidIdToken", problem)
    return claims


class _Key(msgspec.Struct, frozen=True):
    kty: str = ""
    kid: str = ""
    use: str = "sig"
    alg: str = "RS256"
    n: str = ""
    e: str = ""


class _KeySet(msgspec.Struct, frozen=True):
    keys: tuple[msgspec.Raw, ...]


def keys_in(content: bytes) -> tuple[SigningKey, ...]:
    """The keys of a JSON Web Key Set that can have signed tokens with RS256; others are passed over. Raises BadKeySet."""
    try:
        found = msgspec.json.decode(content, type=_KeySet).keys
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise BadKeySet(f"not a key set: {error}") from None
    if len(found) > MOST_KEYS:
        raise BadKeySet(f"it has more than {MOST_KEYS} keys")
    keys = [key for raw in found if (key := _usable(raw)) is not None]
    return tuple(dict.fromkeys(keys))


def _usable(raw: msgspec.Raw) -> SigningKey | None:
    try:
        key = msgspec.json.decode(raw, type=_Key)
        if key.kty != "RSA" or key.use != "sig" or key.alg != "RS256":
            return None
        modulus, exponent = (int.from_bytes(_bytes(part.rstrip("=")), "big") for part in (key.n, key.e))
        if modulus.bit_length() not in _MODULUS_BITS or len(key.kid) > _MOST_KEY_NAME or not _PRINTABLE.fullmatch(key.kid):
            return None
        public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, ValueError):
        return None
    return SigningKey(key.kid, public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


class Signer:
    """Signs what targets are told of somebody: ES256, with a key that the installation's secret gives, the same on every start."""

    def __init__(self, secret: bytes) -> None:
        number = int.from_bytes(derived_key(secret, "elb-claims") + derived_key(secret, "elb-claims-more")[:8], "big")
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
