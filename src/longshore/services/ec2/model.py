"""The part of EC2 that load balancers and services stand on: VPCs, subnets, security groups.

Instances are not kept here: every registered container instance shows up as one (instances.py).
"""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.kit.resource import Kind


class Tag(msgspec.Struct, frozen=True, gc=False):
    key: str
    value: str = ""


class Vpc(msgspec.Struct, frozen=True, gc=False):
    id: str
    account_id: str
    region: str
    cidr_block: str
    is_default: bool = False
    instance_tenancy: str = "default"
    dhcp_options_id: str = ""
    created_at: float = 0.0
    tags: tuple[Tag, ...] = ()


VPCS: Kind[Vpc] = Kind(
    name="ec2.vpc",
    type=Vpc,
    key=lambda vpc: vpc.id,
    indexes={"scope": lambda vpc: (f"{vpc.region}:{vpc.account_id}",)},
)


class Subnet(msgspec.Struct, frozen=True, gc=False):
    id: str
    account_id: str
    region: str
    vpc_id: str
    cidr_block: str
    availability_zone: str
    availability_zone_id: str = ""
    is_default: bool = False
    tags: tuple[Tag, ...] = ()


SUBNETS: Kind[Subnet] = Kind(
    name="ec2.subnet",
    type=Subnet,
    key=lambda subnet: subnet.id,
    indexes={
        "scope": lambda subnet: (f"{subnet.region}:{subnet.account_id}",),
        "vpc": lambda subnet: (subnet.vpc_id,),
    },
)


class DefaultNetwork(msgspec.Struct, frozen=True, gc=False):
    """Remembers that an account was given its default network in a region, so that what its owner deletes stays deleted."""

    account_id: str
    region: str
    #: zones that were given a default subnet
    zones: tuple[str, ...] = ()


DEFAULT_NETWORKS: Kind[DefaultNetwork] = Kind(
    name="ec2.default_network",
    type=DefaultNetwork,
    key=lambda network: f"{network.region}:{network.account_id}",
)


class SecurityGroupRule(msgspec.Struct, frozen=True, gc=False):
    id: str  # sgr-…
    is_egress: bool
    ip_protocol: str  # tcp | udp | icmp | -1 | a number
    from_port: int = -1
    to_port: int = -1
    cidr_ipv4: str = ""
    cidr_ipv6: str = ""
    referenced_group_id: str = ""
    description: str = ""
    tags: tuple[Tag, ...] = ()


class SecurityGroup(msgspec.Struct, frozen=True, gc=False):
    id: str
    account_id: str
    region: str
    vpc_id: str
    name: str
    description: str
    rules: tuple[SecurityGroupRule, ...] = ()
    tags: tuple[Tag, ...] = ()


SECURITY_GROUPS: Kind[SecurityGroup] = Kind(
    name="ec2.security_group",
    type=SecurityGroup,
    key=lambda group: group.id,
    indexes={
        "scope": lambda group: (f"{group.region}:{group.account_id}",),
        "vpc": lambda group: (group.vpc_id,),
        "name": lambda group: (f"{group.vpc_id}:{group.name}",),
        "rule": lambda group: [rule.id for rule in group.rules],
    },
    unique=frozenset({"name"}),
)


class InstanceTags(msgspec.Struct, frozen=True, gc=False):
    """Tags that CreateTags put on an instance; the instance itself is a container instance."""

    instance_id: str
    account_id: str
    region: str
    tags: tuple[Tag, ...] = ()


INSTANCE_TAGS: Kind[InstanceTags] = Kind(
    name="ec2.instance_tags",
    type=InstanceTags,
    key=lambda tagged: f"{tagged.region}:{tagged.account_id}:{tagged.instance_id}",
    indexes={"scope": lambda tagged: (f"{tagged.region}:{tagged.account_id}",)},
)

KINDS: tuple[Kind[Any], ...] = (VPCS, SUBNETS, SECURITY_GROUPS, DEFAULT_NETWORKS, INSTANCE_TAGS)
