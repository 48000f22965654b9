"""Taking a role on: for whom its trust policy names, with no more rights than the role has, and fewer where a session policy says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from longshore.aws.errors import AccessDenied, Validation
from longshore.aws.shapes import sts as shapes
from longshore.services.call import Call
from longshore.services.iam.errors import MalformedPolicyDocument
from longshore.services.iam.lookup import checked_tags, find_policy
from longshore.services.iam.model import ROLES, Role
from longshore.services.iam.policy import MalformedPolicy, check_policy
from longshore.services.sts.api import api
from longshore.services.sts.errors import PackedPolicyTooLarge
from longshore.services.sts.issuing import NO_DEVICE, credentials_shape, new_claims
from longshore.services.sts.sessions import Pairs, packed_size, session_arn, write_token

_HOUR_S = 3600
#: characters of a session policy as sent
_MOST_POLICY = 2048
_MOST_POLICY_ARNS = 10
#: bytes that the policies and tags of a session may take once they are packed
_MOST_PACKED = 2048


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
    return found


@api.operation("AssumeRole", resource=_role, also=_further, conditions=_conditions)
async def assume_role(call: Call, request: shapes.AssumeRoleRequest) -> shapes.AssumeRoleResponse:
    roles = call.store.list(ROLES, "arn", request.role_arn)
    if not roles:
        raise Validation(f"{request.role_arn} is invalid")
    if request.serial_number is not None or request.token_code is not None:
        raise AccessDenied(NO_DEVICE)
    if request.provided_contexts:
        raise Validation("ProvidedContexts are not supported by this installation.")
    role, limited, tagged = roles[0], _limits(call, roles[0], request), _tags(call, request)
    packed = packed_size(limited.documents, limited.arns, tagged.tags)
    if packed > _MOST_PACKED:
        raise PackedPolicyTooLarge(
            f"Packed policy and tags consume {100 * packed // _MOST_PACKED}% of allotted space, please use smaller ones"
        )
    claims = new_claims(
        call,
        lasting_s=_duration_s(call, role, request),
        account_id=role.account_id,
        role_arn=role.arn,
        role_id=role.role_id,
        session_name=request.role_session_name,
        policies=limited.documents,
        policy_arns=limited.arns,
        tags=tagged.tags,
        transitive=tagged.transitive,
        source_identity=_source_identity(call, request),
    )
    return shapes.AssumeRoleResponse(
        credentials=credentials_shape(claims, write_token(call.secret_for_signing, claims)),
        assumed_role_user=shapes.AssumedRoleUser(
            assumed_role_id=f"{role.role_id}:{claims.session_name}", arn=session_arn(role.account_id, role.name, claims.session_name)
        ),
        packed_policy_size=-(-100 * packed // _MOST_PACKED) if packed else None,
        source_identity=claims.source_identity or None,
    )


def _duration_s(call: Call, role: Role, request: shapes.AssumeRoleRequest) -> int:
    wanted = request.duration_seconds or _HOUR_S
    if call.principal.role_arn and wanted > _HOUR_S:
        raise Validation("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining")
    if wanted > role.max_session_s:
        raise Validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return wanted


class _Limits(NamedTuple):
    """None: nothing limits the session but the role itself."""

    documents: tuple[str, ...] | None
    arns: tuple[str, ...]


def _limits(call: Call, role: Role, request: shapes.AssumeRoleRequest) -> _Limits:
    arns = tuple(descriptor.arn for descriptor in request.policy_arns or () if descriptor.arn)
    if len(arns) > _MOST_POLICY_ARNS:
        raise Validation(f"The limit is {_MOST_POLICY_ARNS} for the number of managed session policies.")
    for policy_arn in arns:
        find_policy(call.store, role.account_id, policy_arn)
    if request.policy is None:
        return _Limits(() if arns else None, arns)
    if len(request.policy) > _MOST_POLICY:
        raise Validation(f"Member must have length less than or equal to {_MOST_POLICY}: policy")
    try:
        check_policy(request.policy)
    except MalformedPolicy as error:
        raise MalformedPolicyDocument(str(error)) from error
    return _Limits((request.policy,), arns)


class _Tags(NamedTuple):
    tags: Pairs
    transitive: tuple[str, ...]


def _tags(call: Call, request: shapes.AssumeRoleRequest) -> _Tags:
    """Those asked for, and those that the caller's session hands on, which cannot be changed."""
    asked = tuple((tag.key, tag.value) for tag in checked_tags((tag.key, tag.value) for tag in request.tags or ()))
    inherited, keys = _inherited(call), {key.lower() for key, _ in asked}
    for key, _ in inherited:
        if key.lower() in keys:
            raise Validation(f"The tag {key} is transitive: it was handed on by the session that asks and cannot be set anew.")
    for key in request.transitive_tag_keys or ():
        if key.lower() not in keys:
            raise Validation(f"The transitive tag key {key} is not among the session tags that were passed.")
    return _Tags((*asked, *inherited), (*(request.transitive_tag_keys or ()), *(key for key, _ in inherited)))


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
