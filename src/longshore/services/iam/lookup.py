"""Finding what a request means, within the caller's account, and refusing in IAM's words what is not there."""

from __future__ import annotations

import base64
from collections.abc import Iterable

from longshore.aws.arn import parse_arn
from longshore.kit.ids import Ids
from longshore.services.call import Call
from longshore.services.iam import aws_managed
from longshore.services.iam.errors import InvalidInput, MalformedPolicyDocument, NoSuchEntity, no_such_user
from longshore.services.iam.model import MANAGED_POLICIES, USERS, ManagedPolicy, Tag, User, root_arn, user_key
from longshore.services.iam.policy import MalformedPolicy, compile_policy
from longshore.store.base import Reader


def find_user(reader: Reader, account_id: str, name: str) -> User:
    user = reader.get(USERS, user_key(account_id, name))
    if user is None:
        raise no_such_user(name)
    return user


def user_of_caller(reader: Reader, call: Call) -> User | None:
    """The user who calls; None for the root of the account."""
    if call.principal.is_root:
        return None
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


def find_policy(reader: Reader, account_id: str, policy_arn: str) -> ManagedPolicy:
    """A managed policy of the account or of AWS."""
    parsed = parse_arn(policy_arn)
    if parsed is None or parsed.service != "iam" or parsed.resource_type != "policy":
        raise InvalidInput(f"ARN {policy_arn} is not valid.")
    policy = aws_managed.POLICIES.get(policy_arn) or reader.get(MANAGED_POLICIES, policy_arn)
    if policy is None or policy.account_id not in (account_id, aws_managed.ACCOUNT):
        raise NoSuchEntity(f"Policy {policy_arn} was not found.")
    return policy


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


# ── what requests bring ──────────────────────────────────────────────────────────────────────────────────────────────


def checked_document(document: str) -> str:
    """An identity policy's document as sent, once it is known to be one; raises MalformedPolicyDocument."""
    try:
        compile_policy(document)
    except MalformedPolicy as error:
        raise MalformedPolicyDocument(str(error)) from error
    return document


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
    return tags


def new_id(ids: Ids, prefix: str, length: int) -> str:
    """`prefix` and capital letters and digits up to `length`: AIDA…, AKIA…, ANPA…"""
    missing = length - len(prefix)
    return prefix + base64.b32encode(bytes.fromhex(ids.hex(2 * missing))).decode()[:missing]


def new_secret(ids: Ids) -> str:
    """40 characters of base 64."""
    return base64.b64encode(bytes.fromhex(ids.hex(60))).decode()
