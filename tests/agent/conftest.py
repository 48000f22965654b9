"""A platform and agents of it, each with a container engine in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.agent.cleanup import Keeping
from longshore.agent.run import run_agent
from longshore.config import AgentConfig, Credentials
from longshore.runtime.base import Runtime
from longshore.runtime.fake import FakeRuntime
from tests.agent.platform import KEY, SECRET, Platform, running_platform


class AgentUnderTest:
    """Started, stopped, and started again on the same journal."""

    def __init__(self, config: AgentConfig, runtime: Runtime) -> None:
        self.config = config
        self.runtime = runtime
        self.keeping = Keeping()
        self.job: asyncio.Task[None] | None = None
        self._stop = asyncio.Event()

    async def start(self) -> None:
        self._stop = asyncio.Event()
        self.job = asyncio.create_task(run_agent(self.config, stop=self._stop, runtime=self.runtime, keeping=self.keeping))

    async def stop(self) -> None:
        """As SIGTERM does."""
        self._stop.set()
        if self.job is not None:
            await self.job

    async def crash(self) -> None:
        """From one moment to the next, as far as that can be done inside one process."""
        if self.job is not None:
            self.job.cancel()
            await asyncio.gather(self.job, return_exceptions=True)


@pytest.fixture
async def platform() -> AsyncIterator[Platform]:
    async with running_platform() as platform:
        yield platform


@pytest.fixture
def engine() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture
def agent_config(platform: Platform, tmp_path: Path) -> AgentConfig:
    return AgentConfig(
        name="agent-1",
        data_dir=tmp_path / "agent-1",
        endpoint=platform.endpoint,
        credentials=Credentials(KEY, SECRET),
        instance_id="i-0123456789abcdef0",
        address="127.0.1.1",
        zone="us-east-1a",
        cpu_units=2048,
        memory_mib=4096,
        reserved_ports=(22,),
        attributes={"stack": "blue"},
    )


@pytest.fixture
async def agent(agent_config: AgentConfig, engine: FakeRuntime) -> AsyncIterator[AgentUnderTest]:
    under_test = AgentUnderTest(agent_config, engine)
    await under_test.start()
    try:
        yield under_test
    finally:
        await under_test.crash()
