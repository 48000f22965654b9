"""Taking a role on with the token of an identity provider: nobody signs, the token says who it is, the role's trust policy who may.

What can be asked for without credentials must tell nothing: whatever is wrong with the role, or with its trust policy, is refused in
the same words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from longshore.aws.errors import AccessDenied, Validation
from longshore.aws.shapes import sts as shapes
from longshore.kit.jose import BadToken, read
from longshore.services.call import Call, Principal
from longshore.services.iam.evaluator import resource_account
from longshore.services.iam.federation import OPEN_ID_PROVIDERS, OpenIdProvider, provider_arn
from longshore.services.iam.model import ROLES
from longshore.services.sts.api import api
from longshore.services.sts.errors import IDPCommunicationError, InvalidIdentityToken
from longshore.services.sts.issuing import (
    HOUR_S,
    issued,
    new_claims,
    packed_percent,
    session_limits,
    session_tags,
)
from longshore.services.sts.sessions import session_arn
from longshore.services.sts.web_identity.tokens import WebIdentity, checked

#: what is said of every role that is not to be had
REFUSAL = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
_LONGEST_ISSUER = 255


async def _identified(call: Call, request: shapes.AssumeRoleWithWebIdentityRequest) -> Call:
    """The call of whom the token speaks of. Raises InvalidIdentityToken, ExpiredTokenException, IDPRejectedClaim, IDPCommunicationError."""
    if request.provider_id is not None:
        raise Validation("ProviderId is for OAuth 2.0 access tokens, which this installation does not take: pass an OpenID Connect token.")
    try:
        token = read(request.web_identity_token)
    except BadToken:
        raise InvalidIdentityToken(
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
        ) from None
    provider = _provider(call, resource_account(request.role_arn), token.claims.get("iss"))
    if call.issuers is None:
        raise IDPCommunicationError
    known = checked(provider, token, await call.issuers.keys(provider, token), call.clock.now())
    # no account has the name of a root for it, however a provider is called
    arn = f"arn:aws:sts::{provider.account_id}:web-identity/{known.host_and_path}/"
    named = f"{known.provider_arn}:{known.audience}:{known.subject}"
    principal = Principal(provider.account_id, arn, named, "", provider_arn=known.provider_arn, subject=known.subject)
    return replace(call, principal=principal, account_id=provider.account_id, web_identity=known)


def _provider(call: Call, account_id: str, issuer: object) -> OpenIdProvider:
    """Of the role's account. Raises InvalidIdentityToken."""
    if not isinstance(issuer, str) or not issuer.isprintable() or not 0 < len(issuer) <= _LONGEST_ISSUER:
        raise InvalidIdentityToken("Missing a required claim: iss")
    found = call.store.get(OPEN_ID_PROVIDERS, provider_arn(account_id, issuer.partition("://")[2]))
    if found is None or found.url != issuer:
        raise InvalidIdentityToken(f"No OpenIDConnect provider found in your account for {issuer}")
    return found


def _identity(call: Call) -> WebIdentity:
    assert call.web_identity is not None  # `_identified` has seen to it
    return call.web_identity


def _role(call: Call, request: shapes.AssumeRoleWithWebIdentityRequest) -> Iterable[str]:
    return (request.role_arn,)


def _further(call: Call, request: shapes.AssumeRoleWithWebIdentityRequest) -> Iterable[tuple[str, str]]:
    identity = _identity(call)
    if identity.tags:
        yield "sts:TagSession", request.role_arn
    if identity.source_identity:
        yield "sts:SetSourceIdentity", request.role_arn


def _conditions(call: Call, request: shapes.AssumeRoleWithWebIdentityRequest) -> dict[str, list[str]]:
    identity = _identity(call)
    found = {**identity.conditions, "sts:rolesessionname": [request.role_session_name]}
    found |= {f"aws:requesttag/{key.lower()}": [value] for key, value in identity.tags}
    if identity.tags:
        found["aws:tagkeys"] = [key for key, _ in identity.tags]
    if identity.transitive:
        found["sts:transitivetagkeys"] = list(identity.transitive)
    if identity.source_identity:
        found["sts:sourceidentity"] = [identity.source_identity]
    return found


@api.operation("AssumeRoleWithWebIdentity", resource=_role, also=_further, conditions=_conditions, identify=_identified, unsigned=True)
async def assume_role_with_web_identity(
    call: Call, request: shapes.AssumeRoleWithWebIdentityRequest
) -> shapes.AssumeRoleWithWebIdentityResponse:
    identity = _identity(call)
    roles = call.store.list(ROLES, "arn", request.role_arn)
    if not roles:
        raise AccessDenied(REFUSAL)
    role = roles[0]
    lasting_s = request.duration_seconds or HOUR_S
    if lasting_s > role.max_session_s:
        raise Validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    limits = session_limits(call.store, role.account_id, request.policy, request.policy_arns)
    tagged = session_tags(identity.tags, identity.transitive)
    packed = packed_percent(limits, tagged.tags)
    claims = new_claims(
        call,
        lasting_s=lasting_s,
        account_id=role.account_id,
        role_arn=role.arn,
        role_id=role.role_id,
        session_name=request.role_session_name,
        policies=limits.documents,
        policy_arns=limits.arns,
        tags=tagged.tags,
        transitive=tagged.transitive,
        source_identity=identity.source_identity,
        provider_arn=identity.provider_arn,
        told=identity.told,
    )
    given = issued(call, claims, request.minimum_session_token_size)
    return shapes.AssumeRoleWithWebIdentityResponse(
        credentials=given.credentials,
        session_token_size=given.token_size,
        session_token_utilization=given.token_percent,
        subject_from_web_identity_token=identity.subject,
        assumed_role_user=shapes.AssumedRoleUser(
            assumed_role_id=f"{role.role_id}:{claims.session_name}", arn=session_arn(role.account_id, role.name, claims.session_name)
        ),
        packed_policy_size=packed,
        provider=identity.provider_arn,
        audience=identity.audience,
        source_identity=identity.source_identity or None,
    )
