"""A fleet that everything happens to at once: deployments, drains, kills of the server, of agents, of HAProxy, of Docker Engine and
of containers, a cable that is pulled. When it ends, what is wanted runs, once, and nothing else does.

`make chaos` does it for ten minutes (LONGSHORE_CHAOS_S says how long). Docker Engine is one of the test's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests import engines
from tests.chaos.far_agent import FarAgent
from tests.chaos.fleet_load import SERVICES, FleetLoad
from tests.chaos.private_engine import PrivateEngine
from tests.integration.installation import Installation

pytestmark = [
    pytest.mark.engine("docker", "dockerd", "haproxy", "ip"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a Docker Engine and a network namespace of its own need root"),
]
#: in so many seconds every kind of deed is done
LONG_S = 240.0
LOAD_S = float(os.environ.get("LONGSHORE_CHAOS_S", "25"))
#: for everything to come to rest once nothing disturbs it any more
PATIENCE_S = 150.0
NUMBER = 77
LISTENER_PORT = 28377


class Stage:
    """The platform, its engine and the agent that is far away."""

    def __init__(self, directory: Path, port: int) -> None:
        self.engine = PrivateEngine(directory / "engine", NUMBER)
        self.far = FarAgent(directory / "far", NUMBER)
        self.home = Installation(
            directory, port, host=self.far.host_address, environment={"DOCKER_HOST": self.engine.url, "LONGSHORE_INSECURE": "1"}
        )

    def set_up(self) -> None:
        self.engine.start()
        engines.base_image(self.engine.url)
        self.far.lay_cable()
        self.home.up("--zones", "a,b,c", "--dev", instances=2)
        self.start_far()

    def start_far(self) -> None:
        told = self.home.variables()
        keys = {name: told[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")}
        size = ("--cpu", "1024", "--memory", "1024")
        self.far.start(told["AWS_ENDPOINT_URL"], self.home.environment | keys, "--zone", "us-east-1c", "--address", "127.0.1.77", *size)

    def take_down(self) -> None:
        self.far.remove()
        subprocess.run(
            [str(Path(sys.executable).parent / "longshore"), "down"],
            env=self.home.environment,
            check=False,
            capture_output=True,
            timeout=90,
        )
        self.engine.remove()


@pytest.fixture
def stage(tmp_path: Path, free_port: Callable[..., int]) -> Iterator[Stage]:
    made = Stage(tmp_path, free_port())
    try:
        made.set_up()
        yield made
    finally:
        made.take_down()


def balanced(home: Installation) -> str:
    """The ARN of a target group behind a listener."""
    elbv2, ec2 = home.client("elbv2"), home.client("ec2")
    subnets = [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2]
    balancer = elbv2.create_load_balancer(Name="chaos", Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
    group: str = elbv2.create_target_group(
        Name="chaos",
        Protocol="HTTP",
        Port=80,
        VpcId=ec2.describe_vpcs()["Vpcs"][0]["VpcId"],
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    elbv2.modify_target_group_attributes(TargetGroupArn=group, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "1"}])
    elbv2.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTP", Port=LISTENER_PORT, DefaultActions=[{"Type": "forward", "TargetGroupArn": group}]
    )
    return group


@pytest.mark.timeout(int(LOAD_S + PATIENCE_S) + 180)
def test_what_is_wanted_runs_once_and_nothing_else_after_everything_happened(stage: Stage) -> None:
    load = FleetLoad(
        stage.home, stage.engine, stage.far, stage.start_far, seed=int(os.environ.get("LONGSHORE_CHAOS_SEED", "1")),
        target_group=balanced(stage.home),
    )  # fmt: skip
    load.create()
    load.run_for(LOAD_S)
    print(f"{sum(load.counts.values())} deeds: {dict(load.counts)}; {load.unanswered} were not answered, {load.undone} had nothing there")
    settle(stage, load)
    assert not load.over_committed
    events_agree(stage)
    wanted = load.kinds if LOAD_S >= LONG_S else ["kill_server", "restart_the_engine"]
    assert all(load.counts[kind] for kind in wanted), load.counts


def settle(stage: Stage, load: FleetLoad) -> None:
    """Everything is asked for again where it was left; then what is wanted must come about."""
    ecs = stage.home.client("ecs")
    deadline = time.monotonic() + PATIENCE_S
    why = "nothing was looked at"
    activated = False
    while why:
        assert time.monotonic() < deadline, f"{why}\n{told(ecs)}"
        time.sleep(0.5)
        try:
            if not activated:
                load.activate()
                activated = True
            why = unrest(stage, ecs)
        except (BotoCoreError, ClientError) as error:
            why = repr(error)


def unrest(stage: Stage, ecs: Any) -> str:
    """What is not as it is wanted; "" when everything is."""
    for service in ecs.describe_services(services=list(SERVICES))["services"]:
        name, wanted = service["serviceName"], service["desiredCount"]
        if (service["runningCount"], service["pendingCount"]) != (wanted, 0):
            return f"{name}: {service['runningCount']} running, {service['pendingCount']} pending, {wanted} wanted"
        if len(service["deployments"]) != 1:
            return f"{name}: {len(service['deployments'])} deployments"
    tasks = all_tasks(ecs)
    moving = [task["taskArn"] for task in tasks if task["lastStatus"] != "RUNNING"]
    if moving:
        return f"{len(moving)} tasks are not RUNNING: {moving[0]}"
    known = {container["runtimeId"]: task["taskArn"] for task in tasks for container in task["containers"]}
    running = {container["Id"]: container["Labels"].get("com.amazonaws.ecs.task-arn", "") for container in own(stage.engine.containers())}
    if orphans := running.keys() - known.keys():
        return f"containers that no task knows: {[(one[:12], running[one]) for one in orphans]}"
    if missing := known.keys() - running.keys():
        return f"tasks whose containers do not run: {[known[one] for one in missing]}"
    twice = [arn for arn, count in Counter(running.values()).items() if count > 1]
    return f"tasks that run twice: {twice}" if twice else ""


def events_agree(stage: Stage) -> None:
    """Of each version of a resource at most one event, in order, and the last tells of what there is now."""
    ecs = stage.home.client("ecs")
    deadline = time.monotonic() + 10
    while True:
        last: dict[str, int] = {}
        for line in stage.home.longshore("events", "--since", "2h", "-o", "json").splitlines():
            event = json.loads(line)
            (arn,), version = event["resources"], event["detail"].get("version")
            if version is not None:
                assert version > last.get(arn, 0), f"{arn}: version {version} is told after version {last[arn]}"
                last[arn] = version
        shown = {task["taskArn"]: task["version"] for task in all_tasks(ecs)}
        instances = ecs.list_container_instances()["containerInstanceArns"]
        for instance in ecs.describe_container_instances(containerInstances=instances)["containerInstances"]:
            shown[instance["containerInstanceArn"]] = instance["version"]
        differing = {arn: (version, last.get(arn)) for arn, version in shown.items() if last.get(arn) != version}
        if not differing:
            return
        assert time.monotonic() < deadline, f"(shown, told): {differing}"
        time.sleep(0.5)


def own(containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of task definitions: an agent may have others that hold a task's network."""
    return [container for container in containers if container["Labels"].get("com.amazonaws.ecs.container-name") == "work"]


def all_tasks(ecs: Any) -> list[dict[str, Any]]:
    arns = ecs.list_tasks()["taskArns"]
    found: list[dict[str, Any]] = ecs.describe_tasks(tasks=arns)["tasks"] if arns else []
    return found


def told(ecs: Any) -> str:
    """The newest events of each service: what the platform says of itself."""
    lines = []
    for service in ecs.describe_services(services=list(SERVICES))["services"]:
        lines += [f"{event['createdAt']:%H:%M:%S} {event['message']}" for event in service["events"][:8]]
    return "\n".join(lines)
