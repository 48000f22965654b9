"""A listener that looks at connections only, and not at what is said in them, as a frontend. Pure."""

from __future__ import annotations

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.render.fail_open import counting_lines, too_few
from longshore.balancer.snapshot import Front
from longshore.balancer.words import OPEN, Unrenderable, backend_name


def tcp_lines(front: Front) -> list[str]:
    groups = _weighted(front.listener.default_actions)
    if not groups:
        raise Unrenderable("a listener that forwards to nobody")
    if len(groups) == 1:
        return [*counting_lines(front), *_open_way(front, groups[0][0], ""), f"default_backend {groups[0][0]}"]
    lines = [*counting_lines(front), f"tcp-request content set-var(sess.w) rand({sum(weight for _, weight in groups)})"]
    reached = 0
    for name, weight in groups:
        reached += weight
        drawn = f"{{ var(sess.w) -m int lt {reached} }}"
        lines += [*_open_way(front, name, f"{drawn} "), f"use_backend {name} if {drawn}"]
    return lines


def _open_way(front: Front, name: str, condition: str) -> list[str]:
    """To all targets of a group too few of which are healthy, where that is what such a load balancer does."""
    if not front.fails_open:
        return []
    return [f"use_backend {name}{OPEN} if {condition}{few}" for few in too_few(front, name)]


def _weighted(actions: tuple[shapes.Action, ...]) -> list[tuple[str, int]]:
    """(backend, weight) of every group that gets anything."""
    if not actions:
        return []
    config = actions[-1].forward_config
    groups = (config.target_groups if config else None) or (shapes.TargetGroupTuple(target_group_arn=actions[-1].target_group_arn),)
    named = [(group.target_group_arn, 1 if group.weight is None else group.weight) for group in groups]
    return [(backend_name(arn), weight) for arn, weight in named if arn and (weight or len(named) == 1)]
