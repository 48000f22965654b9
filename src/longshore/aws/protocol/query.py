"""The query protocol: a form in (`Action=`, `Version=`, dotted names), XML out."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.aws.errors import AwsError
from longshore.aws.protocol.explain import refusal
from longshore.aws.protocol.form import parse_form
from longshore.aws.protocol.model import Headers, Model, OperationShape
from longshore.aws.protocol.xml import error_members, escape

CONTENT_TYPE = "text/xml"


def parse(model: Model, operation: OperationShape, body: bytes) -> msgspec.Struct:
    """The request in the form `body`. Raises Serialization or the API's validation error."""
    assert operation.read is not None
    raw = operation.read(parse_form(body))
    try:
        return msgspec.convert(raw, operation.request, strict=False)
    except msgspec.ValidationError as error:
        raise refusal(model.api, operation.request, raw, str(error), lax=True) from None


def render(model: Model, operation: OperationShape, response: msgspec.Struct | None, request_id: str) -> tuple[bytes, str]:
    """(body, content type)"""
    pieces = [f'<{operation.name}Response xmlns="{escape(model.xml_namespace)}">']
    out = pieces.append
    if operation.write is not None and response is not None:
        wrapper = operation.result_wrapper
        out(f"<{wrapper}>" if wrapper else "")
        operation.write(out, response)
        out(f"</{wrapper}>" if wrapper else "")
    out(f"<ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata></{operation.name}Response>")
    return "".join(pieces).encode(), CONTENT_TYPE


def render_error(model: Model | None, error: AwsError, request_id: str) -> tuple[int, bytes, str, Headers]:
    """(status, body, content type, headers); `model` is None where no API could be told."""
    code, status = error.wire("query")
    namespace = f' xmlns="{escape(model.xml_namespace)}"' if model and model.xml_namespace else ""
    members: Any = {"Type": error.fault, "Code": code, "Message": error.message, **error.members}
    body = f"<ErrorResponse{namespace}><Error>{error_members(members)}</Error><RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    return status, body.encode(), CONTENT_TYPE, ()
