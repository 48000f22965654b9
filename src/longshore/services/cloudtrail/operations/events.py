"""LookupEvents: what was asked of an account in a region in the last 90 days, newest first."""

from __future__ import annotations

from longshore.audit.log import AuditUnavailable
from longshore.audit.lookup import Match, Place
from longshore.audit.record import seconds_of
from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.pagination import seal, unseal
from longshore.aws.shapes import cloudtrail as shapes
from longshore.services.call import Call
from longshore.services.cloudtrail.api import api
from longshore.services.cloudtrail.errors import (
    InvalidLookupAttributesException,
    InvalidNextTokenException,
    InvalidTimeRangeException,
    TrailUnavailable,
)
from longshore.services.cloudtrail.searching import attribute, query_of

KEPT_S = 90 * 86_400.0
_PAGE = 50


@api.operation("LookupEvents", resource=ANY_RESOURCE)
async def lookup_events(call: Call, request: shapes.LookupEventsRequest) -> shapes.LookupEventsResponse:
    attributes = request.lookup_attributes or ()
    if len(attributes) > 1:
        raise InvalidLookupAttributesException("Only one lookup attribute can be given.")
    filters = tuple(attribute(each.attribute_key, each.attribute_value) for each in attributes)
    now = call.clock.now()
    since, until = request.start_time, request.end_time
    if since is not None and until is not None and since > until:
        raise InvalidTimeRangeException("The start time is after the end time.")
    question = ("LookupEvents", call.account_id, call.region, attributes, since, until)
    begin = _place(
        unseal(
            call.secret_for_signing,
            question,
            request.next_token,
            InvalidNextTokenException("The token is not valid, or was given out for other parameters."),
        )
    )
    if request.event_category is not None or call.audit is None:
        return shapes.LookupEventsResponse(events=())  # there are no insights
    query = query_of(
        filters,
        account_id=call.account_id,
        region=call.region,
        since=max(since or 0.0, now - KEPT_S),
        until=until if until is not None else float("inf"),
    )
    try:
        page = await call.audit.search(query, request.max_results or _PAGE, begin)
    except AuditUnavailable as problem:
        raise TrailUnavailable(str(problem)) from None
    token = seal(call.secret_for_signing, question, f"{page.more.number} {page.more.offset}") if page.more is not None else None
    return shapes.LookupEventsResponse(events=tuple(_event(match) for match in page.matches), next_token=token)


def _place(after: str | None) -> Place | None:
    if after is None:
        return None
    number, _, offset = after.partition(" ")
    return Place(int(number), int(offset))


def _event(match: Match) -> shapes.Event:
    seen = match.seen
    return shapes.Event(
        event_id=seen.event_id,
        event_name=seen.event_name,
        read_only="true" if seen.read_only else "false",
        access_key_id=seen.identity.access_key_id or None,
        event_time=seconds_of(seen.event_time),
        event_source=seen.event_source,
        username=seen.identity.name or None,
        resources=tuple(shapes.Resource(resource_type=each.type or None, resource_name=each.arn) for each in seen.resources),
        cloud_trail_event=match.line.decode(),
    )
