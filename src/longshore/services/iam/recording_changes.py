"""What a request says would change, checked against what there is. Whatever a change stands on (the document of a policy that would be
attached) is taken as it is at that moment."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.errors import Validation
from longshore.services.call import Call
from longshore.services.iam import recording_shapes as shapes
from longshore.services.iam.errors import LimitExceeded, NoSuchEntity
from longshore.services.iam.holders import MOST_INLINE
from longshore.services.iam.identities import default_document
from longshore.services.iam.lookup import (
    checked_document,
    find_group,
    find_own_policy,
    find_policy,
    find_role,
    find_user,
    size_of,
)
from longshore.services.iam.model import ATTACHMENTS, INLINE_POLICIES, attachment_key, inline_policy_key
from longshore.services.iam.recording_model import Change
from longshore.store.base import Reader

#: what each kind of change needs, beside its holder
_NEEDS = {
    "put": {"policy_name", "policy_document"},
    "delete": {"policy_name"},
    "attach": {"policy_arn"},
    "detach": {"policy_arn"},
    "version": {"policy_arn", "policy_document"},
    "boundary": set(),
}
_MEMBERS = ("policy_name", "policy_arn", "policy_document")
#: characters of a document, which is no longer than any that can be put: whoever records has every call decided by it
_LONGEST = max(MOST_INLINE.values())
_WIRE = {"policy_name": "PolicyName", "policy_arn": "PolicyArn", "policy_document": "PolicyDocument"}


def checked_changes(call: Call, asked: Iterable[shapes.Change]) -> tuple[Change, ...]:
    """Raises Validation, NoSuchEntity, MalformedPolicyDocument and LimitExceeded."""
    changes: list[Change] = []
    for one in asked:
        change = _checked(call.store, call.account_id, one)
        _check_there(call.store, change, changes)
        changes.append(change)
    return tuple(changes)


def _check_there(reader: Reader, change: Change, before: Iterable[Change]) -> None:
    """What is to be taken away: a name that is none would break nothing, and say so."""
    added = {(one.action, one.holder_arn, one.policy_name or one.policy_arn) for one in before}
    match change.action:
        case "delete" if ("put", change.holder_arn, change.policy_name) not in added:
            if reader.get(INLINE_POLICIES, inline_policy_key(change.holder_arn, change.policy_name)) is None:
                raise NoSuchEntity(f"{change.holder_arn} has no policy {change.policy_name} of its own.")
        case "detach" if ("attach", change.holder_arn, change.policy_arn) not in added:
            if reader.get(ATTACHMENTS, attachment_key(change.holder_arn, change.policy_arn)) is None:
                raise NoSuchEntity(f"Policy {change.policy_arn} is not attached to {change.holder_arn}.")


def _checked(reader: Reader, account_id: str, asked: shapes.Change) -> Change:
    given = {member for member in _MEMBERS if getattr(asked, member) is not None}
    needed = _NEEDS[asked.action]
    if missing := sorted(needed - given):
        raise Validation(f"A change of kind {asked.action} needs {' and '.join(_WIRE[member] for member in missing)}.")
    allowed = {"policy_arn", "policy_document"} if asked.action == "boundary" else needed
    if strange := sorted(given - allowed):
        raise Validation(f"A change of kind {asked.action} takes no {' and no '.join(_WIRE[member] for member in strange)}.")
    document = checked_document(asked.policy_document) if asked.policy_document is not None else ""
    if size_of(document) > _LONGEST:
        raise LimitExceeded(f"Cannot exceed quota for PolicySize: {_LONGEST}")
    policy_arn = asked.policy_arn or ""
    if asked.action == "version":
        policy_arn = find_own_policy(reader, account_id, policy_arn).arn
    elif policy_arn:
        policy_arn = find_policy(reader, account_id, policy_arn).arn
        document = document or default_document(reader, policy_arn) or ""
    return Change(asked.action, _holder(reader, account_id, asked), asked.policy_name or "", policy_arn, document)


def _holder(reader: Reader, account_id: str, asked: shapes.Change) -> str:
    named = [name for name in (asked.user_name, asked.group_name, asked.role_name) if name is not None]
    if asked.action == "version":
        if named:
            raise Validation("A change of a managed policy is one for everybody who has it: it takes no user, group or role.")
        return ""
    if len(named) != 1:
        raise Validation("A change is about one user, one group or one role.")
    if asked.user_name is not None:
        return find_user(reader, account_id, asked.user_name).arn
    if asked.role_name is not None:
        return find_role(reader, account_id, asked.role_name).arn
    if asked.action == "boundary":
        raise Validation("Groups have no permissions boundary.")
    return find_group(reader, account_id, named[0]).arn
