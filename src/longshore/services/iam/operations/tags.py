"""Tags of users, roles, policies and instance profiles: what policies compare, and nothing else is told by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.api import api
from longshore.services.iam.entities import asked_tags
from longshore.services.iam.lookup import (
    find_changeable_role,
    find_instance_profile,
    find_own_policy,
    find_policy,
    find_role,
    find_user,
    instance_profile_arn_for,
    role_arn_for,
    tagged,
    untagged,
    user_arn_for,
)
from longshore.services.iam.model import INSTANCE_PROFILES, MANAGED_POLICIES, ROLES, USERS, Tag
from longshore.services.iam.paging import Page, paged
from longshore.services.iam.views import tag_shapes
from longshore.store.base import Tx

_Tagging = shapes.TagUserRequest | shapes.TagRoleRequest | shapes.TagPolicyRequest | shapes.TagInstanceProfileRequest
_Untagging = shapes.UntagUserRequest | shapes.UntagRoleRequest | shapes.UntagPolicyRequest | shapes.UntagInstanceProfileRequest
_Listing = shapes.ListUserTagsRequest | shapes.ListRoleTagsRequest | shapes.ListPolicyTagsRequest | shapes.ListInstanceProfileTagsRequest


def _brought(call: Call, request: _Tagging) -> dict[str, list[str]]:
    return asked_tags(request.tags)


def _taken(call: Call, request: _Untagging) -> dict[str, list[str]]:
    return {"aws:tagkeys": list(request.tag_keys)}


def _pairs(tags: Sequence[shapes.Tag]) -> Iterable[tuple[str, str]]:
    return ((tag.key, tag.value) for tag in tags)


def _page(call: Call, operation: str, whose: str, tags: tuple[Tag, ...], request: _Listing) -> Page[Tag]:
    ordered = sorted(tags, key=lambda tag: tag.key)
    return paged(
        call,
        (operation, whose),
        request.marker,
        request.max_items,
        lambda after, limit: [tag for tag in ordered if after is None or tag.key > after][:limit],
        lambda tag: tag.key,
    )


# ── of users ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _user(call: Call, request: shapes.TagUserRequest | shapes.UntagUserRequest | shapes.ListUserTagsRequest) -> Iterable[str]:
    return (user_arn_for(call, request.user_name),)


@api.operation("TagUser", resource=_user, conditions=_brought)
async def tag_user(call: Call, request: shapes.TagUserRequest) -> None:
    def put(tx: Tx) -> None:
        found = find_user(tx, call.account_id, request.user_name)
        tx.put(USERS, msgspec.structs.replace(found, tags=tagged(found.tags, _pairs(request.tags))))

    await call.store.transact(put)


@api.operation("UntagUser", resource=_user, conditions=_taken)
async def untag_user(call: Call, request: shapes.UntagUserRequest) -> None:
    def take(tx: Tx) -> None:
        found = find_user(tx, call.account_id, request.user_name)
        tx.put(USERS, msgspec.structs.replace(found, tags=untagged(found.tags, request.tag_keys)))

    await call.store.transact(take)


@api.operation("ListUserTags", resource=_user)
async def list_user_tags(call: Call, request: shapes.ListUserTagsRequest) -> shapes.ListUserTagsResponse:
    whose = find_user(call.store, call.account_id, request.user_name)
    found = _page(call, "ListUserTags", whose.arn, whose.tags, request)
    return shapes.ListUserTagsResponse(tags=tag_shapes(tuple(found.items)), is_truncated=found.is_truncated, marker=found.marker)


# ── of roles ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _role(call: Call, request: shapes.TagRoleRequest | shapes.UntagRoleRequest | shapes.ListRoleTagsRequest) -> Iterable[str]:
    return (role_arn_for(call, request.role_name),)


@api.operation("TagRole", resource=_role, conditions=_brought)
async def tag_role(call: Call, request: shapes.TagRoleRequest) -> None:
    def put(tx: Tx) -> None:
        found = find_changeable_role(tx, call.account_id, request.role_name)
        tx.put(ROLES, msgspec.structs.replace(found, tags=tagged(found.tags, _pairs(request.tags))))

    await call.store.transact(put)


@api.operation("UntagRole", resource=_role, conditions=_taken)
async def untag_role(call: Call, request: shapes.UntagRoleRequest) -> None:
    def take(tx: Tx) -> None:
        found = find_changeable_role(tx, call.account_id, request.role_name)
        tx.put(ROLES, msgspec.structs.replace(found, tags=untagged(found.tags, request.tag_keys)))

    await call.store.transact(take)


@api.operation("ListRoleTags", resource=_role)
async def list_role_tags(call: Call, request: shapes.ListRoleTagsRequest) -> shapes.ListRoleTagsResponse:
    whose = find_role(call.store, call.account_id, request.role_name)
    found = _page(call, "ListRoleTags", whose.arn, whose.tags, request)
    return shapes.ListRoleTagsResponse(tags=tag_shapes(tuple(found.items)), is_truncated=found.is_truncated, marker=found.marker)


# ── of policies ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _policy(call: Call, request: shapes.TagPolicyRequest | shapes.UntagPolicyRequest | shapes.ListPolicyTagsRequest) -> Iterable[str]:
    return (request.policy_arn,)


@api.operation("TagPolicy", resource=_policy, conditions=_brought)
async def tag_policy(call: Call, request: shapes.TagPolicyRequest) -> None:
    def put(tx: Tx) -> None:
        found = find_own_policy(tx, call.account_id, request.policy_arn)
        tx.put(MANAGED_POLICIES, msgspec.structs.replace(found, tags=tagged(found.tags, _pairs(request.tags))))

    await call.store.transact(put)


@api.operation("UntagPolicy", resource=_policy, conditions=_taken)
async def untag_policy(call: Call, request: shapes.UntagPolicyRequest) -> None:
    def take(tx: Tx) -> None:
        found = find_own_policy(tx, call.account_id, request.policy_arn)
        tx.put(MANAGED_POLICIES, msgspec.structs.replace(found, tags=untagged(found.tags, request.tag_keys)))

    await call.store.transact(take)


@api.operation("ListPolicyTags", resource=_policy)
async def list_policy_tags(call: Call, request: shapes.ListPolicyTagsRequest) -> shapes.ListPolicyTagsResponse:
    whose = find_policy(call.store, call.account_id, request.policy_arn)
    found = _page(call, "ListPolicyTags", whose.arn, whose.tags, request)
    return shapes.ListPolicyTagsResponse(tags=tag_shapes(tuple(found.items)), is_truncated=found.is_truncated, marker=found.marker)


# ── of instance profiles ────────────────────────────────────────────────────────────────────────────────────────────


def _instance_profile(
    call: Call, request: shapes.TagInstanceProfileRequest | shapes.UntagInstanceProfileRequest | shapes.ListInstanceProfileTagsRequest
) -> Iterable[str]:
    return (instance_profile_arn_for(call, request.instance_profile_name),)


@api.operation("TagInstanceProfile", resource=_instance_profile, conditions=_brought)
async def tag_instance_profile(call: Call, request: shapes.TagInstanceProfileRequest) -> None:
    def put(tx: Tx) -> None:
        found = find_instance_profile(tx, call.account_id, request.instance_profile_name)
        tx.put(INSTANCE_PROFILES, msgspec.structs.replace(found, tags=tagged(found.tags, _pairs(request.tags))))

    await call.store.transact(put)


@api.operation("UntagInstanceProfile", resource=_instance_profile, conditions=_taken)
async def untag_instance_profile(call: Call, request: shapes.UntagInstanceProfileRequest) -> None:
    def take(tx: Tx) -> None:
        found = find_instance_profile(tx, call.account_id, request.instance_profile_name)
        tx.put(INSTANCE_PROFILES, msgspec.structs.replace(found, tags=untagged(found.tags, request.tag_keys)))

    await call.store.transact(take)


@api.operation("ListInstanceProfileTags", resource=_instance_profile)
async def list_instance_profile_tags(call: Call, request: shapes.ListInstanceProfileTagsRequest) -> shapes.ListInstanceProfileTagsResponse:
    whose = find_instance_profile(call.store, call.account_id, request.instance_profile_name)
    found = _page(call, "ListInstanceProfileTags", whose.arn, whose.tags, request)
    return shapes.ListInstanceProfileTagsResponse(tags=tag_shapes(tuple(found.items)), is_truncated=found.is_truncated, marker=found.marker)
