"""Token buckets: never more than they hold and get back, whatever is asked of them and whoever asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.gateway.buckets import Buckets, Rate, taken

RATES = st.builds(Rate, st.floats(1, 50), st.floats(0.1, 1000))
#: between one request and the next, in seconds
PAUSES = st.lists(st.one_of(st.just(0.0), st.floats(0, 0.01), st.floats(0, 10)), min_size=1, max_size=60)


@given(RATES, PAUSES, st.floats(0, 2e9))
def test_of_any_stretch_of_time_no_more_is_taken_than_burst_and_what_came_back(rate: Rate, pauses: list[float], start: float) -> None:
    now, full_at, granted = start, 0.0, []
    for pause in pauses:
        now += pause
        full_at, wait_s = taken(rate, full_at, now)
        if wait_s == 0.0:
            granted.append(now)
    for first, begun in enumerate(granted):
        for last in range(first, len(granted)):
            assert last - first + 1 <= rate.burst + rate.per_s * (granted[last] - begun) + 1e-3


@given(RATES, PAUSES)
def test_who_waits_as_long_as_was_said_is_let_in_and_who_comes_just_before_is_not(rate: Rate, pauses: list[float]) -> None:
    now = full_at = 0.0
    for pause in pauses:
        now += pause
        full_at, wait_s = taken(rate, full_at, now)
        if wait_s > 1e-3:
            assert taken(rate, full_at, now + wait_s)[1] == 0.0
            assert taken(rate, full_at, now + wait_s * 0.9)[1] > 0.0


@given(RATES)
def test_a_refusal_costs_nothing(rate: Rate) -> None:
    full_at, wait_s = 0.0, 0.0
    while wait_s == 0.0:
        full_at, wait_s = taken(rate, full_at, 0.0)
    for _ in range(20):
        assert taken(rate, full_at, 0.0) == (full_at, wait_s)


@given(RATES)
def test_a_full_bucket_gives_what_it_holds(rate: Rate) -> None:
    buckets = Buckets(10)
    given_at_once = 0
    while buckets.take("x", rate, 5.0) == 0.0:
        given_at_once += 1
    assert given_at_once == int(rate.burst + 1e-6)
    assert buckets.take("y", rate, 5.0) == 0.0


@given(st.integers(1, 50), st.lists(st.tuples(st.integers(0, 500), st.floats(0, 1)), max_size=300))
def test_whatever_keys_come_no_more_are_kept_than_was_said(most: int, calls: list[tuple[int, float]]) -> None:
    buckets, now = Buckets(most), 0.0
    for key, pause in calls:
        now += pause
        buckets.take(key, Rate(2, 1), now)
        assert len(buckets) <= most


def test_full_buckets_are_given_up_before_those_that_are_in_use() -> None:
    buckets, rate = Buckets(4), Rate(2, 1)
    assert [buckets.take("busy", rate, 0.0) for _ in range(3)][-1] == pytest.approx(1.0)
    for stranger in range(20):
        buckets.take(stranger, Rate(1000, 1000), 0.0)
    assert buckets.take("busy", rate, 0.0) > 0.0
