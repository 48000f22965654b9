"""Tags on VPCs, subnets, security groups, their rules, and instances."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ec2 as shapes
from longshore.services.call import Call
from longshore.services.ec2.api import operation
from longshore.services.ec2.errors import InvalidID, InvalidInstanceNotFound, MissingParameter
from longshore.services.ec2.filters import ValuesOf, filtered
from longshore.services.ec2.instances import is_running
from longshore.services.ec2.lookup import check_id, find_security_group, find_subnet, find_vpc, group_of_rule, scope_of_call
from longshore.services.ec2.model import INSTANCE_TAGS, SECURITY_GROUPS, SUBNETS, VPCS, InstanceTags, Tag
from longshore.services.ec2.paging import page_of
from longshore.services.ec2.resources import RESOURCE_TYPES, arn_of
from longshore.services.ec2.tagging import merged, without
from longshore.store.base import Reader, Tx

MOST_RESOURCES = 1000

Change = Callable[[Iterable[Tag]], tuple[Tag, ...]]


def _named(call: Call, request: shapes.CreateTagsRequest | shapes.DeleteTagsRequest) -> Iterable[str]:
    return [arn_of(call, id) for id in request.resources]


@operation("CreateTags", resource=_named)
async def create_tags(call: Call, request: shapes.CreateTagsRequest) -> None:
    if not request.tags:
        raise MissingParameter("The request must contain the parameter tagSet")
    await _change_all(call, request.resources, lambda tags: merged(tags, request.tags))


@operation("DeleteTags", resource=_named)
async def delete_tags(call: Call, request: shapes.DeleteTagsRequest) -> None:
    await _change_all(call, request.resources, lambda tags: without(tags, request.tags))


async def _change_all(call: Call, ids: tuple[str, ...], change: Change) -> None:
    if not ids:
        raise MissingParameter("The request must contain the parameter resourceIdSet")
    if len(ids) > MOST_RESOURCES:
        raise InvalidID(f"At most {MOST_RESOURCES} resources can be tagged at once")

    def apply(tx: Tx) -> None:
        for id in dict.fromkeys(ids):
            _change(tx, call, id, change)

    await call.store.transact(apply)


def _change(tx: Tx, call: Call, id: str, change: Change) -> None:
    match RESOURCE_TYPES.get(id.partition("-")[0]):
        case "vpc":
            vpc = find_vpc(tx, call, id)
            tx.put(VPCS, msgspec.structs.replace(vpc, tags=change(vpc.tags)))
        case "subnet":
            subnet = find_subnet(tx, call, id)
            tx.put(SUBNETS, msgspec.structs.replace(subnet, tags=change(subnet.tags)))
        case "security-group":
            group = find_security_group(tx, call, id)
            tx.put(SECURITY_GROUPS, msgspec.structs.replace(group, tags=change(group.tags)))
        case "security-group-rule":
            _change_rule(tx, call, id, change)
        case "instance":
            _change_instance(tx, call, id, change)
        case _:
            raise InvalidID(f"The ID '{id}' is not valid")


def _change_rule(tx: Tx, call: Call, id: str, change: Change) -> None:
    group = group_of_rule(tx, call, id)
    rules = tuple(msgspec.structs.replace(rule, tags=change(rule.tags)) if rule.id == id else rule for rule in group.rules)
    tx.put(SECURITY_GROUPS, msgspec.structs.replace(group, rules=rules))


def _change_instance(tx: Tx, call: Call, id: str, change: Change) -> None:
    if not is_running(tx, call, id):
        check_id(id, "i")
        raise InvalidInstanceNotFound(f"The instance ID '{id}' does not exist")
    key = f"{scope_of_call(call)}:{id}"
    known = tx.get(INSTANCE_TAGS, key)
    tags = change(known.tags if known else ())
    if tags:
        tx.put(INSTANCE_TAGS, InstanceTags(instance_id=id, account_id=call.account_id, region=call.region, tags=tags))
    else:
        tx.delete(INSTANCE_TAGS, key)


_FILTERS: Mapping[str, ValuesOf[shapes.TagDescription]] = {
    "key": lambda tag: (tag.key or "",),
    "value": lambda tag: (tag.value or "",),
    "resource-id": lambda tag: (tag.resource_id or "",),
    "resource-type": lambda tag: (tag.resource_type or "",),
}


def _place(tag: shapes.TagDescription) -> str:
    return f"{tag.resource_id}|{tag.key}"


@operation("DescribeTags", resource=ANY_RESOURCE)
async def describe_tags(call: Call, request: shapes.DescribeTagsRequest) -> shapes.DescribeTagsResult:
    found = filtered(sorted(_everything(call.store, call), key=_place), request.filters, _FILTERS)
    page, next_token = page_of(found, _place, request.next_token, request.max_results)
    return shapes.DescribeTagsResult(tags=tuple(page), next_token=next_token)


def _everything(reader: Reader, call: Call) -> Iterable[shapes.TagDescription]:
    scope = scope_of_call(call)
    tagged: list[tuple[str, tuple[Tag, ...]]] = []
    tagged.extend((vpc.id, vpc.tags) for vpc in reader.list(VPCS, "scope", scope))
    tagged.extend((subnet.id, subnet.tags) for subnet in reader.list(SUBNETS, "scope", scope))
    for group in reader.list(SECURITY_GROUPS, "scope", scope):
        tagged.append((group.id, group.tags))
        tagged.extend((rule.id, rule.tags) for rule in group.rules)
    tagged.extend((known.instance_id, known.tags) for known in reader.list(INSTANCE_TAGS, "scope", scope))
    for id, tags in tagged:
        for tag in tags:
            yield shapes.TagDescription(key=tag.key, value=tag.value, resource_id=id, resource_type=RESOURCE_TYPES[id.partition("-")[0]])
