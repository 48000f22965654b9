"""Which tasks go at scale-in: the mirror of the placement strategies."""

from __future__ import annotations

import itertools
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.control.deployments.victims import victims
from longshore.control.deployments.vocabulary import Member, Phase

ZONES = ("spread", "attribute:ecs.availability-zone")
INSTANCES = ("spread", "instanceId")
PACKED = ("binpack", "memory")


def on(*places: str, phase: Phase = Phase.HEALTHY) -> list[Member]:
    """`a1` is instance 1 in zone a; the later in the list, the younger."""
    return [
        Member(f"t{number}", "d", phase, zone=place[0], created_at=float(number), instance_arn=place) for number, place in enumerate(places)
    ]


def names(chosen: list[Member]) -> list[str]:
    return [member.instance_arn for member in chosen]


@pytest.mark.parametrize(
    ("sentence", "places", "strategy", "most", "gone"),
    [
        ("from the fullest zone, and there from the fullest instance", ("a1", "a1", "a2", "b3"), (), 1, ["a1"]),
        ("until the zones are level", ("a1", "a1", "a2", "b3"), (), 2, ["a1", "a2"]),
        ("instances alone, where only they are spread over", ("a1", "b2", "b3", "b3"), (INSTANCES,), 1, ["b3"]),
        ("the youngest, where the strategy is random", ("a1", "b2"), (("random", ""),), 1, ["b2"]),
        ("none where none is asked for", ("a1", "b2"), (), 0, []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_spread_takes(sentence: str, places: tuple[str, ...], strategy: tuple[tuple[str, str], ...], most: int, gone: list[str]) -> None:
    assert names(victims(on(*places), strategy, most)) == gone


def test_binpack_empties_the_instance_with_most_left() -> None:
    left = {"a1": (0, 100), "a2": (0, 900), "b3": (0, 500)}
    members = [
        Member(f"t{n}", "d", Phase.HEALTHY, place[0], float(n), instance_arn=place, left=left[place])
        for n, place in enumerate(("a1", "a1", "a2", "a2", "b3"))
    ]
    assert names(victims(members, (PACKED,), 3)) == ["a2", "a2", "b3"]


def test_what_does_not_serve_goes_first_wherever_it_is() -> None:
    members = [*on("a1", "a1", "a1"), *on("b9", phase=Phase.STARTING)]
    assert names(victims(members, (), 1)) == ["b9"]


@given(st.lists(st.sampled_from(["a1", "a2", "b3", "c4"]), max_size=14), st.sampled_from([(), (ZONES,), (ZONES, INSTANCES), (INSTANCES,)]))
def test_law_spread_leaves_no_value_two_above_another_that_it_could_have_taken_from(
    places: list[str], strategy: tuple[tuple[str, str], ...]
) -> None:
    members = on(*places)
    for most in range(len(members) + 1):
        gone = {member.arn for member in victims(members, strategy, most)}
        assert len(gone) == most
        first = 0 if (strategy or (ZONES,))[0] == ZONES else 1
        before = Counter(m.zone if first == 0 else m.instance_arn for m in members)
        after = Counter((m.zone if first == 0 else m.instance_arn) for m in members if m.arn not in gone)
        for one, other in itertools.permutations(before, 2):
            assert after[one] <= after[other] + 1 or after[other] == before[other], f"{other} lost one, and {one} had more"


@given(st.lists(st.sampled_from(["a1", "b2"]), min_size=1, max_size=10), st.sets(st.integers(0, 9)))
def test_law_protected_tasks_are_never_chosen(places: list[str], protected: set[int]) -> None:
    members = [
        Member(m.arn, "d", m.phase, m.zone, m.created_at, instance_arn=m.instance_arn, protected_until=9e9 if n in protected else None)
        for n, m in enumerate(on(*places))
    ]
    chosen = victims(members, (), len(members))
    assert all(member.protected_until is None for member in chosen)
    assert len(chosen) == sum(1 for member in members if member.protected_until is None)


def test_thousands_are_chosen_in_less_than_a_moment() -> None:
    members = on(*(f"{'abc'[n % 3]}{n % 100}" for n in range(5000)))
    began = time.perf_counter()
    assert len(victims(members, (), 2500)) == 2500
    assert time.perf_counter() - began < 5.0
