"""A service whose tasks have addresses of their own, with secrets from both stores, behind a load balancer: all of it real."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.installation import Installation

pytestmark = [pytest.mark.engine("docker", "haproxy"), pytest.mark.timeout(180)]

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
SERVES = (
    "trap 'exit 0' TERM; echo $PASSWORD $COLOUR $(hostname -i) > /tmp/index.html; "
    "wget -q -O /tmp/task.json $ECS_CONTAINER_METADATA_URI_V4/task; httpd -p 8080 -h /tmp; while true; do sleep 0.05; done"
)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[..., int]) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("awsvpc"), free_port())
    made.up("--dev", "--no-tls", instances=1)
    try:
        yield made
    finally:
        identifiers = [path.read_text() for path in made.data.glob("agents/*/instance-id")]
        made.down()
        for identifier in identifiers:
            found = made.run("docker", "ps", "-aq", "--filter", f"label=longshore.instance={identifier}").split()
            if found:
                made.run("docker", "rm", "--force", "--volumes", *found)


@pytest.fixture(scope="module")
def role(there: Installation) -> str:
    """An execution role that may read what lies below demo."""
    iam = there.client("iam")
    arn: str = iam.create_role(RoleName="execution", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    may = {
        "Effect": "Allow",
        "Action": ["secretsmanager:GetSecretValue", "ssm:GetParameters"],
        "Resource": ["arn:aws:secretsmanager:*:*:secret:demo-*", "arn:aws:ssm:*:*:parameter/demo/*"],
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam.put_role_policy(RoleName="execution", PolicyName="read", PolicyDocument=document)
    return arn


def network(there: Installation) -> tuple[str, list[str]]:
    """The default VPC and its subnets."""
    ec2 = there.client("ec2")
    found = ec2.describe_subnets()["Subnets"]
    return found[0]["VpcId"], [subnet["SubnetId"] for subnet in found]


def until(found: Callable[[], Any], seconds: float = 30.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return value


def test_two_tasks_with_the_same_port_share_the_traffic_and_know_their_secrets(
    there: Installation, role: str, base_image: str, free_port: Callable[..., int]
) -> None:
    ecs, elb = there.client("ecs"), there.client("elbv2")
    secret = there.client("secretsmanager").create_secret(Name="demo-login", SecretString='{"password": "hush", "user": "bob"}')["ARN"]
    there.client("ssm").put_parameter(Name="/demo/colour", Value="blue", Type="SecureString")
    vpc, subnets = network(there)
    group = elb.create_target_group(Name="own", Protocol="HTTP", Port=8080, VpcId=vpc, TargetType="ip", HealthCheckIntervalSeconds=10)
    group_arn = group["TargetGroups"][0]["TargetGroupArn"]
    balancer = elb.create_load_balancer(Name="front", Subnets=subnets)["LoadBalancers"][0]
    port = free_port()
    forward = [{"Type": "forward", "TargetGroupArn": group_arn}]
    elb.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=port, DefaultActions=forward)
    container = {
        "name": "web",
        "image": base_image,
        "memory": 32,
        "command": ["sh", "-c", SERVES],
        "portMappings": [{"containerPort": 8080}],
        "secrets": [{"name": "PASSWORD", "valueFrom": f"{secret}:password::"}, {"name": "COLOUR", "valueFrom": "/demo/colour"}],
    }
    ecs.register_task_definition(family="own", networkMode="awsvpc", executionRoleArn=role, containerDefinitions=[container])
    configuration = {"awsvpcConfiguration": {"subnets": subnets}}
    ecs.create_service(
        serviceName="own",
        taskDefinition="own",
        desiredCount=2,
        networkConfiguration=configuration,
        loadBalancers=[{"targetGroupArn": group_arn, "containerName": "web", "containerPort": 8080}],
    )
    ecs.get_waiter("services_stable").wait(services=["own"], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    tasks = ecs.describe_tasks(tasks=ecs.list_tasks(serviceName="own")["taskArns"])["tasks"]
    addresses = {task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] for task in tasks}
    assert len(addresses) == 2 and all(task["attachments"][0]["status"] == "ATTACHED" for task in tasks)
    health = elb.describe_target_health(TargetGroupArn=group_arn)["TargetHealthDescriptions"]
    assert {one["Target"]["Id"] for one in health} == addresses
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": balancer["DNSName"]})
    answers = {urllib.request.urlopen(request, timeout=10).read().decode().strip() for _ in range(8)}
    assert answers == {f"hush blue {address}" for address in addresses}
    for address in addresses:
        told = json.loads(urllib.request.urlopen(f"http://{address}:8080/task.json", timeout=10).read())
        assert [one["Name"] for one in told["Containers"]] == ["web"]
        assert told["Containers"][0]["Networks"][0]["NetworkMode"] == "awsvpc"
        assert told["Containers"][0]["Networks"][0]["IPv4Addresses"] == [address]
    ecs.delete_service(service="own", force=True)
    arns = [task["taskArn"] for task in tasks]
    until(lambda: all(task["lastStatus"] == "STOPPED" for task in ecs.describe_tasks(tasks=arns)["tasks"]), 60.0)
    for address in addresses:
        with pytest.raises(OSError):
            socket.create_connection((address, 8080), timeout=2)


@pytest.mark.parametrize(
    ("value_from", "words"),
    [
        ("arn:aws:secretsmanager:us-east-1:000000000000:secret:demo-nothing-abcdef", "unable to retrieve secret from asm"),
        ("/demo/nothing", "invalid ssm parameters: /demo/nothing"),
        ("/other/parameter", "unable to retrieve secret from ssm: AccessDeniedException"),
    ],
)
def test_a_secret_that_cannot_be_had_stops_its_task_and_says_why(
    there: Installation, role: str, base_image: str, value_from: str, words: str
) -> None:
    ecs = there.client("ecs")
    container = {"name": "web", "image": base_image, "memory": 32, "secrets": [{"name": "PASSWORD", "valueFrom": value_from}]}
    ecs.register_task_definition(family="sealed", executionRoleArn=role, containerDefinitions=[container])
    (task,) = ecs.run_task(taskDefinition="sealed")["tasks"]

    def stopped() -> Any:
        (shown,) = ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
        return shown if shown["lastStatus"] == "STOPPED" else None

    shown = until(stopped)
    assert shown["stopCode"] == "TaskFailedToStart"
    assert shown["stoppedReason"].startswith("ResourceInitializationError: unable to pull secrets or registry auth: ")
    assert words in shown["stoppedReason"]


def test_no_secret_lies_on_the_disk_or_in_a_log(there: Installation, role: str, base_image: str) -> None:
    """Of those that the tests above fetched, and of one more, so that it holds for this one alone, too."""
    ecs = there.client("ecs")
    there.client("ssm").put_parameter(Name="/demo/token", Value="hush", Type="SecureString", Overwrite=True)
    told = {"name": "web", "image": base_image, "memory": 32, "command": ["sh", "-c", 'test "$PASSWORD" = "$(printf hu)sh"']}
    ecs.register_task_definition(
        family="told", executionRoleArn=role, containerDefinitions=[told | {"secrets": [{"name": "PASSWORD", "valueFrom": "/demo/token"}]}]
    )
    (task,) = ecs.run_task(taskDefinition="told")["tasks"]

    def ended() -> Any:
        (shown,) = ecs.describe_tasks(tasks=[task["taskArn"]])["tasks"]
        return shown if shown["lastStatus"] == "STOPPED" else None

    assert until(ended)["containers"][0]["exitCode"] == 0, "it got the secret"
    found = [path for path in there.data.rglob("*") if path.is_file() and b"hush" in Path(path).read_bytes()]
    assert found == []
