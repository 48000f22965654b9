"""The ports of its instance that a task holds: those it reserved, and those that its containers were seen to have bound.

A port that an agent has picked by itself is as taken as one that was asked for, and so is every port of a range.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from longshore.services.ecs.model import HostPort, NetworkBinding, Task

_RANGE = re.compile(r"(?P<first>[0-9]{1,5})-(?P<last>[0-9]{1,5})")
_LAST_PORT = 65_535


def held_ports(task: Task) -> tuple[HostPort, ...]:
    """Each once."""
    reserved = task.spec.reservation.ports
    for container in task.status.containers:
        if container.network_bindings:
            break
    else:
        return reserved
    bound = (
        HostPort(port, "udp" if binding.protocol == "udp" else "tcp")
        for container in task.status.containers
        for binding in container.network_bindings
        for port in bound_ports(binding)
    )
    return tuple(dict.fromkeys((*reserved, *bound)))


def bound_ports(binding: NetworkBinding) -> Collection[int]:
    """A range comes from its agent as text, so it is read with care: one that makes no sense binds nothing."""
    if binding.host_port:
        return (binding.host_port,)
    ends = _RANGE.fullmatch(binding.host_port_range)
    first, last = (int(ends["first"]), int(ends["last"])) if ends is not None else (1, 0)
    return range(first, last + 1) if last <= _LAST_PORT else ()
