"""Users: who there is besides the root of the account."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.devices import devices_of, move_devices
from longshore.services.iam.entities import asked_boundary, asked_tags
from longshore.services.iam.errors import DeleteConflict, EntityAlreadyExists, LimitExceeded
from longshore.services.iam.holders import check_holds_nothing, move_policies
from longshore.services.iam.lookup import checked_tags, find_boundary, find_user, new_id, user_arn_for, user_of_caller
from longshore.services.iam.model import ACCESS_KEYS, MEMBERSHIPS, USERS, User, root_arn, user_key
from longshore.services.iam.paging import paged
from longshore.services.iam.service_uses import forget_uses
from longshore.services.iam.sign_in import LOGIN_PROFILES, move_profile
from longshore.services.iam.views import root_shape, user_shape
from longshore.store.base import Tx

_MOST_USERS = 5000


def _new_user(call: Call, request: shapes.CreateUserRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:user{request.path or '/'}{request.user_name}",)


def _named_user(call: Call, request: shapes.GetUserRequest | shapes.DeleteUserRequest) -> Iterable[str]:
    return (user_arn_for(call, request.user_name),)


def _renamed_user(call: Call, request: shapes.UpdateUserRequest) -> Iterable[str]:
    """Renaming needs the permission on the name left and on the name taken."""
    old = user_arn_for(call, request.user_name)
    user = call.store.get(USERS, user_key(call.account_id, request.user_name))
    path = request.new_path or (user.path if user else "/")
    new = f"arn:aws:iam::{call.account_id}:user{path}{request.new_user_name or request.user_name}"
    return (old,) if old == new else (old, new)


def _all_users(call: Call, request: shapes.ListUsersRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:user{request.path_prefix or '/'}",)


def _asked(call: Call, request: shapes.CreateUserRequest) -> dict[str, list[str]]:
    return asked_tags(request.tags) | asked_boundary(request.permissions_boundary)


@api.operation("CreateUser", resource=_new_user, conditions=_asked)
async def create_user(call: Call, request: shapes.CreateUserRequest) -> shapes.CreateUserResponse:
    user = User(
        account_id=call.account_id,
        name=request.user_name,
        user_id=new_id(call.ids, "AIDA", 21),
        created_at=call.clock.now(),
        path=request.path or "/",
        tags=checked_tags((tag.key, tag.value) for tag in request.tags or ()),
        boundary_arn=request.permissions_boundary or "",
    )

    def create(tx: Tx) -> None:
        if user.boundary_arn:
            find_boundary(tx, call.account_id, user.boundary_arn)
        if tx.get(USERS, user.key) is not None:
            raise EntityAlreadyExists(f"User with name {user.name} already exists.")
        if tx.count(USERS, "account", call.account_id) >= _MOST_USERS:
            raise LimitExceeded(f"Cannot exceed quota for UsersPerAccount: {_MOST_USERS}")
        tx.create(USERS, user)

    await call.store.transact(create)
    return shapes.CreateUserResponse(user=user_shape(user, tags=True))


@api.operation("GetUser", resource=_named_user)
async def get_user(call: Call, request: shapes.GetUserRequest) -> shapes.GetUserResponse:
    named = request.user_name
    user = user_of_caller(call.store, call) if named is None else find_user(call.store, call.account_id, named)
    if user is not None:
        return shapes.GetUserResponse(user=user_shape(user, tags=True, reader=call.store))
    arn = root_arn(call.account_id)
    since = min((key.created_at for key in call.store.list(ACCESS_KEYS, "principal", arn)), default=0.0)
    return shapes.GetUserResponse(user=root_shape(call.account_id, arn, since))


@api.operation("ListUsers", resource=_all_users)
async def list_users(call: Call, request: shapes.ListUsersRequest) -> shapes.ListUsersResponse:
    prefix = request.path_prefix or "/"
    found = paged(
        call,
        ("ListUsers", prefix),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(USERS, "account", call.account_id, after=after, limit=limit),
        lambda user: user.key,
        keep=lambda user: user.path.startswith(prefix),
    )
    users = tuple(user_shape(user, reader=call.store) for user in found.items)
    return shapes.ListUsersResponse(users=users, is_truncated=found.is_truncated, marker=found.marker)


@api.operation("UpdateUser", resource=_renamed_user)
async def update_user(call: Call, request: shapes.UpdateUserRequest) -> None:
    def rename(tx: Tx) -> None:
        old = find_user(tx, call.account_id, request.user_name)
        new = msgspec.structs.replace(old, name=request.new_user_name or old.name, path=request.new_path or old.path)
        if new.key != old.key and tx.get(USERS, new.key) is not None:
            raise EntityAlreadyExists(f"User with name {new.name} already exists.")
        if new.arn != old.arn:
            tx.delete(USERS, old.key)
            tx.put(USERS, new)
            _move_belongings(tx, old.arn, new.arn)

    await call.store.transact(rename)


def _move_belongings(tx: Tx, old_arn: str, new_arn: str) -> None:
    """What names the user by ARN follows it to the new one."""
    for key in tx.list(ACCESS_KEYS, "principal", old_arn):
        tx.put(ACCESS_KEYS, msgspec.structs.replace(key, principal_arn=new_arn))
    for membership in tx.list(MEMBERSHIPS, "user", old_arn):
        tx.delete(MEMBERSHIPS, membership.key)
        tx.put(MEMBERSHIPS, msgspec.structs.replace(membership, user_arn=new_arn))
    move_devices(tx, old_arn, new_arn)
    move_profile(tx, old_arn, new_arn)
    move_policies(tx, old_arn, new_arn)


@api.operation("DeleteUser", resource=_named_user)
async def delete_user(call: Call, request: shapes.DeleteUserRequest) -> None:
    def delete(tx: Tx) -> None:
        user = find_user(tx, call.account_id, request.user_name)
        if tx.count(ACCESS_KEYS, "principal", user.arn):
            raise DeleteConflict("Cannot delete entity, must delete access keys first.")
        if devices_of(tx, user.arn):
            raise DeleteConflict("Cannot delete entity, must delete MFA device first.")
        if tx.get(LOGIN_PROFILES, user.arn) is not None:
            raise DeleteConflict("Cannot delete entity, must delete login profile first.")
        check_holds_nothing(tx, user.arn)
        if tx.count(MEMBERSHIPS, "user", user.arn):
            raise DeleteConflict("Cannot delete entity, must remove users from group first.")
        tx.delete(USERS, user.key)
        forget_uses(tx, user.user_id)

    await call.store.transact(delete)
