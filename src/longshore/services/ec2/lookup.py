"""Finding what a request names, within the caller's own account and region."""

from __future__ import annotations

import re

from longshore.services.call import Call
from longshore.services.ec2.errors import (
    InvalidGroupNotFound,
    InvalidSecurityGroupRuleNotFound,
    InvalidSubnetNotFound,
    InvalidVpcNotFound,
    MalformedId,
    MissingParameter,
)
from longshore.services.ec2.model import SECURITY_GROUPS, SUBNETS, VPCS, SecurityGroup, Subnet, Vpc
from longshore.store.base import Reader

_ID = re.compile(r"([a-z]+)-(?:[0-9a-f]{8}|[0-9a-f]{17})")


def scope_of_call(call: Call) -> str:
    return f"{call.region}:{call.account_id}"


def check_id(text: str, prefix: str) -> None:
    match = _ID.fullmatch(text)
    if match is None or match[1] != prefix:
        raise MalformedId(text, prefix)


def _is_ours(call: Call, value: Vpc | Subnet | SecurityGroup | None) -> bool:
    return value is not None and (value.account_id, value.region) == (call.account_id, call.region)


def find_vpc(reader: Reader, call: Call, vpc_id: str) -> Vpc:
    vpc = reader.get(VPCS, vpc_id)
    if vpc is None or not _is_ours(call, vpc):
        check_id(vpc_id, "vpc")
        raise InvalidVpcNotFound(f"The vpc ID '{vpc_id}' does not exist")
    return vpc


def find_subnet(reader: Reader, call: Call, subnet_id: str) -> Subnet:
    subnet = reader.get(SUBNETS, subnet_id)
    if subnet is None or not _is_ours(call, subnet):
        check_id(subnet_id, "subnet")
        raise InvalidSubnetNotFound(f"The subnet ID '{subnet_id}' does not exist")
    return subnet


def find_security_group(reader: Reader, call: Call, group_id: str) -> SecurityGroup:
    group = reader.get(SECURITY_GROUPS, group_id)
    if group is None or not _is_ours(call, group):
        check_id(group_id, "sg")
        raise InvalidGroupNotFound(f"The security group '{group_id}' does not exist")
    return group


def group_of_rule(reader: Reader, call: Call, rule_id: str) -> SecurityGroup:
    """The group that holds a rule."""
    for group in reader.list(SECURITY_GROUPS, "rule", rule_id):
        if _is_ours(call, group):
            return group
    check_id(rule_id, "sgr")
    raise InvalidSecurityGroupRuleNotFound(f"The security group rule ID '{rule_id}' does not exist")


def group_named(reader: Reader, call: Call, group_id: str | None, group_name: str | None) -> SecurityGroup:
    """By id, or by its name in the default VPC."""
    if group_id:
        return find_security_group(reader, call, group_id)
    if not group_name:
        raise MissingParameter("The request must contain the parameter groupName or groupId")
    for vpc in reader.list(VPCS, "scope", scope_of_call(call)):
        if vpc.is_default:
            for group in reader.list(SECURITY_GROUPS, "name", f"{vpc.id}:{group_name}"):
                return group
    raise InvalidGroupNotFound(f"The security group '{group_name}' does not exist in default VPC")
