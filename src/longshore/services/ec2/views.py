"""How EC2's resources are described in answers."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from longshore.aws.shapes import ec2 as shapes
from longshore.services.call import Call
from longshore.services.ec2.defaults import derived_id
from longshore.services.ec2.model import SecurityGroup, SecurityGroupRule, Subnet, Tag, Vpc
from longshore.services.ec2.permissions import permissions_of
from longshore.services.ec2.resources import arn_of

#: addresses of every subnet that AWS keeps to itself
RESERVED_ADDRESSES = 5


def tags(values: Iterable[Tag]) -> tuple[shapes.Tag, ...]:
    return tuple(shapes.Tag(key=tag.key, value=tag.value) for tag in values)


def vpc(value: Vpc) -> shapes.Vpc:
    return shapes.Vpc(
        vpc_id=value.id,
        owner_id=value.account_id,
        state="available",
        cidr_block=value.cidr_block,
        cidr_block_association_set=(
            shapes.VpcCidrBlockAssociation(
                association_id=derived_id("vpc-cidr-assoc", value.account_id, value.region, value.id),
                cidr_block=value.cidr_block,
                cidr_block_state=shapes.VpcCidrBlockState(state="associated"),
            ),
        ),
        ipv6_cidr_block_association_set=(),
        dhcp_options_id=value.dhcp_options_id,
        instance_tenancy=value.instance_tenancy,
        is_default=value.is_default,
        block_public_access_states=shapes.BlockPublicAccessStates(internet_gateway_block_mode="off"),
        tags=tags(value.tags),
    )


def free_addresses(cidr_block: str, instances: int) -> int:
    return IPv4Network(cidr_block).num_addresses - RESERVED_ADDRESSES - instances


def subnet(call: Call, value: Subnet, instances: int = 0) -> shapes.Subnet:
    """`instances`: how many container instances stand in it."""
    return shapes.Subnet(
        subnet_id=value.id,
        subnet_arn=arn_of(call, value.id),
        owner_id=value.account_id,
        vpc_id=value.vpc_id,
        state="available",
        cidr_block=value.cidr_block,
        available_ip_address_count=free_addresses(value.cidr_block, instances),
        availability_zone=value.availability_zone,
        availability_zone_id=value.availability_zone_id,
        default_for_az=value.is_default,
        map_public_ip_on_launch=value.is_default,
        map_customer_owned_ip_on_launch=False,
        assign_ipv6_address_on_creation=False,
        ipv6_cidr_block_association_set=(),
        enable_dns64=False,
        ipv6_native=False,
        private_dns_name_options_on_launch=shapes.PrivateDnsNameOptionsOnLaunch(
            hostname_type="ip-name", enable_resource_name_dns_a_record=False, enable_resource_name_dns_aaaa_record=False
        ),
        tags=tags(value.tags),
    )


def security_group(call: Call, value: SecurityGroup) -> shapes.SecurityGroup:
    return shapes.SecurityGroup(
        group_id=value.id,
        group_name=value.name,
        description=value.description,
        owner_id=value.account_id,
        vpc_id=value.vpc_id,
        security_group_arn=arn_of(call, value.id),
        ip_permissions=permissions_of(value.rules, False, value.account_id),
        ip_permissions_egress=permissions_of(value.rules, True, value.account_id),
        tags=tags(value.tags),
    )


def security_group_rule(call: Call, group: SecurityGroup, rule: SecurityGroupRule) -> shapes.SecurityGroupRule:
    referenced = None
    if rule.referenced_group_id:
        referenced = shapes.ReferencedSecurityGroup(group_id=rule.referenced_group_id, user_id=group.account_id)
    return shapes.SecurityGroupRule(
        security_group_rule_id=rule.id,
        security_group_rule_arn=arn_of(call, rule.id),
        group_id=group.id,
        group_owner_id=group.account_id,
        is_egress=rule.is_egress,
        ip_protocol=rule.ip_protocol,
        from_port=rule.from_port,
        to_port=rule.to_port,
        cidr_ipv4=rule.cidr_ipv4 or None,
        cidr_ipv6=rule.cidr_ipv6 or None,
        referenced_group_info=referenced,
        description=rule.description or None,
        tags=tags(rule.tags),
    )
