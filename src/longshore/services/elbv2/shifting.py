"""Traffic moved between target groups: a rule's forward rewritten inside the transaction that decided on it.

For whoever replaces one set of a service's tasks by another. A rule is named by its ARN, a listener's default rule by the
ARN that DescribeRules shows for it; the balancer follows what is written here as it follows ModifyRule.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.model import LISTENERS, RULES, Listener, Rule, target_groups_of
from longshore.services.elbv2.names import is_default_rule, listener_of_rule
from longshore.services.elbv2.registration import release
from longshore.store.base import Reader, Tx


def rule_at(reader: Reader, arn: str) -> Rule | Listener | None:
    """The rule of that ARN; the listener itself for its default rule."""
    if ":listener-rule/" not in arn:
        return None
    return reader.get(LISTENERS, listener_of_rule(arn)) if is_default_rule(arn) else reader.get(RULES, arn)


def listener_at(reader: Reader, arn: str) -> Listener | None:
    """The listener whose rule that is."""
    found = rule_at(reader, arn)
    return found if isinstance(found, Listener) or found is None else reader.get(LISTENERS, found.listener_arn)


def actions_at(reader: Reader, arn: str) -> tuple[shapes.Action, ...]:
    """What the rule does; nothing when there is none."""
    found = rule_at(reader, arn)
    if found is None:
        return ()
    return found.default_actions if isinstance(found, Listener) else found.actions


def weights_at(reader: Reader, arn: str) -> dict[str, int]:
    """Target group ARN -> weight of the rule's forward; empty for every other action and where there is no such rule."""
    weights: dict[str, int] = {}
    for action in actions_at(reader, arn):
        groups = (action.forward_config.target_groups if action.forward_config else None) or ()
        weights.update((group.target_group_arn or "", 1 if group.weight is None else group.weight) for group in groups)
        if action.target_group_arn:
            weights.setdefault(action.target_group_arn, 1)
    return weights


def forward_by_weight(tx: Tx, arn: str, weights: Mapping[str, int], now: float) -> bool:
    """Have the rule forward to exactly these groups; its stickiness stays. False when there is no such rule or it does not forward."""
    before = actions_at(tx, arn)
    if not before or before[-1].type != "forward":
        return False
    config = before[-1].forward_config
    forward = shapes.Action(
        type="forward",
        target_group_arn=next(iter(weights)) if len(weights) == 1 else None,
        order=before[-1].order,
        forward_config=shapes.ForwardActionConfig(
            target_groups=tuple(shapes.TargetGroupTuple(target_group_arn=group, weight=weight) for group, weight in weights.items()),
            target_group_stickiness_config=(config.target_group_stickiness_config if config else None)
            or shapes.TargetGroupStickinessConfig(enabled=False),
        ),
    )
    after = (*before[:-1], forward)
    if after == before:
        return True
    found = rule_at(tx, arn)
    if isinstance(found, Listener):
        tx.put(LISTENERS, replace(found, default_actions=after))
    elif found is not None:
        tx.put(RULES, replace(found, actions=after))
    release(tx, target_groups_of(before), now)
    return True
