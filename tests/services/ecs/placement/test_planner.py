"""Where tasks go: examples of each filter and strategy, and laws that hold for every cluster."""

from __future__ import annotations

import random as random_module

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.services.ecs.model import ContainerInstance, HostPort, Reservation, Task
from longshore.services.ecs.placement.columns import held_by
from longshore.services.ecs.placement.masks import Masks
from longshore.services.ecs.placement.planner import MOST_REFUSALS, Search
from longshore.services.ecs.placement.request import NO_INSTANCES, PlacementRequest
from tests.services.ecs.placement import oracle
from tests.services.ecs.placement.worlds import (
    DISTINCT,
    RANDOM,
    ZONE,
    asking,
    binpack,
    columns_of,
    instance,
    like,
    member_of,
    place,
    place_all,
    requests,
    spread,
    task,
    worlds,
)

World = tuple[list[ContainerInstance], list[Task]]


def arns(request: PlacementRequest, *instances: ContainerInstance, count: int, tasks: tuple[Task, ...] = ()) -> list[str | None]:
    return [one.instance_arn for one in place_all(request, columns_of(instances, tasks), count)]


# ── filters ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wanted", "there", "tasks", "reason"),
    [
        (asking(), instance("x", connected=False), (), "AGENT"),
        (asking(required_attributes=(("gpu", ""),)), instance("x"), (), "ATTRIBUTE"),
        (asking(required_attributes=(("os", "linux"),)), instance("x", attributes={"os": "windows"}), (), "ATTRIBUTE"),
        (asking(zones=("b", "c")), instance("x", zone="a"), (), "LOCATION"),
        (asking(cpu=2000), instance("x"), (), "RESOURCE:CPU"),
        (asking(memory=2000), instance("x"), (), "RESOURCE:MEMORY"),
        (asking(gpus=3), instance("x", gpus=2), (), "RESOURCE:GPU"),
        (asking(ports=(HostPort(80),)), instance("x", reserved=(80,)), (), "RESOURCE:PORTS"),
        (asking(ports=(HostPort(80),)), instance("x"), (task("t", "x", bound=(80,)),), "RESOURCE:PORTS"),
        (
            asking(ports=(HostPort(53, "udp"),)),
            instance("x"),
            (task("t", "x", reservation=Reservation(ports=(HostPort(53, "udp"),))),),
            "RESOURCE:PORTS_UDP",
        ),
        (asking(enis=1), instance("x"), (), "RESOURCE:ENI"),
        (asking(constraints=(DISTINCT,)), instance("x"), (task("t", "x"),), "DistinctInstance placement constraint unsatisfied."),
        (
            asking(constraints=(member_of("attribute:stack == prod"),)),
            instance("x"),
            (),
            "MemberOf placement constraint unsatisfied.",
        ),
    ],
)
def test_an_instance_is_refused_for_what_it_lacks(
    wanted: PlacementRequest, there: ContainerInstance, tasks: tuple[Task, ...], reason: str
) -> None:
    placement = place(wanted, there, tasks=tasks)
    assert (placement.instance_arn, placement.reason, placement.counts) == (None, reason, {reason: 1})


def test_tcp_and_udp_ports_of_one_number_are_two_things() -> None:
    held = task("t", "x", reservation=Reservation(ports=(HostPort(53),)))
    assert place(asking(ports=(HostPort(53, "udp"),)), instance("x"), tasks=(held,)).instance_arn == "x"


def test_an_empty_cluster_and_one_that_only_drains_have_no_instances() -> None:
    assert place(asking()).reason == NO_INSTANCES
    assert place(asking(), instance("x", status="DRAINING")).reason == NO_INSTANCES


def test_instances_of_another_capacity_provider_are_not_asked() -> None:
    wanted = asking(capacity_provider="spot")
    assert place(wanted, instance("a"), instance("b", provider="spot")).instance_arn == "b"
    placement = place(wanted, instance("a"))
    assert (placement.reason, placement.asked) == ("EMPTY CAPACITY PROVIDER", 0)


def test_the_closest_instance_is_the_one_that_passed_most_filters() -> None:
    placement = place(asking(), instance("a", connected=False), instance("b", cpu=10), instance("c", memory=10), instance("d", memory=20))
    assert (placement.instance_arn, placement.closest, placement.reason) == (None, "d", "RESOURCE:MEMORY")
    assert [one.instance_arn for one in placement.refusals] == ["d", "c", "b", "a"]
    assert placement.reasons == {"AGENT", "RESOURCE:CPU", "RESOURCE:MEMORY"}


def test_of_very_many_refusals_the_closest_are_told_and_all_are_counted() -> None:
    placement = place(asking(), *(instance(f"{number:03}", cpu=number % 7) for number in range(300)))
    assert len(placement.refusals) == MOST_REFUSALS
    assert placement.counts == {"RESOURCE:CPU": 300}


# ── strategies ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_a_strategy_tasks_spread_over_zones_and_then_over_instances() -> None:
    fleet = (instance("a1", zone="a"), instance("a2", zone="a"), instance("b1", zone="b"))
    assert arns(asking(), *fleet, count=4) == ["a1", "b1", "a2", "b1"]


def test_a_full_zone_does_not_hold_up_the_others() -> None:
    assert arns(asking(), instance("a1", zone="a"), instance("b1", zone="b", memory=50), count=3) == ["a1", "a1", "a1"]


def test_a_zone_counts_tasks_on_instances_that_take_no_more() -> None:
    fleet = (instance("a1", zone="a", status="DRAINING"), instance("a2", zone="a"), instance("b1", zone="b"))
    there = (task("1", "a1"), task("2", "a1"), task("3", "b1"))
    assert place(asking(), *fleet, tasks=there).instance_arn == "b1"


def test_spreading_over_an_attribute_of_ones_own_treats_those_without_it_as_one_more_value() -> None:
    fleet = (instance("a", attributes={"rack": "1"}), instance("b", attributes={"rack": "1"}), instance("c"))
    assert arns(asking(strategy=(spread("attribute:rack"),)), *fleet, count=4) == ["a", "c", "b", "c"]


def test_binpack_fills_the_fullest_instance_that_still_fits() -> None:
    fleet = (instance("a", memory=500), instance("b", memory=150), instance("c", memory=90))
    assert place(asking(strategy=(binpack("memory"),)), *fleet).instance_arn == "b"


def test_strategies_count_in_their_order() -> None:
    fleet = (instance("a", zone="a", memory=200), instance("b", zone="b", memory=900), instance("c", zone="b", memory=500))
    there = (task("1", "a"),)
    assert place(asking(strategy=(spread(f"attribute:{ZONE}"), binpack("memory"))), *fleet, tasks=there).instance_arn == "c"
    assert place(asking(strategy=(binpack("memory"), spread("host"))), *fleet, tasks=there).instance_arn == "a"


def test_random_is_chosen_by_the_chance_that_is_given() -> None:
    fleet = tuple(instance(name) for name in "abcd")
    assert [place(asking(strategy=(RANDOM,), chance=n / 4), *fleet).instance_arn for n in range(4)] == ["a", "b", "c", "d"]


def test_distinct_instances_take_one_task_each() -> None:
    assert arns(asking(constraints=(DISTINCT,)), instance("a"), instance("b"), count=3) == ["a", "b", None]


def test_a_task_just_placed_is_seen_by_the_next_ones_expression() -> None:
    wanted = asking(constraints=(member_of("not(task:group == service:web)"),))
    assert arns(wanted, instance("a"), instance("b"), count=3) == ["a", "b", None]


def test_the_same_port_twice_goes_to_two_instances() -> None:
    assert arns(asking(ports=(HostPort(80),)), instance("a"), instance("b"), count=3) == ["a", "b", None]


@pytest.mark.parametrize(
    "wanted",
    [asking(cpu=512, memory=0), asking(cpu=0, memory=512), asking(cpu=0, memory=0, gpus=1), asking(cpu=0, memory=0, enis=2)],
)
def test_tasks_alike_end_where_any_one_resource_does(wanted: PlacementRequest) -> None:
    fleet = (instance("a", gpus=2, enis=5), instance("b", gpus=2, enis=5))
    assert arns(wanted, *fleet, count=6) == ["a", "b", "a", "b", None]


# ── laws ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(requests, worlds(), st.integers(1, 6))
def test_the_planner_chooses_and_refuses_as_the_slow_one_does(wanted: PlacementRequest, world: World, count: int) -> None:
    sites = oracle.sites_of(*world)
    by_arn = {site.instance.arn: site for site in sites}
    for number, placement in enumerate(place_all(wanted, columns_of(*world), count)):
        chosen = oracle.choose(wanted, sites, number)
        assert placement.instance_arn == (chosen.instance.arn if chosen is not None else None)
        assert placement.asked == len(oracle.asked(wanted, sites))
        if chosen is None:
            expected = {site.instance.arn: oracle.refusals(wanted, site)[0] for site in oracle.asked(wanted, sites)}
            assert {one.instance_arn: one.reason for one in placement.refusals} == expected
            assert placement.reason == placement.refusals[0].reason if expected else placement.reason
            return
        assert placement.fitting == sum(not oracle.refusals(wanted, site) for site in oracle.asked(wanted, sites))
        by_arn[chosen.instance.arn].tasks.append(like(wanted, f"n{number}", chosen.instance.arn))


@given(requests, worlds(), st.integers(1, 10))
def test_no_instance_is_ever_given_more_than_it_has(wanted: PlacementRequest, world: World, count: int) -> None:
    columns = columns_of(*world)
    before = {arn: (columns.cpu[row], columns.memory[row], columns.gpus[row], columns.enis[row]) for arn, row in columns.row_of.items()}
    for placement in place_all(wanted, columns, count):
        if placement.instance_arn is None:
            break
        row = columns.row_of[placement.instance_arn]
        asks = wanted.reservation
        for left, was, asked in (
            (columns.cpu[row], before[placement.instance_arn][0], asks.cpu),
            (columns.memory[row], before[placement.instance_arn][1], asks.memory_mib),
            (columns.gpus[row], before[placement.instance_arn][2], asks.gpus),
            (columns.enis[row], before[placement.instance_arn][3], asks.enis),
        ):
            assert left >= 0 or (asked == 0 and left == was)
        assert all(columns.ports[port].rows[row] == 1 for port in asks.ports)


@given(requests, worlds(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_the_order_in_which_things_came_does_not_matter(
    wanted: PlacementRequest, world: World, random: random_module.Random, count: int
) -> None:
    instances, tasks = world
    mixed: list[ContainerInstance | Task] = [*(one for one in instances if one.status != "INACTIVE"), *tasks]
    random.shuffle(mixed)
    columns = columns_of(())
    for one in mixed:
        if isinstance(one, ContainerInstance):
            columns.instance_moved(None, one)
        else:
            columns.task_moved(None, held_by(one))
    assert place_all(wanted, columns, count) == place_all(wanted, columns_of(*world), count)


@given(requests, worlds(), st.integers(1, 5))
def test_more_of_everything_never_makes_a_task_that_found_a_place_unplaceable(wanted: PlacementRequest, world: World, count: int) -> None:
    instances, tasks = world
    capacity = [replace(one, capacity=replace(one.capacity, cpu=2000, memory_mib=2000, enis=9)) for one in instances]
    placed = sum(one.instance_arn is not None for one in place_all(wanted, columns_of(instances, tasks), count))
    if any(one.type == "memberOf" for one in wanted.constraints):
        count = 1  # what a task makes of the answers for the next depends on where it goes
    richer = sum(one.instance_arn is not None for one in place_all(wanted, columns_of(capacity, tasks), count))
    assert richer >= min(placed, count)


@given(requests, worlds(), worlds())
def test_one_set_of_masks_answers_as_fresh_ones_do_while_the_world_changes(wanted: PlacementRequest, first: World, second: World) -> None:
    columns = columns_of(*first)
    masks = Masks(columns)
    Search(columns, masks, wanted).next()
    before = {one.arn: one for one in first[0] if one.status != "INACTIVE"}
    after = {one.arn: one for one in second[0] if one.status != "INACTIVE"}
    for one in first[1]:
        columns.task_moved(held_by(one), None)
    for arn in {**before, **after}:
        columns.instance_moved(before.get(arn), after.get(arn))
    for one in second[1]:
        columns.task_moved(None, held_by(one))
    assert Search(columns, masks, wanted).next() == Search(columns_of(*second), Masks(columns_of(*second)), wanted).next()


def test_amounts_beyond_all_reason_are_answered_like_any_other() -> None:
    fleet = (instance("a", cpu=10**30, memory=2**62), instance("b"))
    assert arns(asking(cpu=10**6, memory=10**6), *fleet, count=2) == ["a", "a"]
    assert place(asking(cpu=10**40), *fleet).reason == "RESOURCE:CPU"
    columns = columns_of(fleet)
    for one in fleet:
        columns.instance_moved(one, None)
    assert not columns.row_of
    assert not columns.cpu.any()


def test_columns_grow_with_the_fleet() -> None:
    fleet = [instance(f"{number:03}", zone="ab"[number % 2], attributes={"rack": str(number % 7)}) for number in range(300)]
    wanted = asking(strategy=(spread("attribute:rack"), spread("instanceId")))
    columns = columns_of(fleet[:10])
    masks = Masks(columns)
    before = [like(wanted, str(number), one.instance_arn or "") for number, one in enumerate(place_all(wanted, columns, 20, masks))]
    for one in fleet[10:]:
        columns.instance_moved(None, one)
    assert place_all(wanted, columns, 290, masks) == place_all(wanted, columns_of(fleet, before), 290)
    assert columns.dense(columns.groups[wanted.group]).sum() == 310
