"""JSON Web Tokens and the public keys that they are checked with (RFC 7515, 7517, 7518, 8037).

What a key may have signed with follows from the key: an RSA key opens RS… and PS…, a curve its own ES…, Ed25519 and Ed448 EdDSA. There
is no way to say `none`, nor to have a public key taken for the secret of an HMAC: neither is known here. Of a token's header the
algorithm and the key's name are read, and nothing that says where keys are to be had or brings one along.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

#: as many as AWS takes of each kind
MOST_KEYS = 200
MOST_KID = 256
#: keys that one token is checked with: the largest take two milliseconds each, which whoever brings a token need not pay for
MOST_TRIED = 8
_MODULUS_BITS = range(2048, 8193)
_LONGEST_EXPONENT = 8
_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_HASHES: dict[str, type[HashAlgorithm]] = {"256": SHA256, "384": SHA384, "512": SHA512}
#: algorithm -> (curve, as JWKs name it; bytes of each half of a signature)
_CURVES: dict[str, tuple[type[ec.EllipticCurve], str, int]] = {
    "ES256": (ec.SECP256R1, "P-256", 32),
    "ES384": (ec.SECP384R1, "P-384", 48),
    "ES512": (ec.SECP521R1, "P-521", 66),
}
_EDWARDS: dict[str, type[ed25519.Ed25519PublicKey] | type[ed448.Ed448PublicKey]] = {
    "Ed25519": ed25519.Ed25519PublicKey,
    "Ed448": ed448.Ed448PublicKey,
}

#: (signature, what was signed); raises what cryptography raises
_Check = Callable[[bytes, bytes], None]
_Public = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey


class BadToken(ValueError):
    """No token; says why."""


class BadKeySet(ValueError):
    """No key set, or one that cannot be used; says why."""


class Key(NamedTuple):
    #: as tokens name it; empty where it has no name
    kid: str
    #: what the set says it signs with; empty where it leaves that open
    algorithm: str
    public: _Public


class Token(NamedTuple):
    """Read, and not checked."""

    header: dict[str, Any]
    claims: dict[str, Any]
    signed: bytes
    signature: bytes

    @property
    def algorithm(self) -> str:
        found = self.header.get("alg")
        return found if isinstance(found, str) else ""

    @property
    def kid(self) -> str:
        found = self.header.get("kid")
        return found if isinstance(found, str) and len(found) <= MOST_KID else ""


def encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """Raises ValueError."""
    if not _ALPHABET.fullmatch(text):
        raise ValueError("not base64")
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64") from error


def read(token: str) -> Token:
    """Raises BadToken."""
    pieces = token.split(".", 3)
    if len(pieces) != 3:
        raise BadToken("not three parts")
    try:
        header, claims = (msgspec.json.decode(decoded(piece)) for piece in pieces[:2])
        signature = decoded(pieces[2])
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors, too
        raise BadToken(str(error)) from None
    if not isinstance(header, dict) or not isinstance(claims, dict):
        raise BadToken("not objects")
    return Token(header, claims, f"{pieces[0]}.{pieces[1]}".encode(), signature)


def is_signed_by(token: Token, keys: Iterable[Key]) -> bool:
    """Whether one of the keys, of its name where it gives one, has signed it. The first few that can have are looked at."""
    if "crit" in token.header or not _is_plain(token.header):
        return False  # it asks for something to be understood that is not
    named = "kid" in token.header
    meant = (check for key in keys if (not named or key.kid == token.kid) and (check := _check(token, key)) is not None)
    return any(_holds(check, token) for check in islice(meant, MOST_TRIED))


def _is_plain(header: dict[str, Any]) -> bool:
    return "kid" not in header or (isinstance(header["kid"], str) and len(header["kid"]) <= MOST_KID)


def _check(token: Token, key: Key) -> _Check | None:
    return None if key.algorithm and key.algorithm != token.algorithm else _check_for(token.algorithm, key.public)


def _holds(check: _Check, token: Token) -> bool:
    try:
        check(token.signature, token.signed)
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True


def _check_for(algorithm: str, public: _Public) -> _Check | None:
    """What checks a signature of that algorithm with that key; None where the two do not go together."""
    family, hashed = algorithm[:2], _HASHES.get(algorithm[2:])
    if isinstance(public, rsa.RSAPublicKey) and hashed is not None:
        if family == "RS":
            return lambda signature, signed: public.verify(signature, signed, padding.PKCS1v15(), hashed())
        if family == "PS":
            # the salt is as long as the hash, and no other
            salted = padding.PSS(padding.MGF1(hashed()), padding.PSS.DIGEST_LENGTH)
            return lambda signature, signed: public.verify(signature, signed, salted, hashed())
    elif isinstance(public, ec.EllipticCurvePublicKey) and hashed is not None and algorithm in _CURVES:
        curve, _, half = _CURVES[algorithm]
        if isinstance(public.curve, curve):
            return lambda signature, signed: public.verify(_der(signature, half), signed, ec.ECDSA(hashed()))
    elif isinstance(public, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey) and algorithm == "EdDSA":
        return public.verify
    return None


def _der(signature: bytes, half: int) -> bytes:
    if len(signature) != 2 * half:
        raise ValueError("a signature of another length")
    return encode_dss_signature(int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big"))


# ── key sets ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Written(msgspec.Struct, frozen=True):
    kty: str = ""
    kid: str = ""
    use: str = "sig"
    alg: str = ""
    key_ops: tuple[str, ...] = ("verify",)
    crv: str = ""
    n: str = ""
    e: str = ""
    x: str = ""
    y: str = ""


class _Set(msgspec.Struct, frozen=True):
    keys: tuple[msgspec.Raw, ...]


def keys_in(content: bytes, most: int = MOST_KEYS) -> tuple[Key, ...]:
    """The public keys of a JSON Web Key Set that can have signed a token; others are passed over. Raises BadKeySet."""
    try:
        found = msgspec.json.decode(content, type=_Set).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadKeySet(f"not a key set: {error}") from None
    if len(found) > most:
        raise BadKeySet(f"it has more than {most} keys")
    return tuple(key for raw in found if (key := _usable(raw)) is not None)


def _usable(raw: msgspec.Raw) -> Key | None:
    try:
        written = msgspec.json.decode(raw, type=_Written)
        if written.use != "sig" or "verify" not in written.key_ops:
            return None
        if len(written.kid) > MOST_KID or not _PRINTABLE.fullmatch(written.kid):
            return None
        public = _public(written)
    except (ValueError, UnsupportedAlgorithm, RecursionError):
        return None
    return Key(written.kid, written.alg, public) if public is not None else None


def _public(written: _Written) -> _Public | None:
    """Raises ValueError."""
    match written.kty:
        case "RSA":
            modulus, exponent = (_bytes(part) for part in (written.n, written.e))
            if len(exponent) > _LONGEST_EXPONENT or int.from_bytes(modulus, "big").bit_length() not in _MODULUS_BITS:
                return None
            return rsa.RSAPublicNumbers(int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big")).public_key()
        case "EC":
            curve = next((curve for curve, name, _ in _CURVES.values() if name == written.crv), None)
            if curve is None:
                return None
            x, y = (int.from_bytes(_bytes(part), "big") for part in (written.x, written.y))
            return ec.EllipticCurvePublicNumbers(x, y, curve()).public_key()
        case "OKP":
            edwards = _EDWARDS.get(written.crv)
            return edwards.from_public_bytes(_bytes(written.x)) if edwards is not None else None
    return None


def _bytes(text: str) -> bytes:
    return decoded(text.rstrip("="))
