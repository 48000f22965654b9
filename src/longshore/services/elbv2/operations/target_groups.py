"""Target groups: where to, on which port, and how health is checked."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.call import Call
from longshore.services.elbv2 import views
from longshore.services.elbv2.api import api
from longshore.services.elbv2.errors import (
    DuplicateTargetGroupName,
    InvalidConfigurationRequest,
    ResourceInUse,
    TargetGroupNotFound,
    TooManyTargetGroups,
    UnsupportedProtocol,
    Validation,
)
from longshore.services.elbv2.forwarding import target_groups_behind
from longshore.services.elbv2.health_checks import changed_health_check, default_health_check
from longshore.services.elbv2.lookup import check_arn, find_load_balancer, find_target_group, in_use, scope_of_call
from longshore.services.elbv2.model import TARGET_GROUPS, TARGETS, TargetGroup, target_key
from longshore.services.elbv2.names import SERVICE, check_name
from longshore.services.elbv2.network import ensure_network, find_vpc
from longshore.services.elbv2.paging import DEFAULT_PAGE_SIZE, key_of, marker_of, page_of
from longshore.services.elbv2.permissions import asked_tags, tagging
from longshore.services.elbv2.quotas import NAMES_PER_DESCRIBE, TARGET_GROUPS_PER_REGION
from longshore.services.elbv2.tagging import merged
from longshore.store.base import Tx

#: what the data plane can carry
PROTOCOLS = ("HTTP", "HTTPS", "TCP", "TLS")
#: datagrams, which HAProxy does not carry
_DATAGRAMS = ("UDP", "TCP_UDP", "QUIC", "TCP_QUIC", "GENEVE")
PROTOCOL_VERSIONS = ("HTTP1", "HTTP2", "GRPC")
TARGET_TYPES = ("instance", "ip", "alb")


def _new_arn(call: Call, request: shapes.CreateTargetGroupInput) -> Iterable[str]:
    return (call.arn(SERVICE, f"targetgroup/{request.name}/*"),)


def _named(call: Call, request: shapes.ModifyTargetGroupInput | shapes.DeleteTargetGroupInput) -> Iterable[str]:
    return (request.target_group_arn,)


def _conditions(call: Call, request: shapes.CreateTargetGroupInput) -> dict[str, list[str]]:
    return asked_tags("CreateTargetGroup", request.tags)


def _tagging(call: Call, request: shapes.CreateTargetGroupInput) -> Iterable[tuple[str, str]]:
    return tagging(request.tags, _new_arn(call, request))


@api.operation("CreateTargetGroup", resource=_new_arn, conditions=_conditions, also=_tagging)
async def create_target_group(call: Call, request: shapes.CreateTargetGroupInput) -> shapes.CreateTargetGroupOutput:
    check_name("Target group", request.name)
    asked = _asked(request, call.arn(SERVICE, f"targetgroup/{request.name}/{call.ids.hex(16)}"), call.clock.now())

    def create(tx: Tx) -> TargetGroup:
        ensure_network(tx, call, asked.created_at)
        find_vpc(tx, call, asked.vpc_id)
        known = next(iter(tx.list(TARGET_GROUPS, "name", f"{scope_of_call(call)}:{request.name}")), None)
        if known is not None:
            return _same(known, asked)
        if tx.count(TARGET_GROUPS, "scope", scope_of_call(call)) >= TARGET_GROUPS_PER_REGION:
            raise TooManyTargetGroups
        return tx.create(TARGET_GROUPS, asked)

    created = await call.store.transact(create)
    return shapes.CreateTargetGroupOutput(target_groups=(views.target_group(call.store, created),))


def _asked(request: shapes.CreateTargetGroupInput, arn: str, now: float) -> TargetGroup:
    """The group that the request describes, checked as far as the request alone allows."""
    target_type = request.target_type or "instance"
    if target_type not in TARGET_TYPES:
        raise InvalidConfigurationRequest(f"Target groups with target type '{target_type}' are not served")
    if request.protocol is None:
        raise Validation("A protocol must be specified")
    if request.protocol in _DATAGRAMS:
        raise UnsupportedProtocol(f"Target groups with the protocol '{request.protocol}' are not served: only TCP and what runs on it is")
    if request.protocol not in PROTOCOLS:
        raise Validation(f"Protocol '{request.protocol}' must be one of '{', '.join((*PROTOCOLS, *_DATAGRAMS))}'")
    if target_type == "alb" and request.protocol != "TCP":
        raise InvalidConfigurationRequest(f"Protocol '{request.protocol}' is not supported with target type 'alb': it must be TCP")
    if request.port is None:
        raise Validation("A port must be specified")
    if request.vpc_id is None:
        raise Validation("A VPC ID must be specified")
    if request.ip_address_type not in (None, "ipv4"):
        raise InvalidConfigurationRequest("Target groups with the IP address type 'ipv6' are not served")
    if request.target_control_port is not None:
        raise InvalidConfigurationRequest("Target control ports are not served")
    version = request.protocol_version or "HTTP1"
    if request.protocol in ("TCP", "TLS") and request.protocol_version is not None:
        raise Validation("A protocol version is supported for target groups with the protocol HTTP or HTTPS only")
    if version not in PROTOCOL_VERSIONS:
        raise Validation(f"Protocol version '{version}' must be one of '{', '.join(PROTOCOL_VERSIONS)}'")
    check = default_health_check(request.protocol, version, request.health_check_protocol, target_type)
    return TargetGroup(
        arn=arn,
        name=request.name,
        protocol=request.protocol,
        port=request.port,
        vpc_id=request.vpc_id,
        target_type=target_type,
        created_at=now,
        protocol_version=version,
        health_check=changed_health_check(check, request, request.protocol, version, target_type),
        tags=merged((), request.tags),
    )


def _same(known: TargetGroup, asked: TargetGroup) -> TargetGroup:
    """Asking again for what is there already succeeds; the name with other settings does not."""
    settings = ("protocol", "port", "vpc_id", "target_type", "protocol_version", "health_check", "tags")
    if all(getattr(known, name) == getattr(asked, name) for name in settings):
        return known
    raise DuplicateTargetGroupName(f"A target group with the same name '{known.name}' exists, but with different settings")


@api.operation("DescribeTargetGroups", resource=ANY_RESOURCE)
async def describe_target_groups(call: Call, request: shapes.DescribeTargetGroupsInput) -> shapes.DescribeTargetGroupsOutput:
    if sum(map(bool, (request.load_balancer_arn, request.target_group_arns, request.names))) > 1:
        raise Validation("Only one of a load balancer ARN, target group ARNs and target group names can be specified")
    if len(request.target_group_arns or request.names or ()) > NAMES_PER_DESCRIBE:
        raise Validation(f"You can specify up to {NAMES_PER_DESCRIBE} target groups in a single call")
    store, scope = call.store, scope_of_call(call)
    next_marker = None
    found: list[TargetGroup]
    if request.load_balancer_arn:
        lb = find_load_balancer(store, call, request.load_balancer_arn)
        arns, next_marker = page_of(sorted(target_groups_behind(store, lb.arn)), str, request.marker, request.page_size)
        found = [find_target_group(store, call, arn) for arn in arns]
    elif request.target_group_arns:
        found = [find_target_group(store, call, arn) for arn in dict.fromkeys(request.target_group_arns)]
    elif request.names:
        found = [group for name in dict.fromkeys(request.names) for group in store.list(TARGET_GROUPS, "name", f"{scope}:{name}")]
        if len(found) < len(set(request.names)):
            raise TargetGroupNotFound
    else:
        size = request.page_size or DEFAULT_PAGE_SIZE
        found = store.list(TARGET_GROUPS, "scope", scope, after=key_of(request.marker), limit=size + 1)
        next_marker = marker_of(found[size - 1].arn) if len(found) > size else None
        found = found[:size]
    return shapes.DescribeTargetGroupsOutput(
        target_groups=tuple(views.target_group(store, group) for group in found), next_marker=next_marker
    )


@api.operation("ModifyTargetGroup", resource=_named)
async def modify_target_group(call: Call, request: shapes.ModifyTargetGroupInput) -> shapes.ModifyTargetGroupOutput:
    def change(tx: Tx) -> TargetGroup:
        group = find_target_group(tx, call, request.target_group_arn)
        check = changed_health_check(group.health_check, request, group.protocol, group.protocol_version, group.target_type)
        return tx.put(TARGET_GROUPS, msgspec.structs.replace(group, health_check=check))

    changed = await call.store.transact(change)
    return shapes.ModifyTargetGroupOutput(target_groups=(views.target_group(call.store, changed),))


@api.operation("DeleteTargetGroup", resource=_named)
async def delete_target_group(call: Call, request: shapes.DeleteTargetGroupInput) -> shapes.DeleteTargetGroupOutput:
    check_arn(request.target_group_arn, "targetgroup", "target group")

    def delete(tx: Tx) -> None:
        try:
            group = find_target_group(tx, call, request.target_group_arn)
        except TargetGroupNotFound:
            return  # what is gone already is as good as deleted
        if in_use(tx, group.arn):
            raise ResourceInUse(f"Target group '{group.arn}' is currently in use by a listener or a rule")
        for target in tx.list(TARGETS, "target_group", group.arn):
            tx.delete(TARGETS, target_key(group.arn, target.id, target.port))
        tx.delete(TARGET_GROUPS, group.arn)

    await call.store.transact(delete)
    return shapes.DeleteTargetGroupOutput()
