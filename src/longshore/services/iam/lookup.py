"""Finding what a request means, within the caller's account, and refusing in IAM's words what is not there."""

from __future__ import annotations

import base64
from collections.abc import Iterable

import msgspec

from longshore.aws.arn import parse_arn
from longshore.aws.errors import Validation
from longshore.kit.ids import Ids
from longshore.services.call import Call
from longshore.services.iam import aws_managed
from longshore.services.iam.checks import check_policy, check_trust
from longshore.services.iam.errors import (
    InvalidInput,
    LimitExceeded,
    MalformedPolicyDocument,
    NoSuchEntity,
    UnmodifiableEntity,
    no_such_policy,
    no_such_user,
)
from longshore.services.iam.model import (
    GROUPS,
    INSTANCE_PROFILES,
    MANAGED_POLICIES,
    POLICY_VERSIONS,
    ROLES,
    USERS,
    Group,
    InstanceProfile,
    ManagedPolicy,
    PolicyVersion,
    Role,
    Tag,
    User,
    root_arn,
    user_key,
)
from longshore.services.iam.policy import MalformedPolicy
from longshore.store.base import Reader

_MOST_TAGS = 50
#: characters of a trust policy, without white space
_MOST_TRUST = 2048
#: characters of a managed policy's document, without white space
MOST_DOCUMENT = 6144


def find_user(reader: Reader, account_id: str, name: str) -> User:
    user = reader.get(USERS, user_key(account_id, name))
    if user is None:
        raise no_such_user(name)
    return user


def user_of_caller(reader: Reader, call: Call) -> User | None:
    """The user who calls; None for the root of the account."""
    if call.principal.is_root:
        return None
    if call.principal.role_arn:
        raise Validation("Must specify userName when calling with non-User credentials")
    users = reader.list(USERS, "arn", call.principal.arn)
    if not users:
        raise no_such_user(call.principal.arn.rpartition("/")[2])
    return users[0]


def owner_arn(reader: Reader, call: Call, user_name: str | None) -> str:
    """ARN of the user named, or of the caller when none is."""
    if user_name is not None:
        return find_user(reader, call.account_id, user_name).arn
    user = user_of_caller(reader, call)
    return root_arn(call.account_id) if user is None else user.arn


def find_group(reader: Reader, account_id: str, name: str) -> Group:
    group = reader.get(GROUPS, user_key(account_id, name))
    if group is None:
        raise NoSuchEntity(f"The group with name {name} cannot be found.")
    return group


def find_role(reader: Reader, account_id: str, name: str) -> Role:
    role = reader.get(ROLES, user_key(account_id, name))
    if role is None:
        raise NoSuchEntity(f"The role with name {name} cannot be found.")
    return role


def find_changeable_role(reader: Reader, account_id: str, name: str) -> Role:
    """One that no service made for itself; raises UnmodifiableEntity for the others."""
    role = find_role(reader, account_id, name)
    if role.service:
        raise UnmodifiableEntity(f"Cannot perform the operation on the protected role '{role.name}' - this role is only modifiable by AWS")
    return role


def find_instance_profile(reader: Reader, account_id: str, name: str) -> InstanceProfile:
    profile = reader.get(INSTANCE_PROFILES, user_key(account_id, name))
    if profile is None:
        raise NoSuchEntity(f"Instance Profile {name} cannot be found.")
    return profile


def find_policy(reader: Reader, account_id: str, policy_arn: str) -> ManagedPolicy:
    """A managed policy of the account or of AWS."""
    parsed = parse_arn(policy_arn)
    if parsed is None or parsed.service != "iam" or parsed.resource_type != "policy":
        raise InvalidInput(f"ARN {policy_arn} is not valid.")
    policy = aws_managed.POLICIES.get(policy_arn) or reader.get(MANAGED_POLICIES, policy_arn)
    if policy is None or policy.account_id not in (account_id, aws_managed.ACCOUNT):
        raise NoSuchEntity(f"Policy {policy_arn} was not found.")
    return policy


def aws_version(policy: ManagedPolicy) -> PolicyVersion:
    """The one version that a policy of AWS's has here."""
    return PolicyVersion(policy.arn, policy.default_version_id, aws_managed.DOCUMENTS[policy.arn], policy.created_at)


def versions_of(reader: Reader, policy: ManagedPolicy) -> list[PolicyVersion]:
    """In no order; there are few."""
    return reader.list(POLICY_VERSIONS, "policy", policy.arn) if policy.account_id != aws_managed.ACCOUNT else [aws_version(policy)]


def find_boundary(reader: Reader, account_id: str, policy_arn: str) -> str:
    """The ARN of a policy that may bound a user or a role."""
    try:
        return find_policy(reader, account_id, policy_arn).arn
    except NoSuchEntity:
        raise no_such_policy(policy_arn) from None


def find_own_policy(reader: Reader, account_id: str, policy_arn: str) -> ManagedPolicy:
    """A managed policy that the account may change."""
    policy = find_policy(reader, account_id, policy_arn)
    if policy.account_id != account_id:
        raise InvalidInput("Policy is outside your own account.")
    return policy


# ── the ARNs that actions are checked against ────────────────────────────────────────────────────────────────────────


def user_arn_for(call: Call, user_name: str | None, path: str | None = None) -> str:
    """The ARN of a user who may not be there (yet): what authorisation needs before the operation looks."""
    if user_name is None:
        return call.principal.arn
    user = call.store.get(USERS, user_key(call.account_id, user_name))
    if user is not None:
        return user.arn
    return f"arn:aws:iam::{call.account_id}:user{path or '/'}{user_name}"


def group_arn_for(call: Call, group_name: str) -> str:
    """As user_arn_for."""
    group = call.store.get(GROUPS, user_key(call.account_id, group_name))
    return group.arn if group else f"arn:aws:iam::{call.account_id}:group/{group_name}"


def role_arn_for(call: Call, role_name: str) -> str:
    """As user_arn_for."""
    role = call.store.get(ROLES, user_key(call.account_id, role_name))
    return role.arn if role else f"arn:aws:iam::{call.account_id}:role/{role_name}"


def instance_profile_arn_for(call: Call, name: str) -> str:
    """As user_arn_for."""
    profile = call.store.get(INSTANCE_PROFILES, user_key(call.account_id, name))
    return profile.arn if profile else f"arn:aws:iam::{call.account_id}:instance-profile/{name}"


# ── what requests bring ──────────────────────────────────────────────────────────────────────────────────────────────


def checked_document(document: str) -> str:
    """An identity policy's document as sent, once it is known to be one; raises MalformedPolicyDocument."""
    try:
        check_policy(document)
    except MalformedPolicy as error:
        raise MalformedPolicyDocument(str(error)) from error
    return document


def checked_trust(document: str) -> str:
    """A role's trust policy as sent, once it is known to be one; raises MalformedPolicyDocument and LimitExceeded."""
    try:
        check_trust(document)
    except MalformedPolicy as error:
        raise MalformedPolicyDocument(str(error)) from error
    if size_of(document) > _MOST_TRUST:
        raise LimitExceeded(f"Cannot exceed quota for ACLSizePerRole: {_MOST_TRUST}")
    return document


def meant_trust(reader: Reader, document: str) -> str:
    """A trust policy with users and roles named by their ids, so that whoever is made under a name later inherits nothing.

    Raises MalformedPolicyDocument for who is not there.
    """
    read = msgspec.json.decode(document)
    statements = read["Statement"] if isinstance(read["Statement"], list) else [read["Statement"]]
    for statement in statements:
        for named in (statement.get("Principal"), statement.get("NotPrincipal")):
            if isinstance(named, dict) and "AWS" in named:
                listed = named["AWS"] if isinstance(named["AWS"], list) else [named["AWS"]]
                named["AWS"] = [_id_of(reader, principal) for principal in listed]
    return msgspec.json.encode(read).decode()


def _id_of(reader: Reader, principal: str) -> str:
    parsed = parse_arn(principal)
    if parsed is None or parsed.service != "iam" or parsed.resource_type not in ("user", "role"):
        return principal
    if users := reader.list(USERS, "arn", principal):
        return users[0].user_id
    if roles := reader.list(ROLES, "arn", principal):
        return roles[0].role_id
    raise MalformedPolicyDocument(f'Invalid principal in policy: "AWS":"{principal}"')


def size_of(document: str) -> int:
    """Characters that count towards IAM's quotas: all but white space."""
    return sum(not character.isspace() for character in document)


def checked_tags(pairs: Iterable[tuple[str, str]]) -> tuple[Tag, ...]:
    tags = tuple(Tag(key, value) for key, value in pairs)
    if len({tag.key.lower() for tag in tags}) != len(tags):
        raise InvalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
    for tag in tags:
        if tag.key.lower().startswith("aws:"):
            raise InvalidInput("Your tag key contains the reserved prefix aws:.")
    if len(tags) > _MOST_TAGS:
        raise LimitExceeded(f"The number of tags has reached the maximum limit of {_MOST_TAGS}.")
    return tags


def tagged(tags: Iterable[Tag], pairs: Iterable[tuple[str, str]]) -> tuple[Tag, ...]:
    """`tags` with others added, those of the same key replaced."""
    added = checked_tags(pairs)
    keys = {tag.key.lower() for tag in added}
    merged = (*(tag for tag in tags if tag.key.lower() not in keys), *added)
    if len(merged) > _MOST_TAGS:
        raise LimitExceeded(f"The number of tags has reached the maximum limit of {_MOST_TAGS}.")
    return merged


def untagged(tags: Iterable[Tag], keys: Iterable[str]) -> tuple[Tag, ...]:
    gone = {key.lower() for key in keys}
    return tuple(tag for tag in tags if tag.key.lower() not in gone)


def new_id(ids: Ids, prefix: str, length: int) -> str:
    """`prefix` and capital letters and digits up to `length`: AIDA…, AKIA…, ANPA…"""
    missing = length - len(prefix)
    return prefix + base64.b32encode(bytes.fromhex(ids.hex(2 * missing))).decode()[:missing]


def new_secret(ids: Ids) -> str:
    """40 characters of base 64."""
    return base64.b64encode(bytes.fromhex(ids.hex(60))).decode()
