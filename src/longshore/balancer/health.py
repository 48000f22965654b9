"""What HAProxy says of a server, in Elastic Load Balancing's words. Pure."""

from __future__ import annotations

from longshore.balancer.runtime import Seen
from longshore.services.elbv2.model import Target, TargetGroup, TargetHealth

_TIMEOUTS = frozenset({"L4TOUT", "L6TOUT", "L7TOUT"})


#: of a target that is not known to answer for its own task
NOBODY_SAYS = "Health checks failed: nobody says which task is at this address and port"
ANOTHER_TASK = "Health checks failed: another task answers at this address and port"
#: unhealthy, while what had begun before may go on
UNHEALTHY_DRAINING = "unhealthy.draining"


def health_of(seen: Seen, known: Target, now: float, drains_s: float = 0.0) -> TargetHealth:
    """The health of a target; the one known already when nothing has changed. `drains_s`: see `drain_interval_s`."""
    state, reason, description = _words(seen, known.health)
    if state == "unhealthy" and drains_s:
        was = known.health
        ends = was.since + drains_s if was.state == UNHEALTHY_DRAINING else now + drains_s if was.state == "healthy" else now
        state = UNHEALTHY_DRAINING if now < ends else state
    if known.health.state == state and known.health.reason == reason and known.health.description == description:
        return known.health
    since = known.health.since if known.health.state == state else now
    return TargetHealth(state=state, reason=reason, description=description, since=since)


def _words(seen: Seen, known: TargetHealth) -> tuple[str, str, str]:
    if seen.status.startswith("UP"):
        return "healthy", "", ""
    if seen.status.startswith("NOLB"):
        return "initial", "Elb.InitialHealthChecking", "Initial health checks in progress"
    if seen.status.startswith("DOWN"):
        return _failure(seen, known)
    if seen.status == "no check":
        return "unavailable", "Target.HealthCheckDisabled", "Health checks are disabled"
    return known.state, known.reason, known.description


def _failure(seen: Seen, known: TargetHealth) -> tuple[str, str, str]:
    if seen.status == "DOWN (agent)":
        if seen.agent_status == "L7STS":
            return "unhealthy", "Target.FailedHealthChecks", ANOTHER_TASK
        if known.state != "healthy":
            return known.state, known.reason, known.description  # nobody has answered yet
        return "unhealthy", "Target.FailedHealthChecks", NOBODY_SAYS
    if seen.check_status == "L7STS":
        return "unhealthy", "Target.ResponseCodeMismatch", f"Health checks failed with these codes: [{seen.check_code}]"
    if seen.check_status in _TIMEOUTS:
        return "unhealthy", "Target.Timeout", "Request timed out"
    if known.state in ("unhealthy", UNHEALTHY_DRAINING) and seen.check_status in ("", "INI"):
        return known.state, known.reason, known.description  # a new worker has not looked itself yet
    return "unhealthy", "Target.FailedHealthChecks", "Health checks failed"


def drain_interval_s(group: TargetGroup) -> float:
    """For how long connections to a target that has become unhealthy go on; 0 where they are cut at once, or never."""
    if group.attributes.get("target_health_state.unhealthy.connection_termination.enabled", "true") == "true":
        return 0.0
    return float(group.attributes.get("target_health_state.unhealthy.draining_interval_seconds", "0"))


def accepts(http_codes: str, code: int) -> bool:
    """Whether a matcher such as `200,202-299` takes `code`."""
    for part in http_codes.split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and int(first) <= code <= int(last or first):
            return True
    return False
