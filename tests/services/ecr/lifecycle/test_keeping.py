"""Reading a repository as rules look at it, and telling whether it is still the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from longshore.services.ecr.errors import InvalidParameterException
from longshore.services.ecr.lifecycle import keeping
from longshore.services.ecr.lifecycle.keeping import Turns, contents_of, judge, put_policy, take_stock
from longshore.services.ecr.lifecycle.model import LIFECYCLE_POLICIES
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REPOSITORIES, image_key, tag_key
from tests.services.ecr.lifecycle.policies import NOW, days_ago, image, keep, policy, text
from tests.services.ecr.lifecycle.yard import WEB, Yard


async def test_stock_is_all_there_is_in_however_many_slices(there: Yard) -> None:
    count = keeping.SLICE + 7
    images = [image(f"d{place:05d}", place / 100, repository=WEB.key) for place in range(count)]
    await there.put(*images, tags={each.digest: (f"a{each.digest}", f"b{each.digest}") for each in images[:-1]})
    stock = await take_stock(there.store, WEB.key)
    assert list(stock.images.values()) == images
    assert stock.names == sorted(stock.names)
    assert (len(stock.names), len(stock.tags)) == (2 * (count - 1), count - 1)
    assert stock.tags_of("d00003") == ("ad00003", "bd00003")
    assert stock.tags_of(images[-1].digest) == ()
    held = there.store.get(REPOSITORIES, WEB.key)
    assert held is not None
    judged = await judge(there.store, held, policy(keep(1, 5)), NOW, there.call.site, keep_in_use=False)
    assert len(judged.judgement.acts) == count - 5, "as many as these are judged in a thread of their own"
    assert judged.contents == contents_of(there.store, WEB.key)


async def test_callers_wait_for_their_own_turn_and_for_nobody_elses() -> None:
    turns, told, let_go = Turns(), list[str](), asyncio.Event()

    async def ask(name: str, number: int) -> None:
        async with turns.of(name):
            told.append(f"{name}{number}")
            if name == "slow":
                await let_go.wait()

    jobs = [asyncio.create_task(ask(name, number)) for number in (1, 2) for name in ("slow", "quick")]
    await asyncio.gather(*(job for place, job in enumerate(jobs) if place % 2))
    assert sorted(told) == ["quick1", "quick2", "slow1"]
    jobs[2].cancel()
    let_go.set()
    await asyncio.gather(*jobs, return_exceptions=True)
    assert "slow2" not in told
    assert not turns._locks


async def test_contents_are_others_once_anything_that_rules_see_is(there: Yard) -> None:
    await there.aged(2, 1)
    seen = {contents_of(there.store, WEB.key)}
    held = there.store.get(IMAGES, image_key(WEB.key, "d0"))
    assert held is not None
    for changed in (replace(held, archived=True), replace(held, last_activated_at=NOW), image("d3", 1, repository=WEB.key)):
        await there.put(changed)
        seen.add(contents_of(there.store, WEB.key))
    await there.put(tags={"d1": ("t0",)})
    seen.add(contents_of(there.store, WEB.key))
    assert len(seen) == 5
    await there.store.transact(lambda tx: tx.delete(IMAGES, image_key(WEB.key, "d3")))
    await there.put(held, tags={"d0": ("t0",)})
    assert contents_of(there.store, WEB.key) in seen, "what is as it was counts as it did"
    before = contents_of(there.store, WEB.key)
    await there.put(replace(held, last_pulled_at=days_ago(1)))
    assert contents_of(there.store, WEB.key) == before, "pulls do not matter"
    await there.store.transact(lambda tx: tx.delete(IMAGE_TAGS, tag_key(WEB.key, "t0")))
    assert contents_of(there.store, WEB.key) != before


class Restless:
    """A reader of a repository whose contents are others at each of the first looks at them."""

    def __init__(self, there: Yard, changes: int) -> None:
        self._store = there.store
        self._changes = changes
        self.readings = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list(self, kind: Any, *rest: Any, **more: Any) -> Any:
        self.readings += kind is IMAGES
        return self._store.list(kind, *rest, **more)

    def total(self, *which: Any) -> tuple[int, ...]:
        self._changes = max(0, self._changes - 1)
        return (self._changes,)


@pytest.mark.parametrize(("changes", "readings", "exact"), [(0, 1, True), (3, 2, True), (100, 3, False)])
async def test_a_repository_that_changes_while_it_is_read_is_read_again_a_few_times(
    there: Yard, changes: int, readings: int, exact: bool
) -> None:
    await there.aged(3, 2, 1)
    held = there.store.get(REPOSITORIES, WEB.key)
    assert held is not None
    reader = Restless(there, changes)
    judged = await judge(reader, held, policy(keep(1, 1)), NOW, there.call.site, keep_in_use=False)
    assert (reader.readings, judged.contents is not None) == (readings, exact)
    assert list(judged.judgement.acts) == ["d0", "d1"]


async def test_a_policy_is_put_only_when_it_is_one(there: Yard) -> None:
    held = there.store.get(REPOSITORIES, WEB.key)
    assert held is not None
    with pytest.raises(InvalidParameterException):
        await there.store.transact(lambda tx: put_policy(tx, held, "{}", NOW))
    await there.store.transact(lambda tx: put_policy(tx, held, text(keep(1, 1)), NOW))
    assert there.store.count(LIFECYCLE_POLICIES) == 1
