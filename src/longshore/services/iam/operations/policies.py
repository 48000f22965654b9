"""Managed policies: documents by themselves, attached by ARN. AWS's own are found beside the account's."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam import aws_managed
from longshore.services.iam.api import api
from longshore.services.iam.errors import DeleteConflict, EntityAlreadyExists, LimitExceeded, NoSuchEntity
from longshore.services.iam.lookup import checked_document, checked_tags, find_own_policy, find_policy, new_id, size_of
from longshore.services.iam.model import (
    ATTACHMENTS,
    MANAGED_POLICIES,
    POLICY_VERSIONS,
    USERS,
    ManagedPolicy,
    PolicyVersion,
    User,
    policy_in_account,
    policy_name_key,
    policy_version_key,
)
from longshore.services.iam.paging import paged
from longshore.services.iam.views import policy_shape, version_shape
from longshore.store.base import Reader, Tx

#: characters without white space
_MOST_DOCUMENT = 6144
_MOST_POLICIES = 1500

_Request = (
    shapes.GetPolicyRequest
    | shapes.GetPolicyVersionRequest
    | shapes.ListPolicyVersionsRequest
    | shapes.DeletePolicyRequest
    | shapes.ListEntitiesForPolicyRequest
)


def _new_policy(call: Call, request: shapes.CreatePolicyRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:policy{request.path or '/'}{request.policy_name}",)


def _named_policy(call: Call, request: _Request) -> Iterable[str]:
    return (request.policy_arn,)


def _all_policies(call: Call, request: shapes.ListPoliciesRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:policy{request.path_prefix or '/'}",)


@api.operation("CreatePolicy", resource=_new_policy)
async def create_policy(call: Call, request: shapes.CreatePolicyRequest) -> shapes.CreatePolicyResponse:
    document, now = checked_document(request.policy_document), call.clock.now()
    if size_of(document) > _MOST_DOCUMENT:
        raise LimitExceeded(f"Cannot exceed quota for PolicySize: {_MOST_DOCUMENT}")
    policy = ManagedPolicy(
        account_id=call.account_id,
        name=request.policy_name,
        policy_id=new_id(call.ids, "ANPA", 21),
        created_at=now,
        updated_at=now,
        path=request.path or "/",
        description=request.description or "",
        tags=checked_tags((tag.key, tag.value) for tag in request.tags or ()),
    )

    def create(tx: Tx) -> shapes.Policy:
        if tx.list(MANAGED_POLICIES, "name", policy_name_key(call.account_id, policy.name)):
            raise EntityAlreadyExists(f"A policy called {policy.name} already exists. Duplicate names are not allowed.")
        if tx.count(MANAGED_POLICIES, "account", call.account_id) >= _MOST_POLICIES:
            raise LimitExceeded(f"Cannot exceed quota for PoliciesPerAccount: {_MOST_POLICIES}")
        tx.create(MANAGED_POLICIES, policy)
        tx.create(POLICY_VERSIONS, PolicyVersion(policy.arn, policy.default_version_id, document, now))
        return policy_shape(tx, policy, call.account_id)

    return shapes.CreatePolicyResponse(policy=await call.store.transact(create))


@api.operation("GetPolicy", resource=_named_policy)
async def get_policy(call: Call, request: shapes.GetPolicyRequest) -> shapes.GetPolicyResponse:
    policy = find_policy(call.store, call.account_id, request.policy_arn)
    return shapes.GetPolicyResponse(policy=policy_shape(call.store, policy, call.account_id))


@api.operation("ListPolicies", resource=_all_policies)
async def list_policies(call: Call, request: shapes.ListPoliciesRequest) -> shapes.ListPoliciesResponse:
    scope, prefix, attached = request.scope or "All", request.path_prefix or "/", bool(request.only_attached)

    def keep(policy: ManagedPolicy) -> bool:
        if not policy.path.startswith(prefix) or request.policy_usage_filter == "PermissionsBoundary":
            return False
        return not attached or call.store.count(ATTACHMENTS, "policy", policy_in_account(policy.arn, call.account_id)) > 0

    found = paged(
        call,
        ("ListPolicies", scope, prefix, attached, request.policy_usage_filter),
        request.marker,
        request.max_items,
        lambda after, limit: _policies_after(call.store, call.account_id, scope, after, limit),
        lambda policy: policy.arn,
        keep=keep,
    )
    policies = tuple(policy_shape(call.store, policy, call.account_id, whole=False) for policy in found.items)
    return shapes.ListPoliciesResponse(policies=policies, is_truncated=found.is_truncated, marker=found.marker)


def _policies_after(reader: Reader, account_id: str, scope: str, after: str | None, limit: int) -> list[ManagedPolicy]:
    """The account's and AWS's policies together in the order of their ARNs."""
    local = [] if scope == "AWS" else reader.list(MANAGED_POLICIES, "account", account_id, after=after, limit=limit)
    everybodys = [] if scope == "Local" else [policy for arn, policy in aws_managed.POLICIES.items() if after is None or arn > after]
    return sorted([*local, *everybodys], key=lambda policy: policy.arn)[:limit]


@api.operation("DeletePolicy", resource=_named_policy)
async def delete_policy(call: Call, request: shapes.DeletePolicyRequest) -> None:
    def delete(tx: Tx) -> None:
        policy = find_own_policy(tx, call.account_id, request.policy_arn)
        if tx.count(ATTACHMENTS, "policy", policy_in_account(policy.arn, call.account_id)):
            raise DeleteConflict("Cannot delete a policy attached to entities.")
        for version in tx.list(POLICY_VERSIONS, "policy", policy.arn):
            tx.delete(POLICY_VERSIONS, POLICY_VERSIONS.key(version))
        tx.delete(MANAGED_POLICIES, policy.arn)

    await call.store.transact(delete)


# ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _versions(reader: Reader, policy: ManagedPolicy, after: str | None, limit: int) -> list[PolicyVersion]:
    if policy.account_id != aws_managed.ACCOUNT:
        return reader.list(POLICY_VERSIONS, "policy", policy.arn, after=after, limit=limit)
    version = _aws_version(policy)
    return [version] if after is None else []


def _aws_version(policy: ManagedPolicy) -> PolicyVersion:
    return PolicyVersion(policy.arn, policy.default_version_id, aws_managed.DOCUMENTS[policy.arn], policy.created_at)


@api.operation("GetPolicyVersion", resource=_named_policy)
async def get_policy_version(call: Call, request: shapes.GetPolicyVersionRequest) -> shapes.GetPolicyVersionResponse:
    policy = find_policy(call.store, call.account_id, request.policy_arn)
    version = call.store.get(POLICY_VERSIONS, policy_version_key(policy.arn, request.version_id))
    if policy.account_id == aws_managed.ACCOUNT and request.version_id == policy.default_version_id:
        version = _aws_version(policy)
    if version is None:
        raise NoSuchEntity(f"Policy {policy.arn} version {request.version_id} does not exist or is not attachable.")
    return shapes.GetPolicyVersionResponse(policy_version=version_shape(version, policy.default_version_id, document=True))


@api.operation("ListPolicyVersions", resource=_named_policy)
async def list_policy_versions(call: Call, request: shapes.ListPolicyVersionsRequest) -> shapes.ListPolicyVersionsResponse:
    policy = find_policy(call.store, call.account_id, request.policy_arn)
    found = paged(
        call,
        ("ListPolicyVersions", policy.arn),
        request.marker,
        request.max_items,
        lambda after, limit: _versions(call.store, policy, after, limit),
        POLICY_VERSIONS.key,
    )
    versions = tuple(version_shape(version, policy.default_version_id) for version in found.items)
    return shapes.ListPolicyVersionsResponse(versions=versions, is_truncated=found.is_truncated, marker=found.marker)


# ── who holds a policy ───────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("ListEntitiesForPolicy", resource=_named_policy)
async def list_entities_for_policy(call: Call, request: shapes.ListEntitiesForPolicyRequest) -> shapes.ListEntitiesForPolicyResponse:
    """Users are all that policies can be attached to so far; groups and roles are empty lists."""
    policy = find_policy(call.store, call.account_id, request.policy_arn)
    prefix = request.path_prefix or "/"
    wanted = request.entity_filter in (None, "User") and request.policy_usage_filter != "PermissionsBoundary"
    holders = policy_in_account(policy.arn, call.account_id)

    def user_of(arn: str) -> User:
        return call.store.list(USERS, "arn", arn)[0]

    found = paged(
        call,
        ("ListEntitiesForPolicy", policy.arn, request.entity_filter, prefix, request.policy_usage_filter),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(ATTACHMENTS, "policy", holders, after=after, limit=limit) if wanted else [],
        lambda attachment: attachment.key,
        keep=lambda attachment: user_of(attachment.user_arn).path.startswith(prefix),
    )
    holding = [user_of(attachment.user_arn) for attachment in found.items]
    return shapes.ListEntitiesForPolicyResponse(
        policy_groups=(),
        policy_users=tuple(shapes.PolicyUser(user_name=user.name, user_id=user.user_id) for user in holding),
        policy_roles=(),
        is_truncated=found.is_truncated,
        marker=found.marker,
    )
