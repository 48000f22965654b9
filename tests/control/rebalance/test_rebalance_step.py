"""Which moves begin, and how each ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.control.rebalance.plan import Seen, step
from longshore.services.ecs.rebalance.model import Move


def move(number: int, status: str = "PENDING", service: str = "s") -> Move:
    return Move(f"t{number}", service, "from", "to", status=status)


def test_as_many_begin_as_are_allowed_in_their_order() -> None:
    decided = step((move(1), move(2), move(3)), (Seen(room=9),) * 3, 2, stopping=False)
    assert decided.begin == (0, 1) and not decided.over


def test_a_move_under_way_counts() -> None:
    assert step((move(1, "MOVING"), move(2)), (Seen(), Seen()), 1, stopping=False).begin == ()


def test_a_service_without_room_holds_up_nobody_else() -> None:
    assert step((move(1), move(2, service="other")), (Seen(room=0), Seen()), 5, stopping=False).begin == (1,)
    assert step((move(1), move(2)), (Seen(room=1), Seen(room=1)), 5, stopping=False).begin == (0,)


@pytest.mark.parametrize(
    ("status", "seen", "stopping", "expected"),
    [
        ("PENDING", Seen(why_not="the task is protected"), False, ("SKIPPED", "the task is protected")),
        ("PENDING", Seen(), True, ("SKIPPED", "the rebalance was stopped")),
        ("MOVING", Seen(old_gone=True), False, ("DONE", "")),
        ("MOVING", Seen(old_gone=True), True, ("DONE", "")),
        ("MOVING", Seen(new_ended="it crashed"), False, ("FAILED", "it crashed")),
        ("MOVING", Seen(), True, ("MOVING", "")),
        ("DONE", Seen(), True, ("DONE", "")),
    ],
)
def test_how_moves_end(status: str, seen: Seen, stopping: bool, expected: tuple[str, str]) -> None:
    (after,) = step((move(1, status),), (seen,), 1, stopping=stopping).moves
    assert (after.status, after.detail) == expected


_SEEN = st.builds(
    Seen, why_not=st.sampled_from(["", "no"]), old_gone=st.booleans(), new_ended=st.sampled_from(["", "ended"]), room=st.integers(0, 3)
)
_MOVES = st.lists(st.tuples(st.sampled_from(["PENDING", "MOVING", "DONE", "SKIPPED", "FAILED"]), st.sampled_from("ab"), _SEEN), max_size=12)


@given(_MOVES, st.integers(1, 4), st.booleans())
def test_the_budget_is_kept_and_what_is_over_stays_so(given_: list[tuple[str, str, Seen]], most: int, stopping: bool) -> None:
    moves = tuple(move(number, status, service) for number, (status, service, _) in enumerate(given_))
    seen = tuple(one for _, _, one in given_)
    decided = step(moves, seen, most, stopping=stopping)
    under_way = sum(1 for one in decided.moves if one.status == "MOVING")
    assert len(decided.begin) <= max(0, most - under_way)
    for service in "ab":
        begun = [place for place in decided.begin if moves[place].service_arn == service]
        assert all(len(begun[: number + 1]) <= seen[place].room for number, place in enumerate(begun))
    for before, after in zip(moves, decided.moves, strict=True):
        assert before.status in ("PENDING", "MOVING") or after == before
    assert not (stopping and decided.begin)
    idle = [place for place, one in enumerate(decided.moves) if one.status == "PENDING" and place not in decided.begin]
    if len(decided.begin) + under_way < most:
        assert all(
            seen[place].room <= sum(moves[other].service_arn == moves[place].service_arn for other in decided.begin) for place in idle
        )
    assert decided.over == (not decided.begin and all(one.status not in ("PENDING", "MOVING") for one in decided.moves))
