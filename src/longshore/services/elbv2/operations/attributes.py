"""Attributes of load balancers and target groups."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.call import Call
from longshore.services.elbv2 import attributes as known
from longshore.services.elbv2.api import api
from longshore.services.elbv2.errors import ResourceInUse
from longshore.services.elbv2.lookup import find_load_balancer, find_target_group
from longshore.services.elbv2.model import LOAD_BALANCERS, TARGET_GROUPS, TARGETS, LoadBalancer, TargetGroup
from longshore.store.base import Tx


def _load_balancer_arn(call: Call, request: shapes.ModifyLoadBalancerAttributesInput) -> Iterable[str]:
    return (request.load_balancer_arn,)


def _target_group_arn(call: Call, request: shapes.ModifyTargetGroupAttributesInput) -> Iterable[str]:
    return (request.target_group_arn,)


@api.operation("DescribeLoadBalancerAttributes", resource=ANY_RESOURCE)
async def describe_load_balancer_attributes(
    call: Call, request: shapes.DescribeLoadBalancerAttributesInput
) -> shapes.DescribeLoadBalancerAttributesOutput:
    lb = find_load_balancer(call.store, call, request.load_balancer_arn)
    return shapes.DescribeLoadBalancerAttributesOutput(attributes=_of_load_balancer(lb))


@api.operation("ModifyLoadBalancerAttributes", resource=_load_balancer_arn)
async def modify_load_balancer_attributes(
    call: Call, request: shapes.ModifyLoadBalancerAttributesInput
) -> shapes.ModifyLoadBalancerAttributesOutput:
    asked = [(attribute.key, attribute.value) for attribute in request.attributes]

    def change(tx: Tx) -> LoadBalancer:
        lb = find_load_balancer(tx, call, request.load_balancer_arn)
        attributes = known.changed("Load balancer", known.load_balancer_attributes(lb.type), lb.attributes, asked)
        known.check_load_balancer_together(attributes)
        return tx.put(LOAD_BALANCERS, msgspec.structs.replace(lb, attributes=attributes))

    changed = await call.store.transact(change)
    return shapes.ModifyLoadBalancerAttributesOutput(attributes=_of_load_balancer(changed))


def _of_load_balancer(lb: LoadBalancer) -> tuple[shapes.LoadBalancerAttribute, ...]:
    shown = known.shown(known.load_balancer_attributes(lb.type), lb.attributes)
    return tuple(shapes.LoadBalancerAttribute(key=key, value=value) for key, value in shown)


@api.operation("DescribeTargetGroupAttributes", resource=ANY_RESOURCE)
async def describe_target_group_attributes(
    call: Call, request: shapes.DescribeTargetGroupAttributesInput
) -> shapes.DescribeTargetGroupAttributesOutput:
    group = find_target_group(call.store, call, request.target_group_arn)
    return shapes.DescribeTargetGroupAttributesOutput(attributes=_of_target_group(group))


@api.operation("ModifyTargetGroupAttributes", resource=_target_group_arn)
async def modify_target_group_attributes(
    call: Call, request: shapes.ModifyTargetGroupAttributesInput
) -> shapes.ModifyTargetGroupAttributesOutput:
    asked = [(attribute.key, attribute.value) for attribute in request.attributes]

    def change(tx: Tx) -> TargetGroup:
        group = find_target_group(tx, call, request.target_group_arn)
        possible = known.target_group_attributes(group.protocol, group.target_type)
        attributes = known.changed("Target group", possible, group.attributes, asked)
        known.check_target_group_together(attributes)
        is_changed = attributes.get(known.IDENTITY_CHECK) != group.attributes.get(known.IDENTITY_CHECK)
        if is_changed and tx.count(TARGETS, "target_group", group.arn):
            raise ResourceInUse(f"'{known.IDENTITY_CHECK}' of a target group with registered targets cannot be changed")
        return tx.put(TARGET_GROUPS, msgspec.structs.replace(group, attributes=attributes))

    changed = await call.store.transact(change)
    return shapes.ModifyTargetGroupAttributesOutput(attributes=_of_target_group(changed))


def _of_target_group(group: TargetGroup) -> tuple[shapes.TargetGroupAttribute, ...]:
    shown = known.shown(known.target_group_attributes(group.protocol, group.target_type), group.attributes)
    return tuple(shapes.TargetGroupAttribute(key=key, value=value) for key, value in shown)
