"""Credentials that a user hands to somebody else, under a name of the user's choosing: what both the user and the policies passed allow."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.errors import AccessDenied
from longshore.aws.shapes import sts as shapes
from longshore.services.call import Call
from longshore.services.sts.api import api
from longshore.services.sts.issuing import (
    HOUR_S,
    began_by,
    issued,
    new_claims,
    packed_percent,
    session_limits,
    session_tags,
)
from longshore.services.sts.sessions import federated_arn

_DEFAULT_S = 12 * HOUR_S


def _user(call: Call, request: shapes.GetFederationTokenRequest) -> Iterable[str]:
    return (federated_arn(call.account_id, request.name),)


def _further(call: Call, request: shapes.GetFederationTokenRequest) -> Iterable[tuple[str, str]]:
    if request.tags:
        yield "sts:TagSession", federated_arn(call.account_id, request.name)


def _conditions(call: Call, request: shapes.GetFederationTokenRequest) -> dict[str, list[str]]:
    found = {f"aws:requesttag/{tag.key.lower()}": [tag.value] for tag in request.tags or ()}
    if request.tags:
        found["aws:tagkeys"] = [tag.key for tag in request.tags]
    return found


@api.operation("GetFederationToken", resource=_user, also=_further, conditions=_conditions)
async def get_federation_token(call: Call, request: shapes.GetFederationTokenRequest) -> shapes.GetFederationTokenResponse:
    principal = call.principal
    if principal.session is not None:
        raise AccessDenied("Cannot call GetFederationToken with session credentials")
    limits = session_limits(call.store, principal.account_id, request.policy, request.policy_arns)
    tagged = session_tags(((tag.key, tag.value) for tag in request.tags or ()), ())
    packed = packed_percent(limits, tagged.tags)
    lasting_s = request.duration_seconds or _DEFAULT_S
    claims = new_claims(
        call,
        lasting_s=min(lasting_s, HOUR_S) if principal.is_root else lasting_s,
        account_id=principal.account_id,
        begun_with=principal.access_key_id,
        user_id=principal.user_id,
        # whom nothing was passed for may do nothing but what resources' policies open to the name
        policies=limits.documents or (),
        policy_arns=limits.arns,
        tags=tagged.tags,
        began=began_by(call, principal),
        federated_name=request.name,
    )
    given = issued(call, claims, request.minimum_session_token_size)
    return shapes.GetFederationTokenResponse(
        credentials=given.credentials,
        session_token_size=given.token_size,
        session_token_utilization=given.token_percent,
        federated_user=shapes.FederatedUser(
            federated_user_id=f"{principal.account_id}:{request.name}", arn=federated_arn(principal.account_id, request.name)
        ),
        packed_policy_size=packed,
    )
