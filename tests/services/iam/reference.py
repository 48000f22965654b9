"""The evaluator said again, slowly and plainly, straight from documents: what the fast one is held against."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

Context = Mapping[str, Sequence[str]]


def glob(pattern: str, text: str) -> bool:
    """`*` and `?` by trying everything."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return glob(pattern[1:], text) or (bool(text) and glob(pattern, text[1:]))
    return bool(text) and pattern[0] in ("?", text[0]) and glob(pattern[1:], text[1:])


def filled(text: str, context: Context) -> str | None:
    """Variables replaced; their wildcards become characters that the tests' texts do not use."""
    lowered = {key.lower(): values for key, values in context.items()}
    missing = False

    def value(found: re.Match[str]) -> str:
        nonlocal missing
        inside = found[1]
        if inside in "*?$":
            return {"*": "\x01", "?": "\x02", "$": "$"}[inside]
        key, _, default = inside.partition(",")
        values = lowered.get(key.strip().lower(), ())
        if len(values) == 1:
            return values[0].replace("*", "\x01").replace("?", "\x02")
        if default:
            return default.strip().strip("'").replace("*", "\x01").replace("?", "\x02")
        missing = True
        return ""

    replaced = re.sub(r"\$\{([^{}]*)\}", value, text)
    return None if missing else replaced


def shown(text: str) -> str:
    return text.replace("*", "\x01").replace("?", "\x02")


def listed(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in values]


def like(pattern: str, text: str) -> bool:
    return glob(pattern, shown(text))


def arn_like(pattern: str, text: str) -> bool:
    left, right = pattern.split(":", 5), text.split(":", 5)
    return len(left) == len(right) and all(like(one, other) for one, other in zip(left, right, strict=True))


def compared(read: Callable[[str], float], compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda wanted, given: compare(read(given), read(wanted))


def epoch(text: str) -> float:
    return float(text) if text.isdigit() else datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


TESTS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, given: wanted == shown(given),
    "StringEqualsIgnoreCase": lambda wanted, given: wanted.lower() == shown(given).lower(),
    "StringLike": like,
    "ArnEquals": arn_like,
    "ArnLike": arn_like,
    "NumericEquals": compared(float, lambda given, wanted: given == wanted),
    "NumericLessThan": compared(float, lambda given, wanted: given < wanted),
    "NumericGreaterThanEquals": compared(float, lambda given, wanted: given >= wanted),
    "DateLessThan": compared(epoch, lambda given, wanted: given < wanted),
    "DateGreaterThan": compared(epoch, lambda given, wanted: given > wanted),
    "Bool": lambda wanted, given: wanted.lower() == given.lower(),
    "IpAddress": lambda wanted, given: ipaddress.ip_address(given) in ipaddress.ip_network(wanted, strict=False),
}
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
    "NotIpAddress": "IpAddress",
}
STRINGS = ("String", "Arn")


def condition_holds(name: str, key: str, values: list[str], context: Context) -> bool:
    given = [list(v) for k, v in context.items() if k.lower() == key.lower()]
    given_values = given[0] if given else []
    quantifier, _, plain = name.rpartition(":")
    if plain == "Null":
        return (not given_values) == (values[0] == "true")
    base = plain.removesuffix("IfExists")
    negated = base in NEGATED
    test = TESTS[NEGATED.get(base, base)]
    texts = [filled(value, context) if NEGATED.get(base, base).startswith(STRINGS) else value for value in values]
    wanted = [
        shown(text) if test is TESTS["StringEquals"] or test is TESTS["StringEqualsIgnoreCase"] else text
        for text in texts
        if text is not None
    ]

    def matches(value: str) -> bool:
        return any(test(one, value) for one in wanted)

    if quantifier == "ForAllValues":
        return all(matches(value) != negated for value in given_values)
    if quantifier == "ForAnyValue":
        return any(matches(value) != negated for value in given_values)
    if not given_values:
        return negated or plain.endswith("IfExists")
    return any(map(matches, given_values)) != negated


def statement_applies(statement: dict[str, Any], action: str, resource: str, context: Context) -> bool:
    acts = any(glob(pattern.lower(), action.lower()) for pattern in listed(statement.get("Action", statement.get("NotAction"))))
    if acts == ("NotAction" in statement):
        return False
    if "Resource" in statement or "NotResource" in statement:
        patterns = [filled(pattern, context) for pattern in listed(statement.get("Resource", statement.get("NotResource")))]
        on = any(pattern is not None and like(pattern, resource) for pattern in patterns)
        if on == ("NotResource" in statement):
            return False
    return all(
        condition_holds(name, key, listed(values), context)
        for name, block in statement.get("Condition", {}).items()
        for key, values in block.items()
    )


def named(statement: dict[str, Any], arn: str, account_id: str, user_id: str, role_arn: str = "", role_id: str = "") -> str:
    """principal, role, account or nobody"""
    if "Principal" not in statement and "NotPrincipal" not in statement:
        return "principal"
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    names = ["*"] if principal == "*" else listed(principal.get("AWS", []))
    everyone = "*" in names
    if user_id in names or (arn in names and not arn.endswith(":root")) or (everyone and not role_arn):
        how = "principal"
    elif role_arn and (everyone or role_arn in names or role_id in names):
        how = "role"
    elif account_id in names or f"arn:aws:iam::{account_id}:root" in names:
        how = "account"
    else:
        how = "nobody"
    if "NotPrincipal" in statement:
        return ("role" if role_arn else "principal") if how == "nobody" else "nobody"
    return how


class Caller(Protocol):
    @property
    def arn(self) -> str: ...
    @property
    def account_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def role_arn(self) -> str: ...
    @property
    def role_id(self) -> str: ...


def allowed(
    identity: list[str],
    resources: list[str],
    action: str,
    resource: str,
    context: Context,
    caller: Caller,
    limits: Sequence[list[str]] = (),
    *,
    must: bool = False,
) -> tuple[bool, bool]:
    """(allowed, explicitly denied); each of `limits` are the documents of a boundary or of a session."""

    def applying(documents: list[str]) -> list[dict[str, Any]]:
        every = [one for document in documents for one in json.loads(document)["Statement"]]
        return [one for one in every if statement_applies(one, action, resource, context)]

    own = applying(identity)
    about = [
        (one, named(one, caller.arn, caller.account_id, caller.user_id, caller.role_arn, caller.role_id)) for one in applying(resources)
    ]
    its = [(one, how) for one, how in about if how != "nobody"]
    bounds = [applying(limit) for limit in limits]
    if any(one["Effect"] == "Deny" for one in [*own, *(one for one, _ in its), *(one for bound in bounds for one in bound)]):
        return False, True
    own_allows = bool(own) or caller.arn.endswith(":root")
    within = all(bounds)
    given = {how for _, how in its}
    account = resource.split(":")[4] if resource.startswith("arn:") else ""
    if account not in ("", caller.account_id):
        return own_allows and within and bool(given), False
    if "principal" in given:
        return True, False
    if "role" in given:
        return within, False
    return own_allows and within and (bool(given) or not must), False
