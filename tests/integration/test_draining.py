"""An instance is drained under load, for real: containers on Docker Engine behind HAProxy, and not one request fails."""

from __future__ import annotations

import http.client
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.installation import Installation

pytestmark = [pytest.mark.engine("docker", "haproxy"), pytest.mark.timeout(180)]

SERVE = "trap 'exit 0' TERM; mkdir -p /tmp/www; hostname > /tmp/www/index.html; httpd -f -p 80 -h /tmp/www & wait"


@pytest.fixture
def installation(tmp_path: Path, free_port: Callable[..., int], docker_url: str) -> Iterator[Installation]:
    there = Installation(tmp_path, free_port())
    there.up("--dev", "--zones", "a,b", "--no-tls", instances=2)
    yield there
    identifiers = [path.read_text() for path in tmp_path.glob("data/agents/*/instance-id")]
    there.down()
    for identifier in identifiers:
        found = subprocess.run(
            ["docker", "ps", "-aq", "--filter", f"label=longshore.instance={identifier}"], capture_output=True, text=True, check=False
        )
        if found.stdout.split():
            subprocess.run(["docker", "rm", "--force", "--volumes", *found.stdout.split()], capture_output=True, check=False)


class Load:
    """Asks over and over until it is told to stop."""

    def __init__(self, port: int, threads: int = 4) -> None:
        self._port = port
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(threads)]
        self.answers: list[str] = []
        self.failures: list[str] = []

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            try:
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read().decode().strip()
                (self.answers if answer.status == 200 else self.failures).append(body if answer.status == 200 else str(answer.status))
            except OSError as problem:
                self.failures.append(repr(problem))
            finally:
                connection.close()


def until(what: str, holds: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Waits for a condition."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = holds()
        if found:
            return found
        time.sleep(0.1)
    pytest.fail(f"not within {seconds} s: {what}")


def balanced_service(ecs: Any, elb: Any, ec2: Any, image: str, port: int) -> str:
    """A load balancer on `port` in front of a service of two tasks; the target group's ARN."""
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    balancer = elb.create_load_balancer(Name="drained", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    checks = {"HealthCheckIntervalSeconds": 5, "HealthCheckTimeoutSeconds": 2, "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 2}
    made = elb.create_target_group(Name="drained", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="instance", **checks)
    group: str = made["TargetGroups"][0]["TargetGroupArn"]
    delay = [{"Key": "deregistration_delay.timeout_seconds", "Value": "5"}]
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
    ecs.register_task_definition(family="drained", containerDefinitions=[container])
    ecs.create_service(
        serviceName="web",
        taskDefinition="drained",
        desiredCount=2,
        loadBalancers=[{"targetGroupArn": group, "containerName": "main", "containerPort": 80}],
    )
    return group


def test_a_drain_under_load_fails_no_request(installation: Installation, base_image: str, free_port: Callable[..., int]) -> None:
    ecs, elb, ec2 = (installation.client(name) for name in ("ecs", "elbv2", "ec2"))
    port = free_port()
    group = balanced_service(ecs, elb, ec2, base_image, port)

    def healthy() -> int:
        health = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        return sum(1 for one in health if one["TargetHealth"]["State"] == "healthy")

    until("two healthy targets", lambda: healthy() == 2)
    instances = ecs.describe_container_instances(containerInstances=ecs.list_container_instances()["containerInstanceArns"])
    drained = next(one["containerInstanceArn"] for one in instances["containerInstances"] if one["runningTasksCount"])

    def emptied() -> bool:
        (seen,) = ecs.describe_container_instances(containerInstances=[drained])["containerInstances"]
        return bool(seen["runningTasksCount"] == 0 and seen["pendingTasksCount"] == 0)

    with Load(port) as load:
        until("answers", lambda: len(load.answers) > 100)
        ecs.update_container_instances_state(containerInstances=[drained], status="DRAINING")
        until("nothing runs on the drained instance", emptied)
        seen = len(load.answers)
        until("answers after it", lambda: len(load.answers) > seen + 100)
    assert load.failures == []
    assert len(set(load.answers)) >= 3, "the one that went, its replacement and the one that stayed"
    (service,) = ecs.describe_services(services=["web"])["services"]
    told = [event["message"] for event in service["events"]]
    assert any("deregistered 1 targets" in line for line in told)
    until("a steady state", lambda: "steady state" in ecs.describe_services(services=["web"])["services"][0]["events"][0]["message"])
    stopped = ecs.list_tasks(desiredStatus="STOPPED")["taskArns"]
    (task,) = ecs.describe_tasks(tasks=stopped)["tasks"]
    assert "container instance is in DRAINING state" in task["stoppedReason"]
    assert task["stopCode"] == "ServiceSchedulerInitiated"
