"""LongshoreListEvents: where it begins, what it leaves out, how it waits, and what it refuses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from longshore.aws.errors import AwsError
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.call import Call, Principal, Site
from longshore.services.ecs.api import api
from longshore.services.ecs.events.envelope import INSTANCE_CHANGE, TASK_CHANGE, entry_of
from longshore.services.ecs.events.shapes import ListEventsRequest, ListEventsResponse
from longshore.services.ecs.kinds import KINDS
from longshore.services.ecs.model import CLUSTERS, Cluster
from longshore.services.ecs.operations import event_stream
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore
from longshore.store.memory_events import MemoryEventLog

assert event_stream
ACCOUNT, REGION = "000000000000", "us-east-1"
ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:"
ROOT = Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, "AKIAROOT")


class Stream:
    """Tasks of the clusters `default` and `other` that change one after the other."""

    def __init__(self, call: Call, log: MemoryEventLog, clock: SteppedClock) -> None:
        self.call, self.log, self.clock = call, log, clock
        self.version = 0

    async def tell(self, task: str, cluster: str = "default", *, kind: str = TASK_CHANGE, service: str = "web") -> None:
        self.version += 1
        entry = entry_of(
            event_id=f"event-{self.version}",
            detail_type=kind,
            resource=f"{ARN}task/{cluster}/{task}",
            now=self.clock.now(),
            detail={"version": self.version},
            labels=(f"{ARN}cluster/{cluster}", f"{ARN}service/{cluster}/{service}"),
            subject=f"{ARN}task/{cluster}/{task}",
            version=self.version,
        )
        await self.log.append([entry], self.clock.now())

    async def ask(self, **members: Any) -> ListEventsResponse:
        response: ListEventsResponse = await event_stream.list_events(self.call, _request(members))
        return response

    async def versions(self, **members: Any) -> list[int]:
        return [one.event["detail"]["version"] for one in (await self.ask(**members)).events]

    async def refusal(self, **members: Any) -> str:
        with pytest.raises(AwsError) as refused:
            await self.ask(**members)
        return f"{refused.value.wire('json')[0]}: {refused.value.message}"

    def resources(self, **members: Any) -> Iterable[str]:
        return api.operations["LongshoreListEvents"].resource(self.call, _request(members))


def _request(members: dict[str, Any]) -> ListEventsRequest:
    return msgspec.json.decode(msgspec.json.encode(members), type=ListEventsRequest)


@pytest.fixture
async def stream() -> AsyncIterator[Stream]:
    clock, store, log = SteppedClock(), memory_store(KINDS), MemoryEventLog()
    for name in ("default", "other"):
        cluster = Cluster(f"{ARN}cluster/{name}", name, 0.0)
        await store.transact(lambda tx, cluster=cluster: tx.put(CLUSTERS, cluster))  # type: ignore[misc]
    site = Site(account_id=ACCOUNT, region=REGION, zones=("us-east-1a",), endpoint="http://127.0.0.1:4566", port=4566)
    call = Call(
        store=store,
        blobs=MemoryBlobStore(),
        clock=clock,
        ids=SeededIds(1),
        site=site,
        principal=ROOT,
        account_id=ACCOUNT,
        region=REGION,
        request_id="request-1",
        source_ip="127.0.0.1",
        base_url="http://127.0.0.1:4566",
        events=log,
    )
    yield Stream(call, log, clock)
    await store.close()


async def test_events_are_whole_and_come_in_order_page_by_page(stream: Stream) -> None:
    for task in "abc":
        await stream.tell(task)
    first = await stream.ask(maxResults=2)
    assert [one.event["id"] for one in first.events] == ["event-1", "event-2"]
    assert first.events[0].event["detail-type"] == TASK_CHANGE
    assert (first.more, first.cursor) == (True, first.events[-1].cursor)
    rest = await stream.ask(cursor=first.cursor)
    assert [one.event["id"] for one in rest.events] == ["event-3"]
    assert not rest.more
    assert await stream.versions(cursor=rest.cursor) == []


async def test_it_begins_at_a_time_or_with_the_last_ones(stream: Stream) -> None:
    for task in "abcd":
        await stream.tell(task)
        await stream.clock.step(60)
    began = 1_700_000_000.0
    assert await stream.versions(startTime=began + 60) == [2, 3, 4]
    assert await stream.versions(startTime=began + 1, endTime=began + 120) == [2, 3]
    assert await stream.versions(endTime=began - 1) == []
    assert await stream.versions(newest=2) == [3, 4]
    nothing = await stream.ask(newest=0)
    assert not nothing.events
    await stream.tell("e")
    assert await stream.versions(cursor=nothing.cursor) == [5]


@pytest.mark.parametrize("ahead", [1, 10**15, (1 << 63) - 1])
async def test_a_cursor_from_ahead_of_the_log_is_told_that_it_missed_something_and_goes_on_from_now(stream: Stream, ahead: int) -> None:
    await stream.tell("a")
    cursor = min(stream.log.newest + ahead, (1 << 63) - 1)
    answer = await stream.ask(cursor=str(cursor))
    assert (answer.missed, list(answer.events), answer.cursor) == (True, [], str(stream.log.newest))
    await stream.tell("b")
    assert len((await stream.ask(cursor=answer.cursor)).events) == 1


async def test_it_tells_of_what_was_asked_for_only(stream: Stream) -> None:
    await stream.tell("a")
    await stream.tell("a", "other")
    await stream.tell("b", kind=INSTANCE_CHANGE, service="api")
    assert await stream.versions() == [1, 2, 3]
    assert await stream.versions(cluster="other") == [2]
    assert await stream.versions(task="a") == [1]
    assert await stream.versions(task=f"{ARN}task/other/a") == [2]
    assert await stream.versions(cluster="default", service="api") == [3]
    assert await stream.versions(detailTypes=[INSTANCE_CHANGE, "ECS Service Action"]) == [3]
    assert await stream.versions(cluster="default", task=f"{ARN}task/other/a") == []


async def test_another_account_and_another_region_have_events_of_their_own(stream: Stream) -> None:
    await stream.tell("a")
    for other in (replace(stream.call, account_id="111111111111"), replace(stream.call, region="eu-west-1")):
        stream.call = other
        assert await stream.versions() == []


async def test_it_waits_for_what_comes_and_not_for_ever(stream: Stream) -> None:
    waiting = asyncio.create_task(stream.versions(waitSeconds=20, cluster="default"))
    for _ in range(20):
        await asyncio.sleep(0)
    await stream.tell("a", "other")
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done(), "what comes is of another cluster"
    await stream.tell("b")
    assert await asyncio.wait_for(waiting, 5.0) == [2]
    idle = asyncio.create_task(stream.ask(waitSeconds=20, newest=None, cursor=str(stream.log.newest)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not idle.done()
    await stream.clock.step(20)
    assert (await asyncio.wait_for(idle, 5.0)).events == ()


async def test_nobody_waits_for_a_server_that_stops(stream: Stream) -> None:
    waiting = asyncio.create_task(stream.versions(waitSeconds=20))
    for _ in range(20):
        await asyncio.sleep(0)
    stream.log.end_waiting()
    assert await asyncio.wait_for(waiting, 5.0) == []


async def test_who_comes_too_late_is_told_that_something_is_missing(stream: Stream) -> None:
    await stream.tell("a")
    cursor = str(stream.log.newest - 1)
    await stream.clock.step(8 * 86_400)
    await stream.tell("b")
    await stream.log.trim(stream.clock.now())
    answer = await stream.ask(cursor=cursor)
    assert ([one.event["detail"]["version"] for one in answer.events], answer.missed) == ([2], True)
    assert not (await stream.ask(cursor=answer.cursor)).missed


async def test_rights_are_asked_for_on_every_cluster_that_is_spoken_of(stream: Stream) -> None:
    assert list(stream.resources()) == [f"{ARN}cluster/*"]
    assert list(stream.resources(cluster="other")) == [f"{ARN}cluster/other"]
    assert list(stream.resources(service="web")) == [f"{ARN}cluster/default"]
    assert list(stream.resources(cluster="default", task=f"{ARN}task/other/a")) == [f"{ARN}cluster/default", f"{ARN}cluster/other"]
    theirs = ARN.replace(ACCOUNT, "111111111111")
    assert list(stream.resources(service=f"{theirs}service/web/x")) == [f"{theirs}cluster/web"]


async def test_what_makes_no_sense_is_refused(stream: Stream) -> None:
    invalid = "InvalidParameterException: "
    assert await stream.refusal(cursor="x") == f"{invalid}cursor is not valid."
    assert await stream.refusal(cursor="9" * 20) == f"{invalid}cursor is not valid."
    assert await stream.refusal(cursor="1", startTime=1) == f"{invalid}cursor and startTime cannot be specified together."
    assert (await stream.refusal(newest=1, waitSeconds=3)).startswith(invalid)
    assert (await stream.refusal(endTime=1, waitSeconds=3)).startswith(invalid)
    assert await stream.refusal(cluster="nosuch") == "ClusterNotFoundException: Cluster not found."
    for wrong in ("default\nother", "*", f"{ARN}task/*/a", "arn:aws:s3:us-east-1:000000000000:cluster/default"):
        assert (await stream.refusal(task=wrong)).startswith(invalid), wrong
    stream.call = replace(stream.call, events=None)
    assert (await stream.refusal()).startswith("UnsupportedFeatureException")
