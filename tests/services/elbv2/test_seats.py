"""Several balancers over one store: what one writes stays its own view, and what all say is what is read elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from longshore.services.elbv2 import hosts as host_model
from longshore.services.elbv2 import model
from longshore.services.elbv2.hosts import BALANCER_HOSTS, LEASE_S, BalancerHost
from longshore.services.elbv2.model import TARGETS, Target, TargetHealth, target_key
from longshore.services.elbv2.seats import Report, Seats
from longshore.store.base import Store
from longshore.store.memory import memory_store

GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/0123456789abcdef"
KEY = target_key(GROUP, "10.0.0.1", 80)
UP, DOWN = TargetHealth("healthy", since=1.0), TargetHealth("unhealthy", "Target.Timeout", "Request timed out", since=2.0)


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    made = memory_store((*model.KINDS, *host_model.KINDS))
    target = Target(target_group_arn=GROUP, id="10.0.0.1", port=80, address="10.0.0.1", registered_at=0.0)
    await made.transact(lambda tx: tx.put(TARGETS, target))
    yield made
    await made.close()


def host(name: str) -> BalancerHost:
    return BalancerHost(name, "", "arn:aws:iam::000000000000:root")


async def writes(seats: Seats, health: TargetHealth) -> None:
    await seats.own.transact(lambda tx: tx.put(TARGETS, replace(tx.get(TARGETS, KEY), health=health)))


async def deregister(store: Store, at: float) -> None:
    await store.transact(lambda tx: tx.put(TARGETS, replace(tx.get(TARGETS, KEY), deregistered_at=at)))


def state(store: Store) -> str:
    target = store.get(TARGETS, KEY)
    return target.health.state if target else "gone"


async def test_alone_the_own_machine_writes_what_it_sees(store: Store) -> None:
    seats = Seats(store)
    await writes(seats, DOWN)
    assert state(store) == "unhealthy"
    await deregister(store, 5.0)
    await seats.own.transact(lambda tx: tx.delete(TARGETS, KEY))
    assert state(store) == "gone"


async def test_one_host_that_sees_a_target_healthy_is_enough_and_each_reads_its_own_view(store: Store) -> None:
    seats = Seats(store)
    await seats.enter(host("a"))
    await seats.report("a", Report(health={KEY: UP}))
    await writes(seats, DOWN)
    assert (state(store), state(seats.own)) == ("healthy", "unhealthy")
    assert [target.health.state for target in seats.own.list(TARGETS, "target_group", GROUP)] == ["unhealthy"]
    await writes(seats, UP)
    await seats.report("a", Report(health={KEY: DOWN}))
    assert (state(store), state(seats.own)) == ("healthy", "healthy")
    await writes(seats, DOWN)
    assert state(store) == "unhealthy"


async def test_what_the_own_machine_saw_before_anybody_came_counts(store: Store) -> None:
    seats = Seats(store)
    await writes(seats, UP)
    await seats.enter(host("a"))
    await seats.report("a", Report(health={KEY: DOWN}))
    assert state(store) == "healthy"


async def test_a_target_goes_when_the_last_host_has_drained_it(store: Store) -> None:
    seats = Seats(store)
    await seats.enter(host("a"))
    await deregister(store, 5.0)
    await seats.own.transact(lambda tx: tx.delete(TARGETS, KEY))
    assert state(store) != "gone"
    await seats.report("a", Report(drained={KEY: 4.0}))  # of a deregistration before
    assert state(store) != "gone"
    await seats.report("a", Report(drained={KEY: 5.0}))
    assert state(store) == "gone"


async def test_a_host_that_went_is_waited_for_until_its_lease_ends(store: Store) -> None:
    seats = Seats(store)
    await seats.enter(host("a"))
    await seats.report("a", Report(health={KEY: UP}))
    await writes(seats, DOWN)
    await deregister(store, 5.0)
    await seats.own.transact(lambda tx: tx.delete(TARGETS, KEY))
    await seats.leave("a", 10.0)
    await seats.end_leases(10.0 + LEASE_S - 0.1)
    assert state(store) != "gone"
    await seats.end_leases(10.0 + LEASE_S)
    assert state(store) == "gone"
    found = store.get(BALANCER_HOSTS, "a")
    assert found is not None and found.state == "lost"


async def test_what_a_lost_host_said_is_forgotten_and_so_is_what_it_says_afterwards(store: Store) -> None:
    seats = Seats(store)
    await seats.enter(host("a"))
    await seats.report("a", Report(health={KEY: UP}))
    await writes(seats, DOWN)
    await seats.leave("a", 0.0)
    await seats.end_leases(LEASE_S)
    assert state(store) == "unhealthy"
    await seats.report("a", Report(health={KEY: UP}))
    assert state(store) == "unhealthy"


async def test_a_server_that_starts_waits_for_the_hosts_it_knew(store: Store) -> None:
    before = Seats(store)
    await before.enter(host("a"))
    seats = Seats(store)
    await seats.begin(100.0)
    await deregister(store, 5.0)
    await seats.own.transact(lambda tx: tx.delete(TARGETS, KEY))
    assert state(store) != "gone"
    await seats.enter(host("a"))
    await seats.end_leases(100.0 + LEASE_S)
    assert state(store) != "gone"
    await seats.report("a", Report(drained={KEY: 5.0}))
    assert state(store) == "gone"
