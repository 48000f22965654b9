"""How long a connection may be idle. Pure."""

from __future__ import annotations

from longshore.balancer.snapshot import Front, Pool
from longshore.services.elbv2.model import LoadBalancer

IDLE_TCP_S = 350
#: longer than any listener for TCP may be idle
_LONGEST_TCP_S = 6001


def idle_s(lb: LoadBalancer) -> int:
    return IDLE_TCP_S if lb.type == "network" else int(lb.attributes.get("idle_timeout.timeout_seconds", "60"))


def client_idle_s(front: Front) -> int:
    """Of a listener's own: one for TCP may say something else than all others of its load balancer."""
    own = front.listener.attributes.get("tcp.idle_timeout.seconds") if front.listener.protocol == "TCP" else None
    return int(own) if own else idle_s(front.load_balancer)


def server_timeouts(pool: Pool) -> list[str]:
    """A connection that is nothing but bytes is idle when it is idle at both ends, and its listener says how long it may be so."""
    if pool.group.protocol in ("TCP", "TLS"):
        return [f"timeout server {_LONGEST_TCP_S}s"]
    most_idle_s = idle_s(pool.load_balancer)
    return [f"timeout server {most_idle_s}s", f"timeout tunnel {most_idle_s}s"]
