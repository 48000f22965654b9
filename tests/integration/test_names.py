"""A load balancer is found by its name from its machine and from containers in every network mode, whoever shares its port."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.installation import Installation

pytestmark = [
    pytest.mark.engine("docker", "haproxy"),
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser may give the machine addresses and answer at port 53"),
]


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[..., int]) -> Iterator[Installation]:
    made = Installation(tmp_path_factory.mktemp("names"), free_port())
    made.up("--dev", "--no-tls", instances=1)
    try:
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def names(there: Installation, free_port: Callable[..., int]) -> tuple[dict[str, str], int]:
    """What two load balancers say -> their names; and the port that both listen on."""
    ec2, elb = there.client("ec2"), there.client("elbv2")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]]
    port, found = free_port(), {}
    for name in ("one", "two"):
        made = elb.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]
        says = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": f"I am {name}"}
        actions = [{"Type": "fixed-response", "FixedResponseConfig": says}]
        elb.create_listener(LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=port, DefaultActions=actions)
        found[f"I am {name}"] = made["DNSName"]
    return found, port


def until(found: Callable[[], Any], seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return value


def test_the_machine_itself_finds_them(names: tuple[dict[str, str], int]) -> None:
    def answers() -> bool:
        try:
            return all(
                urllib.request.urlopen(f"http://{name}:{names[1]}/", timeout=5).read().decode() == says for says, name in names[0].items()
            )
        except OSError:
            return False

    until(answers)


@pytest.mark.parametrize("mode", ["bridge", "host", "awsvpc"])
def test_containers_find_them(there: Installation, names: tuple[dict[str, str], int], base_image: str, mode: str) -> None:
    ecs = there.client("ecs")
    asks = "while true; do sleep 0.2; done"
    # programs of the machine, with its C library and resolver
    parts = ("/usr", "/lib", "/lib64")
    container = {
        "name": "asks",
        "image": base_image,
        "memory": 64,
        "command": ["sh", "-c", f"trap 'exit 0' TERM; {asks}"],
        "mountPoints": [{"sourceVolume": part[1:], "containerPath": part, "readOnly": True} for part in parts],
    }
    volumes = [{"name": part[1:], "host": {"sourcePath": os.path.realpath(part)}} for part in parts]
    ecs.register_task_definition(family=mode, networkMode=mode, containerDefinitions=[container], volumes=volumes)
    more: dict[str, Any] = {}
    if mode == "awsvpc":
        subnets = [subnet["SubnetId"] for subnet in there.client("ec2").describe_subnets()["Subnets"]]
        more = {"networkConfiguration": {"awsvpcConfiguration": {"subnets": subnets}}}
    arn = ecs.run_task(taskDefinition=mode, **more)["tasks"][0]["taskArn"]
    ecs.get_waiter("tasks_running").wait(tasks=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    found = there.run("docker", "ps", "-q", "--filter", f"label=com.amazonaws.ecs.task-arn={arn}", "--filter", "ancestor=" + base_image)
    (identifier,) = found.split()

    def said(command: str) -> str:
        done = subprocess.run(["docker", "exec", identifier, "sh", "-c", command], capture_output=True, text=True, timeout=20, check=False)
        return done.stdout + done.stderr

    for says, name in names[0].items():
        until(lambda name=name, says=says: says in said(f"/usr/bin/curl -s -m 5 http://{name}:{names[1]}/"))
        # below the other domain it is the same load balancer, for whoever asks for it at all
        other = name.replace(".longshore.internal", ".localhost")
        looks_up = f"import socket; print(socket.gethostbyname('{other}'))"
        assert "169.254.171." in said(f'/usr/bin/python3 -c "{looks_up}"')
    assert "NXDOMAIN" in said("nslookup nobody-0123456789abcdef.us-east-1.elb.longshore.internal")
    ecs.stop_task(task=arn)
