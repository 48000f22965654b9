"""Services beside Docker Swarm's on the same Docker Engine: replicas started, a rolling update under load, a killed container.

Both sides run the same image with the same command. Swarm is given its best case: the image is there and not looked up, no
network is asked for where none is needed, and what dies is started again at once (its default is to wait five seconds). Both
sides are watched through their APIs every few milliseconds. A machine that is part of a swarm already is left alone.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import statistics
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3

from bench.containers import COMMAND, docker, push_image
from bench.installation import REGION, Client, Running, detached, wait_until
from bench.report import Figure, Target, p50
from tests import engines

PEER = "docker service"
REPLICAS = 30
ROLLED = 10
#: tasks that die younger count as failed starts and are retried with delays
OLD_ENOUGH_S = 11.0
#: a web server that finishes what it has begun when it is told to stop
SERVE = "mkdir -p /www && echo {word} > /www/index.html && httpd -f -p 80 -h /www & trap 'sleep 1; exit 0' TERM; wait"
POLL_S = 0.01


def measure(rounds: int) -> Iterator[Figure]:
    rounds = max(rounds, 3)
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="longshore-bench-")))
        stack.enter_context(_swarm())
        platform = stack.enter_context(detached(directory, "--instances", "2", "--zones", "a,b", "--dev"))
        image = push_image(platform, directory)
        stack.callback(lambda: docker("rmi", "--force", image))
        client = platform.client()
        yield from _replicas(client, image, rounds)
        yield from _replacement(client, image, rounds)
        yield from _rolling(platform, client, image)


@contextlib.contextmanager
def _swarm() -> Iterator[None]:
    if docker("info", "--format", "{{.Swarm.LocalNodeState}}") != "inactive":
        raise SystemExit("bench: Docker Engine is part of a swarm already; this benchmark makes one of its own and leaves it again")
    docker("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1:2377")
    try:
        yield
    finally:
        docker("swarm", "leave", "--force")


# ── replicas ──


def _replicas(client: Client, image: str, rounds: int) -> Iterator[Figure]:
    client.ecs("RegisterTaskDefinition", **_definition("swarm-replicas", image, COMMAND))
    ours, peer = [], []
    for number in range(rounds):
        ours.append(_our_replicas(client, f"replicas-{number}"))
        peer.append(_their_replicas(image, f"bench-replicas-{number}"))
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, peer, strict=True))
    yield Figure(f"{REPLICAS} replicas, all RUNNING", "s", p50(ours), p50(peer), PEER, Target("ratio <=", 1.0), of_rounds=ratio)


def _our_replicas(client: Client, name: str) -> float:
    began = time.perf_counter()
    client.ecs("CreateService", serviceName=name, taskDefinition="swarm-replicas", desiredCount=REPLICAS)
    wait_until("our replicas", lambda: _running_count(client, name) == REPLICAS, every_s=POLL_S)
    spent = time.perf_counter() - began
    _gone(client, name)
    return spent


def _running_count(client: Client, name: str) -> int:
    found: int = client.ecs("DescribeServices", services=[name])["services"][0]["runningCount"]
    return found


def _gone(client: Client, name: str) -> None:
    client.ecs("DeleteService", service=name, force=True)
    wait_until("the service's end", lambda: _is_inactive(client, name), every_s=0.05)


def _is_inactive(client: Client, name: str) -> bool:
    return bool(client.ecs("DescribeServices", services=[name])["services"][0]["status"] == "INACTIVE")


def _their_replicas(image: str, name: str) -> float:
    began = time.perf_counter()
    _create(name, image, REPLICAS, COMMAND)
    wait_until("their replicas", lambda: len(_their_running(name)) == REPLICAS, every_s=POLL_S)
    spent = time.perf_counter() - began
    _remove(name)
    return spent


def _create(name: str, image: str, replicas: int, command: list[str], *options: str) -> None:
    settings = ("--detach", "--quiet", "--no-resolve-image", "--name", name, "--replicas", str(replicas), "--stop-grace-period", "5s")
    limits = ("--limit-memory", "16m", "--restart-condition", "any", "--restart-delay", "0s")
    docker("service", "create", *settings, *limits, *options, image, *command)


def _remove(name: str) -> None:
    docker("service", "rm", name)
    label = urllib.parse.quote(json.dumps({"label": [f"com.docker.swarm.service.name={name}"]}))
    wait_until("their end", lambda: not _engine(f"/containers/json?all=1&filters={label}"), timeout_s=90, every_s=0.1)


def _their_running(name: str) -> dict[str, str]:
    """Task id -> container id."""
    wanted = urllib.parse.quote(json.dumps({"service": [name], "desired-state": ["running"]}))
    return {
        task["ID"]: task["Status"]["ContainerStatus"]["ContainerID"]
        for task in _engine(f"/tasks?filters={wanted}")
        if task["Status"]["State"] == "running"
    }


def _engine(path: str) -> Any:
    status, body = engines.docker_request("GET", path)
    if status != 200:
        raise RuntimeError(f"Docker Engine: {status} {body.decode(errors='replace')}")
    return json.loads(body)


# ── a killed container ──


def _replacement(client: Client, image: str, rounds: int) -> Iterator[Figure]:
    client.ecs("CreateService", serviceName="killed", taskDefinition="swarm-replicas", desiredCount=2)
    _create("bench-killed", image, 2, COMMAND)
    wait_until("both services", lambda: len(_our_running(client, "killed")) == 2 and len(_their_running("bench-killed")) == 2)
    ours, peer = [], []
    try:
        for _ in range(max(rounds, 5)):
            time.sleep(OLD_ENOUGH_S)
            ours.append(_until_replaced(lambda: _our_running(client, "killed")))
            peer.append(_until_replaced(lambda: _their_running("bench-killed")))
    finally:
        _gone(client, "killed")
        _remove("bench-killed")
    yield Figure("killed container to replacement RUNNING, p50", "ms", 1000 * p50(ours), 1000 * p50(peer), PEER, Target("ratio <=", 1.0))


def _our_running(client: Client, name: str) -> dict[str, str]:
    arns = client.ecs("ListTasks", serviceName=name)["taskArns"]
    tasks = client.ecs("DescribeTasks", tasks=arns)["tasks"] if arns else []
    return {
        task["taskArn"]: task["containers"][0]["runtimeId"]
        for task in tasks
        if task["lastStatus"] == "RUNNING" and task["desiredStatus"] == "RUNNING"
    }


def _until_replaced(running: Callable[[], dict[str, str]]) -> float:
    before = running()
    victim, container = next(iter(before.items()))
    pid = _engine(f"/containers/{container}/json")["State"]["Pid"]

    def replaced() -> bool:
        now = running()
        return victim not in now and len(now) == len(before)

    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    wait_until("the replacement", replaced, every_s=POLL_S)
    return time.perf_counter() - began


# ── a rolling update under load ──


@dataclass
class Load:
    """Clients that ask one after the other over new connections, and count what goes wrong."""

    port: int
    #: the name that is asked for, on a port that others may share
    name: str
    asked: int = 0
    failed: list[str] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, clients: int = 4) -> None:
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Raises RuntimeError when a client ended by itself: then nobody knows what it would have met."""
        lost = [thread for thread in self._threads if not thread.is_alive()]
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
        if lost or not self.asked:
            raise RuntimeError(f"{len(lost)} of {len(self._threads)} clients ended by themselves; {self.asked} requests were made")

    def _ask(self) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            self.asked += 1
            try:
                connection.request("GET", "/", headers={"Host": self.name})
                answer = connection.getresponse()
                self.words.add(answer.read().decode().strip())
                if answer.status != 200:
                    self.failed.append(str(answer.status))
            except OSError as error:
                self.failed.append(repr(error))
            except http.client.HTTPException as error:
                self.failed.append(repr(error))
            finally:
                connection.close()
            time.sleep(0.002)


def _rolling(platform: Running, client: Client, image: str) -> Iterator[Figure]:
    balancing = Balancing.make(platform)
    for word in ("one", "two"):
        client.ecs("RegisterTaskDefinition", **_definition("swarm-web", image, ["sh", "-c", SERVE.format(word=word)], port=80))
    client.ecs(
        "CreateService",
        serviceName="rolled",
        taskDefinition="swarm-web:1",
        desiredCount=ROLLED,
        loadBalancers=[{"targetGroupArn": balancing.target_group, "containerName": "work", "containerPort": 80}],
    )
    wait_until("our web service", lambda: balancing.healthy() == ROLLED, timeout_s=120, every_s=0.1)
    ours, our_s = _our_roll(client, balancing)
    _gone(client, "rolled")
    theirs, their_s = _their_roll(image)
    what = f"rolling update of {ROLLED} under load"
    reached = len(theirs.failed) < theirs.asked
    if not reached:
        print("   Swarm's published port answers nobody on this machine (its mesh needs the kernel's IPVS): no figures of its requests")
    failed, asked = (len(theirs.failed), theirs.asked) if reached else (None, None)
    yield Figure(f"{what}: requests failed", "", len(ours.failed), failed, PEER, Target("<=", 0))
    yield Figure(f"{what}: requests made", "", ours.asked, asked, PEER)
    yield Figure(f"{what}: time", "s", our_s, their_s, PEER)


def _our_roll(client: Client, balancing: Balancing) -> tuple[Load, float]:
    load = Load(balancing.port, balancing.name)
    load.start()

    def done() -> bool:
        deployments = client.ecs("DescribeServices", services=["rolled"])["services"][0]["deployments"]
        return len(deployments) == 1 and deployments[0]["rolloutState"] == "COMPLETED"

    began = time.perf_counter()
    client.ecs("UpdateService", service="rolled", taskDefinition="swarm-web:2")
    wait_until("our update", done, timeout_s=180, every_s=0.05)
    spent = time.perf_counter() - began
    load.stop()
    return load, spent


def _their_roll(image: str) -> tuple[Load, float]:
    """Start-first, as ours starts new ones before it stops old ones; ten at once, as maximumPercent 200 allows."""
    port = 28080
    options = ("--publish", f"published={port},target=80", "--update-order", "start-first", "--update-parallelism", str(ROLLED))
    check = ("--health-cmd", "wget -q -O /dev/null http://127.0.0.1/", "--health-interval", "1s")
    _create("bench-rolled", image, ROLLED, ["sh", "-c", SERVE.format(word="one")], *options, *check)
    wait_until("their web service", lambda: len(_their_running("bench-rolled")) == ROLLED, timeout_s=120, every_s=0.1)
    load = Load(port, "127.0.0.1")
    load.start()
    began = time.perf_counter()
    docker("service", "update", "--detach", "--quiet", "--no-resolve-image", "--args", f"sh -c '{_quoted('two')}'", "bench-rolled")

    def done() -> bool:
        state = (_engine("/services/bench-rolled").get("UpdateStatus") or {}).get("State")
        return bool(state == "completed")

    try:
        wait_until("their update", done, timeout_s=180, every_s=0.05)
        return load, time.perf_counter() - began
    finally:
        load.stop()
        _remove("bench-rolled")


def _quoted(word: str) -> str:
    return SERVE.format(word=word).replace("'", "'\\''")


@dataclass
class Balancing:
    """A load balancer of ours with one listener that forwards to one target group."""

    elbv2: Any
    target_group: str
    name: str
    port: int

    @classmethod
    def make(cls, platform: Running) -> Balancing:
        keys = platform.credentials
        settings = {"aws_access_key_id": keys.access_key_id, "aws_secret_access_key": keys.secret_access_key}
        elbv2 = boto3.client("elbv2", endpoint_url=platform.endpoint, region_name=REGION, **settings)
        ec2 = boto3.client("ec2", endpoint_url=platform.endpoint, region_name=REGION, **settings)
        subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
        vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        balancer = elbv2.create_load_balancer(Name="bench", Subnets=subnets)["LoadBalancers"][0]
        group = elbv2.create_target_group(
            Name="bench",
            Protocol="HTTP",
            Port=80,
            VpcId=vpc,
            HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2,
            HealthyThresholdCount=2,
        )["TargetGroups"][0]["TargetGroupArn"]
        elbv2.modify_target_group_attributes(
            TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "2"}]
        )
        actions = [{"Type": "forward", "TargetGroupArn": group}]
        elbv2.create_listener(LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=28081, DefaultActions=actions)
        made = cls(elbv2, group, balancer["DNSName"], 28081)
        wait_until("the listener", made.listens, every_s=0.05)
        return made

    def listens(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/", headers={"Host": self.name})
            return connection.getresponse().status == 503
        except OSError:
            return False
        finally:
            connection.close()

    def healthy(self) -> int:
        found = self.elbv2.describe_target_health(TargetGroupArn=self.target_group)["TargetHealthDescriptions"]
        return sum(1 for target in found if target["TargetHealth"]["State"] == "healthy")


def _definition(family: str, image: str, command: list[str], port: int = 0) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "work",
        "image": image,
        "cpu": 1,
        "memory": 16,
        "essential": True,
        "command": command,
        "stopTimeout": 5,
    }
    if port:
        container["portMappings"] = [{"containerPort": port}]
    return {"family": family, "containerDefinitions": [container]}
