"""The telemetry socket (TCS): health of containers, state of the instance, metrics.

Every frame from the agent is a header block, a blank line and JSON. Health is written to the tasks when it changes;
of metrics what tasks use at present is remembered, in memory (protocol: the agent protocol §4).
"""

from __future__ import annotations

import logging
from typing import Any

from aiohttp import WSMsgType, web
from msgspec.structs import replace

from longshore.gateway.agents.ending import until_deregistered, until_expired, until_first_ends
from longshore.gateway.agents.frames import read_frame, written
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.ecs.lookup import essential_containers
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS, ContainerInstance, HealthCheck, Task
from longshore.services.ecs.utilisation import Utilisation
from longshore.store.base import Store, StoreError, Tx

log = logging.getLogger("longshore.gateway.agents")

HEARTBEAT_S = 30.0
_ACKS = {
    "PublishMetricsRequest": "AckPublishMetric",
    "PublishHealthRequest": "AckPublishHealth",
    "PublishInstanceStatusRequest": "AckPublishInstanceStatus",
}
_HEALTH = ("HEALTHY", "UNHEALTHY", "UNKNOWN")
#: how agents name the checks of their instance -> how ECS does
_CHECKS = {"ContainerRuntime": "CONTAINER_RUNTIME", "AcceleratedCompute": "ACCELERATED_COMPUTE", "EBSDaemon": "DAEMON", "Daemon": "DAEMON"}
_STATUSES = ("OK", "IMPAIRED", "INSUFFICIENT_DATA", "INITIALIZING")


class TelemetrySession:
    def __init__(
        self, socket: web.WebSocketResponse, instance: ContainerInstance, store: Store, clock: Clock, ids: Ids, utilisation: Utilisation
    ) -> None:
        self._socket = socket
        self._instance = instance
        self._arn = instance.arn
        self._store = store
        self._clock = clock
        self._ids = ids
        self._utilisation = utilisation

    async def run(self) -> None:
        """Until the agent goes or its instance is deregistered."""
        await until_first_ends(
            f"tcs:{self._arn}",
            receive=self._receive(),
            heartbeat=self._beat(),
            registered=until_deregistered(self._store, self._instance),
            life=until_expired(self._clock, self._ids),
        )

    async def _receive(self) -> None:
        async for frame in self._socket:
            if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                await self._heard(frame.data if isinstance(frame.data, bytes) else frame.data.encode())

    async def _beat(self) -> None:
        while True:
            await self._send("HeartbeatMessage", {"healthy": True})
            await self._clock.sleep(HEARTBEAT_S)

    async def _heard(self, frame: bytes) -> None:
        _, blank, body = frame.partition(b"\r\n\r\n")
        message = read_frame(body if blank else frame, self._arn)
        if message is None or message.kind not in _ACKS:
            return
        try:
            if message.kind == "PublishHealthRequest" and (reports := health_reports(message.content)):
                await self._store.transact(lambda tx: apply_health(tx, self._arn, reports))
            elif message.kind == "PublishInstanceStatusRequest" and (found := status_reports(message.content)):
                now = self._clock.now()
                await self._store.transact(lambda tx: apply_statuses(tx, self._arn, found, now))
            elif message.kind == "PublishMetricsRequest":
                self._utilisation.note(self._arn, message.content, self._clock.now())
        except StoreError as error:
            log.error("%s: health that it reports could not be written: %s", self._arn, error)
            return
        await self._send(_ACKS[message.kind], {"message": "ok"})

    async def _send(self, kind: str, message: dict[str, Any]) -> None:
        await self._socket.send_str(written(kind, message))


def health_reports(message: dict[str, Any]) -> dict[str, dict[str, str]]:
    """task ARN -> container name -> health word, as far as the message is well formed."""
    found: dict[str, dict[str, str]] = {}
    for task in _dictionaries(message.get("tasks")):
        containers = {
            str(container.get("containerName")): str(container.get("healthStatus"))
            for container in _dictionaries(task.get("containers"))
            if container.get("healthStatus") in _HEALTH
        }
        if containers:
            found[str(task.get("taskArn"))] = containers
    return found


def status_reports(message: dict[str, Any]) -> dict[str, str]:
    """Type of check -> its status, of checks that ECS knows; a later one of the same type counts."""
    return {
        _CHECKS[str(status.get("type"))]: str(status.get("status"))
        for status in _dictionaries(message.get("statuses"))
        if str(status.get("type")) in _CHECKS and status.get("status") in _STATUSES
    }


def apply_statuses(tx: Tx, instance_arn: str, reported: dict[str, str], now: float) -> None:
    """Written down only when a status changes: agents repeat themselves."""
    instance = tx.get(CONTAINER_INSTANCES, instance_arn)
    if instance is None or instance.status == "INACTIVE":
        return
    known = {check.type: check for check in instance.health}
    changed = {type_: status for type_, status in reported.items() if type_ not in known or known[type_].status != status}
    if changed:
        checks = known | {type_: HealthCheck(type_, status, now) for type_, status in changed.items()}
        tx.put(CONTAINER_INSTANCES, replace(instance, health=tuple(checks[type_] for type_ in sorted(checks))))


def _dictionaries(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def apply_health(tx: Tx, instance_arn: str, reports: dict[str, dict[str, str]]) -> None:
    for arn, containers in reports.items():
        task = tx.get(TASKS, arn)
        if task is not None and task.container_instance_arn == instance_arn and not task.is_stopped:
            changed = with_health(task, containers, essential_containers(tx, task))
            if changed is not task:
                tx.put(TASKS, changed)


def with_health(task: Task, reported: dict[str, str], essential: frozenset[str]) -> Task:
    """UNHEALTHY if one essential container is, HEALTHY if all of them that report are, otherwise UNKNOWN, as ECS documents it.

    Containers that are not essential have their own health shown, which says nothing of the task. The same task when nothing changed.
    """
    containers = tuple(
        replace(container, health_status=reported.get(container.name, container.health_status)) for container in task.status.containers
    )
    words = {word for name, word in reported.items() if name in essential}
    overall = "UNHEALTHY" if "UNHEALTHY" in words else "HEALTHY" if words == {"HEALTHY"} else "UNKNOWN"
    if containers == task.status.containers and overall == task.status.health_status:
        return task
    return replace(task, status=replace(task.status, containers=containers, health_status=overall))
