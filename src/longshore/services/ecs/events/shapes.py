"""Request and answer of LongshoreListEvents, which AWS does not have: there events go to Amazon EventBridge. See docs/events.md."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from longshore.aws.protocol.model import OperationShape

#: the longest that a request waits for something to happen
MOST_WAIT_S = 20
MOST_RESULTS = 1000

_Reference = Annotated[str, Meta(min_length=1, max_length=2048)]
_Moment = Annotated[float, Meta(ge=0, le=253_402_300_799)]


class ListEventsRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    #: names or ARNs; short names of services, tasks and container instances belong to `cluster`, or to the default cluster
    cluster: _Reference | None = None
    service: _Reference | None = None
    task: _Reference | None = None
    container_instance: _Reference | None = None
    #: any of them
    detail_types: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=128)], ...], Meta(max_length=10)] | None = None
    start_time: _Moment | None = None
    end_time: _Moment | None = None
    #: an answer's `cursor`: go on behind it
    cursor: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    #: so many of the last ones
    newest: Annotated[int, Meta(ge=0, le=MOST_RESULTS)] | None = None
    max_results: Annotated[int, Meta(ge=1, le=MOST_RESULTS)] | None = None
    wait_seconds: Annotated[int, Meta(ge=0, le=MOST_WAIT_S)] | None = None


class ListedEvent(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cursor: str
    #: as Amazon EventBridge would hand it on
    event: dict[str, Any]


class ListEventsResponse(Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    events: tuple[ListedEvent, ...]
    cursor: str
    #: there is more behind `cursor` already
    more: bool
    #: events behind the cursor asked with are not kept any more
    missed: bool


LIST_EVENTS = OperationShape("LongshoreListEvents", ListEventsRequest, ListEventsResponse)
