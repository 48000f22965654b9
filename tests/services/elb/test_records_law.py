"""Whatever is done to a Classic load balancer, what the data plane is to serve of it is what its API says, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.aws.errors import AwsError
from longshore.services.elb import registration
from longshore.services.elb.model import CLASSIC_LOAD_BALANCERS, REGISTERED_INSTANCES
from longshore.services.elb.projection import listener_arn, target_group_arn
from longshore.services.elb.records import synchronise
from longshore.services.elbv2.model import LISTENERS, LOAD_BALANCERS, TARGET_GROUPS, TARGETS
from longshore.store.base import Tx
from tests.services.ec2.wire import Cloud
from tests.services.elb.house import ARN, FIRST, HTTP, SECOND, checked, drained, shop

OTHER = HTTP | {"LoadBalancerPort": 81, "InstancePort": 9090}
TASKS = ("task-a", "task-b", "task-c")

_ON_FIRST = [("claim", (FIRST, "task-a", 8080)), ("claim", (FIRST, "task-b", 9090)), ("claim", (FIRST, "task-c", 8080))]
_LEAVING = [("release", (FIRST, task)) for task in TASKS]
_STEPS: list[tuple[str, Any]] = [
    # the more often, since only one after the other do they come to anything
    *_ON_FIRST * 3,
    *_LEAVING * 3,
    ("claim", (SECOND, "task-a", 9090)),
    ("release", (SECOND, "task-a")),
    *(("listen", {"Protocol": "HTTP", "LoadBalancerPort": 82, "InstancePort": port}) for port in (8080, 9090)),
    *(("close", port) for port in (80, 82)),
    *((step, one) for step in ("register", "deregister") for one in (FIRST, SECOND)),
    *((step, zone) for step in ("enable", "disable") for zone in ("us-east-1a", "us-east-1b")),
    *(("check", state) for state in ("healthy", "unhealthy")),
    ("drain", None),
]
_steps = st.lists(st.sampled_from(_STEPS), min_size=5, max_size=20)


async def _do(cloud: Cloud, step: str, value: Any) -> None:
    named: dict[str, Any] = {"LoadBalancerName": "shop"}
    match step:
        case "listen":
            await cloud.classic("CreateLoadBalancerListeners", **named, Listeners=[value])
        case "close":
            await cloud.classic("DeleteLoadBalancerListeners", **named, LoadBalancerPorts=[value])
        case "register":
            await cloud.classic("RegisterInstancesWithLoadBalancer", **named, Instances=[{"InstanceId": value}])
        case "deregister":
            await cloud.classic("DeregisterInstancesFromLoadBalancer", **named, Instances=[{"InstanceId": value}])
        case "enable":
            await cloud.classic("EnableAvailabilityZonesForLoadBalancer", **named, AvailabilityZones=[value])
        case "disable":
            await cloud.classic("DisableAvailabilityZonesForLoadBalancer", **named, AvailabilityZones=[value])
        case "check":
            await checked(cloud, value)
        case "drain":
            await drained(cloud)
        case "claim" | "release":
            await cloud.write(lambda tx: _claim(tx, step, value))


def _claim(tx: Tx, step: str, value: Any) -> None:
    lb = tx.get(CLASSIC_LOAD_BALANCERS, ARN)
    assert lb is not None
    if step == "claim":
        registration.claim(tx, lb, *value, 1.0)
    else:
        registration.release(tx, lb, *value)
    synchronise(tx, lb, 1.0)


def _holds(cloud: Cloud) -> None:
    store = cloud.store
    lb = store.get(CLASSIC_LOAD_BALANCERS, ARN)
    assert lb is not None
    (served,) = store.list(LOAD_BALANCERS)
    assert (served.arn, served.slot, served.zones) == (ARN, 1, lb.zones)
    assert {listener.arn for listener in store.list(LISTENERS)} == {listener_arn(lb, one.port) for one in lb.listeners}
    groups = {target_group_arn(lb, one.port): one for one in lb.listeners}
    assert {group.arn: group.port for group in store.list(TARGET_GROUPS)} == {arn: one.instance_port for arn, one in groups.items()}
    zones = {"us-east-1a": FIRST, "us-east-1b": SECOND}
    reached = {zones[zone] for zone, _ in lb.zones}
    registered = {one.instance_id: one for one in store.list(REGISTERED_INSTANCES)}
    serving = {(target.target_group_arn, target.id) for target in store.list(TARGETS) if target.deregistered_at is None}
    assert serving == {
        (arn, instance_id)
        for arn, listener in groups.items()
        for instance_id, one in registered.items()
        if instance_id in reached and listener.instance_port not in one.withdrawn
    }
    for target in store.list(TARGETS):
        assert target.target_group_arn in groups, "nobody drains behind a listener that is gone"
        one = registered.get(target.id)
        if target.deregistered_at is None and one is not None and one.claims:
            on_port = [claim.task_arn for claim in one.claims if claim.port == target.port]
            assert target.owner in (on_port or [claim.task_arn for claim in one.claims])
    for one in registered.values():
        assert not {claim.port for claim in one.claims} & set(one.withdrawn)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(_steps)
def test_what_is_served_is_always_what_was_asked_for(steps: list[tuple[str, Any]]) -> None:
    async def run() -> None:
        cloud = Cloud()
        await cloud.instance(FIRST, address="127.0.1.1")
        await cloud.instance(SECOND, address="127.0.1.2", availability_zone="us-east-1b")
        await shop(cloud, HTTP, OTHER)
        for step, value in steps:
            before = cloud.store.revision
            try:
                await _do(cloud, step, value)
            except AwsError:
                assert cloud.store.revision == before, "what is refused changes nothing"
            _holds(cloud)
        await cloud.store.close()

    asyncio.run(run())
