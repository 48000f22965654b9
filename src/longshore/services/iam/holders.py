"""Who holds policies: users, groups and roles, each with policies written into it and managed policies attached to it.

The operations of the three differ in nothing but whom they name; what they do is here, inside the transaction of theirs.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from longshore.aws.shapes import iam as shapes
from longshore.services.call import Call
from longshore.services.iam.errors import DeleteConflict, LimitExceeded, NoSuchEntity, no_such_policy
from longshore.services.iam.lookup import find_policy, size_of
from longshore.services.iam.model import (
    ATTACHMENTS,
    INLINE_POLICIES,
    Attachment,
    Group,
    InlinePolicy,
    Role,
    User,
    attachment_key,
    inline_policy_key,
)
from longshore.services.iam.paging import Page, paged
from longshore.store.base import Reader, Tx

#: characters without white space, over all policies written into one
MOST_INLINE = {"user": 2048, "group": 5120, "role": 10240}
_MOST_ATTACHED = 10


class Holder(NamedTuple):
    arn: str
    name: str
    #: as refusals call it
    word: Literal["user", "group", "role"]


def holder(entity: User | Group | Role) -> Holder:
    word: Literal["user", "group", "role"] = "user" if isinstance(entity, User) else "group" if isinstance(entity, Group) else "role"
    return Holder(entity.arn, entity.name, word)


# ── inline ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def find_inline(reader: Reader, owner: Holder, name: str) -> InlinePolicy:
    policy = reader.get(INLINE_POLICIES, inline_policy_key(owner.arn, name))
    if policy is None:
        raise NoSuchEntity(f"The {owner.word} policy with name {name} cannot be found.")
    return policy


def put_inline(tx: Tx, owner: Holder, name: str, document: str) -> None:
    others = [policy for policy in tx.list(INLINE_POLICIES, "owner", owner.arn) if policy.name != name]
    most = MOST_INLINE[owner.word]
    if size_of(document) + sum(size_of(policy.document) for policy in others) > most:
        raise LimitExceeded(f"Maximum policy size of {most} bytes exceeded for {owner.word} {owner.name}")
    tx.put(INLINE_POLICIES, InlinePolicy(owner.arn, name, document))


def delete_inline(tx: Tx, owner: Holder, name: str) -> None:
    tx.delete(INLINE_POLICIES, INLINE_POLICIES.key(find_inline(tx, owner, name)))


def inline_names(call: Call, operation: str, owner: Holder, marker: str | None, max_items: int | None) -> Page[InlinePolicy]:
    return paged(
        call,
        (operation, owner.arn),
        marker,
        max_items,
        lambda after, limit: call.store.list(INLINE_POLICIES, "owner", owner.arn, after=after, limit=limit),
        INLINE_POLICIES.key,
    )


# ── attached ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def attach(tx: Tx, account_id: str, owner: Holder, policy_arn: str) -> None:
    """Does nothing when it is attached already."""
    try:
        policy = find_policy(tx, account_id, policy_arn)
    except NoSuchEntity:
        raise no_such_policy(policy_arn) from None
    attachment = Attachment(policy.arn, owner.arn, account_id)
    if tx.get(ATTACHMENTS, attachment.key) is not None:
        return
    if tx.count(ATTACHMENTS, "owner", owner.arn) >= _MOST_ATTACHED:
        raise LimitExceeded(f"Cannot exceed quota for PoliciesPer{owner.word.capitalize()}: {_MOST_ATTACHED}")
    tx.create(ATTACHMENTS, attachment)


def detach(tx: Tx, owner: Holder, policy_arn: str) -> None:
    key = attachment_key(owner.arn, policy_arn)
    if tx.get(ATTACHMENTS, key) is None:
        raise NoSuchEntity(f"Policy {policy_arn} was not found.")
    tx.delete(ATTACHMENTS, key)


def attached_page(
    call: Call, operation: str, owner: Holder, path_prefix: str | None, marker: str | None, max_items: int | None
) -> Page[Attachment]:
    prefix = path_prefix or "/"
    return paged(
        call,
        (operation, owner.arn, prefix),
        marker,
        max_items,
        lambda after, limit: call.store.list(ATTACHMENTS, "owner", owner.arn, after=after, limit=limit),
        lambda attachment: attachment.key,
        keep=lambda attachment: find_policy(call.store, call.account_id, attachment.policy_arn).path.startswith(prefix),
    )


def attached_shapes(attachments: list[Attachment]) -> tuple[shapes.AttachedPolicy, ...]:
    return tuple(
        shapes.AttachedPolicy(policy_name=attachment.policy_arn.rpartition("/")[2], policy_arn=attachment.policy_arn)
        for attachment in attachments
    )


# ── moving and going ─────────────────────────────────────────────────────────────────────────────────────────────────


def move_policies(tx: Tx, old_arn: str, new_arn: str) -> None:
    """What is written into a holder or attached to it follows it to its new name."""
    for inline in tx.list(INLINE_POLICIES, "owner", old_arn):
        tx.delete(INLINE_POLICIES, INLINE_POLICIES.key(inline))
        tx.put(INLINE_POLICIES, msgspec.structs.replace(inline, owner_arn=new_arn))
    for attachment in tx.list(ATTACHMENTS, "owner", old_arn):
        tx.delete(ATTACHMENTS, attachment.key)
        tx.put(ATTACHMENTS, msgspec.structs.replace(attachment, owner_arn=new_arn))


def check_holds_nothing(reader: Reader, arn: str) -> None:
    """What still holds policies is not deleted; raises DeleteConflict."""
    if reader.count(ATTACHMENTS, "owner", arn):
        raise DeleteConflict("Cannot delete entity, must detach all policies first.")
    if reader.count(INLINE_POLICIES, "owner", arn):
        raise DeleteConflict("Cannot delete entity, must delete policies first.")
