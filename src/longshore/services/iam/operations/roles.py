"""Roles: rights that nobody owns, taken on for a while by whom the trust policy names."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.entities import asked_boundary, asked_tags
from longshore.services.iam.errors import DeleteConflict, EntityAlreadyExists, InvalidInput, LimitExceeded
from longshore.services.iam.holders import check_holds_nothing
from longshore.services.iam.lookup import (
    checked_tags,
    checked_trust,
    find_boundary,
    find_changeable_role,
    find_role,
    meant_trust,
    new_id,
    role_arn_for,
)
from longshore.services.iam.model import ACCESS_KEY_USES, INSTANCE_PROFILES, ROLES, Role
from longshore.services.iam.paging import paged
from longshore.services.iam.service_uses import forget_uses
from longshore.services.iam.views import role_shape
from longshore.store.base import Tx

_MOST_ROLES = 1000
_SESSION_S = 3600
#: path of roles that services make for themselves
SERVICE_PATH = "/aws-service-role/"

_Request = (
    shapes.GetRoleRequest
    | shapes.UpdateRoleRequest
    | shapes.UpdateRoleDescriptionRequest
    | shapes.DeleteRoleRequest
    | shapes.UpdateAssumeRolePolicyRequest
)


def _new_role(call: Call, request: shapes.CreateRoleRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:role{request.path or '/'}{request.role_name}",)


def _named(call: Call, request: _Request) -> Iterable[str]:
    return (role_arn_for(call, request.role_name),)


def _all_roles(call: Call, request: shapes.ListRolesRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:role{request.path_prefix or '/'}",)


def _asked(call: Call, request: shapes.CreateRoleRequest) -> dict[str, list[str]]:
    return asked_tags(request.tags) | asked_boundary(request.permissions_boundary)


@api.operation("CreateRole", resource=_new_role, conditions=_asked)
async def create_role(call: Call, request: shapes.CreateRoleRequest) -> shapes.CreateRoleResponse:
    role = Role(
        account_id=call.account_id,
        name=request.role_name,
        role_id=new_id(call.ids, "AROA", 21),
        created_at=call.clock.now(),
        trust=checked_trust(request.assume_role_policy_document),
        path=request.path or "/",
        description=request.description or "",
        max_session_s=request.max_session_duration or _SESSION_S,
        boundary_arn=request.permissions_boundary or "",
        tags=checked_tags((tag.key, tag.value) for tag in request.tags or ()),
    )
    if role.path.startswith(SERVICE_PATH):
        raise InvalidInput(f"The path {SERVICE_PATH} is reserved for service-linked roles.")

    def create(tx: Tx) -> None:
        if role.boundary_arn:
            find_boundary(tx, call.account_id, role.boundary_arn)
        if tx.get(ROLES, role.key) is not None:
            raise EntityAlreadyExists(f"Role with name {role.name} already exists.")
        if tx.count(ROLES, "account", call.account_id) >= _MOST_ROLES:
            raise LimitExceeded(f"Cannot exceed quota for RolesPerAccount: {_MOST_ROLES}")
        tx.create(ROLES, msgspec.structs.replace(role, trust_meant=meant_trust(tx, role.trust)))

    await call.store.transact(create)
    return shapes.CreateRoleResponse(role=role_shape(call.store, role))


@api.operation("GetRole", resource=_named)
async def get_role(call: Call, request: shapes.GetRoleRequest) -> shapes.GetRoleResponse:
    return shapes.GetRoleResponse(role=role_shape(call.store, find_role(call.store, call.account_id, request.role_name)))


@api.operation("ListRoles", resource=_all_roles)
async def list_roles(call: Call, request: shapes.ListRolesRequest) -> shapes.ListRolesResponse:
    prefix = request.path_prefix or "/"
    found = paged(
        call,
        ("ListRoles", prefix),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(ROLES, "account", call.account_id, after=after, limit=limit),
        lambda role: role.key,
        keep=lambda role: role.path.startswith(prefix),
    )
    roles = tuple(role_shape(call.store, role, whole=False) for role in found.items)
    return shapes.ListRolesResponse(roles=roles, is_truncated=found.is_truncated, marker=found.marker)


@api.operation("UpdateRole", resource=_named)
async def update_role(call: Call, request: shapes.UpdateRoleRequest) -> shapes.UpdateRoleResponse:
    """What is not given becomes what it is by default, but the description, which stays."""

    def update(tx: Tx) -> None:
        role = find_changeable_role(tx, call.account_id, request.role_name)
        description = role.description if request.description is None else request.description
        longest = request.max_session_duration or _SESSION_S
        tx.put(ROLES, msgspec.structs.replace(role, description=description, max_session_s=longest))

    await call.store.transact(update)
    return shapes.UpdateRoleResponse()


@api.operation("UpdateRoleDescription", resource=_named)
async def update_role_description(call: Call, request: shapes.UpdateRoleDescriptionRequest) -> shapes.UpdateRoleDescriptionResponse:
    def update(tx: Tx) -> Role:
        role = find_changeable_role(tx, call.account_id, request.role_name)
        return tx.put(ROLES, msgspec.structs.replace(role, description=request.description))

    role = await call.store.transact(update)
    return shapes.UpdateRoleDescriptionResponse(role=role_shape(call.store, role))


@api.operation("UpdateAssumeRolePolicy", resource=_named)
async def update_assume_role_policy(call: Call, request: shapes.UpdateAssumeRolePolicyRequest) -> None:
    trust = checked_trust(request.policy_document)

    def update(tx: Tx) -> None:
        role = find_changeable_role(tx, call.account_id, request.role_name)
        tx.put(ROLES, msgspec.structs.replace(role, trust=trust, trust_meant=meant_trust(tx, trust)))

    await call.store.transact(update)


@api.operation("DeleteRole", resource=_named)
async def delete_role(call: Call, request: shapes.DeleteRoleRequest) -> None:
    """Its sessions end with it: a role of the same name is another."""

    def delete(tx: Tx) -> None:
        role = find_changeable_role(tx, call.account_id, request.role_name)
        if tx.count(INSTANCE_PROFILES, "role", role.arn):
            raise DeleteConflict("Cannot delete entity, must remove roles from instance profile first.")
        check_holds_nothing(tx, role.arn)
        tx.delete(ROLES, role.key)
        tx.delete(ACCESS_KEY_USES, role.role_id)
        forget_uses(tx, role.role_id)

    await call.store.transact(delete)
