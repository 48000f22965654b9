from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.balancer.plan import Plan, plan
from longshore.balancer.words import server_name
from tests.balancer.cases import pool, target

ONE = "10.0.0.1_10.0.0.1:80"
BUCKETS = ("add", "revive", "withhold", "finish", "remove", "forget")


def buckets(made: Plan) -> dict[str, list[str]]:
    return {name: [step.server for step in getattr(made, name)] for name in BUCKETS if getattr(made, name)}


@pytest.mark.parametrize(
    ("left_at", "status", "expected"),
    [
        (None, None, "add"),
        (None, "UP", ""),
        (None, "NOLB 1/2", ""),
        (None, "DOWN 1/5", ""),
        (None, "MAINT", "revive"),
        (1.0, None, "forget"),
        (1.0, "UP", "withhold"),
        (1.0, "DOWN", "withhold"),
        (1.0, "MAINT", "finish"),
    ],
)
def test_what_is_done_follows_from_what_is_wanted_and_what_is_there(left_at: float | None, status: str | None, expected: str) -> None:
    made = plan(pool(target(left_at=left_at)), {ONE: status} if status else {})
    assert buckets(made) == ({expected: [ONE]} if expected else {})


def test_a_server_nobody_stands_behind_is_removed() -> None:
    assert buckets(plan(pool(), {ONE: "UP"})) == {"remove": [ONE]}


def test_a_target_that_moved_is_another_server() -> None:
    moved = target("10.0.0.2:80")
    assert buckets(plan(pool(moved), {ONE: "UP"})) == {"add": [server_name(moved)], "remove": [ONE]}


@pytest.mark.parametrize(("status", "expected"), [("UP", "revive"), ("DOWN", "revive"), ("MAINT", "revive")])
def test_a_server_put_there_for_an_earlier_registration_begins_anew(status: str, expected: str) -> None:
    assert buckets(plan(pool(target()), {ONE: status}, {ONE: -1.0})) == {expected: [ONE]}


def test_a_server_put_there_for_this_registration_stays_as_it_is() -> None:
    assert buckets(plan(pool(target()), {ONE: "UP"}, {ONE: 0.0})) == {}


def test_every_step_says_why() -> None:
    made = plan(pool(target(), target("10.0.0.2:80", left_at=1.0)), {"stranger": "UP"})
    steps = [step for name in BUCKETS for step in getattr(made, name)]
    assert len(steps) == 3 and all(step.reason for step in steps)


_targets = st.lists(
    st.builds(lambda number, left: target(f"10.0.0.{number}:80", left_at=1.0 if left else None), st.integers(1, 6), st.booleans()),
    unique_by=lambda made: made.id,
)
_statuses = st.dictionaries(
    st.integers(1, 9).map(lambda number: f"10.0.0.{number}_10.0.0.{number}:80"),
    st.sampled_from(["UP", "UP 1/2", "DOWN", "NOLB", "MAINT", "no check"]),
)


@given(_targets, _statuses)
def test_carrying_a_plan_out_leaves_nothing_to_add_or_withhold(targets: list[object], statuses: dict[str, str]) -> None:
    wanted = pool(*targets)  # type: ignore[arg-type]
    made = plan(wanted, statuses)
    names = [step.server for name in BUCKETS for step in getattr(made, name)]
    assert len(names) == len(set(names)), "one step per server"
    after = dict(statuses)
    for step in (*made.add, *made.revive):
        after[step.server] = "NOLB"
    for step in made.withhold:
        after[step.server] = "MAINT"
    for step in (*made.remove, *made.finish):
        del after[step.server]
    gone = {step.server for step in (*made.finish, *made.forget)}
    left = pool(*(kept for kept in wanted.targets if server_name(kept) not in gone))
    assert set(buckets(plan(left, after))) <= {"finish"}
