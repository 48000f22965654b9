"""`longshore lb test`: what it asks, and how it tells the answer."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TypeVar

import msgspec
import pytest
from rich.console import Console

from longshore.cli.client import Credentials, Platform, Refused
from longshore.cli.lb import Condition, Group, Rule, Verdict, arn_of, headers_of
from longshore.cli.lb_tables import print_verdict
from longshore.cli.outcome import Failure

T = TypeVar("T")
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


def test_a_classic_load_balancer_has_no_rules_to_show() -> None:
    group = Group(f"{_ARN}:targetgroup/old-80/1", 1, 2, 0)
    text = shown(Verdict("l", None, True, ("forward",), (group,), status_code=503, problem="no target is healthy"))
    assert "has no rules" in text
    assert "RULE" not in text
    assert "no target is healthy" in text


class Known(Platform):
    """A platform with an Application Load Balancer `web`, and Classic ones `web` and `old`."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1", "us-west-2", Credentials("a", "b"))

    def query(
        self, service: str, version: str, operation: str, parameters: Mapping[str, object], answer: type[T], *, flat: bool = False
    ) -> T:
        match (service, version, parameters):
            case ("elasticloadbalancing", "2015-12-01", {"Names": ["web"]}):
                found: object = {"LoadBalancers": [{"LoadBalancerArn": f"{_ARN}:loadbalancer/app/web/1"}]}
            case ("elasticloadbalancing", "2012-06-01", {"LoadBalancerNames": ["web" | "old" as name]}):
                found = {"LoadBalancerDescriptions": [{"LoadBalancerName": name}]}
            case ("sts", _, _):
                found = {"Account": "111122223333"}
            case ("elasticloadbalancing", _, {"Names": ["secret"]}):
                raise Refused("not allowed", error_code="AccessDenied")
            case _:
                raise Refused(f"none in {version}", error_code="LoadBalancerNotFound")
        return msgspec.convert(found, answer)


def test_a_name_is_that_of_a_classic_load_balancer_where_no_other_has_it() -> None:
    assert arn_of(Known(), "web") == f"{_ARN}:loadbalancer/app/web/1"
    assert arn_of(Known(), "old") == "arn:aws:elasticloadbalancing:us-west-2:111122223333:loadbalancer/old"
    assert arn_of(Known(), "arn:some") == "arn:some"


@pytest.mark.parametrize(("name", "words"), [("nowhere", "none in 2015-12-01"), ("secret", "not allowed")])
def test_a_name_that_nobody_has_is_refused_as_the_first_api_does(name: str, words: str) -> None:
    with pytest.raises(Failure, match=words):
        arn_of(Known(), name)
