"""What an agent tells whoever asks on its machine: which instance it is, and which tasks it has. Port 51678, as the stock agent.

Each agent answers at its own address; the one that was first also at 127.0.0.1, where programs look that know of one agent only
(protocol: the agent protocol §5.1). No secrets are told.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from aiohttp import web

from longshore.agent.api import AGENT_VERSION
from longshore.agent.engine import Engine
from longshore.agent.metadata.views import introspected
from longshore.agent.task import TaskJob
from longshore.runtime.base import ContainerState, NoSuchContainer, Runtime, RuntimeFailure

log = logging.getLogger("longshore.agent")

PORT = 51678
_COMMANDS = ("/v1/metadata", "/v1/tasks", "/license")
_VERSION = f"Amazon ECS Agent - v{AGENT_VERSION} (longshore)"


class Introspection:
    def __init__(self, engine: Engine, runtime: Runtime, cluster: str, container_instance_arn: str) -> None:
        self._engine = engine
        self._runtime = runtime
        self._cluster = cluster
        self._container_instance_arn = container_instance_arn

    async def run(self, addresses: tuple[str, ...]) -> None:
        """Until cancelled, at every one of them that is free."""
        runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1.0)
        await runner.setup()
        try:
            for address in dict.fromkeys(addresses):
                try:
                    await web.TCPSite(runner, address, PORT).start()
                except OSError as error:
                    log.info("nothing is told of this agent at %s:%d: %s", address, PORT, error.strerror or error)
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return _json(*await self._answer(request.path, request.query.get("taskarn", ""), request.query.get("dockerid", "")))
        except RuntimeFailure as error:
            return _json(500, {"error": str(error)})

    async def _answer(self, path: str, task_arn: str, docker_id: str) -> tuple[int, Any]:
        match path.rstrip("/"):
            case "/v1/metadata":
                return 200, {"Cluster": self._cluster, "ContainerInstanceArn": self._container_instance_arn, "Version": _VERSION}
            case "/v1/tasks":
                return await self._tasks(task_arn, docker_id)
            case "/license":
                return 200, "Apache-2.0"
        return 200, {"AvailableCommands": _COMMANDS}

    async def _tasks(self, task_arn: str, docker_id: str) -> tuple[int, Any]:
        jobs = list(self._engine.jobs.values())
        if task_arn or docker_id:
            job = next((one for one in jobs if one.arn == task_arn or (docker_id and docker_id in _ids(one))), None)
            return (404, {}) if job is None else (200, introspected(job, await self._states(job)))
        return 200, {"Tasks": [introspected(job, await self._states(job)) for job in jobs]}

    async def _states(self, job: TaskJob) -> dict[str, ContainerState | None]:
        names = [container.name for container in job.task.containers]
        return dict(zip(names, await asyncio.gather(*(self._state(job.container_id(name)) for name in names)), strict=True))

    async def _state(self, container_id: str) -> ContainerState | None:
        try:
            return await self._runtime.inspect(container_id) if container_id else None
        except NoSuchContainer:
            return None


def _ids(job: TaskJob) -> set[str]:
    return {job.container_id(container.name) for container in job.task.containers} - {""}


def _json(status: int, content: object) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(content), content_type="application/json")
