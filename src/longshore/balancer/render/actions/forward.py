"""Forwarding: to one target group, or divided among several by weight or by a ticket that keeps a client with its group. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.snapshot import Front
from longshore.balancer.words import backend_name, quoted


def backends_of(action: shapes.Action) -> list[tuple[str, int]]:
    """(backend, weight) of each group that gets anything."""
    if action.type != "forward":
        return []
    config = action.forward_config
    groups = (config.target_groups if config else None) or (shapes.TargetGroupTuple(target_group_arn=action.target_group_arn, weight=1),)
    return [
        (backend_name(group.target_group_arn or ""), 1 if group.weight is None else group.weight) for group in groups if group.weight != 0
    ]


def forward_lines(action: shapes.Action, when: str, secret: str) -> list[str]:
    """A forward to several groups leaves the chosen backend in `txn.tg`; to one, it stands in `txn.r` already."""
    groups = backends_of(action)
    if len(groups) < 2:
        return []
    stickiness = action.forward_config.target_group_stickiness_config if action.forward_config else None
    is_kept = stickiness is not None and bool(stickiness.enabled)
    lines: list[str] = []
    if is_kept:
        for backend, _ in groups:
            known = f"{{ req.cook(AWSALBTG) -m str {_ticket(backend, secret)} }}"
            lines.append(f"http-request set-var(txn.tg) str({backend}) {when} {known}")
    total = sum(weight for _, weight in groups)
    lines.append(f"http-request set-var(txn.w) rand({total}) {when}")
    reached = 0
    for backend, weight in groups:
        reached += weight
        lines.append(f"http-request set-var(txn.tg) str({backend}) {when} !{{ var(txn.tg) -m found }} {{ var(txn.w) -m int lt {reached} }}")
    if is_kept and stickiness is not None:
        for backend, _ in groups:
            here = f"{{ var(txn.tg) -m str {backend} }}"
            lines.append(f"http-request set-var(txn.ticket) str({_ticket(backend, secret)}) {when} {here}")
        lines.append(f"http-request set-var(txn.keep) int({int(stickiness.duration_seconds or 1)}) {when}")
    return lines


def ticket_lines() -> list[str]:
    """Hands out the cookie that keeps a client with the group it got."""
    until = "Expires=%[date,add(txn.keep),http_date]; Path=/"
    when = "if { var(txn.ticket) -m found }"
    return [
        f"http-response add-header Set-Cookie {quoted(f'AWSALBTG=%[var(txn.ticket)]; {until}')} {when}",
        f"http-response add-header Set-Cookie {quoted(f'AWSALBTGCORS=%[var(txn.ticket)]; {until}; SameSite=None; Secure')} {when}",
    ]


def all_actions(front: Front) -> list[tuple[shapes.Action, ...]]:
    return [front.listener.default_actions, *(rule.actions for rule in front.rules)]


def divides(front: Front) -> bool:
    """Whether any rule forwards to several groups."""
    return any(len(backends_of(action)) > 1 for actions in all_actions(front) for action in actions)


def keeps_together(front: Front) -> bool:
    """Whether any rule keeps clients with the group they got."""
    return any(_keeps(actions) for actions in all_actions(front))


def _keeps(actions: Iterable[shapes.Action]) -> bool:
    return any(
        action.forward_config is not None
        and action.forward_config.target_group_stickiness_config is not None
        and bool(action.forward_config.target_group_stickiness_config.enabled)
        and len(backends_of(action)) > 1
        for action in actions
    )


def _ticket(backend: str, secret: str) -> str:
    return hashlib.blake2b(backend.encode(), key=secret.encode()[:64], digest_size=16).hexdigest()
