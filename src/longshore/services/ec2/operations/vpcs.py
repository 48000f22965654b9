"""VPCs. They separate names and addresses on paper; packets between containers do not know them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ec2 as shapes
from longshore.services.call import Call
from longshore.services.ec2 import views
from longshore.services.ec2.api import operation
from longshore.services.ec2.defaults import default_security_group, dhcp_options_id
from longshore.services.ec2.errors import (
    DependencyViolation,
    InvalidParameterValue,
    InvalidVpcRange,
    MissingParameter,
    UnsupportedOperation,
    VpcLimitExceeded,
)
from longshore.services.ec2.filters import ValuesOf, boolean, filtered
from longshore.services.ec2.lookup import find_vpc, scope_of_call
from longshore.services.ec2.model import SECURITY_GROUPS, SUBNETS, VPCS, Vpc
from longshore.services.ec2.paging import page_of
from longshore.services.ec2.resources import any_of, arn_of
from longshore.services.ec2.tagging import at_creation
from longshore.services.elbv2.model import TARGET_GROUPS
from longshore.store.base import Tx

MOST_VPCS = 100
_FILTERS: Mapping[str, ValuesOf[Vpc]] = {
    "vpc-id": lambda vpc: (vpc.id,),
    "cidr": lambda vpc: (vpc.cidr_block,),
    "cidr-block-association.cidr-block": lambda vpc: (vpc.cidr_block,),
    "cidr-block-association.state": lambda vpc: ("associated",),
    "dhcp-options-id": lambda vpc: (vpc.dhcp_options_id,),
    "is-default": lambda vpc: boolean(vpc.is_default),
    "isDefault": lambda vpc: boolean(vpc.is_default),
    "owner-id": lambda vpc: (vpc.account_id,),
    "state": lambda vpc: ("available",),
}


def _named(call: Call, request: shapes.DeleteVpcRequest) -> Iterable[str]:
    return (arn_of(call, request.vpc_id),)


def ipv4_block(text: str | None, smallest_prefix: int, refused: Callable[[str], Exception]) -> IPv4Network:
    """A block of /`smallest_prefix` to /28 with its host bits cleared, as EC2 keeps it; `refused` makes the error for other sizes."""
    if text is None:
        raise MissingParameter("The request must contain the parameter cidrBlock")
    try:
        if "/" not in text:
            raise ValueError
        block = IPv4Network(text, strict=False)
    except ValueError:
        raise InvalidParameterValue(f"Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block.") from None
    if not smallest_prefix <= block.prefixlen <= 28:
        raise refused(f"The CIDR '{text}' is invalid.")
    return block


@operation("CreateVpc", resource=lambda call, request: (any_of(call, "vpc"),))
async def create_vpc(call: Call, request: shapes.CreateVpcRequest) -> shapes.CreateVpcResult:
    for asked in (request.amazon_provided_ipv6_cidr_block, request.ipv6_pool, request.ipv6_cidr_block, request.ipv6_ipam_pool_id):
        if asked:
            raise UnsupportedOperation("IPv6 is not served")
    if request.ipv4_ipam_pool_id or request.vpc_encryption_control:
        raise UnsupportedOperation("Address pools and encryption controls are not served")
    block = ipv4_block(request.cidr_block, 16, InvalidVpcRange)
    vpc = Vpc(
        id=f"vpc-{call.ids.hex(17)}",
        account_id=call.account_id,
        region=call.region,
        cidr_block=str(block),
        instance_tenancy=request.instance_tenancy or "default",
        dhcp_options_id=dhcp_options_id(call.account_id, call.region),
        created_at=call.clock.now(),
        tags=at_creation(request.tag_specifications, "vpc"),
    )
    group_id = f"sg-{call.ids.hex(17)}"

    def create(tx: Tx) -> None:
        if tx.count(VPCS, "scope", scope_of_call(call)) >= MOST_VPCS:
            raise VpcLimitExceeded
        tx.create(VPCS, vpc)
        tx.create(SECURITY_GROUPS, default_security_group(call.account_id, call.region, vpc.id, group_id))

    await call.store.transact(create)
    return shapes.CreateVpcResult(vpc=views.vpc(vpc))


@operation("DescribeVpcs", resource=ANY_RESOURCE)
async def describe_vpcs(call: Call, request: shapes.DescribeVpcsRequest) -> shapes.DescribeVpcsResult:
    if request.vpc_ids:
        vpcs = [find_vpc(call.store, call, vpc_id) for vpc_id in sorted(set(request.vpc_ids))]
    else:
        vpcs = call.store.list(VPCS, "scope", scope_of_call(call))
    found = filtered(vpcs, request.filters, _FILTERS, lambda vpc: vpc.tags)
    page, next_token = page_of(found, lambda vpc: vpc.id, request.next_token, request.max_results, named=bool(request.vpc_ids))
    return shapes.DescribeVpcsResult(vpcs=tuple(map(views.vpc, page)), next_token=next_token)


@operation("DeleteVpc", resource=_named)
async def delete_vpc(call: Call, request: shapes.DeleteVpcRequest) -> None:
    def delete(tx: Tx) -> None:
        vpc = find_vpc(tx, call, request.vpc_id)
        groups = tx.list(SECURITY_GROUPS, "vpc", vpc.id)
        target_groups = tx.list(TARGET_GROUPS, "scope", scope_of_call(call))
        if (
            tx.count(SUBNETS, "vpc", vpc.id)
            or any(group.name != "default" for group in groups)
            or any(group.vpc_id == vpc.id for group in target_groups)
        ):
            raise DependencyViolation(f"The vpc '{vpc.id}' has dependencies and cannot be deleted.")
        for group in groups:
            tx.delete(SECURITY_GROUPS, group.id)
        tx.delete(VPCS, vpc.id)

    await call.store.transact(delete)
