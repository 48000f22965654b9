"""The telemetry socket (TCS): health of containers, what they use, and how the container engine is.

Health reaches the platform only this way, so a change is published at once, besides every 20 seconds. Every frame the agent
sends is a signed header block, a blank line and JSON; what comes back is plain (agent protocol §4).
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from longshore.agent import metrics
from longshore.agent.api import AGENT_VERSION, Api
from longshore.agent.engine import Engine
from longshore.agent.pause import pause
from longshore.agent.session import AGENT_HASH, Endpoints
from longshore.agent.sockets import Backoff, Dialer, HandshakeRefused, Socket, Watch, stay_connected, watching
from longshore.agent.task import TaskJob
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.runtime.base import Runtime, RuntimeFailure, Usage

log = logging.getLogger("longshore.agent")

PUBLISH_S = 20.0
#: what shows that the platform is still there
_SIGNS_OF_LIFE = frozenset({"HeartbeatMessage", "AckPublishMetric", "AckPublishHealth", "AckPublishInstanceStatus"})


class TelemetrySession:
    def __init__(
        self, engine: Engine, runtime: Runtime, endpoints: Endpoints, dialer: Dialer, api: Api, clock: Clock, ids: Ids, docker_version: str
    ) -> None:
        self._engine = engine
        self._runtime = runtime
        self._endpoints = endpoints
        self._dialer = dialer
        self._api = api
        self._clock = clock
        self._ids = ids
        self._docker_version = docker_version
        self._health_wake = asyncio.Event()
        self._usage: dict[str, Usage] = {}
        self._status_told: tuple[str, float] | None = None

    def health_changed(self, job: TaskJob) -> None:
        self._health_wake.set()

    async def run(self) -> None:
        """For ever."""
        backoff = Backoff(self._clock, self._ids, first_s=1.0, most_s=10.0, factor=2.0)
        await stay_connected("telemetry", self._once, self._on_refusal, self._clock, backoff)

    def _on_refusal(self, error: HandshakeRefused) -> float | None:
        return None  # the control socket draws the conclusions; this one just comes back

    async def _once(self) -> int | None:
        query = {
            "agentHash": AGENT_HASH,
            "agentVersion": AGENT_VERSION,
            "cluster": self._endpoints.cluster,
            "containerInstance": self._endpoints.container_instance_arn,
            "dockerVersion": self._docker_version,
        }
        url = self._dialer.url((await self._endpoints.get()).telemetry_endpoint, query)
        socket = await self._dialer.open(url)
        self._status_told = None
        async with watching(socket, self._clock, self._ids) as watch:
            jobs = (
                asyncio.create_task(self._listen(socket, watch), name="telemetry:listen"),
                asyncio.create_task(self._publish(socket, url), name="telemetry:publish"),
            )
            try:
                done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
                for job in done:
                    job.result()
            finally:
                for job in jobs:
                    job.cancel()
                await asyncio.gather(*jobs, return_exceptions=True)
        return socket.close_code

    async def _listen(self, socket: Socket, watch: Watch) -> None:
        async for frame in socket:
            if frame.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY) and _kind(frame.data) in _SIGNS_OF_LIFE:
                watch.heard()

    async def _publish(self, socket: Socket, url: str) -> None:
        """Everything every 20 seconds; health as soon as it changes."""
        while True:
            await self._publish_status(socket, url)
            await self._publish_metrics(socket, url)
            next_at = self._clock.now() + PUBLISH_S
            while (left := next_at - self._clock.now()) > 0:
                self._health_wake.clear()
                await self._publish_health(socket, url)
                await pause(self._clock, left, self._health_wake)

    async def _publish_health(self, socket: Socket, url: str) -> None:
        tasks = [health for job in self._engine.wanted_tasks() if (health := metrics.task_health(job)) is not None]
        for start in range(0, len(tasks), metrics.MOST_TASKS):
            metadata = {**self._metadata(), "messageId": self._ids.uuid(), "fin": start + metrics.MOST_TASKS >= len(tasks)}
            chunk = tasks[start : start + metrics.MOST_TASKS]
            await self._send(socket, url, "PublishHealthRequest", {"metadata": metadata, "tasks": chunk, "timestamp": self._clock.now()})

    async def _publish_metrics(self, socket: Socket, url: str) -> None:
        jobs = self._engine.wanted_tasks()
        before, self._usage = self._usage, await self._read_usage(jobs)
        measured = [found for job in jobs if (found := metrics.task_metrics(job, before, self._usage)) is not None]
        message_ids = [self._ids.uuid() for _ in range(max(1, -(-len(measured) // metrics.MOST_TASKS)))]
        for message in metrics.metrics_messages(self._metadata(), message_ids, measured, self._clock.now()):
            await self._send(socket, url, "PublishMetricsRequest", message)

    async def _read_usage(self, jobs: list[TaskJob]) -> dict[str, Usage]:
        """One after the other: statistics are dear, and there is no hurry."""
        found: dict[str, Usage] = {}
        for job in jobs:
            for container in job.task.containers:
                container_id = job.container_id(container.name)
                if container_id and job.seen[container.name].phase.name == "RUNNING":
                    try:
                        found[container_id] = await self._runtime.usage(container_id)
                    except RuntimeFailure as error:
                        log.debug("%s: no statistics of %s: %s", job.arn, container.name, error)
        return found

    async def _publish_status(self, socket: Socket, url: str) -> None:
        status = ("OK" if self._engine.runtime_is_there else "IMPAIRED", self._engine.runtime_changed_at)
        if status == self._status_told:
            return
        self._status_told = status
        now = self._clock.now()
        message = {
            "metadata": {**self._metadata(), "requestId": self._ids.uuid()},
            "statuses": [{"type": "ContainerRuntime", "status": status[0], "lastUpdated": now, "lastStatusChange": status[1]}],
            "timestamp": now,
        }
        await self._send(socket, url, "PublishInstanceStatusRequest", message)

    def _metadata(self) -> dict[str, Any]:
        return {"cluster": self._endpoints.cluster, "containerInstance": self._endpoints.container_instance_arn}

    async def _send(self, socket: Socket, url: str, kind: str, message: dict[str, Any]) -> None:
        body = msgspec.json.encode({"type": kind, "message": message})
        signed = self._api.signed("GET", url, {}, body)
        signed.pop("User-Agent")
        headers = {"Host": urlsplit(url).netloc, **signed}
        head = "".join(f"{name}: {headers[name]}\r\n" for name in sorted(headers))
        await socket.send_str(f"{head}\r\n{body.decode()}")


def _kind(frame: str | bytes) -> str:
    try:
        return msgspec.json.decode(frame, type=_Kind).type
    except msgspec.MsgspecError:
        return ""


class _Kind(msgspec.Struct, frozen=True):
    type: str = ""
