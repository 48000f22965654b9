"""`longshore service deploy` for real: a pushed tag goes out under load by its digest, and a broken one comes back with its last words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.integration.installation import Installation
from tests.integration.test_blue_green import house as house
from tests.integration.test_draining import Load, until

pytestmark = [pytest.mark.engine("docker", "haproxy"), pytest.mark.timeout(120)]

SERVE = (
    "[ $VERSION = broken ] && { echo cannot open the database; exit 3; }; "
    "trap 'exit 0' TERM; mkdir -p /tmp/www; echo $VERSION > /tmp/www/index.html; httpd -f -p 80 -h /tmp/www & wait"
)


def push(house: Installation, base_image: str, version: str) -> str:
    tag = f"{house.registry}/site:{version}"
    house.run("docker", "build", "-q", "-t", tag, "-", given=f"FROM {base_image}\nENV VERSION={version}\n")
    house.run("docker", "push", "-q", tag)
    return tag


def service(house: Installation, image: str, port: int) -> None:
    ecs, elb, ec2 = (house.client(name) for name in ("ecs", "elbv2", "ec2"))
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    balancer = elb.create_load_balancer(Name="site", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    checks = {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2, "HealthyThresholdCount": 2}
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = elb.create_target_group(Name="site", Protocol="HTTP", Port=80, VpcId=vpc, **checks)["TargetGroups"][0]["TargetGroupArn"]
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}]
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=delay)
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elb.create_listener(LoadBalancerArn=balancer, Protocol="HTTP", Port=port, DefaultActions=forward)
    container = {
        "name": "main",
        "image": image,
        "memory": 32,
        "command": ["sh", "-c", SERVE],
        "portMappings": [{"containerPort": 80}],
        "stopTimeout": 2,
    }
    ecs.register_task_definition(family="site", containerDefinitions=[container])
    ecs.create_service(
        serviceName="site",
        taskDefinition="site",
        desiredCount=2,
        loadBalancers=[{"targetGroupArn": group, "containerName": "main", "containerPort": 80}],
    )


def test_a_tag_goes_out_under_load_and_a_broken_one_comes_back(house: Installation, base_image: str, free_port: Callable[..., int]) -> None:
    house.client("ecr").create_repository(repositoryName="site")
    house.longshore("ecr-login", "--with", "docker")
    one, two, broken = (push(house, base_image, version) for version in ("one", "two", "broken"))
    port = free_port()
    service(house, one, port)
    try:
        with Load(port) as load:
            until("the first version answers", lambda: load.answers)
            load.failures.clear()
            said = house.longshore("service", "deploy", "site", "--image", two)
            assert f"- {one}" in said and f"+ {house.registry}/site@sha256:" in said
            assert "site runs site:2" in said and "0 of them failed" in said
            until("the second version answers", lambda: set(load.answers[-20:]) == {"two"})
            said = house.longshore("service", "deploy", "site", "--image", broken, "--timeout", "6", fails=True)
            assert "exited with 3; its last lines:" in said and "| cannot open the database" in said
            assert "site runs site:2 again" in said
            assert set(load.answers[-20:]) == {"two"}
        assert load.failures == []
        assert "site" in house.longshore("service", "list") and "site:2" in house.longshore("service", "show", "site")
        assert "It would go to" in house.longshore("explain", "service", "site")
    finally:
        for tag in (one, two, broken):
            house.run("docker", "rmi", "--force", tag)
