"""Requests that nobody signed. Few operations may be asked for so, those that know whom they deal with by something else.

Everybody else who does not sign learns nothing, not even whether an operation exists: for them this says that nothing was asked.
"""

from __future__ import annotations

from longshore.aws.errors import UnknownOperation
from longshore.gateway.catalogue import served
from longshore.gateway.identify import Identified
from longshore.gateway.recognise import Recognised, recognise
from longshore.gateway.request import ApiRequest
from longshore.services.call import Principal

#: signing names of the APIs that have such operations
SERVICES = ("sts",)
#: bytes of a body that is looked into for them: a token of 20,000 characters and a policy, percent-encoded
_MOST_BODY = 96 * 1024


def asked_unsigned(request: ApiRequest) -> Recognised | None:
    """What a request without a signature asks for, where it may; None for all others."""
    if "authorization" in request.headers or "X-Amz-" in request.query or len(request.body) > _MOST_BODY:
        return None
    for service in SERVICES:
        try:
            recognised = recognise(request.headers, request.query, request.body, service)
        except UnknownOperation:
            continue
        operation = served(recognised.api).operations.get(recognised.operation)
        if operation is not None and operation.unsigned and served(recognised.api).model.signing_name == service:
            return recognised
    return None


def nobody(request: ApiRequest, region: str, service: str) -> Identified:
    """Who asks, as long as only the address is known."""
    return Identified(Principal("", f"anonymous:{request.remote}", "", ""), region, service)
