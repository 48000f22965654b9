"""Which API and operation a request asks for, told from the request itself.

`X-Amz-Target` names a json operation; a form with `Action` (or a query string with one) names a query or ec2 operation,
whose API follows from the signed service name and `Version`. Everything else is nobody's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from longshore.aws.errors import UnknownOperation
from longshore.gateway.catalogue import FORMS, TARGET_PREFIXES


@dataclass(frozen=True, slots=True)
class Recognised:
    api: str
    operation: str
    #: "json" or "query"; the API's model says whether query means ec2
    protocol: str


def protocol_of(headers: Mapping[str, str]) -> str:
    """The protocol errors are told in before anything else is known. Header names are lower-case here and below."""
    return "json" if "x-amz-target" in headers or "json" in headers.get("content-type", "") else "query"


def recognise(headers: Mapping[str, str], query: str, body: bytes, service: str) -> Recognised:
    """`service` is the signing name in the request's credential scope. Raises UnknownOperation, naming what was asked for."""
    target = headers.get("x-amz-target")
    if target is not None:
        prefix, _, operation = target.rpartition(".")
        api = TARGET_PREFIXES.get(prefix)
        if api is None or not operation:
            raise UnknownOperation(f"The target {target[:200]!r} is not served by this installation.")
        return Recognised(api, operation, "json")
    form = body.decode("latin-1") if body else query
    action, version = _action(form)
    if not action and query:
        action, version = _action(query)
    if not action:
        raise UnknownOperation("The request names no operation: it has neither an X-Amz-Target header nor an Action parameter.")
    api = FORMS.get((service, version)) or next((name for (signing, _), name in FORMS.items() if signing == service and not version), None)
    if api is None:
        raise UnknownOperation(f"Could not find operation {action[:200]} for version {version[:40] or '(none)'} of {service}.")
    return Recognised(api, action, "query")


def _action(form: str) -> tuple[str, str]:
    """(Action, Version) of a form. Clients put both first, which makes the common case one split. Whatever else stands in it is not
    looked at: there may be more of it than its parser takes, and nobody need have signed it yet."""
    action = version = ""
    for pair in form.split("&"):
        name, _, value = pair.partition("=")
        if name == "Action":
            action = value
        elif name == "Version":
            version = value
        if action and version:
            break
    return unquote_plus(action), unquote_plus(version)
