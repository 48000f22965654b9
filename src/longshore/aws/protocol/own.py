"""Readers and writers of forms and XML, made from the structs themselves: for operations of our own, whose shapes nobody generates.

Texts, numbers, booleans, tuples and structs of them; a member that is None, empty or has its default is left out of an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import msgspec.inspect as inspect

from longshore.aws.protocol import form
from longshore.aws.protocol.model import OperationShape, Out, Reader
from longshore.aws.protocol.xml import boolean, escape

#: (out, value)
_Write = Callable[[Out, Any], None]


def query_shape(name: str, request: type[msgspec.Struct], response: type[msgspec.Struct]) -> OperationShape:
    """The shape of an operation in the query protocol."""
    return OperationShape(
        name,
        request,
        response,
        result_wrapper=f"{name}Result",
        read=_reader(inspect.type_info(request)),
        write=_writer(inspect.type_info(response)),
    )


def _plain(type_: inspect.Type) -> inspect.Type:
    """Without what says more of it, and without None."""
    while isinstance(type_, inspect.Metadata | inspect.UnionType):
        if isinstance(type_, inspect.Metadata):
            type_ = type_.type
        else:
            type_ = next(each for each in type_.types if not isinstance(each, inspect.NoneType))
    return type_


def _reader(type_: inspect.Type) -> Reader:
    match _plain(type_):
        case inspect.StructType(fields=fields):
            table = {field.encode_name: (field.encode_name, _reader(field.type)) for field in fields}
            return lambda node: form.members(node, table)
        case inspect.VarTupleType(item_type=item):
            return form.listed(_reader(item), "member")
        case inspect.BoolType():
            return form.boolean
        case inspect.IntType() | inspect.FloatType():
            return form.number
        case inspect.StrType() | inspect.LiteralType():
            return form.text
        case other:
            raise TypeError(f"{other} does not travel in forms")


def _writer(type_: inspect.Type) -> _Write:
    match _plain(type_):
        case inspect.StructType(cls=cls, fields=fields):
            return _members_writer(cls, [(field, _writer(field.type)) for field in fields])
        case inspect.VarTupleType(item_type=item):
            return _list_writer(_writer(item))
        case inspect.BoolType():
            return lambda out, value: out(boolean(value))
        case inspect.IntType() | inspect.FloatType():
            return lambda out, value: out(str(value))
        case inspect.StrType() | inspect.LiteralType():
            return lambda out, value: out(escape(value))
        case other:
            raise TypeError(f"{other} does not travel in XML")


def _members_writer(cls: type, fields: list[tuple[inspect.Field, _Write]]) -> _Write:
    attributes = dict(zip(cls.__struct_encode_fields__, cls.__struct_fields__, strict=True))  # type: ignore[attr-defined]

    def write(out: Out, value: Any) -> None:
        for field, inner in fields:
            held = getattr(value, attributes[field.encode_name])
            if held is None or held in ("", ()) or (not field.required and held == field.default):
                continue
            out(f"<{field.encode_name}>")
            inner(out, held)
            out(f"</{field.encode_name}>")

    return write


def _list_writer(item: _Write) -> _Write:
    def write(out: Out, values: Any) -> None:
        for value in values:
            out("<member>")
            item(out, value)
            out("</member>")

    return write
