"""An identity provider in memory: its keys, tokens of any kind, and a Fetcher that finds what it publishes."""

from __future__ import annotations

import asyncio
import hmac
import ssl
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from longshore.kit.fetching import Fetched, FetchFailed
from longshore.kit.jose import encoded

ISSUER = "https://idp.example.com/realm"
HOST = "idp.example.com/realm"
CLIENT = "sts.amazonaws.com"
HASHES = {"256": SHA256(), "384": SHA384(), "512": SHA512()}
CURVES: dict[str, tuple[ec.EllipticCurve, str, int]] = {
    "ES256": (ec.SECP256R1(), "P-256", 32),
    "ES384": (ec.SECP384R1(), "P-384", 48),
    "ES512": (ec.SECP521R1(), "P-521", 66),
}
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


@cache
def rsa_key(number: int, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Making one takes a while."""
    return rsa.generate_private_key(65537, bits)


class SigningKey:
    def __init__(self, kid: str = "one", algorithm: str = "RS256", number: int = 0, bits: int = 2048) -> None:
        self.kid, self.algorithm = kid, algorithm
        self.private: Any
        if algorithm[:2] in ("RS", "PS"):
            self.private = rsa_key(number, bits)
        elif algorithm == "EdDSA":
            self.private = ed25519.Ed25519PrivateKey.generate()
        else:
            self.private = ec.generate_private_key(CURVES[algorithm][0])

    def jwk(self, **more: Any) -> dict[str, Any]:
        public, about = self.private.public_key(), {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            about |= {"kty": "RSA", "n": encoded(numbers.n.to_bytes(public.key_size // 8, "big")), "e": encoded(b"\x01\x00\x01")}
        elif isinstance(public, ec.EllipticCurvePublicKey):
            _, name, size = CURVES[self.algorithm]
            point = public.public_numbers()
            about |= {"kty": "EC", "crv": name, "x": encoded(point.x.to_bytes(size, "big")), "y": encoded(point.y.to_bytes(size, "big"))}
        else:
            about |= {"kty": "OKP", "crv": "Ed25519", "x": encoded(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}
        return {name: value for name, value in {**about, **more}.items() if value is not None}

    def sign(self, signed: bytes, algorithm: str = "") -> bytes:
        algorithm = algorithm or self.algorithm
        if algorithm == "EdDSA":
            return bytes(self.private.sign(signed))
        hashed = HASHES[algorithm[2:]]
        if algorithm.startswith("RS"):
            return bytes(self.private.sign(signed, padding.PKCS1v15(), hashed))
        if algorithm.startswith("PS"):
            return bytes(self.private.sign(signed, padding.PSS(padding.MGF1(hashed), hashed.digest_size), hashed))
        r, s = decode_dss_signature(self.private.sign(signed, ec.ECDSA(hashed)))
        size = CURVES[algorithm][2]
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def token(self, claims: Mapping[str, Any], **header: Any) -> str:
        about = {"alg": self.algorithm, "kid": self.kid, "typ": "JWT", **header}
        about = {name: value for name, value in about.items() if value is not None}
        text = ".".join(encoded(msgspec.json.encode(part)) for part in (about, claims))
        return f"{text}.{encoded(self.sign(text.encode()))}"


def unsigned(claims: Mapping[str, Any], algorithm: str = "none") -> str:
    return ".".join([*(encoded(msgspec.json.encode(part)) for part in ({"alg": algorithm}, claims)), ""])


def with_public_key_as_secret(key: SigningKey, claims: Mapping[str, Any]) -> str:
    """What takes in whoever lets a token choose its algorithm: a MAC whose secret is the public key."""
    secret = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = ".".join(encoded(msgspec.json.encode(part)) for part in ({"alg": "HS256", "kid": key.kid}, claims))
    return f"{text}.{encoded(hmac.digest(secret, text.encode(), sha256))}"


class Provider:
    """Also the Fetcher that asks it."""

    def __init__(self, url: str = ISSUER, *keys: SigningKey) -> None:
        self.url = url
        self.keys = list(keys or (SigningKey(),))
        #: what to answer instead, by path
        self.instead: dict[str, Any] = {}
        self.document: dict[str, Any] = {"issuer": url, "jwks_uri": f"{url}/keys"}
        self.asked: list[str] = []
        self.contexts: list[ssl.SSLContext | None] = []
        self.patience = asyncio.Event()
        self.patience.set()

    async def close(self) -> None:
        return

    async def ask(
        self,
        method: str,
        url: str,
        *,
        most: int,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        context: ssl.SSLContext | None = None,
    ) -> Fetched:
        self.asked.append(url)
        self.contexts.append(context)
        await self.patience.wait()
        path = url.removeprefix(self.url)
        if path in self.instead:
            found = self.instead[path]
            if isinstance(found, FetchFailed):
                raise found
            if isinstance(found, int):
                return Fetched(found, b"")
            body = found if isinstance(found, bytes) else msgspec.json.encode(found)
            return Fetched(200, body[: most + 1])
        if path == "/.well-known/openid-configuration":
            return Fetched(200, msgspec.json.encode(self.document))
        if url == self.document["jwks_uri"]:
            return Fetched(200, msgspec.json.encode({"keys": [key.jwk() for key in self.keys]}))
        return Fetched(404, b"")

    def claims(self, now: float, **more: Any) -> dict[str, Any]:
        """None leaves one out."""
        said = {"iss": self.url, "aud": CLIENT, "sub": "alice@example.com", "iat": int(now), "exp": int(now) + 600, **more}
        return {name: value for name, value in said.items() if value is not None}

    def token(self, now: float, **more: Any) -> str:
        return self.keys[0].token(self.claims(now, **more))
