"""Condition blocks of policy documents: each operator as a test of one context value, and how several values combine.

A block holds when all its conditions hold; a condition holds when the key's value matches any of the policy's values (a
negated operator: none of them). A key that is absent fails a condition, satisfies a negated one and every …IfExists.
ForAllValues: asks every value of the key (and holds without any), ForAnyValue: asks for one (and fails without any, even
with …IfExists). https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Protocol

from longshore.services.iam.glob import Globs, Pattern, Template, Variable

_LONGEST_NUMBER = 64
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")
_SECONDS = re.compile(r"-?[0-9]+(\.[0-9]+)?")

#: (one value of the context key, the request's variables) -> does it match any of the policy's values?
Test = Callable[[str, Variable], bool]
#: lower-case context key -> its values
Context = Mapping[str, Sequence[str]]
Holds = Callable[[Context, Variable], bool]


@dataclass(frozen=True, slots=True, eq=False)
class Condition:
    """One line of a Condition block."""

    #: as written, quantifier and IfExists included
    operator: str
    #: in lower case
    key: str
    values: tuple[str, ...]
    holds: Holds


class BadCondition(ValueError):
    """A condition that cannot be read; the text says why."""


def check_operator(name: str) -> None:
    """Raises BadCondition where there is no such operator."""
    quantifier, _, plain = name.rpartition(":")
    base = plain.removesuffix("IfExists")
    if quantifier not in ("", "ForAllValues", "ForAnyValue") or (_NEGATED.get(base, base) not in _OPERATORS and name != "Null"):
        raise BadCondition(f"Invalid Condition type : {name[:_LONGEST_NUMBER]}.")


def compile_condition(name: str, key: str, values: Sequence[str], *, variables: bool) -> Condition:
    """The condition `{name: {key: values}}`; raises BadCondition."""
    key = key.lower()
    return Condition(name, key, tuple(values), _predicate(name, key, values, variables))


def _predicate(name: str, key: str, values: Sequence[str], variables: bool) -> Holds:
    check_operator(name)
    quantifier, _, plain = name.rpartition(":")
    if plain == "Null":
        return _null(key, values)
    if_exists = plain.endswith("IfExists")
    base = plain.removesuffix("IfExists")
    negated = base in _NEGATED
    test = _OPERATORS[_NEGATED.get(base, base)](values, variables)
    if quantifier == "ForAllValues":
        return lambda context, variable: all(test(value, variable) is not negated for value in context.get(key, ()))
    if quantifier == "ForAnyValue":
        return lambda context, variable: any(test(value, variable) is not negated for value in context.get(key, ()))
    return _of_one_value(key, test, negated=negated, absent=negated or if_exists)


def _of_one_value(key: str, test: Test, *, negated: bool, absent: bool) -> Holds:
    def holds(context: Context, variable: Variable) -> bool:
        given = context.get(key)
        if not given:
            return absent
        return any(test(value, variable) for value in given) is not negated

    return holds


def _null(key: str, values: Sequence[str]) -> Holds:
    wanted = {_boolean(value) for value in values}
    return lambda context, variable: (not context.get(key)) in wanted


# ── strings and ARNs ─────────────────────────────────────────────────────────────────────────────────────────────────


def _string_equals(values: Sequence[str], variables: bool) -> Test:
    templates = [Template(value, variables=variables) for value in values]
    static = frozenset(template.text for template in templates if template.is_static)
    dynamic = tuple(template for template in templates if not template.is_static)
    if not dynamic:
        return lambda value, variable: value in static
    return lambda value, variable: value in static or any(template.literal(variable) == value for template in dynamic)


def _string_equals_ignore_case(values: Sequence[str], variables: bool) -> Test:
    templates = [Template(value, variables=variables) for value in values]
    static = frozenset(_folded(template.text) for template in templates if template.is_static)
    dynamic = tuple(template for template in templates if not template.is_static)

    def test(value: str, variable: Variable) -> bool:
        folded = _folded(value)
        if folded in static:
            return True
        return any((text := template.literal(variable)) is not None and _folded(text) == folded for template in dynamic)

    return test


def _folded(text: str) -> str:
    """Without regard to case, character by character: nothing is as long as what it equals but in its length."""
    if text.isascii():
        return text.lower()
    return "".join([lower if len(lower := character.upper().lower()) == 1 else character for character in text])


def _string_like(values: Sequence[str], variables: bool) -> Test:
    return Globs(values, variables=variables).match


def _arn_like(values: Sequence[str], variables: bool) -> Test:
    """Each of the six parts between colons is matched by itself."""
    patterns = [[_arn_part(part, variables) for part in _arn_parts(value)] for value in values]

    def test(value: str, variable: Variable) -> bool:
        parts = value.split(":", 5)
        return any(
            len(pattern) == len(parts)
            and all(
                wanted == "*" or wanted == part if isinstance(wanted, str) else wanted.match(part, variable)
                for wanted, part in zip(pattern, parts, strict=True)
            )
            for pattern in patterns
        )

    return test


def _arn_part(text: str, variables: bool) -> str | Pattern:
    """A word, `*`, or a pattern."""
    template = Template(text, variables=variables)
    return text if text == "*" or (template.is_static and "*" not in text and "?" not in text) else Pattern(template)


def _arn_parts(text: str) -> list[str]:
    """Split at the first five colons outside `${…}`."""
    parts, depth = [""], 0
    for position, character in enumerate(text):
        if text.startswith("${", position):
            depth += 1
        elif character == "}" and depth:
            depth -= 1
        if character == ":" and not depth and len(parts) < 6:
            parts.append("")
        else:
            parts[-1] += character
    return parts


# ── numbers, dates, truth, bytes, addresses ──────────────────────────────────────────────────────────────────────────


class _Read(Protocol):
    def __call__(self, text: str, /) -> float | Decimal:
        """Raises BadCondition."""


def _compared(compare: Callable[[Any, Any], bool], read: _Read) -> Callable[[Sequence[str], bool], Test]:
    def make(values: Sequence[str], variables: bool) -> Test:
        wanted = [read(value) for value in values]

        def test(value: str, variable: Variable) -> bool:
            try:
                given = read(value)
            except BadCondition:
                return False
            return any(compare(given, bound) for bound in wanted)

        return test

    return make


def _number(text: str) -> Decimal:
    """Exact, whatever its size."""
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        raise BadCondition(f"Invalid numeric value in Condition: {text[:_LONGEST_NUMBER]}.")
    return Decimal(text)


@lru_cache(maxsize=256)
def _date(text: str) -> float:
    """Epoch seconds of an ISO 8601 date, or of seconds since the epoch."""
    try:
        moment = datetime.fromisoformat(text)
        if "-" in text[1:]:
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        pass
    if len(text) > _LONGEST_NUMBER or not _SECONDS.fullmatch(text):
        raise BadCondition(f"Invalid date value in Condition: {text[:_LONGEST_NUMBER]}.")
    return float(text)


def _boolean(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise BadCondition(f"Invalid boolean value in Condition: {text[:_LONGEST_NUMBER]}.")
    return text.lower() == "true"


def _bool(values: Sequence[str], variables: bool) -> Test:
    wanted = {value.lower() for value in values}
    return lambda value, variable: value.lower() in wanted


def _binary_equals(values: Sequence[str], variables: bool) -> Test:
    wanted = {_bytes(value) for value in values}

    def test(value: str, variable: Variable) -> bool:
        try:
            return _bytes(value) in wanted
        except BadCondition:
            return False

    return test


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadCondition(f"Invalid binary value in Condition: {text[:_LONGEST_NUMBER]}.") from error


def _ip_address(values: Sequence[str], variables: bool) -> Test:
    try:
        networks = [_unmapped(ipaddress.ip_network(value, strict=False)) for value in values]
    except ValueError as error:
        raise BadCondition(f"Invalid IP address in Condition: {str(error)[:200]}.") from error

    def test(value: str, variable: Variable) -> bool:
        address = _address(value)
        return address is not None and any(address.version == network.version and address in network for network in networks)

    return test


@lru_cache(maxsize=256)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """One that an IPv6 socket shows as ::ffff:192.0.2.1 is the address of IPv4 that it is."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, ipaddress.IPv6Address) else address


def _unmapped(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= 96 and (mapped := network.network_address.ipv4_mapped):
        return ipaddress.ip_network((mapped, network.prefixlen - 96))
    return network


_OPERATORS: dict[str, Callable[[Sequence[str], bool], Test]] = {
    "StringEquals": _string_equals,
    "StringEqualsIgnoreCase": _string_equals_ignore_case,
    "StringLike": _string_like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "NumericEquals": _compared(operator.eq, _number),
    "NumericLessThan": _compared(operator.lt, _number),
    "NumericLessThanEquals": _compared(operator.le, _number),
    "NumericGreaterThan": _compared(operator.gt, _number),
    "NumericGreaterThanEquals": _compared(operator.ge, _number),
    "DateEquals": _compared(operator.eq, _date),
    "DateLessThan": _compared(operator.lt, _date),
    "DateLessThanEquals": _compared(operator.le, _date),
    "DateGreaterThan": _compared(operator.gt, _date),
    "DateGreaterThanEquals": _compared(operator.ge, _date),
    "Bool": _bool,
    "BinaryEquals": _binary_equals,
    "IpAddress": _ip_address,
}

#: negated operator -> the one it negates
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
}
