"""The event stream, for whoever wants to read it, from any point on and as it grows; AWS has Amazon EventBridge for that.

Who may read the events of a cluster is who may LongshoreListEvents on it. Cursors are positions in the log and nobody's secret: what they
lead to is decided anew by every request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec

from longshore.aws.arn import parse_arn
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import ClusterNotFoundException, InvalidParameterException, UnsupportedFeatureException
from longshore.services.ecs.events import shapes
from longshore.services.ecs.events.envelope import SOURCE
from longshore.services.ecs.lookup import child_arn, cluster_arn
from longshore.services.ecs.model import CLUSTERS, scope_of
from longshore.store.event_log import EventLog, Page, Query, Recorded, position_at

_PAGE = 100
#: readings for one request that find nothing before it answers with nothing but a cursor
_MOST_READINGS = 25

_decode = msgspec.json.Decoder(dict).decode


def _children(call: Call, request: shapes.ListEventsRequest) -> list[str]:
    """ARNs of what the request names in its cluster."""
    named = (("service", request.service), ("task", request.task), ("container-instance", request.container_instance))
    return [child_arn(call, request.cluster, kind, reference) for kind, reference in named if reference is not None]


def _clusters(call: Call, request: shapes.ListEventsRequest) -> list[str]:
    """ARNs of every cluster that the request speaks of, by name or through what is in it."""
    found = [cluster_arn(call, request.cluster)] if request.cluster is not None else []
    for arn in _children(call, request):
        prefix, _, resource = arn.rpartition(":")
        owner = resource.split("/")[1] if resource.count("/") == 2 else "*"
        found.append(f"{prefix}:cluster/{owner}")
    return list(dict.fromkeys(found))


def _resources(call: Call, request: shapes.ListEventsRequest) -> Iterable[str]:
    return _clusters(call, request) or [call.arn("ecs", "cluster/*")]


@api.operation("LongshoreListEvents", resource=_resources, shape=shapes.LIST_EVENTS)
async def list_events(call: Call, request: shapes.ListEventsRequest) -> shapes.ListEventsResponse:
    """Oldest first. Waits up to `waitSeconds` where there is nothing yet.

    Raises InvalidParameterException, and ClusterNotFoundException for clusters that never were.
    """
    events = call.events
    if events is None:
        raise UnsupportedFeatureException("Events are not kept here.")
    _check(request)
    query = _query(call, request)
    if request.newest is not None:
        page = await events.last(query, request.newest) if request.newest else Page((), events.newest)
    else:
        page = await _read(call, events, query, request)
    return _answer(page, request.end_time)


def _check(request: shapes.ListEventsRequest) -> None:
    starts = {"cursor": request.cursor, "startTime": request.start_time, "newest": request.newest}
    given = [name for name, value in starts.items() if value is not None]
    if len(given) > 1:
        raise InvalidParameterException(f"{' and '.join(given)} cannot be specified together.")
    if request.newest is not None and (request.max_results is not None or request.wait_seconds):
        raise InvalidParameterException("maxResults and waitSeconds cannot be specified together with newest.")
    if request.end_time is not None and request.wait_seconds:
        raise InvalidParameterException("endTime and waitSeconds cannot be specified together.")


def _query(call: Call, request: shapes.ListEventsRequest) -> Query:
    scope, labels = f"{call.region}:{call.account_id}", [*_clusters(call, request), *_children(call, request)]
    for arn in labels:
        parsed = parse_arn(arn)
        if parsed is None or parsed.service != "ecs" or scope_of(arn) != scope or not arn.isprintable() or "*" in arn:
            raise InvalidParameterException("Identifier is not a valid name or ARN.")
    for arn in _clusters(call, request):
        if call.store.get(CLUSTERS, arn) is None:
            raise ClusterNotFoundException
    return Query(scope, tuple(request.detail_types or ()), tuple(labels), SOURCE)


def _after(request: shapes.ListEventsRequest) -> int:
    if request.cursor is None:
        return max(0, position_at(request.start_time) - 1) if request.start_time is not None else 0
    if not request.cursor.isascii() or not request.cursor.isdigit() or int(request.cursor) >= 1 << 63:
        raise InvalidParameterException("cursor is not valid.")
    return int(request.cursor)


async def _read(call: Call, events: EventLog, query: Query, request: shapes.ListEventsRequest) -> Page:
    """The first page that has something in it; an empty one where nothing comes in time."""
    after, limit = _after(request), request.max_results or _PAGE
    until = call.clock.now() + (request.wait_seconds or 0)
    missed = request.cursor is not None and after > events.newest
    if missed:  # of a log that was lost, or of none: whoever waited for it to come that far would wait in silence
        after = events.newest
    for _ in range(_MOST_READINGS):
        page = await events.read(query, after, limit)
        missed = missed or page.missed
        after = page.position
        if page.entries or (not page.more and not await _comes(call, events, after, until)):
            return msgspec.structs.replace(page, missed=missed)
    return Page((), after, more=events.newest > after, missed=missed)


async def _comes(call: Call, events: EventLog, after: int, until: float) -> bool:
    """Whether something is appended behind `after` before `until`."""
    left = until - call.clock.now()
    if left <= 0:
        return False
    jobs = [asyncio.ensure_future(events.grown(after)), asyncio.ensure_future(call.clock.sleep(left))]
    try:
        await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
    return events.newest > after


def _answer(page: Page, end_time: float | None) -> shapes.ListEventsResponse:
    entries, more = page.entries, page.more
    if end_time is not None:
        last = position_at(end_time)
        within = tuple(entry for entry in entries if entry.position <= last)
        entries, more = within, more and len(within) == len(entries) and page.position < last
    return shapes.ListEventsResponse(events=tuple(map(_listed, entries)), cursor=str(page.position), more=more, missed=page.missed)


def _listed(entry: Recorded) -> shapes.ListedEvent:
    return shapes.ListedEvent(cursor=str(entry.position), event=_decode(entry.body))
