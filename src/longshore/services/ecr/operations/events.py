"""The registry's stream of events, for whoever wants to read it; AWS has Amazon EventBridge for that."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.pagination import page, seal, unseal
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import InvalidParameterException
from longshore.services.ecr.lifecycle import shapes
from longshore.services.ecr.model import REGISTRY_EVENTS, RegistryEvent
from longshore.services.ecr.names import repository_arn

_PAGE = 100
#: seconds since the epoch that keys of events have room for
_LATEST = 9_999_999_999.0
_INVALID_TOKEN = "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"


def _resources(call: Call, request: shapes.ListRegistryEventsRequest) -> Iterable[str]:
    return [repository_arn(call.region, request.registry_id or call.account_id, request.repository_name or "*")]


@api.operation("LongshoreListRegistryEvents", resource=_resources, shape=shapes.LIST_EVENTS)
async def list_registry_events(call: Call, request: shapes.ListRegistryEventsRequest) -> shapes.ListRegistryEventsResponse:
    """Oldest first. What happened at one moment is in no particular order, and may still grow for a moment."""
    if request.newest is not None and (request.next_token is not None or request.max_results is not None):
        raise InvalidParameterException("maxResults and nextToken cannot be specified together with newest")
    (resource,) = _resources(call, request)
    scope = f"{call.region}:{request.registry_id or call.account_id}"
    question = ("LongshoreListRegistryEvents", scope, request.repository_name, request.start_time)
    after = unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException(_INVALID_TOKEN))
    if after is None and request.start_time is not None:
        after = f"{scope}:{min(max(0.0, request.start_time), _LATEST):017.6f}"
    found, after = page(
        lambda after, limit: call.store.list(REGISTRY_EVENTS, "scope", scope, after=after, limit=limit),
        lambda event: event.key,
        after=after,
        limit=(request.max_results or _PAGE) if request.newest is None else call.store.count(REGISTRY_EVENTS, "scope", scope) + 1,
        keep=None if request.repository_name is None else lambda event: resource in event.resources,
    )
    if request.newest is not None:
        found = found[-request.newest :]
    return shapes.ListRegistryEventsResponse(
        events=tuple(map(_event, found)), next_token=seal(call.secret_for_signing, question, after) if after else None
    )


def _event(event: RegistryEvent) -> shapes.Event:
    return shapes.Event(
        event_id=event.key.split(":", 2)[2], time=event.at, detail_type=event.detail_type, resources=event.resources, detail=event.detail
    )
