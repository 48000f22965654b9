"""Policy documents: read once, refused with a reason or compiled into statements that can be asked quickly.

The grammar is IAM's (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html). A document is
either identity-based (no Principal, every statement names resources) or resource-based (a Principal; Resource optional, as
in repository policies).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from longshore.kit.weighted import Weighted
from longshore.services.iam.conditions import BadCondition, Condition, check_operator, compile_condition
from longshore.services.iam.document import (
    INVALID_JSON,
    SYNTAX,
    Path,
    Place,
    Position,
    find,
    shown_path,
    statement_places,
)
from longshore.services.iam.glob import Globs

CURRENT_VERSION = "2012-10-17"
_VERSIONS = (CURRENT_VERSION, "2008-10-17")
_ELEMENTS = frozenset({"Version", "Id", "Statement"})
_STATEMENT_ELEMENTS = frozenset(
    {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition", "Principal", "NotPrincipal"}
)
_PRINCIPAL_TYPES = frozenset({"AWS", "Service", "Federated", "CanonicalUser"})
_VENDOR = re.compile(r"[A-Za-z0-9*?-]+")
_SID = re.compile(r"[0-9A-Za-z]*")
_PARTITION = re.compile(r"aws(-[a-z0-9-]+)?|[*]")
_ACCOUNT = re.compile(r"[0-9]{12}")
#: of a user, a role, …: AIDA…, AROA…
_UNIQUE_ID = re.compile(r"A[A-Z]{2}A[A-Z0-9]{12,124}")

#: actions of which one policy remembers the statements
_MOST_ACTIONS = 32
_MOST_REPEATED = 200
#: bytes of compiled policies kept
_MOST_COMPILED = 96 * 1024 * 1024

_NO_VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
_NO_PRINCIPAL = "Invalid principal in policy"

#: how the names of condition keys begin that are the same for the same principal, resource and connection until something is written
_LASTING = (
    *("aws:sourceip", "aws:securetransport", "aws:useragent", "aws:requestedregion", "aws:resourcetag/", "ecr:resourcetag/"),
    *("aws:username", "aws:userid", "aws:principalarn", "aws:principalaccount", "aws:principaltype"),
)


class MalformedPolicy(ValueError):
    """A policy document that cannot stand; the text says why, in IAM's words, and where."""

    def __init__(self, words: str, path: Path = (), position: Position | None = None) -> None:
        super().__init__(words)
        #: the reason alone
        self.words = words
        #: to the element that is wrong
        self.path = path
        #: of that element in the document as written; None until somebody has looked
        self.position = position

    def __str__(self) -> str:
        if self.position is None:
            return self.words
        at = f" at {shown_path(self.path)}" if self.path else ""
        return f"{self.words} (line {self.position.line}, column {self.position.column}{at})"


@dataclass(frozen=True, slots=True, eq=False)
class Principals:
    """Whom a resource-based statement speaks of."""

    everyone: bool
    #: account ids named whole
    accounts: frozenset[str]
    #: users, roles, sessions named by ARN, or by their unique ids
    arns: frozenset[str]
    #: by the names they act under, such as ecs-tasks.amazonaws.com
    services: frozenset[str] = frozenset()
    #: identity providers by ARN, or by name
    federated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Statement:
    sid: str
    allows: bool
    actions: Globs
    not_action: bool
    #: None in a resource-based policy that speaks of the resource it is attached to
    resources: Globs | None
    not_resource: bool
    principals: Principals | None
    not_principal: bool
    conditions: tuple[Condition, ...]
    #: which of its document's it is, counted from 0
    index: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A compiled document."""

    statements: tuple[Statement, ...]
    #: what it says follows from principal, action and resource alone: no statement has a condition or a variable
    is_constant: bool
    #: what it says may hang on the request's other circumstances, and does not change by itself as time goes by
    is_timeless: bool
    #: as written
    document: str = ""
    #: action in lower case -> `about` it, kept
    _about: dict[str, tuple[Statement, ...]] = field(default_factory=dict, init=False, repr=False)

    def about(self, action: str) -> tuple[Statement, ...]:
        """The statements that speak of an action, which is in lower case. There are few actions, and most statements speak of others."""
        found = self._about.get(action)
        if found is None:
            found = tuple(one for one in self.statements if one.actions.match_folded(action) is not one.not_action)
            if len(self._about) >= _MOST_ACTIONS:
                self._about.clear()
            self._about[action] = found
        return found

    @property
    def places(self) -> tuple[Place, ...]:
        """Where each statement stands, by its index; nothing where the document cannot be read so closely."""
        return statement_places(self.document)


def _weight(key: tuple[str, bool], policy: Policy) -> int:
    """About what a compiled policy takes, in bytes: most of it is what was made of every string."""
    return 8 * len(key[0]) + 150 * key[0].count('"')


_compiled_before: Weighted[tuple[str, bool], Policy] = Weighted(_MOST_COMPILED, _weight)


def compile_policy(document: str, *, resource_based: bool = False) -> Policy:
    """Read a policy document, once as long as it is asked about; raises MalformedPolicy."""
    key = (document, resource_based)
    policy = _compiled_before.get(key)
    if policy is None:
        try:
            policy = _compiled(document, resource_based)
        except MalformedPolicy as error:
            raise MalformedPolicy(error.words, *find(document, error.path)) from error
        _compiled_before.put(key, policy)
    return policy


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _compiled(document: str, resource_based: bool) -> Policy:
    try:
        read = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise MalformedPolicy(INVALID_JSON) from error
    if not isinstance(read, dict) or "Statement" not in read:
        raise MalformedPolicy(SYNTAX)
    for element in read:
        if element not in _ELEMENTS:
            raise MalformedPolicy(SYNTAX, (element,))
    version = read.get("Version", "2008-10-17")
    if version not in _VERSIONS:
        raise MalformedPolicy(SYNTAX, ("Version",))
    if not isinstance(read.get("Id", ""), str):
        raise MalformedPolicy(SYNTAX, ("Id",))
    if version != CURRENT_VERSION and not resource_based:
        raise MalformedPolicy(f"Policy document must be version {CURRENT_VERSION} or greater.", ("Version",))
    raw = read["Statement"] if isinstance(read["Statement"], list) else [read["Statement"]]
    if not raw:
        raise MalformedPolicy(SYNTAX, ("Statement",))
    statements = tuple(_statement(one, number, version == CURRENT_VERSION, resource_based) for number, one in enumerate(raw))
    _check_sids(statements)
    varies = any(statement.resources is not None and statement.resources.has_variables for statement in statements)
    return Policy(
        statements,
        is_constant=not varies and not any(statement.conditions for statement in statements),
        is_timeless=not varies and all(_is_timeless(condition) for statement in statements for condition in statement.conditions),
        document=document,
    )


def _check_sids(statements: Sequence[Statement]) -> None:
    seen: set[str] = set()
    for statement in statements:
        if statement.sid in seen:
            raise MalformedPolicy("Statement IDs (SID) in a single policy must be unique.", ("Statement", statement.index, "Sid"))
        if statement.sid:
            seen.add(statement.sid)


def _is_timeless(condition: Condition) -> bool:
    """Whether a condition asks only for what is known to stay. Variables might name anything."""
    return condition.key.startswith(_LASTING) and not any("${" in value for value in condition.values)


def _statement(raw: Any, number: int, variables: bool, resource_based: bool) -> Statement:
    at: Path = ("Statement", number)
    if not isinstance(raw, dict):
        raise MalformedPolicy(SYNTAX, at)
    for element in raw:
        if element not in _STATEMENT_ELEMENTS:
            raise MalformedPolicy(SYNTAX, (*at, element))
    if raw.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicy(SYNTAX, (*at, "Effect"))
    sid = raw.get("Sid", "")
    if not isinstance(sid, str):
        raise MalformedPolicy(SYNTAX, (*at, "Sid"))
    if not resource_based and not _SID.fullmatch(sid):
        words = "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
        raise MalformedPolicy(words, (*at, "Sid"))
    for element in ("Action", "Resource", "Principal"):
        if element in raw and f"Not{element}" in raw:
            raise MalformedPolicy(SYNTAX, (*at, f"Not{element}"))
    return Statement(
        sid=sid,
        allows=raw["Effect"] == "Allow",
        actions=Globs(_actions(raw, at), ignore_case=True),
        not_action="NotAction" in raw,
        resources=_resources(raw, at, variables, resource_based),
        not_resource="NotResource" in raw,
        principals=_principals(raw, at, resource_based),
        not_principal="NotPrincipal" in raw,
        conditions=_conditions(raw.get("Condition", {}), (*at, "Condition"), variables),
        index=number,
    )


def texts_of(value: Any, at: Path) -> list[str]:
    """One string or a list of them."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        raise MalformedPolicy(SYNTAX, at)
    for number, text in enumerate(value):
        if not isinstance(text, str):
            raise MalformedPolicy(SYNTAX, (*at, number))
    return value


def _actions(raw: dict[str, Any], at: Path) -> list[str]:
    element = "NotAction" if "NotAction" in raw else "Action"
    at = (*at, element)
    actions = texts_of(raw.get(element, []), at)
    if not actions:
        raise MalformedPolicy("Policy statement must contain actions.", at)
    for number, action in enumerate(actions):
        vendor, colon, name = action.partition(":")
        if action == "*":
            continue
        if not colon or not name:
            raise MalformedPolicy(_NO_VENDOR, (*at, number))
        if ":" in name:
            raise MalformedPolicy("Actions/Condition can contain only one colon.", (*at, number))
        if not _VENDOR.fullmatch(vendor):
            raise MalformedPolicy(f"Vendor {_short(vendor)} is not valid", (*at, number))
    return actions


def _resources(raw: dict[str, Any], at: Path, variables: bool, resource_based: bool) -> Globs | None:
    if "Resource" not in raw and "NotResource" not in raw:
        if resource_based:
            return None
        raise MalformedPolicy("Policy statement must contain resources.", at)
    element = "NotResource" if "NotResource" in raw else "Resource"
    at = (*at, element)
    resources = texts_of(raw[element], at)
    if not resources:
        raise MalformedPolicy("Policy statement must contain resources.", at)
    for number, resource in enumerate(resources):
        reason = why_no_resource(resource, whole=resource_based)
        if reason:
            raise MalformedPolicy(reason, (*at, number))
    return Globs([_completed(resource) for resource in resources], variables=variables)


def _short(text: str) -> str:
    """As refusals repeat it."""
    return text if len(text) <= _MOST_REPEATED else text[: _MOST_REPEATED - 3] + "..."


def _completed(resource: str) -> str:
    """What an ARN lacks at its end may be anything: arn:aws:sqs stands for arn:aws:sqs:*:*:*."""
    missing = 5 - resource.count(":")
    return (
        resource + missing * ":*"
        if missing > 0 and resource.startswith("arn:") and "*" not in resource and "$" not in resource
        else resource
    )


def why_no_resource(resource: str, *, whole: bool) -> str:
    """What is wrong with one; empty where nothing is. `whole`: an ARN must have all its parts, or `*`."""
    if resource == "*" or resource.startswith("${"):
        return ""
    parts = resource.split(":", 5)
    if parts[0] not in ("arn", "*"):
        return f'Resource {_short(resource)} must be in ARN format or "*".'
    if parts[0] == "arn":
        if len(parts) < 2 or not (_PARTITION.fullmatch(parts[1]) or "$" in parts[1]):
            partition = parts[1] if len(parts) > 1 else ""
            return f'Partition "{_short(partition)}" is not valid for resource "{_short(resource)}".'
        if len(parts) < 3 or not parts[2]:
            return "Resource vendor must be fully qualified and cannot contain regexes."
        if whole and len(parts) < 6 and "*" not in resource:
            return f'Resource {_short(resource)} must be in ARN format or "*".'
    return ""


def _principals(raw: dict[str, Any], at: Path, resource_based: bool) -> Principals | None:
    if "Principal" not in raw and "NotPrincipal" not in raw:
        if resource_based:
            raise MalformedPolicy("Missing required field Principal", at)
        return None
    element = "NotPrincipal" if "NotPrincipal" in raw else "Principal"
    at = (*at, element)
    if not resource_based:
        raise MalformedPolicy("Policy document should not specify a principal.", at)
    named = raw[element]
    if named == "*":
        return Principals(True, frozenset(), frozenset())
    if not isinstance(named, dict) or not named:
        raise MalformedPolicy(_NO_PRINCIPAL, at)
    texts = {}
    for kind, value in named.items():
        if kind not in _PRINCIPAL_TYPES:
            raise MalformedPolicy(_NO_PRINCIPAL, (*at, kind))
        texts[kind] = texts_of(value, (*at, kind))
        for number, text in enumerate(texts[kind]):
            if not text or (kind == "AWS" and not _is_principal(text)):
                raise MalformedPolicy(_NO_PRINCIPAL, (*at, kind, number))
    aws = texts.get("AWS", [])
    return Principals(
        "*" in aws,
        accounts=frozenset(account for account in map(_account_of, aws) if account),
        arns=frozenset(text for text in aws if text != "*" and not _account_of(text)),
        services=frozenset(texts.get("Service", [])),
        federated=frozenset(texts.get("Federated", [])),
    )


def _is_principal(text: str) -> bool:
    return text == "*" or text.startswith("arn:") or bool(_ACCOUNT.fullmatch(text)) or bool(_UNIQUE_ID.fullmatch(text))


def _account_of(text: str) -> str:
    """The account that `text` names whole, by id or by its root; empty otherwise."""
    if _ACCOUNT.fullmatch(text):
        return text
    parts = text.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[5] == "root" and _ACCOUNT.fullmatch(parts[4]) else ""


def _conditions(raw: Any, at: Path, variables: bool) -> tuple[Condition, ...]:
    if not isinstance(raw, dict):
        raise MalformedPolicy(SYNTAX, at)
    compiled = []
    for name, block in raw.items():
        try:
            check_operator(name)
        except BadCondition as error:
            raise MalformedPolicy(str(error), (*at, name)) from error
        if not isinstance(block, dict):
            raise MalformedPolicy(SYNTAX, (*at, name))
        for key, values in block.items():
            here: Path = (*at, name, key)
            if ":" not in key:
                raise MalformedPolicy(_NO_VENDOR, here)
            try:
                compiled.append(compile_condition(name, key, _condition_values(values, here), variables=variables))
            except BadCondition as error:
                raise MalformedPolicy(str(error), here) from error
    return tuple(compiled)


def _condition_values(values: Any, at: Path) -> Sequence[str]:
    """Numbers and booleans may stand unquoted."""
    listed = values if isinstance(values, list) else [values]
    texts = []
    for number, value in enumerate(listed):
        if isinstance(value, bool):
            texts.append("true" if value else "false")
        elif isinstance(value, (str, int, float)):
            texts.append(str(value))
        else:
            raise MalformedPolicy(SYNTAX, (*at, number))
    return texts
