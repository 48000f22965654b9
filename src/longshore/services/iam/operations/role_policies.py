"""What roles may do: policies written into them, and managed policies attached to them."""

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
from longshore.services.iam.lookup import checked_document, find_changeable_role, find_role, role_arn_for
from longshore.services.iam.views import encoded_document
from longshore.store.base import Reader, Tx

_Request = (
    shapes.PutRolePolicyRequest
    | shapes.GetRolePolicyRequest
    | shapes.DeleteRolePolicyRequest
    | shapes.ListRolePoliciesRequest
    | shapes.AttachRolePolicyRequest
    | shapes.DetachRolePolicyRequest
    | shapes.ListAttachedRolePoliciesRequest
)
_Attaching = shapes.AttachRolePolicyRequest | shapes.DetachRolePolicyRequest


def _named(call: Call, request: _Request) -> Iterable[str]:
    return (role_arn_for(call, request.role_name),)


def _attached_policy(call: Call, request: _Attaching) -> dict[str, list[str]]:
    return {"iam:PolicyARN": [request.policy_arn]}


def _role(reader: Reader, call: Call, request: _Request) -> Holder:
    return holder(find_role(reader, call.account_id, request.role_name))


def _changeable(reader: Reader, call: Call, request: _Request) -> Holder:
    """A role that a service made is the service's own."""
    return holder(find_changeable_role(reader, call.account_id, request.role_name))


# ── inline ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("PutRolePolicy", resource=_named)
async def put_role_policy(call: Call, request: shapes.PutRolePolicyRequest) -> None:
    document = checked_document(request.policy_document)

    def put(tx: Tx) -> None:
        put_inline(tx, _changeable(tx, call, request), request.policy_name, document)

    await call.store.transact(put)


@api.operation("GetRolePolicy", resource=_named)
async def get_role_policy(call: Call, request: shapes.GetRolePolicyRequest) -> shapes.GetRolePolicyResponse:
    owner = _role(call.store, call, request)
    policy = find_inline(call.store, owner, request.policy_name)
    document = encoded_document(policy.document)
    return shapes.GetRolePolicyResponse(role_name=owner.name, policy_name=policy.name, policy_document=document)


@api.operation("ListRolePolicies", resource=_named)
async def list_role_policies(call: Call, request: shapes.ListRolePoliciesRequest) -> shapes.ListRolePoliciesResponse:
    found = inline_names(call, "ListRolePolicies", _role(call.store, call, request), request.marker, request.max_items)
    names = tuple(policy.name for policy in found.items)
    return shapes.ListRolePoliciesResponse(policy_names=names, is_truncated=found.is_truncated, marker=found.marker)


@api.operation("DeleteRolePolicy", resource=_named)
async def delete_role_policy(call: Call, request: shapes.DeleteRolePolicyRequest) -> None:
    def delete(tx: Tx) -> None:
        delete_inline(tx, _changeable(tx, call, request), request.policy_name)

    await call.store.transact(delete)


# ── attached ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("AttachRolePolicy", resource=_named, conditions=_attached_policy)
async def attach_role_policy(call: Call, request: shapes.AttachRolePolicyRequest) -> None:
    def put(tx: Tx) -> None:
        attach(tx, call.account_id, _changeable(tx, call, request), request.policy_arn)

    await call.store.transact(put)


@api.operation("DetachRolePolicy", resource=_named, conditions=_attached_policy)
async def detach_role_policy(call: Call, request: shapes.DetachRolePolicyRequest) -> None:
    def take(tx: Tx) -> None:
        detach(tx, _changeable(tx, call, request), request.policy_arn)

    await call.store.transact(take)


@api.operation("ListAttachedRolePolicies", resource=_named)
async def list_attached_role_policies(
    call: Call, request: shapes.ListAttachedRolePoliciesRequest
) -> shapes.ListAttachedRolePoliciesResponse:
    owner = _role(call.store, call, request)
    found = attached_page(call, "ListAttachedRolePolicies", owner, request.path_prefix, request.marker, request.max_items)
    return shapes.ListAttachedRolePoliciesResponse(
        attached_policies=attached_shapes(found.items), is_truncated=found.is_truncated, marker=found.marker
    )
