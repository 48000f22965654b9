"""What AWS reserves and hands out for load balancers: capacity units and addresses. There is one machine's worth of both here.

A reservation cannot be kept, so none is made; what is asked about it is answered truthfully: there is none.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.call import Call
from longshore.services.elbv2.api import api
from longshore.services.elbv2.errors import InvalidConfigurationRequest, InvalidSubnet, Validation
from longshore.services.elbv2.lookup import find_load_balancer
from longshore.services.elbv2.model import LoadBalancer

_Named = shapes.ModifyCapacityReservationInput | shapes.ModifyIpPoolsInput | shapes.SetIpAddressTypeInput
#: decreases of a reservation that may be asked for in a day
_DECREASES = 2


def _named(call: Call, request: _Named) -> Iterable[str]:
    return (request.load_balancer_arn,)


@api.operation("DescribeCapacityReservation", resource=ANY_RESOURCE)
async def describe_capacity_reservation(
    call: Call, request: shapes.DescribeCapacityReservationInput
) -> shapes.DescribeCapacityReservationOutput:
    lb = find_load_balancer(call.store, call, request.load_balancer_arn)
    return shapes.DescribeCapacityReservationOutput(decrease_requests_remaining=_DECREASES, capacity_reservation_state=_none(lb))


def _none(lb: LoadBalancer) -> tuple[shapes.ZonalCapacityReservationState, ...]:
    state = shapes.CapacityReservationStatus(code="provisioned")
    return tuple(
        shapes.ZonalCapacityReservationState(state=state, availability_zone=zone, effective_capacity_units=0.0) for zone, _ in lb.zones
    )


@api.operation("ModifyCapacityReservation", resource=_named)
async def modify_capacity_reservation(call: Call, request: shapes.ModifyCapacityReservationInput) -> shapes.ModifyCapacityReservationOutput:
    lb = find_load_balancer(call.store, call, request.load_balancer_arn)
    minimum = request.minimum_load_balancer_capacity
    if minimum is not None and request.reset_capacity_reservation:
        raise Validation("You cannot specify both MinimumLoadBalancerCapacity and ResetCapacityReservation")
    if minimum is not None:
        raise InvalidConfigurationRequest("Capacity cannot be reserved: a load balancer has what its machine has")
    if not request.reset_capacity_reservation:
        raise Validation("You must specify either MinimumLoadBalancerCapacity or ResetCapacityReservation")
    return shapes.ModifyCapacityReservationOutput(decrease_requests_remaining=_DECREASES, capacity_reservation_state=_none(lb))


@api.operation("ModifyIpPools", resource=_named)
async def modify_ip_pools(call: Call, request: shapes.ModifyIpPoolsInput) -> shapes.ModifyIpPoolsOutput:
    lb = find_load_balancer(call.store, call, request.load_balancer_arn)
    if lb.type != "application" or lb.scheme != "internet-facing":
        raise InvalidConfigurationRequest("IPAM pools can be used with internet-facing application load balancers only")
    if request.ipam_pools is not None and request.ipam_pools.ipv4_ipam_pool_id:
        raise InvalidConfigurationRequest(f"There is no IPAM pool '{request.ipam_pools.ipv4_ipam_pool_id}'")
    return shapes.ModifyIpPoolsOutput()


@api.operation("SetIpAddressType", resource=_named)
async def set_ip_address_type(call: Call, request: shapes.SetIpAddressTypeInput) -> shapes.SetIpAddressTypeOutput:
    """Subnets have no IPv6 ranges here, as those of a VPC that asked for none."""
    lb = find_load_balancer(call.store, call, request.load_balancer_arn)
    if request.ip_address_type == "dualstack-without-public-ipv4" and (lb.type != "application" or lb.scheme != "internet-facing"):
        raise InvalidConfigurationRequest("dualstack-without-public-ipv4 is for internet-facing application load balancers only")
    if request.ip_address_type != "ipv4":
        raise InvalidSubnet("You must specify subnets with an associated IPv6 CIDR block.")
    return shapes.SetIpAddressTypeOutput(ip_address_type=lb.ip_address_type)
