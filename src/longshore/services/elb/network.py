"""What a Classic load balancer needs of the network: zones or subnets of one VPC, and security groups of it."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.services.call import Call
from longshore.services.ec2.defaults import default_group_of, default_vpc_id, ensure_default_network, zones_of
from longshore.services.ec2.model import SECURITY_GROUPS, SUBNETS, Subnet
from longshore.services.elb.errors import InvalidConfigurationRequest, InvalidSecurityGroup, SubnetNotFound, Validation
from longshore.store.base import Reader, Tx

#: (zone name, subnet id)
Zones = tuple[tuple[str, str], ...]


def ensure_network(tx: Tx, call: Call, now: float) -> None:
    """The account's default network, for whoever never spoke to EC2 before."""
    ensure_default_network(tx, call.account_id, call.region, zones_of(call.site, call.region), now)


def subnets_of_zones(reader: Reader, call: Call, names: Sequence[str], vpc_id: str | None = None) -> list[Subnet]:
    """The default subnet of each zone. Raises Validation for a zone without one."""
    vpc_id = vpc_id or default_vpc_id(call.account_id, call.region)
    here = {subnet.availability_zone: subnet for subnet in reader.list(SUBNETS, "vpc", vpc_id) if subnet.is_default}
    found: list[Subnet] = []
    for name in dict.fromkeys(names):
        if name not in zones_of(call.site, call.region):
            raise Validation(f"Invalid Availability Zone: {name[:255]}")
        if name not in here:
            raise InvalidConfigurationRequest(f"There is no default subnet in the Availability Zone {name}")
        found.append(here[name])
    return found


def named_subnets(reader: Reader, call: Call, subnet_ids: Sequence[str]) -> list[Subnet]:
    """Raises SubnetNotFound, and InvalidConfigurationRequest when they are of several VPCs."""
    found: list[Subnet] = []
    for subnet_id in dict.fromkeys(subnet_ids):
        subnet = reader.get(SUBNETS, subnet_id)
        if subnet is None or (subnet.account_id, subnet.region) != (call.account_id, call.region):
            raise SubnetNotFound(f"The subnet ID '{subnet_id[:255]}' does not exist")
        found.append(subnet)
    if len({subnet.vpc_id for subnet in found}) > 1:
        raise InvalidConfigurationRequest("All subnets must belong to the same VPC")
    return found


def with_subnets(known: Zones, vpc_id: str, subnets: Sequence[Subnet]) -> Zones:
    """`known` and these, one per zone, in order of the zones."""
    by_zone = dict(known)
    for subnet in subnets:
        if subnet.vpc_id != vpc_id:
            raise InvalidConfigurationRequest(f"Subnet {subnet.id} is not in the VPC {vpc_id} of the load balancer")
        if by_zone.setdefault(subnet.availability_zone, subnet.id) != subnet.id:
            raise InvalidConfigurationRequest(
                f"The load balancer is attached to another subnet in the Availability Zone {subnet.availability_zone} already"
            )
    return tuple(sorted(by_zone.items()))


def security_groups(reader: Reader, call: Call, group_ids: Sequence[str], vpc_id: str) -> tuple[str, ...]:
    """The ids, each once, after checking that they are groups of that VPC."""
    for group_id in group_ids:
        group = reader.get(SECURITY_GROUPS, group_id)
        if group is None or (group.account_id, group.region) != (call.account_id, call.region):
            raise InvalidSecurityGroup(f"Security group {group_id[:255]} does not exist")
        if group.vpc_id != vpc_id:
            raise InvalidConfigurationRequest(f"Security group {group_id} is not in the VPC {vpc_id}")
    return tuple(dict.fromkeys(group_ids))


def default_security_groups(reader: Reader, vpc_id: str) -> tuple[str, ...]:
    group = default_group_of(reader, vpc_id)
    return (group.id,) if group else ()


def group_name(reader: Reader, group_id: str) -> str:
    group = reader.get(SECURITY_GROUPS, group_id)
    return group.name if group is not None else ""
