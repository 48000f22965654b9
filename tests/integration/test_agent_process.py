"""The agent as a process: how it ends, and how little memory it takes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.config import AgentConfig, Credentials, PlatformConfig, write_platform
from tests.agent.platform import KEY, SECRET, Platform, running_platform, task, task_arn, until

MOST_RESIDENT_KIB = 45 * 1024


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with running_platform() as platform:
        yield platform


async def _start(platform: Platform, directory: Path) -> asyncio.subprocess.Process:
    config = AgentConfig(
        name="agent-1",
        data_dir=directory / "agent",
        endpoint=platform.endpoint,
        credentials=Credentials(KEY, SECRET),
        instance_id="i-0123456789abcdef0",
        address="127.0.1.1",
        zone="us-east-1a",
        cpu_units=2048,
        memory_mib=4096,
        docker_url="fake:",
    )
    path = directory / "platform.json"
    write_platform(path, PlatformConfig(server=None, agents=(config,)))
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "longshore.main", "agent", "--config", str(path), "--name", config.name
    )


def _resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def test_sigterm_ends_it_at_once_and_in_good_order(platform: Platform, tmp_path: Path) -> None:
    process = await _start(platform, tmp_path)
    await platform.connected()
    await platform.send_tasks(task(1))
    await platform.reported(task_arn(1), "RUNNING")
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 3.0) == 0
    assert platform.control[0].ws.close_code == 1000


async def test_what_no_restart_can_mend_has_an_exit_code_of_its_own(platform: Platform, tmp_path: Path) -> None:
    platform.refusals["RegisterContainerInstance"] = [(400, {"__type": "ClientException", "message": "no"})]
    process = await _start(platform, tmp_path)
    assert await asyncio.wait_for(process.wait(), 20.0) == 5


async def test_what_may_be_better_the_next_time_has_another(platform: Platform, tmp_path: Path) -> None:
    platform.refusals["RegisterContainerInstance"] = [(400, {"__type": "AccessDeniedException", "message": "no"})]
    process = await _start(platform, tmp_path)
    assert await asyncio.wait_for(process.wait(), 20.0) == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the size of a process from /proc")
async def test_an_idle_agent_is_small(platform: Platform, tmp_path: Path) -> None:
    process = await _start(platform, tmp_path)
    await until(lambda: platform.telemetry and platform.telemetry[0].heard_of("PublishMetricsRequest"))
    resident_kib = _resident_kib(process.pid)
    process.terminate()
    await process.wait()
    assert resident_kib < MOST_RESIDENT_KIB
