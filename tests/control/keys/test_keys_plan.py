"""When older generations of the secret go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.control.keys.plan import KEPT_S, VOID_KEPT_S, Plan, Snapshot, Standing, goes_at, needs_sealing, plan

NOW = 1_000_000_000.0
FIRST = Standing(1, 0.0, True)


@pytest.mark.parametrize(
    ("generations", "is_sealed_anew", "expected"),
    [
        ((FIRST,), False, Plan()),
        ((FIRST, Standing(2, NOW, True)), True, Plan(after_s=KEPT_S)),
        ((FIRST, Standing(2, NOW - KEPT_S + 1, True)), True, Plan(after_s=1.0)),
        ((FIRST, Standing(2, NOW - KEPT_S, True)), True, Plan(drop=frozenset({1}))),
        ((FIRST, Standing(2, NOW - KEPT_S, True)), False, Plan(after_s=0.0)),
        ((Standing(1, 0.0, True, is_void=True), Standing(2, NOW - VOID_KEPT_S, True)), True, Plan(drop=frozenset({1}))),
        ((Standing(1, 0.0, True, is_void=True), Standing(2, NOW, True)), True, Plan(after_s=VOID_KEPT_S)),
        ((Standing(1, 0.0, False, is_void=True), Standing(2, NOW, True)), True, Plan()),
        ((FIRST, Standing(2, NOW - KEPT_S, True), Standing(3, NOW, True)), True, Plan(drop=frozenset({1}), after_s=KEPT_S)),
    ],
)
def test_a_generation_goes_once_nothing_that_it_signed_or_sealed_is_good(
    generations: tuple[Standing, ...], is_sealed_anew: bool, expected: Plan
) -> None:
    assert plan(Snapshot(generations, is_sealed_anew, NOW)) == expected


@st.composite
def rows_of_generations(draw: st.DrawFn) -> tuple[Standing, ...]:
    times = sorted(draw(st.lists(st.floats(0, 2e9), min_size=1, max_size=6)))
    made = [Standing(number, at, draw(st.booleans()), draw(st.booleans())) for number, at in enumerate(times, 1)]
    return (*made[:-1], Standing(len(made), times[-1], True))


@given(rows_of_generations(), st.booleans(), st.floats(0, 3e9))
def test_the_current_one_never_goes_and_no_other_before_its_time(
    generations: tuple[Standing, ...], is_sealed_anew: bool, now: float
) -> None:
    found = plan(Snapshot(generations, is_sealed_anew, now))
    assert generations[-1].number not in found.drop
    assert is_sealed_anew or not found.drop
    for one in generations:
        at = goes_at(generations, one.number)
        if one.number in found.drop:
            assert at is not None
            assert at <= now
            assert one.has_secret
    assert found.after_s is None or found.after_s >= 0
    if not needs_sealing(generations):
        assert found == Plan()


@given(rows_of_generations(), st.floats(0, 3e9))
def test_waiting_as_long_as_is_said_leads_to_the_end(generations: tuple[Standing, ...], now: float) -> None:
    for _ in range(10):
        found = plan(Snapshot(generations, True, now))
        generations = tuple(Standing(o.number, o.made_at, o.has_secret and o.number not in found.drop, o.is_void) for o in generations)
        if found.after_s is None:
            break
        now = max(now + found.after_s, min(at for o in generations if (at := goes_at(generations, o.number)) is not None))
    assert sum(one.has_secret for one in generations) == 1
