"""Importing this package declares every operation of the API."""

from longshore.services.ec2.operations import (
    account_attributes,
    availability_zones,
    instances,
    security_group_rules,
    security_groups,
    subnets,
    tags,
    vpcs,
)

__all__ = [
    "account_attributes",
    "availability_zones",
    "instances",
    "security_group_rules",
    "security_groups",
    "subnets",
    "tags",
    "vpcs",
]
