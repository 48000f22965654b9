"""Policies carried out: what a preview shows is what happens, and what changed meanwhile is looked at again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.control.lifecycle import controller as lifecycle
from longshore.control.lifecycle import plan
from longshore.control.lifecycle.controller import EVERY_S, SETTLE_S
from longshore.control.lifecycle.execution import Done, Seen, carry_out
from longshore.control.loop import Loop
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.ecr.lifecycle.evaluate import evaluate
from longshore.services.ecr.lifecycle.keeping import contents_of
from longshore.services.ecr.lifecycle.model import LIFECYCLE_POLICIES, PREVIEW_PAGES, LifecyclePolicy
from longshore.services.ecr.lifecycle.policy import Policy
from longshore.services.ecr.lifecycle.stock import Stock
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, ImageTag, image_key, tag_key
from longshore.store.base import Change
from tests.services.ecr.lifecycle.policies import NOW, days_ago, image, keep, older, policy, rule, text
from tests.services.ecr.lifecycle.strategies import policies, repositories
from tests.services.ecr.lifecycle.yard import WEB, Yard, yard

WEEK = text(older(1, 7))
KEEP_TWO = text(keep(1, 2))


@asynccontextmanager
async def running(there: Yard) -> AsyncIterator[None]:
    loop = asyncio.create_task(Loop(there.controller, there.store, there.clock, SeededIds()).run())
    yield
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


# ── what a preview shows is what happens ────────────────────────────────────────────────────────────────────────────


@given(stock=repositories(), rules=policies(), most=st.integers(1, 5), known=st.booleans())
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_previewed_is_what_is_done_in_however_many_steps(stock: Stock, rules: Policy, most: int, known: bool) -> None:
    async def both() -> None:
        async with yard() as there:
            images = [replace(each, repository=WEB.key) for each in stock.images.values()]
            await there.put(*images, tags=stock.tags)
            judgement = evaluate(Stock.of(images, stock.tags), rules, NOW)
            shown = list(plan.previewed(Stock.of(images, stock.tags), judgement))
            seen: Seen = dict.fromkeys(judgement.newest, contents_of(there.store, WEB.key)) if known else {}
            for step in plan.steps(Stock.of(images, stock.tags), judgement, most):
                done, seen = await there.store.transact(lambda tx, step=step, seen=seen: carry_out(tx, step, NOW, seen))  # type: ignore[misc]
                assert not done.stale
            gone = {digest for digest in stock.images if digest not in there.digests}
            archived = {each.digest for each in there.store.list(IMAGES) if each.archived and not stock.images[each.digest].archived}
            assert gone == {each.digest for each in shown if each.action == "EXPIRE"}
            assert archived == {each.digest for each in shown if each.action == "TRANSITION"}
            expected = [(each.digest, each.rule_priority) for each in shown]
            told = [(each["image-digest"], each["lifecycle-rule-priority"]) for each in there.told]
            assert sorted(told) == sorted(expected), "one event for each, and it names the rule"

    asyncio.run(both())


async def test_what_expires_is_gone_with_its_tags_and_told_of(there: Yard) -> None:
    await there.aged(9, 8, 1)
    await there.policy(WEEK)
    await there.apply()
    assert there.digests == {"d2"}
    assert [each.tag for each in there.store.list(IMAGE_TAGS)] == ["t2"]
    assert there.told == [
        {
            "action-type": "DELETE",
            "result": "SUCCESS",
            "repository-name": "web",
            "image-digest": digest,
            "image-tag": tag,
            "initiated-by": "lifecycle-policy",
            "lifecycle-rule-priority": 1,
        }
        for digest, tag in (("d0", "t0"), ("d1", "t1"))
    ]


async def test_what_is_archived_is_there_but_archived(there: Yard) -> None:
    await there.aged(9, 1)
    await there.policy(text(rule(2, countType="sinceImagePushed", countNumber=7, action="transition")))
    await there.apply()
    archived = there.store.get(IMAGES, image_key(WEB.key, "d0"))
    assert archived is not None
    assert archived.archived
    assert archived.last_archived_at == NOW
    assert [each["action-type"] for each in there.told] == ["UPDATE_STORAGE_CLASS"]
    revision = there.store.revision
    await there.apply()
    assert there.store.revision == revision + 1, "nothing but the note of the time"


async def test_parts_of_an_index_that_expired_go_the_next_time(there: Yard) -> None:
    await there.put(image("index", 9, parts=("part",), repository=WEB.key), image("part", 9, repository=WEB.key))
    await there.policy(WEEK)
    await there.apply()
    assert there.digests == {"part"}
    await there.apply()
    assert there.digests == set()


async def test_many_images_go_in_transactions_of_bounded_size(there: Yard) -> None:
    await there.aged(*(20 + place / 100 for place in range(450)))
    await there.policy(WEEK)
    watch = there.store.watch(IMAGES)
    await there.apply()
    sizes = []
    while not there.digests and sum(sizes) < 450:
        sizes.append(sum(1 for change in (await watch.next()).changes if change.kind is IMAGES))
    assert sizes == [100, 100, 100, 100, 50]


# ── what changed since it was judged ────────────────────────────────────────────────────────────────────────────────


async def step_of(there: Yard, rules: Policy) -> plan.Step:
    stock = Stock.of(there.store.list(IMAGES), {})
    for tag in there.store.list(IMAGE_TAGS):
        stock.add_tag(tag.tag, tag.digest)
    (step,) = plan.steps(stock, evaluate(stock, rules, NOW))
    return step


async def carried_out(there: Yard, step: plan.Step) -> Done:
    """In ignorance of what the repository was like before."""
    done, _ = await there.store.transact(lambda tx: carry_out(tx, step, NOW))
    return done


async def move_tag(there: Yard) -> None:
    await there.put(tags={"d3": ("t0",)})


async def push_an_index_of_it(there: Yard) -> None:
    await there.put(image("index", 0, parts=("d0",), repository=WEB.key))


async def archive_it(there: Yard) -> None:
    await there.put(image("d0", 40, archived=True, repository=WEB.key))


async def push_its_subject(there: Yard) -> None:
    await there.put(image("subject", 0, repository=WEB.key))


@pytest.mark.parametrize("change", [move_tag, push_an_index_of_it, archive_it, push_its_subject])
async def test_an_image_that_is_not_as_it_was_judged_is_left_alone(there: Yard, change: Any) -> None:
    await there.aged(40, 30, 20, 1)
    await there.put(image("d0", 40, subject="subject", repository=WEB.key))
    step = await step_of(there, policy(older(1, 7)))
    await change(there)
    assert await carried_out(there, step) == Done(expired=2, stale=1)
    assert {"d0", "d3"} <= there.digests
    assert not {"d1", "d2"} & there.digests


async def test_a_pull_saves_an_image_only_from_a_rule_about_pulls(there: Yard) -> None:
    await there.aged(40, 1)
    pulled = rule(1, countType="sinceImagePulled", countNumber=7)
    by_pull = await step_of(there, policy(pulled, allow_expire_since_pulled=True))
    by_age = await step_of(there, policy(older(1, 7)))
    await there.put(image("d0", 40, last_pulled_at=NOW, repository=WEB.key))
    assert await carried_out(there, by_pull) == Done(stale=1)
    assert await carried_out(there, by_age) == Done(expired=1)


async def delete_a_newer_one(there: Yard) -> None:
    await there.store.transact(lambda tx: tx.delete(IMAGES, image_key(WEB.key, "d3")))


async def untag_a_newer_one(there: Yard) -> None:
    await there.store.transact(lambda tx: tx.delete(IMAGE_TAGS, tag_key(WEB.key, "t3")))


async def archive_a_newer_one(there: Yard) -> None:
    await there.put(image("d3", 1, archived=True, repository=WEB.key))


async def put_a_newer_one_into_an_index(there: Yard) -> None:
    await there.put(image("index", 0, parts=("d3",), repository=WEB.key))


@pytest.mark.parametrize("change", [delete_a_newer_one, untag_a_newer_one, archive_a_newer_one, put_a_newer_one_into_an_index])
async def test_a_rule_by_count_does_nothing_once_one_of_those_it_keeps_is_none_any_more(there: Yard, change: Any) -> None:
    await there.aged(40, 30, 20, 1)
    step = await step_of(there, policy(keep(1, 2, tagStatus="tagged", tagPrefixList=["t"])))
    assert [act.image.digest for act in step.acts] == ["d0", "d1"]
    await change(there)
    assert await carried_out(there, step) == Done(stale=2)
    assert {"d0", "d1", "d2"} <= there.digests


async def test_a_rule_by_count_goes_on_when_newer_images_came(there: Yard) -> None:
    await there.aged(40, 30, 20, 1)
    step = await step_of(there, policy(keep(1, 2)))
    await there.put(image("new", 0, repository=WEB.key), image("d3", 1, last_pulled_at=NOW, repository=WEB.key))
    assert await carried_out(there, step) == Done(expired=2)
    assert there.digests == {"d2", "d3", "new"}


async def test_what_a_rule_keeps_is_looked_at_again_only_in_other_contents(there: Yard) -> None:
    await there.aged(40, 30, 20, 1)
    rules = policy(keep(1, 2))
    stock = Stock.of(there.store.list(IMAGES), {})
    judgement = evaluate(stock, rules, NOW)
    first, second = plan.steps(replace_tags(stock, there), judgement, most=1)
    known = {1: contents_of(there.store, WEB.key)}
    done, seen = await there.store.transact(lambda tx: carry_out(tx, first, NOW, known))
    assert done == Done(expired=1)
    assert seen == {1: contents_of(there.store, WEB.key)}, "what went was our own doing"
    await delete_a_newer_one(there)
    done, seen = await there.store.transact(lambda tx: carry_out(tx, second, NOW, seen))
    assert (done, seen) == (Done(stale=1), {})
    assert there.digests == {"d1", "d2"}


def replace_tags(stock: Stock, there: Yard) -> Stock:
    return Stock.of(stock.images.values(), {tag.digest: (tag.tag,) for tag in there.store.list(IMAGE_TAGS)})


async def test_a_policy_that_was_replaced_on_the_way_is_not_carried_on(there: Yard) -> None:
    await there.aged(*(20 + place / 100 for place in range(300)))
    await there.policy(WEEK)
    held = there.store.get(LIFECYCLE_POLICIES, WEB.key)
    assert held is not None
    seen: list[LifecyclePolicy] = []

    class Interrupted(lifecycle.Lifecycle):
        def _step(self, tx: Any, run: Any, *rest: Any) -> Any:
            seen.append(run.policy)
            if len(seen) == 2:
                tx.put(LIFECYCLE_POLICIES, LifecyclePolicy(WEB.key, KEEP_TWO, NOW + 1))
            return super()._step(tx, run, *rest)

    await Interrupted(there.store, there.clock, there.call.site).reconcile(f"policy|{WEB.key}")
    assert len(there.digests) == 200, "the first transaction was done, the second was not"
    assert there.store.list(LIFECYCLE_POLICIES)[0] == held, "what an abandoned transaction wrote is not there"


# ── when ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_policy_is_applied_soon_after_it_was_put(there: Yard) -> None:
    await there.aged(9, 1)
    async with running(there):
        await settled()
        await there.policy(WEEK)
        await settled()
        assert there.digests == {"d0", "d1"}, "changes settle first"
        await there.clock.step(SETTLE_S)
        await settled()
        assert there.digests == {"d1"}


async def test_a_policy_is_applied_soon_after_its_repository_changed(there: Yard) -> None:
    await there.policy(KEEP_TWO)
    async with running(there):
        await settled()
        for place in range(4):
            await there.put(image(f"d{place}", 10 - place, repository=WEB.key))
            await settled()
        await there.clock.step(SETTLE_S)
        await settled()
        assert there.digests == {"d2", "d3"}


async def test_a_policy_is_applied_as_time_goes_by(there: Yard) -> None:
    await there.aged(6.99, 1)
    await there.policy(WEEK)
    async with running(there):
        await settled()
        assert there.digests == {"d0", "d1"}
        await there.clock.step(EVERY_S + 1)
        await settled()
        assert there.digests == {"d1"}


async def test_applying_a_policy_makes_it_due_again_only_for_what_it_changed(there: Yard) -> None:
    await there.aged(9, 1)
    await there.policy(WEEK)
    async with running(there):
        await settled()
        await there.clock.step(SETTLE_S)  # what followed from the deletion
        await settled()
        revision = there.store.revision
        await there.clock.step(EVERY_S / 2)
        await settled()
        assert there.store.revision == revision


class Slow(SteppedClock):
    """Half a second goes by between any two looks at it."""

    def now(self) -> float:
        self._now += 0.5
        return self._now


async def test_what_takes_long_to_judge_is_left_in_peace_for_longer(there: Yard) -> None:
    await there.policy(WEEK)
    slow = lifecycle.Lifecycle(there.store, Slow(NOW), there.call.site)
    await slow.reconcile(f"policy|{WEB.key}")
    (tags,) = (watched for watched in slow.watches if watched.kind is IMAGE_TAGS)
    assert list(tags.keys(Change(IMAGE_TAGS, "key", None, ImageTag(WEB.key, "t", "d", NOW)))) == [f"policy|{WEB.key}"]
    wait = await slow.reconcile(f"policy|{WEB.key}")
    assert wait is not None
    assert SETTLE_S < wait <= lifecycle.REST * 0.5


async def test_a_pull_makes_nothing_due(there: Yard) -> None:
    await there.aged(1)
    await there.policy(WEEK)
    async with running(there):
        await settled()
        revision = there.store.revision
        await there.put(image("d0", 1, last_pulled_at=NOW, repository=WEB.key))
        await there.clock.step(10 * SETTLE_S)
        await settled()
        assert there.store.revision == revision + 1


async def test_a_controller_that_starts_takes_up_what_is_there(there: Yard) -> None:
    await there.aged(9, 1)
    await there.policy(KEEP_TWO)
    await there("StartLifecyclePolicyPreview", repositoryName="web", lifecyclePolicyText=WEEK)
    async with running(there):
        for _ in range(200):
            if (await there("GetLifecyclePolicyPreview", repositoryName="web"))["status"] == "COMPLETE":
                break
            await asyncio.sleep(0.01)
        assert (await there("GetLifecyclePolicyPreview", repositoryName="web"))["summary"] == {"expiringImageTotalCount": 1}
        assert "lastEvaluatedAt" in await there("GetLifecyclePolicy", repositoryName="web")


async def test_previews_are_made_without_waiting(there: Yard) -> None:
    await there.aged(9, 1)
    async with running(there):
        await settled()
        await there("StartLifecyclePolicyPreview", repositoryName="web", lifecyclePolicyText=WEEK)
        await settled()
        for _ in range(200):  # a thread of its own lists the images
            if (await there("GetLifecyclePolicyPreview", repositoryName="web"))["status"] == "COMPLETE":
                break
            await asyncio.sleep(0.01)
        assert there.store.count(PREVIEW_PAGES) == 1
        await there.clock.step(lifecycle.PREVIEW_KEPT_S + 1)
        await settled()
        assert (await there("GetLifecyclePolicyPreview", repositoryName="web"))["status"] == "EXPIRED"


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_policy_that_its_settings_do_not_allow_is_not_applied(there: Yard) -> None:
    await there.aged(90)
    pulled = text(rule(1, countType="sinceImagePulled", countNumber=7))
    await there.store.transact(lambda tx: tx.put(LIFECYCLE_POLICIES, LifecyclePolicy(WEB.key, pulled, NOW)))
    await there.apply()
    assert there.digests == {"d0"}
    await there("LongshorePutLifecycleSettings", repositoryName="web", allowExpireSincePulled=True)
    await there.apply()
    assert there.digests == set()


async def test_restored_images_get_their_time(there: Yard) -> None:
    await there.put(image("restored", 90, last_activated_at=days_ago(1), repository=WEB.key))
    await there.policy(WEEK)
    await there.apply()
    assert there.digests == {"restored"}
