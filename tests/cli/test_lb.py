"""`longshore lb test`: what it asks, and how it tells the answer."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from longshore.cli.lb import Condition, Group, Rule, Verdict, headers_of
from longshore.cli.lb_tables import print_verdict
from longshore.cli.outcome import Failure

_ARN = "arn:aws:elasticloadbalancing:us-east-1:000000000000"


def shown(found: Verdict) -> str:
    out = io.StringIO()
    print_verdict(Console(file=out, width=100, highlight=False), found)
    return out.getvalue()


def test_every_rule_comes_with_why_it_is_or_is_not_the_one() -> None:
    missed = Condition("path-pattern", "false", "/api/[x]")
    rules = (
        Rule("r1", "10", "false", False, (missed,)),
        Rule("r2", "20", "true", True, (Condition("host-header", "true", "*.example"),)),
        Rule("r3", "30", "unknown", False, (Condition("http-header", "unknown", r"a\Kb is beyond what can be told here"),)),
        Rule("r4", "default", "true", False),
    )
    groups = (Group(f"{_ARN}:targetgroup/one/1", 90, 3, 2, "AWSALB for 60 s"), Group(f"{_ARN}:targetgroup/two/2", 10, 1, 1))
    text = shown(Verdict("l", rules, False, ("jwt-validation", "forward"), groups, "AWSALBTG for 9 s"))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "10 no path-pattern does not match: /api/[x]" in lines
    assert "20 this one host-header matches *.example" in lines
    assert "default too late takes what no other does" in lines
    assert "jwt-validation → forward" in lines
    assert "one: 2 of 3 targets healthy, 90 % of clients, kept by AWSALB for 60 s" in lines
    assert "HAProxy may decide otherwise" in text


def test_an_answer_of_the_load_balancers_own_says_what_and_where_to() -> None:
    text = shown(Verdict("l", (Rule("r", "default", "true", True),), True, ("redirect",), None, None, 301, "https://a.test:443/x?y=[z]"))
    assert "answers 301 itself" in text
    assert "leads to https://a.test:443/x?y=[z]" in text
    assert "healthy" not in text


def test_headers_are_split_at_their_first_colon() -> None:
    assert headers_of(["X-One: a:b", "Empty:"]) == [{"Name": "X-One", "Value": "a:b"}, {"Name": "Empty", "Value": ""}]
    for wrong in ("nothing", ":value"):
        with pytest.raises(Failure):
            headers_of([wrong])
