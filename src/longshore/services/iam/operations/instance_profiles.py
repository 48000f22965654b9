"""Instance profiles: what hands a role to an instance. Each holds one role at most."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.entities import asked_tags
from longshore.services.iam.errors import DeleteConflict, EntityAlreadyExists, LimitExceeded, NoSuchEntity
from longshore.services.iam.lookup import (
    checked_tags,
    find_instance_profile,
    find_role,
    instance_profile_arn_for,
    new_id,
    role_arn_for,
)
from longshore.services.iam.model import INSTANCE_PROFILES, ROLES, InstanceProfile, user_key
from longshore.services.iam.paging import paged
from longshore.services.iam.views import instance_profile_shape
from longshore.store.base import Tx

_MOST_PROFILES = 1000

_Request = (
    shapes.GetInstanceProfileRequest
    | shapes.DeleteInstanceProfileRequest
    | shapes.AddRoleToInstanceProfileRequest
    | shapes.RemoveRoleFromInstanceProfileRequest
)


def _new_profile(call: Call, request: shapes.CreateInstanceProfileRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:instance-profile{request.path or '/'}{request.instance_profile_name}",)


def _named(call: Call, request: _Request) -> Iterable[str]:
    return (instance_profile_arn_for(call, request.instance_profile_name),)


def _all_profiles(call: Call, request: shapes.ListInstanceProfilesRequest) -> Iterable[str]:
    return (f"arn:aws:iam::{call.account_id}:instance-profile{request.path_prefix or '/'}",)


def _role(call: Call, request: shapes.ListInstanceProfilesForRoleRequest) -> Iterable[str]:
    return (role_arn_for(call, request.role_name),)


def _passed(call: Call, request: shapes.AddRoleToInstanceProfileRequest) -> Iterable[tuple[str, str]]:
    """Whoever starts an instance with the profile gets the role's rights: it is handed over here."""
    return (("iam:PassRole", role_arn_for(call, request.role_name)),)


def _asked(call: Call, request: shapes.CreateInstanceProfileRequest) -> dict[str, list[str]]:
    return asked_tags(request.tags)


@api.operation("CreateInstanceProfile", resource=_new_profile, conditions=_asked)
async def create_instance_profile(call: Call, request: shapes.CreateInstanceProfileRequest) -> shapes.CreateInstanceProfileResponse:
    profile = InstanceProfile(
        call.account_id,
        request.instance_profile_name,
        new_id(call.ids, "AIPA", 21),
        call.clock.now(),
        path=request.path or "/",
        tags=checked_tags((tag.key, tag.value) for tag in request.tags or ()),
    )

    def create(tx: Tx) -> None:
        if tx.get(INSTANCE_PROFILES, profile.key) is not None:
            raise EntityAlreadyExists(f"Instance Profile {profile.name} already exists.")
        if tx.count(INSTANCE_PROFILES, "account", call.account_id) >= _MOST_PROFILES:
            raise LimitExceeded(f"Cannot exceed quota for InstanceProfilesPerAccount: {_MOST_PROFILES}")
        tx.create(INSTANCE_PROFILES, profile)

    await call.store.transact(create)
    return shapes.CreateInstanceProfileResponse(instance_profile=instance_profile_shape(call.store, profile))


@api.operation("GetInstanceProfile", resource=_named)
async def get_instance_profile(call: Call, request: shapes.GetInstanceProfileRequest) -> shapes.GetInstanceProfileResponse:
    profile = find_instance_profile(call.store, call.account_id, request.instance_profile_name)
    return shapes.GetInstanceProfileResponse(instance_profile=instance_profile_shape(call.store, profile))


@api.operation("ListInstanceProfiles", resource=_all_profiles)
async def list_instance_profiles(call: Call, request: shapes.ListInstanceProfilesRequest) -> shapes.ListInstanceProfilesResponse:
    prefix = request.path_prefix or "/"
    found = paged(
        call,
        ("ListInstanceProfiles", prefix),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(INSTANCE_PROFILES, "account", call.account_id, after=after, limit=limit),
        lambda profile: profile.key,
        keep=lambda profile: profile.path.startswith(prefix),
    )
    profiles = tuple(instance_profile_shape(call.store, profile, tags=False) for profile in found.items)
    return shapes.ListInstanceProfilesResponse(instance_profiles=profiles, is_truncated=found.is_truncated, marker=found.marker)


@api.operation("ListInstanceProfilesForRole", resource=_role)
async def list_instance_profiles_for_role(
    call: Call, request: shapes.ListInstanceProfilesForRoleRequest
) -> shapes.ListInstanceProfilesForRoleResponse:
    role = find_role(call.store, call.account_id, request.role_name)
    found = paged(
        call,
        ("ListInstanceProfilesForRole", role.arn),
        request.marker,
        request.max_items,
        lambda after, limit: call.store.list(INSTANCE_PROFILES, "role", role.arn, after=after, limit=limit),
        lambda profile: profile.key,
    )
    profiles = tuple(instance_profile_shape(call.store, profile, tags=False) for profile in found.items)
    return shapes.ListInstanceProfilesForRoleResponse(instance_profiles=profiles, is_truncated=found.is_truncated, marker=found.marker)


@api.operation("DeleteInstanceProfile", resource=_named)
async def delete_instance_profile(call: Call, request: shapes.DeleteInstanceProfileRequest) -> None:
    def delete(tx: Tx) -> None:
        profile = find_instance_profile(tx, call.account_id, request.instance_profile_name)
        if profile.role_arn:
            raise DeleteConflict("Cannot delete entity, must remove roles from instance profile first.")
        tx.delete(INSTANCE_PROFILES, profile.key)

    await call.store.transact(delete)


# ── its role ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("AddRoleToInstanceProfile", resource=_named, also=_passed)
async def add_role_to_instance_profile(call: Call, request: shapes.AddRoleToInstanceProfileRequest) -> None:
    def add(tx: Tx) -> None:
        profile = find_instance_profile(tx, call.account_id, request.instance_profile_name)
        role = find_role(tx, call.account_id, request.role_name)
        if profile.role_arn:
            raise LimitExceeded("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
        tx.put(INSTANCE_PROFILES, msgspec.structs.replace(profile, role_arn=role.arn))

    await call.store.transact(add)


@api.operation("RemoveRoleFromInstanceProfile", resource=_named)
async def remove_role_from_instance_profile(call: Call, request: shapes.RemoveRoleFromInstanceProfileRequest) -> None:
    def remove(tx: Tx) -> None:
        profile = find_instance_profile(tx, call.account_id, request.instance_profile_name)
        role = tx.get(ROLES, user_key(call.account_id, request.role_name))
        if role is None or profile.role_arn != role.arn:
            raise NoSuchEntity(f"The role with name {request.role_name} cannot be found.")
        tx.put(INSTANCE_PROFILES, msgspec.structs.replace(profile, role_arn=""))

    await call.store.transact(remove)
