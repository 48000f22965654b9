"""From the death of a service's container to its replacement RUNNING, beside Docker's own `--restart always`.

The process inside the container is killed on both sides, as a crash would do it. Docker starts the same container again;
a service starts a new task: it is noticed, reported, decided about, placed, created, started and reported again. The tasks
killed have run for more than ten seconds: those that die younger count as failed starts and are retried with delays.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.containers import COMMAND, definition, docker, push_image
from bench.installation import Client, detached, wait_until
from bench.report import Figure, Target, p50

PEER = "docker run --restart always"
OLD_ENOUGH_S = 11.0


def measure(rounds: int) -> Iterator[Figure]:
    rounds = max(rounds, 5)
    with tempfile.TemporaryDirectory(prefix="longshore-bench-") as name, detached(Path(name), "--instances", "2") as platform:
        image = push_image(platform, Path(name))
        client = platform.client()
        client.ecs("RegisterTaskDefinition", **definition("bench", image))
        client.ecs("CreateService", serviceName="bench", taskDefinition="bench", desiredCount=rounds)
        wait_until("the service's tasks", lambda: len(_running(client)) == rounds)
        restarting = docker("run", "--detach", "--restart", "always", image, *COMMAND)
        time.sleep(OLD_ENOUGH_S)
        first = _running(client)
        ours, peer = [], []
        try:
            for arn in first:
                ours.append(_replacement_s(client, arn, first[arn], rounds))
                peer.append(_restart_s(restarting))
                time.sleep(OLD_ENOUGH_S)
        finally:
            docker("rm", "--force", restarting)
            client.ecs("DeleteService", service="bench", force=True)
        yield Figure("killed container to replacement RUNNING, p50", "ms", 1000 * p50(ours), 1000 * p50(peer), PEER, Target("<=", 2000))
    docker("rmi", "--force", image)


def _running(client: Client) -> dict[str, str]:
    """Task ARN -> container id of the service's running tasks."""
    arns = client.ecs("ListTasks", serviceName="bench")["taskArns"]
    if not arns:
        return {}
    tasks = client.ecs("DescribeTasks", tasks=arns)["tasks"]
    return {
        task["taskArn"]: task["containers"][0]["runtimeId"]
        for task in tasks
        if task["lastStatus"] == "RUNNING" and task["desiredStatus"] == "RUNNING"
    }


def _replacement_s(client: Client, arn: str, container: str, count: int) -> float:
    def replaced() -> bool:
        running = _running(client)
        return arn not in running and len(running) == count

    pid = _state(container)["Pid"]
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    wait_until("the replacement", replaced)
    return time.perf_counter() - began


def _restart_s(container: str) -> float:
    pid = _state(container)["Pid"]
    began = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    wait_until("the restart", lambda: _state(container)["Running"] and _state(container)["Pid"] not in (0, pid))
    return time.perf_counter() - began


def _state(container: str) -> dict[str, int]:
    found: dict[str, int] = json.loads(docker("inspect", "--format", "{{json .State}}", container))
    return found
