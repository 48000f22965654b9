"""The cluster query language: what expressions mean, and where those that cannot be read go wrong."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.services.ecs.cluster_query import Facts, QueryError, matches, parse

FACTS = Facts(
    agent_connected=True,
    agent_version="1.105.1",
    ec2_instance_id="i-0123456789abcdef0",
    registered_at=1_700_000_000.0,
    running_tasks_count=3,
    attributes={"ecs.instance-type": "t2.small", "ecs.availability-zone": "us-east-1a", "stack": "prod", "bare": ""},
    groups=lambda: frozenset({"service:web", "family:batch"}),
)


@pytest.mark.parametrize(
    "text",
    [
        "attribute:ecs.instance-type =~ t2.*",
        "attribute:ecs.instance-type matches (t2|t3)\\.small",
        "attribute:ecs.instance-type !~ t3.*",
        "attribute:ecs.availability-zone in [us-east-1a, us-east-1b]",
        "attribute:ecs.availability-zone not_in [us-west-1a]",
        "attribute:ecs.availability-zone !in [us-west-1a]",
        "attribute:stack == prod",
        'attribute:stack == "prod"',
        "attribute:stack equals prod",
        "attribute:stack != test",
        "attribute:unknown != test",
        "attribute:bare exists",
        "attribute:unknown !exists",
        "attribute:unknown not_exists",
        "task:group == service:web",
        "task:group != service:api",
        "task:group =~ family:.*",
        "not(task:group == service:api)",
        "!(task:group == service:api) && agentConnected == true",
        "runningTasksCount > 1 and runningTasksCount <= 3",
        "runningTasksCount less_than 10",
        "agentVersion >= 1.9.0",
        "agentVersion < 1.200.0",
        "registeredAt > 2018-06-18",
        "registeredAt < 2100-06-18T22:28:28+00:00",
        "registeredAt == 2023-11-14T22:13:20Z",
        "ec2InstanceId == i-0123456789abcdef0",
        "attribute:stack == test or attribute:stack == prod",
        "attribute:stack == prod || attribute:stack == test && agentConnected == false",
        "(attribute:stack == test or attribute:stack == prod) and not agentConnected == false",
    ],
)
def test_an_expression_that_holds(text: str) -> None:
    assert matches(parse(text), FACTS)
    assert not matches(parse(f"not ({text})"), FACTS)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "a subject is missing at position 1"),
        ("colour == red", "unknown subject 'colour' at position 1"),
        ("attribute:a", "an operator is missing at position 12"),
        ("attribute:a ==", "a value is missing at position 15"),
        ("attribute:a ~ b", "unexpected character '~' at position 13"),
        ("attribute:a is b", "unknown operator 'is' at position 13"),
        ("attribute:a in [b", "']' is expected instead of the end at position 18"),
        ("(attribute:a exists", "')' is expected instead of the end at position 20"),
        ("attribute:a exists )", "unexpected ')' at position 20"),
        ("attribute:a =~ [", "is not a regular expression"),
        ("agentConnected == yes", "agentConnected is true or false"),
        ("agentConnected > true", "agentConnected has no order"),
        ("runningTasksCount == many", "compared with a number"),
        ("registeredAt > yesterday", "compared with a date"),
        ("registeredAt in [2018-06-18, 2018-13-01]", "not '2018-13-01' at position 30"),
        ("agentVersion >= newest", "agentVersion is compared with a version such as 1.90.0, not 'newest' at position 17"),
        ("! " * 40 + "attribute:a exists", "nested more than 32 levels"),
        ("x" * 3000, "longer than 2000"),
    ],
)
def test_what_cannot_be_read_says_where(text: str, complaint: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(text)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "pattern", ["(?=a)", "(?<=a)b", "(a)\\1", "(?P<x>a)(?P=x)", "(?>a)", "a{0,1001}", "(a{0,999}){2}", "(a|aa|)" * 200, "[", "*"]
)
def test_patterns_that_look_around_refer_back_or_cost_too_much_are_refused(pattern: str) -> None:
    with pytest.raises(QueryError):
        parse(f"attribute:a =~ {pattern}")


def test_patterns_that_cost_little_each_are_refused_when_they_are_too_many() -> None:
    with pytest.raises(QueryError, match="too costly"):
        parse(" or ".join(f"attribute:a =~ .*.*[b{letter}].*" for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJK"))


#: as long as values of attributes get
LONGEST = 1024


@pytest.mark.parametrize(
    "text",
    [
        "attribute:a =~ (a+)+",
        "attribute:a =~ (a|a)*b",
        "attribute:a =~ " + "a?" * 60 + "a" * 60,
        "attribute:a =~ [ac]*a[ac]{120}b",
        "attribute:a =~ (?:a|(?:a|(?:a|aa)))*[bx]",
        " and ".join(f"attribute:a !~ .*.*.*[b{number}]" for number in range(9)),
    ],
)
def test_law_whatever_is_taken_is_asked_of_a_thousand_instances_in_little_time(text: str) -> None:
    query = parse(text)
    values = ["a" * (LONGEST - len(str(number)) - 1) + f"c{number}" for number in range(1_000)]
    begun = time.process_time()
    for value in values:
        matches(query, Facts(True, "", "", 0.0, 0, {"a": value}, lambda: frozenset()))
    # a pattern that is tried in all ways would take hours
    assert time.process_time() - begun < 5.0


@given(st.text(alphabet='attribue:sk=!~<>&|()[], "nodrx01.*+\\', max_size=60))
def test_whatever_is_sent_is_read_or_refused(text: str) -> None:
    try:
        query = parse(text)
    except QueryError:
        return
    assert matches(query, FACTS) in (True, False)


@pytest.mark.parametrize(
    "pattern", ["(t3|m5|c5)[.].*", "us-east-1[ab]", "a|b|c", "(?:x|y)-?.+", "web(-[0-9]+)?(-(blue|green))?", ".*(a|b).*"]
)
def test_ordinary_patterns_are_taken(pattern: str) -> None:
    parse(f'attribute:a =~ "{pattern}"')


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(["a", "a?", "a*", ".*", "(a|aa)", "(a|aa|)", "(?:a|b)?", "a{0,9}", "[ab]", "|", "(", ")", "?", "b"]), max_size=30
    )
)
def test_law_no_pattern_that_is_taken_is_slow(parts: list[str]) -> None:
    try:
        query = parse(f'attribute:a =~ "{"".join(parts)}"')
    except QueryError:
        return
    facts = Facts(True, "", "", 0.0, 0, {"a": "a" * (LONGEST - 1) + "c"}, lambda: frozenset())
    begun = time.process_time()
    matches(query, facts)
    assert time.process_time() - begun < 2.0
