"""Filters: wildcards, escapes, and patterns meant to take for ever."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws.shapes import ec2 as shapes
from longshore.services.ec2.errors import InvalidParameterValue, MissingParameter
from longshore.services.ec2.filters import filtered


def lets_through(pattern: str, value: str) -> bool:
    return bool(filtered([value], [shapes.Filter(name="value", values=(pattern,))], {"value": lambda item: (item,)}))


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("web", "web", True),
        ("web", "Web", False),
        ("w*", "web", True),
        ("*b", "web", True),
        ("*", "", True),
        ("w?b", "web", True),
        ("w?b", "wb", False),
        (r"w\*b", "w*b", True),
        (r"w\*b", "web", False),
        (r"\\", "\\", True),
        ("*a*a*", "aa", True),
        ("*a*a*", "a", False),
        ("[ab]", "a", False),
    ],
)
def test_a_pattern_matches_whole_values(pattern: str, value: str, expected: bool) -> None:
    assert lets_through(pattern, value) is expected


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="ab", max_size=8))
def test_patterns_mean_what_the_same_regular_expression_means(pattern: str, value: str) -> None:
    expression = pattern.replace("*", ".*").replace("?", ".")
    assert lets_through(pattern, value) == bool(re.fullmatch(expression, value))


def test_a_pattern_of_many_stars_is_answered_at_once() -> None:
    assert not lets_through("*a" * 120 + "b", "a" * 256)


def test_a_filter_needs_a_name_and_values() -> None:
    with pytest.raises(MissingParameter):
        filtered(["x"], [shapes.Filter(values=("x",))], {})
    with pytest.raises(InvalidParameterValue):
        filtered(["x"], [shapes.Filter(name="value")], {"value": lambda item: (item,)})
