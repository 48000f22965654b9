"""Where tasks go: examples of each filter and strategy, and laws that hold for every fleet."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.cluster_query import Facts
from longshore.services.ecs.model import HostPort, Reservation
from longshore.services.ecs.placement import (
    NO_INSTANCES,
    Candidate,
    Fleet,
    PlacementRequest,
    place,
    place_all,
    refusal,
)

ZONE = "ecs.availability-zone"


def instance(
    name: str,
    *,
    zone: str = "a",
    cpu: int = 1024,
    memory: int = 1024,
    busy: tuple[int, ...] = (),
    of_group: int = 0,
    tasks: int = 0,
    active: bool = True,
    connected: bool = True,
    attributes: dict[str, str] | None = None,
) -> Candidate:
    facts = Facts(connected, "1.0.0", f"i-{name}", 0.0, tasks, {ZONE: zone, **(attributes or {})}, lambda: frozenset())
    return Candidate(
        arn=name,
        active=active,
        facts=facts,
        cpu_left=cpu,
        memory_left=memory,
        busy=frozenset(HostPort(port) for port in busy),
        of_group=of_group,
        tasks=tasks,
    )


def asking(*, cpu: int = 100, memory: int = 100, ports: tuple[int, ...] = (), **more: object) -> PlacementRequest:
    reservation = Reservation(cpu, memory, tuple(HostPort(port) for port in ports))
    return PlacementRequest(group="service:web", reservation=reservation, **more)  # type: ignore[arg-type]


def spread(field: str) -> shapes.PlacementStrategy:
    return shapes.PlacementStrategy(type="spread", field=field)


def binpack(field: str) -> shapes.PlacementStrategy:
    return shapes.PlacementStrategy(type="binpack", field=field)


# ── filters ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_", "candidate", "reason"),
    [
        (asking(), instance("x", connected=False), "AGENT"),
        (asking(required_attributes=("gpu",)), instance("x"), "ATTRIBUTE"),
        (asking(cpu=2000), instance("x"), "RESOURCE:CPU"),
        (asking(memory=2000), instance("x"), "RESOURCE:MEMORY"),
        (asking(ports=(80,)), instance("x", busy=(80,)), "RESOURCE:PORTS"),
        (
            asking(constraints=(shapes.PlacementConstraint(type="distinctInstance"),)),
            instance("x", of_group=1),
            "DistinctInstance placement constraint unsatisfied.",
        ),
        (
            asking(constraints=(shapes.PlacementConstraint(type="memberOf", expression="attribute:stack == prod"),)),
            instance("x"),
            "MemberOf placement constraint unsatisfied.",
        ),
    ],
)
def test_an_instance_is_refused_for_what_it_lacks(request_: PlacementRequest, candidate: Candidate, reason: str) -> None:
    assert refusal(request_, candidate) == reason
    assert place(request_, (candidate,)).reason == reason


def test_a_taken_udp_port_has_a_reason_of_its_own() -> None:
    port = HostPort(53, "udp")
    request = replace(asking(), reservation=Reservation(0, 0, (port,)))
    assert place(request, (replace(instance("x"), busy=frozenset({port})),)).reason == "RESOURCE:PORTS_UDP"


def test_an_empty_cluster_and_one_that_only_drains_have_no_instances() -> None:
    assert place(asking(), ()).reason == NO_INSTANCES
    assert place(asking(), (instance("x", active=False),)).reason == NO_INSTANCES


def test_the_closest_instance_is_the_one_that_passed_most_filters() -> None:
    fleet = (instance("a", connected=False), instance("b", cpu=10), instance("c", memory=10), instance("d", memory=20))
    placement = place(asking(), fleet)
    assert (placement.instance_arn, placement.closest, placement.reason) == (None, "d", "RESOURCE:MEMORY")
    assert [one.instance_arn for one in placement.refusals] == ["d", "c", "b", "a"]


# ── strategies ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_strategy_tasks_spread_over_zones_and_then_over_instances() -> None:
    fleet = (instance("a1", zone="a"), instance("a2", zone="a"), instance("b1", zone="b"))
    assert [one.instance_arn for one in place_all(asking(), fleet, 4)] == ["a1", "b1", "a2", "b1"]


def test_a_full_zone_does_not_hold_up_the_others() -> None:
    fleet = (instance("a1", zone="a"), instance("b1", zone="b", memory=50))
    assert [one.instance_arn for one in place_all(asking(), fleet, 3)] == ["a1", "a1", "a1"]


def test_a_zone_counts_tasks_on_instances_that_take_no_more() -> None:
    fleet = (instance("a1", zone="a", of_group=2, active=False), instance("a2", zone="a"), instance("b1", zone="b", of_group=1))
    assert place(asking(), fleet).instance_arn == "b1"


def test_binpack_fills_the_fullest_instance_that_still_fits() -> None:
    fleet = (instance("a", memory=500), instance("b", memory=150), instance("c", memory=90))
    assert place(asking(strategy=(binpack("memory"),)), fleet).instance_arn == "b"


def test_strategies_count_in_their_order() -> None:
    fleet = (instance("a", zone="a", of_group=1, memory=200), instance("b", zone="b", memory=900), instance("c", zone="b", memory=500))
    assert place(asking(strategy=(spread("attribute:ecs.availability-zone"), binpack("memory"))), fleet).instance_arn == "c"
    assert place(asking(strategy=(binpack("memory"), spread("instanceId"))), fleet).instance_arn == "a"


def test_random_is_chosen_by_the_chance_that_is_given() -> None:
    fleet = tuple(instance(name) for name in "abcd")
    chosen = [place(asking(strategy=(shapes.PlacementStrategy(type="random"),), chance=n / 4), fleet).instance_arn for n in range(4)]
    assert chosen == ["a", "b", "c", "d"]


def test_distinct_instances_take_one_task_each() -> None:
    fleet = (instance("a"), instance("b"))
    request = asking(constraints=(shapes.PlacementConstraint(type="distinctInstance"),))
    assert [one.instance_arn for one in place_all(request, fleet, 3)] == ["a", "b", None]


def test_a_task_just_placed_is_seen_by_the_next_ones_expression() -> None:
    constraint = shapes.PlacementConstraint(type="memberOf", expression="not(task:group == service:web)")
    placements = place_all(asking(constraints=(constraint,)), (instance("a"), instance("b")), 3)
    assert [one.instance_arn for one in placements] == ["a", "b", None]


# ── laws ────────────────────────────────────────────────────────────────────────────────────────────────────────────


candidates = st.builds(
    instance,
    st.uuids().map(str),
    zone=st.sampled_from("abc"),
    cpu=st.integers(0, 500),
    memory=st.integers(0, 500),
    busy=st.sets(st.integers(80, 82)).map(tuple),
    of_group=st.integers(0, 3),
    tasks=st.integers(0, 5),
    active=st.booleans(),
    connected=st.booleans(),
)
fleets: st.SearchStrategy[Fleet] = st.lists(candidates, max_size=6).map(tuple)
strategies = st.lists(
    st.sampled_from([spread("instanceId"), spread("attribute:ecs.availability-zone"), binpack("cpu"), binpack("memory")]), max_size=3
).map(tuple)
requests = st.builds(
    asking,
    cpu=st.integers(0, 200),
    memory=st.integers(0, 200),
    ports=st.sets(st.integers(80, 82), max_size=2).map(tuple),
    strategy=strategies,
    chance=st.floats(0, 1, exclude_max=True),
)


@given(requests, fleets, st.integers(1, 10))
def test_no_instance_is_ever_given_more_than_it_has(request: PlacementRequest, fleet: Fleet, count: int) -> None:
    taken = Counter(one.instance_arn for one in place_all(request, fleet, count) if one.instance_arn is not None)
    by_arn = {one.arn: one for one in fleet}
    for arn, times in taken.items():
        chosen = by_arn[arn]
        assert chosen.active
        assert chosen.facts.agent_connected
        assert times * request.reservation.cpu <= chosen.cpu_left
        assert times * request.reservation.memory_mib <= chosen.memory_left
        assert not chosen.busy.intersection(request.reservation.ports)
        assert times == 1 or not request.reservation.ports


@given(requests, fleets)
def test_every_refusal_is_explained_and_nothing_that_fits_is_refused(request: PlacementRequest, fleet: Fleet) -> None:
    placement = place(request, fleet)
    fitting = [one for one in fleet if one.active and refusal(request, one) is None]
    if placement.instance_arn is not None:
        assert placement.instance_arn in {one.arn for one in fitting}
        assert not placement.refusals
        return
    assert not fitting
    assert {one.instance_arn for one in placement.refusals} == {one.arn for one in fleet if one.active}
    assert placement.reason
    for one in placement.refusals:
        assert one.reason == refusal(request, next(candidate for candidate in fleet if candidate.arn == one.instance_arn))


@given(requests, fleets, st.randoms(use_true_random=False), st.integers(1, 5))
def test_the_order_of_the_fleet_does_not_matter(request: PlacementRequest, fleet: Fleet, random: object, count: int) -> None:
    shuffled = list(fleet)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert place_all(request, fleet, count) == place_all(request, tuple(shuffled), count)


@given(fleets, st.integers(1, 10))
def test_spreading_keeps_instances_that_can_take_everything_level(fleet: Fleet, count: int) -> None:
    roomy = tuple(instance(one.arn) for one in fleet)
    if not roomy:
        return
    placed = Counter(one.instance_arn for one in place_all(asking(cpu=1, memory=1, strategy=(spread("instanceId"),)), roomy, count))
    counts = [placed[one.arn] for one in roomy]
    assert max(counts) - min(counts) <= 1
