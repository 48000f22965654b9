"""Instances behind a Classic load balancer: registered, checked, draining, gone; in AWS's words."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from longshore.services.ecs.model import CONTAINER_INSTANCES
from longshore.services.elb.model import REGISTERED_INSTANCES
from longshore.services.elbv2.model import TARGETS
from longshore.store.base import Tx
from tests.services.ec2.wire import Cloud
from tests.services.elb.house import (
    FIRST,
    HTTP,
    SECOND,
    TCP,
    checked,
    deregister,
    described,
    drained,
    refused,
    register,
    shop,
    states,
    targets,
)

IN_SERVICE = ("InService", "N/A", "N/A")
FAILED = (
    "OutOfService",
    "Instance",
    "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.",
)
REGISTERING = ("OutOfService", "ELB", "Instance registration is still in progress.")
LEAVING = ("InService", "N/A", "Instance deregistration currently in progress.")
NOT_REGISTERED = ("OutOfService", "Instance", "Instance is not currently registered with the LoadBalancer.")
ELSEWHERE = (
    "OutOfService",
    "ELB",
    "Instance is in the EC2 Availability Zone for which LoadBalancer is not configured to route traffic to.",
)


@pytest.fixture
async def cloud() -> Cloud:
    cloud = Cloud()
    await cloud.instance(FIRST, address="127.0.1.1")
    await cloud.instance(SECOND, address="127.0.1.2", availability_zone="us-east-1b")
    await shop(cloud, HTTP, TCP)
    return cloud


async def test_an_instance_is_reached_at_its_own_address_on_every_instance_port(cloud: Cloud) -> None:
    assert await register(cloud, FIRST) == [FIRST]
    assert sorted((target.address, target.port, target.classic) for target in targets(cloud)) == [
        ("127.0.1.1", 6379, "shop"),
        ("127.0.1.1", 8080, "shop"),
    ]
    assert (await described(cloud))["Instances"] == [{"InstanceId": FIRST}]


async def test_registering_again_changes_nothing(cloud: Cloud) -> None:
    await register(cloud, FIRST)
    await checked(cloud, "healthy")
    before = targets(cloud)
    assert await register(cloud, FIRST, FIRST) == [FIRST]
    assert targets(cloud) == before


async def test_states_are_told_as_aws_tells_them(cloud: Cloud) -> None:
    await register(cloud, FIRST)
    assert await states(cloud) == [REGISTERING]
    await checked(cloud, "healthy", port=8080)
    assert await states(cloud) == [REGISTERING], "not before it can be reached on all ports"
    await checked(cloud, "healthy")
    assert await states(cloud) == [IN_SERVICE]
    await checked(cloud, "unhealthy", port=6379)
    assert await states(cloud) == [FAILED]


async def test_an_instance_drains_before_it_is_gone(cloud: Cloud) -> None:
    await register(cloud, FIRST)
    await checked(cloud, "healthy")
    await deregister(cloud, FIRST)
    assert (await described(cloud))["Instances"] == []
    assert await states(cloud) == []
    assert await states(cloud, FIRST) == [LEAVING]
    assert all(target.deregistered_at is not None for target in targets(cloud))
    await drained(cloud)
    assert await states(cloud, FIRST) == [NOT_REGISTERED]


async def test_one_that_comes_back_while_it_drains_is_checked_anew(cloud: Cloud) -> None:
    await register(cloud, FIRST)
    await checked(cloud, "healthy")
    await deregister(cloud, FIRST)
    await register(cloud, FIRST)
    assert await states(cloud) == [REGISTERING]
    assert all(target.deregistered_at is None for target in targets(cloud))


async def test_who_is_unknown_is_refused_and_who_is_not_registered_is_no_error(cloud: Cloud) -> None:
    await deregister(cloud, FIRST)
    for operation in ("RegisterInstancesWithLoadBalancer", "DeregisterInstancesFromLoadBalancer", "DescribeInstanceHealth"):
        code, message = await refused(cloud, operation, LoadBalancerName="shop", Instances=[{"InstanceId": "i-0"}])
        assert (code, message) == ("InvalidInstance", "Could not find EC2 instance i-0."), operation
        code, _ = await refused(cloud, operation, LoadBalancerName="nobody", Instances=[{"InstanceId": FIRST}])
        assert code == "LoadBalancerNotFound"


async def test_either_all_of_several_instances_are_registered_or_none(cloud: Cloud) -> None:
    await refused(
        cloud, "RegisterInstancesWithLoadBalancer", LoadBalancerName="shop", Instances=[{"InstanceId": FIRST}, {"InstanceId": "i-0"}]
    )
    assert cloud.store.list(REGISTERED_INSTANCES) == [] and targets(cloud) == []


async def test_an_instance_of_another_account_is_nobody_here(cloud: Cloud) -> None:
    stranger = cloud.elsewhere(account_id="210987654321")
    await stranger.instance("i-0123456789abcdef9")
    code, _ = await refused(
        cloud, "RegisterInstancesWithLoadBalancer", LoadBalancerName="shop", Instances=[{"InstanceId": "i-0123456789abcdef9"}]
    )
    assert code == "InvalidInstance"


async def test_an_instance_in_another_zone_gets_traffic_once_its_zone_is_enabled(cloud: Cloud) -> None:
    await register(cloud, SECOND)
    assert await states(cloud) == [ELSEWHERE] and targets(cloud) == []
    await cloud.classic("EnableAvailabilityZonesForLoadBalancer", LoadBalancerName="shop", AvailabilityZones=["us-east-1b"])
    assert len(targets(cloud)) == 2
    await cloud.classic("DisableAvailabilityZonesForLoadBalancer", LoadBalancerName="shop", AvailabilityZones=["us-east-1b"])
    assert all(target.deregistered_at is not None for target in targets(cloud))
    assert await states(cloud) == [ELSEWHERE]


async def test_an_instance_that_has_left_is_told_of_as_terminated(cloud: Cloud) -> None:
    await register(cloud, FIRST)

    def leave(tx: Tx) -> None:
        for row in tx.list(CONTAINER_INSTANCES):
            tx.put(CONTAINER_INSTANCES, replace(row, status="INACTIVE"))

    await cloud.write(leave)
    assert await states(cloud) == [("OutOfService", "Instance", "Instance is in terminated state.")]
    code, message = await refused(cloud, "RegisterInstancesWithLoadBalancer", LoadBalancerName="shop", Instances=[{"InstanceId": SECOND}])
    assert code == "InvalidInstance" and "not in a running state" in message


async def test_a_new_listener_knows_at_once_who_is_healthy(cloud: Cloud) -> None:
    await register(cloud, FIRST)
    await checked(cloud, "healthy")
    await cloud.classic("CreateLoadBalancerListeners", LoadBalancerName="shop", Listeners=[HTTP | {"LoadBalancerPort": 81}])
    assert {target.health.state for target in targets(cloud)} == {"healthy"} and len(targets(cloud)) == 3


async def test_policies_and_attributes_leave_targets_alone(cloud: Cloud) -> None:
    await register(cloud, FIRST)
    await checked(cloud, "healthy")
    before = targets(cloud)
    await cloud.classic("CreateLBCookieStickinessPolicy", LoadBalancerName="shop", PolicyName="sticky")
    await cloud.classic("SetLoadBalancerPoliciesOfListener", LoadBalancerName="shop", LoadBalancerPort=80, PolicyNames=["sticky"])
    assert cloud.store.list(TARGETS) == before
