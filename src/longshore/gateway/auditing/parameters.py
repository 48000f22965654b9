"""What a request asked for, and what it was answered, as a record has it: the names of CloudTrail, and no secrets.

How a shape is written down is worked out once from its type: member names begin with a small letter, members that are not there are
left out, bytes and whatever the model or `_SECRET` calls secret become a constant. A secret is known by the name of its member or, where a
name says nothing (`value`), by the shape it stands in. Values are cut where they are long.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect

from longshore.audit.record import MOST_VALUE, cut

#: what AWS's records have in the place of what they do not show
HIDDEN = "HIDDEN_DUE_TO_SECURITY_REASONS"
#: elements of one list
_MOST_ELEMENTS = 1_000

#: members that are secrets wherever they stand: names without underscores, in small letters
_SECRET = frozenset(
    {
        *("accesstoken", "activationcode", "authenticationcode1", "authenticationcode2", "authorizationtoken", "base32stringseed"),
        *("clientsecret", "idtoken", "loginpassword", "newpassword", "oldpassword", "passphrase", "password", "plaintext"),
        *("privatekey", "qrcodepng", "samlassertion", "secret", "secretaccesskey", "secretbinary", "secretstring", "sessiontoken"),
        *("tokencode", "tokenvalue", "userdata", "webidentitytoken"),
    }
)
#: (shape, member) of secrets whose name does not say so: environments are where programs are given passwords, whatever AWS thinks of it
_SECRET_IN = frozenset({("KeyValuePair", "value"), ("PutParameterRequest", "value"), ("Parameter", "value"), ("ParameterHistory", "value")})

#: keys of maps whose values open something: `splunk-token`, `apikey` and `shared_key` are options of log drivers and of Fluent Bit
_OPENS = re.compile(
    "passw|passphrase|secret|token|credential|authorization|api[-_ .]?key|(access|account|auth|license|private|shared)[-_ .]?key", re.I
)

Write = Callable[[Any], Any]


def written(value: msgspec.Struct) -> dict[str, Any]:
    """A request, an answer, or a part of one, without its secrets."""
    return writer_of(type(value))(value)


@cache
def writer_of(shape: type[msgspec.Struct]) -> Callable[[msgspec.Struct], dict[str, Any]]:
    """How values of `shape` are written down."""
    info = inspect.type_info(shape)
    assert isinstance(info, inspect.StructType)
    # the type of a member is looked at when there first is one: shapes may hold themselves
    members = [(field.name, _small(field.encode_name), _Later(shape.__name__, field)) for field in info.fields]

    def write(value: msgspec.Struct) -> dict[str, Any]:
        told = {}
        for name, key, how in members:
            held = getattr(value, name)
            if held is not None:
                told[key] = how(held)
        return told

    return write


class _Later:
    """A member's writer, made when it is needed."""

    __slots__ = ("_field", "_shape", "_write")

    def __init__(self, shape: str, field: inspect.Field) -> None:
        self._shape = shape
        self._field = field
        self._write: Write | None = None

    def __call__(self, value: Any) -> Any:
        if self._write is None:
            self._write = _hidden if _is_secret(self._shape, self._field) else _writer(self._field.type)
        return self._write(value)


def _is_secret(shape: str, field: inspect.Field) -> bool:
    named = (shape, field.name)
    plain = field.encode_name.lower().replace("_", "").replace("-", "")
    return named in _SECRET_IN or (plain in _SECRET and not _is_struct(field.type))


def _is_struct(kind: inspect.Type) -> bool:
    """What is itself made of members says of each whether it is secret."""
    if isinstance(kind, inspect.UnionType):
        return any(_is_struct(each) for each in kind.types)
    return isinstance(kind, inspect.StructType)


def _writer(kind: inspect.Type) -> Write:
    if isinstance(kind, inspect.Metadata):
        return _hidden if (kind.extra or {}).get("sensitive") else _writer(kind.type)
    if isinstance(kind, inspect.UnionType):
        others = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
        return _writer(others[0]) if len(others) == 1 else _any
    if isinstance(kind, inspect.StructType):
        return writer_of(kind.cls)
    if isinstance(kind, (inspect.VarTupleType, inspect.ListType)):
        return _list(_writer(kind.item_type))
    if isinstance(kind, inspect.DictType):
        return _dict(_writer(kind.value_type))
    if isinstance(kind, inspect.BytesType):
        return _hidden
    if isinstance(kind, (inspect.StrType, inspect.LiteralType)):
        return _text
    if isinstance(kind, (inspect.IntType, inspect.FloatType, inspect.BoolType)):
        return _as_it_is
    return _any


def _list(write: Write) -> Write:
    return lambda values: [write(value) for value in values[:_MOST_ELEMENTS]]


def _dict(write: Write) -> Write:
    def all_of(values: Mapping[str, Any]) -> dict[str, Any]:
        return {cut(str(key)): HIDDEN if _OPENS.search(str(key)) else write(value) for key, value in list(values.items())[:_MOST_ELEMENTS]}

    return all_of


def _hidden(value: Any) -> str:
    return HIDDEN


def _as_it_is(value: Any) -> Any:
    return value


def _text(value: Any) -> Any:
    return value if not isinstance(value, str) or len(value) <= MOST_VALUE else cut(value)


def _any(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return written(value)
    if isinstance(value, (bytes, bytearray)):
        return HIDDEN
    if isinstance(value, (list, tuple)):
        return [_any(each) for each in value[:_MOST_ELEMENTS]]
    if isinstance(value, dict):
        return _dict(_any)(value)
    return _text(value)


def _small(name: str) -> str:
    return name[:1].lower() + name[1:]
