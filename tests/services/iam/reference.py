"""The evaluator said again, slowly and plainly, straight from documents and from what IAM's user guide says: what the fast one is
held against.

It shares no code with the fast one and takes the obvious way everywhere: documents are read as JSON for every question, patterns are
matched by trying everything, a statement is asked whole before the next. Where the guide is quoted, a comment says which page.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

Context = Mapping[str, Sequence[str]]

#: characters that stand for themselves in patterns: what a variable brings is no wildcard
_STAR, _MARK = "\x01", "\x02"


def glob(pattern: str, text: str) -> bool:
    """`*` and `?`, by all the places in the text at which one may have arrived."""
    here = {0}
    for character in pattern:
        if character == "*":
            here = {later for place in here for later in range(place, len(text) + 1)}
        else:
            here = {place + 1 for place in here if place < len(text) and character in ("?", text[place])}
    return len(text) in here


def plain(text: str) -> str:
    return text.replace("*", _STAR).replace("?", _MARK)


def values_of(context: Context, key: str) -> list[str]:
    return next((list(values) for name, values in context.items() if name.lower() == key.lower()), [])


def filled(text: str, context: Context, version: str) -> str | None:
    """Policy variables replaced, in the current version alone; None where one has no value (reference_policies_variables)."""
    if version != "2012-10-17":
        return text
    done, rest = "", text
    while True:
        begin = rest.find("${")
        end = rest.find("}", begin)
        if begin < 0 or end < 0:
            return done + rest
        inside = rest[begin + 2 : end]
        if "{" in inside:
            done, rest = done + rest[: begin + 1], rest[begin + 1 :]
            continue
        done, rest = done + rest[:begin], rest[end + 1 :]
        if inside in ("*", "?", "$"):
            done += plain(inside)
            continue
        key, comma, default = inside.partition(",")
        default = default.strip()
        quoted = comma != "" and len(default) >= 2 and default[0] == default[-1] == "'" and "'" not in default[1:-1]
        values = values_of(context, key.strip() if quoted else inside.strip())
        if len(values) == 1:
            done += plain(values[0])
        elif quoted:
            done += plain(default[1:-1])
        else:
            return None


def listed(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(one).lower() if isinstance(one, bool) else str(one) for one in values]


# ── condition operators (reference_policies_elements_condition_operators) ────────────────────────────────────────────


def like(pattern: str, text: str) -> bool:
    return glob(pattern, plain(text))


def same_letter(one: str, other: str) -> bool:
    return one == other or one.lower() == other.lower() or one.upper() == other.upper()


def arn_like(pattern: str, text: str) -> bool:
    """Six parts between colons, each by itself; a variable's own colons do not count."""
    left, right = pattern.split(":", 5), text.split(":", 5)
    return len(left) == len(right) and all(like(one, other) for one, other in zip(left, right, strict=True))


def number(text: str) -> Fraction | None:
    """None for what is no number."""
    return Fraction(text) if re.fullmatch(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text) else None


def moment(text: str) -> Fraction | None:
    """Seconds since the epoch, of a date or as they are."""
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return Fraction(text)
    try:
        read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    since = (read if read.tzinfo else read.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return Fraction(since.days * 86400 + since.seconds) + Fraction(since.microseconds, 1_000_000)


def raw_bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def bits(text: str) -> str | None:
    """The address as a string of 0 and 1, 32 or 128 of them; IPv4 inside IPv6 is IPv4."""
    if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){3}", text):
        return "".join(f"{int(part):08b}" for part in text.split("."))
    if ":" not in text:
        return None
    head, double, tail = text.partition("::")
    groups = [[part for part in side.split(":") if part] for side in (head, tail)]
    for side in groups:
        if side and "." in side[-1]:
            four = bits(side.pop()) or ""
            side += [f"{int(four[:16], 2):x}", f"{int(four[16:], 2):x}"]
    middle = ["0"] * (8 - len(groups[0]) - len(groups[1])) if double else []
    whole = "".join(f"{int(part, 16):016b}" for part in [*groups[0], *middle, *groups[1]])
    return whole[96:] if whole.startswith("0" * 80 + "1" * 16) else whole


def in_network(wanted: str, given: str) -> bool:
    network, _, prefix = wanted.partition("/")
    address, base = bits(given), bits(network)
    if address is None or base is None or len(address) != len(base):
        return False
    length = int(prefix) if prefix else len(base)
    if prefix and ":" in network and len(base) == 32:
        length -= 96
    return address[:length] == base[:length]


def _ordered(read: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Callable[[str, str], bool]:
    def test(wanted: str, given: str) -> bool:
        left, right = read(given), read(wanted)
        return left is not None and right is not None and compare(left, right)

    return test


#: operator -> (policy's value, request's value) -> do they match?
TESTS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, given: wanted == plain(given),
    "StringEqualsIgnoreCase": lambda wanted, given: len(wanted) == len(given) and all(map(same_letter, wanted, plain(given))),
    "StringLike": like,
    "ArnEquals": arn_like,
    "ArnLike": arn_like,
    "Bool": lambda wanted, given: wanted.lower() == given.lower(),
    "BinaryEquals": lambda wanted, given: raw_bytes(wanted) is not None and raw_bytes(wanted) == raw_bytes(given),
    "IpAddress": in_network,
}
for _kind, _read in (("Numeric", number), ("Date", moment)):
    TESTS[f"{_kind}Equals"] = _ordered(_read, lambda given, wanted: given == wanted)
    TESTS[f"{_kind}LessThan"] = _ordered(_read, lambda given, wanted: given < wanted)
    TESTS[f"{_kind}LessThanEquals"] = _ordered(_read, lambda given, wanted: given <= wanted)
    TESTS[f"{_kind}GreaterThan"] = _ordered(_read, lambda given, wanted: given > wanted)
    TESTS[f"{_kind}GreaterThanEquals"] = _ordered(_read, lambda given, wanted: given >= wanted)
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
}


def condition_holds(name: str, key: str, wanted: list[str], context: Context, version: str) -> bool:
    given = values_of(context, key)
    quantifier, _, operator = name.rpartition(":")
    if operator == "Null":
        return ("true" if not given else "false") in [one.lower() for one in wanted]
    if_exists = operator.endswith("IfExists")
    base = operator.removesuffix("IfExists")
    negated = base in NEGATED
    positive = NEGATED.get(base, base)
    test = TESTS[positive]
    texts: list[str | None] = list(wanted)
    if positive.startswith(("String", "Arn")):
        texts = [filled(one, context, version) for one in wanted]
        if not positive.endswith("Like") and not positive.startswith("Arn"):
            texts = [plain(one) if one is not None else None for one in texts]
    # A variable without a value equals nothing, and what is asked for inversely is therefore met.
    known = [one for one in texts if one is not None]
    met = [any(test(one, value) for one in known) is not negated for value in given]
    # reference_policies_condition-single-vs-multi-valued-context-keys: all, and also when there is none; any, and never when there is none
    if quantifier == "ForAllValues":
        return all(met)
    if quantifier == "ForAnyValue":
        return any(met)
    if not given:
        return negated or if_exists
    # without a set operator one value that matches is a match, and an inverse operator wants none
    return all(met) if negated else any(met)


# ── statements ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Caller(Protocol):
    @property
    def arn(self) -> str: ...
    @property
    def account_id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def identity_arn(self) -> str: ...
    @property
    def identity_id(self) -> str: ...
    @property
    def provider_arn(self) -> str: ...


def completed(resource: str) -> str:
    """An ARN that ends early goes on with anything (reference_arns)."""
    if resource.startswith("arn:") and "*" not in resource and "$" not in resource and resource.count(":") < 5:
        return resource + ":*"
    return resource


def applies(statement: dict[str, Any], action: str, resource: str, context: Context, version: str) -> bool:
    acts = any(glob(pattern.lower(), action.lower()) for pattern in listed(statement.get("Action", statement.get("NotAction"))))
    if acts == ("NotAction" in statement):
        return False
    if "Resource" in statement or "NotResource" in statement:
        written = [completed(one) for one in listed(statement.get("Resource", statement.get("NotResource")))]
        patterns = [filled(pattern, context, version) for pattern in written]
        on = any(pattern is not None and like(pattern, resource) for pattern in patterns)
        if on == ("NotResource" in statement):
            return False
    return all(
        condition_holds(name, key, listed(values), context, version)
        for name, block in statement.get("Condition", {}).items()
        for key, values in block.items()
    )


def names(principal: Any, kind: str) -> list[str]:
    return ["*"] if principal == "*" and kind == "AWS" else listed(principal.get(kind, [])) if isinstance(principal, dict) else []


def ways(principal: Any, caller: Caller) -> set[str]:
    """In which ways the caller is among those named: itself, whose session it is, its account, everybody."""
    aws = names(principal, "AWS")
    if caller.provider_arn:
        found = {"itself"} if caller.provider_arn in names(principal, "Federated") else set()
        return found | ({"everybody"} if "*" in aws else set())
    is_account = re.fullmatch(r"arn:aws:iam::[0-9]{12}:root", caller.arn) is not None
    found = {"everybody"} if "*" in aws else set()
    if caller.account_id in aws or f"arn:aws:iam::{caller.account_id}:root" in aws:
        found |= {"account"}
        found |= {"itself-as-account"} if is_account else set()
    if (caller.arn in aws and not is_account) or (caller.user_id in aws and not caller.user_id.isdigit()):
        found |= {"itself"}
    if caller.identity_arn != caller.arn and (caller.identity_arn in aws or caller.identity_id in aws) and not caller.identity_id.isdigit():
        found |= {"identity"}
    return found


def spoken_to(statement: dict[str, Any], caller: Caller) -> str:
    """How a resource's statement speaks of the caller: `itself`, `identity` (whose session it is), `account`, or not at all."""
    is_session = caller.identity_arn != caller.arn
    if "NotPrincipal" in statement:
        found = ways(statement["NotPrincipal"], caller)
        # Who is to be let off a Deny must be named; an account beside it says only whose it is. An Allow leaves out all who are named.
        off = found if statement["Effect"] == "Allow" else found & {"itself", "itself-as-account", "everybody"}
        return "" if off else "identity" if is_session else "itself"
    found = ways(statement["Principal"], caller)
    if caller.provider_arn and found == {"everybody"} and statement["Effect"] == "Allow":
        return ""
    if "itself" in found or ("everybody" in found and not is_session):
        return "itself"
    if "identity" in found or "everybody" in found:
        return "identity"
    return "account" if "account" in found else ""


class Verdict(NamedTuple):
    allowed: bool
    explicit_deny: bool
    #: which kind of policy decided, or lacked an allow
    side: str


def decided(
    identity: list[str],
    resources: list[str],
    action: str,
    resource: str,
    context: Context,
    caller: Caller,
    limits: Sequence[tuple[str, list[str]]] = (),
    *,
    must: bool = False,
) -> Verdict:
    """Each of `limits` is a kind (boundary, session) with its documents. (reference_policies_evaluation-logic)"""

    def applying(documents: list[str]) -> list[dict[str, Any]]:
        found = []
        for document in documents:
            read = json.loads(document)
            every = read["Statement"] if isinstance(read["Statement"], list) else [read["Statement"]]
            found += [one for one in every if applies(one, action, resource, context, read.get("Version", "2008-10-17"))]
        return found

    own = applying(identity)
    its = [(one, spoken_to(one, caller)) for one in applying(resources)]
    its = [(one, how) for one, how in its if how]
    bounds = [(kind, applying(documents)) for kind, documents in limits]
    for kind, statements in [("identity", own), ("resource", [one for one, _ in its]), *bounds]:
        if any(one["Effect"] == "Deny" for one in statements):
            return Verdict(False, True, kind)
    is_root = caller.identity_arn.endswith(":root")
    at_home = resource == "*" or not resource.startswith("arn:") or resource.split(":")[4] in ("", caller.account_id)
    given = {how for _, how in its}
    lacking = [kind for kind, statements in bounds if not statements]
    if (not at_home or must) and not given:
        return Verdict(False, False, "resource")
    if at_home and "itself" in given:
        return Verdict(True, False, "identity" if (own or is_root) and not lacking else "resource")
    if not own and not is_root and not (at_home and "identity" in given):
        return Verdict(False, False, "identity")
    if lacking:
        return Verdict(False, False, lacking[0])
    return Verdict(True, False, "identity" if own or is_root else "resource")


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
    verdict = decided(identity, resources, action, resource, context, caller, [("session", limit) for limit in limits], must=must)
    return verdict.allowed, verdict.explicit_deny


def service_allowed(document: str, action: str, resource: str, context: Context, service: str) -> bool:
    """What a resource's policy says to a service, which has no policies of its own."""
    read = json.loads(document)
    said = []
    for one in read["Statement"] if isinstance(read["Statement"], list) else [read["Statement"]]:
        principal = one.get("Principal", one.get("NotPrincipal"))
        named = service in names(principal, "Service") or "*" in names(principal, "AWS")
        if named != ("NotPrincipal" in one) and applies(one, action, resource, context, read.get("Version", "2008-10-17")):
            said.append(one["Effect"])
    return "Allow" in said and "Deny" not in said
