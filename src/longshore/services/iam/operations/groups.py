"""Groups: users who share policies."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.errors import DeleteConflict, EntityAlreadyExists, LimitExceeded
from longshore.services.iam.holders import check_holds_nothing, move_policies
from longshore.services.iam.lookup import find_group, find_user, group_arn_for, new_id, user_arn_for
from longshore.services.iam.model import GROUPS, MEMBERSHIPS, USERS, Group, Membership, User, user_key
from longshore.services.iam.paging import paged
from longshore.services.iam.views import group_shape, user_shape
from longshore.store.base import Tx

_MOST_GROUPS = 300
_MOST_OF_A_USER = 10

_Request = shapes.GetGroupRequest | shapes.DeleteGroupRequest | shapes.AddUserToGroupRequest | shapes.RemoveUserFromGroupRequest


def _new_group(call: Call, request: shapes.CreateGroupRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:group{request.path or '/'}{request.group_name}",)


def _named_group(call: Call, request: _Request) -> Iterable[str]:
    return (group_arn_for(call, request.group_name),)


def _renamed_group(call: Call, request: shapes.UpdateGroupRequest) -> Iterable[str]:
    """As for users: the name left and the name taken."""
    old = group_arn_for(call, request.group_name)
    group = call.store.get(GROUPS, user_key(call.account_id, request.group_name))
    path = request.new_path or (group.path if group else "/")
    new = f"arn:aws:iam::{call.account_id}:group{path}{request.new_group_name or request.group_name}"
    return (old,) if old == new else (old, new)


def _all_groups(call: Call, request: shapes.ListGroupsRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:group{request.path_prefix or '/'}",)


def _named_user(call: Call, request: shapes.ListGroupsForUserRequest) -> Iterable[str]:
    return (user_arn_for(call, request.user_name),)


@api.operation("CreateGroup", resource=_new_group)
async def create_group(call: Call, request: shapes.CreateGroupRequest) -> shapes.CreateGroupResponse:
    group = Group(call.account_id, request.group_name, new_id(call.ids, "AGPA", 21), call.clock.now(), path=request.path or "/")

    def create(tx: Tx) -> None:
        if tx.get(GROUPS, group.key) is not None:
            raise EntityAlreadyExists(f"Group with name {group.name} already exists.")
        if tx.count(GROUPS, "account", call.account_id) >= _MOST_GROUPS:
            raise LimitExceeded(f"Cannot exceed quota for GroupsPerAccount: {_MOST_GROUPS}")
        tx.create(GROUPS, group)

    await call.store.transact(create)
    return shapes.CreateGroupResponse(group=group_shape(group))


@api.operation("GetGroup", resource=_named_group)
async def get_group(call: Call, request: shapes.GetGroupRequest) -> shapes.GetGroupResponse:
    group = find_group(call.store, call.account_id, request.group_name)
    found = paged(
        call,
        ("GetGroup", group.arn),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(MEMBERSHIPS, "group", group.arn, after=after, limit=limit),
        lambda membership: membership.key,
    )
    users: list[User] = [user for member in found.items for user in call.store.list(USERS, "arn", member.user_arn)]
    return shapes.GetGroupResponse(
        group=group_shape(group), users=tuple(map(user_shape, users)), is_truncated=found.is_truncated, marker=found.marker
    )


@api.operation("ListGroups", resource=_all_groups)
async def list_groups(call: Call, request: shapes.ListGroupsRequest) -> shapes.ListGroupsResponse:
    prefix = request.path_prefix or "/"
    found = paged(
        call,
        ("ListGroups", prefix),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(GROUPS, "account", call.account_id, after=after, limit=limit),
        lambda group: group.key,
        keep=lambda group: group.path.startswith(prefix),
    )
    return shapes.ListGroupsResponse(groups=tuple(map(group_shape, found.items)), is_truncated=found.is_truncated, marker=found.marker)


@api.operation("UpdateGroup", resource=_renamed_group)
async def update_group(call: Call, request: shapes.UpdateGroupRequest) -> None:
    def rename(tx: Tx) -> None:
        old = find_group(tx, call.account_id, request.group_name)
        new = msgspec.structs.replace(old, name=request.new_group_name or old.name, path=request.new_path or old.path)
        if new.key != old.key and tx.get(GROUPS, new.key) is not None:
            raise EntityAlreadyExists(f"Group with name {new.name} already exists.")
        if new.arn == old.arn:
            return
        tx.delete(GROUPS, old.key)
        tx.put(GROUPS, new)
        for membership in tx.list(MEMBERSHIPS, "group", old.arn):
            tx.delete(MEMBERSHIPS, membership.key)
            tx.put(MEMBERSHIPS, msgspec.structs.replace(membership, group_arn=new.arn))
        move_policies(tx, old.arn, new.arn)

    await call.store.transact(rename)


@api.operation("DeleteGroup", resource=_named_group)
async def delete_group(call: Call, request: shapes.DeleteGroupRequest) -> None:
    def delete(tx: Tx) -> None:
        group = find_group(tx, call.account_id, request.group_name)
        if tx.count(MEMBERSHIPS, "group", group.arn):
            raise DeleteConflict("Cannot delete entity, must remove users from group first.")
        check_holds_nothing(tx, group.arn)
        tx.delete(GROUPS, group.key)

    await call.store.transact(delete)


# ── who is in it ─────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("AddUserToGroup", resource=_named_group)
async def add_user_to_group(call: Call, request: shapes.AddUserToGroupRequest) -> None:
    """Does nothing when the user is in the group already."""

    def add(tx: Tx) -> None:
        group = find_group(tx, call.account_id, request.group_name)
        user = find_user(tx, call.account_id, request.user_name)
        membership = Membership(user.arn, group.arn)
        if tx.get(MEMBERSHIPS, membership.key) is not None:
            return
        if tx.count(MEMBERSHIPS, "user", user.arn) >= _MOST_OF_A_USER:
            raise LimitExceeded(f"Cannot exceed quota for GroupsPerUser: {_MOST_OF_A_USER}")
        tx.create(MEMBERSHIPS, membership)

    await call.store.transact(add)


@api.operation("RemoveUserFromGroup", resource=_named_group)
async def remove_user_from_group(call: Call, request: shapes.RemoveUserFromGroupRequest) -> None:
    """Does nothing when the user is not in the group."""

    def remove(tx: Tx) -> None:
        group = find_group(tx, call.account_id, request.group_name)
        user = find_user(tx, call.account_id, request.user_name)
        tx.delete(MEMBERSHIPS, Membership(user.arn, group.arn).key)

    await call.store.transact(remove)


@api.operation("ListGroupsForUser", resource=_named_user)
async def list_groups_for_user(call: Call, request: shapes.ListGroupsForUserRequest) -> shapes.ListGroupsForUserResponse:
    user = find_user(call.store, call.account_id, request.user_name)
    found = paged(
        call,
        ("ListGroupsForUser", user.arn),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(MEMBERSHIPS, "user", user.arn, after=after, limit=limit),
        lambda membership: membership.key,
    )
    groups = [group for membership in found.items for group in call.store.list(GROUPS, "arn", membership.group_arn)]
    return shapes.ListGroupsForUserResponse(groups=tuple(map(group_shape, groups)), is_truncated=found.is_truncated, marker=found.marker)
