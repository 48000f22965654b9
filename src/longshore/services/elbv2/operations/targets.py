"""Targets and their health. DescribeTargetHealth is asked again and again by deployment tools, so it does little."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.call import Call
from longshore.services.elbv2 import registration, views
from longshore.services.elbv2.api import api
from longshore.services.elbv2.errors import TooManyTargets, Validation
from longshore.services.elbv2.lookup import find_target_group, in_use
from longshore.services.elbv2.model import TARGETS, Target
from longshore.services.elbv2.quotas import TARGETS_PER_TARGET_GROUP
from longshore.store.base import Tx


def _of_group(call: Call, request: shapes.RegisterTargetsInput | shapes.DeregisterTargetsInput) -> Iterable[str]:
    return (request.target_group_arn,)


@api.operation("RegisterTargets", resource=_of_group)
async def register_targets(call: Call, request: shapes.RegisterTargetsInput) -> shapes.RegisterTargetsOutput:
    _check_count(request.targets)
    now = call.clock.now()

    def register(tx: Tx) -> None:
        group = find_target_group(tx, call, request.target_group_arn)
        registration.register(tx, group, request.targets, now)

    await call.store.transact(register)
    return shapes.RegisterTargetsOutput()


@api.operation("DeregisterTargets", resource=_of_group)
async def deregister_targets(call: Call, request: shapes.DeregisterTargetsInput) -> shapes.DeregisterTargetsOutput:
    _check_count(request.targets)
    now = call.clock.now()

    def deregister(tx: Tx) -> None:
        group = find_target_group(tx, call, request.target_group_arn)
        registration.deregister(tx, group, request.targets, now)

    await call.store.transact(deregister)
    return shapes.DeregisterTargetsOutput()


def _check_count(targets: tuple[shapes.TargetDescription, ...]) -> None:
    if not targets:
        raise Validation("At least one target must be specified")
    if len(targets) > TARGETS_PER_TARGET_GROUP:
        raise TooManyTargets


@api.operation("DescribeTargetHealth", resource=ANY_RESOURCE)
async def describe_target_health(call: Call, request: shapes.DescribeTargetHealthInput) -> shapes.DescribeTargetHealthOutput:
    store = call.store
    group = find_target_group(store, call, request.target_group_arn)
    is_used = in_use(store, group.arn)
    include = frozenset(request.include or ())
    registered = store.list(TARGETS, "target_group", group.arn)
    if not request.targets:
        return shapes.DescribeTargetHealthOutput(
            target_health_descriptions=tuple([views.target_health(store, group, target, is_used, include) for target in registered])
        )
    by_id: dict[str, list[Target]] = {}
    for target in registered:
        by_id.setdefault(target.id, []).append(target)
    found: list[shapes.TargetHealthDescription] = []
    for asked in request.targets:
        matching = [target for target in by_id.get(asked.id, ()) if asked.port in (None, target.port)]
        found.extend(views.target_health(store, group, target, is_used, include) for target in matching)
        if not matching:
            found.append(views.unregistered_target(asked, asked.port or group.port))
    return shapes.DescribeTargetHealthOutput(target_health_descriptions=tuple(found))
