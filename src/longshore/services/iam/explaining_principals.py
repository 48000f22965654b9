"""Whom, and what, a question means: principals and resources as people name them, and the policies that are heard about them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from longshore.aws.arn import parse_arn
from longshore.services.call import Call, Principal, Session
from longshore.services.iam import aws_managed
from longshore.services.iam.deciding import Deciding
from longshore.services.iam.dry_run_changes import Source, standing_of
from longshore.services.iam.errors import InvalidInput, NoSuchEntity
from longshore.services.iam.explaining import Voice
from longshore.services.iam.identities import default_document, root_principal, tag_pairs
from longshore.services.iam.model import ACCESS_KEYS, ROLES, USERS, Role, User, root_arn, user_key
from longshore.services.iam.policy import compile_policy
from longshore.store.base import Reader

#: of a role's session that nobody named
ANY_SESSION = "any-session"
_KEY_ID = re.compile(r"A(KIA|SIA)[A-Z0-9]{12,124}")
_SHORT = re.compile(r"(user|role)/(.+)")
#: the service that ARNs name, by the prefix of actions, where they differ
_SERVICES = {"sts": "iam"}
_GLOBAL = frozenset({"iam"})


def identity_named(call: Call, text: str, account_id: str) -> str:
    """The ARN of the user, role or root that `text` means, whether or not it is there; `*` for what means nobody. For authorisation."""
    if text == "me":
        return call.principal.identity_arn
    if text == "root":
        return root_arn(account_id)
    if found := _SHORT.fullmatch(text):
        return _by_name(call, found[1], found[2], account_id)
    if _KEY_ID.fullmatch(text):
        key = call.store.get(ACCESS_KEYS, text)
        if key is not None and key.account_id == call.account_id:
            return key.principal_arn
        return call.principal.identity_arn if text == call.principal.access_key_id else "*"
    parsed = parse_arn(text)
    if parsed is None:
        return "*"
    if parsed.service == "sts" and parsed.resource.startswith("assumed-role/"):
        return _by_name(call, "role", parsed.resource.split("/")[1], parsed.account_id)
    return text


def _by_name(call: Call, word: str, name: str, account_id: str) -> str:
    """With its path, where it is known here and may be."""
    key = user_key(account_id, name.rpartition("/")[2])
    if speaks_for(call, account_id):
        entity: User | Role | None = call.store.get(USERS, key) if word == "user" else call.store.get(ROLES, key)
        if entity is not None:
            return entity.arn
    return f"arn:aws:iam::{account_id}:{word}/{name}"


def speaks_for(call: Call, account_id: str) -> bool:
    """Whether the caller may be told of what the account has: its own, and to the installation's account everybody's."""
    return account_id == call.account_id or call.account_id == call.site.account_id


def principal_named(call: Call, text: str, account_id: str) -> Principal:
    """Raises NoSuchEntity and InvalidInput."""
    if text in ("me", call.principal.access_key_id):
        return call.principal
    arn = identity_named(call, text, account_id)
    if arn == "*" and _KEY_ID.fullmatch(text):
        raise NoSuchEntity(f"There is no access key {text} here. Sessions are not kept: ask about the role.")
    if arn == call.principal.arn:
        return call.principal
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != "iam" or parsed.resource_type not in ("user", "role", "root"):
        raise InvalidInput(f"{text} names no user, no role, no session, no access key and no root user.")
    if parsed.resource == "root":
        return root_principal(parsed.account_id, "")
    is_known = speaks_for(call, parsed.account_id)
    asked = parse_arn(text)
    session_name = asked.resource.rpartition("/")[2] if asked is not None and asked.service == "sts" else ANY_SESSION
    if users := call.store.list(USERS, "arn", arn):
        return _user(users[0]) if is_known else Principal(parsed.account_id, arn, users[0].user_id, "")
    if roles := call.store.list(ROLES, "arn", arn):
        made = _session(roles[0], session_name)
        return made if is_known else replace(made, tags=())
    if is_known:
        raise NoSuchEntity(f"There is no user or role {arn}.")
    # Whether another account has somebody of that name is not to be read off the answer.
    if parsed.resource_type == "user":
        return Principal(parsed.account_id, arn, "", "")
    name = parsed.resource.rpartition("/")[2]
    session = Session(arn, "", 0.0, 0.0, "")
    return Principal(parsed.account_id, f"arn:aws:sts::{parsed.account_id}:assumed-role/{name}/{session_name}", "", "", session=session)


def _user(user: User) -> Principal:
    return Principal(user.account_id, user.arn, user.user_id, "", tags=tag_pairs(user.tags))


def _session(role: Role, name: str) -> Principal:
    arn = f"arn:aws:sts::{role.account_id}:assumed-role/{role.name}/{name}"
    session = Session(role.arn, role.role_id, 0.0, 0.0, "")
    return Principal(role.account_id, arn, f"{role.role_id}:{name}", "", tags=tag_pairs(role.tags), session=session)


def resource_named(call: Call, text: str, action: str, account_id: str) -> str:
    """An ARN, or `*`, of what may be written short: `cluster/edge` of the action's own service, in this Region."""
    if text == "*" or text.startswith("arn:"):
        return text
    service = _SERVICES.get(action.partition(":")[0], action.partition(":")[0])
    if action.lower() == "iam:passrole":
        service = "iam"
    if service == "iam" and (found := _SHORT.fullmatch(text)):
        return identity_named(call, f"{found[1]}/{found[2]}", account_id)
    return f"arn:aws:{service}:{'' if service in _GLOBAL else call.region}:{account_id}:{text}"


# ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────────


def voices_of(reader: Reader, deciding: Deciding, principal: Principal, action: str, resource: str) -> tuple[tuple[Voice, ...], bool]:
    """Every policy that has a say, in order; and whether there is a boundary."""
    standing = standing_of(reader, principal.identity_arn)
    heard = deciding.heard(principal, action, resource)
    named = deciding.named(resource)
    voices = [Voice("identity", source, source.policy) for source in standing.sources]
    for number, policy in enumerate(heard.its):
        known = named[number] if number < len(named) else None
        source = Source(
            "resource",
            known.name if known is not None else "resource policy",
            "",
            known.arn if known is not None else resource,
            known.document if known is not None else policy.document,
            resource_based=True,
        )
        voices.append(Voice("resource", source, policy))
    if standing.boundary is not None:
        document = standing.boundary.document
        voices.append(Voice("boundary", standing.boundary, compile_policy(document) if document else None))
    if principal.session is not None and principal.session.policies is not None:
        voices += [Voice("session", source, source.policy) for source in _session_sources(reader, principal, principal.session)]
    return tuple(voices), standing.boundary is not None


def _session_sources(reader: Reader, principal: Principal, session: Session) -> Iterable[Source]:
    for number, document in enumerate(session.policies or (), 1):
        yield Source("session", f"session policy {number}", "", principal.arn, document)
    for policy_arn in session.policy_arns:
        document = default_document(reader, policy_arn) or ""
        if document:
            kind = "aws-managed" if policy_arn in aws_managed.POLICIES else "session"
            yield Source(kind, policy_arn.rpartition("/")[2], policy_arn, principal.arn, document)
