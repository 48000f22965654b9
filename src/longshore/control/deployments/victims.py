"""Which of a service's tasks go when there are more than wanted: the mirror of how they were placed.

What does not serve yet goes before what does. Among the rest the placement strategies are asked in their order: `spread` takes
from where most tasks are, so that zones (or whatever is spread over) stay balanced, `binpack` from the instance that has most
left, so that the others stay full; what ties goes youngest first. A protected task is never among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from longshore.control.deployments.vocabulary import Member, Phase

#: how services are placed that do not say
DEFAULT = (("spread", "attribute:ecs.availability-zone"), ("spread", "instanceId"))
_RANK = {Phase.STARTING: 0, Phase.UNHEALTHY: 1, Phase.WARMING: 1, Phase.HEALTHY: 2}


def victims(members: Iterable[Member], strategy: tuple[tuple[str, str], ...], most: int) -> list[Member]:
    """Up to `most` of them, in the order in which they are to go."""
    chosen = strategy or DEFAULT
    remaining = [member for member in members if member.protected_until is None]
    everybody = list(members) if not isinstance(members, (list, tuple)) else members
    counts = [Counter(value(member, number, kind, field) for member in everybody) for number, (kind, field) in enumerate(chosen)]
    freed: Counter[str] = Counter()
    order: list[Member] = []
    while remaining and len(order) < most:
        lowest = min(_RANK[member.phase] for member in remaining)
        pool = [member for member in remaining if _RANK[member.phase] == lowest]
        for number, (kind, field) in enumerate(chosen):
            pool = _narrowed(pool, number, kind, field, counts[number], freed)
        victim = max(pool, key=lambda member: (member.created_at, member.arn))
        for number, (kind, field) in enumerate(chosen):
            counts[number][value(victim, number, kind, field)] -= 1
        freed[victim.instance_arn] += 1
        remaining.remove(victim)
        order.append(victim)
    return order


def value(member: Member, number: int, kind: str, field: str) -> str:
    """What strategy `number` spreads over, as this task has it."""
    if kind != "spread":
        return ""
    if number < len(member.spread):
        return member.spread[number]
    return member.instance_arn if field.lower() in ("instanceid", "host") else member.zone


def _narrowed(pool: list[Member], number: int, kind: str, field: str, counts: Counter[str], freed: Counter[str]) -> list[Member]:
    if len(pool) < 2:
        return pool
    if kind == "spread":
        most = max(counts[value(member, number, kind, field)] for member in pool)
        return [member for member in pool if counts[value(member, number, kind, field)] == most]
    if kind == "binpack":
        # what goes from an instance first makes it emptier still: one emptied instance is worth more than two half-full ones
        which = 0 if field.lower() == "cpu" else 1
        best = max((freed[member.instance_arn], member.left[which]) for member in pool)
        return [member for member in pool if (freed[member.instance_arn], member.left[which]) == best]
    return pool
