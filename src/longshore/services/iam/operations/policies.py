"""Managed policies: documents by themselves, attached by ARN. AWS's own are found beside the account's."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam import aws_managed
from longshore.services.iam.api import api
from longshore.services.iam.entities import asked_tags
from longshore.services.iam.errors import DeleteConflict, EntityAlreadyExists, LimitExceeded
from longshore.services.iam.lookup import MOST_DOCUMENT, checked_document, checked_tags, find_own_policy, find_policy, new_id, size_of
from longshore.services.iam.model import (
    ATTACHMENTS,
    GROUPS,
    MANAGED_POLICIES,
    POLICY_VERSIONS,
    ROLES,
    USERS,
    ManagedPolicy,
    PolicyVersion,
    policy_in_account,
    policy_name_key,
)
from longshore.services.iam.paging import paged
from longshore.services.iam.views import boundary_uses, policy_shape
from longshore.store.base import Reader, Tx

_MOST_POLICIES = 1500

_Request = shapes.GetPolicyRequest | shapes.DeletePolicyRequest | shapes.ListEntitiesForPolicyRequest


def _new_policy(call: Call, request: shapes.CreatePolicyRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:policy{request.path or '/'}{request.policy_name}",)


def _named_policy(call: Call, request: _Request) -> Iterable[str]:
    return (request.policy_arn,)


def _all_policies(call: Call, request: shapes.ListPoliciesRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:policy{request.path_prefix or '/'}",)


def _asked(call: Call, request: shapes.CreatePolicyRequest) -> dict[str, list[str]]:
    return asked_tags(request.tags)


@api.operation("CreatePolicy", resource=_new_policy, conditions=_asked)
async def create_policy(call: Call, request: shapes.CreatePolicyRequest) -> shapes.CreatePolicyResponse:
    document, now = checked_document(request.policy_document), call.clock.now()
    if size_of(document) > MOST_DOCUMENT:
        raise LimitExceeded(f"Cannot exceed quota for PolicySize: {MOST_DOCUMENT}")
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
    usage = request.policy_usage_filter

    def keep(policy: ManagedPolicy) -> bool:
        if not policy.path.startswith(prefix):
            return False
        if not attached and usage is None:
            return True
        # a usage that is asked for is one that there is
        return any(True for _ in _holders(call.store, policy.arn, call.account_id, usage))

    found = paged(
        call,
        ("ListPolicies", scope, prefix, attached, usage),
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
        if boundary_uses(tx, policy.arn, call.account_id):
            raise DeleteConflict("Cannot delete a policy that is used as a permissions boundary.")
        versions = tx.list(POLICY_VERSIONS, "policy", policy.arn)
        if len(versions) > 1:
            raise DeleteConflict(
                "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
                "The default version is deleted with the policy."
            )
        for version in versions:
            tx.delete(POLICY_VERSIONS, POLICY_VERSIONS.key(version))
        tx.delete(MANAGED_POLICIES, policy.arn)

    await call.store.transact(delete)


# ── who holds a policy ───────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("ListEntitiesForPolicy", resource=_named_policy)
async def list_entities_for_policy(call: Call, request: shapes.ListEntitiesForPolicyRequest) -> shapes.ListEntitiesForPolicyResponse:
    policy = find_policy(call.store, call.account_id, request.policy_arn)
    prefix, usage = request.path_prefix or "/", request.policy_usage_filter
    kind = {"User": "user", "Group": "group", "Role": "role"}.get(request.entity_filter or "", "")
    arns = sorted(set(_holders(call.store, policy.arn, call.account_id, usage))) if request.entity_filter in (None, *_ENTITIES) else []
    found = paged(
        call,
        ("ListEntitiesForPolicy", policy.arn, request.entity_filter, prefix, usage),
        request.marker,
        request.max_items,
        lambda after, limit: [arn for arn in arns if after is None or arn > after][:limit],
        lambda arn: arn,
        keep=lambda arn: _kind_and_path(arn)[1].startswith(prefix) and kind in ("", _kind_and_path(arn)[0]),
    )
    users = [user for arn in found.items for user in call.store.list(USERS, "arn", arn)]
    groups = [group for arn in found.items for group in call.store.list(GROUPS, "arn", arn)]
    roles = [role for arn in found.items for role in call.store.list(ROLES, "arn", arn)]
    return shapes.ListEntitiesForPolicyResponse(
        policy_groups=tuple(shapes.PolicyGroup(group_name=group.name, group_id=group.group_id) for group in groups),
        policy_users=tuple(shapes.PolicyUser(user_name=user.name, user_id=user.user_id) for user in users),
        policy_roles=tuple(shapes.PolicyRole(role_name=role.name, role_id=role.role_id) for role in roles),
        is_truncated=found.is_truncated,
        marker=found.marker,
    )


#: EntityFilter values that name holders of policies; the two kinds of policies match none
_ENTITIES = ("User", "Group", "Role")


def _holders(reader: Reader, policy_arn: str, account_id: str, usage: str | None) -> Iterable[str]:
    """ARNs of the account's users, groups and roles that hold the policy, or are bounded by it."""
    where = policy_in_account(policy_arn, account_id)
    if usage != "PermissionsBoundary":
        yield from (attachment.owner_arn for attachment in reader.list(ATTACHMENTS, "policy", where))
    if usage != "PermissionsPolicy":
        yield from (user.arn for user in reader.list(USERS, "boundary", where))
        yield from (role.arn for role in reader.list(ROLES, "boundary", where))


def _kind_and_path(arn: str) -> tuple[str, str]:
    """(user, /team/) of arn:aws:iam::ACCOUNT:user/team/ann."""
    kind, _, rest = arn.split(":", 5)[5].partition("/")
    return kind, f"/{rest[: rest.rfind('/') + 1]}"
