"""How many of a number of tasks go to each provider of a strategy: pure.

The base comes first: until the provider that has one runs that many tasks, it gets every task. What comes after the base is
shared by weight: each task goes to the provider that has the least beyond its base for its weight once it is there, and among
equals to the one named first. So ten tasks at once are split as ten tasks one after the other are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from longshore.aws.shapes import ecs as shapes


def split(strategy: Iterable[shapes.CapacityProviderStrategyItem], count: int, running: Mapping[str, int] | None = None) -> dict[str, int]:
    """Tasks for each provider that gets any, in the order of the strategy; together `count`.

    `running` says how many it has already of what the strategy is about, such as the tasks of one service. A strategy of one
    provider gives it everything, whatever its weight; of several, those without weight get their base and no more. Nothing is
    handed out where no provider may have more.
    """
    items = tuple(strategy)
    has = {item.capacity_provider: (running or {}).get(item.capacity_provider, 0) for item in items}
    given = dict.fromkeys(has, 0)
    for item in items:
        name, base = item.capacity_provider, item.base or 0
        first = max(0, min(base - has[name], count - sum(given.values())))
        given[name] += first
        has[name] += first
    weighted = [(item, (item.weight or 0) or (1 if len(items) == 1 else 0)) for item in items]
    weighted = [(item, weight) for item, weight in weighted if weight]
    for _ in range(count - sum(given.values()) if weighted else 0):
        # (beyond + 1) / weight, compared without fractions: ties must be ties
        chosen, least = weighted[0][0], (0, 0)
        for item, weight in weighted:
            beyond = has[item.capacity_provider] - (item.base or 0) + 1
            if least == (0, 0) or beyond * least[1] < least[0] * weight:
                chosen, least = item, (beyond, weight)
        given[chosen.capacity_provider] += 1
        has[chosen.capacity_provider] += 1
    return {name: number for name, number in given.items() if number}
