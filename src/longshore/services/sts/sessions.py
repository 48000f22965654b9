"""Sessions: temporary credentials whose token says everything about them.

A token holds who it was given to, with which secret key requests are signed, until when it is good and what limits it, sealed with the
installation's secret: its bearer can neither read nor change it. Nothing is kept for it on the server, so it works after a restart and
on every replica that has the secret. Whether its bearer still is somebody is asked anew with every request: a session ends at
once with the role it is of (one made again under the same name is another), with the user whose it is, with the access key that it
was begun with, and with the task or the machine that it was given to. Sessions that are to end earlier are denied by their age
(aws:TokenIssueTime), as at AWS, or revoked (revocations.py) together with what was begun in them: a token names the links of the chain.
"""

from __future__ import annotations

import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import msgspec

from longshore.aws.sigv4 import Secret
from longshore.kit.sealing import Keys, SealBroken, era_of, seal, unseal
from longshore.services.call import Principal, Session
from longshore.services.iam.identities import Credentials, tag_pairs
from longshore.services.iam.model import ROLES
from longshore.services.sts.model import Began
from longshore.services.sts.revocations import has_ended
from longshore.store.base import Reader

#: how every token begins: no access key id does
TOKEN_PREFIX = "LSt1"
_PURPOSE = "sts-session-1"
#: characters; longer ones are not looked at, and none is made
LONGEST_TOKEN = 5120
_MOST_REMEMBERED = 4096

Pairs = tuple[tuple[str, str], ...]


class TokenInvalid(Exception):
    """No token that was given out here."""


class TokenTooLong(Exception):
    """Nobody would look at such a token."""


class Claims(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a token says."""

    account_id: str
    #: ASIA…
    access_key_id: str
    secret_access_key: str
    #: seconds since the epoch
    issued_at: float
    expires_at: float
    #: the role's, and its id; empty for a user's own session, or the root's
    role_arn: str = ""
    role_id: str = ""
    session_name: str = ""
    #: the long-lived key that a user's own session was begun with
    begun_with: str = ""
    #: whose session it is, where it is no role's
    user_id: str = ""
    #: documents, and ARNs of managed policies, that limit it; None where nothing does
    policies: tuple[str, ...] | None = None
    policy_arns: tuple[str, ...] = ()
    tags: Pairs = ()
    transitive: tuple[str, ...] = ()
    source_identity: str = ""
    #: what its bearer acts as and it ends with: the ARN of a task, or the id of a container instance's machine
    bound_to: str = ""
    #: who began it, from whoever had credentials of their own to whoever began this one
    began: tuple[Began, ...] = ()
    #: of the store when it was issued
    revision: int = 0
    #: when a device's code was given for it (seconds since the epoch); 0 where none was
    mfa_at: float = 0.0
    #: of a federated user (GetFederationToken)
    federated_name: str = ""
    #: of the identity provider whose token it was begun with: its ARN; and what that said of its bearer, as condition keys in lower case
    provider_arn: str = ""
    told: Pairs = ()
    #: what makes a token as long as was asked for
    padding: bytes = b""

    @property
    def links(self) -> tuple[Began, ...]:
        """All who have a part in it, itself last."""
        return (*self.began, Began(self.account_id, self.role_id or self.user_id, self.access_key_id, self.issued_at, self.revision))

    def __repr__(self) -> str:
        return f"Claims({self.access_key_id}, {self.role_arn or self.user_id}, {self.session_name})"


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Claims).decode


def write_token(secret: Keys, claims: Claims) -> str:
    """URL-safe characters only. Raises TokenTooLong."""
    token = TOKEN_PREFIX + urlsafe_b64encode(seal(secret, _PURPOSE, zlib.compress(_encode(claims), 9))).decode().rstrip("=")
    if len(token) > LONGEST_TOKEN:
        raise TokenTooLong
    return token


def read_token(secret: Keys, token: str) -> Claims:
    """What was sealed in the token, expired or not. Raises TokenInvalid."""
    if not token.startswith(TOKEN_PREFIX) or not token.isascii() or len(token) > LONGEST_TOKEN:
        raise TokenInvalid
    encoded = token[len(TOKEN_PREFIX) :]
    try:
        return _decode(zlib.decompress(unseal(secret, _PURPOSE, urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)), handed_out=True)))
    except (ValueError, SealBroken, zlib.error, msgspec.MsgspecError):
        # the last of them for what was sealed here in the way of another version
        raise TokenInvalid from None


def packed_size(policies: tuple[str, ...] | None, policy_arns: tuple[str, ...], tags: Pairs) -> int:
    """Bytes that policies and tags take in a token."""
    return len(zlib.compress(_encode((policies, policy_arns, tags)), 9)) if policies or policy_arns or tags else 0


class Sessions:
    """Whose tokens are, as things stand in `reader`; `keys` finds the owner of a long-lived key.

    `lives` says of what a session is bound to whether it still is there; without it no such session is good.
    """

    def __init__(
        self,
        reader: Reader,
        secret: Keys,
        keys: Callable[[str], Credentials | None],
        lives: Callable[[Reader, Claims], bool] = lambda reader, claims: False,
    ) -> None:
        self._reader = reader
        self._keys = keys
        self._lives = lives
        # Tokens of a secret that has been dropped are not remembered beyond it.
        remembered = lru_cache(maxsize=_MOST_REMEMBERED)(lambda token, era: read_token(secret, token))
        self._read: Callable[[str], Claims] = lambda token: remembered(token, era_of(secret))

    def claims(self, token: str) -> Claims | None:
        """What a token of ours says, whatever has become of its bearer."""
        try:
            return self._read(token)
        except TokenInvalid:
            return None

    def credentials(self, token: str) -> Credentials | None:
        """The secret key of a session and who its bearer is, expired or not; None when the token is none, or its bearer is gone."""
        try:
            claims = self._read(token)
        except TokenInvalid:
            return None
        if claims.bound_to and not self._lives(self._reader, claims):
            return None
        principal = self._of_role(claims, token) if claims.role_arn else self._of_user(claims, token)
        if principal is None:
            return None
        # What was revoked is over, as what has expired is: clients that see to new credentials then do so.
        expires_at = 0.0 if has_ended(self._reader, claims.links) else claims.expires_at
        return Credentials(Secret(claims.secret_access_key, token, expires_at), principal)

    def _of_role(self, claims: Claims, token: str) -> Principal | None:
        roles = self._reader.list(ROLES, "arn", claims.role_arn)
        if not roles or roles[0].role_id != claims.role_id:
            return None
        role = roles[0]
        return Principal(
            account_id=role.account_id,
            arn=session_arn(role.account_id, role.name, claims.session_name),
            user_id=f"{role.role_id}:{claims.session_name}",
            access_key_id=claims.access_key_id,
            tags=merged(tag_pairs(role.tags), claims.tags),
            session=_session(claims, token),
        )

    def _of_user(self, claims: Claims, token: str) -> Principal | None:
        found = self._keys(claims.begun_with)
        if found is None or (found.principal.account_id, found.principal.user_id) != (claims.account_id, claims.user_id):
            return None
        session = _session(claims, token, user_arn=found.principal.arn)
        if not claims.federated_name:
            return replace(found.principal, access_key_id=claims.access_key_id, session=session)
        return Principal(
            account_id=claims.account_id,
            arn=federated_arn(claims.account_id, claims.federated_name),
            user_id=f"{claims.account_id}:{claims.federated_name}",
            access_key_id=claims.access_key_id,
            tags=merged(found.principal.tags, claims.tags),
            session=session,
        )


def federated_arn(account_id: str, name: str) -> str:
    return f"arn:aws:sts::{account_id}:federated-user/{name}"


def session_arn(account_id: str, role_name: str, session_name: str) -> str:
    return f"arn:aws:sts::{account_id}:assumed-role/{role_name}/{session_name}"


def merged(below: Pairs, above: Pairs) -> Pairs:
    """Tags of a role under those of its session; keys are told apart without regard to case."""
    hidden = {key.lower() for key, _ in above}
    return (*((key, value) for key, value in below if key.lower() not in hidden), *above)


def _session(claims: Claims, token: str, *, user_arn: str = "") -> Session:
    return Session(
        role_arn=claims.role_arn,
        role_id=claims.role_id,
        issued_at=claims.issued_at,
        expires_at=claims.expires_at,
        token=token,
        begun_with=claims.begun_with,
        policies=claims.policies,
        policy_arns=claims.policy_arns,
        transitive=claims.transitive,
        source_identity=claims.source_identity,
        bound_to=claims.bound_to,
        links=claims.links,
        mfa_at=claims.mfa_at,
        federated_name=claims.federated_name,
        user_arn=user_arn,
        provider_arn=claims.provider_arn,
        told=claims.told,
    )
