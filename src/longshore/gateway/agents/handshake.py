"""Who opens a socket, and for which container instance: the checks that stand before the 101.

A refusal is an HTTP answer whose body names the exception; the agent reads it, and InactiveInstanceException makes it wait
an hour (agent protocol §2.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from aiohttp import web

from longshore.aws.arn import parse_arn
from longshore.aws.errors import AccessDenied, AwsError
from longshore.gateway.answer import Answer
from longshore.gateway.auditing.entries import entry_of
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identified, Identities
from longshore.gateway.request import ApiRequest
from longshore.services.ecs.acting import acting_for
from longshore.services.ecs.model import CONTAINER_INSTANCES, ContainerInstance
from longshore.store.base import Store, StoreUnavailable

SIGNING_NAME = "ecs"


class Refused(Exception):
    """A socket that is not opened; `answer` says why."""

    def __init__(self, name: str, text: str, status: int = 400) -> None:
        super().__init__(f"{name}: {text}")
        self.answer = Answer(status, msgspec.json.encode({name: text}), "application/json", close=True)


def _noted(request: web.BaseRequest, identified: Identified, action: str, resource: str, denial: str | None) -> None:
    """Raises Refused where it cannot be recorded."""
    entry = entry_of(request)
    if entry is None:
        return
    try:
        entry.note(identified.principal, action, region=identified.region, resource=resource, denied=denial)
    except StoreUnavailable as problem:
        raise Refused("ServerException", f"What comes in cannot be recorded at present: {problem}", 503) from None


@dataclass(frozen=True, slots=True)
class Opened:
    identified: Identified
    instance: ContainerInstance
    #: scheme, host and port by which the agent reaches the gateway
    gateway_url: str
    #: it has started anew, and with that forgotten the credentials of its tasks' roles
    lacks_credentials: bool = False


def admit(
    request: web.BaseRequest, store: Store, identities: Identities, access: Access, *, instance_parameter: str, action: str
) -> Opened:
    """Verify the signature and that the caller may act for the container instance it names. Raises Refused."""
    signed = ApiRequest.of(request, b"")
    try:
        identified = identities.identify(signed)
    except AwsError as error:
        raise Refused("AccessDeniedException", error.message, 403) from None
    arn = request.query.get(instance_parameter, "")
    if identified.service != SIGNING_NAME:
        raise Refused("AccessDeniedException", f"Credential should be scoped to correct service: '{SIGNING_NAME}'.", 403)
    instance = store.get(CONTAINER_INSTANCES, arn)
    named = parse_arn(arn)
    own = named is not None and (named.region, named.account_id) == (identified.region, identified.principal.account_id)
    if instance is None or not own:
        raise Refused("InvalidInstanceException", "The container instance is not known.")
    if instance.status == "INACTIVE":
        raise Refused("InactiveInstanceException", "The container instance is no longer registered.")
    try:
        asked = [(action, arn), *acting_for(store, identified.principal, instance)]
    except AccessDenied as denied:
        raise Refused("AccessDeniedException", denied.message, 403) from None
    for wanted, resource in asked:
        denial = access.denial(
            identified.principal,
            wanted,
            resource,
            region=identified.region,
            source_ip=request.remote or "",
            secure=request.secure,
            user_agent=request.headers.get("User-Agent", ""),
        )
        if denial is not None:
            _noted(request, identified, wanted, resource, denial)
            raise Refused("AccessDeniedException", denial, 403)
    _noted(request, identified, action, arn, None)
    return Opened(identified, instance, signed.base_url, request.query.get("sendCredentials") == "true")
