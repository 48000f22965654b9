"""Importing this package declares every IAM operation that is served."""

from __future__ import annotations

from longshore.services.iam.operations import (
    access_keys,
    account,
    boundaries,
    group_policies,
    groups,
    instance_profiles,
    longshore_explanations,
    longshore_policies,
    longshore_recordings,
    policies,
    policy_versions,
    role_policies,
    roles,
    server_certificates,
    service_linked_roles,
    simulations,
    tags,
    user_policies,
    users,
)

__all__ = [
    "access_keys",
    "account",
    "boundaries",
    "group_policies",
    "groups",
    "instance_profiles",
    "longshore_explanations",
    "longshore_policies",
    "longshore_recordings",
    "policies",
    "policy_versions",
    "role_policies",
    "roles",
    "server_certificates",
    "service_linked_roles",
    "simulations",
    "tags",
    "user_policies",
    "users",
]
