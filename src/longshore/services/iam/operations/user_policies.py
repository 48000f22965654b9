"""What users may do: policies written into them, and managed policies attached to them."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.holders import (
    Holder,
    attach,
    attached_page,
    attached_shapes,
    delete_inline,
    detach,
    find_inline,
    holder,
    inline_names,
    put_inline,
)
from longshore.services.iam.lookup import checked_document, find_user, user_arn_for
from longshore.services.iam.views import encoded_document
from longshore.store.base import Reader, Tx

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


def _named(call: Call, request: _Request) -> Iterable[str]:
    return (user_arn_for(call, request.user_name),)


def _attached_policy(call: Call, request: _Attaching) -> dict[str, list[str]]:
    return {"iam:PolicyARN": [request.policy_arn]}


def _user(reader: Reader, call: Call, request: _Request) -> Holder:
    return holder(find_user(reader, call.account_id, request.user_name))


# ── inline ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("PutUserPolicy", resource=_named)
async def put_user_policy(call: Call, request: shapes.PutUserPolicyRequest) -> None:
    document = checked_document(request.policy_document)

    def put(tx: Tx) -> None:
        put_inline(tx, _user(tx, call, request), request.policy_name, document)

    await call.store.transact(put)


@api.operation("GetUserPolicy", resource=_named)
async def get_user_policy(call: Call, request: shapes.GetUserPolicyRequest) -> shapes.GetUserPolicyResponse:
    owner = _user(call.store, call, request)
    policy = find_inline(call.store, owner, request.policy_name)
    document = encoded_document(policy.document)
    return shapes.GetUserPolicyResponse(user_name=owner.name, policy_name=policy.name, policy_document=document)


@api.operation("ListUserPolicies", resource=_named)
async def list_user_policies(call: Call, request: shapes.ListUserPoliciesRequest) -> shapes.ListUserPoliciesResponse:
    found = inline_names(call, "ListUserPolicies", _user(call.store, call, request), request.marker, request.max_items)
    names = tuple(policy.name for policy in found.items)
    return shapes.ListUserPoliciesResponse(policy_names=names, is_truncated=found.is_truncated, marker=found.marker)


@api.operation("DeleteUserPolicy", resource=_named)
async def delete_user_policy(call: Call, request: shapes.DeleteUserPolicyRequest) -> None:
    def delete(tx: Tx) -> None:
        delete_inline(tx, _user(tx, call, request), request.policy_name)

    await call.store.transact(delete)


# ── attached ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("AttachUserPolicy", resource=_named, conditions=_attached_policy)
async def attach_user_policy(call: Call, request: shapes.AttachUserPolicyRequest) -> None:
    def put(tx: Tx) -> None:
        attach(tx, call.account_id, _user(tx, call, request), request.policy_arn)

    await call.store.transact(put)


@api.operation("DetachUserPolicy", resource=_named, conditions=_attached_policy)
async def detach_user_policy(call: Call, request: shapes.DetachUserPolicyRequest) -> None:
    def take(tx: Tx) -> None:
        detach(tx, _user(tx, call, request), request.policy_arn)

    await call.store.transact(take)


@api.operation("ListAttachedUserPolicies", resource=_named)
async def list_attached_user_policies(
    call: Call, request: shapes.ListAttachedUserPoliciesRequest
) -> shapes.ListAttachedUserPoliciesResponse:
    owner = _user(call.store, call, request)
    found = attached_page(call, "ListAttachedUserPolicies", owner, request.path_prefix, request.marker, request.max_items)
    return shapes.ListAttachedUserPoliciesResponse(
        attached_policies=attached_shapes(found.items), is_truncated=found.is_truncated, marker=found.marker
    )
