"""Rules of security groups: authorised and revoked, all of a request or none of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ec2 as shapes
from longshore.services.call import Call
from longshore.services.ec2 import views
from longshore.services.ec2.api import operation
from longshore.services.ec2.errors import (
    InvalidParameterValue,
    InvalidPermissionDuplicate,
    InvalidPermissionNotFound,
    InvalidSecurityGroupRuleNotFound,
    RulesPerSecurityGroupLimitExceeded,
)
from longshore.services.ec2.filters import ValuesOf, boolean, filtered
from longshore.services.ec2.lookup import check_id, find_security_group, group_named, group_of_rule, scope_of_call
from longshore.services.ec2.model import SECURITY_GROUPS, SecurityGroup, SecurityGroupRule, Tag
from longshore.services.ec2.operations.security_groups import named_group
from longshore.services.ec2.paging import page_of
from longshore.services.ec2.permissions import MOST_RULES, flat_permission, in_words, rules_from, same_traffic
from longshore.services.ec2.resources import arn_of
from longshore.services.ec2.tagging import at_creation
from longshore.store.base import Tx

Authorize = shapes.AuthorizeSecurityGroupIngressRequest | shapes.AuthorizeSecurityGroupEgressRequest
Revoke = shapes.RevokeSecurityGroupIngressRequest | shapes.RevokeSecurityGroupEgressRequest


def _egress_group(
    call: Call, request: shapes.AuthorizeSecurityGroupEgressRequest | shapes.RevokeSecurityGroupEgressRequest
) -> Iterable[str]:
    return (arn_of(call, request.group_id),)


@operation("AuthorizeSecurityGroupIngress", resource=named_group)
async def authorize_security_group_ingress(
    call: Call, request: shapes.AuthorizeSecurityGroupIngressRequest
) -> shapes.AuthorizeSecurityGroupIngressResult:
    group, added = await _authorize(call, request, request.group_name, is_egress=False)
    return shapes.AuthorizeSecurityGroupIngressResult(
        return_=True, security_group_rules=tuple(views.security_group_rule(call, group, rule) for rule in added)
    )


@operation("AuthorizeSecurityGroupEgress", resource=_egress_group)
async def authorize_security_group_egress(
    call: Call, request: shapes.AuthorizeSecurityGroupEgressRequest
) -> shapes.AuthorizeSecurityGroupEgressResult:
    group, added = await _authorize(call, request, None, is_egress=True)
    return shapes.AuthorizeSecurityGroupEgressResult(
        return_=True, security_group_rules=tuple(views.security_group_rule(call, group, rule) for rule in added)
    )


async def _authorize(
    call: Call, request: Authorize, group_name: str | None, *, is_egress: bool
) -> tuple[SecurityGroup, list[SecurityGroupRule]]:
    asked = rules_from(_permissions(request), is_egress)
    if len(asked) > MOST_RULES:
        raise RulesPerSecurityGroupLimitExceeded
    tags: tuple[Tag, ...] = at_creation(request.tag_specifications, "security-group-rule")
    added = [msgspec.structs.replace(rule, id=f"sgr-{call.ids.hex(17)}", tags=tags) for rule in asked]

    def authorize(tx: Tx) -> SecurityGroup:
        group = group_named(tx, call, request.group_id, group_name)
        rules = list(group.rules)
        for rule in added:
            if rule.referenced_group_id:
                find_security_group(tx, call, rule.referenced_group_id)
            if any(same_traffic(rule, other) for other in rules):
                raise InvalidPermissionDuplicate(f'the specified rule "{in_words(rule)}" already exists')
            rules.append(rule)
        if sum(1 for rule in rules if rule.is_egress == is_egress) > MOST_RULES:
            raise RulesPerSecurityGroupLimitExceeded
        return tx.put(SECURITY_GROUPS, msgspec.structs.replace(group, rules=tuple(rules)))

    return await call.store.transact(authorize), added


def _permissions(request: Authorize | Revoke) -> tuple[shapes.IpPermission, ...]:
    """The permissions of the request, in whichever of the two forms they are given."""
    if request.source_security_group_name is not None:
        raise InvalidParameterValue("Source groups are named in IpPermissions, by id")
    flat = flat_permission(request.ip_protocol, request.from_port, request.to_port, request.cidr_ip)
    return (*flat, *(request.ip_permissions or ()))


@operation("RevokeSecurityGroupIngress", resource=named_group)
async def revoke_security_group_ingress(
    call: Call, request: shapes.RevokeSecurityGroupIngressRequest
) -> shapes.RevokeSecurityGroupIngressResult:
    group, removed = await _revoke(call, request, request.group_name, is_egress=False)
    return shapes.RevokeSecurityGroupIngressResult(return_=True, revoked_security_group_rules=_revoked(group, removed))


@operation("RevokeSecurityGroupEgress", resource=_egress_group)
async def revoke_security_group_egress(
    call: Call, request: shapes.RevokeSecurityGroupEgressRequest
) -> shapes.RevokeSecurityGroupEgressResult:
    group, removed = await _revoke(call, request, None, is_egress=True)
    return shapes.RevokeSecurityGroupEgressResult(return_=True, revoked_security_group_rules=_revoked(group, removed))


async def _revoke(call: Call, request: Revoke, group_name: str | None, *, is_egress: bool) -> tuple[SecurityGroup, list[SecurityGroupRule]]:
    permissions = _permissions(request)
    ids = request.security_group_rule_ids or ()
    asked = rules_from(permissions, is_egress) if permissions or not ids else []

    def revoke(tx: Tx) -> tuple[SecurityGroup, list[SecurityGroupRule]]:
        group = group_named(tx, call, request.group_id, group_name)
        own = [rule for rule in group.rules if rule.is_egress == is_egress]
        removed = [_by_id(own, rule_id) for rule_id in ids]
        for rule in asked:
            found = [other for other in own if same_traffic(rule, other)]
            if not found:
                raise InvalidPermissionNotFound
            removed.extend(found)
        gone = {rule.id for rule in removed}
        rules = tuple(rule for rule in group.rules if rule.id not in gone)
        return tx.put(SECURITY_GROUPS, msgspec.structs.replace(group, rules=rules)), removed

    return await call.store.transact(revoke)


def _by_id(rules: Iterable[SecurityGroupRule], rule_id: str) -> SecurityGroupRule:
    for rule in rules:
        if rule.id == rule_id:
            return rule
    check_id(rule_id, "sgr")
    raise InvalidSecurityGroupRuleNotFound(f"The security group rule ID '{rule_id}' does not exist")


def _revoked(group: SecurityGroup, rules: Iterable[SecurityGroupRule]) -> tuple[shapes.RevokedSecurityGroupRule, ...]:
    return tuple(
        shapes.RevokedSecurityGroupRule(
            security_group_rule_id=rule.id,
            group_id=group.id,
            is_egress=rule.is_egress,
            ip_protocol=rule.ip_protocol,
            from_port=rule.from_port,
            to_port=rule.to_port,
            cidr_ipv4=rule.cidr_ipv4 or None,
            cidr_ipv6=rule.cidr_ipv6 or None,
            referenced_group_id=rule.referenced_group_id or None,
            description=rule.description or None,
        )
        for rule in rules
    )


#: a rule beside its group
Placed = tuple[SecurityGroup, SecurityGroupRule]

_FILTERS: Mapping[str, ValuesOf[Placed]] = {
    "group-id": lambda placed: (placed[0].id,),
    "security-group-rule-id": lambda placed: (placed[1].id,),
    "is-egress": lambda placed: boolean(placed[1].is_egress),
}


@operation("DescribeSecurityGroupRules", resource=ANY_RESOURCE)
async def describe_security_group_rules(
    call: Call, request: shapes.DescribeSecurityGroupRulesRequest
) -> shapes.DescribeSecurityGroupRulesResult:
    wanted = frozenset(request.security_group_rule_ids or ())
    groups = (
        [group_of_rule(call.store, call, rule_id) for rule_id in sorted(wanted)]
        if wanted
        else call.store.list(SECURITY_GROUPS, "scope", scope_of_call(call))
    )
    every = {rule.id: (group, rule) for group in groups for rule in group.rules if not wanted or rule.id in wanted}
    placed: list[Placed] = [every[rule_id] for rule_id in sorted(every)]
    found = filtered(placed, request.filters, _FILTERS, lambda entry: entry[1].tags)
    page, next_token = page_of(found, lambda entry: entry[1].id, request.next_token, request.max_results, named=bool(wanted))
    return shapes.DescribeSecurityGroupRulesResult(
        security_group_rules=tuple(views.security_group_rule(call, group, rule) for group, rule in page), next_token=next_token
    )
