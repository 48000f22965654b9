"""Instances behind Classic load balancers, and how they are: DescribeInstanceHealth is asked again and again, so it does little."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec.structs import replace

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elb as shapes
from longshore.services.call import Call
from longshore.services.elb import registration, views
from longshore.services.elb.api import api
from longshore.services.elb.changes import change
from longshore.services.elb.errors import Validation
from longshore.services.elb.health_checks import checked_health_check
from longshore.services.elb.lookup import find_load_balancer, load_balancer_arn
from longshore.services.elb.model import REGISTERED_INSTANCES, ClassicLoadBalancer
from longshore.services.elb.records import instance_of, targets_of
from longshore.services.elbv2.model import Target
from longshore.store.base import Tx


def _named(
    call: Call, request: shapes.RegisterEndPointsInput | shapes.DeregisterEndPointsInput | shapes.ConfigureHealthCheckInput
) -> Iterable[str]:
    return (load_balancer_arn(call, request.load_balancer_name),)


async def _change(
    call: Call,
    name: str,
    instances: tuple[shapes.Instance, ...],
    how: Callable[[Tx, ClassicLoadBalancer, Iterable[str], float], None],
) -> tuple[shapes.Instance, ...]:
    """The instances that are registered afterwards."""
    ids = [instance.instance_id or "" for instance in instances]
    if not ids:
        raise Validation("At least one instance must be specified")
    now = call.clock.now()

    def apply(tx: Tx) -> tuple[shapes.Instance, ...]:
        lb = find_load_balancer(tx, call, name)
        how(tx, lb, ids, now)
        return tuple(shapes.Instance(instance_id=one.instance_id) for one in tx.list(REGISTERED_INSTANCES, "load_balancer", lb.arn))

    return await call.store.transact(apply)


@api.operation("RegisterInstancesWithLoadBalancer", resource=_named)
async def register_instances_with_load_balancer(call: Call, request: shapes.RegisterEndPointsInput) -> shapes.RegisterEndPointsOutput:
    registered = await _change(call, request.load_balancer_name, request.instances, registration.register)
    return shapes.RegisterEndPointsOutput(instances=registered)


@api.operation("DeregisterInstancesFromLoadBalancer", resource=_named)
async def deregister_instances_from_load_balancer(call: Call, request: shapes.DeregisterEndPointsInput) -> shapes.DeregisterEndPointsOutput:
    registered = await _change(call, request.load_balancer_name, request.instances, registration.deregister)
    return shapes.DeregisterEndPointsOutput(instances=registered)


@api.operation("DescribeInstanceHealth", resource=ANY_RESOURCE)
async def describe_instance_health(call: Call, request: shapes.DescribeEndPointStateInput) -> shapes.DescribeEndPointStateOutput:
    store = call.store
    lb = find_load_balancer(store, call, request.load_balancer_name)
    registered = {one.instance_id: one for one in store.list(REGISTERED_INSTANCES, "load_balancer", lb.arn)}
    targets: dict[str, list[Target]] = {}
    for target in targets_of(store, lb.arn):
        targets.setdefault(target.id, []).append(target)
    ids = list(dict.fromkeys(instance.instance_id or "" for instance in request.instances or ())) or list(registered)
    states: list[shapes.InstanceState] = []
    for instance_id in ids:
        if instance_id not in registered:
            registration.check_known(store, lb, instance_id)
        instance = instance_of(store, lb.arn, instance_id)
        states.append(views.instance_state(lb, instance_id, instance, registered.get(instance_id), targets.get(instance_id, ())))
    return shapes.DescribeEndPointStateOutput(instance_states=tuple(states))


@api.operation("ConfigureHealthCheck", resource=_named)
async def configure_health_check(call: Call, request: shapes.ConfigureHealthCheckInput) -> shapes.ConfigureHealthCheckOutput:
    check = checked_health_check(request.health_check)
    changed = await change(call, request.load_balancer_name, lambda reader, lb: replace(lb, health_check=check))
    return shapes.ConfigureHealthCheckOutput(health_check=views.health_check(changed.health_check))
