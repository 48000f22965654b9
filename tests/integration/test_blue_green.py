"""A blue/green deployment under load, for real: containers on Docker Engine behind HAProxy, there and back, the server killed in the
middle, and not one request fails."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError

from longshore.config import DataDirectory
from tests.integration.installation import Installation
from tests.integration.test_draining import Load, until

pytestmark = [pytest.mark.engine("docker", "haproxy"), pytest.mark.timeout(180)]

SERVE = (
    "trap 'exit 0' TERM; mkdir -p /tmp/www; echo $VERSION > /tmp/www/index.html; cp /tmp/www/index.html /tmp/www/preview; "
    "httpd -f -p 80 -h /tmp/www & wait"
)


@pytest.fixture
def house(tmp_path: Path, free_port: Callable[..., int], docker_url: str) -> Iterator[Installation]:
    there = Installation(tmp_path, free_port())
    there.up("--dev", "--no-tls", instances=1)
    yield there
    identifiers = [path.read_text() for path in tmp_path.glob("data/agents/*/instance-id")]
    there.down()
    for identifier in identifiers:
        listed = ["docker", "ps", "-aq", "--filter", f"label=longshore.instance={identifier}"]
        found = subprocess.run(listed, capture_output=True, text=True, check=False).stdout.split()
        if found:
            subprocess.run(["docker", "rm", "--force", "--volumes", *found], capture_output=True, check=False)


def get(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    body = connection.getresponse().read().decode().strip()
    connection.close()
    return body


def two_sides(elb: Any, ec2: Any, port: int) -> dict[str, Any]:
    """A load balancer whose default rule is for production, with a rule for tests and two target groups."""
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    balancer = elb.create_load_balancer(Name="sides", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    checks = {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2, "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2}
    groups = []
    for name in ("blue", "green"):
        made = elb.create_target_group(Name=name, Protocol="HTTP", Port=80, VpcId=vpc, TargetType="instance", **checks)
        groups.append(made["TargetGroups"][0]["TargetGroupArn"])
        delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "2"}]
        elb.modify_target_group_attributes(TargetGroupArn=groups[-1], Attributes=delay)
    forward = [{"Type": "forward", "TargetGroupArn": groups[0]}]
    made = elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=forward)
    listener = made["Listeners"][0]["ListenerArn"]
    path = [{"Field": "path-pattern", "Values": ["/preview"]}]
    test = elb.create_rule(ListenerArn=listener, Priority=1, Conditions=path, Actions=forward)["Rules"][0]["RuleArn"]
    rules = elb.describe_rules(ListenerArn=listener)["Rules"]
    production = next(rule["RuleArn"] for rule in rules if rule["IsDefault"])
    return {
        "targetGroupArn": groups[0],
        "containerName": "main",
        "containerPort": 80,
        "advancedConfiguration": {
            "alternateTargetGroupArn": groups[1],
            "productionListenerRule": production,
            "testListenerRule": test,
            "roleArn": "arn:aws:iam::000000000000:role/ecsInfrastructureRole",
        },
    }


def register(ecs: Any, image: str, version: str) -> None:
    container = {
        "name": "main",
        "image": image,
        "memory": 32,
        "command": ["sh", "-c", SERVE],
        "environment": [{"name": "VERSION", "value": version}],
        "portMappings": [{"containerPort": 80}],
        "stopTimeout": 2,
    }
    ecs.register_task_definition(family="sides", containerDefinitions=[container])


def paused_at(stage: str) -> dict[str, Any]:
    return {"targetType": "PAUSE", "lifecycleStages": [f"{stage}_TRAFFIC_SHIFT"]}


def pauses(shown: dict[str, Any]) -> list[str]:
    return [hook["hookId"] for hook in shown.get("lifecycleHookDetails", ()) if hook["status"] == "AWAITING_ACTION"]


def kill_the_server(house: Installation) -> None:
    state = DataDirectory(house.data).read_state()
    assert state is not None
    (pid,) = (part.pid for part in state.parts if part.name == "server")
    os.kill(pid, signal.SIGKILL)


def answered(ask: Callable[[], object]) -> bool:
    try:
        return bool(ask())
    except BotoCoreError:
        return False


def test_traffic_goes_to_the_new_tasks_and_back_without_a_failed_request(
    house: Installation, base_image: str, free_port: Callable[..., int]
) -> None:
    ecs, elb, ec2 = (house.client(name) for name in ("ecs", "elbv2", "ec2"))
    port = free_port()
    for version in ("one", "two", "three"):
        register(ecs, base_image, version)
    ecs.create_service(
        serviceName="web",
        taskDefinition="sides:1",
        desiredCount=2,
        loadBalancers=[two_sides(elb, ec2, port)],
        deploymentConfiguration={"strategy": "BLUE_GREEN", "bakeTimeInMinutes": 0, "lifecycleHooks": []},
    )

    def latest() -> dict[str, Any]:
        newest = ecs.list_service_deployments(service="web")["serviceDeployments"][0]["serviceDeploymentArn"]
        shown: dict[str, Any] = ecs.describe_service_deployments(serviceDeploymentArns=[newest])["serviceDeployments"][0]
        return shown

    until("the first deployment is done", lambda: latest()["status"] == "SUCCESSFUL")
    with Load(port) as load:
        until("answers", lambda: len(load.answers) > 50)
        ecs.update_service(service="web", taskDefinition="sides:2", deploymentConfiguration={"lifecycleHooks": [paused_at("POST_TEST")]})
        held = until("a pause", lambda: pauses(latest()))
        until("test traffic goes to the new tasks", lambda: get(port, "/preview") == "two")
        assert set(load.answers) == {"one"}
        kill_the_server(house)
        until("the server is back", lambda: answered(latest), 30)
        ecs.continue_service_deployment(serviceDeploymentArn=latest()["serviceDeploymentArn"], hookId=held[0])
        until("production traffic goes to the new tasks", lambda: set(load.answers[-20:]) == {"two"})
        until("the old tasks are gone", lambda: latest()["status"] == "SUCCESSFUL")
        ecs.update_service(
            service="web", taskDefinition="sides:3", deploymentConfiguration={"lifecycleHooks": [paused_at("POST_PRODUCTION")]}
        )
        held = until("a pause with all traffic shifted", lambda: pauses(latest()))
        until("production traffic goes to the third version", lambda: set(load.answers[-20:]) == {"three"})
        ecs.continue_service_deployment(serviceDeploymentArn=latest()["serviceDeploymentArn"], hookId=held[0], action="ROLLBACK")
        until("production traffic is back", lambda: set(load.answers[-20:]) == {"two"})
        until("the deployment is taken back", lambda: latest()["status"] == "ROLLBACK_SUCCESSFUL")
    assert load.failures == []
    assert latest()["targetServiceRevision"]["requestedProductionTrafficWeight"] == 0.0
