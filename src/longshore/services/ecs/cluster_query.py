"""The cluster query language: which container instances an expression means.

Expressions choose where tasks may be placed (memberOf) and which instances a listing shows (filter). The grammar:

    expression := all ( ("or" | "||") all )*            all := term ( ("and" | "&&") term )*
    term       := ("not" | "!") term | "(" expression ")" | subject operator [argument]
    subject    := agentConnected | agentVersion | attribute:NAME | ec2InstanceId | registeredAt | runningTasksCount | task:group

`parse` refuses what is no expression and says where; `matches` asks a parsed one of an instance. Both are pure. Regular
expressions match whole values, and whoever may list instances may send one: RE2 matches them in a time proportional to their
input, at the price of references to groups and looks around, which it does not have.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
import re2

#: longest expression read
MOST_TEXT = 2000
#: deepest nesting of parentheses and negations
MOST_DEPTH = 32
#: instructions of all regular expressions of one expression together: what one look at one value may cost, times its length
MOST_INSTRUCTIONS = 400
#: bytes that one regular expression may use for what it has seen
_MOST_MEMORY = 1 << 20

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<symbol>\|\||&&|==|!=|>=|<=|=~|!~|!in\b|!exists\b|[()\[\],<>!])
      | "(?P<quoted>[^"]*)"
      | (?P<word>[^\s()\[\],<>=!&|"~]+)
    )""",
    re.VERBOSE,
)
_OPERATORS = {
    "==": "==", "equals": "==", "!=": "!=", "not_equals": "!=",
    ">": ">", "greater_than": ">", ">=": ">=", "greater_than_equal": ">=",
    "<": "<", "less_than": "<", "<=": "<=", "less_than_equal": "<=",
    "exists": "exists", "!exists": "!exists", "not_exists": "!exists",
    "in": "in", "!in": "!in", "not_in": "!in",
    "=~": "=~", "matches": "=~", "!~": "!~", "not_matches": "!~",
}  # fmt: skip
_ORDER: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
_SUBJECTS = ("agentConnected", "agentVersion", "ec2InstanceId", "registeredAt", "runningTasksCount", "task:group")
_NUMERIC = ("agentVersion", "registeredAt", "runningTasksCount")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:?\d{2})?)?")


class QueryError(ValueError):
    """An expression that cannot be read; the message says why and at which character, counted from 1."""


class Facts(msgspec.Struct, frozen=True):
    """What can be asked of a container instance."""

    agent_connected: bool
    agent_version: str
    ec2_instance_id: str
    registered_at: float
    running_tasks_count: int
    attributes: Mapping[str, str]
    #: groups of the tasks that are on it and have not stopped; looked up only when an expression asks
    groups: Callable[[], frozenset[str]]


class Comparison(msgspec.Struct, frozen=True):
    subject: str
    operator: str
    arguments: tuple[str, ...] = ()


class _Not(msgspec.Struct, frozen=True):
    operand: Query


class Every(msgspec.Struct, frozen=True):
    operands: tuple[Query, ...]


class Some(msgspec.Struct, frozen=True):
    operands: tuple[Query, ...]


Query = Comparison | _Not | Every | Some


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Token(msgspec.Struct, frozen=True):
    text: str
    position: int
    #: quoted text is never an operator or a parenthesis
    literal: bool = False


@lru_cache(maxsize=512)
def parse(text: str) -> Query:
    """Raises QueryError."""
    if len(text) > MOST_TEXT:
        raise QueryError(f"the expression is longer than {MOST_TEXT} characters")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise QueryError(f"the character at position {error.start + 1} is none of Unicode's") from None
    reader = _Reader(tuple(_tokens(text)), len(text))
    query = reader.either(0)
    reader.expect_end()
    return query


def _tokens(text: str) -> Iterator[_Token]:
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            raise QueryError(f"unexpected character {text[position:].strip()[0]!r} at position {_first(text, position)}")
        kind = found.lastgroup or ""
        yield _Token(found.group(kind), found.start(kind) + 1, literal=kind == "quoted")
        position = found.end()
        # what a pattern consists of is read up to the next blank or closing parenthesis, operators' characters included
        if found.group(kind) in ("=~", "!~", "matches", "not_matches") and kind != "quoted":
            pattern, position = _pattern(text, position)
            yield pattern


def _first(text: str, position: int) -> int:
    return position + len(text[position:]) - len(text[position:].lstrip()) + 1


def _pattern(text: str, position: int) -> tuple[_Token, int]:
    """A regular expression: quoted, or all up to a blank or a parenthesis that it does not open itself."""
    start = _first(text, position) - 1
    if text[start : start + 1] == '"':
        end = text.find('"', start + 1)
        if end < 0:
            raise QueryError(f"the quotation mark at position {start + 1} is never closed")
        return _Token(text[start + 1 : end], start + 1, literal=True), end + 1
    depth, end = 0, start
    while end < len(text) and not text[end].isspace():
        if text[end] == "\\":
            end += 1
        elif text[end] == "(":
            depth += 1
        elif text[end] == ")":
            if depth == 0:
                break
            depth -= 1
        end += 1
    end = min(end, len(text))
    if end == start:
        raise QueryError(f"a pattern is missing at position {start + 1}")
    return _Token(text[start:end], start + 1, literal=True), end


class _Reader:
    def __init__(self, tokens: tuple[_Token, ...], length: int) -> None:
        self._tokens = tokens
        self._next = 0
        self._length = length
        self._instructions = 0

    def either(self, depth: int) -> Query:
        operands = [self._every(depth)]
        while self._take("or", "||"):
            operands.append(self._every(depth))
        return operands[0] if len(operands) == 1 else Some(tuple(operands))

    def expect_end(self) -> None:
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            raise QueryError(f"unexpected {token.text!r} at position {token.position}")

    def _every(self, depth: int) -> Query:
        operands = [self._term(depth)]
        while self._take("and", "&&"):
            operands.append(self._term(depth))
        return operands[0] if len(operands) == 1 else Every(tuple(operands))

    def _term(self, depth: int) -> Query:
        if depth > MOST_DEPTH:
            raise QueryError(f"the expression is nested more than {MOST_DEPTH} levels deep")
        if self._take("not", "!"):
            return _Not(self._term(depth + 1))
        if self._take("("):
            inner = self.either(depth + 1)
            self._require(")")
            return inner
        return self._comparison()

    def _comparison(self) -> Query:
        token = self._token("a subject")
        subject = token.text
        if subject not in _SUBJECTS and not (subject.startswith("attribute:") and len(subject) > len("attribute:")):
            raise QueryError(f"unknown subject {subject!r} at position {token.position}")
        spelled = self._token("an operator")
        wanted = None if spelled.literal else _OPERATORS.get(spelled.text.lower())
        if wanted is None:
            raise QueryError(f"unknown operator {spelled.text!r} at position {spelled.position}")
        _check_operator(subject, wanted, spelled)
        return Comparison(subject, wanted, self._arguments(subject, wanted))

    def _arguments(self, subject: str, wanted: str) -> tuple[str, ...]:
        if wanted in ("exists", "!exists"):
            return ()
        if wanted not in ("in", "!in"):
            token = self._value()
            if wanted in ("=~", "!~"):
                self._instructions += _check_pattern(token.text, f"at position {token.position}")
                if self._instructions > MOST_INSTRUCTIONS:
                    raise QueryError(f"the pattern at position {token.position} makes the expression too costly: shorten its patterns")
            else:
                _check_argument(subject, wanted, token)
            return (token.text,)
        self._require("[")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
        self._require("]")
        for token in values:
            _check_argument(subject, "==", token)
        return tuple(token.text for token in values)

    def _value(self) -> _Token:
        token = self._token("a value")
        if not token.literal and token.text in ("(", ")", "[", "]", ",", "<", ">", "!", "==", "!=", ">=", "<=", "&&", "||"):
            raise QueryError(f"a value is missing at position {token.position}")
        return token

    def _token(self, what: str) -> _Token:
        if self._next >= len(self._tokens):
            raise QueryError(f"{what} is missing at position {self._length + 1}")
        self._next += 1
        return self._tokens[self._next - 1]

    def _take(self, *spellings: str) -> bool:
        if self._next < len(self._tokens):
            token = self._tokens[self._next]
            if not token.literal and token.text.lower() in spellings:
                self._next += 1
                return True
        return False

    def _require(self, symbol: str) -> None:
        if not self._take(symbol):
            token = self._tokens[self._next] if self._next < len(self._tokens) else None
            found = f"{token.text!r} at position {token.position}" if token else f"the end at position {self._length + 1}"
            raise QueryError(f"{symbol!r} is expected instead of {found}")


def _check_operator(subject: str, wanted: str, spelled: _Token) -> None:
    if wanted in _ORDER and subject not in _NUMERIC and not subject.startswith("attribute:"):
        raise QueryError(f"{subject} has no order: {spelled.text!r} at position {spelled.position}")


def _check_argument(subject: str, wanted: str, token: _Token) -> None:
    where = f"at position {token.position}"
    if subject == "agentConnected" and token.text.lower() not in ("true", "false"):
        raise QueryError(f"agentConnected is true or false, not {token.text!r} {where}")
    elif subject == "agentVersion" and wanted in _ORDER and not re.fullmatch(r"\d{1,9}(\.\d{1,9}){0,3}(-.*)?", token.text):
        raise QueryError(f"agentVersion is compared with a version such as 1.90.0, not {token.text!r} {where}")
    elif subject == "runningTasksCount" and not re.fullmatch(r"\d{1,9}", token.text):
        raise QueryError(f"runningTasksCount is compared with a number, not {token.text!r} {where}")
    elif subject == "registeredAt" and _seconds(token.text) is None:
        raise QueryError(f"registeredAt is compared with a date such as 2018-06-18T22:28:28+00:00, not {token.text!r} {where}")


# ── regular expressions ─────────────────────────────────────────────────────────────────────────────────────────────


def _check_pattern(pattern: str, where: str) -> int:
    """How many instructions it is."""
    try:
        return int(_compiled(pattern).programsize)
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else error
        raise QueryError(f"{pattern[:80]!r} {where} is not a regular expression that is served: {reason}") from None


def _options() -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MOST_MEMORY
    return options


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> Any:
    """Raises re2.error."""
    return re2.compile(pattern, _options())


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def matches(query: Query, facts: Facts) -> bool:
    match query:
        case Some(operands):
            return any(matches(operand, facts) for operand in operands)
        case Every(operands):
            return all(matches(operand, facts) for operand in operands)
        case _Not(operand):
            return not matches(operand, facts)
        case Comparison(subject, wanted, arguments):
            if subject == "task:group":
                return _compare_groups(facts.groups(), wanted, arguments)
            return _compare(_value_of(subject, facts), subject, wanted, arguments)


def _value_of(subject: str, facts: Facts) -> str | None:
    match subject:
        case "agentConnected":
            return "true" if facts.agent_connected else "false"
        case "agentVersion":
            return facts.agent_version or None
        case "ec2InstanceId":
            return facts.ec2_instance_id or None
        case "registeredAt":
            return str(facts.registered_at)
        case "runningTasksCount":
            return str(facts.running_tasks_count)
        case _:
            return facts.attributes.get(subject.removeprefix("attribute:"))


def compare(value: str | None, comparison: Comparison) -> bool:
    """Whether a value, written as the language writes it (None: there is none), satisfies a comparison; not of task:group."""
    return _compare(value, comparison.subject, comparison.operator, comparison.arguments)


def group_matches(comparison: Comparison, group: str) -> bool:
    """Whether a group matches the pattern of a comparison of task:group."""
    return _compiled(comparison.arguments[0]).fullmatch(group) is not None


def _compare(value: str | None, subject: str, wanted: str, arguments: tuple[str, ...]) -> bool:
    if wanted in ("exists", "!exists"):
        return (value is not None) == (wanted == "exists")
    if wanted.startswith("!"):
        return value is None or not _compare(value, subject, {"!=": "==", "!in": "in", "!~": "=~"}[wanted], arguments)
    if value is None:
        return False
    if wanted == "=~":
        return _compiled(arguments[0]).fullmatch(value) is not None
    if wanted in ("==", "in"):
        return any(_equal(value, subject, argument) for argument in arguments)
    return _ordered(value, subject, wanted, arguments[0])


def _equal(value: str, subject: str, argument: str) -> bool:
    if subject == "agentConnected":
        return value == argument.lower()
    if subject == "registeredAt":
        return float(value) == _seconds(argument)
    return value == argument


def _ordered(value: str, subject: str, wanted: str, argument: str) -> bool:
    compare = _ORDER[wanted]
    if subject == "registeredAt":
        return compare(float(value), _seconds(argument) or 0.0)
    if subject == "agentVersion":
        left, right = _version(value), _version(argument)
        return compare((left > right) - (left < right), 0)
    try:
        return compare(float(value), float(argument))
    except ValueError:
        return compare((value > argument) - (value < argument), 0)


def _compare_groups(groups: frozenset[str], wanted: str, arguments: tuple[str, ...]) -> bool:
    match wanted:
        case "exists" | "!exists":
            return bool(groups) == (wanted == "exists")
        case "==" | "in":
            return any(argument in groups for argument in arguments)
        case "!=" | "!in":
            return all(argument not in groups for argument in arguments)
        case _:
            found = any(_compiled(arguments[0]).fullmatch(group) for group in groups)
            return found == (wanted == "=~")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,9}", text)[:4])


def _seconds(text: str) -> float | None:
    """Seconds since the epoch of a date; UTC when it names no zone."""
    if not _DATE.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
