"""Rolling deployments of a service behind a load balancer, under load: how many requests there were, and how many failed.

The service's tasks are replaced again and again, real containers by real containers, while wrk asks with connections that it
keeps; a second, slower client opens one for each request. Whatever is no 200, and whatever breaks, counts as failed.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from bench.containers import docker, push_image
from bench.installation import Client, detached, free_port, wait_until
from bench.report import Figure, Target

_LOAD_S = 120
_TASKS = 3
_LEAST_REQUESTS = 50_000
_SERVE = "mkdir -p /www && echo {version} > /www/index.html && exec httpd -f -p 80 -h /www"


def measure(rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="longshore-bench-") as name, detached(Path(name), "--instances", "2") as platform:
        image = push_image(platform, Path(name))
        client = platform.client()
        port, group = _balanced(client)
        _define(client, image, 0)
        client.ecs(
            "CreateService",
            serviceName="rolling",
            taskDefinition="rolling",
            desiredCount=_TASKS,
            loadBalancers=[{"targetGroupArn": group, "containerName": "web", "containerPort": 80}],
        )
        wait_until("the service", lambda: _deployed(client) and _get(port) == "0", every_s=0.1)
        with subprocess.Popen(
            ["wrk", "-t1", "-c8", f"-d{_LOAD_S}s", f"http://127.0.0.1:{port}/"], stdout=subprocess.PIPE, text=True
        ) as wrk:
            other = _OneByOne(port)
            began, deployments = time.monotonic(), 0
            while time.monotonic() - began < _LOAD_S - 15:
                deployments += 1
                _define(client, image, deployments)
                client.ecs("UpdateService", service="rolling", taskDefinition="rolling")
                wait_until("a deployment", lambda: _deployed(client), every_s=0.1)
            said, _ = wrk.communicate(timeout=_LOAD_S)
        other.stop()
        requests, failed = _told(said)
        client.ecs("DeleteService", service="rolling", force=True)
        yield Figure("rolling deployments under load", "", deployments)
        yield Figure("requests meanwhile", "", requests + other.requests, target=Target(">=", _LEAST_REQUESTS))
        yield Figure("requests that failed", "", failed + other.failed, target=Target("<=", 0))
    docker("rmi", "--force", image)


class _OneByOne:
    """Asks on a new connection each time, until it is stopped."""

    def __init__(self, port: int) -> None:
        self.requests = self.failed = 0
        self._port = port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        while not self._over.wait(0.005):
            self.requests += 1
            self.failed += not _get(self._port)

    def stop(self) -> None:
        self._over.set()
        self._thread.join()


def _balanced(client: Client) -> tuple[int, str]:
    """The port of a load balancer, and the target group that it forwards to."""

    def ask(operation: str, **fields: str) -> ElementTree.Element:
        return client.query("elasticloadbalancing", "2015-12-01", operation, fields)

    vpc = _texts(client.query("ec2", "2016-11-15", "DescribeVpcs", {}), "vpcId")[0]
    subnets = _texts(client.query("ec2", "2016-11-15", "DescribeSubnets", {}), "subnetId")
    made = ask("CreateLoadBalancer", **{"Name": "rolling", "Subnets.member.1": subnets[0], "Subnets.member.2": subnets[1]})
    group = _texts(ask("CreateTargetGroup", Name="rolling", Protocol="HTTP", Port="80", VpcId=vpc), "TargetGroupArn")[0]
    port = free_port()
    ask(
        "CreateListener",
        LoadBalancerArn=_texts(made, "LoadBalancerArn")[0],
        Protocol="HTTP",
        Port=str(port),
        **{"DefaultActions.member.1.Type": "forward", "DefaultActions.member.1.TargetGroupArn": group},
    )
    return port, group


def _define(client: Client, image: str, version: int) -> None:
    container = {
        "name": "web",
        "image": image,
        "cpu": 1,
        "memory": 32,
        "essential": True,
        "command": ["sh", "-c", _SERVE.format(version=version)],
        "portMappings": [{"containerPort": 80, "hostPort": 0}],
        "stopTimeout": 2,
    }
    client.ecs("RegisterTaskDefinition", family="rolling", containerDefinitions=[container])


def _deployed(client: Client) -> bool:
    deployments = client.ecs("DescribeServices", services=["rolling"])["services"][0]["deployments"]
    return len(deployments) == 1 and deployments[0]["rolloutState"] == "COMPLETED"


def _get(port: int) -> str:
    """What was answered; nothing when it was no 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        return answer.read().decode().strip() if answer.status == 200 else ""
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def _told(said: str) -> tuple[int, int]:
    """(requests, failed ones) by wrk's account."""
    total = re.search(r"(\d+) requests in", said)
    if total is None:
        raise RuntimeError(f"wrk: {said}")
    wrong = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", said)))
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
    return int(total[1]), wrong + (sum(map(int, broken.groups())) if broken else 0)


def _texts(answer: ElementTree.Element, tag: str) -> list[str]:
    return [one.text or "" for one in answer.iter() if one.tag.rpartition("}")[2] == tag]
