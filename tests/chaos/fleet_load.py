"""What happens to a fleet under chaos: one deed at a time, drawn at random, of what users do and of what machines do.

Every deed is done to a running platform through its API or to its processes with signals; a deed that the platform cannot
answer just then (its server was killed a moment ago) has not happened.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from longshore.config import DataDirectory
from tests.chaos.far_agent import FarAgent
from tests.chaos.private_engine import PrivateEngine
from tests.integration.installation import Installation

IMAGE = "longshore-test/busybox:1"
COMMAND = ["sh", "-c", "mkdir -p /www && echo here > /www/index.html && httpd -f -p 80 -h /www & trap 'exit 0' TERM; wait"]
SERVICES = ("web", "worker", "steady")
MOST_WANTED = 6
#: a deed that is done for so long at the most
CUT_S = 4.0


class NothingThere(Exception):
    """Nothing that it could have been done to."""


class FleetLoad:
    def __init__(
        self, home: Installation, engine: PrivateEngine, far: FarAgent, restart_far: Callable[[], None], *, seed: int, target_group: str
    ) -> None:
        self._home = home
        self._engine = engine
        self._far = far
        self._restart_far = restart_far
        self._random = random.Random(seed)
        self._ecs = home.client("ecs")
        self._target_group = target_group
        self.counts: Counter[str] = Counter()
        self.unanswered = 0
        #: for want of anything to do them to
        self.undone = 0
        self.kinds: list[str] = []
        #: resources that were found to be given out twice, as they were found
        self.over_committed: list[str] = []

    # ── the stage ──

    def create(self) -> None:
        for word in ("one", "two"):
            self._register("task", word)
            self._register("web", word, port=80)
        balanced = [{"targetGroupArn": self._target_group, "containerName": "work", "containerPort": 80}]
        breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
        self._ecs.create_service(serviceName="web", taskDefinition="web", desiredCount=3, loadBalancers=balanced)
        self._ecs.create_service(serviceName="worker", taskDefinition="task", desiredCount=3, deploymentConfiguration=breaker)
        self._ecs.create_service(
            serviceName="steady",
            taskDefinition="task",
            desiredCount=2,
            deploymentConfiguration={"minimumHealthyPercent": 50, "maximumPercent": 100},
        )

    def _register(self, family: str, word: str, port: int = 0) -> None:
        container: dict[str, Any] = {
            "name": "work",
            "image": IMAGE,
            "cpu": 32,
            "memory": 32,
            "command": COMMAND,
            "environment": [{"name": "WORD", "value": word}],
            "stopTimeout": 2,
        }
        if port:
            container["portMappings"] = [{"containerPort": port}]
        self._ecs.register_task_definition(family=family, containerDefinitions=[container])

    # ── the deeds ──

    def run_for(self, seconds: float) -> None:
        deeds: list[tuple[Callable[[], None], int]] = [
            (self.deploy, 4),
            (self.deploy_anew, 2),
            (self.scale, 4),
            (self.drain, 3),
            (self.activate, 4),
            (self.run_tasks, 2),
            (self.stop_a_task, 2),
            (self.kill_a_container, 3),
            (self.kill_server, 2),
            (self.kill_an_agent, 3),
            (self.kill_far_agent, 1),
            (self.kill_haproxy, 1),
            (self.cut_the_cable, 2),
            (self.stop_an_agent_for_a_while, 1),
            (self.restart_the_engine, 1),
        ]
        self.kinds = [deed.__name__ for deed, _ in deeds]
        until = time.monotonic() + seconds
        # each of them once, in random order, and then as chance has it
        first = [deed for deed, _ in deeds]
        self._random.shuffle(first)
        while time.monotonic() < until:
            deed = first.pop() if first else self._random.choices([deed for deed, _ in deeds], [weight for _, weight in deeds])[0]
            self._do(deed)
            self._look_for_over_commitment()
            time.sleep(self._random.uniform(0.1, 1.2))

    def _do(self, deed: Callable[[], None]) -> None:
        try:
            deed()
        except (BotoCoreError, ClientError):
            self.unanswered += 1
        except NothingThere:
            self.undone += 1
        else:
            self.counts[deed.__name__] += 1

    def _a_service(self) -> str:
        return self._random.choice(SERVICES)

    def deploy(self) -> None:
        name = self._a_service()
        family = "web" if name == "web" else "task"
        self._ecs.update_service(service=name, taskDefinition=f"{family}:{self._random.choice((1, 2))}")

    def deploy_anew(self) -> None:
        self._ecs.update_service(service=self._a_service(), forceNewDeployment=True)

    def scale(self) -> None:
        self._ecs.update_service(service=self._a_service(), desiredCount=self._random.randint(0, MOST_WANTED))

    def _instances(self) -> list[str]:
        found: list[str] = self._ecs.list_container_instances()["containerInstanceArns"]
        return found

    def drain(self) -> None:
        self._ecs.update_container_instances_state(containerInstances=[self._random.choice(self._instances())], status="DRAINING")

    def activate(self) -> None:
        self._ecs.update_container_instances_state(containerInstances=self._instances(), status="ACTIVE")

    def run_tasks(self) -> None:
        self._ecs.run_task(taskDefinition="task", count=2, startedBy="chaos")

    def stop_a_task(self) -> None:
        tasks = self._ecs.list_tasks()["taskArns"]
        if not tasks:
            raise NothingThere
        self._ecs.stop_task(task=self._random.choice(tasks), reason="chaos")

    def kill_a_container(self) -> None:
        running = self._engine.containers()
        if not running:
            raise NothingThere
        self._engine.kill(self._random.choice(running)["Id"])

    def kill_server(self) -> None:
        self._signal("server", signal.SIGKILL)

    def kill_an_agent(self) -> None:
        self._signal(self._random.choice(("agent-1", "agent-2")), signal.SIGKILL)

    def kill_far_agent(self) -> None:
        self._far.kill()
        self._restart_far()

    def kill_haproxy(self) -> None:
        pid_file = self._home.data / "run" / "haproxy" / "haproxy.pid"
        try:
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
        except (FileNotFoundError, ValueError, ProcessLookupError):
            raise NothingThere from None

    def cut_the_cable(self) -> None:
        self._far.cut()
        try:
            time.sleep(self._random.uniform(0.5, CUT_S))
        finally:
            self._far.mend()

    def stop_an_agent_for_a_while(self) -> None:
        self._signal("agent-1", signal.SIGSTOP)
        try:
            time.sleep(self._random.uniform(0.5, CUT_S))
        finally:
            self._signal("agent-1", signal.SIGCONT)

    def restart_the_engine(self) -> None:
        self._engine.restart(kill=self._random.random() < 0.5)

    def _signal(self, part: str, number: int) -> None:
        state = DataDirectory(self._home.data).read_state()
        pids = [found.pid for found in state.parts if found.name == part] if state is not None else []
        told = 0
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                told += 1
        if not told:
            raise NothingThere

    # ── what must hold at every moment ──

    def _look_for_over_commitment(self) -> None:
        try:
            found = self._ecs.describe_container_instances(containerInstances=self._instances())["containerInstances"]
        except (BotoCoreError, ClientError):
            return
        for instance in found:
            for left in instance["remainingResources"]:
                if left["type"] == "INTEGER" and left["integerValue"] < 0:
                    self.over_committed.append(f"{instance['containerInstanceArn']}: {left['name']} {left['integerValue']}")
