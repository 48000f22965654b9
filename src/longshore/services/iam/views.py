"""How users, groups, roles, keys and policies look in answers. Counts are taken from what is attached; documents are URL-encoded."""

from __future__ import annotations

from urllib.parse import quote

from longshore.aws.shapes import iam as shapes
from longshore.services.iam.model import (
    ACCESS_KEY_USES,
    ATTACHMENTS,
    ROLES,
    USERS,
    AccessKey,
    Group,
    InstanceProfile,
    ManagedPolicy,
    PolicyVersion,
    Role,
    Tag,
    User,
    policy_in_account,
)
from longshore.services.iam.sign_in import LOGIN_PROFILES
from longshore.store.base import Reader


def user_shape(user: User, *, tags: bool = False, reader: Reader | None = None) -> shapes.User:
    """Tags and boundary are shown where one user is asked for, not in listings; with a `reader` also when its password was last used."""
    profile = reader.get(LOGIN_PROFILES, user.arn) if reader is not None else None
    return shapes.User(
        path=user.path,
        user_name=user.name,
        user_id=user.user_id,
        arn=user.arn,
        create_date=user.created_at,
        password_last_used=(profile.last_used_at or None) if profile is not None else None,
        tags=tag_shapes(user.tags) or None if tags else None,
        permissions_boundary=boundary_shape(user.boundary_arn) if tags else None,
    )


def root_shape(account_id: str, arn: str, created_at: float) -> shapes.User:
    """The root has neither name nor path."""
    return shapes.User(user_id=account_id, arn=arn, create_date=created_at)


def boundary_shape(boundary_arn: str) -> shapes.AttachedPermissionsBoundary | None:
    if not boundary_arn:
        return None
    return shapes.AttachedPermissionsBoundary(permissions_boundary_type="Policy", permissions_boundary_arn=boundary_arn)


def tag_shapes(tags: tuple[Tag, ...]) -> tuple[shapes.Tag, ...]:
    return tuple(shapes.Tag(key=tag.key, value=tag.value) for tag in tags)


def group_shape(group: Group) -> shapes.Group:
    return shapes.Group(path=group.path, group_name=group.name, group_id=group.group_id, arn=group.arn, create_date=group.created_at)


def role_shape(reader: Reader, role: Role, *, whole: bool = True) -> shapes.Role:
    """Listings leave out tags, boundary and last use (not `whole`)."""
    last = None
    if whole:
        use = reader.get(ACCESS_KEY_USES, role.role_id)
        last = shapes.RoleLastUsed() if use is None else shapes.RoleLastUsed(last_used_date=use.used_at, region=use.region)
    return shapes.Role(
        path=role.path,
        role_name=role.name,
        role_id=role.role_id,
        arn=role.arn,
        create_date=role.created_at,
        assume_role_policy_document=encoded_document(role.trust),
        description=role.description or None,
        max_session_duration=role.max_session_s,
        permissions_boundary=boundary_shape(role.boundary_arn) if whole else None,
        tags=tag_shapes(role.tags) or None if whole else None,
        role_last_used=last,
    )


def instance_profile_shape(reader: Reader, profile: InstanceProfile, *, tags: bool = True) -> shapes.InstanceProfile:
    roles = reader.list(ROLES, "arn", profile.role_arn) if profile.role_arn else []
    return shapes.InstanceProfile(
        path=profile.path,
        instance_profile_name=profile.name,
        instance_profile_id=profile.profile_id,
        arn=profile.arn,
        create_date=profile.created_at,
        roles=tuple(role_shape(reader, role, whole=False) for role in roles),
        tags=tag_shapes(profile.tags) or None if tags else None,
    )


def boundary_uses(reader: Reader, policy_arn: str, account_id: str) -> int:
    """How many users and roles of the account the policy bounds."""
    bounded = policy_in_account(policy_arn, account_id)
    return reader.count(USERS, "boundary", bounded) + reader.count(ROLES, "boundary", bounded)


def access_key_shape(key: AccessKey, user_name: str | None) -> shapes.AccessKeyMetadata:
    return shapes.AccessKeyMetadata(user_name=user_name, access_key_id=key.access_key_id, status=key.status, create_date=key.created_at)


def policy_shape(reader: Reader, policy: ManagedPolicy, account_id: str, *, whole: bool = True) -> shapes.Policy:
    """`account_id` is the one that asks: attachments are counted there. Listings leave description and tags out (not `whole`)."""
    return shapes.Policy(
        policy_name=policy.name,
        policy_id=policy.policy_id,
        arn=policy.arn,
        path=policy.path,
        default_version_id=policy.default_version_id,
        attachment_count=reader.count(ATTACHMENTS, "policy", policy_in_account(policy.arn, account_id)),
        permissions_boundary_usage_count=boundary_uses(reader, policy.arn, account_id),
        is_attachable=True,
        description=(policy.description or None) if whole else None,
        create_date=policy.created_at,
        update_date=policy.updated_at,
        tags=tag_shapes(policy.tags) or None if whole else None,
    )


def version_shape(version: PolicyVersion, default_version_id: str, *, document: bool = False) -> shapes.PolicyVersion:
    return shapes.PolicyVersion(
        document=encoded_document(version.document) if document else None,
        version_id=version.version_id,
        is_default_version=version.version_id == default_version_id,
        create_date=version.created_at,
    )


def encoded_document(document: str) -> str:
    """Percent-encoded per RFC 3986, as IAM returns policy documents."""
    return quote(document, safe="-_.~")
