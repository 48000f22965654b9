"""Conditions: accepted in every spelling, kept in one, refused in AWS's cases."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.conditions import checked_conditions, values_of
from longshore.services.elbv2.errors import Validation


def conditions(*wire: dict[str, Any]) -> tuple[shapes.RuleCondition, ...]:
    return checked_conditions(msgspec.convert(wire, tuple[shapes.RuleCondition, ...]))


def kept(*wire: dict[str, Any]) -> list[Any]:
    built: list[Any] = msgspec.to_builtins(conditions(*wire))
    return list(built)


def test_both_spellings_of_a_path_pattern_become_the_same() -> None:
    one = kept({"Field": "path-pattern", "Values": ["/img/*"]})
    other = kept({"Field": "path-pattern", "PathPatternConfig": {"Values": ["/img/*"]}})
    assert one == other == [{"Field": "path-pattern", "Values": ("/img/*",), "PathPatternConfig": {"Values": ("/img/*",)}}]


def test_the_other_fields_are_kept_in_their_configuration() -> None:
    wire = [
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "User-Agent", "Values": ["*Chrome*"]}},
        {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["PUT"]}},
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "1"}]}},
        {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}},
    ]
    assert [values_of(condition) for condition in conditions(*wire)] == [("*Chrome*",), ("PUT",), ("v=1",), ("10.0.0.0/8",)]
    assert all("Values" not in condition for condition in kept(*wire))


@pytest.mark.parametrize(
    "wire",
    [
        {"Field": "path-pattern", "Values": []},
        {"Field": "path-pattern", "Values": ["x" * 129]},
        {"Field": "path-pattern", "Values": ["/a b"]},
        {"Field": "path-pattern", "Values": ["/a\nb"]},
        {"Field": "path-pattern", "Values": ["/ä"]},
        {"Field": "path-pattern", "Values": ["/a"], "HostHeaderConfig": {"Values": ["a.b"]}},
        {"Field": "path-pattern", "Values": ["/a"], "RegexValues": ["/b"]},
        {"Field": "host-header", "Values": ["localhost"]},
        {"Field": "host-header", "Values": ["10.0.0.1"]},
        {"Field": "host-header", "Values": ["a_b.com"]},
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Host", "Values": ["a"]}},
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X Y", "Values": ["a"]}},
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X" * 41, "Values": ["a"]}},
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X", "Values": ["a\r\nb"]}},
        {"Field": "http-header", "HttpHeaderConfig": {"Values": ["a"]}},
        {"Field": "http-header", "Values": ["a"]},
        {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}},
        {"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v"}]}},
        {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.1"]}},
        {"Field": "source-ip", "SourceIpConfig": {"Values": ["300.0.0.0/8"]}},
        {"Field": "colour", "Values": ["red"]},
        {"Values": ["/a"]},
        {"Field": "path-pattern", "RegexValues": ["(?=a)b"]},
        {"Field": "path-pattern", "RegexValues": [r"(a)\1"]},
        {"Field": "path-pattern", "RegexValues": ["a++"]},
        {"Field": "path-pattern", "RegexValues": ["(?>a)"]},
        {"Field": "path-pattern", "RegexValues": ["(a"]},
    ],
)
def test_conditions_that_aws_refuses_are_refused(wire: dict[str, Any]) -> None:
    with pytest.raises(Validation):
        conditions(wire)


def test_a_rule_needs_a_condition_and_has_one_of_some_fields() -> None:
    with pytest.raises(Validation):
        conditions()
    with pytest.raises(Validation, match="one 'path-pattern'"):
        conditions({"Field": "path-pattern", "Values": ["/a"]}, {"Field": "path-pattern", "Values": ["/b"]})


def test_a_rule_has_at_most_five_values_and_five_wildcards() -> None:
    paths = [f"/{number}" for number in range(5)]
    conditions({"Field": "path-pattern", "Values": paths})
    with pytest.raises(Validation, match="'5' condition values"):
        conditions({"Field": "path-pattern", "Values": paths}, {"Field": "host-header", "Values": ["a.b"]})
    with pytest.raises(Validation, match="'5' condition wildcards"):
        conditions({"Field": "path-pattern", "Values": ["/*a?b*c*d*e*"]})
    conditions({"Field": "query-string", "QueryStringConfig": {"Values": [{"Value": r"\*\*\*\*\*\*\*"}]}})


def test_a_regular_expression_of_the_plain_dialect_is_kept() -> None:
    (condition,) = kept({"Field": "host-header", "HostHeaderConfig": {"RegexValues": [r"^(?:a|b)+\.example\.com$"]}})
    assert condition["HostHeaderConfig"]["RegexValues"] == (r"^(?:a|b)+\.example\.com$",)


@given(
    st.sampled_from(["path-pattern", "host-header"]),
    st.lists(st.text(max_size=12), min_size=1, max_size=6),
)
def test_nothing_that_could_leave_its_line_is_ever_accepted(field: str, values: list[str]) -> None:
    try:
        (condition,) = conditions({"Field": field, "Values": values})
    except Validation:
        return
    assert all(value.isascii() and value.isprintable() and " " not in value for value in values_of(condition))
    assert conditions(*msgspec.to_builtins([condition])) == (condition,)
