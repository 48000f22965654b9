"""boto3 as users have it, over a real socket: its waiters and paginators end, and its errors carry AWS's codes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import boto3
import msgspec
import pytest
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError

from longshore.gateway.app import Gateway
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.kit.clock import SystemClock
from longshore.kit.ids import RandomIds
from longshore.services.call import Site
from longshore.services.ec2 import model as ec2_model
from longshore.services.ecs import kinds as ecs_kinds
from longshore.services.elb import model as elb_model
from longshore.services.elbv2 import model as elbv2_model
from longshore.services.elbv2.model import LOAD_BALANCERS, TARGETS, LoadBalancerStatus, TargetHealth
from longshore.services.iam import kinds as iam_kinds
from longshore.services.iam.identities import ensure_root
from longshore.store.base import Store
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore

KEY, SECRET, ACCOUNT = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "123456789012"
AT_ONCE = {"Delay": 0, "MaxAttempts": 3}

T = TypeVar("T")


class User:
    """Somebody with boto3, in a thread of their own as real users are."""

    def __init__(self, url: str, store: Store) -> None:
        self.store = store
        settings: dict[str, Any] = {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "aws_access_key_id": KEY,
            "aws_secret_access_key": SECRET,
            "config": Config(retries={"total_max_attempts": 1}),
        }
        self.elb = boto3.client("elbv2", **settings)
        self.ec2 = boto3.client("ec2", **settings)

    async def does(self, fn: Callable[..., T], **parameters: Any) -> T:
        return await asyncio.to_thread(fn, **parameters)

    async def code(self, fn: Callable[..., Any], **parameters: Any) -> tuple[str, int]:
        """The code and HTTP status of the error that this raises."""
        with pytest.raises(ClientError) as raised:
            await self.does(fn, **parameters)
        return raised.value.response["Error"]["Code"], raised.value.response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture
async def user() -> AsyncIterator[User]:
    store = memory_store((*ec2_model.KINDS, *ecs_kinds.KINDS, *elb_model.KINDS, *elbv2_model.KINDS, *iam_kinds.KINDS))
    await store.transact(lambda tx: ensure_root(tx, ACCOUNT, KEY, SECRET, 0.0))
    site, clock = Site(ACCOUNT, "us-east-1", ("us-east-1a", "us-east-1b"), "http://127.0.0.1:4566", 4566), SystemClock()
    gateway = Gateway(
        store=store,
        blobs=MemoryBlobStore(),
        clock=clock,
        ids=RandomIds(),
        site=site,
        identities=Identities(store, clock, site),
        access=Access(store, clock),
        signing_secret=b"s" * 32,
    )
    runner = web.ServerRunner(web.Server(gateway.handle, access_log=None, auto_decompress=False))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield User(f"http://127.0.0.1:{runner.addresses[0][1]}", store)
    await runner.cleanup()
    await store.close()


async def test_waiters_follow_a_load_balancer_and_its_target_from_birth_to_end(user: User) -> None:
    elb, store = user.elb, user.store
    subnets = (await user.does(user.ec2.describe_subnets))["Subnets"]
    created = await user.does(elb.create_load_balancer, Name="web", Subnets=[subnet["SubnetId"] for subnet in subnets])
    lb_arn = created["LoadBalancers"][0]["LoadBalancerArn"]
    await user.does(elb.get_waiter("load_balancer_exists").wait, Names=["web"], WaiterConfig=AT_ONCE)

    lb = store.get(LOAD_BALANCERS, lb_arn)
    assert lb is not None
    await store.transact(lambda tx: tx.put(LOAD_BALANCERS, msgspec.structs.replace(lb, status=LoadBalancerStatus("active"))))
    await user.does(elb.get_waiter("load_balancer_available").wait, LoadBalancerArns=[lb_arn], WaiterConfig=AT_ONCE)

    group = {"Name": "web", "Protocol": "HTTP", "Port": 80, "VpcId": subnets[0]["VpcId"], "TargetType": "ip"}
    group_arn = (await user.does(elb.create_target_group, **group))["TargetGroups"][0]["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": group_arn}]
    await user.does(elb.create_listener, LoadBalancerArn=lb_arn, Protocol="HTTP", Port=80, DefaultActions=forward)
    targets = [{"Id": "127.0.0.1", "Port": 8080}]
    await user.does(elb.register_targets, TargetGroupArn=group_arn, Targets=targets)
    (target,) = store.list(TARGETS)
    healthy = msgspec.structs.replace(target, health=TargetHealth("healthy", "", ""))
    await store.transact(lambda tx: tx.put(TARGETS, healthy))
    await user.does(elb.get_waiter("target_in_service").wait, TargetGroupArn=group_arn, Targets=targets, WaiterConfig=AT_ONCE)

    await user.does(elb.deregister_targets, TargetGroupArn=group_arn, Targets=targets)
    await store.transact(lambda tx: tx.delete(TARGETS, TARGETS.key(target)))
    await user.does(elb.get_waiter("target_deregistered").wait, TargetGroupArn=group_arn, Targets=targets, WaiterConfig=AT_ONCE)

    await user.does(elb.delete_load_balancer, LoadBalancerArn=lb_arn)
    await user.does(elb.get_waiter("load_balancers_deleted").wait, LoadBalancerArns=[lb_arn], WaiterConfig=AT_ONCE)


async def test_paginators_see_everything_once(user: User) -> None:
    for number in range(7):
        await user.does(user.ec2.create_vpc, CidrBlock=f"10.{number}.0.0/16")
    vpc_id = (await user.does(user.ec2.describe_vpcs))["Vpcs"][0]["VpcId"]
    for number in range(5):
        await user.does(user.elb.create_target_group, Name=f"web-{number}", Protocol="HTTP", Port=80, VpcId=vpc_id)

    def names() -> list[str]:
        pages = user.elb.get_paginator("describe_target_groups").paginate(PaginationConfig={"PageSize": 2})
        return [group["TargetGroupName"] for page in pages for group in page["TargetGroups"]]

    def vpcs() -> list[str]:
        pages = user.ec2.get_paginator("describe_vpcs").paginate(PaginationConfig={"PageSize": 5})
        return [vpc["VpcId"] for page in pages for vpc in page["Vpcs"]]

    assert sorted(await user.does(names)) == [f"web-{number}" for number in range(5)]
    found = await user.does(vpcs)
    assert len(found) == len(set(found)) == 8


async def test_errors_have_the_codes_and_statuses_of_aws(user: User) -> None:
    arn = f"arn:aws:elasticloadbalancing:us-east-1:{ACCOUNT}:loadbalancer/app/web/0123456789abcdef"
    assert await user.code(user.elb.describe_load_balancers, LoadBalancerArns=[arn]) == ("LoadBalancerNotFound", 400)
    assert await user.code(user.elb.create_load_balancer, Name="-", Subnets=["subnet-1"]) == ("ValidationError", 400)
    assert await user.code(user.ec2.describe_vpcs, VpcIds=["x"]) == ("InvalidVpcID.Malformed", 400)
    assert await user.code(user.ec2.create_vpc, CidrBlock="10.0.0.0/16", DryRun=True) == ("DryRunOperation", 412)
