"""What several balancer hosts say becomes one word, whoever speaks first and however often."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from longshore.services.elbv2.merging import is_drained, merged_health, merged_status
from longshore.services.elbv2.model import LoadBalancerStatus, TargetHealth

STATES = st.sampled_from(["healthy", "unhealthy", "initial", "unavailable", "draining", "unused", "unhealthy.draining", "new in AWS"])
HEALTH = st.builds(TargetHealth, state=STATES, reason=st.sampled_from(["", "Target.Timeout"]), since=st.floats(0, 9))
STATUS = st.builds(
    LoadBalancerStatus,
    state=st.sampled_from(["provisioning", "active", "active_impaired", "failed"]),
    reason=st.sampled_from(["", "no"]),
    address=st.just("127.0.2.1"),
)


@given(st.lists(HEALTH, min_size=1), st.randoms())
def test_health_does_not_depend_on_who_speaks_first(said: list[TargetHealth], random: object) -> None:
    shuffled = list(said)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merged_health(said) == merged_health(shuffled) == merged_health([*said, *said])


@given(st.lists(HEALTH))
def test_a_target_is_healthy_when_it_is_on_any_host(said: list[TargetHealth]) -> None:
    merged = merged_health(said)
    assert (merged is not None and merged.state == "healthy") is any(health.state == "healthy" for health in said)
    assert merged is None or merged in said


@given(STATUS, st.dictionaries(st.text("ab", min_size=1), STATUS, max_size=3))
def test_a_load_balancer_is_active_only_if_nobody_has_trouble(own: LoadBalancerStatus, others: dict[str, LoadBalancerStatus]) -> None:
    states = {own.state, *(status.state for status in others.values())}
    merged = merged_status(own, others)
    assert merged.address == own.address
    assert (merged.state == "active") is ("active" in states and states <= {"active", "provisioning"})
    assert (merged.state == "failed") is ("failed" in states and not states & {"active", "active_impaired"})


@given(st.sets(st.text("abc", max_size=1)), st.dictionaries(st.text("abc", max_size=1), st.sampled_from([1.0, 2.0])))
def test_a_target_is_drained_when_everybody_expected_says_so_of_this_deregistration(expected: set[str], said: dict[str, float]) -> None:
    assert is_drained(2.0, expected, said) is all(said.get(host) == 2.0 for host in expected)
