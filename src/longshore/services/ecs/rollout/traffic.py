"""Which of a service's target groups gets how much of its traffic: the two sides of a blue/green service.

A load balancer with an alternate target group has two sides. A deployment's tasks stand on one of them, the next one's on
the other; the production listener rule says by weights who serves, the test listener rule who is tried out. Both are written
here and nowhere else, always for all load balancers of the service, in the transaction that decided on it.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import ecs as shapes
from longshore.services.elbv2.shifting import forward_by_weight
from longshore.store.base import Tx

LoadBalancers = tuple[shapes.LoadBalancer, ...]


def has_two_sides(load_balancers: LoadBalancers) -> bool:
    """There is traffic to shift."""
    return any(lb.advanced_configuration is not None for lb in load_balancers)


def has_test_rule(load_balancers: LoadBalancers) -> bool:
    return any(lb.advanced_configuration is not None and lb.advanced_configuration.test_listener_rule for lb in load_balancers)


def weights_for(percent: float) -> tuple[int, int]:
    """(weight of the rest, weight of those who get `percent`); in tenths of a percent only where whole ones do not do."""
    tenths = round(percent * 10)
    return (1000 - tenths, tenths) if tenths % 10 else (100 - tenths // 10, tenths // 10)


def sides_for(load_balancers: LoadBalancers, occupied: LoadBalancers, *, joins: bool) -> set[bool]:
    """On which sides (True: in the alternate target groups) a deployment could stand: where nobody stands yet, or, when it `joins`
    them, where the others stand. It stands on one side of all its load balancers, so two mean that they do not go together; none
    that it is all the same, because nobody stands in any of their groups."""
    groups = {lb.target_group_arn for lb in occupied}
    found: set[bool] = set()
    for lb in load_balancers:
        if lb.advanced_configuration is None:
            continue
        if lb.target_group_arn in groups:
            found.add(not joins)
        if lb.advanced_configuration.alternate_target_group_arn in groups:
            found.add(joins)
    return found


def shift_production(tx: Tx, own: LoadBalancers, rest: LoadBalancers, percent: float, now: float) -> str:
    """`percent` of production traffic to the target groups of `own`, what remains to those of `rest` (both as they really stand,
    `rest` empty where nobody was before). Returns what is in the way at one of them or another, "" for nothing."""
    rules = [(lb, lb.advanced_configuration.production_listener_rule) for lb in own if lb.advanced_configuration is not None]
    return _shift_all(tx, rules, rest, "production", percent, now)


def shift_test(tx: Tx, own: LoadBalancers, rest: LoadBalancers, percent: float, now: float) -> str:
    """The same for test traffic, where there is a rule for it."""
    rules = [(lb, lb.advanced_configuration.test_listener_rule) for lb in own if lb.advanced_configuration is not None]
    return _shift_all(tx, rules, rest, "test", percent, now)


def _shift_all(
    tx: Tx, rules: Iterable[tuple[shapes.LoadBalancer, str | None]], rest: LoadBalancers, what: str, percent: float, now: float
) -> str:
    """One that cannot be shifted keeps none of the others from it."""
    obstacle = ""
    remaining, part = weights_for(percent)
    for lb, rule in rules:
        if not rule:
            continue
        mine, others = lb.target_group_arn or "", _other_side(lb, rest)
        if mine == others:
            obstacle = obstacle or f"old and new tasks stand in the same target group of the {what} listener rule {rule}"
        elif not forward_by_weight(tx, rule, {others: remaining, mine: part}, now):
            obstacle = obstacle or f"the {what} listener rule {rule} forwards no traffic"
    return obstacle


def _other_side(lb: shapes.LoadBalancer, rest: LoadBalancers) -> str:
    """The group that serves the rest at the same rule; where that was not said, the other one of the pair."""
    advanced = lb.advanced_configuration or shapes.AdvancedConfiguration()
    for other in rest:
        theirs = other.advanced_configuration
        if theirs is not None and theirs.production_listener_rule == advanced.production_listener_rule and other.target_group_arn:
            return other.target_group_arn
    return advanced.alternate_target_group_arn or ""
