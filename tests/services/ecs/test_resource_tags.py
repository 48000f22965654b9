"""Tags as policies ask about them, of every kind of resource that has some."""

from __future__ import annotations

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.resource_tags import creation_conditions, resource_conditions
from tests.services.ecs.conftest import Ecs

TAGS = [{"key": "Team", "value": "web"}]
ASKED = {"aws:resourcetag/team": ["web"], "ecs:resourcetag/team": ["web"]}


async def test_every_kind_of_resource_tells_its_tags(ecs: Ecs) -> None:
    cluster = (await ecs("CreateCluster", clusterName="default", tags=TAGS))["cluster"]["clusterArn"]
    instance = await ecs.instance()
    await ecs("TagResource", resourceArn=instance, tags=TAGS)
    definition = await ecs.define(tags=TAGS)
    task = (await ecs("RunTask", taskDefinition="web", tags=TAGS))["tasks"][0]["taskArn"]
    service = (await ecs("CreateService", serviceName="site", taskDefinition="web", desiredCount=1, tags=TAGS))["service"]["serviceArn"]
    group = {"autoScalingGroupArn": "group"}
    made = await ecs("CreateCapacityProvider", name="spot", autoScalingGroupProvider=group, tags=TAGS)
    provider = made["capacityProvider"]["capacityProviderArn"]
    for arn in (cluster, instance, definition, task, service, provider):
        assert resource_conditions(ecs.call.store, arn) == ASKED, arn


async def test_what_is_not_there_has_no_tags(ecs: Ecs) -> None:
    for text in ("*", "cluster/none", "task/default/none", "task-definition/web", "task-definition/web:*", "capacity-provider/none", "x"):
        arn = text if text == "*" else ecs.call.arn("ecs", text)
        assert resource_conditions(ecs.call.store, arn) == {}


def test_what_a_request_brings_is_told() -> None:
    found = creation_conditions("RunTask", [shapes.Tag(key="Team", value="web")])
    assert found == {"aws:requesttag/team": ["web"], "aws:tagkeys": ["Team"], "ecs:CreateAction": ["RunTask"]}
    assert creation_conditions("", None) == {}
