"""Which tasks are moved where: examples, and what holds of every plan."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.services.ecs.rebalance.plan import Group, Host, World, cost, plan

SPREAD = (("spread", "attribute:ecs.availability-zone"), ("spread", "instanceId"))
PACK = (("binpack", "memory"),)


def host(name: str, zone: str = "a", free: int = 1000, size: int = 1000, **attributes: str) -> Host:
    return Host(name, zone, (free, free, 0, 0), (size, size, 0, 0), attributes)


def group(name: str, counts: dict[str, int], hosts: tuple[Host, ...], *, strategy: Any = SPREAD, ask: int = 10, **members: Any) -> Group:
    movable = {arn: tuple(f"{name}-{arn}-{number}" for number in range(count)) for arn, count in counts.items()}
    settings = {"movable": movable, "allowed": frozenset(one.arn for one in hosts), **members}
    return Group(name, name, (ask, ask, 0, 0), strategy, counts, **settings)


def after(world: World, most: int = 100) -> dict[str, dict[str, int]]:
    return plan(world, most).counts


TWO_ZONES = (host("h1", "a"), host("h2", "a"), host("h3", "b"))


@pytest.mark.parametrize(
    ("counts", "strategy", "expected"),
    [
        ({"h1": 4}, SPREAD, {"h1": 1, "h2": 1, "h3": 2}),
        ({"h1": 2, "h2": 2}, SPREAD, {"h1": 1, "h2": 1, "h3": 2}),
        ({"h1": 3}, (("spread", "instanceId"),), {"h1": 1, "h2": 1, "h3": 1}),
        ({"h1": 1, "h2": 1, "h3": 2}, SPREAD, {"h1": 1, "h2": 1, "h3": 2}),
        ({"h1": 3, "h2": 1, "h3": 1}, PACK, {"h1": 5}),
        ({"h1": 2}, (("random", ""),), {"h1": 2}),
    ],
)
def test_services_lie_as_their_strategies_say(counts: dict[str, int], strategy: Any, expected: dict[str, int]) -> None:
    assert after(World(TWO_ZONES, (group("web", counts, TWO_ZONES, strategy=strategy),)))["web"] == expected


def test_a_move_says_why() -> None:
    moves = plan(World(TWO_ZONES, (group("web", {"h1": 4}, TWO_ZONES),)), 1).moves
    assert [(move.from_arn, move.to_arn, move.reason) for move in moves] == [("h1", "h3", "4 of web in a, 0 in b")]


def test_what_cannot_be_moved_stays() -> None:
    stuck = group("web", {"h1": 4}, TWO_ZONES, movable={"h1": ("t",)})
    assert after(World(TWO_ZONES, (stuck,)))["web"] == {"h1": 3, "h3": 1}


def test_nothing_goes_where_constraints_or_room_forbid_it() -> None:
    full = (host("h1"), host("h2", "b", free=5), host("h3", "b"))
    assert after(World(full, (group("web", {"h1": 2}, full, allowed=frozenset({"h1", "h2"})),)))["web"] == {"h1": 2}


def test_instances_are_used_more_alike_where_strategies_do_not_care() -> None:
    # 30 % on each would be but a little better than 40 % and 20 %
    hosts = (host("h1", free=400), host("h2"))
    assert after(World(hosts, (group("web", {"h1": 6}, hosts, strategy=(("random", ""),), ask=100),)))["web"] == {"h1": 4, "h2": 2}


def test_a_little_difference_in_use_moves_nothing() -> None:
    hosts = (host("h1", free=890), host("h2", free=1000))
    assert not plan(World(hosts, (group("web", {"h1": 1}, hosts, strategy=(("random", ""),), ask=100),)), 10).moves


# ── laws ────────────────────────────────────────────────────────────────────────────────────────────────────────────

_STRATEGIES = st.sampled_from(
    [
        SPREAD,
        PACK,
        (("spread", "instanceId"),),
        (("spread", "attribute:rack"), ("binpack", "cpu")),
        (("random", ""),),
        (("spread", "host"),),
    ]
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    number = draw(st.integers(1, 6))
    sizes = [draw(st.integers(100, 1000)) for _ in range(number)]
    groups: list[tuple[dict[str, int], Any, int, bool, list[str]]] = []
    taken = [0] * number
    for _ in range(draw(st.integers(1, 3))):
        ask, distinct, counts = draw(st.integers(0, 60)), draw(st.booleans()), {}
        for place in range(number):
            most = min(1 if distinct else 6, (sizes[place] - taken[place]) // ask if ask else 6)
            if count := draw(st.integers(0, max(0, most))):
                counts[f"h{place}"] = count
                taken[place] += count * ask
        allowed = draw(st.lists(st.sampled_from([f"h{place}" for place in range(number)]), unique=True))
        groups.append((counts, draw(_STRATEGIES), ask, distinct, allowed))
    hosts = tuple(
        host(f"h{place}", draw(st.sampled_from("abc")), sizes[place] - taken[place], sizes[place], rack=draw(st.sampled_from("xy")))
        for place in range(number)
    )
    return World(
        hosts,
        tuple(
            group(f"s{n}", counts, hosts, strategy=strategy, ask=ask, distinct=distinct, allowed=frozenset(allowed))
            for n, (counts, strategy, ask, distinct, allowed) in enumerate(groups)
        ),
    )


@given(worlds(), st.integers(0, 40))
def test_no_move_makes_anything_worse(world: World, most: int) -> None:
    counts = {one.service_arn: Counter(one.counts) for one in world.groups}
    free = {one.arn: one.free for one in world.hosts}
    asks = {one.service_arn: one.ask for one in world.groups}
    packs = all(any(kind == "binpack" for kind, _ in one.strategy) for one in world.groups)
    before = cost(world, {arn: dict(one) for arn, one in counts.items()}, free)
    for move in plan(world, most).moves:
        ask = asks[move.service_arn]
        counts[move.service_arn][move.from_arn] -= 1
        counts[move.service_arn][move.to_arn] += 1
        for arn, sign in ((move.from_arn, 1), (move.to_arn, -1)):
            left = free[arn]
            free[arn] = (left[0] + sign * ask[0], left[1] + sign * ask[1], left[2], left[3])
        now = cost(world, {arn: dict(one) for arn, one in counts.items()}, free)
        # what packs does not mind how instances are used
        assert now[:-1] < before[:-1] or (now[:-1] == before[:-1] and not packs and now < before)
        before = now


@given(worlds())
def test_plans_end_and_planning_again_moves_nothing(world: World) -> None:
    decided = plan(world, 10_000)
    assert len({move.task_arn for move in decided.moves}) == len(decided.moves) < 10_000


@given(worlds(), st.integers(0, 40))
def test_nothing_is_over_committed_and_nothing_gets_lost(world: World, most: int) -> None:
    decided = plan(world, most)
    assert len(decided.moves) <= most
    assert all(left >= 0 for free in decided.free.values() for left in free)
    for one in world.groups:
        counts = decided.counts[one.service_arn]
        assert sum(counts.values()) == sum(one.counts.values())
        ends = {move.to_arn for move in decided.moves if move.service_arn == one.service_arn}
        assert ends <= one.allowed
        if one.distinct:
            assert all(counts[end] == 1 for end in ends if end in counts)


@given(worlds())
def test_the_order_in_which_instances_and_services_come_does_not_matter(world: World) -> None:
    turned = World(tuple(reversed(world.hosts)), tuple(reversed(world.groups)))
    assert plan(world, 20).moves == plan(turned, 20).moves
