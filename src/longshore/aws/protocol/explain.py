"""Why a request was refused, in AWS's words.

Reading a request checks it in one go and only says that something is wrong. This is the slow path behind it: it walks
the raw value along the types once more, raises Serialization at the first value of a wrong type (AWS stops at that, too) and
otherwise gathers every constraint that does not hold. What becomes of those is each API's own manner: most answer
`N validation errors detected: …`, ECR names the first, EC2 tells missing from wrong, IAM has sentences for names and paths.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect

from longshore.aws.errors import AwsError, Serialization, Validation

#: Longest value repeated in a message.
MOST_VALUE = 1024


class _Hidden:
    """Stands for a value that no message repeats: what the model calls sensitive, and bytes."""


_HIDDEN = _Hidden()


class Violation(NamedTuple):
    """A constraint that does not hold: where (`tags.1.member.key`), for which value, and what it asks for."""

    path: str
    value: Any
    constraint: str


class InvalidParameterException(AwsError):
    """The specified parameter isn't valid."""


class InvalidMaxResultsException(AwsError):
    """This exception is thrown if the limit specified is not valid."""


class InvalidLookupAttributesException(AwsError):
    """Occurs when a lookup attribute is specified that is not valid."""


class MissingParameter(AwsError):
    """The request is missing a required parameter."""


class InvalidParameterValue(AwsError):
    """A value specified in a parameter is not valid, is unsupported, or cannot be used."""


def refusal(api: str, request: type[msgspec.Struct], raw: Any, fallback: str, *, lax: bool = False) -> AwsError:
    """The error for `raw`, which is no valid `request`. `lax`: scalars are text, as in forms. `fallback` tells what else was wrong."""
    if raw is None:
        return Serialization("The request body is not an object")
    try:
        found = list(_violations(_type_of(request), raw, "", lax))
    except Serialization as error:
        return error
    if not found:
        # Without the decoder's own way of naming places.
        return Serialization(fallback.split(" - at `$")[0])
    return _MANNERS.get(api, _coral(Validation))(found)


@cache
def _type_of(request: type[msgspec.Struct]) -> inspect.Type:
    return inspect.type_info(request)


# --- walking ----------------------------------------------------------------------------------------------------------


def _violations(kind: inspect.Type, value: Any, path: str, lax: bool) -> Iterator[Violation]:
    if isinstance(kind, inspect.UnionType):
        if value is None:
            return
        kind = next(option for option in kind.types if not isinstance(option, inspect.NoneType))
    extra: Mapping[str, Any] = {}
    if isinstance(kind, inspect.Metadata):
        extra = kind.extra or {}
        kind = kind.type
    if isinstance(kind, inspect.AnyType):
        return
    if value is None:
        yield Violation(path, None, "Member must not be null")
    elif isinstance(kind, inspect.StructType):
        yield from _structure(kind, value, path, lax)
    elif isinstance(kind, inspect.VarTupleType):
        yield from _list(kind, value, path, lax)
    elif isinstance(kind, inspect.DictType):
        yield from _map(kind, value, path, lax)
    else:
        value = _scalar(kind, value, lax)
        shown = _HIDDEN if extra.get("sensitive") or isinstance(kind, inspect.BytesType) else value
        for constraint, holds in _constraints(kind, extra):
            if not holds(value):
                yield Violation(path, shown, constraint)


def _structure(kind: inspect.StructType, value: Any, path: str, lax: bool) -> Iterator[Violation]:
    if not isinstance(value, dict):
        raise Serialization(_unexpected(value, "structure"))
    for field in kind.fields:
        below = value.get(field.encode_name)
        if below is None and not field.required:
            continue
        yield from _violations(field.type, below, _join(path, _lower_first(field.encode_name)), lax)


def _list(kind: inspect.VarTupleType, value: Any, path: str, lax: bool) -> Iterator[Violation]:
    if not isinstance(value, list):
        raise Serialization(_unexpected(value, "list"))
    yield from _lengths(kind, value, path)
    if isinstance(_bare(kind.item_type), (inspect.StructType, inspect.VarTupleType, inspect.DictType)):
        for number, item in enumerate(value, 1):
            yield from _violations(kind.item_type, item, f"{path}.{number}.member", lax)
    elif _any_violation(kind.item_type, value, lax):
        yield Violation(path, value, f"Member must satisfy constraint: [{_all_constraints(kind.item_type)}]")


def _map(kind: inspect.DictType, value: Any, path: str, lax: bool) -> Iterator[Violation]:
    if not isinstance(value, dict):
        raise Serialization(_unexpected(value, "map"))
    yield from _lengths(kind, value, path)
    if _any_violation(kind.key_type, value, lax):
        yield Violation(path, value, f"Map keys must satisfy constraint: [{_all_constraints(kind.key_type)}]")
    if isinstance(_bare(kind.value_type), (inspect.StructType, inspect.VarTupleType, inspect.DictType)):
        for key, item in value.items():
            yield from _violations(kind.value_type, item, f"{path}.{key}.member", lax)
    elif _any_violation(kind.value_type, value.values(), lax):
        yield Violation(path, value, f"Map value must satisfy constraint: [{_all_constraints(kind.value_type)}]")


def _any_violation(kind: inspect.Type, items: Iterable[Any], lax: bool) -> bool:
    # Every item is looked at: a later one may be of a wrong type.
    return sum(len(list(_violations(kind, item, "", lax))) for item in items) > 0


def _lengths(kind: inspect.VarTupleType | inspect.DictType, value: Any, path: str) -> Iterator[Violation]:
    for constraint, holds in _length_constraints(kind.min_length, kind.max_length):
        if not holds(value):
            yield Violation(path, value, constraint)


# --- scalars ----------------------------------------------------------------------------------------------------------


def _scalar(kind: inspect.Type, value: Any, lax: bool) -> Any:
    """`value` as what its constraints speak of, or Serialization."""
    if isinstance(value, dict | list):
        raise Serialization(_unexpected(value, ""))
    if isinstance(kind, inspect.BoolType):
        return _expect(value, lambda: isinstance(value, bool) or lax, "a Boolean")
    if isinstance(kind, inspect.IntType | inspect.FloatType):
        return _number(value, "an Integer" if isinstance(kind, inspect.IntType) else "a Double", lax)
    if isinstance(kind, inspect.BytesType):
        _expect(value, lambda: isinstance(value, str), "a Blob")
        return value[: len(value) * 3 // 4]
    return _expect(value, lambda: isinstance(value, str), "a String")


def _expect(value: Any, holds: Callable[[], bool], wanted: str) -> Any:
    if not holds():
        raise Serialization(f"{_token(value)} can not be converted to {wanted}")
    return value


def _number(value: Any, wanted: str, lax: bool) -> float | int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if wanted == "an Integer" and value != int(value):
            raise Serialization(f"NUMBER_VALUE can not be converted to {wanted}")
        return value
    if lax and isinstance(value, str):
        try:
            return int(value) if wanted == "an Integer" else float(value)
        except ValueError:
            raise Serialization(f"'{_shown(value)}' is not a valid number") from None
    raise Serialization(f"{_token(value)} can not be converted to {wanted}")


def _token(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE_VALUE" if value else "FALSE_VALUE"
    return "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"


def _unexpected(value: Any, wanted: str) -> str:
    if isinstance(value, list):
        return "Start of list found where not expected"
    if isinstance(value, dict):
        return "Start of structure or map found where not expected."
    return f"Expected {wanted} or null"


# --- constraints ------------------------------------------------------------------------------------------------------

Constraint = tuple[str, Callable[[Any], bool]]


def _constraints(kind: inspect.Type, extra: Mapping[str, Any]) -> Iterator[Constraint]:
    if isinstance(kind, inspect.LiteralType):
        allowed = kind.values
        yield f"Member must satisfy enum value set: [{', '.join(map(str, allowed))}]", lambda value: value in allowed
    elif isinstance(kind, inspect.StrType):
        yield from _length_constraints(kind.min_length, kind.max_length)
        if kind.pattern is not None:
            pattern = kind.pattern
            yield (
                f"Member must satisfy regular expression pattern: {extra.get('pattern', pattern)}",
                lambda value: re.search(pattern, value) is not None,
            )
    elif isinstance(kind, inspect.BytesType):
        yield from _length_constraints(kind.min_length, kind.max_length)
    elif isinstance(kind, inspect.IntType | inspect.FloatType):
        low, high = kind.ge, kind.le
        if high is not None:
            yield f"Member must have value less than or equal to {high}", lambda value: bool(value <= high)
        if low is not None:
            yield f"Member must have value greater than or equal to {low}", lambda value: bool(value >= low)


def _length_constraints(least: int | None, most: int | None) -> Iterator[Constraint]:
    if most is not None:
        yield f"Member must have length less than or equal to {most}", lambda value: len(value) <= most
    if least is not None:
        yield f"Member must have length greater than or equal to {least}", lambda value: len(value) >= least


def _all_constraints(kind: inspect.Type) -> str:
    extra: Mapping[str, Any] = {}
    if isinstance(kind, inspect.Metadata):
        extra, kind = kind.extra or {}, kind.type
    return ", ".join([text for text, _ in _constraints(kind, extra)] + ["Member must not be null"])


def _bare(kind: inspect.Type) -> inspect.Type:
    return kind.type if isinstance(kind, inspect.Metadata) else kind


# --- manners ----------------------------------------------------------------------------------------------------------

Manner = Callable[[list[Violation]], AwsError]


def _coral(error: type[AwsError]) -> Manner:
    def say(found: list[Violation]) -> AwsError:
        several = "s" if len(found) > 1 else ""
        each = (f"Value {_quoted(value)}at '{path}' failed to satisfy constraint: {constraint}" for path, value, constraint in found)
        return error(f"{len(found)} validation error{several} detected: {'; '.join(each)}")

    return say


def _ecr(found: list[Violation]) -> AwsError:
    path, _, constraint = found[0]
    constraint = re.sub("^Member must satisfy regular expression pattern: (.*)$", r"must satisfy regular expression '\1'", constraint)
    return InvalidParameterException(f"Invalid parameter at '{path}' failed to satisfy constraint: '{constraint}'")


_IAM_WORDS: Mapping[str, str] = {
    r"[\w+=,.@-]+": "It must contain only alphanumeric characters and/or the following: +=,.@_-",
    r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)": (
        "It must begin and end with / and contain only alphanumeric characters and/or / characters."
    ),
}


def _iam(found: list[Violation]) -> AwsError:
    path, _, constraint = found[0]
    words = _IAM_WORDS.get(constraint.removeprefix("Member must satisfy regular expression pattern: "))
    return Validation(f"The specified value for {path} is invalid. {words}") if words else _coral(Validation)(found)


def _ec2(found: list[Violation]) -> AwsError:
    path, value, constraint = found[0]
    name = re.sub(r"\.(\d+)\.member\b", r".\1", path)
    if value is None:
        return MissingParameter(f"The request must contain the parameter {name}")
    if isinstance(value, _Hidden):
        return InvalidParameterValue(f"The value for parameter {name} is invalid. {constraint}")
    return InvalidParameterValue(f"Value ({_shown(value)}) for parameter {name} is invalid. {constraint}")


def _cloudtrail(found: list[Violation]) -> AwsError:
    """It has errors of their own for two members."""
    first = found[0].path
    if first == "maxResults":
        return _coral(InvalidMaxResultsException)(found)
    return _coral(InvalidLookupAttributesException if first.startswith("lookupAttributes") else Validation)(found)


_MANNERS: Mapping[str, Manner] = {
    "ecs": _coral(InvalidParameterException),
    "ecr": _ecr,
    "ec2": _ec2,
    "iam": _iam,
    "cloudtrail": _cloudtrail,
}


def _quoted(value: Any) -> str:
    """With a space after it, unless there is nothing to show."""
    if isinstance(value, _Hidden):
        return ""
    return "null " if value is None else f"'{_shown(value)}' "


def _shown(value: Any) -> str:
    """A value as Java prints it."""
    if isinstance(value, list):
        shown = f"[{', '.join(_shown(item) for item in value[:100])}]"
    elif isinstance(value, dict):
        shown = f"{{{', '.join(f'{key}={_shown(item)}' for key, item in list(value.items())[:100])}}}"
    elif isinstance(value, bool):
        shown = "true" if value else "false"
    else:
        shown = "null" if value is None else str(value)
    return shown[:MOST_VALUE]


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _lower_first(name: str) -> str:
    return name[:1].lower() + name[1:]
