"""Requests per second of the API beside moto_server: 16 kept connections, signatures checked, store durable.

Both sides get the same little world through the same boto3 calls, and then the same signed bytes from wrk, in turns. Longshore
checks each signature and policy and writes each change to disk before it answers; moto does neither. ListTasks is measured
before RunTask fills the cluster.

RunTask is measured twice. What the API answers is measured while the simulated container instances are held (stopped by a
signal), as moto has none at all; afterwards they are let go and work their tasks off. The second figure is taken with the
instances at work on the same processors: they start each task, in memory, and report it back meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from bench.installation import ECS_TARGET, REGION, Running, free_port, signature, simulated, wait_until
from bench.moto import NAME as PEER
from bench.moto import moto
from bench.report import Figure, Target, p50
from longshore.config import Credentials

CONNECTIONS = 16
SECONDS = 2
TASKS = 90
INSTANCES = 3
TARGETS_PER_INSTANCE = 3
JSON_TYPE = "application/x-amz-json-1.1"
FORM_TYPE = "application/x-www-form-urlencoded; charset=utf-8"

DEFINITION: dict[str, Any] = {
    "family": "bench",
    "containerDefinitions": [
        {
            "name": "web",
            "image": "web:1",
            "cpu": 1,
            "memory": 6,
            "essential": True,
            "portMappings": [{"containerPort": 80}],
            "environment": [{"name": f"SETTING_{number}", "value": "a value of some length"} for number in range(8)],
            "command": ["serve", "--port", "80"],
        }
    ],
}

_SCRIPT = """\
wrk.method = "POST"
wrk.path = "/"
wrk.body = %s
%s
local refused = 0
done = function(summary, latency, requests)
    local errors = summary.errors
    io.write(string.format('\\n{"requests": %%d, "us": %%d, "p50_us": %%d, "p99_us": %%d, "refused": %%d, "broken": %%d}\\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), errors.status,
        errors.connect + errors.read + errors.write + errors.timeout))
end
"""


@dataclass(frozen=True, slots=True)
class Request:
    """An API call as it goes over the wire, unsigned."""

    service: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Rounds:
    """What wrk saw, a value per round."""

    rate: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Side:
    endpoint: str
    credentials: Credentials
    target_group: str

    def requests(self) -> dict[str, Request]:
        return {
            "ecs DescribeClusters": _ecs("DescribeClusters", {"clusters": ["default"]}),
            "ecs ListTasks": _ecs("ListTasks", {"cluster": "default"}),
            "elbv2 DescribeTargetHealth": _elbv2("DescribeTargetHealth", {"TargetGroupArn": self.target_group}),
            "ecs RegisterTaskDefinition": _ecs("RegisterTaskDefinition", {**DEFINITION, "family": "registered"}),
            "ecs RunTask": _ecs("RunTask", {"cluster": "default", "taskDefinition": "bench:1"}),
        }


RUN_TASK = "ecs RunTask"
TARGETS = {
    "ecs DescribeClusters": Target("ratio >=", 25),
    "ecs ListTasks": Target("ratio >=", 25),
    "elbv2 DescribeTargetHealth": Target("ratio >=", 25),
    "ecs RegisterTaskDefinition": Target("ratio >=", 15),
    RUN_TASK: Target("ratio >=", 15),
}


def measure(rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="longshore-bench-") as name:
        directory = Path(name)
        with simulated(directory / "longshore", INSTANCES) as platform, moto(directory / "moto") as mock:
            ours = Side(platform.endpoint, platform.credentials, _furnish(platform.endpoint, platform.credentials, None))
            peer_keys = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
            peer = Side(mock.endpoint, peer_keys, _furnish(mock.endpoint, peer_keys, _mock_instances(mock.endpoint, peer_keys)))
            _settle(platform)
            for what, target in TARGETS.items():
                found, beside, busy = Rounds(), Rounds(), Rounds()
                for _ in range(rounds):
                    with _held_instances(platform):
                        _load(ours, ours.requests()[what], found, directory)
                    _settle(platform)
                    _load(peer, peer.requests()[what], beside, directory)
                    if what == RUN_TASK:
                        _load(ours, ours.requests()[what], busy, directory)
                        _settle(platform)
                yield from _figures(what, found, beside, target)
                if what == RUN_TASK:
                    yield from _figures("the same, instances at work", busy, beside, None)


def _figures(what: str, ours: Rounds, peer: Rounds, target: Target | None) -> Iterator[Figure]:
    yield Figure(f"{what}, requests", "/s", p50(ours.rate), p50(peer.rate), PEER, target)
    yield Figure(f"{what}, p50", "ms", p50(ours.p50_ms), p50(peer.p50_ms), PEER)
    yield Figure(f"{what}, p99", "ms", p50(ours.p99_ms), p50(peer.p99_ms), PEER)


@contextlib.contextmanager
def _held_instances(platform: Running) -> Iterator[None]:
    state = platform.data.read_state()
    assert state is not None
    agents = [part.pid for part in state.parts if part.name.startswith("agent-")]
    for pid in agents:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in agents:
            os.kill(pid, signal.SIGCONT)


def _load(side: Side, request: Request, rounds: Rounds, directory: Path) -> None:
    """One run of wrk, signed anew: a signature is good for some minutes."""
    host = urllib.parse.urlsplit(side.endpoint).netloc
    headers = {"Host": host, **request.headers}
    headers |= signature(headers, request.body, side.credentials, request.service)
    lines = [f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers.items()]
    script = directory / "load.lua"
    script.write_text(_SCRIPT % (json.dumps(request.body.decode()), "\n".join(lines)))
    command = ["wrk", "-t", "1", "-c", str(CONNECTIONS), "-d", f"{SECONDS}s", "--timeout", "10s", "-s", str(script), f"{side.endpoint}/"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    if seen["refused"] or seen["broken"]:
        raise RuntimeError(f"{request.headers.get('X-Amz-Target', request.body)}: {seen}: these figures would mean nothing")
    rounds.rate.append(seen["requests"] / (seen["us"] / 1e6))
    rounds.p50_ms.append(seen["p50_us"] / 1000)
    rounds.p99_ms.append(seen["p99_us"] / 1000)


def _settle(platform: Running) -> None:
    """Until every task has been started and reported, so that the peer has the machine to itself."""
    client = platform.client()

    def quiet() -> bool:
        return client.ecs("DescribeClusters", clusters=["default"])["clusters"][0]["pendingTasksCount"] == 0

    wait_until("simulated tasks to run", quiet, timeout_s=180, every_s=0.1)
    client.close()


def _ecs(operation: str, request: dict[str, Any]) -> Request:
    return Request("ecs", {"Content-Type": JSON_TYPE, "X-Amz-Target": f"{ECS_TARGET}.{operation}"}, json.dumps(request).encode())


def _elbv2(operation: str, request: dict[str, str]) -> Request:
    body = urllib.parse.urlencode({"Action": operation, "Version": "2015-12-01", **request}).encode()
    return Request("elasticloadbalancing", {"Content-Type": FORM_TYPE}, body)


# ── the little world on both sides ──


def _client(service: str, endpoint: str, credentials: Credentials) -> Any:
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        config=Config(retries={"max_attempts": 1}, read_timeout=60),
    )


def _mock_instances(endpoint: str, credentials: Credentials) -> list[str]:
    """Container instances of moto: EC2 instances whose documents are registered by us, since it has no agents."""
    ec2, ecs = _client("ec2", endpoint, credentials), _client("ecs", endpoint, credentials)
    ecs.create_cluster(clusterName="default")
    image = ec2.describe_images()["Images"][0]["ImageId"]
    ids = [found["InstanceId"] for found in ec2.run_instances(ImageId=image, MinCount=INSTANCES, MaxCount=INSTANCES)["Instances"]]
    for instance_id in ids:
        document = json.dumps({"instanceId": instance_id, "region": REGION, "availabilityZone": f"{REGION}a"})
        ecs.register_container_instance(cluster="default", instanceIdentityDocument=document, instanceIdentityDocumentSignature="none")
    return ids


def _furnish(endpoint: str, credentials: Credentials, instance_ids: list[str] | None) -> str:
    """A task definition, TASKS running tasks, and a target group behind a listener with targets on every instance: its ARN."""
    ecs, ec2, elbv2 = (_client(name, endpoint, credentials) for name in ("ecs", "ec2", "elbv2"))
    if instance_ids is None:
        arns = ecs.list_container_instances(cluster="default")["containerInstanceArns"]
        found = ecs.describe_container_instances(cluster="default", containerInstances=arns)["containerInstances"]
        instance_ids = [instance["ec2InstanceId"] for instance in found]
    ecs.register_task_definition(**DEFINITION)
    for _ in range(TASKS // 10):
        answer = ecs.run_task(cluster="default", taskDefinition="bench:1", count=10)
        if len(answer["tasks"]) != 10:
            raise RuntimeError(f"{endpoint} started {len(answer['tasks'])} tasks of 10: {answer['failures']}")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    balancer = elbv2.create_load_balancer(Name="bench", Subnets=[subnet["SubnetId"] for subnet in subnets[:2]])["LoadBalancers"][0]
    group = elbv2.create_target_group(Name="bench", Protocol="HTTP", Port=80, VpcId=vpc, TargetType="instance")["TargetGroups"][0]
    arn: str = group["TargetGroupArn"]
    elbv2.create_listener(
        LoadBalancerArn=balancer["LoadBalancerArn"],
        Protocol="HTTP",
        Port=free_port(),
        DefaultActions=[{"Type": "forward", "TargetGroupArn": arn}],
    )
    targets = [{"Id": each, "Port": 10 + number} for each in instance_ids for number in range(TARGETS_PER_INSTANCE)]
    elbv2.register_targets(TargetGroupArn=arn, Targets=targets)
    return arn
