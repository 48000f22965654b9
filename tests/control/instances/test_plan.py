"""When an instance counts as lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.control.instances.plan import Plan, Seen, plan

AFTER_S = 600.0


@pytest.mark.parametrize(
    ("sentence", "seen", "after_s", "decided"),
    [
        ("a connected one is not", Seen(True, 0.0, None, 5000.0, 0.0), AFTER_S, Plan(None)),
        ("one that is back is not any more", Seen(True, 4000.0, 1000.0, 5000.0, 0.0), AFTER_S, Plan(None)),
        ("one that has just gone is looked at again in time", Seen(False, 1000.0, None, 1100.0, 0.0), AFTER_S, Plan(None, 1600.0)),
        ("one that stays away is", Seen(False, 1000.0, None, 1600.0, 0.0), AFTER_S, Plan(1600.0)),
        ("and stays so", Seen(False, 1000.0, 1600.0, 9000.0, 0.0), AFTER_S, Plan(1600.0)),
        ("a server that has just started gives agents their time", Seen(False, 1000.0, None, 9000.0, 8990.0), AFTER_S, Plan(None, 9590.0)),
        ("never, where that is wanted", Seen(False, 0.0, None, 9e9, 0.0), 0.0, Plan(None)),
        ("not even one that was, then", Seen(False, 0.0, 1.0, 9e9, 0.0), 0.0, Plan(None)),
    ],
    ids=lambda value: value.replace(" ", "_") if isinstance(value, str) else "",
)
def test_an_instance_is_lost(sentence: str, seen: Seen, after_s: float, decided: Plan) -> None:
    assert plan(seen, after_s) == decided


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(1, 1e5))
def test_law_it_is_lost_at_the_moment_that_was_foretold(changed_at: float, now: float, since: float, after_s: float) -> None:
    first = plan(Seen(False, changed_at, None, now, since), after_s)
    if first.look_again_at is None:
        assert first.lost_at == now
    else:
        assert plan(Seen(False, changed_at, None, first.look_again_at, since), after_s) == Plan(first.look_again_at)
