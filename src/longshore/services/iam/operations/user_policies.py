"""What users may do: policies written into them, and managed policies attached to them."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.errors import LimitExceeded, NoSuchEntity, no_such_policy
from longshore.services.iam.lookup import checked_document, find_policy, find_user, size_of, user_arn_for
from longshore.services.iam.model import (
    ATTACHMENTS,
    INLINE_POLICIES,
    Attachment,
    InlinePolicy,
    attachment_key,
    inline_policy_key,
)
from longshore.services.iam.paging import paged
from longshore.services.iam.views import encoded_document
from longshore.store.base import Reader, Tx

#: characters without white space, over all policies written into one user
_MOST_INLINE = 2048
_MOST_ATTACHED = 10

_Request = (
    shapes.PutUserPolicyRequest
    | shapes.GetUserPolicyRequest
    | shapes.DeleteUserPolicyRequest
    | shapes.ListUserPoliciesRequest
    | shapes.AttachUserPolicyRequest
    | shapes.DetachUserPolicyRequest
    | shapes.ListAttachedUserPoliciesRequest
)
_Attaching = shapes.AttachUserPolicyRequest | shapes.DetachUserPolicyRequest


def _user(call: Call, request: _Request) -> Iterable[str]:
    return (user_arn_for(call, request.user_name),)


def _attached_policy(call: Call, request: _Attaching) -> dict[str, list[str]]:
    return {"iam:PolicyARN": [request.policy_arn]}


# ── inline ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _find_inline(reader: Reader, user_arn: str, name: str) -> InlinePolicy:
    policy = reader.get(INLINE_POLICIES, inline_policy_key(user_arn, name))
    if policy is None:
        raise NoSuchEntity(f"The user policy with name {name} cannot be found.")
    return policy


@api.operation("PutUserPolicy", resource=_user)
async def put_user_policy(call: Call, request: shapes.PutUserPolicyRequest) -> None:
    document = checked_document(request.policy_document)

    def put(tx: Tx) -> None:
        user = find_user(tx, call.account_id, request.user_name)
        others = [policy for policy in tx.list(INLINE_POLICIES, "user", user.arn) if policy.name != request.policy_name]
        if size_of(document) + sum(size_of(policy.document) for policy in others) > _MOST_INLINE:
            raise LimitExceeded(f"Maximum policy size of {_MOST_INLINE} bytes exceeded for user {user.name}")
        tx.put(INLINE_POLICIES, InlinePolicy(user.arn, request.policy_name, document))

    await call.store.transact(put)


@api.operation("GetUserPolicy", resource=_user)
async def get_user_policy(call: Call, request: shapes.GetUserPolicyRequest) -> shapes.GetUserPolicyResponse:
    user = find_user(call.store, call.account_id, request.user_name)
    policy = _find_inline(call.store, user.arn, request.policy_name)
    return shapes.GetUserPolicyResponse(user_name=user.name, policy_name=policy.name, policy_document=encoded_document(policy.document))


@api.operation("ListUserPolicies", resource=_user)
async def list_user_policies(call: Call, request: shapes.ListUserPoliciesRequest) -> shapes.ListUserPoliciesResponse:
    user = find_user(call.store, call.account_id, request.user_name)
    found = paged(
        call,
        ("ListUserPolicies", user.arn),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(INLINE_POLICIES, "user", user.arn, after=after, limit=limit),
        INLINE_POLICIES.key,
    )
    names = tuple(policy.name for policy in found.items)
    return shapes.ListUserPoliciesResponse(policy_names=names, is_truncated=found.is_truncated, marker=found.marker)


@api.operation("DeleteUserPolicy", resource=_user)
async def delete_user_policy(call: Call, request: shapes.DeleteUserPolicyRequest) -> None:
    def delete(tx: Tx) -> None:
        user = find_user(tx, call.account_id, request.user_name)
        tx.delete(INLINE_POLICIES, INLINE_POLICIES.key(_find_inline(tx, user.arn, request.policy_name)))

    await call.store.transact(delete)


# ── attached ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("AttachUserPolicy", resource=_user, conditions=_attached_policy)
async def attach_user_policy(call: Call, request: shapes.AttachUserPolicyRequest) -> None:
    def attach(tx: Tx) -> None:
        user = find_user(tx, call.account_id, request.user_name)
        try:
            policy = find_policy(tx, call.account_id, request.policy_arn)
        except NoSuchEntity:
            raise no_such_policy(request.policy_arn) from None
        attachment = Attachment(policy.arn, user.arn, call.account_id)
        if tx.get(ATTACHMENTS, attachment.key) is not None:
            return
        if tx.count(ATTACHMENTS, "user", user.arn) >= _MOST_ATTACHED:
            raise LimitExceeded(f"Cannot exceed quota for PoliciesPerUser: {_MOST_ATTACHED}")
        tx.create(ATTACHMENTS, attachment)

    await call.store.transact(attach)


@api.operation("DetachUserPolicy", resource=_user, conditions=_attached_policy)
async def detach_user_policy(call: Call, request: shapes.DetachUserPolicyRequest) -> None:
    def detach(tx: Tx) -> None:
        user = find_user(tx, call.account_id, request.user_name)
        key = attachment_key(user.arn, request.policy_arn)
        if tx.get(ATTACHMENTS, key) is None:
            raise NoSuchEntity(f"Policy {request.policy_arn} was not found.")
        tx.delete(ATTACHMENTS, key)

    await call.store.transact(detach)


@api.operation("ListAttachedUserPolicies", resource=_user)
async def list_attached_user_policies(
    call: Call, request: shapes.ListAttachedUserPoliciesRequest
) -> shapes.ListAttachedUserPoliciesResponse:
    user = find_user(call.store, call.account_id, request.user_name)
    prefix = request.path_prefix or "/"
    found = paged(
        call,
        ("ListAttachedUserPolicies", user.arn, prefix),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(ATTACHMENTS, "user", user.arn, after=after, limit=limit),
        lambda attachment: attachment.key,
        keep=lambda attachment: find_policy(call.store, call.account_id, attachment.policy_arn).path.startswith(prefix),
    )
    policies = tuple(
        shapes.AttachedPolicy(policy_name=attachment.policy_arn.rpartition("/")[2], policy_arn=attachment.policy_arn)
        for attachment in found.items
    )
    return shapes.ListAttachedUserPoliciesResponse(attached_policies=policies, is_truncated=found.is_truncated, marker=found.marker)
