"""Clients that stay with their target, and how targets share the rest, on the real HAProxy."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from longshore.services.elbv2.model import LOAD_BALANCERS, TARGET_GROUPS, TARGETS, TargetGroup
from tests.balancer.lab import Lab, Upstream, fixed, laboratory, quiet_port, until

pytestmark = pytest.mark.engine("haproxy")

BY_LOAD_BALANCER = {"stickiness.enabled": "true"}
BY_APPLICATION = {
    "stickiness.enabled": "true",
    "stickiness.type": "app_cookie",
    "stickiness.app_cookie.cookie_name": "SESSION",
}


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy") as lab:
        yield lab


async def place_of(lab: Lab, cookie: str, times: int = 3) -> str:
    """The name of the one server that answers whoever brings the cookie."""
    names = {(await lab.ask(headers=[("Cookie", cookie)])).seen["name"] for _ in range(times)}
    assert len(names) == 1, names
    return str(names.pop())


async def cookies(lab: Lab, count: int) -> dict[str, str]:
    """Cookies of as many new clients -> who answered."""
    answers = [await lab.ask() for _ in range(count)]
    return {f"AWSALB={answer.cookies()['AWSALB'].partition(';')[0]}": answer.seen["name"] for answer in answers}


async def added(lab: Lab, group: TargetGroup, name: str) -> Upstream:
    upstream = await lab.upstream(name)
    await lab.register(group, upstream)
    await lab.healthy(group, upstream)
    return upstream


async def reloaded(lab: Lab) -> None:
    lb = lab.store.list(LOAD_BALANCERS)[0]
    worker = await lab.worker()
    await lab.listener(lb, fixed(200), port=quiet_port())
    await lab.settled()
    assert await lab.worker() != worker


async def test_a_cookie_of_ours_leads_to_the_same_target_whoever_comes_and_goes(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    _, group = await lab.serving(one, two, group=await lab.group(attributes=BY_LOAD_BALANCER))
    three = await added(lab, group, "three")
    known = await cookies(lab, 6)
    assert set(known.values()) == {"one", "two", "three"} and len(known) == 3, "added at run time or not: one value each"
    assert {cookie: await place_of(lab, cookie) for cookie in known} == known
    await added(lab, group, "four")
    await reloaded(lab)
    assert {cookie: await place_of(lab, cookie) for cookie in known} == known, "nor does a reload change anything"
    of_three = next(cookie for cookie, name in known.items() if name == "three")
    await lab.deregister(group, three)
    await until(lambda: lab.target(group, three) is None)
    answer = await lab.ask(headers=[("Cookie", of_three)])
    assert answer.seen["name"] != "three"
    moved = f"AWSALB={answer.cookies()['AWSALB'].partition(';')[0]}"
    assert moved != of_three and await place_of(lab, moved) == answer.seen["name"], "and the client is told"


async def test_nobody_stays_with_a_target_that_is_ill_or_leaves(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    _, group = await lab.serving(one, group=await lab.group(attributes=BY_LOAD_BALANCER))
    await lab.register(group, two)
    await lab.healthy(group, two)
    known = await cookies(lab, 4)
    of_two = next(cookie for cookie, name in known.items() if name == "two")
    two.health_status = 500
    await until(lambda: lab.health(group, two)[0] == "unhealthy")
    assert await place_of(lab, of_two) == "one"
    two.health_status = 200
    await lab.healthy(group, two)
    held = asyncio.create_task(lab.ask("/hold", headers=[("Cookie", of_two)]))
    await until(lambda: "/hold" in two.asked)
    await lab.deregister(group, two)
    await until(lambda: "MAINT" in str(lab.balancer._servers.looking.known))
    assert await place_of(lab, of_two) == "one"
    two.release.set()
    assert (await held).seen["name"] == "two"


async def test_while_none_is_healthy_clients_stay_all_the_same(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    _, group = await lab.serving(one, group=await lab.group(attributes=BY_LOAD_BALANCER))
    await lab.register(group, two)
    await lab.healthy(group, one, two)
    known = await cookies(lab, 4)
    one.health_status = two.health_status = 500
    await until(lambda: {lab.health(group, each)[0] for each in (one, two)} == {"unhealthy"})
    assert {cookie: await place_of(lab, cookie) for cookie in known} == known


async def test_a_cookie_of_the_application_is_remembered_from_worker_to_worker(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    _, group = await lab.serving(one, two, group=await lab.group(attributes=BY_APPLICATION))
    three = await added(lab, group, "three")
    known = {f"SESSION={number}": await place_of(lab, f"SESSION={number}") for number in range(9)}
    assert set(known.values()) == {"one", "two", "three"}
    for _ in range(2):
        await reloaded(lab)
        assert {cookie: await place_of(lab, cookie) for cookie in known} == known
    await lab.deregister(group, three)
    await until(lambda: lab.target(group, three) is None)
    after = {cookie: await place_of(lab, cookie) for cookie in known}
    assert {cookie: name for cookie, name in after.items() if known[cookie] != "three"} == {
        cookie: name for cookie, name in known.items() if name != "three"
    }
    assert "three" not in after.values()


async def test_targets_that_are_busy_get_less(lab: Lab) -> None:
    busy, idle = await lab.upstream("busy"), await lab.upstream("idle")
    attributes = {"load_balancing.algorithm.type": "least_outstanding_requests"}
    _, group = await lab.serving(busy, group=await lab.group(attributes=attributes))
    held = [asyncio.create_task(lab.ask("/hold")) for _ in range(3)]
    await until(lambda: busy.asked.count("/hold") == 3)
    await lab.register(group, idle)
    await lab.healthy(group, idle)
    assert {(await lab.ask()).seen["name"] for _ in range(8)} == {"idle"}
    busy.release.set()
    await asyncio.gather(*held)


async def test_chance_gives_everybody_something(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    _, group = await lab.serving(one, two, group=await lab.group(attributes={"load_balancing.algorithm.type": "weighted_random"}))
    await added(lab, group, "three")
    names = [(await lab.ask()).seen["name"] for _ in range(150)]
    shares = Counter(names)
    assert set(shares) == {"one", "two", "three"} and min(shares.values()) > 20
    assert any(first == second for first, second in itertools.pairwise(names)), "and not in turns"


async def test_a_target_that_starts_slowly_gets_little_at_first(lab: Lab) -> None:
    one = await lab.upstream("one")
    _, group = await lab.serving(one)
    slowly = replace(group, attributes={"slow_start.duration_seconds": "30"})
    row = lab.target(group, one)
    assert row is not None
    long_there = replace(row, health=replace(row.health, since=row.health.since - 100))
    await lab.store.transact(lambda tx: [tx.put(TARGET_GROUPS, slowly), tx.put(TARGETS, long_there)])
    await lab.settled()
    await added(lab, group, "slow")
    shares = Counter([(await lab.ask()).seen["name"] for _ in range(100)])
    assert 0 < shares["slow"] < 25
    await reloaded(lab)
    shares = Counter([(await lab.ask()).seen["name"] for _ in range(100)])
    assert 0 < shares["slow"] < 25, "a reload makes nobody start faster"


async def test_whoever_was_registered_for_another_task_is_looked_at_anew(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    _, group = await lab.serving(one, two)
    row = lab.target(group, two)
    assert row is not None
    two.health_status = 500
    again = replace(row, owner="another", registered_at=row.registered_at + 1, health=type(row.health)())
    await lab.store.transact(lambda tx: tx.put(TARGETS, again))
    await until(lambda: lab.health(group, two)[0] == "initial" and lab.health(group, two)[1].startswith("Initial health"))
    assert {(await lab.ask()).seen["name"] for _ in range(6)} == {"one"}
    two.health_status = 200
    await lab.healthy(group, two)
