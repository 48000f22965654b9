"""A service behind a Classic load balancer is deployed under load, for real: on static ports, and not one request fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.installation import Installation
from tests.integration.test_draining import SERVE, Load, until
from tests.integration.test_draining import installation as installation

pytestmark = [pytest.mark.engine("docker", "haproxy"), pytest.mark.timeout(120)]


def define(ecs: Any, image: str, version: str, host_port: int) -> None:
    container = {
        "name": "main",
        "image": image,
        "memory": 32,
        "environment": [{"name": "VERSION", "value": version}],
        "command": ["sh", "-c", SERVE.replace("hostname >", "echo $VERSION >")],
        "portMappings": [{"containerPort": 80, "hostPort": host_port}],
        "stopTimeout": 2,
    }
    ecs.register_task_definition(family="site", containerDefinitions=[container])


def test_a_deployment_fails_no_request(installation: Installation, base_image: str, free_port: Callable[..., int]) -> None:
    ecs, elb = installation.client("ecs"), installation.client("elb")
    port, host_port = free_port(), free_port()
    listener = {"Protocol": "HTTP", "LoadBalancerPort": port, "InstanceProtocol": "HTTP", "InstancePort": host_port}
    elb.create_load_balancer(LoadBalancerName="site", Listeners=[listener], AvailabilityZones=["us-east-1a", "us-east-1b"])
    check = {"Target": f"HTTP:{host_port}/", "Interval": 5, "Timeout": 2, "UnhealthyThreshold": 2, "HealthyThreshold": 2}
    elb.configure_health_check(LoadBalancerName="site", HealthCheck=check)
    draining = {"ConnectionDraining": {"Enabled": True, "Timeout": 10}}
    elb.modify_load_balancer_attributes(LoadBalancerName="site", LoadBalancerAttributes=draining)
    define(ecs, base_image, "one", host_port)
    behind = {"loadBalancerName": "site", "containerName": "main", "containerPort": 80}
    halves = {"minimumHealthyPercent": 50, "maximumPercent": 100}
    ecs.create_service(serviceName="site", taskDefinition="site", desiredCount=2, loadBalancers=[behind], deploymentConfiguration=halves)

    def in_service() -> int:
        states = elb.describe_instance_health(LoadBalancerName="site")["InstanceStates"]
        return sum(1 for one in states if one["State"] == "InService")

    def told() -> list[str]:
        (service,) = ecs.describe_services(services=["site"])["services"]
        return [event["message"] for event in service["events"]]

    until("two instances in service", lambda: in_service() == 2)
    define(ecs, base_image, "two", host_port)
    with Load(port) as load:
        until("answers", lambda: len(load.answers) > 100)
        ecs.update_service(service="site", taskDefinition="site")
        until("only the second version answers", lambda: set(load.answers[-200:]) == {"two"})
        until("the deployment is completed", lambda: any("deployment completed" in line for line in told()))
    assert load.failures == []
    assert any("registered 1 instances in (elb site)" in line for line in told())
    assert any("deregistered 1 instances in (elb site)" in line for line in told())
    ecs.update_service(service="site", desiredCount=0)
    until("no instance is registered", lambda: not elb.describe_load_balancers()["LoadBalancerDescriptions"][0]["Instances"])
