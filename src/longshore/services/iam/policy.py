"""Policy documents: read once, refused with a reason or compiled into statements that can be asked quickly.

The grammar is IAM's (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html). A document is
either identity-based (no Principal, every statement names resources) or resource-based (a Principal; Resource optional, as
in repository policies).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from longshore.services.iam.conditions import BadCondition, Condition, compile_condition
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
#: what a trust policy may speak of
_TAKING_ON = re.compile(r"sts:(AssumeRole(With(SAML|WebIdentity))?|TagSession|SetSourceIdentity|SetContext|[*])", re.IGNORECASE)
#: of a user, a role, …: AIDA…, AROA…
_UNIQUE_ID = re.compile(r"A[A-Z]{2}A[A-Z0-9]{12,124}")


#: how the names of condition keys begin that are the same for the same principal, resource and connection until something is written
_LASTING = (
    *("aws:sourceip", "aws:securetransport", "aws:useragent", "aws:requestedregion", "aws:resourcetag/", "ecr:resourcetag/"),
    *("aws:username", "aws:userid", "aws:principalarn", "aws:principalaccount", "aws:principaltype"),
)


class MalformedPolicy(ValueError):
    """A policy document that cannot stand; the text says why, in IAM's words."""


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


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """A compiled document."""

    statements: tuple[Statement, ...]
    #: what it says follows from principal, action and resource alone: no statement has a condition or a variable
    is_constant: bool
    #: what it says may hang on the request's other circumstances, and does not change by itself as time goes by
    is_timeless: bool


@lru_cache(maxsize=4096)
def compile_policy(document: str, *, resource_based: bool = False) -> Policy:
    """Read a policy document; raises MalformedPolicy."""
    try:
        read = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise MalformedPolicy("This policy contains invalid Json") from error
    if not isinstance(read, dict) or not set(read) <= _ELEMENTS or "Statement" not in read:
        raise MalformedPolicy("Syntax errors in policy.")
    version = read.get("Version", "2008-10-17")
    if version not in _VERSIONS or not isinstance(read.get("Id", ""), str):
        raise MalformedPolicy("Syntax errors in policy.")
    if version != CURRENT_VERSION and not resource_based:
        raise MalformedPolicy(f"Policy document must be version {CURRENT_VERSION} or greater.")
    raw = read["Statement"] if isinstance(read["Statement"], list) else [read["Statement"]]
    if not raw:
        raise MalformedPolicy("Syntax errors in policy.")
    statements = tuple(_statement(one, version == CURRENT_VERSION, resource_based) for one in raw)
    sids = [statement.sid for statement in statements if statement.sid]
    if len(sids) != len(set(sids)):
        raise MalformedPolicy("Statement IDs (SID) in a single policy must be unique.")
    varies = any(statement.resources is not None and statement.resources.has_variables for statement in statements)
    return Policy(
        statements,
        is_constant=not varies and not any(statement.conditions for statement in statements),
        is_timeless=not varies and all(_is_timeless(one) for one in raw),
    )


def check_trust(document: str) -> None:
    """Whether a document may be a role's trust policy: about taking the role on, and about nothing else. Raises MalformedPolicy."""
    policy = compile_policy(document, resource_based=True)
    raw = msgspec.json.decode(document)["Statement"]
    for statement, written in zip(policy.statements, raw if isinstance(raw, list) else [raw], strict=True):
        if statement.resources is not None:
            raise MalformedPolicy(f"Has prohibited field {'NotResource' if statement.not_resource else 'Resource'}")
        if statement.not_action or not all(_TAKING_ON.fullmatch(action) for action in _texts(written["Action"])):
            raise MalformedPolicy("AssumeRole policy may only specify STS AssumeRole actions.")
        if statement.not_principal and statement.allows:
            raise MalformedPolicy("Allow with NotPrincipal is not supported in the trust policy of a role.")


def _is_timeless(raw: dict[str, Any]) -> bool:
    """Whether a statement, which is well-formed, asks only for what is known to stay. Variables might name anything."""
    return all(
        key.lower().startswith(_LASTING) and not any("${" in value for value in _condition_values(values))
        for block in raw.get("Condition", {}).values()
        for key, values in block.items()
    )


def _statement(raw: Any, variables: bool, resource_based: bool) -> Statement:
    if not isinstance(raw, dict) or not set(raw) <= _STATEMENT_ELEMENTS or raw.get("Effect") not in ("Allow", "Deny"):
        raise MalformedPolicy("Syntax errors in policy.")
    sid = raw.get("Sid", "")
    if not isinstance(sid, str):
        raise MalformedPolicy("Syntax errors in policy.")
    if not resource_based and not _SID.fullmatch(sid):
        raise MalformedPolicy(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
        )
    for element in ("Action", "Resource", "Principal"):
        if element in raw and f"Not{element}" in raw:
            raise MalformedPolicy("Syntax errors in policy.")
    return Statement(
        sid=sid,
        allows=raw["Effect"] == "Allow",
        actions=Globs(_actions(raw), ignore_case=True),
        not_action="NotAction" in raw,
        resources=_resources(raw, variables, resource_based),
        not_resource="NotResource" in raw,
        principals=_principals(raw, resource_based),
        not_principal="NotPrincipal" in raw,
        conditions=_conditions(raw.get("Condition", {}), variables),
    )


def _texts(value: Any) -> list[str]:
    """One string or a list of them."""
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise MalformedPolicy("Syntax errors in policy.")
    return texts


def _actions(raw: dict[str, Any]) -> list[str]:
    actions = _texts(raw.get("Action", raw.get("NotAction", [])))
    if not actions:
        raise MalformedPolicy("Policy statement must contain actions.")
    for action in actions:
        vendor, colon, name = action.partition(":")
        if action == "*":
            continue
        if not colon or not name:
            raise MalformedPolicy("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
        if ":" in name:
            raise MalformedPolicy("Actions/Condition can contain only one colon.")
        if not _VENDOR.fullmatch(vendor):
            raise MalformedPolicy(f"Vendor {vendor} is not valid")
    return actions


def _resources(raw: dict[str, Any], variables: bool, resource_based: bool) -> Globs | None:
    if "Resource" not in raw and "NotResource" not in raw:
        if resource_based:
            return None
        raise MalformedPolicy("Policy statement must contain resources.")
    resources = _texts(raw.get("Resource", raw.get("NotResource")))
    if not resources:
        raise MalformedPolicy("Policy statement must contain resources.")
    for resource in resources:
        _check_resource(resource)
    return Globs(resources, variables=variables)


def _check_resource(resource: str) -> None:
    if resource == "*" or resource.startswith("${"):
        return
    parts = resource.split(":", 5)
    if parts[0] not in ("arn", "*"):
        raise MalformedPolicy(f'Resource {resource} must be in ARN format or "*".')
    if parts[0] == "arn":
        if len(parts) < 2 or not (_PARTITION.fullmatch(parts[1]) or "$" in parts[1]):
            partition = parts[1] if len(parts) > 1 else ""
            raise MalformedPolicy(f'Partition "{partition}" is not valid for resource "{resource}".')
        if len(parts) < 3 or not parts[2]:
            raise MalformedPolicy("Resource vendor must be fully qualified and cannot contain regexes.")
        if len(parts) < 6 and "*" not in resource:
            raise MalformedPolicy(f'Resource {resource} must be in ARN format or "*".')


def _principals(raw: dict[str, Any], resource_based: bool) -> Principals | None:
    if "Principal" not in raw and "NotPrincipal" not in raw:
        if resource_based:
            raise MalformedPolicy("Missing required field Principal")
        return None
    if not resource_based:
        raise MalformedPolicy("Policy document should not specify a principal.")
    named = raw.get("Principal", raw.get("NotPrincipal"))
    if named == "*":
        return Principals(True, frozenset(), frozenset())
    if not isinstance(named, dict) or not named or not set(named) <= _PRINCIPAL_TYPES:
        raise MalformedPolicy("Invalid principal in policy")
    aws = _texts(named.get("AWS", []))
    accounts = {account for account in (_account_of(text) for text in aws) if account}
    arns = {text for text in aws if text != "*" and not _account_of(text)}
    others = [text for kind in sorted(set(named) - {"AWS"}) for text in _texts(named[kind])]
    if any(not text.startswith("arn:") and not _UNIQUE_ID.fullmatch(text) for text in arns) or not all([*aws, *others]):
        raise MalformedPolicy("Invalid principal in policy")
    services = frozenset(_texts(named.get("Service", [])))
    return Principals("*" in aws, frozenset(accounts), frozenset(arns), services)


def _account_of(text: str) -> str:
    """The account that `text` names whole, by id or by its root; empty otherwise."""
    if _ACCOUNT.fullmatch(text):
        return text
    parts = text.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[5] == "root" and _ACCOUNT.fullmatch(parts[4]) else ""


def _conditions(raw: Any, variables: bool) -> tuple[Condition, ...]:
    if not isinstance(raw, dict):
        raise MalformedPolicy("Syntax errors in policy.")
    compiled = []
    for name, block in raw.items():
        if not isinstance(block, dict):
            raise MalformedPolicy("Syntax errors in policy.")
        for key, values in block.items():
            if ":" not in key:
                raise MalformedPolicy("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
            try:
                compiled.append(compile_condition(name, key, _condition_values(values), variables=variables))
            except BadCondition as error:
                raise MalformedPolicy(str(error)) from error
    return tuple(compiled)


def _condition_values(values: Any) -> Sequence[str]:
    """Numbers and booleans may stand unquoted."""
    listed = values if isinstance(values, list) else [values]
    texts = []
    for value in listed:
        if isinstance(value, bool):
            texts.append("true" if value else "false")
        elif isinstance(value, (str, int, float)):
            texts.append(str(value))
        else:
            raise MalformedPolicy("Syntax errors in policy.")
    return texts
