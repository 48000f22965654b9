"""The JSON protocol (1.0 and 1.1): one object in, one object out; the operation stands in the X-Amz-Target header.

`null` means absent and members that are not in the model are ignored, as at AWS. Of a member given twice the last counts.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from longshore.aws.errors import AwsError, Serialization
from longshore.aws.protocol.explain import refusal
from longshore.aws.protocol.model import Headers, Model, OperationShape

#: Objects and lists inside each other. AWS's own models stay below 20.
MOST_DEPTH = 100

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)
_encode = msgspec.json.Encoder().encode


@cache
def _decoder(request: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(request)


def parse(model: Model, operation: OperationShape, body: bytes) -> msgspec.Struct:
    """The request in `body`; an empty body is an empty request. Raises Serialization or the API's validation error."""
    if body.count(b"[") + body.count(b"{") > MOST_DEPTH:
        _check_depth(body)
    if not body or body.isspace():
        body = b"{}"
    try:
        request: msgspec.Struct = _decoder(operation.request).decode(body)
    except msgspec.ValidationError as error:
        raise refusal(model.api, operation.request, _raw(body), str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(error) from None
    return request


def _raw(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_json(error) from None


def _not_json(error: Exception) -> Serialization:
    return Serialization(f"The request body is not valid JSON: {error}")


def _check_depth(body: bytes) -> None:
    depth = 0
    for match in _BRACKETS.finditer(body):
        first = match.group()[:1]
        if first in b"[{":
            depth += 1
            if depth > MOST_DEPTH:
                raise Serialization("The request body is nested too deeply")
        elif first in b"]}":
            depth -= 1


def render(model: Model, operation: OperationShape, response: msgspec.Struct | None, request_id: str) -> tuple[bytes, str]:
    """(body, content type)"""
    return (b"{}" if response is None else _encode(response)), _content_type(model)


def render_error(model: Model | None, error: AwsError, request_id: str) -> tuple[int, bytes, str, Headers]:
    """(status, body, content type, headers); `model` is None where no API could be told."""
    code, status = error.wire("json")
    body = _encode({"__type": code, "message": error.message, **error.members})
    return status, body, _content_type(model), (("x-amzn-ErrorType", code),)


def _content_type(model: Model | None) -> str:
    return f"application/x-amz-json-{(model and model.json_version) or '1.1'}"
