"""EC2's own variant of the query protocol: flattened lists in, lower-case element names out, other errors.

A value that cannot be read is an InvalidParameterValue here, as EC2 has no MalformedInput.
"""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.aws.errors import AwsError, Serialization
from longshore.aws.protocol.explain import InvalidParameterValue, refusal
from longshore.aws.protocol.form import parse_form
from longshore.aws.protocol.model import Headers, Model, OperationShape
from longshore.aws.protocol.xml import error_members, escape

CONTENT_TYPE = "text/xml;charset=UTF-8"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def parse(model: Model, operation: OperationShape, body: bytes) -> msgspec.Struct:
    """The request in the form `body`. Raises InvalidParameterValue or MissingParameter."""
    assert operation.read is not None
    try:
        raw = operation.read(parse_form(body))
    except Serialization as error:
        raise InvalidParameterValue(error.message) from None
    try:
        return msgspec.convert(raw, operation.request, strict=False)
    except msgspec.ValidationError as error:
        refused = refusal(model.api, operation.request, raw, str(error), lax=True)
        raise InvalidParameterValue(refused.message) if isinstance(refused, Serialization) else refused from None


def render(model: Model, operation: OperationShape, response: msgspec.Struct | None, request_id: str) -> tuple[bytes, str]:
    """(body, content type). Operations without a modelled output answer `<return>true</return>`."""
    pieces = [f'{_DECLARATION}<{operation.name}Response xmlns="{escape(model.xml_namespace)}/"><requestId>{escape(request_id)}</requestId>']
    out = pieces.append
    if operation.write is None:
        out("<return>true</return>")
    elif response is not None:
        operation.write(out, response)
    out(f"</{operation.name}Response>")
    return "".join(pieces).encode(), CONTENT_TYPE


def render_error(model: Model | None, error: AwsError, request_id: str) -> tuple[int, bytes, str, Headers]:
    """(status, body, content type, headers)"""
    code, status = error.wire("ec2")
    members: Any = {"Code": code, "Message": error.message, **error.members}
    body = (
        f"{_DECLARATION}<Response><Errors><Error>{error_members(members)}</Error></Errors>"
        f"<RequestID>{escape(request_id)}</RequestID></Response>"
    )
    return status, body.encode(), CONTENT_TYPE, ()
