"""Backfills: images from before the configuration, a window at a time."""

from __future__ import annotations

import pytest

from longshore.aws.errors import AwsError
from longshore.control.replication import backfill
from longshore.services.ecr.replication.model import BACKFILL_ITEMS
from tests.control.replication.conftest import ELSEWHERE, HOME, OTHER, REGION, World
from tests.registry.contents import CONFIG, index, manifest


async def _filled(world: World, count: int) -> list[str]:
    return [
        await world.push("app/web", manifest(b"layer %d" % number), f"v{number}", layers=(CONFIG, b"layer %d" % number))
        for number in range(count)
    ]


async def _started(world: World, region: str = ELSEWHERE, account: str = HOME) -> str:
    answer = await world.ask("StartReplicationBackfill", destination={"region": region, "registryId": account})
    assert answer.status == "PREPARING"
    return str(answer.replication_backfill_id)


async def test_a_backfill_carries_what_was_there_before(world: World) -> None:
    digests = await _filled(world, 3)
    parent = await world.push("app/web", index(manifest(b"layer 0")), layers=())
    await world.replicate_to((ELSEWHERE, HOME))
    backfill_id = await _started(world)
    assert (await world.ask("DescribeReplicationBackfillResults", replicationBackfillId=backfill_id)).results == ()
    await world.turn()
    assert await world.tags("app/web") == {f"v{n}": digest for n, digest in enumerate(digests)} | {None: parent}
    answer = await world.ask("DescribeReplicationBackfillResults", replicationBackfillId=backfill_id)
    assert (answer.status, answer.progress.total_replication_count, answer.progress.completed_replication_count) == ("COMPLETE", 4, 4)
    assert {(each.image_id.image_tag, each.status) for each in answer.results} == {
        ("v0", "COMPLETE"),
        ("v1", "COMPLETE"),
        ("v2", "COMPLETE"),
        (None, "COMPLETE"),
    }
    assert [each.sub_image_failure_codes for each in answer.results if each.image_id.image_digest == parent] == [()]


async def test_more_images_than_fit_in_a_page_or_a_window_all_arrive(world: World) -> None:
    world.at_a_pace_of(page=3, window=2)
    await world.ask("CreateRepository", repositoryName="zoo")
    digests = await _filled(world, 8)
    await world.push("zoo", manifest(b"layer 0"), "z", layers=(CONFIG, b"layer 0"))
    await world.replicate_to((ELSEWHERE, HOME))
    await _started(world)
    await world.turn()
    assert len(await world.tags("app/web")) == len(digests)
    assert len(await world.tags("zoo")) == 1


async def test_results_of_images_that_failed_say_why(world: World) -> None:
    await _filled(world, 2)
    await world.replicate_to((REGION, OTHER))
    backfill_id = await _started(world, REGION, OTHER)
    await world.turn()
    answer = await world.ask(
        "DescribeReplicationBackfillResults", replicationBackfillId=backfill_id, resultStatusFilter="FAILED", maxResults=1
    )
    assert (answer.status, answer.progress.failed_replication_count, answer.progress.failure_codes) == ("COMPLETE", 2, ("AccessDenied",))
    assert [each.failure_code for each in answer.results] == ["AccessDenied"]
    rest = await world.ask(
        "DescribeReplicationBackfillResults",
        replicationBackfillId=backfill_id,
        resultStatusFilter="FAILED",
        nextToken=answer.next_token,
    )
    assert len(rest.results) == 1
    assert rest.next_token is None


async def test_a_backfill_that_is_stopped_carries_nothing_more(world: World) -> None:
    await _filled(world, 3)
    await world.replicate_to((ELSEWHERE, HOME))
    backfill_id = await _started(world)
    await world.replicator.reconcile(f"backfill {backfill_id}")
    assert (await world.ask("StopReplicationBackfill", replicationBackfillId=backfill_id)).status == "STOPPING"
    await world.turn()
    (summary,) = (await world.ask("ListReplicationBackfills")).backfills
    assert (summary.status, summary.progress.completed_replication_count) == ("STOPPED", 0)
    assert world.call.store.count(BACKFILL_ITEMS) == 0
    with pytest.raises(AwsError, match="not in a valid status"):
        await world.ask("StopReplicationBackfill", replicationBackfillId=backfill_id)


async def test_one_at_a_time_per_region_and_only_to_a_configured_destination(world: World) -> None:
    with pytest.raises(AwsError, match="must be configured"):
        await _started(world)
    await world.replicate_to((ELSEWHERE, HOME))
    await _started(world)
    with pytest.raises(AwsError, match="already in progress"):
        await _started(world)
    with pytest.raises(AwsError, match="could not be found"):
        await world.ask("StopReplicationBackfill", replicationBackfillId="00000000-0000-0000-0000-000000000000")


async def test_an_ended_backfill_is_forgotten_after_90_days(world: World) -> None:
    await _filled(world, 1)
    await world.replicate_to((ELSEWHERE, HOME))
    await _started(world)
    await world.turn()
    await world.clock.step(backfill.KEPT_S + 1)
    await world.turn()
    assert (await world.ask("ListReplicationBackfills")).backfills == ()
    assert world.call.store.count(BACKFILL_ITEMS) == 0
