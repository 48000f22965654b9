"""Kills, successors, taken ports, refused rules: load balancers go on as far as they can, on the real HAProxy."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from longshore.balancer.controller import NOT_INSTALLED
from longshore.balancer.watches import EVERYTHING
from longshore.services.elbv2.model import LISTENERS, LOAD_BALANCERS, RULES
from tests.balancer.lab import QUICK, Client, Lab, fixed, forward, laboratory, paths, quiet_port, until

pytestmark = pytest.mark.engine("haproxy")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy") as lab:
        yield lab


async def test_a_new_load_balancer_is_active_within_a_blink(lab: Lab) -> None:
    lb = await lab.load_balancer()
    async with asyncio.timeout(0.3):
        await lab.active(lb)
    found = lab.store.get(LOAD_BALANCERS, lb.arn)
    assert found is not None and found.status.address == lab.address() and found.status.reason == ""


@pytest.mark.parametrize("victim", ["master", "worker"])
async def test_a_killed_haproxy_comes_back_with_all_it_knew(lab: Lab, victim: str) -> None:
    one, ill = await lab.upstream("one"), await lab.upstream("ill")
    lb, group = await lab.serving(one)
    ill.health_status = 500
    await lab.register(group, ill)
    await until(lambda: lab.health(group, ill)[0] == "unhealthy")
    before = lab.balancer.pid
    assert before is not None
    os.kill(before if victim == "master" else await lab.worker(), signal.SIGKILL)
    await until(lambda: lab.balancer.pid not in (None, before))
    await until(lambda: lab.ask())
    assert {(await lab.ask()).seen["name"] for _ in range(6)} == {"one"}, "what was unhealthy gets no request meanwhile"
    await lab.settled()
    assert lab.health(group, one)[0] == "healthy" and lab.health(group, ill)[0] == "unhealthy"
    assert lab.status(lb) == ("active", "")
    late = await lab.upstream("late")
    await lab.register(group, late)
    await lab.healthy(group, late)


async def test_a_successor_takes_over_without_an_error(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    lb, group = await lab.serving(one)
    pid, worker = lab.balancer.pid, await lab.worker()
    over = asyncio.Event()
    statuses: list[int] = []

    async def load() -> None:
        client = await Client.connect(lab.address(), lab.port)
        while not over.is_set():
            answer = await client.request()
            statuses.append(answer.status)
            if (answer.header("connection") or "").lower() == "close":
                await client.close()
                client = await Client.connect(lab.address(), lab.port)
        await client.close()

    jobs = [asyncio.create_task(load()) for _ in range(4)]
    await lab.close(keep_running=True)
    await lab.register(group, two)
    assert (await lab.ask()).status == 200, "it serves while nobody controls it"
    await lab.open()
    assert (lab.balancer.pid, await lab.worker()) == (pid, worker), "the same process, not even reloaded"
    await lab.healthy(group, two)
    await until(lambda: two.asked)
    for _ in range(3):
        await lab.listener(lb, fixed(200), port=quiet_port())
        await lab.settled()
    assert await lab.worker() != worker, "new listeners need a reload"
    over.set()
    await asyncio.gather(*jobs)
    assert set(statuses) == {200} and len(statuses) > 50


def leads_to(link: str, directory: Path) -> bool:
    return os.path.lexists(link) and os.path.samefile(link, directory)


async def test_a_short_way_to_a_long_name_lasts_as_long_as_haproxy(tmp_path: Path) -> None:
    lab = Lab(tmp_path / ("long" * 20))
    await lab.open()
    way = lab.balancer.places.directory
    assert way != lab.balancer.own_places.directory and leads_to(way, lab.directory)
    await lab.close(keep_running=True)
    assert leads_to(way, lab.directory), "HAProxy goes by it"
    await lab.open()
    await lab.close()
    assert not leads_to(way, lab.directory)


async def test_what_changed_while_nobody_looked_is_made_up_for(lab: Lab) -> None:
    one, two = await lab.upstream("one"), await lab.upstream("two")
    lb, group = await lab.serving(one, two)
    await lab.close(keep_running=True)
    await lab.deregister(group, one)
    port = quiet_port()
    await lab.listener(lb, fixed(218), port=port)
    await lab.open()
    await until(lambda: lab.target(group, one) is None)
    assert (await lab.ask(port=port)).status == 218
    assert {(await lab.ask()).seen["name"] for _ in range(4)} == {"two"}


async def test_a_successor_in_the_midst_of_a_reload_takes_over_all_the_same(lab: Lab) -> None:
    one = await lab.upstream("one")
    lb, group = await lab.serving(one)
    pid = lab.balancer.pid
    for extra in range(1, 6):
        port = quiet_port()
        await lab.listener(lb, fixed(210 + extra), port=port)
        await lab.balancer._haproxy.reload()
        await lab.close(keep_running=True)
        await lab.open()
        assert lab.balancer.pid == pid, "there is never a second one"
        assert (await lab.ask(port=port)).status == 210 + extra
    late = await lab.upstream("late")
    await lab.register(group, late)
    await lab.healthy(group, late)
    assert {(await lab.ask()).seen["name"] for _ in range(4)} == {"one", "late"}, "it is the worker that serves which is told"


async def test_a_port_that_is_taken_costs_only_its_listener(lab: Lab) -> None:
    one = await lab.upstream("one")
    lb, _ = await lab.serving(one)
    port = quiet_port()
    with socket.create_server((lab.address(), port)):
        await lab.listener(lb, fixed(218), port=port)
        await until(lambda: lab.status(lb)[0] == "active_impaired")
        assert lab.status(lb)[1] == f"port {port} of {lab.address()} cannot be listened on: another program has it"
        assert (await lab.ask()).status == 200
    await lab.balancer.reconcile(EVERYTHING)
    assert lab.status(lb) == ("active", "")
    assert (await lab.ask(port=port)).status == 218


async def test_where_localhost_is_taken_the_own_address_still_works(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", lab.port)):
        one = await lab.upstream("one")
        lb, _ = await lab.serving(one)
        await lab.settled()
        state, reason = lab.status(lb)
        assert state == "active" and f"use {lab.address()}:{lab.port}" in reason
        assert (await lab.ask()).status == 200


async def test_ports_below_1024_move_where_they_may_not_be_bound(tmp_path: Path) -> None:
    async with laboratory(tmp_path / "haproxy", 81, privileged_port_offset=8000) as lab:
        one = await lab.upstream("one")
        lb, _ = await lab.serving(one)
        assert (await lab.ask(port=8081)).status == 200
        await lab.settled()
        assert lab.status(lb)[0] == "active" and "port 81 is served at port 8081" in lab.status(lb)[1]


async def test_a_rule_that_haproxy_refuses_costs_only_itself(lab: Lab) -> None:
    lb = await lab.load_balancer()
    listener = await lab.listener(lb, fixed(404))
    await lab.rule(listener, 1, [paths("/good")], fixed(201))
    bad = await lab.rule(listener, 2, [paths(regex=("(?u)x",))], fixed(202))
    await lab.rule(listener, 3, [paths("/better")], fixed(203))
    await lab.settled()
    state, reason = lab.status(lb)
    assert state == "active_impaired" and f"rule 2 of port {lab.port} is not served" in reason
    assert [(await lab.ask(path)).status for path in ("/good", "/x", "/better")] == [201, 404, 203]
    await lab.store.transact(lambda tx: tx.put(RULES, replace(bad, conditions=(paths("/x"),))))
    await lab.settled()
    assert lab.status(lb) == ("active", "")
    assert [(await lab.ask(path)).status for path in ("/good", "/x", "/better")] == [201, 202, 203]


async def test_a_listener_that_cannot_be_served_says_so(lab: Lab) -> None:
    lb = await lab.load_balancer()
    await lab.listener(lb, fixed(200))
    await lab.listener(lb, fixed(200), port=quiet_port(), protocol="TLS")
    await until(lambda: lab.status(lb)[0] == "active_impaired")
    assert "is not served: it has no certificate" in lab.status(lb)[1]
    assert (await lab.ask()).status == 200


async def test_a_deleted_listener_no_longer_listens(lab: Lab) -> None:
    one = await lab.upstream("one")
    lb, _ = await lab.serving(one)
    listener = lab.store.list(LISTENERS, "load_balancer", lb.arn)[0]
    await lab.store.transact(lambda tx: tx.delete(LISTENERS, listener.arn))
    await lab.settled()
    with pytest.raises(ConnectionRefusedError):
        await lab.ask()
    await lab.store.transact(lambda tx: tx.put(LISTENERS, listener))
    await lab.settled()
    assert (await lab.ask()).status == 200


async def test_a_graceful_stop_ends_haproxy(tmp_path: Path) -> None:
    async with laboratory(tmp_path / "haproxy") as lab:
        one = await lab.upstream("one")
        await lab.serving(one)
    assert lab.balancer.pid is None
    with pytest.raises(ConnectionRefusedError):
        await lab.ask()


async def test_a_directory_with_a_long_name_will_do(tmp_path: Path) -> None:
    async with laboratory(tmp_path / ("long" * 30) / "haproxy") as lab:
        one = await lab.upstream("one")
        await lab.serving(one)
        assert (await lab.ask()).status == 200


async def test_without_haproxy_everything_else_goes_on(tmp_path: Path) -> None:
    async with laboratory(tmp_path / "haproxy", haproxy="no-such-haproxy") as lab:
        lb, group, one = await lab.load_balancer(), await lab.group(check=QUICK), await lab.upstream("one")
        await lab.register(group, one)
        await lab.listener(lb, forward(group))
        await until(lambda: lab.status(lb) == ("failed", NOT_INSTALLED))
        await lab.deregister(group, one)
        await lab.settled()
        assert lab.target(group, one) is None, "nothing has to be drained"


async def test_a_reset_leaves_nothing_listening(lab: Lab) -> None:
    one = await lab.upstream("one")
    await lab.serving(one)
    await lab.store.reset()
    await lab.settled()
    with pytest.raises(ConnectionRefusedError):
        await lab.ask()
    lb, group = await lab.serving(one)
    assert (await lab.ask()).status == 200 and lab.health(group, one)[0] == "healthy"
    await lab.store.transact(lambda tx: tx.delete(LOAD_BALANCERS, lb.arn))


async def test_what_haproxy_says_does_not_grow_for_ever(lab: Lab) -> None:
    await lab.serving(await lab.upstream("one"))
    said = lab.directory / "haproxy.log"
    os.truncate(said, 64 * 1024 * 1024)
    await lab.balancer.reconcile(EVERYTHING)  # as every few minutes
    assert said.stat().st_size == 0
    await lab.listener(await lab.load_balancer("other", 2), fixed(200), port=quiet_port())
    await lab.settled()
    assert 0 < said.stat().st_size < 100_000, "it goes on at the beginning"


async def test_a_program_that_ends_at_once_fails_load_balancers_with_a_reason(tmp_path: Path) -> None:
    broken = tmp_path / "haproxy-broken"
    broken.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 0\nexit 3\n')
    broken.chmod(0o755)
    async with laboratory(tmp_path / "haproxy", haproxy=str(broken)) as lab:
        lb, group, one = await lab.load_balancer(), await lab.group(), await lab.upstream("one")
        await lab.register(group, one)
        await lab.listener(lb, forward(group))
        await until(lambda: lab.status(lb) == ("failed", "HAProxy ended while it started; its log says why"))
        await lab.deregister(group, one)
        await until(lambda: lab.target(group, one) is None)
