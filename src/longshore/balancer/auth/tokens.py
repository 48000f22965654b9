"""Tokens: what a provider's id token must say, and keys out of a key set."""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from longshore.balancer.auth.errors import NotLetIn
from longshore.balancer.snapshot import SigningKey

#: of a key set
MOST_KEYS = 10
_MOST_KEY_NAME = 256
_MODULUS_BITS = range(2048, 8193)
_PRINTABLE = re.compile(r"[\x20-\x7e]*")


class BadKeySet(Exception):
    """Says what is wrong with it."""


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
