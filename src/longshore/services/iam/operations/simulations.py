"""Asking what policies would allow: those of a user, group or role, or ones that stand nowhere yet."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from longshore.aws.errors import Validation
from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.pagination import seal, unseal
from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call, Principal
from longshore.services.iam import aws_managed
from longshore.services.iam.api import api
from longshore.services.iam.errors import InvalidInput, NoSuchEntity
from longshore.services.iam.identities import default_document, tag_pairs
from longshore.services.iam.model import ATTACHMENTS, GROUPS, INLINE_POLICIES, MEMBERSHIPS, ROLES, USERS, Group, Role, User
from longshore.services.iam.paging import DEFAULT_ITEMS
from longshore.services.iam.policy import MalformedPolicy
from longshore.services.iam.simulation import Matched, Question, Result, Source, context_keys, simulate
from longshore.store.base import Reader

#: characters of all policies of a request together: four of the longest there can be
MOST_CHARACTERS = 4 * 131_072
#: statements named in a page of results
_MOST_SAID = 10_000

_Request = shapes.SimulatePrincipalPolicyRequest | shapes.SimulateCustomPolicyRequest


def _source(call: Call, request: shapes.SimulatePrincipalPolicyRequest | shapes.GetContextKeysForPrincipalPolicyRequest) -> Iterable[str]:
    return (request.policy_source_arn,)


# ── whose policies ───────────────────────────────────────────────────────────────────────────────────────────────────


def _find(reader: Reader, account_id: str, arn: str) -> User | Group | Role:
    every: list[User | Group | Role] = [*reader.list(USERS, "arn", arn), *reader.list(GROUPS, "arn", arn), *reader.list(ROLES, "arn", arn)]
    for found in every:
        if found.account_id == account_id:
            return found
    raise NoSuchEntity(f"The entity {arn} cannot be found.")


def _held(reader: Reader, owner: User | Group | Role) -> Iterable[Source]:
    """What is written into a holder and attached to it, and to the groups of a user."""
    word = "user" if isinstance(owner, User) else "group" if isinstance(owner, Group) else "role"
    for inline in reader.list(INLINE_POLICIES, "owner", owner.arn):
        yield Source(inline.name, word, inline.document)
    for attachment in reader.list(ATTACHMENTS, "owner", owner.arn):
        yield from _managed(reader, attachment.policy_arn)
    if isinstance(owner, User):
        for membership in reader.list(MEMBERSHIPS, "user", owner.arn):
            for group in reader.list(GROUPS, "arn", membership.group_arn):
                yield from _held(reader, group)


def _managed(reader: Reader, policy_arn: str) -> Iterable[Source]:
    document = default_document(reader, policy_arn)
    if document is not None:
        kind = "aws-managed" if policy_arn in aws_managed.POLICIES else "user-managed"
        yield Source(policy_arn.rpartition("/")[2], kind, document)


def _given(name: str, documents: Sequence[str] | None) -> tuple[Source, ...]:
    return tuple(Source(f"{name}.{number}", "none", document) for number, document in enumerate(documents or (), start=1))


# ── the question ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _question(request: _Request, sources: Iterable[Source], boundary: tuple[Source, ...] | None, principal: Principal) -> Question:
    given = request.permissions_boundary_policy_input_list
    context = {
        entry.context_key_name.lower(): entry.context_key_values or () for entry in request.context_entries or () if entry.context_key_name
    }
    its = request.resource_policy
    return Question(
        (*sources, *_given("PolicyInputList", request.policy_input_list)),
        boundary if given is None else _given("PermissionsBoundaryPolicyInputList", given),
        None if its is None else Source("ResourcePolicy", "resource", its, resource_based=True),
        principal,
        _account_of(request.resource_owner) if request.resource_owner else principal.account_id,
        context,
    )


def _account_of(owner: str) -> str:
    """ResourceOwner is an account's id or its root's ARN."""
    return owner.split(":")[4] if owner.startswith("arn:") and owner.count(":") >= 5 else owner


def _caller(call: Call, caller_arn: str | None) -> Principal:
    """Raises InvalidInput for who cannot be in the role of a caller."""
    if caller_arn is None:
        return Principal(call.account_id, "", "", "")
    entity = _find(call.store, call.account_id, caller_arn)
    if not isinstance(entity, User):
        raise InvalidInput(f"Invalid Entity Arn: {caller_arn} does not clearly define entity type and name.")
    return Principal(call.account_id, entity.arn, entity.user_id, "", tags=tag_pairs(entity.tags))


class _Simulated(NamedTuple):
    results: list[Result]
    marker: str | None


async def _results(call: Call, operation: str, request: _Request, question: Question) -> _Simulated:
    """Actions times resources, in their order: a page of them, which ends early where very much is to be said. Others are answered
    meanwhile. Raises InvalidInput, and Validation for a foreign marker."""
    for action in request.action_names:
        if action.count(":") != 1 or "*" in action:
            raise InvalidInput(f"Invalid action name: {action}")
    pairs = [(action, resource) for action in request.action_names for resource in request.resource_arns or ("*",)]
    asked = ("iam", call.account_id, operation, *map(tuple, pairs))
    after = unseal(call.secret_for_signing, asked, request.marker, Validation("Invalid Marker."))
    start = int(after) + 1 if after is not None else 0
    question = question._replace(asked=await _asked_for(question.every))
    results: list[Result] = []
    said = 0
    for action, resource in pairs[start : start + (request.max_items or DEFAULT_ITEMS)]:
        results.append(simulate(question, action, resource))
        said += len(results[-1].matched)
        if said >= _MOST_SAID:
            break
        await asyncio.sleep(0)
    ends = start + len(results)
    return _Simulated(results, seal(call.secret_for_signing, asked, str(ends - 1)) if ends < len(pairs) else None)


async def _asked_for(sources: Sequence[Source]) -> tuple[str, ...]:
    """The condition keys that policies ask for, once all of them are known to be policies. Raises InvalidInput."""
    if sum(len(source.document) for source in sources) > MOST_CHARACTERS:
        raise InvalidInput(f"The policies have more than {MOST_CHARACTERS} characters together.")
    try:
        for source in sources:
            _ = source.policy
            await asyncio.sleep(0)
    except MalformedPolicy as error:
        raise InvalidInput(f"Invalid policy: {error}") from error
    return tuple(context_keys(source.document for source in sources))


def _response(found: _Simulated) -> shapes.SimulatePolicyResponse:
    return shapes.SimulatePolicyResponse(
        evaluation_results=tuple(_result_shape(result) for result in found.results),
        is_truncated=found.marker is not None,
        marker=found.marker,
    )


def _result_shape(result: Result) -> shapes.EvaluationResult:
    within = result.within_boundary
    return shapes.EvaluationResult(
        eval_action_name=result.action,
        eval_resource_name=result.resource,
        eval_decision=result.decision,
        matched_statements=tuple(map(_statement_shape, result.matched)),
        missing_context_values=result.missing,
        permissions_boundary_decision_detail=None
        if within is None
        else shapes.PermissionsBoundaryDecisionDetail(allowed_by_permissions_boundary=within),
    )


def _statement_shape(matched: Matched) -> shapes.Statement:
    source, place = matched
    return shapes.Statement(
        source_policy_id=source.id,
        source_policy_type=source.kind,
        start_position=None if place is None else shapes.Position(line=place.begin.line, column=place.begin.column),
        end_position=None if place is None else shapes.Position(line=place.end.line, column=place.end.column),
    )


# ── operations ───────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("SimulatePrincipalPolicy", resource=_source)
async def simulate_principal_policy(call: Call, request: shapes.SimulatePrincipalPolicyRequest) -> shapes.SimulatePolicyResponse:
    if request.policy_exclusion_list:
        raise Validation("PolicyExclusionList is not supported by this installation.")
    entity = _find(call.store, call.account_id, request.policy_source_arn)
    boundary_arn = "" if isinstance(entity, Group) else entity.boundary_arn
    boundary = tuple(_managed(call.store, boundary_arn)) if boundary_arn else None
    if isinstance(entity, User):
        principal = _caller(call, request.caller_arn or entity.arn)
    elif isinstance(entity, Role) and request.caller_arn is None:
        principal = Principal(call.account_id, entity.arn, entity.role_id, "", tags=tag_pairs(entity.tags))
    else:
        principal = _caller(call, request.caller_arn)
    question = _question(request, _held(call.store, entity), boundary, principal)
    return _response(await _results(call, "SimulatePrincipalPolicy", request, question))


@api.operation("SimulateCustomPolicy", resource=ANY_RESOURCE)
async def simulate_custom_policy(call: Call, request: shapes.SimulateCustomPolicyRequest) -> shapes.SimulatePolicyResponse:
    if request.ordered_organization_policy_input_list:
        raise Validation("There are no organizations: OrderedOrganizationPolicyInputList is not supported by this installation.")
    question = _question(request, (), None, _caller(call, request.caller_arn))
    return _response(await _results(call, "SimulateCustomPolicy", request, question))


@api.operation("GetContextKeysForCustomPolicy", resource=ANY_RESOURCE)
async def get_context_keys_for_custom_policy(
    call: Call, request: shapes.GetContextKeysForCustomPolicyRequest
) -> shapes.GetContextKeysForPolicyResponse:
    return await _keys(_given("PolicyInputList", request.policy_input_list))


@api.operation("GetContextKeysForPrincipalPolicy", resource=_source)
async def get_context_keys_for_principal_policy(
    call: Call, request: shapes.GetContextKeysForPrincipalPolicyRequest
) -> shapes.GetContextKeysForPolicyResponse:
    held = _held(call.store, _find(call.store, call.account_id, request.policy_source_arn))
    return await _keys((*held, *_given("PolicyInputList", request.policy_input_list)))


async def _keys(sources: Sequence[Source]) -> shapes.GetContextKeysForPolicyResponse:
    return shapes.GetContextKeysForPolicyResponse(context_key_names=await _asked_for(sources))
