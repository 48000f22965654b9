"""Permissions boundaries: a managed policy beyond which a user or a role is allowed nothing."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.entities import asked_boundary
from longshore.services.iam.errors import NoSuchEntity
from longshore.services.iam.lookup import find_boundary, find_changeable_role, find_user, role_arn_for, user_arn_for
from longshore.services.iam.model import ROLES, USERS
from longshore.store.base import Tx


def _user(call: Call, request: shapes.PutUserPermissionsBoundaryRequest | shapes.DeleteUserPermissionsBoundaryRequest) -> Iterable[str]:
    return (user_arn_for(call, request.user_name),)


def _role(call: Call, request: shapes.PutRolePermissionsBoundaryRequest | shapes.DeleteRolePermissionsBoundaryRequest) -> Iterable[str]:
    return (role_arn_for(call, request.role_name),)


def _boundary(
    call: Call, request: shapes.PutUserPermissionsBoundaryRequest | shapes.PutRolePermissionsBoundaryRequest
) -> dict[str, list[str]]:
    return asked_boundary(request.permissions_boundary)


@api.operation("PutUserPermissionsBoundary", resource=_user, conditions=_boundary)
async def put_user_permissions_boundary(call: Call, request: shapes.PutUserPermissionsBoundaryRequest) -> None:
    def put(tx: Tx) -> None:
        user = find_user(tx, call.account_id, request.user_name)
        boundary_arn = find_boundary(tx, call.account_id, request.permissions_boundary)
        tx.put(USERS, msgspec.structs.replace(user, boundary_arn=boundary_arn))

    await call.store.transact(put)


@api.operation("DeleteUserPermissionsBoundary", resource=_user)
async def delete_user_permissions_boundary(call: Call, request: shapes.DeleteUserPermissionsBoundaryRequest) -> None:
    def delete(tx: Tx) -> None:
        user = find_user(tx, call.account_id, request.user_name)
        if not user.boundary_arn:
            raise NoSuchEntity(f"The user with name {user.name} does not have a permissions boundary.")
        tx.put(USERS, msgspec.structs.replace(user, boundary_arn=""))

    await call.store.transact(delete)


@api.operation("PutRolePermissionsBoundary", resource=_role, conditions=_boundary)
async def put_role_permissions_boundary(call: Call, request: shapes.PutRolePermissionsBoundaryRequest) -> None:
    def put(tx: Tx) -> None:
        role = find_changeable_role(tx, call.account_id, request.role_name)
        boundary_arn = find_boundary(tx, call.account_id, request.permissions_boundary)
        tx.put(ROLES, msgspec.structs.replace(role, boundary_arn=boundary_arn))

    await call.store.transact(put)


@api.operation("DeleteRolePermissionsBoundary", resource=_role)
async def delete_role_permissions_boundary(call: Call, request: shapes.DeleteRolePermissionsBoundaryRequest) -> None:
    def delete(tx: Tx) -> None:
        role = find_changeable_role(tx, call.account_id, request.role_name)
        if not role.boundary_arn:
            raise NoSuchEntity(f"The role with name {role.name} does not have a permissions boundary.")
        tx.put(ROLES, msgspec.structs.replace(role, boundary_arn=""))

    await call.store.transact(delete)
