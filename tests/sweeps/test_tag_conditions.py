"""Policies that ask for the tags of ECS's resources, and for those that a request brings."""

from __future__ import annotations

from typing import Any

from tests.sweeps.installation import USER, Installation


def allowed_if(action: str, condition: dict[str, Any]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": "*", "Condition": {"StringEquals": condition}}


async def test_rights_by_the_tags_of_a_resource_follow_its_tags(there: Installation) -> None:
    await there.allow(allowed_if("ecs:DeleteCluster", {"aws:ResourceTag/team": "web"}))
    assert (await there.ask("ecs", "DeleteCluster", {"cluster": "empty"}, USER)).denied
    made = await there.done("ecs", "DescribeClusters", clusters=["empty"])
    await there.done("ecs", "TagResource", resourceArn=made["clusters"][0]["clusterArn"], tags=[{"key": "team", "value": "web"}])
    assert (await there.ask("ecs", "DeleteCluster", {"cluster": "empty"}, USER)).status == 200


async def test_tagging_can_be_allowed_for_the_creation_of_something_only(there: Installation) -> None:
    create = {"Effect": "Allow", "Action": "ecs:CreateCluster", "Resource": "*"}
    tagged = {"clusterName": "new", "tags": [{"key": "team", "value": "web"}]}
    await there.allow(create, allowed_if("ecs:TagResource", {"ecs:CreateAction": "CreateService"}))
    assert (await there.ask("ecs", "CreateCluster", tagged, USER)).denied
    await there.allow(create, allowed_if("ecs:TagResource", {"ecs:CreateAction": "CreateCluster", "aws:RequestTag/team": "web"}))
    assert (await there.ask("ecs", "CreateCluster", tagged, USER)).status == 200
    other = {"clusterName": "other", "tags": [{"key": "team", "value": "api"}]}
    assert (await there.ask("ecs", "CreateCluster", other, USER)).denied


async def test_a_parameters_tags_are_heard_whoever_names_it_alone_or_among_others(there: Installation) -> None:
    for name, team in (("db", "data"), ("/web/key", "web")):
        await there.done("ssm", "PutParameter", Name=name, Value="x", Type="String", Tags=[{"Key": "team", "Value": team}])
    everything = {"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}
    for key in ("aws:ResourceTag/team", "ssm:resourceTag/team"):
        await there.allow(everything, {"Effect": "Deny", "Action": "ssm:*", "Resource": "*", "Condition": {"StringEquals": {key: "data"}}})
        for action, asked in (
            ("GetParameter", {"Name": "db"}),
            ("GetParameters", {"Names": ["/web/key", "db"]}),
            ("DeleteParameters", {"Names": ["/web/key", "db"]}),
            ("AddTagsToResource", {"ResourceType": "Parameter", "ResourceId": "db", "Tags": [{"Key": "team", "Value": "web"}]}),
        ):
            assert (await there.ask("ssm", action, asked, USER)).denied, (key, action)
        assert (await there.ask("ssm", "GetParameters", {"Names": ["/web/key"]}, USER)).status == 200


async def test_rights_over_classic_load_balancers_follow_tags_schemes_and_protocols(there: Installation) -> None:
    listener = {"Protocol": "HTTP", "LoadBalancerPort": 80, "InstancePort": 80}
    asked = {"LoadBalancerName": "new", "Listeners": [listener], "AvailabilityZones": ["us-east-1a"]}
    create = "elasticloadbalancing:CreateLoadBalancer"
    await there.allow(allowed_if(create, {"elasticloadbalancing:Scheme": "internal", "elasticloadbalancing:ListenerProtocol": "HTTP"}))
    assert (await there.ask("elb", "CreateLoadBalancer", asked, USER)).denied
    tagged = asked | {"Scheme": "internal", "Tags": [{"Key": "team", "Value": "web"}]}
    assert (await there.ask("elb", "CreateLoadBalancer", tagged, USER)).denied, "tags need a right of their own"
    assert (await there.ask("elb", "CreateLoadBalancer", asked | {"Scheme": "internal"}, USER)).status == 200
    await there.allow(allowed_if("elasticloadbalancing:DeleteLoadBalancer", {"elasticloadbalancing:ResourceTag/team": "web"}))
    assert (await there.ask("elb", "DeleteLoadBalancer", {"LoadBalancerName": "new"}, USER)).denied
    assert (await there.ask("elb", "DeleteLoadBalancer", {"LoadBalancerName": "classic"}, USER)).status == 200
