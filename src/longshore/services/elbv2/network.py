"""What a load balancer needs of the network: subnets in different zones of one VPC, and security groups of it."""

from __future__ import annotations

from collections.abc import Sequence

from longshore.services.call import Call
from longshore.services.ec2.defaults import default_group_of, ensure_default_network, zones_of
from longshore.services.ec2.model import SECURITY_GROUPS, SUBNETS, VPCS, Subnet, Vpc
from longshore.services.elbv2.errors import InvalidConfigurationRequest, InvalidSecurityGroup, SubnetNotFound, Validation
from longshore.store.base import Reader, Tx


def ensure_network(tx: Tx, call: Call, now: float) -> None:
    """The account's default network, for whoever never spoke to EC2 before."""
    ensure_default_network(tx, call.account_id, call.region, zones_of(call.site, call.region), now)


def find_vpc(reader: Reader, call: Call, vpc_id: str) -> Vpc:
    vpc = reader.get(VPCS, vpc_id)
    if vpc is None or (vpc.account_id, vpc.region) != (call.account_id, call.region):
        raise Validation(f"The VPC ID '{vpc_id}' is not found")
    return vpc


def chosen_subnets(reader: Reader, call: Call, subnet_ids: Sequence[str], fewest_zones: int) -> list[Subnet]:
    """The subnets, in order of their zones. Raises what AWS raises when they cannot carry one load balancer."""
    if not subnet_ids:
        raise Validation("At least one subnet must be specified")
    if len(set(subnet_ids)) != len(subnet_ids):
        raise Validation("The same subnet cannot be specified more than once")
    subnets = []
    for subnet_id in subnet_ids:
        subnet = reader.get(SUBNETS, subnet_id)
        if subnet is None or (subnet.account_id, subnet.region) != (call.account_id, call.region):
            raise SubnetNotFound(f"The subnet ID '{subnet_id}' does not exist")
        subnets.append(subnet)
    if len({subnet.vpc_id for subnet in subnets}) > 1:
        raise InvalidConfigurationRequest("All subnets must belong to the same VPC")
    zones = {subnet.availability_zone for subnet in subnets}
    if len(zones) < len(subnets):
        raise InvalidConfigurationRequest("A load balancer cannot be attached to multiple subnets in the same Availability Zone")
    if len(zones) < fewest_zones:
        raise Validation("At least two subnets in two different Availability Zones must be specified")
    return sorted(subnets, key=lambda subnet: subnet.availability_zone)


def chosen_security_groups(reader: Reader, call: Call, group_ids: Sequence[str], vpc_id: str) -> tuple[str, ...]:
    """The ids, each once, after checking that they are groups of that VPC."""
    for group_id in group_ids:
        group = reader.get(SECURITY_GROUPS, group_id)
        if group is None or (group.account_id, group.region) != (call.account_id, call.region):
            raise InvalidSecurityGroup
        if group.vpc_id != vpc_id:
            raise InvalidConfigurationRequest(f"One or more security groups are not in the VPC '{vpc_id}': {group_id}")
    return tuple(dict.fromkeys(group_ids))


def default_security_groups(reader: Reader, vpc_id: str) -> tuple[str, ...]:
    group = default_group_of(reader, vpc_id)
    return (group.id,) if group else ()
