"""Which services policies let somebody use, and when they were last used: what shows rights that nobody needs.

Only permissions policies count, as at AWS: neither boundaries nor resource-based policies. A service is granted where some statement
allows one of its actions, on whatever resource and under whatever condition, and none denies all of them on everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from longshore.services.iam import aws_managed
from longshore.services.iam.glob import Pattern, Template
from longshore.services.iam.identities import default_document
from longshore.services.iam.model import (
    ATTACHMENTS,
    GROUPS,
    INLINE_POLICIES,
    MEMBERSHIPS,
    ROLES,
    USERS,
    Group,
    Role,
    User,
    policy_in_account,
)
from longshore.services.iam.reports import EntityUses, Use
from longshore.services.iam.service_uses import SERVICE_USES
from longshore.store.base import Reader

#: namespace of actions -> the service's name, of those that are served here
SERVICES: Mapping[str, str] = {
    "acm": "AWS Certificate Manager",
    "cloudtrail": "AWS CloudTrail",
    "ec2": "Amazon EC2",
    "ecr": "Amazon Elastic Container Registry",
    "ecs": "Amazon Elastic Container Service",
    "elasticloadbalancing": "Elastic Load Balancing",
    "iam": "AWS Identity and Access Management",
    "secretsmanager": "AWS Secrets Manager",
    "ssm": "AWS Systems Manager",
    "sts": "AWS Security Token Service",
}


class Held(NamedTuple):
    """A policy in force, and where it comes from."""

    name: str
    document: str
    #: of a managed one; empty where it is written into its owner
    arn: str
    #: user, group or role that it is written into or attached to
    owner_arn: str


def held_by(reader: Reader, owner_arn: str) -> Iterable[Held]:
    """What is written into a user, a group or a role, and attached to it; a user's groups are not asked."""
    for inline in reader.list(INLINE_POLICIES, "owner", owner_arn):
        yield Held(inline.name, inline.document, "", owner_arn)
    for attachment in reader.list(ATTACHMENTS, "owner", owner_arn):
        document = default_document(reader, attachment.policy_arn)
        if document is not None:
            yield Held(attachment.policy_arn.rpartition("/")[2], document, attachment.policy_arn, owner_arn)


def held_by_all(reader: Reader, owner_arn: str) -> Iterable[Held]:
    """The same with what a user has from its groups."""
    yield from held_by(reader, owner_arn)
    for membership in reader.list(MEMBERSHIPS, "user", owner_arn):
        yield from held_by(reader, membership.group_arn)


@lru_cache(maxsize=4096)
def grants(document: str, service: str) -> bool:
    """Does a document that was taken allow something of a namespace, here or not?"""
    allowed = any(one["Effect"] == "Allow" and _speaks_of(one, service) for one in _statements(document))
    return allowed and not _is_denied(document, service)


def _statements(document: str) -> list[dict[str, object]]:
    found = msgspec.json.decode(document)["Statement"]
    return found if isinstance(found, list) else [found]


def granted(document: str) -> frozenset[str]:
    """The same of every namespace that is served."""
    return frozenset(service for service in SERVICES if grants(document, service))


def granted_by(held: Iterable[Held]) -> tuple[str, ...]:
    """Of several policies together, in the order of the alphabet."""
    documents = [each.document for each in held]
    granted_by_one = frozenset[str]().union(*(granted(document) for document in documents))
    return tuple(sorted(service for service in granted_by_one if not any(_is_denied(document, service) for document in documents)))


@lru_cache(maxsize=4096)
def _is_denied(document: str, service: str) -> bool:
    return any(one["Effect"] == "Deny" and _denies_all(one, service) for one in _statements(document))


def _listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _speaks_of(statement: Mapping[str, object], service: str) -> bool:
    """Is there an action of the service that the statement is about?"""
    if "Action" in statement:
        return any(_is_of(pattern, service) for pattern in _listed(statement["Action"]))
    return not any(_is_all_of(pattern, service) for pattern in _listed(statement["NotAction"]))


def _denies_all(statement: Mapping[str, object], service: str) -> bool:
    whole = "Condition" not in statement and "Resource" in statement and "*" in _listed(statement["Resource"])
    return whole and "Action" in statement and any(_is_all_of(pattern, service) for pattern in _listed(statement["Action"]))


@lru_cache(maxsize=1024)
def _fits(pattern: str, service: str) -> bool:
    return Pattern(Template(pattern, variables=False)).match(service, lambda _: None)


def _is_of(pattern: str, service: str) -> bool:
    prefix, colon, _ = pattern.lower().partition(":")
    return _fits(prefix, service) if colon else pattern == "*"


def _is_all_of(pattern: str, service: str) -> bool:
    prefix, colon, rest = pattern.lower().partition(":")
    return (_fits(prefix, service) and not rest.strip("*")) if colon else not pattern.strip("*")


# ── whose they are ───────────────────────────────────────────────────────────────────────────────────────────────────


class Found(NamedTuple):
    services: tuple[str, ...]
    entities: tuple[EntityUses, ...]


def looked_up(reader: Reader, account_id: str, arn: str) -> Found:
    """Of a user, a group, a role or a policy; empty of what is gone."""
    if ":policy/" in arn:
        document = default_document(reader, arn)
        services = tuple(sorted(granted(document))) if document is not None else ()
        return Found(services, tuple(_entities(reader, _holders(reader, account_id, arn))))
    if ":group/" in arn:
        members = [user for one in reader.list(MEMBERSHIPS, "group", arn) for user in reader.list(USERS, "arn", one.user_arn)]
        return Found(granted_by(held_by(reader, arn)), tuple(_entities(reader, members)))
    whose: list[User | Role] = [*reader.list(USERS, "arn", arn), *reader.list(ROLES, "arn", arn)]
    return Found(granted_by(held_by_all(reader, arn)), tuple(_entities(reader, whose)))


def is_there(reader: Reader, account_id: str, arn: str) -> bool:
    if arn in aws_managed.POLICIES:
        return True
    return arn.split(":")[4:5] == [account_id] and (
        any(reader.count(kind, "arn", arn) for kind in (USERS, GROUPS, ROLES)) or default_document(reader, arn) is not None
    )


def _holders(reader: Reader, account_id: str, policy_arn: str) -> Iterable[User | Role]:
    for attachment in reader.list(ATTACHMENTS, "policy", policy_in_account(policy_arn, account_id)):
        yield from reader.list(USERS, "arn", attachment.owner_arn)
        yield from reader.list(ROLES, "arn", attachment.owner_arn)
        for membership in reader.list(MEMBERSHIPS, "group", attachment.owner_arn):
            yield from reader.list(USERS, "arn", membership.user_arn)


def _entities(reader: Reader, owners: Iterable[User | Role]) -> Iterable[EntityUses]:
    for arn, owner in {owner.arn: owner for owner in owners}.items():
        identity = owner.user_id if isinstance(owner, User) else owner.role_id
        uses = tuple(Use(use.service, use.used_at, use.region) for use in reader.list(SERVICE_USES, "identity", identity))
        yield EntityUses(arn, identity, owner.name, owner.path, "USER" if isinstance(owner, User) else "ROLE", uses)


def owner_word(owner: User | Group | Role) -> str:
    return "USER" if isinstance(owner, User) else "GROUP" if isinstance(owner, Group) else "ROLE"
