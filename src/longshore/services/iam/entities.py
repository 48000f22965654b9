"""What policies ask about what IAM keeps: tags, boundaries, who may take a role on.

Found by ARN, as the authorisation of every request needs it, and read off what a request brings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from longshore.aws.shapes import iam as shapes
from longshore.services.iam.deciding import Named
from longshore.services.iam.devices import MFA_DEVICES
from longshore.services.iam.federation import OPEN_ID_PROVIDERS
from longshore.services.iam.model import INSTANCE_PROFILES, MANAGED_POLICIES, ROLES, SERVER_CERTIFICATES, USERS, Tag
from longshore.services.iam.policy import Policy, compile_policy
from longshore.store.base import Reader

#: what is done with a role only when its trust policy says so, the own account's included
TRUSTED_ACTIONS = frozenset({"sts:AssumeRole", "sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"})


def trust_policies(reader: Reader, arn: str) -> tuple[Policy, ...]:
    """The resource-based policy of a role; nothing else of IAM has one."""
    roles = reader.list(ROLES, "arn", arn)
    return (compile_policy(roles[0].trust_meant or roles[0].trust, resource_based=True),) if roles else ()


def named_trust(reader: Reader, arn: str) -> tuple[Named, ...]:
    """The same as it was written, for people."""
    roles = reader.list(ROLES, "arn", arn)
    return (Named("role trust policy", arn, roles[0].trust),) if roles else ()


def entity_conditions(reader: Reader, arn: str) -> Mapping[str, Sequence[str]]:
    """Tags (as aws:ResourceTag and iam:ResourceTag) and iam:PermissionsBoundary of what an ARN names."""
    tags: tuple[Tag, ...] = ()
    boundary = ""
    if users := reader.list(USERS, "arn", arn):
        tags, boundary = users[0].tags, users[0].boundary_arn
    elif roles := reader.list(ROLES, "arn", arn):
        tags, boundary = roles[0].tags, roles[0].boundary_arn
    elif policy := reader.get(MANAGED_POLICIES, arn):
        tags = policy.tags
    elif profiles := reader.list(INSTANCE_PROFILES, "arn", arn):
        tags = profiles[0].tags
    elif certificates := reader.list(SERVER_CERTIFICATES, "arn", arn):
        tags = certificates[0].tags
    elif device := reader.get(MFA_DEVICES, arn):
        tags = device.tags
    elif provider := reader.get(OPEN_ID_PROVIDERS, arn):
        tags = provider.tags
    found: dict[str, Sequence[str]] = {}
    for tag in tags:
        found[f"aws:resourcetag/{tag.key.lower()}"] = found[f"iam:resourcetag/{tag.key.lower()}"] = [tag.value]
    if boundary:
        found["iam:permissionsboundary"] = [boundary]
    return found


def asked_tags(tags: Sequence[shapes.Tag] | None) -> dict[str, list[str]]:
    """aws:RequestTag/KEY and aws:TagKeys of a request that brings tags."""
    found = {f"aws:requesttag/{tag.key.lower()}": [tag.value] for tag in tags or ()}
    if tags:
        found["aws:tagkeys"] = [tag.key for tag in tags]
    return found


def asked_boundary(boundary_arn: str | None) -> dict[str, list[str]]:
    return {"iam:permissionsboundary": [boundary_arn]} if boundary_arn else {}
