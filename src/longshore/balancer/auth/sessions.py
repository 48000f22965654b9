"""What a person who has logged in carries along: cookies that only we can have made, which HAProxy opens by itself.

NONCE.TAG.CONTENT in base64, AES-256-GCM with a key per load balancer; the content is
`1|REALM|END|DUE|IDENTITY|ACCESS TOKEN|DATA|REFRESH TOKEN` with times in seconds since the epoch. It must be read by
`balancer/render/auth.py`, whose rules take it apart. Spread over several cookies where one would be too long for browsers.
"""

from __future__ import annotations

import binascii
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import quote, unquote

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from longshore.balancer.render.auth import SHARDS
from longshore.kit.sealing import Keys, derived_keys

_NONCE_BYTES = 12
_TAG_BYTES = 16
#: with its name and attributes a cookie may have 4096 bytes
_SHARD_LENGTH = 3700
_VERSION = "1"


class TooLarge(Exception):
    """More than cookies can carry."""


class Session(msgspec.Struct, frozen=True):
    realm: str
    #: when it is over, whatever happens
    ends_at: int
    #: when its access token is to be renewed
    due_at: int
    identity: str
    access_token: str
    #: the claims, signed
    data: str
    refresh_token: str = ""


def session_key(secret: Keys, load_balancer_arn: str) -> bytes:
    """What seals now."""
    return session_keys(secret, load_balancer_arn)[0]


def session_keys(secret: Keys, load_balancer_arn: str) -> tuple[bytes, ...]:
    """The first seals; each opens what it has sealed."""
    return derived_keys(secret, f"elb-session:{load_balancer_arn}")


def sealed(session: Session, key: bytes) -> str:
    words = (session.identity, session.access_token, session.data, session.refresh_token)
    content = "|".join((_VERSION, session.realm, str(session.ends_at), str(session.due_at), *(quote(word, safe="") for word in words)))
    nonce = os.urandom(_NONCE_BYTES)
    encrypted = AESGCM(key).encrypt(nonce, content.encode(), None)
    return ".".join(b64encode(part).decode() for part in (nonce, encrypted[-_TAG_BYTES:], encrypted[:-_TAG_BYTES]))


def opened(text: str, key: bytes) -> Session | None:
    """None for what we have not made."""
    try:
        nonce, tag, encrypted = (b64decode(part, validate=True) for part in text.split("."))
        content = AESGCM(key).decrypt(nonce, encrypted + tag, None).decode()
        version, realm, ends_at, due_at, *words = content.split("|")
        if version != _VERSION or len(words) != 4:
            return None
        return Session(realm, int(ends_at), int(due_at), *map(unquote, words))
    except (ValueError, InvalidTag, binascii.Error):
        return None


def cookie_names(name: str) -> list[str]:
    return [f"{name}-{number}" for number in range(SHARDS)]


def joined(name: str, cookies: Mapping[str, str]) -> str:
    """The sealed session out of a request's cookies; empty when there is none."""
    return "".join(cookies.get(one, "") for one in cookie_names(name))


def set_cookies(name: str, text: str, ends_at: float, *, is_secure: bool) -> list[str]:
    """`Set-Cookie` headers, those among them that take away what an older, longer session has left. Raises TooLarge."""
    pieces = [text[start : start + _SHARD_LENGTH] for start in range(0, len(text), _SHARD_LENGTH)]
    if len(pieces) > SHARDS:
        raise TooLarge
    found = [cookie(one, piece, ends_at, is_secure=is_secure) for one, piece in zip(cookie_names(name), pieces, strict=False)]
    return found + [cookie(one, "", 0.0, is_secure=is_secure) for one in cookie_names(name)[len(pieces) :]]


def cookie(name: str, value: str, ends_at: float, *, is_secure: bool, same_site: str = "None") -> str:
    flags = f"; SameSite={same_site}; Secure" if is_secure else ""
    return f"{name}={value}; Expires={formatdate(ends_at, usegmt=True)}; Path=/; HttpOnly{flags}"
