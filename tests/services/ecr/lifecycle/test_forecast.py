"""What the coming days will bring: laws of the forecast, and rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.services.ecr.lifecycle.evaluate import evaluate
from longshore.services.ecr.lifecycle.forecast import Push, Rate, forecast, rates_of
from longshore.services.ecr.lifecycle.policy import DAY_S, Policy
from longshore.services.ecr.lifecycle.stock import Stock
from tests.services.ecr.lifecycle.policies import NOW, image, keep, older, policy, rule, stock
from tests.services.ecr.lifecycle.strategies import policies, repositories

_rates = st.lists(
    st.builds(
        Rate, tags=st.sampled_from([(), ("a9",), ("v1.9", "latest")]), size=st.just(10), per_day=st.floats(0.1, 3), rules=st.just(())
    ),
    max_size=2,
).map(tuple)


# ── laws ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(there=repositories(plain=True), rules=policies(expire_only=True), days=st.integers(0, 30))
def test_without_pushes_what_goes_by_a_day_is_what_would_go_on_that_day(there: Stock, rules: Policy, days: int) -> None:
    found = forecast(there, rules, NOW, days)
    assert found.going.keys() == evaluate(there, rules, NOW + days * DAY_S).acts.keys()


@given(there=repositories(), rules=policies(), rates=_rates)
def test_today_is_what_a_preview_shows(there: Stock, rules: Policy, rates: tuple[Rate, ...]) -> None:
    found = forecast(there, rules, NOW, 0, rates)
    now = evaluate(there, rules, NOW)
    assert {digest: going.rule_priority for digest, going in found.going.items()} == {
        digest: rule.priority for digest in there.images if (rule := now.rule_for(digest)) is not None
    }


@given(there=repositories(), rules=policies(), rates=_rates, days=st.integers(0, 20), more=st.integers(0, 20))
def test_a_longer_forecast_begins_like_a_shorter_one(there: Stock, rules: Policy, rates: tuple[Rate, ...], days: int, more: int) -> None:
    short, long = forecast(there, rules, NOW, days, rates), forecast(there, rules, NOW, days + more, rates)
    assert long.days[: days + 1] == short.days
    assert {digest: going for digest, going in long.going.items() if going.day <= days} == short.going


@given(there=repositories(), rules=policies(), rates=_rates, days=st.integers(0, 20))
def test_every_image_of_today_goes_once_at_most_and_is_counted_then(
    there: Stock, rules: Policy, rates: tuple[Rate, ...], days: int
) -> None:
    found = forecast(there, rules, NOW, days, rates)
    assert found.going.keys() <= there.images.keys()
    assert sum(day.expiring for day in found.days) <= len(there.images)
    assert sum(day.expiring_future for day in found.days) <= sum(rate.pushed_until(days) for rate in rates)
    for day in found.days:
        first = [going for going in found.going.values() if going.day == day.day]
        assert sum(going.action == "EXPIRE" for going in first) <= day.expiring
        assert sum(going.action == "TRANSITION" for going in first) <= day.transitioning
    assert forecast(there, rules, NOW, days, rates) == found, "the same again"


@given(there=repositories(), rules=policies(expire_only=True), rates=_rates, seed=st.integers(0, 9))
def test_what_is_in_use_never_goes(there: Stock, rules: Policy, rates: tuple[Rate, ...], seed: int) -> None:
    in_use = {digest for place, digest in enumerate(sorted(there.images)) if place % 3 == seed % 3}
    assert not forecast(there, rules, NOW, 20, rates, in_use).going.keys() & in_use


def test_the_repository_that_is_looked_at_is_left_as_it_was() -> None:
    there = stock(image("a", 9), image("b", 1), tags={"a": ("x",)})
    before = (dict(there.images), dict(there.tags), list(there.names))
    forecast(there, policy(older(1, 7)), NOW, 30, (Rate(("y",), 1, 2.0, (1,)),))
    assert (there.images, there.tags, there.names) == before


# ── examples ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pushes_drive_out_what_a_count_keeps() -> None:
    there = stock(*(image(f"d{age}", age) for age in range(5)))
    found = forecast(there, policy(keep(1, 5)), NOW, 10, (Rate((), 100, 1.0, (1,)),))
    assert {digest: going.day for digest, going in found.going.items()} == {"d4": 1, "d3": 2, "d2": 3, "d1": 4, "d0": 5}
    assert [day.expiring for day in found.days] == [0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert [day.expiring_future for day in found.days] == [0] * 6 + [1] * 5
    assert [day.size for day in found.days[:3]] == [0, 1000, 1000]


def test_ages_go_by() -> None:
    there = stock(image("old", 6.5), image("new", 0.5))
    found = forecast(there, policy(older(3, 7)), NOW, 10)
    assert {digest: (going.day, going.rule_priority) for digest, going in found.going.items()} == {"old": (1, 3), "new": (7, 3)}


def test_parts_of_an_index_follow_a_day_later() -> None:
    there = stock(image("index", 9, parts=("part",)), image("part", 9))
    found = forecast(there, policy(older(1, 7)), NOW, 3)
    assert {digest: going.day for digest, going in found.going.items()} == {"index": 0, "part": 1}


def test_what_is_archived_expires_in_its_time() -> None:
    there = stock(image("old", 29))
    archived = rule(2, storageClass="archive", countType="sinceImageTransitioned", countNumber=90)
    found = forecast(there, policy(older(1, 30, action="transition"), archived), NOW, 120)
    assert found.going["old"].action == "TRANSITION"
    transitions = [day.day for day in found.days if day.transitioning]
    assert (transitions, [day.day for day in found.days if day.expiring]) == ([2], [93])


def test_pushes_are_spread_evenly_and_none_is_lost() -> None:
    rate = Rate((), 1, 10 / 30, ())
    assert [rate.pushed_until(day) for day in (0, 3, 6, 30, 90)] == [0, 1, 2, 10, 30]


@pytest.mark.parametrize(("images", "days", "step"), [(10, 90, 1), (100_000, 90, 5)])
def test_a_very_large_repository_is_looked_at_less_often(images: int, days: int, step: int) -> None:
    there = stock(*(image(f"d{place:06d}", 100.0 + place) for place in range(images)))
    found = forecast(there, policy(older(1, 7)), NOW, days)
    assert found.step == step
    assert [day.day for day in found.days] == list(range(0, days + 1, step))
    assert found.days[0].expiring == images


def test_where_very_much_is_pushed_the_forecast_ends_sooner() -> None:
    found = forecast(stock(image("a", 1)), policy(keep(1, 5)), NOW, 365, (Rate(("x",), 1, 50_000.0, (1,)),))
    assert (found.until, found.days[-1].day) == (4, 4)
    assert sum(day.expiring_future for day in found.days) == 200_000 - 5


@given(more=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["x", "y", "z"])), max_size=60))
def test_added_tags_stand_in_alphabetical_order(more: list[tuple[str, str]]) -> None:
    there = stock(image("first", 1), tags={"first": ("b", "y")})
    there.add((image(f"{digest}{place}", 1), (tag,)) for place, (digest, tag) in enumerate(more))
    assert there.names == sorted(["b", "y", *(tag for _, tag in more)])
    assert all(tag in there.tags[digest] for tag, digest in zip(there.names, there.holders, strict=True))


# ── rates ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rate_for_each_set_of_rules_that_select_what_was_pushed() -> None:
    rules = policy(keep(1, 5, tagStatus="tagged", tagPrefixList=["v"]), older(2, 7, tagStatus="untagged"), keep(3, 50))
    pushes = [Push(1.0, ("v1",), 100), Push(3.0, ("v3",), 300), Push(2.0, (), 10), Push(4.0, ("main",), 40)]
    assert rates_of(pushes, rules, 10.0) == (
        Rate(("v3",), 200, 0.2, (1, 3)),
        Rate((), 10, 0.1, (2, 3)),
        Rate(("main",), 40, 0.1, (3,)),
    )
    assert rates_of([], rules, 30.0) == ()


def test_rules_about_the_archive_select_nothing_that_is_pushed() -> None:
    rules = policy(rule(1, storageClass="archive", countType="sinceImageTransitioned", countNumber=90))
    assert rates_of([Push(0.0, (), 1)], rules, 1.0) == (Rate((), 1, 1.0, ()),)
