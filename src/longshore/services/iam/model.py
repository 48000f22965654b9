"""What IAM keeps: users, their access keys, and policies written into a user or attached to one.

All of it belongs to an account and to no region. Access keys, inline policies and attachments name their user by ARN; a
user that is renamed takes them along in the same transaction. The root of an account is no user: it has access keys only,
under `arn:aws:iam::ACCOUNT:root`. When a key was last used is written apart from the key, by whoever notices the use.
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

    @property
    def arn(self) -> str:
        return f"arn:aws:iam::{self.account_id}:user{self.path}{self.name}"

    @property
    def key(self) -> str:
        return user_key(self.account_id, self.name)


def user_key(account_id: str, name: str) -> str:
    """Names are told apart without regard to case."""
    return f"{account_id}:{name.lower()}"


USERS: Kind[User] = Kind(
    name="iam.user",
    type=User,
    key=lambda user: user.key,
    indexes={"account": lambda user: (user.account_id,), "arn": lambda user: (user.arn,)},
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

    def __repr__(self) -> str:
        return f"AccessKey({self.access_key_id}, {self.principal_arn}, {self.status})"


ACCESS_KEYS: Kind[AccessKey] = Kind(
    name="iam.access_key",
    type=AccessKey,
    key=lambda key: key.access_key_id,
    indexes={"principal": lambda key: (key.principal_arn,)},
)


class AccessKeyUse(msgspec.Struct, frozen=True, gc=False):
    """The last use of a key, as of at most a minute ago."""

    access_key_id: str
    used_at: float
    #: signing name, e.g. ecs
    service: str
    region: str


ACCESS_KEY_USES: Kind[AccessKeyUse] = Kind(name="iam.access_key_use", type=AccessKeyUse, key=lambda use: use.access_key_id)


# ── policies ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class InlinePolicy(msgspec.Struct, frozen=True, gc=False):
    user_arn: str
    name: str
    document: str


def inline_policy_key(user_arn: str, name: str) -> str:
    return f"{user_arn}|{name}"


INLINE_POLICIES: Kind[InlinePolicy] = Kind(
    name="iam.inline_policy",
    type=InlinePolicy,
    key=lambda policy: inline_policy_key(policy.user_arn, policy.name),
    indexes={"user": lambda policy: (policy.user_arn,)},
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


class Attachment(msgspec.Struct, frozen=True, gc=False):
    """A managed policy (ours or AWS's) on a user."""

    policy_arn: str
    user_arn: str
    account_id: str

    @property
    def key(self) -> str:
        return attachment_key(self.user_arn, self.policy_arn)

    @property
    def policy_in_account(self) -> str:
        """AWS's policies are everybody's, so who holds them is asked per account."""
        return policy_in_account(self.policy_arn, self.account_id)


def attachment_key(user_arn: str, policy_arn: str) -> str:
    return f"{user_arn}|{policy_arn}"


def policy_in_account(policy_arn: str, account_id: str) -> str:
    return f"{account_id}|{policy_arn}"


ATTACHMENTS: Kind[Attachment] = Kind(
    name="iam.attachment",
    type=Attachment,
    key=lambda attachment: attachment.key,
    indexes={"user": lambda attachment: (attachment.user_arn,), "policy": lambda attachment: (attachment.policy_in_account,)},
)


KINDS: tuple[Kind[Any], ...] = (USERS, ACCESS_KEYS, ACCESS_KEY_USES, INLINE_POLICIES, MANAGED_POLICIES, POLICY_VERSIONS, ATTACHMENTS)
