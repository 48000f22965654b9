"""Attributes, tags, zones, subnets and security groups of Classic load balancers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elb as shapes
from longshore.services.call import Call
from longshore.services.elb import attributes, permissions, views
from longshore.services.elb.api import api
from longshore.services.elb.changes import change
from longshore.services.elb.errors import InvalidConfigurationRequest, Validation
from longshore.services.elb.lookup import NAMES_PER_DESCRIBE, find_load_balancer, load_balancer_arn
from longshore.services.elb.model import ClassicLoadBalancer, Tag
from longshore.services.elb.network import named_subnets, security_groups, subnets_of_zones, with_subnets
from longshore.services.elb.records import save
from longshore.services.elb.tagging import merged, without
from longshore.store.base import Reader, Tx

_Named = (
    shapes.ModifyLoadBalancerAttributesInput
    | shapes.ApplySecurityGroupsToLoadBalancerInput
    | shapes.AttachLoadBalancerToSubnetsInput
    | shapes.DetachLoadBalancerFromSubnetsInput
    | shapes.AddAvailabilityZonesInput
    | shapes.RemoveAvailabilityZonesInput
)


def _named(call: Call, request: _Named) -> Iterable[str]:
    return (load_balancer_arn(call, request.load_balancer_name),)


@api.operation("DescribeLoadBalancerAttributes", resource=ANY_RESOURCE)
async def describe_load_balancer_attributes(
    call: Call, request: shapes.DescribeLoadBalancerAttributesInput
) -> shapes.DescribeLoadBalancerAttributesOutput:
    lb = find_load_balancer(call.store, call, request.load_balancer_name)
    return shapes.DescribeLoadBalancerAttributesOutput(load_balancer_attributes=attributes.shown(lb.attributes))


@api.operation("ModifyLoadBalancerAttributes", resource=_named)
async def modify_load_balancer_attributes(
    call: Call, request: shapes.ModifyLoadBalancerAttributesInput
) -> shapes.ModifyLoadBalancerAttributesOutput:
    asked = request.load_balancer_attributes
    lb = await change(call, request.load_balancer_name, lambda reader, lb: replace(lb, attributes=attributes.changed(lb.attributes, asked)))
    return shapes.ModifyLoadBalancerAttributesOutput(load_balancer_name=lb.name, load_balancer_attributes=attributes.shown(lb.attributes))


# ── where it is ─────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("ApplySecurityGroupsToLoadBalancer", resource=_named, conditions=permissions.security_groups)
async def apply_security_groups_to_load_balancer(
    call: Call, request: shapes.ApplySecurityGroupsToLoadBalancerInput
) -> shapes.ApplySecurityGroupsToLoadBalancerOutput:
    if not request.security_groups:
        raise InvalidConfigurationRequest("At least one security group must be specified")

    def apply(reader: Reader, lb: ClassicLoadBalancer) -> ClassicLoadBalancer:
        return replace(lb, security_groups=security_groups(reader, call, request.security_groups, lb.vpc_id))

    lb = await change(call, request.load_balancer_name, apply)
    return shapes.ApplySecurityGroupsToLoadBalancerOutput(security_groups=lb.security_groups)


@api.operation("AttachLoadBalancerToSubnets", resource=_named, conditions=permissions.subnets)
async def attach_load_balancer_to_subnets(
    call: Call, request: shapes.AttachLoadBalancerToSubnetsInput
) -> shapes.AttachLoadBalancerToSubnetsOutput:
    def attach(reader: Reader, lb: ClassicLoadBalancer) -> ClassicLoadBalancer:
        return replace(lb, zones=with_subnets(lb.zones, lb.vpc_id, named_subnets(reader, call, request.subnets)))

    lb = await change(call, request.load_balancer_name, attach)
    return shapes.AttachLoadBalancerToSubnetsOutput(subnets=tuple(subnet for _, subnet in lb.zones))


@api.operation("DetachLoadBalancerFromSubnets", resource=_named)
async def detach_load_balancer_from_subnets(
    call: Call, request: shapes.DetachLoadBalancerFromSubnetsInput
) -> shapes.DetachLoadBalancerFromSubnetsOutput:
    def detach(reader: Reader, lb: ClassicLoadBalancer) -> ClassicLoadBalancer:
        gone = set(request.subnets)
        unknown = gone - {subnet for _, subnet in lb.zones}
        if unknown:
            raise InvalidConfigurationRequest(f"The load balancer is not attached to the subnet {min(unknown)[:255]}")
        return _leaving(lb, lambda pair: pair[1] in gone)

    lb = await change(call, request.load_balancer_name, detach)
    return shapes.DetachLoadBalancerFromSubnetsOutput(subnets=tuple(subnet for _, subnet in lb.zones))


@api.operation("EnableAvailabilityZonesForLoadBalancer", resource=_named)
async def enable_availability_zones_for_load_balancer(
    call: Call, request: shapes.AddAvailabilityZonesInput
) -> shapes.AddAvailabilityZonesOutput:
    def enable(reader: Reader, lb: ClassicLoadBalancer) -> ClassicLoadBalancer:
        known = {zone for zone, _ in lb.zones}
        new = [zone for zone in request.availability_zones if zone not in known]
        return replace(lb, zones=with_subnets(lb.zones, lb.vpc_id, subnets_of_zones(reader, call, new, lb.vpc_id)))

    lb = await change(call, request.load_balancer_name, enable)
    return shapes.AddAvailabilityZonesOutput(availability_zones=tuple(zone for zone, _ in lb.zones))


@api.operation("DisableAvailabilityZonesForLoadBalancer", resource=_named)
async def disable_availability_zones_for_load_balancer(
    call: Call, request: shapes.RemoveAvailabilityZonesInput
) -> shapes.RemoveAvailabilityZonesOutput:
    def disable(reader: Reader, lb: ClassicLoadBalancer) -> ClassicLoadBalancer:
        gone = set(request.availability_zones)
        unknown = gone - {zone for zone, _ in lb.zones}
        if unknown:
            raise InvalidConfigurationRequest(f"The load balancer is not enabled for the Availability Zone {min(unknown)[:255]}")
        return _leaving(lb, lambda pair: pair[0] in gone)

    lb = await change(call, request.load_balancer_name, disable)
    return shapes.RemoveAvailabilityZonesOutput(availability_zones=tuple(zone for zone, _ in lb.zones))


def _leaving(lb: ClassicLoadBalancer, is_gone: Callable[[tuple[str, str]], bool]) -> ClassicLoadBalancer:
    left = tuple(pair for pair in lb.zones if not is_gone(pair))
    if not left:
        raise InvalidConfigurationRequest("There must be at least one Availability Zone registered with a load balancer at all times")
    return replace(lb, zones=left)


# ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _all_named(call: Call, request: shapes.AddTagsInput | shapes.RemoveTagsInput) -> Iterable[str]:
    return tuple(load_balancer_arn(call, name) for name in request.load_balancer_names)


def _keys(call: Call, request: shapes.RemoveTagsInput) -> dict[str, list[str]]:
    return {"aws:tagkeys": [tag.key or "" for tag in request.tags]}


async def _retag(call: Call, names: tuple[str, ...], how: Callable[[Iterable[Tag]], tuple[Tag, ...]]) -> None:
    if not names:
        raise Validation("At least one load balancer name must be specified")
    now = call.clock.now()

    def apply(tx: Tx) -> None:
        for name in dict.fromkeys(names):
            lb = find_load_balancer(tx, call, name)
            save(tx, replace(lb, tags=how(lb.tags)), now)

    await call.store.transact(apply)


@api.operation("AddTags", resource=_all_named, conditions=lambda call, request: permissions.asked_tags(request.tags))
async def add_tags(call: Call, request: shapes.AddTagsInput) -> shapes.AddTagsOutput:
    await _retag(call, request.load_balancer_names, lambda tags: merged(tags, request.tags))
    return shapes.AddTagsOutput()


@api.operation("RemoveTags", resource=_all_named, conditions=_keys)
async def remove_tags(call: Call, request: shapes.RemoveTagsInput) -> shapes.RemoveTagsOutput:
    await _retag(call, request.load_balancer_names, lambda tags: without(tags, (tag.key or "" for tag in request.tags)))
    return shapes.RemoveTagsOutput()


@api.operation("DescribeTags", resource=ANY_RESOURCE)
async def describe_tags(call: Call, request: shapes.DescribeTagsInput) -> shapes.DescribeTagsOutput:
    if not request.load_balancer_names:
        raise Validation("At least one load balancer name must be specified")
    if len(request.load_balancer_names) > NAMES_PER_DESCRIBE:
        raise Validation(f"Cannot have more than {NAMES_PER_DESCRIBE} load balancer names")
    found = [find_load_balancer(call.store, call, name) for name in dict.fromkeys(request.load_balancer_names)]
    return shapes.DescribeTagsOutput(tag_descriptions=tuple(views.tags(lb) for lb in found))
