"""Subnets: a block of a VPC's addresses in one zone."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ec2 as shapes
from longshore.services.call import Call
from longshore.services.ec2 import views
from longshore.services.ec2.api import operation
from longshore.services.ec2.defaults import zones_of
from longshore.services.ec2.errors import (
    DependencyViolation,
    InvalidParameterValue,
    InvalidSubnetConflict,
    InvalidSubnetRange,
    SubnetLimitExceeded,
    UnsupportedOperation,
)
from longshore.services.ec2.filters import ValuesOf, boolean, filtered
from longshore.services.ec2.instances import instances_per_zone
from longshore.services.ec2.lookup import find_subnet, find_vpc, scope_of_call
from longshore.services.ec2.model import SUBNETS, Subnet
from longshore.services.ec2.operations.vpcs import ipv4_block
from longshore.services.ec2.paging import page_of
from longshore.services.ec2.regions import zone_id
from longshore.services.ec2.resources import any_of, arn_of
from longshore.services.ec2.tagging import at_creation
from longshore.services.elbv2.model import LOAD_BALANCERS
from longshore.store.base import Reader, Tx

MOST_SUBNETS_PER_VPC = 200


def _new(call: Call, request: shapes.CreateSubnetRequest) -> Iterable[str]:
    return (any_of(call, "subnet"), arn_of(call, request.vpc_id))


def _named(call: Call, request: shapes.DeleteSubnetRequest) -> Iterable[str]:
    return (arn_of(call, request.subnet_id),)


@operation("CreateSubnet", resource=_new)
async def create_subnet(call: Call, request: shapes.CreateSubnetRequest) -> shapes.CreateSubnetResult:
    if request.ipv6_cidr_block or request.ipv6_native or request.ipv6_ipam_pool_id or request.ipv4_ipam_pool_id or request.outpost_arn:
        raise UnsupportedOperation("IPv6, address pools and Outposts are not served")
    block = ipv4_block(request.cidr_block, 16, InvalidSubnetRange)
    zone = _chosen_zone(call, request.availability_zone, request.availability_zone_id)
    subnet = Subnet(
        id=f"subnet-{call.ids.hex(17)}",
        account_id=call.account_id,
        region=call.region,
        vpc_id=request.vpc_id,
        cidr_block=str(block),
        availability_zone=zone,
        availability_zone_id=zone_id(call.region, zone),
        tags=at_creation(request.tag_specifications, "subnet"),
    )

    def create(tx: Tx) -> None:
        vpc = find_vpc(tx, call, request.vpc_id)
        if not block.subnet_of(IPv4Network(vpc.cidr_block)):
            raise InvalidSubnetRange(f"The CIDR '{block}' is invalid.")
        others = tx.list(SUBNETS, "vpc", vpc.id)
        if any(block.overlaps(IPv4Network(other.cidr_block)) for other in others):
            raise InvalidSubnetConflict(f"The CIDR '{block}' conflicts with another subnet")
        if len(others) >= MOST_SUBNETS_PER_VPC:
            raise SubnetLimitExceeded
        tx.create(SUBNETS, subnet)

    await call.store.transact(create)
    return shapes.CreateSubnetResult(subnet=views.subnet(call, subnet))


def _chosen_zone(call: Call, name: str | None, id: str | None) -> str:
    zones = zones_of(call.site, call.region)
    if not zones:
        raise UnsupportedOperation(f"The region '{call.region}' has no Availability Zones here")
    if name is None and id is None:
        return zones[0]
    for zone in zones:
        if name in (None, zone) and id in (None, zone_id(call.region, zone)):
            return zone
    raise InvalidParameterValue(
        f"Value ({name or id}) for parameter availabilityZone is invalid. "
        f"Subnets can currently only be created in the following availability zones: {', '.join(zones)}."
    )


@operation("DescribeSubnets", resource=ANY_RESOURCE)
async def describe_subnets(call: Call, request: shapes.DescribeSubnetsRequest) -> shapes.DescribeSubnetsResult:
    store = call.store
    standing = instances_per_zone(store, call)

    def taken(subnet: Subnet) -> int:
        return standing[subnet.availability_zone] if subnet.is_default else 0

    filters: dict[str, ValuesOf[Subnet]] = {
        "subnet-id": lambda subnet: (subnet.id,),
        "subnet-arn": lambda subnet: (arn_of(call, subnet.id),),
        "vpc-id": lambda subnet: (subnet.vpc_id,),
        "availability-zone": lambda subnet: (subnet.availability_zone,),
        "availabilityZone": lambda subnet: (subnet.availability_zone,),
        "availability-zone-id": lambda subnet: (subnet.availability_zone_id,),
        "availabilityZoneId": lambda subnet: (subnet.availability_zone_id,),
        "available-ip-address-count": lambda subnet: (str(views.free_addresses(subnet.cidr_block, taken(subnet))),),
        "cidr-block": lambda subnet: (subnet.cidr_block,),
        "cidrBlock": lambda subnet: (subnet.cidr_block,),
        "cidr": lambda subnet: (subnet.cidr_block,),
        "default-for-az": lambda subnet: boolean(subnet.is_default),
        "defaultForAz": lambda subnet: boolean(subnet.is_default),
        "map-public-ip-on-launch": lambda subnet: boolean(subnet.is_default),
        "ipv6-native": lambda subnet: boolean(False),
        "owner-id": lambda subnet: (subnet.account_id,),
        "state": lambda subnet: ("available",),
    }
    if request.subnet_ids:
        subnets = [find_subnet(store, call, subnet_id) for subnet_id in sorted(set(request.subnet_ids))]
    else:
        subnets = store.list(SUBNETS, "scope", scope_of_call(call))
    found = filtered(subnets, request.filters, filters, lambda subnet: subnet.tags)
    page, next_token = page_of(found, lambda subnet: subnet.id, request.next_token, request.max_results, named=bool(request.subnet_ids))
    return shapes.DescribeSubnetsResult(subnets=tuple(views.subnet(call, subnet, taken(subnet)) for subnet in page), next_token=next_token)


@operation("DeleteSubnet", resource=_named)
async def delete_subnet(call: Call, request: shapes.DeleteSubnetRequest) -> None:
    def delete(tx: Tx) -> None:
        subnet = find_subnet(tx, call, request.subnet_id)
        if tx.count(LOAD_BALANCERS, "subnet", subnet.id) or _holds_instances(tx, call, subnet):
            raise DependencyViolation(f"The subnet '{subnet.id}' has dependencies and cannot be deleted.")
        tx.delete(SUBNETS, subnet.id)

    await call.store.transact(delete)


def _holds_instances(reader: Reader, call: Call, subnet: Subnet) -> bool:
    return subnet.is_default and instances_per_zone(reader, call)[subnet.availability_zone] > 0
