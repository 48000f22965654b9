"""A cache that is bounded by what its values weigh."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longshore.kit.weighted import Weighted


def test_what_was_not_asked_for_longest_goes_first() -> None:
    cache = Weighted[str, int](100, lambda key, value: value)
    for key in "abcd":
        cache.put(key, 25)
    assert cache.get("a") == 25
    cache.put("e", 20)
    assert [cache.get(key) for key in "abcde"] == [25, None, 25, 25, 20]
    assert (cache.weight, len(cache)) == (95, 4)


def test_what_would_throw_everything_else_out_is_not_kept() -> None:
    cache = Weighted[str, int](100, lambda key, value: value)
    cache.put("a", 20)
    cache.put("b", 26)
    assert (cache.get("a"), cache.get("b")) == (20, None)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 40))))
def test_it_never_weighs_more_than_it_may_and_knows_what_it_weighs(puts: list[tuple[int, int]]) -> None:
    cache = Weighted[int, int](100, lambda key, value: value)
    latest: dict[int, int | None] = {}
    for key, value in puts:
        cache.put(key, value)
        latest[key] = value if value <= 25 else latest.get(key)
        assert cache.weight <= 100
        assert cache.weight == sum(cache.get(key) or 0 for key in latest)
        assert all(cache.get(key) in (None, value) for key, value in latest.items())
