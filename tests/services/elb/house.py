"""An account with a Classic load balancer in it, asked through the wire."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from longshore.aws.errors import AwsError
from longshore.services.elbv2.model import TARGETS, Target, TargetHealth
from longshore.store.base import Tx
from tests.services.ec2.wire import ACCOUNT, REGION, Cloud

ARN = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/shop"
FIRST, SECOND = "i-0123456789abcdef0", "i-0123456789abcdef1"
HTTP = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstanceProtocol": "HTTP", "InstancePort": 8080}
TCP = {"Protocol": "TCP", "LoadBalancerPort": 6379, "InstancePort": 6379}


async def shop(cloud: Cloud, *listeners: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Made, and as it is described."""
    if "Subnets" not in more:
        more.setdefault("AvailabilityZones", ["us-east-1a"])
    await cloud.classic("CreateLoadBalancer", LoadBalancerName="shop", Listeners=list(listeners or (HTTP,)), **more)
    return await described(cloud)


async def described(cloud: Cloud, name: str = "shop") -> dict[str, Any]:
    (found,) = (await cloud.classic("DescribeLoadBalancers", LoadBalancerNames=[name]))["LoadBalancerDescriptions"]
    assert isinstance(found, dict)
    return found


async def refused(cloud: Cloud, operation: str, **parameters: Any) -> tuple[str, str]:
    """(code, message)"""
    with pytest.raises(AwsError) as raised:
        await cloud.classic(operation, **parameters)
    return raised.value.wire("query")[0], raised.value.message


async def register(cloud: Cloud, *ids: str) -> list[str]:
    """The ids of those that are registered then."""
    instances = [{"InstanceId": one} for one in ids]
    done = await cloud.classic("RegisterInstancesWithLoadBalancer", LoadBalancerName="shop", Instances=instances)
    return [one["InstanceId"] for one in done["Instances"]]


async def deregister(cloud: Cloud, *ids: str) -> None:
    await cloud.classic("DeregisterInstancesFromLoadBalancer", LoadBalancerName="shop", Instances=[{"InstanceId": one} for one in ids])


async def states(cloud: Cloud, *ids: str) -> list[tuple[str, str, str]]:
    """(state, reason, description) of each."""
    asked = {"Instances": [{"InstanceId": one} for one in ids]} if ids else {}
    found = (await cloud.classic("DescribeInstanceHealth", LoadBalancerName="shop", **asked))["InstanceStates"]
    return [(one["State"], one["ReasonCode"], one["Description"]) for one in found]


def targets(cloud: Cloud) -> list[Target]:
    return cloud.store.list(TARGETS)


async def checked(cloud: Cloud, state: str, *, port: int | None = None) -> None:
    """The balancer has found out how the targets (on `port`) are."""

    def put(tx: Tx) -> None:
        for target in tx.list(TARGETS):
            if port in (None, target.port):
                tx.put(TARGETS, replace(target, health=TargetHealth(state=state, reason="", description="")))

    await cloud.write(put)


async def drained(cloud: Cloud) -> None:
    """The balancer has taken out what was leaving."""

    def delete(tx: Tx) -> None:
        for target in tx.list(TARGETS):
            if target.deregistered_at is not None:
                tx.delete(TARGETS, TARGETS.key(target))

    await cloud.write(delete)
