"""The supervisor with a real server and agents whose containers exist in memory: what it says, starts again and ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from longshore.config import AgentConfig, Credentials, DataDirectory, PlatformConfig, ServerConfig, State, write_platform
from longshore.kit.keyring_file import KeyringFile
from longshore.resources import KINDS
from longshore.services.ecs.model import TASKS
from longshore.store.sqlite import open_store
from tests.chaos.server_process import KEY, NO_HAPROXY, REGION, ROOT, SECRET, ServerProcess

PATIENCE_S = 40.0


class Supervisor:
    """The process, the lines it has said so far, and a client of the platform it keeps."""

    def __init__(self, directory: Path, port: int, *, agents: int = 2, agent_secret: str = SECRET) -> None:
        self.client = ServerProcess(directory / "unused", port)
        self.data = DataDirectory(directory / "data")
        self.port = port
        self.log_file = directory / "supervisor.log"
        self.said: list[dict[str, Any]] = []
        self._config_file = directory / "platform.json"
        server = ServerConfig(data_dir=self.data.root, credentials=Credentials(KEY, SECRET), port=port, haproxy=NO_HAPROXY, dev=True)
        made = tuple(self._agent(number, server, agent_secret) for number in range(1, agents + 1))
        write_platform(self._config_file, PlatformConfig(server=server, agents=made))
        self.process: asyncio.subprocess.Process
        self._reading: asyncio.Task[None]

    def _agent(self, number: int, server: ServerConfig, secret: str) -> AgentConfig:
        return AgentConfig(
            name=f"agent-{number}",
            data_dir=self.data.agent(f"agent-{number}"),
            endpoint=server.endpoint,
            credentials=Credentials(KEY, secret),
            instance_id=f"i-{number:017x}",
            address=f"127.0.1.{200 + number}",
            zone=server.zones[number - 1],
            cpu_units=1024,
            memory_mib=512,
            region=REGION,
            docker_url="fake:",
        )

    async def start(self) -> None:
        with self.log_file.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "longshore.main",
                "supervisor",
                "--config",
                str(self._config_file),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ.get("PATH", ""), "HOME": str(self.data.root.parent)},
                start_new_session=True,
            )
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.said.append(json.loads(line))

    # ── what it said ──

    def heard(self, event: str, part: str) -> list[dict[str, Any]]:
        return [line for line in self.said if (line["event"], line["part"]) == (event, part)]

    async def until_said(self, event: str, part: str, times: int = 1) -> dict[str, Any]:
        await until(lambda: len(self.heard(event, part)) >= times, lambda: f"{part} {event}; it said {self.said}")
        return self.heard(event, part)[times - 1]

    def events(self, event: str) -> list[str]:
        return [line["part"] for line in self.said if line["event"] == event]

    # ── its parts ──

    @property
    def state(self) -> State:
        state = self.data.read_state()
        assert state is not None
        return state

    def pid_of(self, part: str) -> int:
        return next(one.pid for one in self.state.parts if one.name == part)

    async def until_new_pid(self, part: str, old: int) -> int:
        await until(lambda: self.pid_of(part) != old, lambda: f"a new process of {part}")
        return self.pid_of(part)

    async def ended(self) -> int:
        code = await asyncio.wait_for(self.process.wait(), PATIENCE_S)
        await self._reading
        return code

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return await self.ended()

    async def clean_up(self) -> None:
        if self.process.returncode is None:
            self.process.terminate()
            try:
                await self.ended()
            except TimeoutError:
                self.process.kill()
                await self.ended()

    # ── the platform ──

    async def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        async with aiohttp.ClientSession() as http:
            return await self.client.call(http, "ecs", operation, request)

    async def connected_instances(self) -> dict[str, str]:
        """EC2 instance id -> container instance ARN, of those whose agents are connected."""
        try:
            arns = (await self.call("ListContainerInstances", {}))["containerInstanceArns"]
            described = await self.call("DescribeContainerInstances", {"containerInstances": arns}) if arns else {}
        except aiohttp.ClientConnectionError:
            return {}
        found = described.get("containerInstances", [])
        return {one["ec2InstanceId"]: one["containerInstanceArn"] for one in found if one["agentConnected"]}

    async def until_connected(self, number: int) -> dict[str, str]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await self.connected_instances()
                if len(found) == number:
                    return found
                await asyncio.sleep(0.05)

    async def until_running(self, task_arn: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                (task,) = (await self.call("DescribeTasks", {"tasks": [task_arn]}))["tasks"]
                if task["lastStatus"] == "RUNNING":
                    return
                await asyncio.sleep(0.02)


async def until(condition: Callable[[], object], why: Callable[[], str]) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - conditions of tests are plain functions
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"this never came: {why()}") from None


def is_running(pid: int) -> bool:
    """Zombies are not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


Make = Callable[..., Supervisor]


@pytest.fixture
async def make(tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[Make]:
    made: list[Supervisor] = []

    def supervisor(**settings: Any) -> Supervisor:
        made.append(Supervisor(tmp_path, free_port(), **settings))
        return made[-1]

    yield supervisor
    for one in made:
        with contextlib.suppress(AttributeError):  # it was never started
            await one.clean_up()


async def test_everything_starts_is_written_down_and_stops_agents_first(make: Make) -> None:
    supervisor = make()
    await supervisor.start()
    ready = await supervisor.until_said("ready", "platform")
    assert ready["endpoint"] == f"http://127.0.0.1:{supervisor.port}"
    assert supervisor.events("starting") == ["server", "agent-1", "agent-2"]
    assert sorted(supervisor.events("ready")) == ["agent-1", "agent-2", "platform", "server"]
    assert supervisor.said[-1] is ready, "it is ready when everything is"
    assert len(await supervisor.connected_instances()) == 2

    state = supervisor.state
    assert (state.pid, state.endpoint, state.dev) == (supervisor.process.pid, ready["endpoint"], True)
    assert [part.name for part in state.parts] == ["server", "agent-1", "agent-2"]
    assert [(one.name, one.instance_id, one.zone) for one in state.instances] == [
        ("agent-1", "i-00000000000000001", "us-east-1a"),
        ("agent-2", "i-00000000000000002", "us-east-1b"),
    ]
    assert supervisor.data.state_file.stat().st_mode & 0o077 == 0

    assert await supervisor.stop() == 0
    stopped = supervisor.events("stopped")
    assert sorted(stopped[:2]) == ["agent-1", "agent-2"]
    assert stopped[2:] == ["server", "platform"]
    assert supervisor.data.read_state() is None
    assert not any(is_running(part.pid) for part in state.parts)


async def test_a_killed_server_is_started_again_and_the_agents_come_back_to_it(make: Make) -> None:
    supervisor = make()
    await supervisor.start()
    await supervisor.until_said("ready", "platform")
    before = await supervisor.connected_instances()
    await supervisor.call("CreateCluster", {"clusterName": "kept"})
    killed = supervisor.pid_of("server")

    os.kill(killed, signal.SIGKILL)
    died = await supervisor.until_said("died", "server")
    assert died["cause"] == "killed by SIGKILL"
    await supervisor.until_said("recovered", "server")
    await supervisor.until_new_pid("server", killed)
    assert await supervisor.until_connected(2) == before, "the agents are the instances they were"
    assert any(arn.endswith("/kept") for arn in (await supervisor.call("ListClusters", {}))["clusterArns"])
    assert supervisor.events("died") == ["server"]
    assert supervisor.events("failed") == []


async def test_a_killed_agent_is_started_again_as_the_same_instance(make: Make) -> None:
    supervisor = make()
    await supervisor.start()
    await supervisor.until_said("ready", "platform")
    before = await supervisor.connected_instances()
    killed = supervisor.pid_of("agent-2")

    os.kill(killed, signal.SIGKILL)
    await supervisor.until_said("recovered", "agent-2")
    await supervisor.until_new_pid("agent-2", killed)
    assert await supervisor.until_connected(2) == before
    assert supervisor.events("died") == ["agent-2"]


async def test_a_port_in_use_fails_the_platform_with_cause_and_cure(make: Make) -> None:
    supervisor = make()
    with socket.socket() as other:
        other.bind(("127.0.0.1", supervisor.port))
        other.listen()
        await supervisor.start()
        assert await supervisor.ended() == 1
    (failed,) = supervisor.heard("failed", "server")
    assert failed["cause"] == f"another program listens on 127.0.0.1:{supervisor.port}"
    assert "--port" in failed["fix"]
    assert supervisor.heard("ready", "platform") == []
    assert supervisor.said[-1] == {"event": "stopped", "part": "platform"}
    assert supervisor.data.read_state() is None


async def test_an_agent_that_is_not_let_in_holds_up_nobody_and_says_why(make: Make) -> None:
    supervisor = make(agents=1, agent_secret="not the secret")
    await supervisor.start()
    await supervisor.until_said("ready", "platform")
    (failed,) = supervisor.heard("failed", "agent-1")
    assert failed["cause"]
    assert supervisor.heard("ready", "agent-1") == []
    assert (await supervisor.call("ListClusters", {}))["clusterArns"] == []
    assert await supervisor.stop() == 0


async def test_a_stop_while_it_starts_leaves_nothing_behind(make: Make) -> None:
    supervisor = make()
    await supervisor.start()
    await supervisor.until_said("starting", "agent-2")
    children = children_of(supervisor.process.pid)
    await supervisor.stop()
    assert not any(is_running(pid) for pid in children)
    assert supervisor.data.read_state() is None
    assert supervisor.said[-1] == {"event": "stopped", "part": "platform"}


@pytest.mark.parametrize(("how", "afterwards"), [(signal.SIGTERM, "STOPPED"), (signal.SIGHUP, "RUNNING")], ids=["stopped", "kept"])
async def test_going_down_stops_the_tasks_unless_they_are_to_be_kept(make: Make, how: signal.Signals, afterwards: str) -> None:
    supervisor = make(agents=1)
    await supervisor.start()
    await supervisor.until_said("ready", "platform")
    container = {"name": "main", "image": "web:1", "memory": 64}
    await supervisor.call("RegisterTaskDefinition", {"family": "web", "containerDefinitions": [container]})
    arn = (await supervisor.call("RunTask", {"taskDefinition": "web"}))["tasks"][0]["taskArn"]
    await supervisor.until_running(arn)
    assert await supervisor.stop(how) == 0
    store = await open_store(supervisor.data.root, KINDS, KeyringFile(supervisor.data.root).open())
    try:
        task = store.get(TASKS, arn)
        assert task is not None
        assert task.last_status == afterwards
    finally:
        await store.close()
