"""Rules: which requests of a listener go elsewhere than its default. Lower priorities are tried first."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.call import Call
from longshore.services.elbv2 import views
from longshore.services.elbv2.actions import checked_actions
from longshore.services.elbv2.api import api
from longshore.services.elbv2.client_secrets import sealed_actions
from longshore.services.elbv2.conditions import checked_conditions
from longshore.services.elbv2.errors import (
    InvalidConfigurationRequest,
    OperationNotPermitted,
    PriorityInUse,
    TooManyRules,
    Validation,
)
from longshore.services.elbv2.forwarding import check_forwarding
from longshore.services.elbv2.lookup import find_listener, find_rule, load_balancer_of, rules_of
from longshore.services.elbv2.model import LISTENERS, RULES, Listener, Rule, target_groups_of
from longshore.services.elbv2.names import SERVICE, is_default_rule, listener_of_rule, rule_arn
from longshore.services.elbv2.paging import page_of
from longshore.services.elbv2.permissions import asked_tags, tagging
from longshore.services.elbv2.quotas import RULES_PER_LOAD_BALANCER
from longshore.services.elbv2.registration import release
from longshore.services.elbv2.tagging import merged
from longshore.services.elbv2.transforms import checked_transforms
from longshore.store.base import Reader, Tx


def _of_listener(call: Call, request: shapes.CreateRuleInput) -> Iterable[str]:
    return (request.listener_arn,)


def _named(call: Call, request: shapes.ModifyRuleInput | shapes.DeleteRuleInput) -> Iterable[str]:
    return (request.rule_arn,)


def _all_named(call: Call, request: shapes.SetRulePrioritiesInput) -> Iterable[str]:
    return [pair.rule_arn or "" for pair in request.rule_priorities]


def _asked(call: Call, request: shapes.CreateRuleInput) -> dict[str, list[str]]:
    return asked_tags("CreateRule", request.tags)


def _tagging(call: Call, request: shapes.CreateRuleInput) -> Iterable[tuple[str, str]]:
    return tagging(request.tags, (rule_arn(request.listener_arn, "*"),))


@api.operation("CreateRule", resource=_of_listener, conditions=_asked, also=_tagging)
async def create_rule(call: Call, request: shapes.CreateRuleInput) -> shapes.CreateRuleOutput:
    conditions = checked_conditions(request.conditions)
    transforms = checked_transforms(request.transforms or ())
    tags = merged((), request.tags)
    identifier = call.ids.hex(16)

    def create(tx: Tx) -> Rule:
        listener = find_listener(tx, call, request.listener_arn)
        lb = load_balancer_of(tx, listener)
        if lb.type != "application":
            raise InvalidConfigurationRequest("Rules are supported for listeners of application load balancers only")
        actions = sealed_actions(checked_actions(request.actions, lb.type, listener.protocol), (), call.secret_for_signing)
        check_forwarding(tx, call, lb, listener.protocol, actions)
        if any(rule.priority == request.priority for rule in tx.list(RULES, "listener", listener.arn)):
            raise PriorityInUse(f"Priority '{request.priority}' is currently in use")
        if _count_rules(tx, lb.arn) >= RULES_PER_LOAD_BALANCER:
            raise TooManyRules
        return tx.create(
            RULES,
            Rule(
                arn=rule_arn(listener.arn, identifier),
                listener_arn=listener.arn,
                priority=request.priority,
                conditions=conditions,
                actions=actions,
                transforms=transforms,
                tags=tags,
            ),
        )

    created = await call.store.transact(create)
    return shapes.CreateRuleOutput(rules=(views.rule(created),))


def _count_rules(reader: Reader, load_balancer_arn: str) -> int:
    return sum(reader.count(RULES, "listener", listener.arn) for listener in reader.list(LISTENERS, "load_balancer", load_balancer_arn))


@api.operation("DescribeRules", resource=ANY_RESOURCE)
async def describe_rules(call: Call, request: shapes.DescribeRulesInput) -> shapes.DescribeRulesOutput:
    if request.rule_arns and request.listener_arn:
        raise Validation("You cannot specify both rule ARNs and a listener ARN")
    if request.rule_arns:
        return shapes.DescribeRulesOutput(rules=tuple(_described(call, arn) for arn in dict.fromkeys(request.rule_arns)))
    if not request.listener_arn:
        raise Validation("You must specify either listener ARNs or rule ARNs")
    listener = find_listener(call.store, call, request.listener_arn)
    described = [*map(views.rule, rules_of(call.store, listener.arn)), views.default_rule(listener)]
    page, next_marker = page_of(described, _place, request.marker, request.page_size)
    return shapes.DescribeRulesOutput(rules=tuple(page), next_marker=next_marker)


def _place(rule: shapes.Rule) -> str:
    """Sorts by priority as a number, the default rule last."""
    return (rule.priority or "").rjust(7, "0")


def _described(call: Call, arn: str) -> shapes.Rule:
    listener = _listener_of_default(call.store, call, arn)
    return views.rule(find_rule(call.store, call, arn)) if listener is None else views.default_rule(listener)


def _listener_of_default(reader: Reader, call: Call, arn: str) -> Listener | None:
    """The listener whose default rule has this ARN, if it is one."""
    if not arn.startswith(call.arn(SERVICE, "listener-rule/")) or not is_default_rule(arn):
        return None
    return reader.get(LISTENERS, listener_of_rule(arn))


def _refuse_default(reader: Reader, call: Call, arn: str, what: str) -> None:
    if _listener_of_default(reader, call, arn) is not None:
        raise OperationNotPermitted(f"Default rule '{arn}' cannot be {what}")


@api.operation("ModifyRule", resource=_named)
async def modify_rule(call: Call, request: shapes.ModifyRuleInput) -> shapes.ModifyRuleOutput:
    if request.transforms and request.reset_transforms:
        raise Validation("You cannot specify both transforms and a reset of transforms")
    transforms = checked_transforms(request.transforms or ())
    conditions = None if request.conditions is None else checked_conditions(request.conditions)
    now = call.clock.now()

    def change(tx: Tx) -> Rule:
        _refuse_default(tx, call, request.rule_arn, "modified")
        rule = find_rule(tx, call, request.rule_arn)
        listener = find_listener(tx, call, rule.listener_arn)
        lb = load_balancer_of(tx, listener)
        actions = rule.actions
        if request.actions is not None:
            actions = checked_actions(request.actions, lb.type, listener.protocol)
            actions = sealed_actions(actions, rule.actions, call.secret_for_signing)
            check_forwarding(tx, call, lb, listener.protocol, actions)
        changed = msgspec.structs.replace(
            rule,
            conditions=rule.conditions if conditions is None else conditions,
            actions=actions,
            transforms=transforms if request.transforms or request.reset_transforms else rule.transforms,
        )
        tx.put(RULES, changed)
        release(tx, target_groups_of(rule.actions), now)
        return changed

    changed = await call.store.transact(change)
    return shapes.ModifyRuleOutput(rules=(views.rule(changed),))


@api.operation("DeleteRule", resource=_named)
async def delete_rule(call: Call, request: shapes.DeleteRuleInput) -> shapes.DeleteRuleOutput:
    now = call.clock.now()

    def delete(tx: Tx) -> None:
        _refuse_default(tx, call, request.rule_arn, "deleted")
        rule = find_rule(tx, call, request.rule_arn)
        tx.delete(RULES, rule.arn)
        release(tx, target_groups_of(rule.actions), now)

    await call.store.transact(delete)
    return shapes.DeleteRuleOutput()


@api.operation("SetRulePriorities", resource=_all_named)
async def set_rule_priorities(call: Call, request: shapes.SetRulePrioritiesInput) -> shapes.SetRulePrioritiesOutput:
    """All of them or none; priorities may be exchanged, because only the outcome has to be free of doubles."""
    wanted: dict[str, int] = {}
    for pair in request.rule_priorities:
        if pair.rule_arn is None or pair.priority is None:
            raise Validation("A rule ARN and a priority must be specified")
        if pair.rule_arn in wanted:
            raise Validation(f"Rule '{pair.rule_arn}' is specified more than once")
        wanted[pair.rule_arn] = pair.priority
    if not wanted:
        raise Validation("At least one rule priority must be specified")

    def change(tx: Tx) -> list[Rule]:
        changed = []
        for arn, priority in wanted.items():
            _refuse_default(tx, call, arn, "given a priority")
            rule = find_rule(tx, call, arn)
            changed.append(tx.put(RULES, msgspec.structs.replace(rule, priority=priority)))
        for listener_arn in {rule.listener_arn for rule in changed}:
            _check_unambiguous(tx, listener_arn)
        return changed

    changed = await call.store.transact(change)
    return shapes.SetRulePrioritiesOutput(rules=tuple(map(views.rule, changed)))


def _check_unambiguous(reader: Reader, listener_arn: str) -> None:
    seen: set[int] = set()
    for rule in rules_of(reader, listener_arn):
        if rule.priority in seen:
            raise PriorityInUse(f"Priority '{rule.priority}' is currently in use")
        seen.add(rule.priority)
