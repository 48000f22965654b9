"""Load balancers: created in state `provisioning`, made `active` by the balancer once it listens for them."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.call import Call
from longshore.services.ec2.model import Subnet
from longshore.services.elbv2 import views
from longshore.services.elbv2.api import api
from longshore.services.elbv2.errors import (
    DuplicateLoadBalancerName,
    InvalidConfigurationRequest,
    LoadBalancerNotFound,
    OperationNotPermitted,
    TooManyLoadBalancers,
    Validation,
)
from longshore.services.elbv2.forwarding import target_groups_behind
from longshore.services.elbv2.lookup import check_arn, find_load_balancer, scope_of_call
from longshore.services.elbv2.model import LISTENERS, LOAD_BALANCERS, RULES, LoadBalancer
from longshore.services.elbv2.names import SERVICE, check_load_balancer_name, load_balancer_resource
from longshore.services.elbv2.network import chosen_security_groups, chosen_subnets, default_security_groups, ensure_network
from longshore.services.elbv2.paging import DEFAULT_PAGE_SIZE, key_of, marker_of
from longshore.services.elbv2.permissions import load_balancer_conditions, tagging
from longshore.services.elbv2.quotas import LOAD_BALANCERS_PER_REGION, NAMES_PER_DESCRIBE
from longshore.services.elbv2.registration import check_not_a_target, release
from longshore.services.elbv2.slots import free_slot, hosted_zone_id
from longshore.services.elbv2.tagging import merged
from longshore.store.base import Reader, Tx


def _new_arn(call: Call, request: shapes.CreateLoadBalancerInput) -> Iterable[str]:
    return (call.arn(SERVICE, load_balancer_resource(request.type or "application", request.name, "*")),)


def _named(
    call: Call,
    request: shapes.DeleteLoadBalancerInput | shapes.SetSubnetsInput | shapes.SetSecurityGroupsInput,
) -> Iterable[str]:
    return (request.load_balancer_arn,)


def _tagging(call: Call, request: shapes.CreateLoadBalancerInput) -> Iterable[tuple[str, str]]:
    return tagging(request.tags, _new_arn(call, request))


@api.operation("CreateLoadBalancer", resource=_new_arn, conditions=load_balancer_conditions, also=_tagging)
async def create_load_balancer(call: Call, request: shapes.CreateLoadBalancerInput) -> shapes.CreateLoadBalancerOutput:
    check_load_balancer_name(request.name)
    type = request.type or "application"
    if type == "gateway":
        raise InvalidConfigurationRequest("Load balancers of type 'gateway' are not served")
    _check_address_type(request.ip_address_type)
    subnet_ids = _subnet_ids(request.subnets, request.subnet_mappings)
    tags = merged((), request.tags)
    now = call.clock.now()
    identifier = call.ids.hex(16)
    number = call.ids.digits(10)

    def create(tx: Tx) -> LoadBalancer:
        ensure_network(tx, call, now)
        subnets = chosen_subnets(tx, call, subnet_ids, 2 if type == "application" else 1)
        vpc_id = subnets[0].vpc_id
        groups = chosen_security_groups(tx, call, request.security_groups or (), vpc_id)
        scheme = request.scheme or "internet-facing"
        asked = LoadBalancer(
            arn=call.arn(SERVICE, load_balancer_resource(type, request.name, identifier)),
            name=request.name,
            type=type,
            scheme=scheme,
            dns_name=call.site.load_balancer_dns_name(
                request.name if scheme == "internet-facing" else f"internal-{request.name}",
                number if type == "application" else identifier,
                call.region,
            ),
            canonical_hosted_zone_id=hosted_zone_id(call.region, type),
            created_at=now,
            vpc_id=vpc_id,
            zones=_zones(subnets),
            security_groups=groups or (default_security_groups(tx, vpc_id) if type == "application" else ()),
            tags=tags,
        )
        known = next(iter(tx.list(LOAD_BALANCERS, "name", f"{scope_of_call(call)}:{request.name}")), None)
        if known is not None:
            return _same(known, asked)
        _check_quota(tx, call, type)
        return tx.create(LOAD_BALANCERS, msgspec.structs.replace(asked, slot=free_slot(tx)))

    created = await call.store.transact(create)
    return shapes.CreateLoadBalancerOutput(load_balancers=(views.load_balancer(created),))


def _check_address_type(ip_address_type: str | None) -> None:
    if ip_address_type not in (None, "ipv4"):
        raise Validation("You must specify subnets with an associated IPv6 CIDR block.")


def _subnet_ids(subnets: tuple[str, ...] | None, mappings: tuple[shapes.SubnetMapping, ...] | None) -> tuple[str, ...]:
    if subnets and mappings:
        raise Validation("You must specify either subnets or subnet mappings, but not both")
    for mapping in mappings or ():
        if mapping.allocation_id or mapping.private_i_pv4_address or mapping.i_pv6_address:
            raise InvalidConfigurationRequest("Addresses of subnet mappings are not served; every load balancer has its own local one")
    return subnets or tuple(mapping.subnet_id or "" for mapping in mappings or ())


def _zones(subnets: Iterable[Subnet]) -> tuple[tuple[str, str], ...]:
    return tuple((subnet.availability_zone, subnet.id) for subnet in subnets)


def _same(known: LoadBalancer, asked: LoadBalancer) -> LoadBalancer:
    """Asking again for what is there already succeeds; the name with other settings does not."""
    settings = ("type", "scheme", "zones", "security_groups", "ip_address_type", "tags")
    if all(getattr(known, name) == getattr(asked, name) for name in settings):
        return known
    raise DuplicateLoadBalancerName(f"A load balancer with the same name '{known.name}' exists, but with different settings")


def _check_quota(reader: Reader, call: Call, type: str) -> None:
    of_type = sum(1 for lb in reader.list(LOAD_BALANCERS, "scope", scope_of_call(call)) if lb.type == type)
    if of_type >= LOAD_BALANCERS_PER_REGION:
        raise TooManyLoadBalancers


@api.operation("DescribeLoadBalancers", resource=ANY_RESOURCE)
async def describe_load_balancers(call: Call, request: shapes.DescribeLoadBalancersInput) -> shapes.DescribeLoadBalancersOutput:
    store, scope = call.store, scope_of_call(call)
    if request.load_balancer_arns and request.names:
        raise Validation("Load balancer names and load balancer ARNs cannot be specified at the same time")
    if len(request.load_balancer_arns or request.names or ()) > NAMES_PER_DESCRIBE:
        raise Validation(f"You can specify up to {NAMES_PER_DESCRIBE} load balancers in a single call")
    if request.load_balancer_arns:
        found = [find_load_balancer(store, call, arn) for arn in dict.fromkeys(request.load_balancer_arns)]
        return shapes.DescribeLoadBalancersOutput(load_balancers=tuple(views.load_balancer(lb) for lb in found))
    if request.names:
        found = [lb for name in dict.fromkeys(request.names) for lb in store.list(LOAD_BALANCERS, "name", f"{scope}:{name}")]
        if len(found) < len(set(request.names)):
            missing = ", ".join(sorted(set(request.names) - {lb.name for lb in found}))
            raise LoadBalancerNotFound(f"Load balancers '[{missing}]' not found")
        return shapes.DescribeLoadBalancersOutput(load_balancers=tuple(views.load_balancer(lb) for lb in found))
    size = request.page_size or DEFAULT_PAGE_SIZE
    found = store.list(LOAD_BALANCERS, "scope", scope, after=key_of(request.marker), limit=size + 1)
    return shapes.DescribeLoadBalancersOutput(
        load_balancers=tuple(views.load_balancer(lb) for lb in found[:size]),
        next_marker=marker_of(found[size - 1].arn) if len(found) > size else None,
    )


@api.operation("DeleteLoadBalancer", resource=_named)
async def delete_load_balancer(call: Call, request: shapes.DeleteLoadBalancerInput) -> shapes.DeleteLoadBalancerOutput:
    check_arn(request.load_balancer_arn, "loadbalancer", "load balancer")
    now = call.clock.now()

    def delete(tx: Tx) -> None:
        try:
            lb = find_load_balancer(tx, call, request.load_balancer_arn)
        except LoadBalancerNotFound:
            return  # what is gone already is as good as deleted
        if lb.attributes.get("deletion_protection.enabled") == "true":
            raise OperationNotPermitted(f"Load balancer '{lb.arn}' cannot be deleted because deletion protection is enabled")
        check_not_a_target(tx, lb.arn)
        groups = target_groups_behind(tx, lb.arn)
        for listener in tx.list(LISTENERS, "load_balancer", lb.arn):
            for rule in tx.list(RULES, "listener", listener.arn):
                tx.delete(RULES, rule.arn)
            tx.delete(LISTENERS, listener.arn)
        tx.delete(LOAD_BALANCERS, lb.arn)
        release(tx, sorted(groups), now)

    await call.store.transact(delete)
    return shapes.DeleteLoadBalancerOutput()


def _subnets(call: Call, request: shapes.SetSubnetsInput) -> dict[str, list[str]]:
    return {"elasticloadbalancing:subnet": [*(request.subnets or [each.subnet_id or "" for each in request.subnet_mappings or ()])]}


def _security_groups(call: Call, request: shapes.SetSecurityGroupsInput) -> dict[str, list[str]]:
    return {"elasticloadbalancing:securitygroup": list(request.security_groups)}


@api.operation("SetSubnets", resource=_named, conditions=_subnets)
async def set_subnets(call: Call, request: shapes.SetSubnetsInput) -> shapes.SetSubnetsOutput:
    _check_address_type(request.ip_address_type)
    subnet_ids = _subnet_ids(request.subnets, request.subnet_mappings)

    def change(tx: Tx) -> LoadBalancer:
        lb = find_load_balancer(tx, call, request.load_balancer_arn)
        subnets = chosen_subnets(tx, call, subnet_ids, 2 if lb.type == "application" else 1)
        if subnets[0].vpc_id != lb.vpc_id:
            raise InvalidConfigurationRequest(f"All subnets must belong to the same VPC: '{lb.vpc_id}'")
        return tx.put(LOAD_BALANCERS, msgspec.structs.replace(lb, zones=_zones(subnets)))

    changed = await call.store.transact(change)
    return shapes.SetSubnetsOutput(availability_zones=views.zones(changed.zones), ip_address_type=changed.ip_address_type)


@api.operation("SetSecurityGroups", resource=_named, conditions=_security_groups)
async def set_security_groups(call: Call, request: shapes.SetSecurityGroupsInput) -> shapes.SetSecurityGroupsOutput:
    def change(tx: Tx) -> LoadBalancer:
        lb = find_load_balancer(tx, call, request.load_balancer_arn)
        if lb.type == "network" and not lb.security_groups:
            raise InvalidConfigurationRequest(
                "You cannot set security groups on a network load balancer that was created without security groups"
            )
        if not request.security_groups:
            raise InvalidConfigurationRequest("At least one security group must be specified")
        groups = chosen_security_groups(tx, call, request.security_groups, lb.vpc_id)
        return tx.put(LOAD_BALANCERS, msgspec.structs.replace(lb, security_groups=groups))

    changed = await call.store.transact(change)
    return shapes.SetSecurityGroupsOutput(security_group_ids=changed.security_groups)
