"""The agent with Docker Engine: real containers on addresses of their own, against a platform that speaks the protocol."""

from __future__ import annotations

import asyncio
import json
import urllib.request
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from longshore.agent.cleanup import Keeping
from longshore.agent.run import run_agent
from longshore.config import AgentConfig, Credentials
from longshore.runtime.docker import DockerRuntime
from tests import engines
from tests.agent.platform import KEY, SECRET, Platform, container, running_platform, task, task_arn, until

pytestmark = pytest.mark.engine("docker")

ADDRESS = "127.0.1.201"
SERVES = [
    "sh",
    "-c",
    "trap 'exit 0' TERM; mkdir -p /www; echo from $NAME > /www/index.html; httpd -p 80 -h /www; while true; do sleep 0.05; done",
]
STAYS = ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.05; done"]
STUBBORN = ["sh", "-c", "trap '' TERM; while true; do sleep 0.05; done"]


class DockerAgent:
    def __init__(self, config: AgentConfig, runtime: DockerRuntime) -> None:
        self.config = config
        self.runtime = runtime
        self.labels = {"longshore.instance": config.instance_id}
        self.keeping = Keeping()
        self._stop = asyncio.Event()
        self._job: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._stop = asyncio.Event()
        self._job = asyncio.create_task(run_agent(self.config, stop=self._stop, runtime=self.runtime, keeping=self.keeping))

    async def stop(self) -> None:
        self._stop.set()
        if self._job is not None:
            await self._job

    async def containers(self) -> dict[str, Any]:
        """By their name in the task definition."""
        return {state.labels["com.amazonaws.ecs.container-name"]: state for state in await self.runtime.containers(self.labels)}


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with running_platform() as platform:
        yield platform


@pytest.fixture
async def agent(platform: Platform, docker_url: str, base_image: str, tmp_path: Path) -> AsyncIterator[DockerAgent]:
    config = AgentConfig(
        name="agent-1",
        data_dir=tmp_path / "agent",
        endpoint=platform.endpoint,
        credentials=Credentials(KEY, SECRET),
        instance_id=f"i-0{uuid.uuid4().hex[:16]}",
        address=ADDRESS,
        zone="us-east-1a",
        cpu_units=2048,
        memory_mib=4096,
    )
    runtime = DockerRuntime(docker_url)
    agent = DockerAgent(config, runtime)
    await agent.start()
    await platform.connected()
    try:
        yield agent
    finally:
        await agent.stop()
        for state in await runtime.containers(agent.labels):
            await runtime.remove(state.id)
        await runtime.close()


def _volumes(docker_url: str) -> str:
    return engines.docker_request("GET", "/volumes", docker_url=docker_url)[1].decode()


def _fetch(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


async def _served(address: str) -> str:
    """What is served there, as soon as something is."""

    async def attempt() -> str:
        while True:
            try:
                return await asyncio.to_thread(_fetch, address)
            except OSError:
                await asyncio.sleep(0.02)

    return await asyncio.wait_for(attempt(), 15)


def _address(report: dict[str, Any]) -> str:
    [binding] = report["containers"][0]["networkBindings"]
    return f"{binding['bindIP']}:{binding['hostPort']}"


async def test_a_task_serves_on_the_instances_own_address(platform: Platform, agent: DockerAgent, base_image: str) -> None:
    await platform.send_tasks(
        task(
            1, container(image=base_image, command=SERVES, environment={"NAME": "one"}, portMappings=[{"containerPort": 80, "hostPort": 0}])
        )
    )
    report = await platform.reported(task_arn(1), "RUNNING", 20)
    assert _address(report).startswith(f"{ADDRESS}:")
    assert await _served(_address(report)) == "from one\n"
    state = (await agent.containers())["main"]
    assert state.labels["com.amazonaws.ecs.task-arn"] == task_arn(1)
    assert state.labels["longshore.container-instance"] == platform.instance_arn
    await platform.send_tasks(task(1, desired="STOPPED"))
    stopped = await platform.reported(task_arn(1), "STOPPED", 20)
    assert stopped["containers"][0]["exitCode"] == 0


async def test_fixed_ports_and_ranges_are_published_as_asked(
    platform: Platform, agent: DockerAgent, base_image: str, free_port: Callable[..., int]
) -> None:
    port = free_port(ADDRESS)
    mappings = [
        {"containerPort": 80, "hostPort": port, "protocol": "tcp"},
        {"containerPort": 0, "hostPort": 0, "protocol": "tcp", "containerPortRange": "8000-8003"},
    ]
    await platform.send_tasks(task(1, container(image=base_image, command=STAYS, portMappings=mappings)))
    report = await platform.reported(task_arn(1), "RUNNING", 20)
    single, span = report["containers"][0]["networkBindings"]
    assert single == {"bindIP": ADDRESS, "containerPort": 80, "hostPort": port, "protocol": "tcp"}
    assert span["containerPortRange"] == "8000-8003"
    first, last = map(int, span["hostPortRange"].split("-"))
    assert last - first == 3
    await platform.send_tasks(task(2, container(image=base_image, command=STAYS, portMappings=mappings[:1])))
    refused = await platform.reported(task_arn(2), "STOPPED", 20)
    assert refused["containers"][0]["reason"].startswith("CannotStartContainerError: Error response from daemon: ")


async def test_containers_share_volumes_and_links_and_all_goes_with_the_task(
    platform: Platform, agent: DockerAgent, base_image: str, tmp_path: Path, docker_url: str
) -> None:
    (tmp_path / "given").write_text("given by the host\n")
    read = "cat /data/made /host/given; wget -q -O - http://db:80/; while true; do sleep 0.1; done"
    db = container(
        "db",
        base_image,
        stopTimeout=0,
        command=["sh", "-c", "echo made > /data/made; mkdir /www; echo linked > /www/index.html; httpd -f -p 80 -h /www"],
        mountPoints=[{"sourceVolume": "data", "containerPath": "/data", "readOnly": False}],
    )
    web = container(
        "web",
        base_image,
        command=["sh", "-c", f"until wget -q -O - http://db:80/ >/dev/null; do sleep 0.05; done; ({read}) > /host/out"],
        links=["db:db"],
        stopTimeout=0,
        volumesFrom=[{"sourceContainer": "db", "readOnly": True}],
        mountPoints=[{"sourceVolume": "host", "containerPath": "/host", "readOnly": False}],
    )
    volumes = [{"name": "data", "type": "host", "host": {}}, {"name": "host", "type": "host", "host": {"sourcePath": str(tmp_path)}}]
    await platform.send_tasks(task(1, db, web, volumes=volumes))
    await platform.reported(task_arn(1), "RUNNING", 20)
    out = tmp_path / "out"
    await until(lambda: out.exists() and out.read_text() == "made\ngiven by the host\nlinked\n")
    await agent.stop()
    agent.keeping = Keeping(stopped_tasks_s=0.0, tasks_every_s=0.05)
    await agent.start()
    await platform.connected(2)
    await platform.send_tasks(task(1, desired="STOPPED"))
    await platform.reported(task_arn(1), "STOPPED", 20)
    async with asyncio.timeout(20):
        while await agent.containers() or "ecs-web-3-data-" in _volumes(docker_url):  # noqa: ASYNC110 - nobody tells when they are gone
            await asyncio.sleep(0.02)


async def test_what_does_not_listen_is_killed_after_its_timeout(platform: Platform, agent: DockerAgent, base_image: str) -> None:
    await platform.send_tasks(task(1, container(image=base_image, command=STUBBORN, stopTimeout=1)))
    await platform.reported(task_arn(1), "RUNNING", 20)
    await platform.send_tasks(task(1, desired="STOPPED"))
    assert (await platform.reported(task_arn(1), "STOPPED", 20))["containers"][0]["exitCode"] == 137


async def test_memory_beyond_the_limit_is_named_as_the_reason(platform: Platform, agent: DockerAgent, base_image: str) -> None:
    await platform.send_tasks(task(1, container(image=base_image, command=["sh", "-c", "exec tail /dev/zero"], memory=8)))
    report = await platform.reported(task_arn(1), "STOPPED", 30)
    assert report["containers"][0]["exitCode"] == 137
    assert report["containers"][0]["reason"].startswith("OutOfMemoryError")


async def test_health_checks_reach_the_platform(platform: Platform, agent: DockerAgent, base_image: str) -> None:
    check = {"Test": ["CMD-SHELL", "test -e /tmp/well"], "Interval": 200_000_000, "Timeout": 2_000_000_000, "Retries": 1}
    command = ["sh", "-c", "touch /tmp/well; trap 'rm /tmp/well' USR1; while true; do sleep 0.05; done"]
    config = {"version": "1.32", "config": json.dumps({"Healthcheck": check}), "hostConfig": "{}"}
    await platform.send_tasks(task(1, container(image=base_image, command=command, healthCheckType="docker", dockerConfig=config)))
    await platform.reported(task_arn(1), "RUNNING", 20)
    await until(lambda: platform.health() and platform.health()[-1]["containers"][0]["healthStatus"] == "HEALTHY", 20)


async def test_a_restarted_agent_finds_its_containers(platform: Platform, agent: DockerAgent, base_image: str) -> None:
    await platform.send_tasks(
        task(1, container("stays", base_image, command=STAYS)),
        task(2, container("killed", base_image, command=STAYS)),
        task(3, container("removed", base_image, command=STAYS)),
    )
    for number in (1, 2, 3):
        await platform.reported(task_arn(number), "RUNNING", 20)
    before = await agent.containers()
    await agent.stop()
    await agent.runtime.stop(before["killed"].id, 0)
    await agent.runtime.remove(before["removed"].id)
    await agent.start()
    killed = await platform.reported(task_arn(2), "STOPPED", 20)
    removed = await platform.reported(task_arn(3), "STOPPED", 20)
    assert killed["containers"][0]["exitCode"] in (0, 137)
    assert removed["containers"][0]["reason"].startswith("ContainerVanishedError")
    after = await agent.containers()
    assert after["stays"].id == before["stays"].id and after["stays"].is_running
    assert platform.report(task_arn(1), "STOPPED") is None


async def test_many_tasks_at_once_all_run(platform: Platform, agent: DockerAgent, base_image: str) -> None:
    tasks = [task(number, container(image=base_image, command=STAYS)) for number in range(1, 9)]
    for one in tasks:
        await platform.send_tasks(one)
    await asyncio.gather(*(platform.reported(one["arn"], "RUNNING", 40) for one in tasks))
    assert len(await agent.runtime.containers(agent.labels)) == 8


async def test_a_program_that_is_not_there_cannot_start(platform: Platform, agent: DockerAgent, base_image: str) -> None:
    await platform.send_tasks(task(1, container(image=base_image, command=["/no/such/program"])))
    report = await platform.reported(task_arn(1), "STOPPED", 20)
    assert "RUNNING" not in platform.statuses(task_arn(1))
    assert report["containers"][0]["reason"].startswith("CannotStartContainerError: ")


async def test_an_image_from_nowhere_cannot_be_pulled(platform: Platform, agent: DockerAgent, free_port: Callable[..., int]) -> None:
    await platform.send_tasks(task(1, container(image=f"127.0.0.1:{free_port()}/none:1")))
    report = await platform.reported(task_arn(1), "STOPPED", 30)
    assert report["containers"][0]["reason"].startswith("CannotPullContainerError: Error response from daemon: ")
    assert report["pullStoppedAt"] > report["pullStartedAt"]
