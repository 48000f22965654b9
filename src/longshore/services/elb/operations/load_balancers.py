"""Classic load balancers: created with their listeners, shown, deleted."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elb as shapes
from longshore.services.call import Call
from longshore.services.elb import views
from longshore.services.elb.api import api
from longshore.services.elb.errors import (
    DuplicateLoadBalancerName,
    InvalidScheme,
    LoadBalancerNotFound,
    TooManyLoadBalancers,
    Validation,
)
from longshore.services.elb.health_checks import default_health_check
from longshore.services.elb.listeners import asked_listener, check_certificates, with_listeners
from longshore.services.elb.lookup import (
    LIMITS,
    LOAD_BALANCERS_PER_REGION,
    check_name,
    find_load_balancer,
    load_balancer_arn,
    scope_of_call,
)
from longshore.services.elb.model import CLASSIC_LOAD_BALANCERS, ClassicLoadBalancer, Listener
from longshore.services.elb.network import (
    default_security_groups,
    ensure_network,
    named_subnets,
    security_groups,
    subnets_of_zones,
    with_subnets,
)
from longshore.services.elb.permissions import creation, tagging
from longshore.services.elb.policies import predefined
from longshore.services.elb.records import remove, save
from longshore.services.elb.tagging import merged
from longshore.services.elbv2.paging import DEFAULT_PAGE_SIZE, key_of, marker_of, page_of
from longshore.services.elbv2.slots import hosted_zone_id
from longshore.store.base import Tx


def _named(call: Call, request: shapes.CreateAccessPointInput | shapes.DeleteAccessPointInput) -> Iterable[str]:
    return (load_balancer_arn(call, request.load_balancer_name),)


@api.operation("CreateLoadBalancer", resource=_named, conditions=creation, also=tagging)
async def create_load_balancer(call: Call, request: shapes.CreateAccessPointInput) -> shapes.CreateAccessPointOutput:
    check_name(request.load_balancer_name)
    if not request.listeners:
        raise Validation("At least one listener must be specified")
    listeners = with_listeners((), [asked_listener(listener) for listener in request.listeners])
    if len(listeners) < len(request.listeners):
        raise Validation("Only one listener can be specified per load balancer port")
    if request.scheme not in (None, "internet-facing", "internal"):
        raise InvalidScheme
    number, identifier, now = call.ids.digits(10), call.ids.hex(16), call.clock.now()

    def create(tx: Tx) -> ClassicLoadBalancer:
        ensure_network(tx, call, now)
        asked = _asked(tx, call, request, listeners, (number, identifier), now)
        known = tx.get(CLASSIC_LOAD_BALANCERS, asked.arn)
        if known is not None:
            return _same(known, asked)
        check_certificates(tx, call, listeners)
        if tx.count(CLASSIC_LOAD_BALANCERS, "scope", scope_of_call(call)) >= LOAD_BALANCERS_PER_REGION:
            raise TooManyLoadBalancers
        return save(tx, asked, now)

    created = await call.store.transact(create)
    return shapes.CreateAccessPointOutput(dns_name=created.dns_name)


def _asked(
    tx: Tx, call: Call, request: shapes.CreateAccessPointInput, listeners: tuple[Listener, ...], ids: tuple[str, str], now: float
) -> ClassicLoadBalancer:
    name, scheme = request.load_balancer_name, request.scheme or "internet-facing"
    if bool(request.subnets) == bool(request.availability_zones):
        raise Validation("Either AvailabilityZones or SubnetIds must be specified, and only one of them")
    if request.subnets:
        subnets = named_subnets(tx, call, request.subnets)
    else:
        subnets = subnets_of_zones(tx, call, request.availability_zones or ())
    vpc_id = subnets[0].vpc_id
    number, identifier = ids
    return ClassicLoadBalancer(
        arn=load_balancer_arn(call, name),
        name=name,
        identifier=identifier,
        scheme=scheme,
        dns_name=call.site.load_balancer_dns_name(name if scheme == "internet-facing" else f"internal-{name}", number, call.region),
        canonical_hosted_zone_id=hosted_zone_id(call.region, "classic"),
        created_at=now,
        vpc_id=vpc_id,
        zones=with_subnets((), vpc_id, subnets),
        health_check=default_health_check(listeners[0].instance_port),
        security_groups=security_groups(tx, call, request.security_groups or (), vpc_id) or default_security_groups(tx, vpc_id),
        listeners=listeners,
        policies=tuple(predefined(name) for name in dict.fromkeys(name for listener in listeners for name in listener.policies)),
        tags=merged((), request.tags),
    )


def _same(known: ClassicLoadBalancer, asked: ClassicLoadBalancer) -> ClassicLoadBalancer:
    """Asking again for what is there already succeeds; the name with other settings does not."""
    settings = ("scheme", "zones", "security_groups", "listeners", "tags")
    if all(getattr(known, name) == getattr(asked, name) for name in settings):
        return known
    raise DuplicateLoadBalancerName(f"Load Balancer named {known.name} already exists and it is configured with different parameters.")


@api.operation("DescribeLoadBalancers", resource=ANY_RESOURCE)
async def describe_load_balancers(call: Call, request: shapes.DescribeAccessPointsInput) -> shapes.DescribeAccessPointsOutput:
    store = call.store
    if request.load_balancer_names:
        named = [find_load_balancer(store, call, name) for name in dict.fromkeys(request.load_balancer_names)]
        return shapes.DescribeAccessPointsOutput(load_balancer_descriptions=tuple(views.load_balancer(store, lb) for lb in named))
    size = request.page_size or DEFAULT_PAGE_SIZE
    found = store.list(CLASSIC_LOAD_BALANCERS, "scope", scope_of_call(call), after=key_of(request.marker), limit=size + 1)
    return shapes.DescribeAccessPointsOutput(
        load_balancer_descriptions=tuple(views.load_balancer(store, lb) for lb in found[:size]),
        next_marker=marker_of(found[size - 1].arn) if len(found) > size else None,
    )


@api.operation("DeleteLoadBalancer", resource=_named)
async def delete_load_balancer(call: Call, request: shapes.DeleteAccessPointInput) -> shapes.DeleteAccessPointOutput:
    def delete(tx: Tx) -> None:
        try:
            remove(tx, find_load_balancer(tx, call, request.load_balancer_name))
        except LoadBalancerNotFound:
            return  # what is gone already is as good as deleted

    await call.store.transact(delete)
    return shapes.DeleteAccessPointOutput()


@api.operation("DescribeAccountLimits", resource=ANY_RESOURCE)
async def describe_account_limits(call: Call, request: shapes.DescribeAccountLimitsInput) -> shapes.DescribeAccountLimitsOutput:
    page, next_marker = page_of(LIMITS, lambda limit: limit[0], request.marker, request.page_size)
    return shapes.DescribeAccountLimitsOutput(
        limits=tuple(shapes.Limit(name=name, max=str(most)) for name, most in page), next_marker=next_marker
    )
