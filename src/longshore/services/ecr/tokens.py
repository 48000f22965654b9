"""Authorization tokens: what GetAuthorizationToken gives out and the registry takes as a password.

A token carries who it was given to and until when it is good, sealed with the installation's secret. Nothing is kept for
it on the server: it works after a restart, and on every replica that has the secret. Whether its bearer still is somebody, and what they
may do, is asked anew with every request: a user, a key or a policy taken away is taken away at once.
"""

from __future__ import annotations

import hmac
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

import msgspec

from longshore.kit.sealing import Keys, newest, secrets_of
from longshore.services.call import Principal
from longshore.services.sts.model import Began

USER_NAME = "AWS"
GOOD_FOR_S = 12 * 3600.0
#: longer ones are not looked at; a session's token is in them
_LONGEST = 8192
_SEAL_BYTES = 32
_PURPOSE = b"ecr-authorization-token-1"


class TokenInvalid(Exception):
    """The password is none that was given out here."""


class Token(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a password says: who asked for it, signing with which key, and until when it is good (seconds since the epoch)."""

    account_id: str
    arn: str
    user_id: str
    access_key_id: str
    expires_at: float
    #: of the session that asked; empty where it was no session
    session_token: str = ""
    #: of the store when it was made
    revision: int = 0

    @property
    def made_with(self) -> tuple[Began, ...]:
        """The key that it was made with, and when; what was made in a session ends with that."""
        if self.session_token:
            return ()
        return (Began(self.account_id, self.user_id, self.access_key_id, self.expires_at - GOOD_FOR_S, self.revision),)

    @property
    def credential(self) -> str:
        """What tells whose the password is now."""
        return self.session_token or self.access_key_id


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Token).decode


def good_until(principal: Principal, now: float) -> float:
    """When a password made now ends: with the session that asks for it, if not before."""
    ends = now + GOOD_FOR_S
    return ends if principal.session is None else min(ends, principal.session.expires_at)


def password(secret: Keys, principal: Principal, expires_at: float, revision: int = 0) -> str:
    """A password for `principal`, good until `expires_at` (seconds since the epoch); URL-safe characters only."""
    token = principal.session.token if principal.session is not None else ""
    claims = _encode(Token(principal.account_id, principal.arn, principal.user_id, principal.access_key_id, expires_at, token, revision))
    return urlsafe_b64encode(_seal(newest(secret), claims) + claims).decode().rstrip("=")


def authorization_token(password: str) -> str:
    """As GetAuthorizationToken returns it: what follows `Basic ` in a header."""
    return b64encode(f"{USER_NAME}:{password}".encode()).decode()


def read_token(secret: Keys, password: str) -> Token:
    """What was sealed in the password, expired or not. Raises TokenInvalid."""
    if not password.isascii() or len(password) > _LONGEST:
        raise TokenInvalid
    try:
        raw = urlsafe_b64decode(password + "=" * (-len(password) % 4))
    except Base64Error:
        raise TokenInvalid from None
    seal, sealed = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
    if not any(hmac.compare_digest(seal, _seal(one, sealed)) for one in secrets_of(secret)):
        raise TokenInvalid
    try:
        return _decode(sealed)
    except msgspec.MsgspecError:  # sealed here, but in the way of another version
        raise TokenInvalid from None


def _seal(secret: bytes, claims: bytes) -> bytes:
    return hmac.digest(hmac.digest(secret, _PURPOSE, "sha256"), claims, "sha256")
