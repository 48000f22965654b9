"""Taking a role on: for whom its trust policy names, with no more rights than the role has, and fewer where a session policy says so."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.errors import AccessDenied, Validation
from longshore.aws.shapes import sts as shapes
from longshore.services.call import Call
from longshore.services.iam.model import ROLES, Role
from longshore.services.sts.api import api
from longshore.services.sts.devices import device_conditions, with_device
from longshore.services.sts.issuing import (
    HOUR_S,
    began_by,
    issued,
    new_claims,
    packed_percent,
    session_limits,
    session_tags,
)
from longshore.services.sts.sessions import Pairs, session_arn


def _role(call: Call, request: shapes.AssumeRoleRequest) -> Iterable[str]:
    return (request.role_arn,)


def _further(call: Call, request: shapes.AssumeRoleRequest) -> Iterable[tuple[str, str]]:
    """Tags and a source identity need leave of their own, those that are handed on from the caller's session as well."""
    if request.tags or _inherited(call):
        yield "sts:TagSession", request.role_arn
    if _source_identity(call, request):
        yield "sts:SetSourceIdentity", request.role_arn


def _conditions(call: Call, request: shapes.AssumeRoleRequest) -> dict[str, list[str]]:
    found = {f"aws:requesttag/{tag.key.lower()}": [tag.value] for tag in request.tags or ()}
    found["sts:rolesessionname"] = [request.role_session_name]
    if request.tags:
        found["aws:tagkeys"] = [tag.key for tag in request.tags]
    if request.transitive_tag_keys:
        found["sts:transitivetagkeys"] = list(request.transitive_tag_keys)
    if request.external_id:
        found["sts:externalid"] = [request.external_id]
    source_identity = _source_identity(call, request)
    if source_identity:
        found["sts:sourceidentity"] = [source_identity]
    return found | device_conditions(call)


@api.operation("AssumeRole", resource=_role, also=_further, conditions=_conditions, identify=with_device)
async def assume_role(call: Call, request: shapes.AssumeRoleRequest) -> shapes.AssumeRoleResponse:
    roles = call.store.list(ROLES, "arn", request.role_arn)
    if not roles:
        raise Validation(f"{request.role_arn} is invalid")
    if request.provided_contexts:
        raise Validation("ProvidedContexts are not supported by this installation.")
    role = roles[0]
    limits = session_limits(call.store, role.account_id, request.policy, request.policy_arns)
    tagged = session_tags(((tag.key, tag.value) for tag in request.tags or ()), request.transitive_tag_keys or (), _inherited(call))
    packed = packed_percent(limits, tagged.tags)
    claims = new_claims(
        call,
        lasting_s=_duration_s(call, role, request),
        account_id=role.account_id,
        role_arn=role.arn,
        role_id=role.role_id,
        session_name=request.role_session_name,
        policies=limits.documents,
        policy_arns=limits.arns,
        tags=tagged.tags,
        transitive=tagged.transitive,
        source_identity=_source_identity(call, request),
        began=began_by(call, call.principal),
        mfa_at=call.mfa_at,
    )
    given = issued(call, claims, request.minimum_session_token_size)
    return shapes.AssumeRoleResponse(
        credentials=given.credentials,
        session_token_size=given.token_size,
        session_token_utilization=given.token_percent,
        assumed_role_user=shapes.AssumedRoleUser(
            assumed_role_id=f"{role.role_id}:{claims.session_name}", arn=session_arn(role.account_id, role.name, claims.session_name)
        ),
        packed_policy_size=packed,
        source_identity=claims.source_identity or None,
    )


def _duration_s(call: Call, role: Role, request: shapes.AssumeRoleRequest) -> int:
    wanted = request.duration_seconds or HOUR_S
    if call.principal.role_arn and wanted > HOUR_S:
        raise Validation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
    if wanted > role.max_session_s:
        raise Validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return wanted


def _inherited(call: Call) -> Pairs:
    session = call.principal.session
    keys = {key.lower() for key in session.transitive} if session is not None else set()
    return tuple((key, value) for key, value in call.principal.tags if key.lower() in keys)


def _source_identity(call: Call, request: shapes.AssumeRoleRequest) -> str:
    """Once set it stays, however many roles are taken on after another. Raises AccessDenied."""
    session = call.principal.session
    kept = session.source_identity if session is not None else ""
    if kept and request.source_identity not in (None, kept):
        raise AccessDenied(f"The source identity of this session is {kept} already and cannot be changed.")
    return kept or request.source_identity or ""
