"""Security groups. They are kept and described; on one machine nothing is filtered by them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ec2 as shapes
from longshore.services.call import Call
from longshore.services.ec2 import views
from longshore.services.ec2.api import operation
from longshore.services.ec2.defaults import DEFAULT_GROUP, default_vpc, egress_to_everybody
from longshore.services.ec2.errors import (
    CannotDelete,
    DependencyViolation,
    InvalidGroupDuplicate,
    InvalidGroupNotFound,
    InvalidGroupReserved,
    InvalidParameterValue,
    MissingParameter,
    SecurityGroupLimitExceeded,
)
from longshore.services.ec2.filters import ValuesOf, filtered
from longshore.services.ec2.lookup import find_security_group, find_vpc, group_named, scope_of_call
from longshore.services.ec2.model import SECURITY_GROUPS, SecurityGroup
from longshore.services.ec2.paging import page_of
from longshore.services.ec2.resources import any_of, arn_of
from longshore.services.ec2.tagging import at_creation
from longshore.services.elbv2.model import LOAD_BALANCERS
from longshore.store.base import Tx

MOST_GROUPS = 2500
_TEXT = re.compile(r"[A-Za-z0-9. _\-:/()#,@\[\]+=&;{}!$*]{1,255}")


def _new(call: Call, request: shapes.CreateSecurityGroupRequest) -> Iterable[str]:
    vpc = (arn_of(call, request.vpc_id),) if request.vpc_id else ()
    return (any_of(call, "security-group"), *vpc)


def named_group(
    call: Call,
    request: shapes.DeleteSecurityGroupRequest | shapes.AuthorizeSecurityGroupIngressRequest | shapes.RevokeSecurityGroupIngressRequest,
) -> Iterable[str]:
    """The group's ARN; a name that means nothing could be any group's."""
    if request.group_id:
        return (arn_of(call, request.group_id),)
    try:
        return (arn_of(call, group_named(call.store, call, None, request.group_name).id),)
    except (InvalidGroupNotFound, MissingParameter):
        return (any_of(call, "security-group"),)


@operation("CreateSecurityGroup", resource=_new)
async def create_security_group(call: Call, request: shapes.CreateSecurityGroupRequest) -> shapes.CreateSecurityGroupResult:
    for parameter, text in (("GroupName", request.group_name), ("GroupDescription", request.description)):
        if not _TEXT.fullmatch(text):
            raise InvalidParameterValue(
                f"Value ({text}) for parameter {parameter} is invalid. Character sets beyond ASCII are not supported."
            )
    if request.group_name.lower().startswith("sg-"):
        raise InvalidParameterValue("Group names may not be in the format sg-*")
    if request.group_name.lower() == DEFAULT_GROUP:
        raise InvalidGroupReserved
    tags = at_creation(request.tag_specifications, "security-group")
    group_id = f"sg-{call.ids.hex(17)}"

    def create(tx: Tx) -> None:
        vpc = find_vpc(tx, call, request.vpc_id) if request.vpc_id else default_vpc(tx, call.account_id, call.region)
        if vpc is None:
            raise MissingParameter("The request must contain the parameter VpcId, as there is no default VPC")
        if tx.list(SECURITY_GROUPS, "name", f"{vpc.id}:{request.group_name}"):
            raise InvalidGroupDuplicate(f"The security group '{request.group_name}' already exists for VPC '{vpc.id}'")
        if tx.count(SECURITY_GROUPS, "scope", scope_of_call(call)) >= MOST_GROUPS:
            raise SecurityGroupLimitExceeded
        tx.create(
            SECURITY_GROUPS,
            SecurityGroup(
                id=group_id,
                account_id=call.account_id,
                region=call.region,
                vpc_id=vpc.id,
                name=request.group_name,
                description=request.description,
                rules=(egress_to_everybody(call.account_id, call.region, group_id),),
                tags=tags,
            ),
        )

    await call.store.transact(create)
    return shapes.CreateSecurityGroupResult(group_id=group_id, tags=views.tags(tags) or None, security_group_arn=arn_of(call, group_id))


def _rule_filters() -> dict[str, ValuesOf[SecurityGroup]]:
    """`ip-permission.*` and `egress.ip-permission.*`: values of the rules of one direction."""

    def values(is_egress: bool, member: str) -> ValuesOf[SecurityGroup]:
        return lambda group: [
            str(getattr(rule, member)) for rule in group.rules if rule.is_egress == is_egress and getattr(rule, member) != ""
        ]

    members = {
        "cidr": "cidr_ipv4",
        "ipv6-cidr": "cidr_ipv6",
        "from-port": "from_port",
        "to-port": "to_port",
        "protocol": "ip_protocol",
        "group-id": "referenced_group_id",
    }
    return {
        f"{'egress.' if is_egress else ''}ip-permission.{name}": values(is_egress, member)
        for is_egress in (False, True)
        for name, member in members.items()
    }


_FILTERS: dict[str, ValuesOf[SecurityGroup]] = {
    "group-id": lambda group: (group.id,),
    "group-name": lambda group: (group.name,),
    "description": lambda group: (group.description,),
    "owner-id": lambda group: (group.account_id,),
    "vpc-id": lambda group: (group.vpc_id,),
    **_rule_filters(),
}


@operation("DescribeSecurityGroups", resource=ANY_RESOURCE)
async def describe_security_groups(call: Call, request: shapes.DescribeSecurityGroupsRequest) -> shapes.DescribeSecurityGroupsResult:
    named = {
        group.id: group
        for group in (
            *(find_security_group(call.store, call, group_id) for group_id in request.group_ids or ()),
            *(group_named(call.store, call, None, name) for name in request.group_names or ()),
        )
    }
    groups = [named[key] for key in sorted(named)] if named else call.store.list(SECURITY_GROUPS, "scope", scope_of_call(call))
    found = filtered(groups, request.filters, _FILTERS, lambda group: group.tags)
    page, next_token = page_of(found, lambda group: group.id, request.next_token, request.max_results, named=bool(request.group_ids))
    return shapes.DescribeSecurityGroupsResult(
        security_groups=tuple(views.security_group(call, group) for group in page), next_token=next_token
    )


@operation("DeleteSecurityGroup", resource=named_group)
async def delete_security_group(call: Call, request: shapes.DeleteSecurityGroupRequest) -> shapes.DeleteSecurityGroupResult:
    def delete(tx: Tx) -> str:
        group = group_named(tx, call, request.group_id, request.group_name)
        if group.name == DEFAULT_GROUP:
            raise CannotDelete(f'the specified group: "{group.id}" name: "{group.name}" cannot be deleted by a user')
        neighbours = tx.list(SECURITY_GROUPS, "vpc", group.vpc_id)
        referenced = any(rule.referenced_group_id == group.id for other in neighbours if other.id != group.id for rule in other.rules)
        if referenced or tx.count(LOAD_BALANCERS, "security_group", group.id):
            raise DependencyViolation(f"resource {group.id} has a dependent object")
        tx.delete(SECURITY_GROUPS, group.id)
        return group.id

    deleted = await call.store.transact(delete)
    return shapes.DeleteSecurityGroupResult(return_=True, group_id=deleted)
