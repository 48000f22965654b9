"""A listener that looks at connections only, and not at what is said in them, as a frontend. Pure."""

from __future__ import annotations

from longshore.balancer.snapshot import Front
from longshore.balancer.words import OPEN, Unrenderable, backend_name


def tcp_lines(front: Front) -> list[str]:
    actions = front.listener.default_actions
    config = actions[-1].forward_config if actions else None
    groups = [group.target_group_arn for group in (config.target_groups if config else None) or ()]
    arn = (groups[0] if groups else None) or (actions[-1].target_group_arn if actions else None)
    if arn is None:
        raise Unrenderable("a listener that forwards to nobody")
    name = backend_name(arn)
    if not front.fails_open:
        return [f"default_backend {name}"]
    return [
        f"use_backend {name}{OPEN} if {{ nbsrv({name}) eq 0 }} {{ nbsrv({name}{OPEN}) gt 0 }} !{{ stopping }}",
        f"default_backend {name}",
    ]
