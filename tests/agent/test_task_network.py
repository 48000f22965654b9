"""Where tasks' own addresses come from."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.agent.task_network import POOL, PREFIX, TaskNetwork, free_range, routes
from longshore.runtime.fake import FakeRuntime

INSTANCE = "i-0123456789abcdef0"


@given(st.text(min_size=1), st.lists(st.integers(0, 2**13 - 1), max_size=40))
def test_a_range_overlaps_nothing_that_is_taken_and_is_always_the_same(instance: str, numbers: list[int]) -> None:
    blocks = list(POOL.subnets(new_prefix=PREFIX))
    taken = [blocks[number] for number in numbers]
    found = free_range(instance, taken)
    assert found == free_range(instance, reversed(taken)) and IPv4Network(found).subnet_of(POOL)
    assert not any(IPv4Network(found).overlaps(network) for network in taken)


def test_there_is_none_where_all_is_taken() -> None:
    assert free_range(INSTANCE, [IPv4Network("10.0.0.0/8")]) == ""


def test_the_machine_s_routes_are_read_but_for_the_default_route(tmp_path: Path) -> None:
    table = tmp_path / "route"
    table.write_text(
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0000C80A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    assert routes(table) == [IPv4Network("10.200.0.0/16")]
    assert routes(tmp_path / "absent") == []


async def test_a_network_that_is_there_keeps_its_range() -> None:
    runtime = FakeRuntime()
    network = TaskNetwork(runtime, INSTANCE)
    chosen = await network.choose()
    assert network.places == 251
    await network.make()
    assert (await runtime.subnets())[f"longshore-{INSTANCE}"] == (chosen,)
    assert await TaskNetwork(runtime, INSTANCE).choose() == chosen
    other = TaskNetwork(runtime, INSTANCE, "10.1.0.0/28")
    assert await other.choose() == chosen, "also against a wish that came later"
    await network.remove()
    assert await other.choose() == "10.1.0.0/28" and other.places == 11


@pytest.mark.parametrize("wish", ["10.1.0.0/28", "192.168.7.0/24"])
async def test_an_owner_may_choose(wish: str) -> None:
    assert await TaskNetwork(FakeRuntime(), INSTANCE, wish).choose() == wish


async def test_the_networks_of_one_machine_reach_each_other_until_the_last_is_gone() -> None:
    runtime = FakeRuntime()
    first, second = TaskNetwork(runtime, INSTANCE), TaskNetwork(runtime, "i-0fedcba9876543210")
    for network in (first, second):
        await network.choose()
        await network.make()
    assert first.range != second.range and runtime.crossing == {str(POOL)}
    await first.remove()
    assert runtime.crossing == {str(POOL)}
    await second.remove()
    assert runtime.crossing == frozenset()


async def test_a_range_of_the_owners_is_the_owners_to_route() -> None:
    runtime = FakeRuntime()
    network = TaskNetwork(runtime, INSTANCE, "192.168.7.0/24")
    await network.choose()
    await network.make()
    await network.remove()
    assert runtime.crossing == frozenset()
