"""Which of a service's tasks go when there are more than wanted: the mirror of how they were placed.

What does not serve yet goes before what does. Among the rest the placement strategies are asked in their order: `spread` takes
from where most tasks are, so that zones (or whatever is spread over) stay balanced, `binpack` from the instance that has most
left, so that the others stay full; what ties goes youngest first. A protected task is never among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from longshore.control.deployments.vocabulary import Member, Phase

#: how services are placed that do not say
DEFAULT = (("spread", "attribute:ecs.availability-zone"), ("spread", "instanceId"))
_RANK = {Phase.STARTING: 0, Phase.UNHEALTHY: 1, Phase.WARMING: 1, Phase.HEALTHY: 2}


class Alike(msgspec.Struct):
    """Tasks that the strategies cannot tell apart: on instances of one kind (or on one, where that matters), and as far as each other."""

    rank: int
    #: for each strategy, what it spreads over; "" for one that does not spread
    values: tuple[str, ...]
    instance_arn: str
    left: tuple[int, int]
    #: the youngest last
    members: list[Member]


def victims(members: Sequence[Member], strategy: tuple[tuple[str, str], ...], most: int) -> list[Member]:
    """Up to `most` of them, in the order in which they are to go."""
    chosen = strategy or DEFAULT
    counts = [Counter(value(member, number, kind, field) for member in members) for number, (kind, field) in enumerate(chosen)]
    classes = _classes([member for member in members if member.protected_until is None], chosen)
    freed: Counter[str] = Counter()
    order: list[Member] = []
    while classes and len(order) < most:
        lowest = min(one.rank for one in classes)
        pool = [one for one in classes if one.rank == lowest]
        for number, (kind, field) in enumerate(chosen):
            pool = _narrowed(pool, number, kind, field, counts[number], freed)
        best = max(pool, key=lambda one: (one.members[-1].created_at, one.members[-1].arn))
        order.append(best.members.pop())
        for number, has in enumerate(best.values):
            counts[number][has] -= 1
        freed[best.instance_arn] += 1
        if not best.members:
            classes.remove(best)
    return order


def _classes(members: list[Member], chosen: tuple[tuple[str, str], ...]) -> list[Alike]:
    packs = any(kind == "binpack" for kind, _ in chosen)
    found: dict[tuple[object, ...], Alike] = {}
    for member in sorted(members, key=lambda one: (one.created_at, one.arn)):
        values = tuple(value(member, number, kind, field) for number, (kind, field) in enumerate(chosen))
        instance_arn = member.instance_arn if packs else ""
        rank = _RANK[member.phase]
        alike = found.setdefault((rank, values, instance_arn), Alike(rank, values, instance_arn, member.left, []))
        alike.members.append(member)
    return list(found.values())


def value(member: Member, number: int, kind: str, field: str) -> str:
    """What strategy `number` spreads over, as this task has it."""
    if kind != "spread":
        return ""
    if number < len(member.spread):
        return member.spread[number]
    return member.instance_arn if field.lower() in ("instanceid", "host") else member.zone


def _narrowed(pool: list[Alike], number: int, kind: str, field: str, counts: Counter[str], freed: Counter[str]) -> list[Alike]:
    if len(pool) < 2:
        return pool
    if kind == "spread":
        most = max(counts[one.values[number]] for one in pool)
        return [one for one in pool if counts[one.values[number]] == most]
    if kind == "binpack":
        # what goes from an instance first makes it emptier still: one emptied instance is worth more than two half-full ones
        which = 0 if field.lower() == "cpu" else 1
        best = max((freed[one.instance_arn], one.left[which]) for one in pool)
        return [one for one in pool if (freed[one.instance_arn], one.left[which]) == best]
    return pool
