"""What groups may do: policies written into them, and managed policies attached to them."""

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
from longshore.services.iam.lookup import checked_document, find_group, group_arn_for
from longshore.services.iam.views import encoded_document
from longshore.store.base import Reader, Tx

_Request = (
    shapes.PutGroupPolicyRequest
    | shapes.GetGroupPolicyRequest
    | shapes.DeleteGroupPolicyRequest
    | shapes.ListGroupPoliciesRequest
    | shapes.AttachGroupPolicyRequest
    | shapes.DetachGroupPolicyRequest
    | shapes.ListAttachedGroupPoliciesRequest
)
_Attaching = shapes.AttachGroupPolicyRequest | shapes.DetachGroupPolicyRequest


def _named(call: Call, request: _Request) -> Iterable[str]:
    return (group_arn_for(call, request.group_name),)


def _attached_policy(call: Call, request: _Attaching) -> dict[str, list[str]]:
    return {"iam:PolicyARN": [request.policy_arn]}


def _group(reader: Reader, call: Call, request: _Request) -> Holder:
    return holder(find_group(reader, call.account_id, request.group_name))


# ── inline ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("PutGroupPolicy", resource=_named)
async def put_group_policy(call: Call, request: shapes.PutGroupPolicyRequest) -> None:
    document = checked_document(request.policy_document)

    def put(tx: Tx) -> None:
        put_inline(tx, _group(tx, call, request), request.policy_name, document)

    await call.store.transact(put)


@api.operation("GetGroupPolicy", resource=_named)
async def get_group_policy(call: Call, request: shapes.GetGroupPolicyRequest) -> shapes.GetGroupPolicyResponse:
    owner = _group(call.store, call, request)
    policy = find_inline(call.store, owner, request.policy_name)
    document = encoded_document(policy.document)
    return shapes.GetGroupPolicyResponse(group_name=owner.name, policy_name=policy.name, policy_document=document)


@api.operation("ListGroupPolicies", resource=_named)
async def list_group_policies(call: Call, request: shapes.ListGroupPoliciesRequest) -> shapes.ListGroupPoliciesResponse:
    found = inline_names(call, "ListGroupPolicies", _group(call.store, call, request), request.marker, request.max_items)
    names = tuple(policy.name for policy in found.items)
    return shapes.ListGroupPoliciesResponse(policy_names=names, is_truncated=found.is_truncated, marker=found.marker)


@api.operation("DeleteGroupPolicy", resource=_named)
async def delete_group_policy(call: Call, request: shapes.DeleteGroupPolicyRequest) -> None:
    def delete(tx: Tx) -> None:
        delete_inline(tx, _group(tx, call, request), request.policy_name)

    await call.store.transact(delete)


# ── attached ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("AttachGroupPolicy", resource=_named, conditions=_attached_policy)
async def attach_group_policy(call: Call, request: shapes.AttachGroupPolicyRequest) -> None:
    def put(tx: Tx) -> None:
        attach(tx, call.account_id, _group(tx, call, request), request.policy_arn)

    await call.store.transact(put)


@api.operation("DetachGroupPolicy", resource=_named, conditions=_attached_policy)
async def detach_group_policy(call: Call, request: shapes.DetachGroupPolicyRequest) -> None:
    def take(tx: Tx) -> None:
        detach(tx, _group(tx, call, request), request.policy_arn)

    await call.store.transact(take)


@api.operation("ListAttachedGroupPolicies", resource=_named)
async def list_attached_group_policies(
    call: Call, request: shapes.ListAttachedGroupPoliciesRequest
) -> shapes.ListAttachedGroupPoliciesResponse:
    owner = _group(call.store, call, request)
    found = attached_page(call, "ListAttachedGroupPolicies", owner, request.path_prefix, request.marker, request.max_items)
    return shapes.ListAttachedGroupPoliciesResponse(
        attached_policies=attached_shapes(found.items), is_truncated=found.is_truncated, marker=found.marker
    )
