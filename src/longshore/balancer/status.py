"""What a load balancer's state is, and what is to be said about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from longshore.balancer.binds import Binds
from longshore.balancer.snapshot import Front, Snapshot
from longshore.balancer.words import address_of
from longshore.services.elbv2.model import LoadBalancerStatus


def statuses(snapshot: Snapshot, binds: Binds, refused: Mapping[str, str], network: str) -> dict[str, LoadBalancerStatus]:
    """By ARN. `refused` says of rules, listeners and target groups why HAProxy does not take them."""
    fronts: dict[str, list[Front]] = {}
    for front in snapshot.fronts:
        fronts.setdefault(front.load_balancer.arn, []).append(front)
    groups: dict[str, list[str]] = {}
    for pool in snapshot.pools:
        if pool.group.arn in refused:
            groups.setdefault(pool.load_balancer.arn, []).append(f"target group {pool.group.name}: {refused[pool.group.arn]}")
    return {
        lb.arn: _status(fronts.get(lb.arn, []), binds, refused, groups.get(lb.arn, []), address_of(lb.slot, network))
        for lb in snapshot.load_balancers
    }


def _status(fronts: list[Front], binds: Binds, refused: Mapping[str, str], problems: list[str], address: str) -> LoadBalancerStatus:
    notes: list[str] = []
    serving = 0
    for front in fronts:
        port = front.listener.port
        if front.listener.arn in refused:
            problems = [*problems, f"the listener on port {port} is not served: {refused[front.listener.arn]}"]
            continue
        listens, trouble = binds.trouble(front)
        if listens:
            serving += 1
            notes += [trouble] if trouble else []
            if front.port != port:
                notes.append(f"port {port} is served at port {front.port}, since ports below 1024 may not be listened on here")
        else:
            problems = [*problems, trouble]
        problems = [
            *problems,
            *(f"rule {rule.priority} of port {port} is not served: {refused[rule.arn]}" for rule in front.rules if rule.arn in refused),
        ]
    state = "active" if not problems else "active_impaired" if serving else "failed"
    return LoadBalancerStatus(state=state, reason="; ".join([*problems, *notes])[:1024], address=address)
