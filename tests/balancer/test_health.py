from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from longshore.balancer.health import accepts, drain_interval_s, health_of
from longshore.balancer.runtime import Seen
from longshore.services.elbv2.model import TargetHealth
from tests.balancer.cases import group, target

FAILED = ("unhealthy", "Target.FailedHealthChecks", "Health checks failed")


@pytest.mark.parametrize(
    ("status", "check", "code", "expected"),
    [
        ("UP", "L7OK", "200", ("healthy", "", "")),
        ("UP 1/2", "L7STS", "500", ("healthy", "", "")),
        ("NOLB", "INI", "", ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")),
        ("NOLB 1/2", "L4CON", "", ("initial", "Elb.InitialHealthChecking", "Initial health checks in progress")),
        ("DOWN", "L7STS", "503", ("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [503]")),
        ("DOWN 1/5", "L7STS", "404", ("unhealthy", "Target.ResponseCodeMismatch", "Health checks failed with these codes: [404]")),
        ("DOWN", "L7TOUT", "", ("unhealthy", "Target.Timeout", "Request timed out")),
        ("DOWN", "L4TOUT", "", ("unhealthy", "Target.Timeout", "Request timed out")),
        ("DOWN", "L4CON", "", FAILED),
        ("DOWN", "L7RSP", "", FAILED),
        ("no check", "", "", ("unavailable", "Target.HealthCheckDisabled", "Health checks are disabled")),
        ("MAINT", "", "", ("initial", "Elb.RegistrationInProgress", "Target registration is in progress")),
    ],
)
def test_haproxy_says_it_otherwise_than_elastic_load_balancing(status: str, check: str, code: str, expected: tuple[str, str, str]) -> None:
    fresh = replace(target(), health=TargetHealth(since=5.0))
    health = health_of(Seen("tg", "s", status, check, code, 0), fresh, 9.0)
    assert (health.state, health.reason, health.description) == expected


def test_since_when_changes_with_the_state_only() -> None:
    ill = replace(target(), health=TargetHealth("unhealthy", *FAILED[1:], since=5.0))
    same = health_of(Seen("tg", "s", "DOWN", "L4CON", "", 0), ill, 9.0)
    assert same is ill.health
    worse = health_of(Seen("tg", "s", "DOWN", "L7TOUT", "", 0), ill, 9.0)
    assert (worse.reason, worse.since) == ("Target.Timeout", 5.0)
    well = health_of(Seen("tg", "s", "UP", "L7OK", "200", 0), ill, 9.0)
    assert (well.state, well.since) == ("healthy", 9.0)


DOWN = Seen("tg", "s", "DOWN", "L4CON", "", 0)


def test_connections_to_an_unhealthy_target_go_on_for_as_long_as_they_may() -> None:
    well = replace(target(), health=TargetHealth("healthy", "", "", since=5.0))
    ill = replace(well, health=health_of(DOWN, well, 9.0, drains_s=30.0))
    assert (ill.health.state, ill.health.reason, ill.health.since) == ("unhealthy.draining", FAILED[1], 9.0)
    assert health_of(DOWN, ill, 38.0, drains_s=30.0) is ill.health
    assert health_of(replace_status(DOWN, "UP"), ill, 20.0, drains_s=30.0).state == "healthy"
    over = health_of(DOWN, ill, 39.0, drains_s=30.0)
    assert (over.state, over.since) == ("unhealthy", 39.0)
    assert health_of(DOWN, replace(well, health=over), 40.0, drains_s=30.0) is over, "it does not begin again"


def test_a_target_that_never_was_healthy_has_nothing_to_drain() -> None:
    assert health_of(DOWN, target(), 9.0, drains_s=30.0).state == "unhealthy"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, 0.0),
        ({"connection_termination.enabled": "false"}, 0.0),
        ({"connection_termination.enabled": "false", "draining_interval_seconds": "90"}, 90.0),
        ({"draining_interval_seconds": "90"}, 0.0),
    ],
)
def test_an_interval_counts_where_connections_are_not_cut_at_once(attributes: dict[str, str], expected: float) -> None:
    prefix = "target_health_state.unhealthy."
    found = group(protocol="TCP", attributes={prefix + key: value for key, value in attributes.items()})
    assert drain_interval_s(found) == expected


def replace_status(seen: Seen, status: str) -> Seen:
    return replace(seen, status=status)


def test_a_new_worker_that_has_not_looked_yet_does_not_change_the_reason() -> None:
    ill = replace(target(), health=TargetHealth("unhealthy", "Target.Timeout", "Request timed out", since=5.0))
    assert health_of(Seen("tg", "s", "DOWN", "INI", "", 0), ill, 9.0) is ill.health


@pytest.mark.parametrize(
    ("codes", "code", "expected"),
    [("200", 200, True), ("200", 201, False), ("200,202-299", 201, False), ("200,202-299", 250, True), ("200-399", 399, True)],
)
def test_a_matcher_takes_codes_and_ranges(codes: str, code: int, expected: bool) -> None:
    assert accepts(codes, code) is expected


@given(st.lists(st.tuples(st.integers(200, 499), st.integers(200, 499)), min_size=1, max_size=5), st.integers(200, 499))
def test_a_matcher_takes_what_any_of_its_ranges_holds(ranges: list[tuple[int, int]], code: int) -> None:
    text = ",".join(f"{low}-{high}" for low, high in ranges)
    assert accepts(text, code) == any(low <= code <= high for low, high in ranges)
