"""When all of a target group's targets get requests, the unhealthy ones as well: where too few of them are healthy. Pure.

One healthy target is enough unless the group asks for more, as a number or as a share of those that are registered. A worker
that hands over to the next one counts none of its servers as usable, and so has nothing to decide by.
"""

from __future__ import annotations

from longshore.balancer.snapshot import Front
from longshore.balancer.words import OPEN, backend_name


def counting_lines(front: Front) -> list[str]:
    """What must be worked out before `too_few` can be asked: a hundred times as many healthy targets as there have to be."""
    verb = "http-request" if front.is_http else "tcp-request content"
    return [
        f"{verb} set-var({_needed(name)}) nbsrv({name}{OPEN}),mul({percentage})"
        for name, (_, percentage) in _asking(front).items()
        if percentage
    ]


def too_few(front: Front, name: str) -> list[str]:
    """Conditions each of which sends requests to backend `name` to all its targets."""
    count, percentage = _asking(front).get(name, (1, 0))
    found = [f"{{ nbsrv({name}) lt {count} }}"]
    if percentage:
        found.append(f"{{ nbsrv({name}),mul(100),sub({_needed(name)}) lt 0 }}")
    return [f"{one} {{ nbsrv({name}{OPEN}) gt 0 }} !{{ stopping }}" for one in found]


def open_lines(front: Front, to: str) -> list[str]:
    """Ways for those groups alone that ask for more than one; `to` is the expression that chooses a backend."""
    ways = [
        f"use_backend {name}{OPEN} if {{ {to} -m str {name} }} {condition}" for name in _asking(front) for condition in too_few(front, name)
    ]
    return [*counting_lines(front), *ways]


def _asking(front: Front) -> dict[str, tuple[int, int]]:
    if not front.fails_open:
        return {}
    return {backend_name(arn): fewest for arn, fewest in sorted(front.fewest.items())}


def _needed(name: str) -> str:
    """A variable; names of theirs have no hyphens."""
    return f"txn.needed_{name.replace('-', '_')}"
