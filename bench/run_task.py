"""From RunTask to RUNNING with the image present, beside `docker run -d` of the same image: one at a time, and 20 at once."""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.containers import COMMAND, definition, docker, push_image
from bench.installation import Client, Running, detached, wait_until
from bench.report import Figure, Target, p50

PEER = "docker run -d"
AT_ONCE = 20
PER_CALL = 10


def measure(rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="longshore-bench-") as name, detached(Path(name)) as platform:
        image = push_image(platform, Path(name))
        client = platform.client()
        client.ecs("RegisterTaskDefinition", **definition("bench", image))
        _one(client)
        ours, peer = [], []
        for _ in range(4 * rounds):
            ours.append(_one(client))
            peer.append(_docker_one(image))
        yield Figure("RunTask to RUNNING, p50", "ms", 1000 * p50(ours), 1000 * p50(peer), PEER, Target("ratio <=", 1.5))
        ours, peer = [], []
        for _ in range(rounds):
            ours.append(_many(platform, client))
            peer.append(_docker_many(image))
        yield Figure(f"{AT_ONCE} tasks at once, all RUNNING", "s", p50(ours), p50(peer), f"{AT_ONCE} x {PEER}", Target("ratio <=", 1.1))
        docker("rmi", "--force", image)


def _one(client: Client) -> float:
    began = time.perf_counter()
    arns = _run(client, 1)
    wait_until("a task to run", lambda: _all_are(client, arns, "RUNNING"))
    spent = time.perf_counter() - began
    _stop(client, arns)
    return spent


def _many(platform: Running, client: Client) -> float:
    clients = [platform.client() for _ in range(AT_ONCE // PER_CALL)]
    with ThreadPoolExecutor(len(clients)) as pool:
        began = time.perf_counter()
        arns = [arn for found in pool.map(lambda each: _run(each, PER_CALL), clients) for arn in found]
        wait_until(f"{AT_ONCE} tasks to run", lambda: _all_are(client, arns, "RUNNING"))
        spent = time.perf_counter() - began
    for each in clients:
        each.close()
    _stop(client, arns)
    return spent


def _run(client: Client, count: int) -> list[str]:
    answer = client.ecs("RunTask", taskDefinition="bench", count=count)
    if len(answer["tasks"]) != count:
        raise RuntimeError(f"RunTask: {answer['failures']}")
    return [task["taskArn"] for task in answer["tasks"]]


def _all_are(client: Client, arns: list[str], status: str) -> bool:
    tasks = client.ecs("DescribeTasks", tasks=arns)["tasks"]
    if status == "RUNNING":
        ended = next((task for task in tasks if task["lastStatus"] == "STOPPED"), None)
        if ended is not None:
            raise RuntimeError(f"a task stopped: {ended.get('stoppedReason')}")
    return all(task["lastStatus"] == status for task in tasks)


def _stop(client: Client, arns: list[str]) -> None:
    for arn in arns:
        client.ecs("StopTask", task=arn)
    wait_until("tasks to stop", lambda: _all_are(client, arns, "STOPPED"), every_s=0.05)


def _docker_one(image: str) -> float:
    began = time.perf_counter()
    container = docker("run", "--detach", image, *COMMAND)
    spent = time.perf_counter() - began
    docker("rm", "--force", container)
    return spent


def _docker_many(image: str) -> float:
    began = time.perf_counter()
    starts = [subprocess.Popen(["docker", "run", "--detach", image, *COMMAND], stdout=subprocess.PIPE, text=True) for _ in range(AT_ONCE)]
    containers = [start.communicate()[0].strip() for start in starts]
    spent = time.perf_counter() - began
    docker("rm", "--force", *containers)
    if any(start.returncode for start in starts):
        raise RuntimeError("docker run failed")
    return spent
