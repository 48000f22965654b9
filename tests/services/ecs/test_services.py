"""Services: created, changed, shown, listed, deleted, as far as operations go; the rest is the controller's."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from longshore.aws.shapes import elbv2 as elbv2_shapes
from longshore.services.ec2.defaults import default_subnet_id, ensure_default_network
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICE_EVENTS, SERVICES, ServiceEvent
from longshore.services.elb.model import ClassicLoadBalancer, HealthCheck
from longshore.services.elb.model import Listener as ClassicListener
from longshore.services.elb.records import save
from longshore.services.elbv2.model import LISTENERS, TARGET_GROUPS, Listener, TargetGroup
from tests.services.ecs.conftest import Ecs

SERVICE = "arn:aws:ecs:us-east-1:000000000000:service/default/web"
GROUP = "arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/web/0123456789abcdef"
BALANCED = [{"targetGroupArn": GROUP, "containerName": "app", "containerPort": 80}]


async def ready(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.define(container={"portMappings": [{"containerPort": 80}]})


async def target_group(ecs: Ecs, *, listener: bool = True, target_type: str = "instance") -> None:
    group = TargetGroup(arn=GROUP, name="web", protocol="HTTP", port=80, vpc_id="vpc-1", target_type=target_type, created_at=0.0)
    await ecs.call.store.transact(lambda tx: tx.put(TARGET_GROUPS, group))
    if listener:
        forward = elbv2_shapes.Action(type="forward", target_group_arn=GROUP)
        made = Listener(arn="listener", load_balancer_arn="lb", port=80, protocol="HTTP", default_actions=(forward,))
        await ecs.call.store.transact(lambda tx: tx.put(LISTENERS, made))


async def create(ecs: Ecs, **members: Any) -> dict[str, Any]:
    asked = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 2, **members}
    made: dict[str, Any] = (await ecs("CreateService", **asked))["service"]
    return made


async def test_a_service_begins_with_one_primary_deployment(ecs: Ecs) -> None:
    await ready(ecs)
    made = await create(ecs)
    assert (made["serviceArn"], made["status"], made["desiredCount"], made["runningCount"]) == (SERVICE, "ACTIVE", 2, 0)
    assert (made["launchType"], made["schedulingStrategy"], made["deploymentController"]) == ("EC2", "REPLICA", {"type": "ECS"})
    assert made["deploymentConfiguration"]["minimumHealthyPercent"] == 100
    assert made["deploymentConfiguration"]["maximumPercent"] == 200
    (deployment,) = made["deployments"]
    assert (deployment["status"], deployment["rolloutState"], deployment["desiredCount"]) == ("PRIMARY", "IN_PROGRESS", 2)
    assert deployment["id"].startswith("ecs-svc/")
    assert deployment["rolloutStateReason"] == f"ECS deployment {deployment['id']} in progress."
    assert (await ecs("DescribeServices", services=["web"], include=["TAGS"]))["services"] == [made]
    assert (await ecs("DescribeServices", services=[SERVICE], include=["TAGS"]))["services"] == [made]


async def test_creating_the_same_service_again_gives_the_one_there_is(ecs: Ecs) -> None:
    await ready(ecs)
    assert await create(ecs) == await create(ecs)
    assert await ecs.refused("CreateService", serviceName="web", taskDefinition="web", desiredCount=3) == (
        "InvalidParameterException",
        "Creation of service was not idempotent.",
    )


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        ({"serviceName": "a b"}, "InvalidParameterException", "Invalid service name"),
        ({"taskDefinition": ""}, "InvalidParameterException", "TaskDefinition can not be blank."),
        ({"taskDefinition": "nobody"}, "ClientException", "TaskDefinition not found."),
        ({"cluster": "other"}, "ClusterNotFoundException", "Cluster not found."),
        ({"desiredCount": -1}, "InvalidParameterException", "desiredCount"),
        ({"desiredCount": None}, "InvalidParameterException", "desiredCount"),
        ({"schedulingStrategy": "DAEMON"}, "InvalidParameterException", "does not support a desired count"),
        ({"deploymentController": {"type": "CODE_DEPLOY"}}, "UnsupportedFeatureException", "CODE_DEPLOY"),
        ({"launchType": "FARGATE"}, "UnsupportedFeatureException", "FARGATE"),
        (
            {"deploymentConfiguration": {"minimumHealthyPercent": 100, "maximumPercent": 100}},
            "InvalidParameterException",
            "will block deployments",
        ),
        ({"deploymentConfiguration": {"minimumHealthyPercent": -1}}, "InvalidParameterException", "between 0 and 100"),
        ({"healthCheckGracePeriodSeconds": 5}, "InvalidParameterException", "only valid for services configured to use load balancers"),
        ({"serviceRegistries": [{"registryArn": "x"}]}, "UnsupportedFeatureException", "registries"),
        ({"loadBalancers": [{"containerName": "app"}]}, "InvalidParameterException", "containerPort"),
        (
            {"loadBalancers": [{"targetGroupArn": GROUP, "containerName": "db", "containerPort": 80}]},
            "InvalidParameterException",
            "The container db does not exist in the task definition.",
        ),
        (
            {"loadBalancers": [{"targetGroupArn": GROUP, "containerName": "app", "containerPort": 81}]},
            "InvalidParameterException",
            "The container app did not have a container port 81 defined.",
        ),
        ({"loadBalancers": BALANCED}, "InvalidParameterException", "The specified target group does not exist."),
    ],
)
async def test_what_cannot_be_a_service_is_refused(ecs: Ecs, members: dict[str, Any], code: str, words: str) -> None:
    await ready(ecs)
    refused = await ecs.refused("CreateService", **{"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, **members})
    assert refused[0] == code
    assert words in refused[1]
    assert (await ecs("ListServices"))["serviceArns"] == []


async def test_a_target_group_must_be_one_that_is_listened_to_and_of_the_right_kind(ecs: Ecs) -> None:
    await ready(ecs)
    asked = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "loadBalancers": BALANCED}
    await target_group(ecs, listener=False)
    assert (await ecs.refused("CreateService", **asked))[1] == (
        f"The target group with targetGroupArn {GROUP} does not have an associated load balancer."
    )
    await target_group(ecs, target_type="ip")
    assert "has target type ip, which is incompatible with the bridge network mode" in (await ecs.refused("CreateService", **asked))[1]
    await target_group(ecs)
    made = await create(ecs, loadBalancers=BALANCED, healthCheckGracePeriodSeconds=30)
    assert made["loadBalancers"] == BALANCED
    assert made["healthCheckGracePeriodSeconds"] == 30


CLASSIC = [{"loadBalancerName": "shop", "containerName": "app", "containerPort": 80}]


async def classic(ecs: Ecs, *, instance_port: int = 8080) -> None:
    """A Classic load balancer with one listener."""
    arn = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/shop"
    lb = ClassicLoadBalancer(
        arn=arn,
        name="shop",
        identifier="0123456789abcdef",
        scheme="internet-facing",
        dns_name="shop.elb.localhost",
        canonical_hosted_zone_id="Z1",
        created_at=0.0,
        vpc_id="vpc-1",
        zones=(("us-east-1a", "subnet-a"),),
        health_check=HealthCheck("TCP", instance_port),
        listeners=(ClassicListener(80, "HTTP", instance_port, "HTTP"),),
    )
    await ecs.call.store.transact(lambda tx: save(tx, lb, 0.0))


@pytest.mark.parametrize(
    ("mode", "host_port", "load_balancers", "words"),
    [
        ("bridge", 0, CLASSIC, "has no static host port"),
        ("bridge", 9090, CLASSIC, "does not have a listener that forwards to the instance port 9090"),
        ("awsvpc", 8080, CLASSIC, "not supported with the awsvpc network mode"),
        ("bridge", 8080, [CLASSIC[0] | {"loadBalancerName": "other"}], "The specified load balancer other does not exist."),
        ("bridge", 8080, [CLASSIC[0] | {"targetGroupArn": GROUP}], "but not both"),
        ("bridge", 8080, [*CLASSIC, *CLASSIC], "A service can have one Classic Load Balancer"),
        ("bridge", 8080, [CLASSIC[0] | {"containerPort": 81}], "did not have a container port 81 defined"),
    ],
)
async def test_a_classic_load_balancer_needs_a_port_of_the_instance(
    ecs: Ecs, mode: str, host_port: int, load_balancers: list[dict[str, Any]], words: str
) -> None:
    await ecs.cluster()
    mapping = {"containerPort": 80, "hostPort": 80 if mode == "awsvpc" else host_port}
    await ecs.define(container={"portMappings": [mapping]}, networkMode=mode)
    await classic(ecs)
    await ecs.call.store.transact(lambda tx: ensure_default_network(tx, "000000000000", "us-east-1", ("us-east-1a",), 0.0))
    subnet = default_subnet_id("000000000000", "us-east-1", "us-east-1a")
    more = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet]}}} if mode == "awsvpc" else {}
    asked = {"serviceName": "web", "taskDefinition": "web", "desiredCount": 1, "loadBalancers": load_balancers, **more}
    code, message = (await ecs.refused("CreateService", **asked))[:2]
    assert (code, words in message) == ("InvalidParameterException", True), message


async def test_a_service_may_stand_behind_a_classic_load_balancer(ecs: Ecs) -> None:
    await ecs.cluster()
    await ecs.define(container={"portMappings": [{"containerPort": 80, "hostPort": 8080}]})
    await classic(ecs)
    made = await create(ecs, loadBalancers=CLASSIC, healthCheckGracePeriodSeconds=5)
    assert made["loadBalancers"] == CLASSIC
    assert made["availabilityZoneRebalancing"] == "DISABLED"
    (group,) = ecs.call.store.list(TARGET_GROUPS)
    direct = [{"targetGroupArn": group.arn, "containerName": "app", "containerPort": 80}]
    _, message = (await ecs.refused("CreateService", serviceName="b", taskDefinition="web", desiredCount=1, loadBalancers=direct))[:2]
    assert message == "The specified target group does not exist.", "what a Classic load balancer is made of is nobody's to use"


# ── changing ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_another_count_goes_on_in_the_same_deployment(ecs: Ecs) -> None:
    await ready(ecs)
    before = await create(ecs)
    after = (await ecs("UpdateService", service="web", desiredCount=5))["service"]
    assert (after["desiredCount"], len(after["deployments"])) == (5, 1)
    assert after["deployments"][0]["id"] == before["deployments"][0]["id"]
    assert after["deployments"][0]["desiredCount"] == 5


async def test_another_definition_begins_another_deployment(ecs: Ecs) -> None:
    await ready(ecs)
    before = await create(ecs)
    await ecs.define(container={"portMappings": [{"containerPort": 80}]})
    await ecs.clock.step(1)
    after = (await ecs("UpdateService", service="web", taskDefinition="web"))["service"]
    assert after["taskDefinition"].endswith("web:2")
    assert [one["status"] for one in after["deployments"]] == ["PRIMARY", "ACTIVE"]
    assert after["deployments"][1]["id"] == before["deployments"][0]["id"]
    same = (await ecs("UpdateService", service="web", taskDefinition="web:2"))["service"]
    assert same["deployments"] == after["deployments"]
    forced = (await ecs("UpdateService", service="web", forceNewDeployment=True))["service"]
    assert [one["status"] for one in forced["deployments"]] == ["PRIMARY", "ACTIVE", "ACTIVE"]


async def test_what_is_not_named_stays(ecs: Ecs) -> None:
    await ready(ecs)
    await target_group(ecs)
    before = await create(
        ecs,
        loadBalancers=BALANCED,
        deploymentConfiguration={"minimumHealthyPercent": 50, "deploymentCircuitBreaker": {"enable": True, "rollback": True}},
        placementStrategy=[{"type": "spread", "field": "instanceId"}],
    )
    after = (await ecs("UpdateService", service="web", deploymentConfiguration={"maximumPercent": 150}))["service"]
    assert after["deploymentConfiguration"] == {**before["deploymentConfiguration"], "maximumPercent": 150}
    for member in ("loadBalancers", "placementStrategy", "deployments", "desiredCount"):
        assert after[member] == before[member]
    emptied = (await ecs("UpdateService", service="web", loadBalancers=[]))["service"]
    assert emptied["loadBalancers"] == []
    assert len(emptied["deployments"]) == 2


async def test_only_living_services_are_changed(ecs: Ecs) -> None:
    await ready(ecs)
    assert await ecs.refused("UpdateService", service="web") == ("ServiceNotFoundException", "Service not found.")
    await create(ecs)
    await ecs("DeleteService", service="web", force=True)
    assert await ecs.refused("UpdateService", service="web") == ("ServiceNotActiveException", "Service was not ACTIVE.")


# ── deleting ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_service_that_wants_tasks_is_deleted_by_force_only(ecs: Ecs) -> None:
    await ready(ecs)
    await create(ecs)
    assert await ecs.refused("DeleteService", service="web") == (
        "InvalidParameterException",
        "The service cannot be stopped while it is scaled above 0.",
    )
    gone = (await ecs("DeleteService", service="web", force=True))["service"]
    assert (gone["status"], gone["desiredCount"]) == ("DRAINING", 0)
    assert (await ecs("DescribeServices", services=["web"]))["services"][0]["status"] == "DRAINING"
    assert (await ecs("DescribeClusters"))["clusters"][0]["activeServicesCount"] == 0
    assert (await ecs.refused("CreateService", serviceName="web", taskDefinition="web", desiredCount=1))[1] == (
        "Unable to Start a service that is still Draining."
    )


async def test_a_service_of_the_same_name_begins_anew(ecs: Ecs) -> None:
    await ready(ecs)
    await create(ecs)
    await ecs("DeleteService", service="web", force=True)

    def finish(tx: Any) -> None:
        service = tx.get(SERVICES, SERVICE)
        tx.put(SERVICES, replace(service, status="INACTIVE"))
        tx.put(SERVICE_EVENTS, ServiceEvent("e", SERVICE, 1, 0.0, "old"))

    await ecs.call.store.transact(finish)
    assert (await ecs.refused("DeleteService", service="web"))[0] == "ServiceNotActiveException"
    made = await create(ecs, desiredCount=1)
    assert (made["status"], made["desiredCount"], made["events"]) == ("ACTIVE", 1, [])
    assert len(ecs.call.store.list(DEPLOYMENTS, "history", SERVICE)) == 1


# ── showing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_events_are_shown_newest_first_and_no_more_than_a_hundred(ecs: Ecs) -> None:
    await ready(ecs)
    await create(ecs)

    def tell(tx: Any) -> None:
        for number in range(120):
            tx.put(SERVICE_EVENTS, ServiceEvent(str(number), SERVICE, number, float(number), f"event {number}"))

    await ecs.call.store.transact(tell)
    events = (await ecs("DescribeServices", services=["web"]))["services"][0]["events"]
    assert [event["message"] for event in events] == [f"event {number}" for number in range(119, 19, -1)]


async def test_services_that_are_not_there_are_missing(ecs: Ecs) -> None:
    await ecs.cluster()
    answer = await ecs("DescribeServices", services=["nobody"])
    assert answer["failures"] == [{"arn": SERVICE.replace("web", "nobody"), "reason": "MISSING"}]
    assert (await ecs.refused("DescribeServices", services=[]))[0] == "InvalidParameterException"
    assert (await ecs.refused("DescribeServices", services=["x"] * 11))[0] == "InvalidParameterException"


async def test_services_are_listed_ten_at_a_time(ecs: Ecs) -> None:
    await ready(ecs)
    for number in range(12):
        await create(ecs, serviceName=f"s{number:02}", desiredCount=0)
    first = await ecs("ListServices")
    second = await ecs("ListServices", nextToken=first["nextToken"])
    assert [arn.rsplit("/", 1)[-1] for arn in first["serviceArns"] + second["serviceArns"]] == [f"s{number:02}" for number in range(12)]
    assert (await ecs("ListServices", launchType="EXTERNAL"))["serviceArns"] == []


# ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_every_kind_of_resource_has_tags(ecs: Ecs) -> None:
    await ready(ecs)
    instance = await ecs.instance()
    task = (await ecs("RunTask", taskDefinition="web"))["tasks"][0]["taskArn"]
    await create(ecs)
    arns = [
        "arn:aws:ecs:us-east-1:000000000000:cluster/default",
        "arn:aws:ecs:us-east-1:000000000000:task-definition/web:1",
        instance,
        task,
        SERVICE,
    ]
    for arn in arns:
        await ecs("TagResource", resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
        await ecs("TagResource", resourceArn=arn, tags=[{"key": "a", "value": "3"}])
        await ecs("UntagResource", resourceArn=arn, tagKeys=["b", "c"])
        assert (await ecs("ListTagsForResource", resourceArn=arn))["tags"] == [{"key": "a", "value": "3"}]


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("nonsense", "InvalidParameterException"),
        ("arn:aws:s3:::bucket", "InvalidParameterException"),
        ("arn:aws:ecs:us-east-1:000000000000:cluster/nobody", "ResourceNotFoundException"),
        ("arn:aws:ecs:us-east-1:111111111111:cluster/default", "ResourceNotFoundException"),
        ("arn:aws:ecs:us-east-1:000000000000:task-definition/web", "ResourceNotFoundException"),
        ("arn:aws:ecs:us-east-1:000000000000:task-definition/web:x", "ResourceNotFoundException"),
    ],
)
async def test_tags_of_what_is_not_there(ecs: Ecs, arn: str, code: str) -> None:
    await ready(ecs)
    assert (await ecs.refused("ListTagsForResource", resourceArn=arn))[0] == code


async def test_no_resource_has_more_than_fifty_tags(ecs: Ecs) -> None:
    await ecs.cluster()
    arn = "arn:aws:ecs:us-east-1:000000000000:cluster/default"
    await ecs("TagResource", resourceArn=arn, tags=[{"key": str(n), "value": ""} for n in range(50)])
    assert (await ecs.refused("TagResource", resourceArn=arn, tags=[{"key": "one more", "value": ""}]))[0] == "InvalidParameterException"


@pytest.mark.parametrize("named", [{"clientToken": "t", "taskDefinition": "web"}, {"taskDefinition": "web:1"}])
async def test_creating_again_gives_the_service_though_its_task_definition_is_inactive(ecs: Ecs, named: dict[str, Any]) -> None:
    await ecs.cluster()
    await ecs.define()
    asked = {"serviceName": "again", "desiredCount": 1, **named}
    first = await ecs("CreateService", **asked)
    await ecs("DeregisterTaskDefinition", taskDefinition="web:1")
    assert (await ecs("CreateService", **asked))["service"]["serviceArn"] == first["service"]["serviceArn"]
    assert (await ecs.refused("CreateService", **asked | {"serviceName": "new", "clientToken": "u"}))[0] == "ClientException"
