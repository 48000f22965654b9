"""Targets that come, fall ill, recover and leave, on the real HAProxy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from longshore.services.elbv2.following import is_followed
from longshore.services.elbv2.model import TARGETS, HealthCheck
from tests.balancer.lab import QUICK, Client, Lab, forward, laboratory, quiet_port, until

pytestmark = pytest.mark.engine("haproxy")

SLOW = HealthCheck(interval_s=30, timeout_s=6)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy") as lab:
        yield lab


async def test_a_target_is_healthy_at_once_however_long_the_interval(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    _, group = await lab.serving(one, group=await lab.group(check=SLOW))
    worker = await lab.worker()
    await lab.register(group, two)
    async with asyncio.timeout(1.0):
        await lab.healthy(group, two)
    assert {(await lab.ask()).seen["name"] for _ in range(4)} == {"one", "two"}
    assert await lab.worker() == worker, "without a reload"


async def test_a_target_that_starts_late_is_found_soon(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    _, group = await lab.serving(one, group=await lab.group(check=SLOW))
    await two.close()
    await lab.register(group, two)
    await until(lambda: lab.health(group, two) == ("initial", "Initial health checks in progress"))
    assert {(await lab.ask()).seen["name"] for _ in range(4)} == {"one"}, "no request goes to a target that is not healthy yet"
    await two.open()
    async with asyncio.timeout(3.0):
        await lab.healthy(group, two)


async def test_health_is_told_in_the_words_of_elastic_load_balancing(lab: Lab) -> None:
    good, wrong, deaf, mute = [await lab.upstream(name) for name in ("good", "wrong", "deaf", "mute")]
    wrong.health_status = 503
    await deaf.close()
    port = mute.port
    await mute.close()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    silent = await asyncio.start_server(hold, "127.0.0.1", port)
    try:
        _, group = await lab.serving(good)
        await lab.register(group, wrong, deaf, mute)
        await until(lambda: lab.health(group, wrong) == ("unhealthy", "Health checks failed with these codes: [503]"))
        await until(lambda: lab.health(group, deaf) == ("unhealthy", "Health checks failed"))
        await until(lambda: lab.health(group, mute) == ("unhealthy", "Request timed out"))
        rows = [lab.target(group, each) for each in (wrong, deaf, mute)]
        assert [row.health.reason for row in rows if row] == [
            "Target.ResponseCodeMismatch",
            "Target.FailedHealthChecks",
            "Target.Timeout",
        ]
        assert {(await lab.ask()).seen["name"] for _ in range(4)} == {"good"}
        wrong.health_status = 200
        await lab.healthy(group, wrong)
        assert {(await lab.ask()).seen["name"] for _ in range(4)} == {"good", "wrong"}
    finally:
        silent.close()


async def test_with_no_healthy_target_requests_go_to_all_of_them(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    _, group = await lab.serving(one)
    one.health_status = two.health_status = 500
    await lab.register(group, two)
    await until(lambda: all(lab.health(group, each)[0] == "unhealthy" for each in (one, two)))
    assert {(await lab.ask()).seen["name"] for _ in range(6)} == {"one", "two"}


async def test_the_check_may_have_a_port_of_its_own(lab: Lab) -> None:
    one, checked = await lab.upstream("one"), await lab.upstream("checked")
    _, group = await lab.serving(one, group=await lab.group(check=replace(QUICK, port=str(checked.port), path="/up?x='1'")))
    assert checked.checks > 0 and one.checks == 0
    checked.health_status = 404
    await until(lambda: lab.health(group, one)[0] == "unhealthy")


async def test_a_target_leaves_when_its_last_request_is_answered(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    _, group = await lab.serving(one)
    held = asyncio.create_task(lab.ask("/hold"))
    await until(lambda: "/hold" in one.asked)
    await lab.register(group, two)
    await lab.healthy(group, two)
    await lab.deregister(group, one)
    await until(lambda: "MAINT" in str(lab.balancer._servers.looking.known))
    assert {(await lab.ask()).seen["name"] for _ in range(6)} == {"two"}
    assert lab.target(group, one) is not None, "a request is still on its way"
    one.release.set()
    assert (await held).status == 200
    await until(lambda: lab.target(group, one) is None)


async def test_a_request_that_a_reload_left_behind_is_waited_for(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    lb, group = await lab.serving(one, two)
    held = [asyncio.create_task(lab.ask("/hold")) for _ in range(2)]
    await until(lambda: "/hold" in one.asked and "/hold" in two.asked)
    other = await lab.group("other")
    await lab.listener(lb, forward(other), port=quiet_port())
    await lab.settled()
    assert len(await lab.workers()) == 2, "the worker before has requests to finish"
    await lab.deregister(group, one)
    two.release.set()
    await until(lambda: held[0].done() or held[1].done())
    await lab.settled()
    assert lab.target(group, one) is not None
    one.release.set()
    assert [answer.status for answer in await asyncio.gather(*held)] == [200, 200]
    await until(lambda: lab.target(group, one) is None)


async def test_when_the_delay_is_over_what_is_left_is_cut(lab: Lab) -> None:
    one = await lab.upstream("one")
    _, group = await lab.serving(one, group=await lab.group(attributes={"deregistration_delay.timeout_seconds": "1"}))
    held = asyncio.create_task(lab.ask("/hold"))
    await until(lambda: "/hold" in one.asked)
    await lab.deregister(group, one)
    await until(lambda: lab.target(group, one) is None)
    answer = (await asyncio.gather(held, return_exceptions=True))[0]
    assert isinstance(answer, EOFError) or answer.status >= 500


async def test_a_target_registered_again_while_it_drains_serves_again(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    _, group = await lab.serving(one, two)
    held = asyncio.create_task(lab.ask("/hold"))
    await until(lambda: "/hold" in one.asked or "/hold" in two.asked)
    busy = one if one.asked else two
    await lab.deregister(group, busy)
    await until(lambda: "MAINT" in str(lab.balancer._servers.looking.known))
    await lab.register(group, busy)
    await lab.healthy(group, busy)
    assert {(await lab.ask()).seen["name"] for _ in range(4)} == {"one", "two"}
    busy.release.set()
    assert (await held).status == 200


async def test_targets_come_and_go_under_load_without_an_error(lab: Lab) -> None:
    stays = await lab.upstream("stays")
    _, group = await lab.serving(stays)
    worker = await lab.worker()
    over = asyncio.Event()
    statuses: list[int] = []

    async def load() -> None:
        client = await Client.connect(lab.address(), lab.port)
        while not over.is_set():
            statuses.append((await client.request()).status)
        await client.close()

    load_jobs = [asyncio.create_task(load()) for _ in range(4)]
    for number in range(10):
        passing = await lab.upstream(f"passing-{number}")
        await lab.register(group, passing)
        await lab.healthy(group, passing)
        await until(lambda passing=passing: passing.asked)
        await lab.deregister(group, passing)
        await until(lambda passing=passing: lab.target(group, passing) is None)
        await passing.close()
    over.set()
    await asyncio.gather(*load_jobs)
    assert set(statuses) == {200} and len(statuses) > 50
    assert await lab.worker() == worker


async def test_health_is_written_down_only_when_it_changes(lab: Lab) -> None:
    one = await lab.upstream("one")
    lb, group = await lab.serving(one)
    await lab.settled()
    # that everybody is served by the rules is written down, too, a moment after they are
    await until(lambda: is_followed(lab.store, lb.arn))
    revision = lab.store.revision
    checks = one.checks
    await until(lambda: one.checks > checks + 1)
    await lab.balancer.reconcile(group.arn)
    assert lab.store.revision == revision


async def test_a_target_of_a_forgotten_registration_is_removed(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    _, group = await lab.serving(one, two)
    row = lab.target(group, two)
    assert row is not None
    await lab.store.transact(lambda tx: tx.delete(TARGETS, TARGETS.key(row)))
    await lab.balancer.reconcile(group.arn)
    assert {(await lab.ask()).seen["name"] for _ in range(4)} == {"one"}
