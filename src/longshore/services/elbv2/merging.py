"""What several balancer hosts say of one target or load balancer, as one word. Pure.

A target is as healthy as the host that sees it best, as in AWS, where a target that is healthy in any zone is healthy; it is drained
when every host says so that is there or waited for. A load balancer is active when it is everywhere, and impaired when it is somewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from longshore.services.elbv2.model import LoadBalancerStatus, TargetHealth

#: the first of these that anybody says is what is shown
_ORDER = ("healthy", "unavailable", "initial", "unhealthy", "unhealthy.draining", "draining", "unused")
_MOST_REASON = 1024


def merged_health(said: Iterable[TargetHealth]) -> TargetHealth | None:
    """None where nobody says anything. Who said the same first is believed about since when."""
    return min(said, key=lambda health: (_rank(health.state), health.since, health.reason, health.description), default=None)


def _rank(state: str) -> int:
    return _ORDER.index(state) if state in _ORDER else len(_ORDER)


def merged_status(own: LoadBalancerStatus, others: Mapping[str, LoadBalancerStatus]) -> LoadBalancerStatus:
    """`own` is the platform's own machine's, which the address is of; `others` are by the id of their host."""
    said = [own, *others.values()]
    states = {status.state for status in said}
    if len(states) == 1:
        state = own.state
    elif states & {"active", "active_impaired"}:
        state = "active" if states <= {"active", "provisioning"} else "active_impaired"
    else:
        state = "failed" if "failed" in states else "provisioning"
    reasons = [own.reason, *(f"on host {host}: {status.reason}" for host, status in sorted(others.items()) if status.reason)]
    # Rules are followed when every host follows the same ones.
    followed = own.followed if all(status.followed == own.followed for status in said) else ""
    return replace(own, state=state, reason="; ".join(reason for reason in reasons if reason)[:_MOST_REASON], followed=followed)


def is_drained(deregistered_at: float | None, expected: Iterable[str], said: Mapping[str, float | None]) -> bool:
    """`said`: host -> the deregistration that it has seen the end of. A target that came back and went again is another matter."""
    return all(host in said and said[host] == deregistered_at for host in expected)
