"""Tokens: what a provider's id token must say, and keys out of a key set."""

from __future__ import annotations

from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from longshore.balancer.auth.errors import NotLetIn
from longshore.balancer.snapshot import SigningKey
from longshore.kit import jose

#: of a key set
MOST_KEYS = 10
BadKeySet = jose.BadKeySet


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(header, claims) of a token, its signature not looked at. Raises ValueError."""
    read = jose.read(token)
    return read.header, read.claims


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


def keys_in(content: bytes) -> tuple[SigningKey, ...]:
    """The keys of a JSON Web Key Set that can have signed tokens with RS256; others are passed over. Raises BadKeySet."""
    keys = [
        SigningKey(key.kid, key.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        for key in jose.keys_in(content, MOST_KEYS)
        if isinstance(key.public, rsa.RSAPublicKey) and key.algorithm in ("", "RS256")
    ]
    return tuple(dict.fromkeys(keys))
