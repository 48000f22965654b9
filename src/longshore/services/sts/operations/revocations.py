"""Ending sessions: of a role, of a user, or of one access key, and with them what was begun in them.

The role, the user and their long-lived keys stay as they are: whoever may begin a session can begin another. A key of another account
cannot be reached: what is revoked holds for sessions of the account of who revokes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from longshore.aws.errors import Validation
from longshore.aws.operation import ANY_RESOURCE
from longshore.services.call import Call
from longshore.services.iam.lookup import find_role, find_user, role_arn_for, user_arn_for
from longshore.services.iam.model import ACCESS_KEYS
from longshore.services.sts import revocation_shapes as shapes
from longshore.services.sts.api import api
from longshore.services.sts.key_ids import account_in
from longshore.services.sts.model import REVOCATIONS, Revocation
from longshore.services.sts.revocations import ROLES_S, USERS_S, revoke
from longshore.store.base import Reader, Tx


class _Subject(NamedTuple):
    id: str
    name: str
    #: how long a session of it can last, and be renewed
    lasting_s: float


def _resource(call: Call, request: shapes.RevokeRequest) -> Iterable[str]:
    """Of one key: whose it is, where that is known, and everything otherwise."""
    if request.role_name is not None:
        return (role_arn_for(call, request.role_name),)
    if request.user_name is not None:
        return (user_arn_for(call, request.user_name),)
    key = call.store.get(ACCESS_KEYS, request.access_key_id or "")
    return (key.principal_arn,) if key is not None and key.account_id == call.account_id else ("*",)


@api.operation("LongshoreRevokeSessions", resource=_resource, shape=shapes.REVOKE)
async def revoke_sessions(call: Call, request: shapes.RevokeRequest) -> shapes.RevokeResponse:
    if sum(given is not None for given in (request.role_name, request.user_name, request.access_key_id)) != 1:
        raise Validation("Give one of RoleName, UserName and AccessKeyId.")
    now = call.clock.now()
    before = now if request.issued_before is None else float(request.issued_before)
    if not before <= now:
        raise Validation("IssuedBefore is in the future: sessions that have not begun cannot be ended.")

    def put(tx: Tx) -> Revocation:
        subject = _subject(tx, call, request)
        # what has begun by now has begun at a revision before the one that this makes
        revision = call.store.revision + 1 if request.issued_before is None else 0
        wanted = Revocation(call.account_id, subject.id, subject.name, before, now, call.principal.arn, now + subject.lasting_s, revision)
        return revoke(tx, wanted)

    return shapes.RevokeResponse(revocation=_shown(await call.store.transact(put)))


def _subject(reader: Reader, call: Call, request: shapes.RevokeRequest) -> _Subject:
    """Raises NoSuchEntity and Validation."""
    if request.role_name is not None:
        role = find_role(reader, call.account_id, request.role_name)
        return _Subject(role.role_id, role.arn, ROLES_S)
    if request.user_name is not None:
        user = find_user(reader, call.account_id, request.user_name)
        return _Subject(user.user_id, user.arn, USERS_S)
    asked = request.access_key_id or ""
    key = reader.get(ACCESS_KEYS, asked)
    account = key.account_id if key is not None else account_in(asked) if asked.startswith("ASIA") else call.account_id
    if account != call.account_id:
        raise Validation(f"The access key {asked} is none of this account's.")
    return _Subject(asked, asked, max(USERS_S, ROLES_S))


# The sessions of an account and the keys that they have are no resource: who may see them sees all.
@api.operation("LongshoreListRevocations", resource=ANY_RESOURCE, shape=shapes.LIST)
async def list_revocations(call: Call, request: shapes.ListRequest) -> shapes.ListResponse:
    now = call.clock.now()
    found = [each for each in call.store.list(REVOCATIONS, "account", call.account_id) if now < each.needed_until]
    return shapes.ListResponse(revocations=tuple(_shown(each) for each in sorted(found, key=lambda each: -each.made_at)))


def _shown(revocation: Revocation) -> shapes.Revocation:
    return shapes.Revocation(
        subject=revocation.name,
        issued_before=revocation.before,
        revoked_at=revocation.made_at,
        revoked_by=revocation.made_by,
        needed_until=revocation.needed_until,
    )
