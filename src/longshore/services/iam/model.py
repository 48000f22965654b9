"""What IAM keeps: users, groups and roles, access keys, and policies written into one of them or attached to it.

All of it belongs to an account and to no region. Access keys, memberships, inline policies and attachments name whose they
are by ARN; who is renamed takes them along in the same transaction. The root of an account is no user: it has access keys
only, under `arn:aws:iam::ACCOUNT:root`. When a key was last used is written apart from the key, by whoever notices the use;
the last use of a role is kept in the same way under the role's id. Sessions are not kept at all: their tokens say everything.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.kit.resource import Kind


class Tag(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: str = ""


def root_arn(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:root"


# ── users ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class User(msgspec.Struct, frozen=True, gc=False):
    account_id: str
    name: str
    #: AIDA…; survives renaming
    user_id: str
    created_at: float
    path: str = "/"
    tags: tuple[Tag, ...] = ()
    #: of a managed policy beyond which nothing is allowed; empty where there is none
    boundary_arn: str = ""

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account_id}:user{self.path}{self.name}"

    @property
    def key(self) -> str:
        return user_key(self.account_id, self.name)


def user_key(account_id: str, name: str) -> str:
    """Names of users, groups, roles and profiles are told apart without regard to case."""
    return f"{account_id}:{name.lower()}"


USERS: Kind[User] = Kind(
    name="iam.user",
    type=User,
    key=lambda user: user.key,
    indexes={
        "account": lambda user: (user.account_id,),
        "arn": lambda user: (user.arn,),
        "id": lambda user: (user.user_id,),
        "boundary": lambda user: _bounded(user.boundary_arn, user.account_id),
    },
    unique=frozenset({"arn"}),
)


def _bounded(boundary_arn: str, account_id: str) -> tuple[str, ...]:
    return (policy_in_account(boundary_arn, account_id),) if boundary_arn else ()


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class Group(msgspec.Struct, frozen=True, gc=False):
    account_id: str
    name: str
    #: AGPA…; survives renaming
    group_id: str
    created_at: float
    path: str = "/"

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account_id}:group{self.path}{self.name}"

    @property
    def key(self) -> str:
        return user_key(self.account_id, self.name)


GROUPS: Kind[Group] = Kind(
    name="iam.group",
    type=Group,
    key=lambda group: group.key,
    indexes={"account": lambda group: (group.account_id,), "arn": lambda group: (group.arn,)},
    unique=frozenset({"arn"}),
)


class Membership(msgspec.Struct, frozen=True, gc=False):
    """A user in a group."""

    user_arn: str
    group_arn: str

    @property
    def key(self) -> str:
        return f"{self.user_arn}|{self.group_arn}"


MEMBERSHIPS: Kind[Membership] = Kind(
    name="iam.membership",
    type=Membership,
    key=lambda membership: membership.key,
    indexes={"user": lambda membership: (membership.user_arn,), "group": lambda membership: (membership.group_arn,)},
)


# ── roles ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Role(msgspec.Struct, frozen=True, gc=False):
    account_id: str
    name: str
    #: AROA…
    role_id: str
    created_at: float
    #: the document that says who may take the role on
    trust: str
    path: str = "/"
    description: str = ""
    #: seconds that a session may last at most
    max_session_s: int = 3600
    #: as User.boundary_arn
    boundary_arn: str = ""
    tags: tuple[Tag, ...] = ()
    #: `trust` with users and roles named by their ids; empty where it names none
    trust_meant: str = ""
    #: the service that the role is linked to, e.g. ecs.amazonaws.com; empty for the others
    service: str = ""

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account_id}:role{self.path}{self.name}"

    @property
    def key(self) -> str:
        return user_key(self.account_id, self.name)


ROLES: Kind[Role] = Kind(
    name="iam.role",
    type=Role,
    key=lambda role: role.key,
    indexes={
        "account": lambda role: (role.account_id,),
        "arn": lambda role: (role.arn,),
        "id": lambda role: (role.role_id,),
        "boundary": lambda role: _bounded(role.boundary_arn, role.account_id),
    },
    unique=frozenset({"arn"}),
)


class RoleDeletion(msgspec.Struct, frozen=True, gc=False):
    """How the deletion of a service-linked role went."""

    #: task/aws-service-role/SERVICE/ROLE/UUID
    task_id: str
    account_id: str
    status: str  # SUCCEEDED


ROLE_DELETIONS: Kind[RoleDeletion] = Kind(
    name="iam.role_deletion",
    type=RoleDeletion,
    key=lambda deletion: f"{deletion.account_id}:{deletion.task_id}",
)


class InstanceProfile(msgspec.Struct, frozen=True, gc=False):
    """What hands a role to an instance."""

    account_id: str
    name: str
    #: AIPA…
    profile_id: str
    created_at: float
    path: str = "/"
    #: one role at most; empty while there is none
    role_arn: str = ""
    tags: tuple[Tag, ...] = ()

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account_id}:instance-profile{self.path}{self.name}"

    @property
    def key(self) -> str:
        return user_key(self.account_id, self.name)


INSTANCE_PROFILES: Kind[InstanceProfile] = Kind(
    name="iam.instance_profile",
    type=InstanceProfile,
    key=lambda profile: profile.key,
    indexes={
        "account": lambda profile: (profile.account_id,),
        "arn": lambda profile: (profile.arn,),
        "role": lambda profile: (profile.role_arn,) if profile.role_arn else (),
    },
    unique=frozenset({"arn"}),
)


# ── access keys ──────────────────────────────────────────────────────────────────────────────────────────────────────


class AccessKey(msgspec.Struct, frozen=True, gc=False):
    #: AKIA… (or what the installation's owner chose for the root)
    access_key_id: str
    account_id: str
    #: a user's, or the root's of the account
    principal_arn: str
    secret_access_key: str
    created_at: float
    status: str = "Active"  # Active | Inactive
    #: when the status was last set; 0.0: never since it was made
    changed_at: float = 0.0

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key_id}, {self.principal_arn}, {self.status})"


ACCESS_KEYS: Kind[AccessKey] = Kind(
    name="iam.access_key",
    type=AccessKey,
    key=lambda key: key.access_key_id,
    indexes={"principal": lambda key: (key.principal_arn,)},
    sealed=True,
)


class AccessKeyUse(msgspec.Struct, frozen=True, gc=False):
    """The last use of a key, as of at most a minute ago."""

    #: or a role's id: the last use of any of its sessions
    access_key_id: str
    used_at: float
    #: signing name, e.g. ecs
    service: str
    region: str


ACCESS_KEY_USES: Kind[AccessKeyUse] = Kind(name="iam.access_key_use", type=AccessKeyUse, key=lambda use: use.access_key_id)


# ── policies ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class InlinePolicy(msgspec.Struct, frozen=True, gc=False, rename={"owner_arn": "user_arn"}):
    #: a user's, a group's or a role's
    owner_arn: str
    name: str
    document: str


def inline_policy_key(owner_arn: str, name: str) -> str:
    return f"{owner_arn}|{name}"


INLINE_POLICIES: Kind[InlinePolicy] = Kind(
    name="iam.inline_policy",
    type=InlinePolicy,
    key=lambda policy: inline_policy_key(policy.owner_arn, policy.name),
    indexes={"owner": lambda policy: (policy.owner_arn,)},
)


class ManagedPolicy(msgspec.Struct, frozen=True, gc=False):
    """A policy by itself; its documents are `PolicyVersion`s."""

    account_id: str
    name: str
    #: ANPA…
    policy_id: str
    created_at: float
    updated_at: float
    path: str = "/"
    description: str = ""
    default_version_id: str = "v1"
    tags: tuple[Tag, ...] = ()
    #: the number of the newest version there ever was: numbers are not given twice
    last_version: int = 1

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account_id}:policy{self.path}{self.name}"


def policy_name_key(account_id: str, name: str) -> str:
    """Names are told apart without regard to case, whatever the path."""
    return f"{account_id}:{name.lower()}"


MANAGED_POLICIES: Kind[ManagedPolicy] = Kind(
    name="iam.managed_policy",
    type=ManagedPolicy,
    key=lambda policy: policy.arn,
    indexes={
        "account": lambda policy: (policy.account_id,),
        "name": lambda policy: (policy_name_key(policy.account_id, policy.name),),
    },
    unique=frozenset({"name"}),
)


class PolicyVersion(msgspec.Struct, frozen=True, gc=False):
    policy_arn: str
    #: v1, v2, …
    version_id: str
    document: str
    created_at: float


def policy_version_key(policy_arn: str, version_id: str) -> str:
    return f"{policy_arn}|{version_id}"


POLICY_VERSIONS: Kind[PolicyVersion] = Kind(
    name="iam.policy_version",
    type=PolicyVersion,
    key=lambda version: policy_version_key(version.policy_arn, version.version_id),
    indexes={"policy": lambda version: (version.policy_arn,)},
)


class Attachment(msgspec.Struct, frozen=True, gc=False, rename={"owner_arn": "user_arn"}):
    """A managed policy (ours or AWS's) on a user, a group or a role."""

    policy_arn: str
    owner_arn: str
    account_id: str

    @property
    def key(self) -> str:
        return attachment_key(self.owner_arn, self.policy_arn)

    @property
    def policy_in_account(self) -> str:
        """AWS's policies are everybody's, so who holds them is asked per account."""
        return policy_in_account(self.policy_arn, self.account_id)


def attachment_key(owner_arn: str, policy_arn: str) -> str:
    return f"{owner_arn}|{policy_arn}"


def policy_in_account(policy_arn: str, account_id: str) -> str:
    return f"{account_id}|{policy_arn}"


ATTACHMENTS: Kind[Attachment] = Kind(
    name="iam.attachment",
    type=Attachment,
    key=lambda attachment: attachment.key,
    indexes={"owner": lambda attachment: (attachment.owner_arn,), "policy": lambda attachment: (attachment.policy_in_account,)},
)


class ServerCertificate(msgspec.Struct, frozen=True, gc=False):
    """A certificate with its key, as it was uploaded. The key is sealed, as ACM's are."""

    account_id: str
    name: str
    #: ASCA…
    certificate_id: str
    uploaded_at: float
    path: str = "/"
    #: PEM of the certificate alone
    certificate: bytes = b""
    #: PEM of what leads from it to a root, in order
    chain: bytes = b""
    sealed_key: bytes = b""
    not_after: float = 0.0
    tags: tuple[Tag, ...] = ()

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account_id}:server-certificate{self.path}{self.name}"


SERVER_CERTIFICATES: Kind[ServerCertificate] = Kind(
    name="iam.server_certificate",
    type=ServerCertificate,
    key=lambda certificate: user_key(certificate.account_id, certificate.name),
    indexes={"account": lambda certificate: (certificate.account_id,), "arn": lambda certificate: (certificate.arn,)},
    unique=frozenset({"arn"}),
)

KINDS: tuple[Kind[Any], ...] = (
    SERVER_CERTIFICATES,
    USERS,
    GROUPS,
    MEMBERSHIPS,
    ROLES,
    ROLE_DELETIONS,
    INSTANCE_PROFILES,
    ACCESS_KEYS,
    ACCESS_KEY_USES,
    INLINE_POLICIES,
    MANAGED_POLICIES,
    POLICY_VERSIONS,
    ATTACHMENTS,
)
