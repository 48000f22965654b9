"""Making the credentials of a session: its key pair, who has a part in it, what limits it, and how it looks in answers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from msgspec.structs import replace

from longshore.aws.errors import AccessDenied, Validation
from longshore.aws.shapes import sts as shapes
from longshore.services.call import Call, Principal
from longshore.services.iam.checks import check_session_policy
from longshore.services.iam.errors import MalformedPolicyDocument
from longshore.services.iam.lookup import checked_tags, find_policy, new_secret
from longshore.services.iam.policy import MalformedPolicy
from longshore.services.sts.errors import PackedPolicyTooLarge
from longshore.services.sts.key_ids import session_key_id
from longshore.services.sts.model import Began
from longshore.services.sts.revocations import links_of
from longshore.services.sts.sessions import LONGEST_TOKEN, Claims, Pairs, TokenTooLong, packed_size, write_token
from longshore.store.base import Reader

HOUR_S = 3600
#: characters of a session policy as sent
_MOST_POLICY = 2048
_MOST_POLICY_ARNS = 10
#: bytes that the policies and tags of a session may take once they are packed
_MOST_PACKED = 2048
#: sessions begun one in another: a token names them all
_MOST_LINKS = 16


def new_claims(call: Call, *, lasting_s: float, account_id: str, **more: Any) -> Claims:
    """Claims of a session that begins now, with keys of its own; `more` are further fields of Claims."""
    now = call.clock.now()
    key = session_key_id(call.ids, account_id)
    return Claims(account_id, key, new_secret(call.ids), now, now + lasting_s, revision=call.store.revision, **more)


def began_by(call: Call, principal: Principal) -> tuple[Began, ...]:
    """The links before a session that `principal` begins now. Raises AccessDenied where there are too many."""
    links = links_of(principal, call.clock.now(), call.store.revision)
    if len(links) >= _MOST_LINKS:
        raise AccessDenied(f"Sessions can be begun one in another {_MOST_LINKS} times at most: begin anew with credentials of your own.")
    return links


class Limits(NamedTuple):
    """None: nothing limits the session but whose it is."""

    documents: tuple[str, ...] | None
    arns: tuple[str, ...]


def session_limits(
    reader: Reader, account_id: str, policy: str | None, descriptors: Iterable[shapes.PolicyDescriptorType] | None
) -> Limits:
    """`account_id` is whose managed policies they may be, beside AWS's."""
    arns = tuple(descriptor.arn for descriptor in descriptors or () if descriptor.arn)
    if len(arns) > _MOST_POLICY_ARNS:
        raise Validation(f"The limit is {_MOST_POLICY_ARNS} for the number of managed session policies.")
    for policy_arn in arns:
        find_policy(reader, account_id, policy_arn)
    if policy is None:
        return Limits(() if arns else None, arns)
    if len(policy) > _MOST_POLICY:
        raise Validation(f"Member must have length less than or equal to {_MOST_POLICY}: policy")
    try:
        check_session_policy(policy)
    except MalformedPolicy as error:
        raise MalformedPolicyDocument(str(error)) from error
    return Limits((policy,), arns)


class Tags(NamedTuple):
    tags: Pairs
    #: keys of those that are handed on
    transitive: tuple[str, ...]


def session_tags(pairs: Iterable[tuple[str, str]], transitive: Iterable[str], inherited: Pairs = ()) -> Tags:
    """Those asked for, and those that the caller's session hands on, which cannot be changed."""
    transitive = tuple(transitive)
    asked = tuple((tag.key, tag.value) for tag in checked_tags(pairs))
    keys = {key.lower() for key, _ in asked}
    for key, _ in inherited:
        if key.lower() in keys:
            raise Validation(f"The tag {key} is transitive: it was handed on by the session that asks and cannot be set anew.")
    for key in transitive:
        if key.lower() not in keys:
            raise Validation(f"The transitive tag key {key} is not among the session tags that were passed.")
    return Tags((*asked, *inherited), (*transitive, *(key for key, _ in inherited)))


def packed_percent(limits: Limits, tags: Pairs) -> int | None:
    """How much of what there is for policies and tags they take; None where there are none. Raises PackedPolicyTooLarge."""
    packed = packed_size(limits.documents, limits.arns, tags)
    if packed > _MOST_PACKED:
        raise PackedPolicyTooLarge(
            f"Packed policy and tags consume {100 * packed // _MOST_PACKED}% of allotted space, please use smaller ones"
        )
    return -(-100 * packed // _MOST_PACKED) if packed else None


class Issued(NamedTuple):
    """A session as answers tell of it."""

    credentials: shapes.Credentials
    #: characters of the token, and how much of the longest one that is
    token_size: int
    token_percent: int


def issued(call: Call, claims: Claims, at_least: int | None) -> Issued:
    """`at_least` are characters that the token is to have. Raises PackedPolicyTooLarge."""
    try:
        token = write_token(call.secret_for_signing, claims)
        if at_least is not None and len(token) < at_least:
            # three bytes make four characters, and what is drawn cannot be compressed
            padding = bytes.fromhex(call.ids.hex(2 * -(-3 * (at_least - len(token)) // 4)))
            token = write_token(call.secret_for_signing, replace(claims, padding=padding))
    except TokenTooLong:
        raise PackedPolicyTooLarge("Policies, tags and what is told of the caller are too large together for a session token.") from None
    credentials = shapes.Credentials(
        access_key_id=claims.access_key_id,
        secret_access_key=claims.secret_access_key,
        session_token=token,
        expiration=claims.expires_at,
    )
    return Issued(credentials, len(token), -(-100 * len(token) // LONGEST_TOKEN))
