"""How long a connection may be idle. Pure."""

from __future__ import annotations

from longshore.services.elbv2.model import LoadBalancer

IDLE_TCP_S = 350


def idle_s(lb: LoadBalancer) -> int:
    return IDLE_TCP_S if lb.type == "network" else int(lb.attributes.get("idle_timeout.timeout_seconds", "60"))
