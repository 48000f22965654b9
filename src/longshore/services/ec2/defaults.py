"""The network every account finds in every region: a default VPC, a subnet per zone, a default security group.

Ids are derived from account, region and role, so that they are the same after a reset and on every machine. It is made
once per account and region; a default VPC that its owner deletes stays deleted. A zone added later gets its subnet then.
"""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Network

from longshore.services.call import Site
from longshore.services.ec2.model import (
    DEFAULT_NETWORKS,
    SECURITY_GROUPS,
    SUBNETS,
    VPCS,
    DefaultNetwork,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
    Vpc,
)
from longshore.services.ec2.regions import is_aws_region, zone_id
from longshore.store.base import Reader, Tx

DEFAULT_CIDR = "172.31.0.0/16"
SUBNET_PREFIX = 20
DEFAULT_GROUP = "default"
DEFAULT_GROUP_DESCRIPTION = "default VPC security group"


def derived_id(prefix: str, account_id: str, region: str, role: str) -> str:
    """An id such as vpc-0a1b…: 17 hexadecimal digits, always the same for the same account, region and role."""
    return f"{prefix}-{hashlib.sha256(f'{account_id}:{region}:{role}'.encode()).hexdigest()[:17]}"


def default_vpc_id(account_id: str, region: str) -> str:
    return derived_id("vpc", account_id, region, "default-vpc")


def default_subnet_id(account_id: str, region: str, zone: str) -> str:
    return derived_id("subnet", account_id, region, f"default-subnet-{zone}")


def default_security_group_id(account_id: str, region: str) -> str:
    return derived_id("sg", account_id, region, "default-security-group")


def dhcp_options_id(account_id: str, region: str) -> str:
    return derived_id("dopt", account_id, region, "dhcp-options")


def zones_of(site: Site, region: str) -> tuple[str, ...]:
    """The zones of a region: the installation's own in its own region, `a`, `b` and `c` in AWS's others, none elsewhere."""
    if region == site.region:
        return site.zones
    if is_aws_region(region):
        return (f"{region}a", f"{region}b", f"{region}c")
    return ()


def has_default_network(reader: Reader, account_id: str, region: str, zones: tuple[str, ...]) -> bool:
    """Whether nothing is left to be made."""
    made = reader.get(DEFAULT_NETWORKS, f"{region}:{account_id}")
    return made is not None and made.zones == zones


def ensure_default_network(tx: Tx, account_id: str, region: str, zones: tuple[str, ...], now: float) -> None:
    """Make what is missing, once. Without zones (a region unknown here) nothing is made."""
    if not zones or has_default_network(tx, account_id, region, zones):
        return
    made = tx.get(DEFAULT_NETWORKS, f"{region}:{account_id}")
    vpc_id = default_vpc_id(account_id, region)
    if made is None:
        tx.put(
            VPCS,
            Vpc(
                id=vpc_id,
                account_id=account_id,
                region=region,
                cidr_block=DEFAULT_CIDR,
                is_default=True,
                dhcp_options_id=dhcp_options_id(account_id, region),
                created_at=now,
            ),
        )
        tx.put(SECURITY_GROUPS, default_security_group(account_id, region, vpc_id, default_security_group_id(account_id, region)))
    if tx.get(VPCS, vpc_id) is not None:
        for zone in zones:
            if made is None or zone not in made.zones:
                _add_default_subnet(tx, account_id, region, vpc_id, zone)
    tx.put(DEFAULT_NETWORKS, DefaultNetwork(account_id=account_id, region=region, zones=zones))


def _add_default_subnet(tx: Tx, account_id: str, region: str, vpc_id: str, zone: str) -> None:
    """The first /20 that nobody uses; a VPC without room for one more gets none."""
    subnet_id = default_subnet_id(account_id, region, zone)
    if tx.get(SUBNETS, subnet_id) is not None:
        return
    taken = [IPv4Network(subnet.cidr_block) for subnet in tx.list(SUBNETS, "vpc", vpc_id)]
    for block in IPv4Network(DEFAULT_CIDR).subnets(new_prefix=SUBNET_PREFIX):
        if not any(block.overlaps(other) for other in taken):
            tx.put(
                SUBNETS,
                Subnet(
                    id=subnet_id,
                    account_id=account_id,
                    region=region,
                    vpc_id=vpc_id,
                    cidr_block=str(block),
                    availability_zone=zone,
                    availability_zone_id=zone_id(region, zone),
                    is_default=True,
                ),
            )
            return


def default_security_group(account_id: str, region: str, vpc_id: str, group_id: str) -> SecurityGroup:
    """The group that every VPC is born with: its members may talk to each other, and to everybody."""
    return SecurityGroup(
        id=group_id,
        account_id=account_id,
        region=region,
        vpc_id=vpc_id,
        name=DEFAULT_GROUP,
        description=DEFAULT_GROUP_DESCRIPTION,
        rules=(
            SecurityGroupRule(
                id=derived_id("sgr", account_id, region, f"{group_id}-members"),
                is_egress=False,
                ip_protocol="-1",
                referenced_group_id=group_id,
            ),
            egress_to_everybody(account_id, region, group_id),
        ),
    )


def egress_to_everybody(account_id: str, region: str, group_id: str) -> SecurityGroupRule:
    """The one rule that a new security group starts with."""
    return SecurityGroupRule(
        id=derived_id("sgr", account_id, region, f"{group_id}-egress"), is_egress=True, ip_protocol="-1", cidr_ipv4="0.0.0.0/0"
    )


def default_vpc(reader: Reader, account_id: str, region: str) -> Vpc | None:
    return next((vpc for vpc in reader.list(VPCS, "scope", f"{region}:{account_id}") if vpc.is_default), None)


def default_group_of(reader: Reader, vpc_id: str) -> SecurityGroup | None:
    return next(iter(reader.list(SECURITY_GROUPS, "name", f"{vpc_id}:{DEFAULT_GROUP}")), None)
