"""The file by which a new HAProxy worker knows every server's health from its first request on. Pure.

Written from what the store knows, not from what the old worker says, so a start after a crash and a reload are the same.
A server whose first check is still out is told apart as `stopping`: it gets no traffic, one passed check brings it up, and
`fall` failed ones bring it down, which is just what Elastic Load Balancing does with a new target.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.balancer.snapshot import Pool
from longshore.balancer.words import OPEN, backend_name, server_name
from longshore.services.elbv2.model import Target

_HEAD = (
    "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change "
    "srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn "
    "srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n"
)
_STOPPED, _STARTING, _RUNNING, _STOPPING = 0, 1, 2, 3
_FORCED_MAINTENANCE = 1
_UNKNOWN, _FAILED, _PASSED = 0, 2, 3


def server_states(pools: Iterable[Pool], now: float = 0.0) -> str:
    """`now` says how far those are that start slowly."""
    lines = [_HEAD]
    for pool in pools:
        backend = backend_name(pool.group.arn)
        slow_start_s = int(pool.group.attributes.get("slow_start.duration_seconds", "0"))
        use_ssl = int(pool.group.protocol in ("HTTPS", "TLS"))
        for number, target in enumerate(pool.targets, 1):
            state, since_s = _operational_state(target), max(1, int(now - target.health.since))
            if state == _RUNNING and since_s < slow_start_s:
                state = _STARTING
            lines.append(_line(backend, number, target, state, use_ssl, since_s if state == _STARTING else 1))
            lines.append(_line(backend + OPEN, number, target, _RUNNING, use_ssl))
    return "".join(lines)


def _operational_state(target: Target) -> int:
    match target.health.state:
        case "healthy":
            return _RUNNING
        case "unhealthy" | "unhealthy.draining":
            return _STOPPED
    return _STOPPING


def _line(backend: str, number: int, target: Target, state: int, use_ssl: int, since_s: int = 1) -> str:
    # Who may be another task is withheld like who leaves, until it is introduced to the worker as a new target is.
    withheld = target.deregistered_at is not None or bool(target.identity and target.health.state != "healthy")
    result = {_RUNNING: _PASSED, _STARTING: _PASSED, _STOPPED: _FAILED, _STOPPING: _UNKNOWN}[state]
    return (
        f"1 {backend} {number} {server_name(target)} {target.address} {_STOPPED if withheld else state} "
        f"{_FORCED_MAINTENANCE if withheld else 0} 1 1 {since_s} 1 {result} {int(state in (_RUNNING, _STARTING))} 6 0 0 0 - "
        f"{target.port} - {use_ssl} 0 - - 0\n"
    )
