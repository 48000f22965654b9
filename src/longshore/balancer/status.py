"""What a load balancer's state is, and what is to be said about it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from longshore.balancer.binds import Binds
from longshore.balancer.refusals import certificate_key
from longshore.balancer.render.tls import shortcomings
from longshore.balancer.snapshot import Front, Snapshot
from longshore.balancer.words import address_of
from longshore.services.elbv2.following import mark_of
from longshore.services.elbv2.model import LoadBalancerStatus


def statuses(snapshot: Snapshot, binds: Binds, refused: Mapping[str, str], network: str, now: float = 0.0) -> dict[str, LoadBalancerStatus]:
    """By ARN. `refused` says of rules, listeners and target groups why HAProxy does not take them."""
    fronts: dict[str, list[Front]] = {}
    for front in snapshot.fronts:
        fronts.setdefault(front.load_balancer.arn, []).append(front)
    groups: dict[str, list[str]] = {}
    for pool in snapshot.pools:
        if pool.group.arn in refused:
            groups.setdefault(pool.load_balancer.arn, []).append(f"target group {pool.group.name}: {refused[pool.group.arn]}")
    return {
        lb.arn: _status(fronts.get(lb.arn, []), binds, refused, groups.get(lb.arn, []), address_of(lb.slot, network), now)
        for lb in snapshot.load_balancers
    }


def followed(snapshot: Snapshot, *, is_settled: bool) -> dict[str, str]:
    """By ARN, the marks of the rules by which everybody is served; those of before until that is so."""
    fronts: dict[str, list[Front]] = {lb.arn: [] for lb in snapshot.load_balancers}
    for front in snapshot.fronts:
        fronts[front.load_balancer.arn].append(front)
    return {
        lb.arn: mark_of((front.listener, front.rules) for front in fronts[lb.arn]) if is_settled else lb.status.followed
        for lb in snapshot.load_balancers
    }


def next_end(snapshot: Snapshot, now: float) -> float | None:
    """Seconds until a certificate that is shown ends, and its load balancer's state tells of it."""
    ends = [proof.not_after - now for front in snapshot.fronts for proof in front.proofs if not proof.problem and proof.not_after > now]
    return min(ends, default=None)


def _ended(front: Front, now: float) -> list[str]:
    return [
        f"certificate {proof.arn} of port {front.listener.port} ended on {datetime.fromtimestamp(proof.not_after, UTC):%Y-%m-%d}"
        for proof in front.proofs
        if not proof.problem and proof.not_after <= now
    ]


def _status(
    fronts: list[Front], binds: Binds, refused: Mapping[str, str], problems: list[str], address: str, now: float
) -> LoadBalancerStatus:
    notes: list[str] = []
    serving = 0
    for front in fronts:
        port = front.listener.port
        problem = front.problem or refused.get(front.listener.arn)
        if problem:
            problems = [*problems, f"the listener on port {port} is not served: {problem}"]
            continue
        listens, trouble = binds.trouble(front)
        if listens:
            serving += 1
            problems = [*problems, *_ended(front, now)]
            notes += [f"port {port}: {words}" for words in shortcomings(front)]
            notes += [
                f"port {port}: certificate {proof.arn} is not shown: {refused[key]}"
                for proof in front.proofs
                if (key := certificate_key(front, proof.arn)) in refused
            ]
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
