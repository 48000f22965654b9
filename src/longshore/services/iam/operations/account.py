"""The account at a glance: how much there is of everything, and everything with the policies it holds."""

from __future__ import annotations

from collections.abc import Callable

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam import aws_managed
from longshore.services.iam.account_settings import STS_PREFERENCES
from longshore.services.iam.api import api
from longshore.services.iam.devices import MFA_DEVICES
from longshore.services.iam.federation import OPEN_ID_PROVIDERS
from longshore.services.iam.holders import attached_shapes
from longshore.services.iam.lookup import versions_of
from longshore.services.iam.model import (
    ACCESS_KEYS,
    ATTACHMENTS,
    GROUPS,
    INLINE_POLICIES,
    INSTANCE_PROFILES,
    MANAGED_POLICIES,
    MEMBERSHIPS,
    POLICY_VERSIONS,
    ROLES,
    SERVER_CERTIFICATES,
    USERS,
    Group,
    ManagedPolicy,
    Role,
    User,
    policy_in_account,
    root_arn,
)
from longshore.services.iam.paging import paged
from longshore.services.iam.views import (
    boundary_uses,
    encoded_document,
    instance_profile_shape,
    policy_shape,
    role_shape,
    user_shape,
    version_shape,
)
from longshore.store.base import Reader

#: what nobody counts: the limits that operations keep, by AWS's names for them
_QUOTAS = {
    "UsersQuota": 5000,
    "GroupsQuota": 300,
    "RolesQuota": 1000,
    "InstanceProfilesQuota": 1000,
    "PoliciesQuota": 1500,
    "ServerCertificatesQuota": 20,
    "GroupsPerUserQuota": 10,
    "AccessKeysPerUserQuota": 2,
    "UserPolicySizeQuota": 2048,
    "GroupPolicySizeQuota": 5120,
    "RolePolicySizeQuota": 10240,
    "PolicySizeQuota": 6144,
    "AssumeRolePolicySizeQuota": 2048,
    "AttachedPoliciesPerUserQuota": 10,
    "AttachedPoliciesPerGroupQuota": 10,
    "AttachedPoliciesPerRoleQuota": 10,
    "VersionsPerPolicyQuota": 5,
    "PolicyVersionsInUseQuota": 10000,
    "SigningCertificatesPerUserQuota": 2,
}


@api.operation("GetAccountSummary", resource=ANY_RESOURCE)
async def get_account_summary(call: Call, request: shapes.GetAccountSummaryRequest) -> shapes.GetAccountSummaryResponse:
    count, account_id = call.store.count, call.account_id
    policies = call.store.list(MANAGED_POLICIES, "account", account_id)
    devices, preferences = call.store.list(MFA_DEVICES, "account", account_id), call.store.get(STS_PREFERENCES, account_id)
    counts = {
        "Users": count(USERS, "account", account_id),
        "Groups": count(GROUPS, "account", account_id),
        "Roles": count(ROLES, "account", account_id),
        "InstanceProfiles": count(INSTANCE_PROFILES, "account", account_id),
        "Policies": len(policies),
        "PolicyVersionsInUse": sum(count(POLICY_VERSIONS, "policy", policy.arn) for policy in policies),
        "AccountAccessKeysPresent": int(count(ACCESS_KEYS, "principal", root_arn(account_id)) > 0),
        "AccountMFAEnabled": int(count(MFA_DEVICES, "user", root_arn(account_id)) > 0),
        "AccountPasswordPresent": 0,
        "AccountSigningCertificatesPresent": 0,
        "MFADevices": len(devices),
        "MFADevicesInUse": sum(bool(device.user_arn) for device in devices),
        "Providers": count(OPEN_ID_PROVIDERS, "account", account_id),
        "GlobalEndpointTokenVersion": preferences.global_endpoint_token_version if preferences else 1,
        "ServerCertificates": count(SERVER_CERTIFICATES, "account", account_id),
    }
    return shapes.GetAccountSummaryResponse(summary_map=counts | _QUOTAS)


# ── everything there is ──────────────────────────────────────────────────────────────────────────────────────────────

_Entity = User | Group | Role | ManagedPolicy
_FILTERS = ("User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy")


@api.operation("GetAccountAuthorizationDetails", resource=ANY_RESOURCE)
async def get_account_authorization_details(
    call: Call, request: shapes.GetAccountAuthorizationDetailsRequest
) -> shapes.GetAccountAuthorizationDetailsResponse:
    """Of AWS's policies, those that are attached or bound with."""
    wanted = tuple(kind for kind in _FILTERS if request.filter is None or kind in request.filter)
    everything = sorted(_everything(call.store, call.account_id, wanted), key=lambda entity: entity.arn)
    found = paged(
        call,
        ("GetAccountAuthorizationDetails", wanted),
        request.marker,
        request.max_items,
        lambda after, limit: [entity for entity in everything if after is None or entity.arn > after][:limit],
        lambda entity: entity.arn,
    )
    items = found.items
    return shapes.GetAccountAuthorizationDetailsResponse(
        user_detail_list=tuple(_user_detail(call.store, one) for one in items if isinstance(one, User)),
        group_detail_list=tuple(_group_detail(call.store, one) for one in items if isinstance(one, Group)),
        role_detail_list=tuple(_role_detail(call.store, one) for one in items if isinstance(one, Role)),
        policies=tuple(_policy_detail(call.store, one, call.account_id) for one in items if isinstance(one, ManagedPolicy)),
        is_truncated=found.is_truncated,
        marker=found.marker,
    )


def _everything(reader: Reader, account_id: str, wanted: tuple[str, ...]) -> list[_Entity]:
    def used(policy: ManagedPolicy) -> bool:
        attached = reader.count(ATTACHMENTS, "policy", policy_in_account(policy.arn, account_id))
        return bool(attached or boundary_uses(reader, policy.arn, account_id))

    sources: dict[str, Callable[[], list[_Entity]]] = {
        "User": lambda: [*reader.list(USERS, "account", account_id)],
        "Group": lambda: [*reader.list(GROUPS, "account", account_id)],
        "Role": lambda: [*reader.list(ROLES, "account", account_id)],
        "LocalManagedPolicy": lambda: [*reader.list(MANAGED_POLICIES, "account", account_id)],
        "AWSManagedPolicy": lambda: [policy for policy in aws_managed.POLICIES.values() if used(policy)],
    }
    return [entity for kind in wanted for entity in sources[kind]()]


def _inline(reader: Reader, arn: str) -> tuple[shapes.PolicyDetail, ...]:
    return tuple(
        shapes.PolicyDetail(policy_name=policy.name, policy_document=encoded_document(policy.document))
        for policy in reader.list(INLINE_POLICIES, "owner", arn)
    )


def _attached(reader: Reader, arn: str) -> tuple[shapes.AttachedPolicy, ...]:
    return attached_shapes(reader.list(ATTACHMENTS, "owner", arn))


def _user_detail(reader: Reader, user: User) -> shapes.UserDetail:
    shown = user_shape(user, tags=True)
    groups = [group.name for member in reader.list(MEMBERSHIPS, "user", user.arn) for group in reader.list(GROUPS, "arn", member.group_arn)]
    return shapes.UserDetail(
        path=shown.path,
        user_name=shown.user_name,
        user_id=shown.user_id,
        arn=shown.arn,
        create_date=shown.create_date,
        user_policy_list=_inline(reader, user.arn) or None,
        group_list=tuple(groups),
        attached_managed_policies=_attached(reader, user.arn),
        permissions_boundary=shown.permissions_boundary,
        tags=shown.tags,
    )


def _group_detail(reader: Reader, group: Group) -> shapes.GroupDetail:
    return shapes.GroupDetail(
        path=group.path,
        group_name=group.name,
        group_id=group.group_id,
        arn=group.arn,
        create_date=group.created_at,
        group_policy_list=_inline(reader, group.arn),
        attached_managed_policies=_attached(reader, group.arn),
    )


def _role_detail(reader: Reader, role: Role) -> shapes.RoleDetail:
    shown = role_shape(reader, role)
    profiles = reader.list(INSTANCE_PROFILES, "role", role.arn)
    return shapes.RoleDetail(
        path=shown.path,
        role_name=shown.role_name,
        role_id=shown.role_id,
        arn=shown.arn,
        create_date=shown.create_date,
        assume_role_policy_document=shown.assume_role_policy_document,
        instance_profile_list=tuple(instance_profile_shape(reader, profile, tags=False) for profile in profiles),
        role_policy_list=_inline(reader, role.arn),
        attached_managed_policies=_attached(reader, role.arn),
        permissions_boundary=shown.permissions_boundary,
        tags=shown.tags,
        role_last_used=shown.role_last_used,
    )


def _policy_detail(reader: Reader, policy: ManagedPolicy, account_id: str) -> shapes.ManagedPolicyDetail:
    shown = policy_shape(reader, policy, account_id)
    return shapes.ManagedPolicyDetail(
        policy_name=shown.policy_name,
        policy_id=shown.policy_id,
        arn=shown.arn,
        path=shown.path,
        default_version_id=shown.default_version_id,
        attachment_count=shown.attachment_count,
        permissions_boundary_usage_count=shown.permissions_boundary_usage_count,
        is_attachable=shown.is_attachable,
        description=shown.description,
        create_date=shown.create_date,
        update_date=shown.update_date,
        policy_version_list=tuple(
            version_shape(version, policy.default_version_id, document=True) for version in versions_of(reader, policy)
        ),
    )
