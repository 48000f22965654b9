"""Target groups whose targets are asked which task they are."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.aws.errors import AwsError
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.ecs.model import TASKS, Attribute, Task, TaskSpec
from longshore.services.elbv2.errors import InvalidTarget
from longshore.services.elbv2.model import TARGET_GROUPS, TARGETS
from longshore.services.elbv2.registration import register
from tests.services.ec2.wire import Cloud

KEY = "longshore.identity_check.enabled"
INSTANCE = "i-0123456789abcdef0"
OWNER = "arn:aws:ecs:us-east-1:123456789012:task/default/0123"


async def asking_group(cloud: Cloud) -> str:
    arn = str((await cloud.target_group())["TargetGroupArn"])
    await cloud.elb("ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=[{"Key": KEY, "Value": "true"}])
    return arn


async def registered(cloud: Cloud, arn: str, **instance: Any) -> str:
    """Who is asked about the task on an instance."""
    there = await cloud.instance(**instance)
    task = Task(OWNER, there.cluster_arn, TaskSpec("definition", "family:web", 0.0), container_instance_arn=there.arn)
    await cloud.write(lambda tx: tx.put(TASKS, task))
    group = cloud.store.get(TARGET_GROUPS, arn)
    assert group is not None
    await cloud.write(lambda tx: register(tx, group, (shapes.TargetDescription(id=INSTANCE, port=40000),), 1.0, owner=OWNER))
    (target,) = cloud.store.list(TARGETS)
    return target.identity


async def test_a_task_of_an_agent_that_can_be_asked_is_registered_with_where_to_ask() -> None:
    cloud = Cloud()
    arn = await asking_group(cloud)
    assert await registered(cloud, arn, attributes=(Attribute("longshore.identity-port", "4711"),)) == "127.0.1.1:4711"


async def test_nobody_is_asked_unless_the_group_wants_it() -> None:
    cloud = Cloud()
    arn = str((await cloud.target_group())["TargetGroupArn"])
    assert await registered(cloud, arn, attributes=(Attribute("longshore.identity-port", "4711"),)) == ""


@pytest.mark.parametrize("port", [None, "", "0", "123456", "65536", "80 check", "x"])
async def test_tasks_of_agents_that_cannot_be_asked_are_refused_by_name(port: str | None) -> None:
    cloud = Cloud()
    arn = await asking_group(cloud)
    with pytest.raises(InvalidTarget, match=KEY):
        await registered(cloud, arn, attributes=(Attribute("longshore.identity-port", port),) if port is not None else ())


async def test_what_somebody_registers_by_hand_is_refused_by_name() -> None:
    cloud = Cloud()
    arn = await asking_group(cloud)
    await cloud.instance()
    with pytest.raises(AwsError, match=KEY):
        await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])


async def test_it_changes_only_while_there_are_no_targets() -> None:
    cloud = Cloud()
    arn = str((await cloud.target_group())["TargetGroupArn"])
    await cloud.instance()
    await cloud.elb("RegisterTargets", TargetGroupArn=arn, Targets=[{"Id": INSTANCE}])
    with pytest.raises(AwsError, match=KEY):
        await cloud.elb("ModifyTargetGroupAttributes", TargetGroupArn=arn, Attributes=[{"Key": KEY, "Value": "true"}])
