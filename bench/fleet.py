"""One server with 1,000 agents on real websockets and up to 30,000 tasks: what it takes, and how soon a change is seen.

There is no peer: the targets are absolute. The agents (`fleet_agents.py`) are processes of their own on the same machine, whose time is
not the server's. The curve shows, for each number of tasks reached, what one more task cost the server's processor until it was
RUNNING, the server's memory, and the processor it needs while nothing but heartbeats and metrics comes. With sizes of one's own:

    python -m bench.fleet [--agents 1000] [--tasks 30000]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.installation import Client, Refused, Running, memory_mb, simulated, wait_until
from bench.report import Figure, Target, p50, table

AGENTS = 1_000
TASKS = 30_000
#: where the curve is looked at, as parts of all tasks
STEPS = (1 / 30, 1 / 6, 1 / 3, 2 / 3, 1.0)
PROCESSES = 2
CALLERS = 4
#: how long the server is watched with nothing new to do
STEADY_S = 40.0
SAMPLES = 150


class Agents:
    """The processes that play the agents."""

    def __init__(self, platform: Running, count: int) -> None:
        keys = ("--key", platform.credentials.access_key_id, "--secret", platform.credentials.secret_access_key)
        self._processes = []
        share = -(-count // PROCESSES)
        for first in range(0, count, share):
            size = ("--first", str(first), "--count", str(min(share, count - first)))
            command = [sys.executable, "-m", "bench.fleet_agents", "--endpoint", platform.endpoint, *keys, *size]
            self._processes.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))

    def until_ready(self) -> None:
        for process in self._processes:
            if self._line(process) != "ready":
                raise RuntimeError("agents did not connect")

    def reported(self) -> list[float]:
        """Seconds that reports took since this was asked last."""
        return [took for facts in self._facts() for took in facts["reported"]]

    @property
    def connected(self) -> int:
        return sum(facts["connected"] for facts in self._facts())

    def _facts(self) -> list[dict[str, Any]]:
        found = []
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
            found.append(json.loads(self._line(process)))
        return found

    @staticmethod
    def _line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


def cpu_s(pid: int) -> float:
    """Processor seconds that a process has used."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def p99(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def measure(rounds: int, agents: int = AGENTS, tasks: int = TASKS) -> Iterator[Figure]:
    """One round, however many are asked for: the fleet is the same in each."""
    with tempfile.TemporaryDirectory(prefix="longshore-bench-") as name, simulated(Path(name), 0) as platform:
        pid, client = platform.pid("server"), platform.client()
        client.ecs("CreateCluster", clusterName="default")
        container = {"name": "main", "image": "fleet:1", "cpu": 10, "memory": 64, "essential": True}
        client.ecs("RegisterTaskDefinition", family="fleet", containerDefinitions=[container])
        fleet = Agents(platform, agents)
        try:
            before = cpu_s(pid)
            began = time.monotonic()
            fleet.until_ready()
            yield Figure(f"{agents:,} agents to join and connect", "s", time.monotonic() - began)
            yield Figure("  processor of the server, each", "ms", (cpu_s(pid) - before) / agents * 1000)
            yield from _curve(platform, client, fleet, pid, tasks)
            yield from _seen(client, pid)
            yield from _restarted(platform, fleet, pid, agents)
        finally:
            fleet.end()
            client.close()


def _curve(platform: Running, client: Client, fleet: Agents, pid: int, tasks: int) -> Iterator[Figure]:
    reached, costs = 0, []
    for step in STEPS:
        more = int(tasks * step) // 10 * 10 - reached
        before, began = cpu_s(pid), time.monotonic()
        _run(platform, more)
        reached += more
        wait_until(f"{reached} running tasks", lambda: _running(client) >= reached, timeout_s=900, every_s=0.1)  # noqa: B023
        took, cost = time.monotonic() - began, (cpu_s(pid) - before) / more
        costs.append(cost)
        yield Figure(f"{reached:,} tasks: processor for one more", "ms", cost * 1000)
        yield Figure("  until RUNNING", "/s", more / took)
        yield Figure("  report until seen meanwhile, p99", "ms", p99(fleet.reported()) * 1000)
        yield Figure("  memory of the server", "MB", memory_mb(pid)["Rss"], target=Target("<=", 1_000) if step == 1 else None)
        yield Figure("  processor with nothing new", "%", _steady(pid), target=Target("<=", 30) if step == 1 else None)
    yield Figure("processor for one more, last ÷ first", "x", costs[-1] / costs[0])


def _run(platform: Running, count: int) -> None:
    """As many tasks, ten to a call, from several callers at once."""
    calls: queue.SimpleQueue[int] = queue.SimpleQueue()
    for _ in range(count // 10):
        calls.put(10)
    problems: list[object] = []

    def caller() -> None:
        client = platform.client()
        try:
            while not problems:
                answer = client.ecs("RunTask", cluster="default", taskDefinition="fleet", count=calls.get_nowait())
                problems.extend(answer["failures"])
        except queue.Empty:
            pass
        finally:
            client.close()

    callers = [threading.Thread(target=caller) for _ in range(CALLERS)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    if problems:
        raise RuntimeError(f"no place: {problems[0]}")


def _running(client: Client) -> int:
    return int(client.ecs("DescribeClusters", clusters=["default"])["clusters"][0]["runningTasksCount"])


def _steady(pid: int) -> float:
    """Percent of one core."""
    time.sleep(2.0)
    before, began = cpu_s(pid), time.monotonic()
    time.sleep(STEADY_S)
    return (cpu_s(pid) - before) / (time.monotonic() - began) * 100


def _seen(client: Client, pid: int) -> Iterator[Figure]:
    """How long after a request its effect on a task, by way of the agent, is what DescribeTasks answers."""
    started, stopped = [], []
    for _ in range(SAMPLES):
        began = time.monotonic()
        arn = client.ecs("RunTask", cluster="default", taskDefinition="fleet")["tasks"][0]["taskArn"]
        started.append(_until(client, arn, "RUNNING") - began)
        began = time.monotonic()
        client.ecs("StopTask", cluster="default", task=arn)
        stopped.append(_until(client, arn, "STOPPED") - began)
    yield Figure("RunTask until RUNNING is seen, p50", "ms", p50(started) * 1000)
    yield Figure("RunTask until RUNNING is seen, p99", "ms", p99(started) * 1000, target=Target("<=", 500))
    yield Figure("StopTask until STOPPED is seen, p50", "ms", p50(stopped) * 1000)
    yield Figure("StopTask until STOPPED is seen, p99", "ms", p99(stopped) * 1000, target=Target("<=", 500))
    yield Figure("memory of the server at the end", "MB", memory_mb(pid)["Rss"])


def _restarted(platform: Running, fleet: Agents, pid: int, agents: int) -> Iterator[Figure]:
    """The server is killed, and all agents come back at once to the one that takes its place."""
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    wait_until("agents to notice", lambda: fleet.connected < agents, every_s=0.01)
    wait_until("a server", lambda: platform.pid("server") != pid and _answers(platform), timeout_s=60, every_s=0.02)
    there = time.monotonic()
    yield Figure("killed server until the next one answers", "s", there - began)
    wait_until("all agents to be back", lambda: fleet.connected == agents, timeout_s=60, every_s=0.02)
    yield Figure("  until all agents are back after that", "s", time.monotonic() - there)
    after = platform.pid("server")
    time.sleep(3.0)
    yield Figure("  processor of the new server until then", "s", cpu_s(after))
    client = platform.client()
    try:
        arns = client.ecs("ListContainerInstances", cluster="default")["containerInstanceArns"][:100]
        found = client.ecs("DescribeContainerInstances", cluster="default", containerInstances=arns)["containerInstances"]
        if not all(one["agentConnected"] for one in found):
            raise RuntimeError("agents are connected, and their instances do not show it")
    finally:
        client.close()


def _answers(platform: Running) -> bool:
    try:
        client = platform.client()
        client.ecs("DescribeClusters", clusters=["default"])
        client.close()
    except (OSError, Refused, http.client.HTTPException):
        return False
    return True


def _until(client: Client, arn: str, status: str) -> float:
    """The moment at which it was seen."""

    def seen() -> bool:
        return bool(client.ecs("DescribeTasks", cluster="default", tasks=[arn])["tasks"][0]["lastStatus"] == status)

    wait_until(f"{arn} {status}", seen, every_s=0.002)
    return time.monotonic()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agents", type=int, default=AGENTS)
    parser.add_argument("--tasks", type=int, default=TASKS)
    given = parser.parse_args()
    found = []
    for figure in measure(1, given.agents, given.tasks):
        found.append(figure)
        print(f"   {figure.what}: {figure.ours:.4g} {figure.unit}", flush=True)
    print(table(found))


if __name__ == "__main__":
    main()
