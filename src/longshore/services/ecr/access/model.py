"""Policies that repositories and registries carry themselves.

Both keep the document twice: as it was given, to be shown again, and as it was meant at that moment, users by their ids.
So a policy follows a user who is renamed, and says nothing of another who gets the name after them.
"""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind


class RepositoryPolicy(msgspec.Struct, frozen=True, gc=False):
    repository: str  # key of the repository
    document: str
    #: the same with the ids of users in place of their ARNs
    meant: str


REPOSITORY_POLICIES: Kind[RepositoryPolicy] = Kind(
    name="ecr.repository_policy",
    type=RepositoryPolicy,
    key=lambda policy: policy.repository,
    indexes={"repository": lambda policy: (policy.repository,)},
)


class RegistryPolicy(msgspec.Struct, frozen=True, gc=False):
    """Of an account's registry in one Region."""

    region: str
    account_id: str
    document: str
    #: the same with the ids of users in place of their ARNs
    meant: str


def registry_key(region: str, account_id: str) -> str:
    return f"{region}:{account_id}"


REGISTRY_POLICIES: Kind[RegistryPolicy] = Kind(
    name="ecr.registry_policy",
    type=RegistryPolicy,
    key=lambda policy: registry_key(policy.region, policy.account_id),
)
