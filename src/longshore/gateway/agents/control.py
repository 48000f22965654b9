"""The control socket (ACS): tasks go down, acknowledgements come up.

A session belongs to one container instance and one connection. It sends what the agent must know of, which is always
computed from the store: on opening, every task of the instance that is not STOPPED, then each task that is placed or asked
to stop. Payloads are repeated until they are acknowledged; the agent knows tasks by ARN, so repeating does no harm.
Sequence numbers are store revisions, which never go back (protocol: the agent protocol §2.3–2.4).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from aiohttp import WSMsgType, web
from msgspec.structs import replace

from longshore.gateway.agents.ending import until_deregistered, until_expired, until_first_ends, until_revoked
from longshore.gateway.agents.exec_offers import announce_sessions
from longshore.gateway.agents.frames import read_frame, written
from longshore.gateway.agents.handshake import Opened
from longshore.gateway.agents.roles import RoleCredentials
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.sealing import Keys
from longshore.services.call import Site
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASK_DEFINITIONS, TASKS, Task, TaskDefinition, revision_key
from longshore.services.ecs.payload import for_another, is_repeatable, task_payload
from longshore.services.ecs.settings.log_mode import log_mode_for, with_log_mode
from longshore.services.ecs.stopping import may_be_told_to_stop, stopped_by
from longshore.services.ecs.task_roles import FAILED
from longshore.services.sts.service_roles import RoleUnusable
from longshore.store.base import Store, StoreError, Tx

log = logging.getLogger("longshore.gateway.agents")

HEARTBEAT_S = 30.0
#: a payload not acknowledged for so long is sent again
REPEAT_S = 10.0
#: an agent that says nothing for so long, not even to three heartbeats, is gone though its connection stands
SILENCE_S = 100.0
#: definitions whose payloads are remembered
MOST_PAYLOADS = 256
#: tasks in one payload
MOST_TASKS = 20


class ControlSession:
    def __init__(
        self, socket: web.WebSocketResponse, opened: Opened, store: Store, clock: Clock, ids: Ids, site: Site, secret: Keys
    ) -> None:
        """`secret` is the installation's, which the sessions of tasks' roles are sealed with."""
        self._socket = socket
        self._instance = opened.instance
        self._arn = opened.instance.arn
        self._cluster_arn = opened.instance.cluster_arn
        self._gateway_url = opened.gateway_url
        self._store = store
        self._clock = clock
        self._ids = ids
        self._site = site
        #: message id -> ARNs of the tasks in it, until acknowledged
        self._unacknowledged: dict[str, tuple[str, ...]] = {}
        #: task ARN -> what the agent was last told
        self._told: dict[str, str] = {}
        #: definition ARN -> a payload that serves for its next tasks, too: definitions never change
        self._payloads: dict[str, dict[str, Any]] = {}
        self._principal = opened.identified.principal
        self._roles = RoleCredentials(store, secret, clock, ids, self._arn, self._send)
        self._lacks_credentials = opened.lacks_credentials
        self._manifest_id = ""
        self._frames_heard = 0
        self._replaced = asyncio.Event()
        #: it ended for its age alone
        self.expired = False

    async def run(self) -> None:
        """Until the agent goes or falls silent, its instance is deregistered, a newer session takes over or the server stops."""
        watch = self._store.watch(TASKS, index="container_instance", value=self._arn)
        try:
            await until_first_ends(
                f"acs:{self._arn}",
                receive=self._receive(),
                follow=self._follow(watch),
                heartbeat=self._beat(),
                repeat=self._repeat(),
                roles=self._roles.renew(),
                sessions=announce_sessions(self._store, self._arn, self._gateway_url, self._send),
                silence=self._until_silent(),
                registered=until_deregistered(self._store, self._instance),
                allowed=until_revoked(self._store, self._principal),
                only=self._until_replaced(),
                life=self._until_expired(),
            )
        finally:
            watch.close()

    def give_way(self) -> None:
        """Have `run` return: a newer session of the same instance is open."""
        self._replaced.set()

    async def stop_everything(self) -> None:
        """Tell the agent to stop all it was told to run, whatever the store says: before the store is wiped."""
        tasks = self._store.list(TASKS, "active_on", self._arn)
        await self._send_payload([self._stop_message(task) for task in tasks])

    # ── down ──

    async def _follow(self, watch: Any) -> None:
        await self._send_tasks(self._store.list(TASKS, "active_on", self._arn))
        if self._lacks_credentials:
            await self._roles.send_all()
        await self._send_manifest()
        async for batch in watch.merged():
            if batch.lost:
                await self._send_tasks(self._store.list(TASKS, "active_on", self._arn))
                continue
            for change in batch.changes:
                if change.new is None:
                    self._told.pop(change.key, None)
            await self._send_tasks(change.new for change in batch.changes if change.new is not None)

    async def _send_tasks(self, tasks: Iterable[Task]) -> None:
        messages = []
        for task in tasks:
            try:
                wanted = self._message_for(task)
            except RoleUnusable as error:
                await self._give_up(task, str(error))
                continue
            if wanted is not None:
                messages.append(wanted)
        for start in range(0, len(messages), MOST_TASKS):
            await self._send_payload(messages[start : start + MOST_TASKS])

    async def _give_up(self, task: Task, reason: str) -> None:
        """A task that was not begun yet and cannot have its role."""
        log.warning("%s: not started: %s", task.arn, reason)
        now = self._clock.now()

        def stop(tx: Tx) -> None:
            present = tx.get(TASKS, task.arn)
            if present is not None:
                tx.put(TASKS, stopped_by(present, reason=reason, code=FAILED, now=now, behind_load_balancer=False))

        try:
            await self._store.transact(stop)
        except StoreError as error:
            log.error("%s: that it cannot start could not be written: %s", task.arn, error)

    def _message_for(self, task: Task) -> dict[str, Any] | None:
        """What the agent is to hear of `task` now; None when it knows already. Raises RoleUnusable for one that cannot begin."""
        if task.is_stopped:
            self._told.pop(task.arn, None)
            return None
        if task.container_instance_arn != self._arn:
            return None
        wanted = "STOPPED" if may_be_told_to_stop(task) else "RUNNING"
        if self._told.get(task.arn) in (wanted, "STOPPED"):
            return None
        if wanted == "RUNNING" and task.stop is not None and task.arn in self._told:
            return None
        self._told[task.arn] = wanted
        return self._stop_message(task) if wanted == "STOPPED" else self._run_message(task)

    def _run_message(self, task: Task) -> dict[str, Any] | None:
        family, _, revision = task.spec.task_definition_arn.rsplit("/", 1)[-1].rpartition(":")
        definition = self._store.get(TASK_DEFINITIONS, revision_key(task.arn, family, int(revision)))
        if definition is None:
            log.error("%s: its task definition %s is gone", task.arn, task.spec.task_definition_arn)
            return None
        return {**self._payload(task, definition), **self._roles.for_payload(task, definition)}

    def _payload(self, task: Task, definition: TaskDefinition) -> dict[str, Any]:
        mode = log_mode_for(self._store, task.arn)
        key = f"{definition.arn}|{mode}"
        known = self._payloads.get(key)
        if known is not None and task.spec.overrides is None:
            return for_another(known, task)
        payload = task_payload(task, with_log_mode(definition, mode), self._site, self._gateway_url)
        if is_repeatable(task, definition):
            if len(self._payloads) >= MOST_PAYLOADS:
                self._payloads.clear()
            self._payloads[key] = payload
        return payload

    def _stop_message(self, task: Task) -> dict[str, Any]:
        family, _, revision = task.spec.task_definition_arn.rsplit("/", 1)[-1].rpartition(":")
        return {
            "arn": task.arn,
            "taskClusterArn": task.cluster_arn,
            "family": family,
            "version": revision,
            "desiredStatus": "STOPPED",
            "containers": [{"name": name, "image": "", "essential": True} for name in task.spec.container_names],
        }

    async def _send_payload(self, tasks: list[dict[str, Any]]) -> None:
        if not tasks:
            return
        message_id = self._ids.uuid()
        self._unacknowledged[message_id] = tuple(task["arn"] for task in tasks)
        await self._send("PayloadMessage", self._envelope(message_id, tasks=tasks, seqNum=self._store.revision))

    async def _send_manifest(self) -> None:
        """Everything that is to run here, so that the agent can say what it runs beyond that."""
        self._manifest_id = self._ids.uuid()
        tasks = [
            {"taskArn": task.arn, "taskClusterArn": task.cluster_arn, "desiredStatus": "RUNNING"}
            for task in self._store.list(TASKS, "active_on", self._arn)
            if not may_be_told_to_stop(task)
        ]
        await self._send("TaskManifestMessage", self._envelope(self._manifest_id, tasks=tasks, timeline=self._store.revision + 1))

    async def _beat(self) -> None:
        while True:
            await self._send("HeartbeatMessage", {"messageId": self._ids.uuid(), "healthy": True})
            await self._clock.sleep(HEARTBEAT_S)

    async def _repeat(self) -> None:
        while True:
            old = dict(self._unacknowledged)
            await self._clock.sleep(REPEAT_S)
            forgotten = [message_id for message_id in old if message_id in self._unacknowledged]
            arns = {arn for message_id in forgotten for arn in self._unacknowledged.pop(message_id)}
            for arn in arns:
                self._told.pop(arn, None)
            await self._send_tasks(task for arn in sorted(arns) if (task := self._store.get(TASKS, arn)) is not None)

    async def _until_silent(self) -> None:
        while True:
            before = self._frames_heard
            await self._clock.sleep(SILENCE_S)
            if self._frames_heard == before:
                log.warning("%s: nothing heard for %.0f s", self._arn, SILENCE_S)
                return

    async def _until_expired(self) -> None:
        await until_expired(self._clock, self._ids)
        self.expired = True

    async def _until_replaced(self) -> None:
        await self._replaced.wait()

    def _envelope(self, message_id: str, **members: Any) -> dict[str, Any]:
        return {
            "messageId": message_id,
            "clusterArn": self._cluster_arn,
            "containerInstanceArn": self._arn,
            "generatedAt": int(self._clock.now() * 1000),
            **members,
        }

    async def _send(self, kind: str, message: dict[str, Any]) -> None:
        await self._socket.send_str(written(kind, message))

    # ── up ──

    async def _receive(self) -> None:
        async for frame in self._socket:
            if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            self._frames_heard += 1
            message = read_frame(frame.data, self._arn)
            if message is not None:
                await self._heard(message.kind, message.content)

    async def _heard(self, kind: str, message: dict[str, Any]) -> None:
        match kind:
            case "AckRequest":
                self._unacknowledged.pop(str(message.get("messageId")), None)
            case "NackRequest":
                log.warning("%s: refused message %s: %s", self._arn, message.get("messageId"), message.get("reason"))
                self._unacknowledged.pop(str(message.get("messageId")), None)
            case "TaskStopVerificationMessage":
                await self._verify_stops(message)
            case "IAMRoleCredentialsAckRequest":
                self._roles.acknowledged(str(message.get("messageId")))
            case "HeartbeatAckRequest":
                return
            case _:
                log.info("%s: a control message of unknown type %.40r", self._arn, kind)

    async def _verify_stops(self, message: dict[str, Any]) -> None:
        """The agent asks whether tasks it runs beyond the manifest are really to go: only those the store does not want are."""
        if message.get("messageId") != self._manifest_id:
            return
        candidates = message.get("stopCandidates") or []
        stop = []
        for candidate in candidates if isinstance(candidates, list) else []:
            arn = str(candidate.get("taskArn", "")) if isinstance(candidate, dict) else ""
            task = self._store.get(TASKS, arn)
            if task is None or task.container_instance_arn != self._arn or task.is_stopped or may_be_told_to_stop(task):
                stop.append({"taskArn": arn, "taskClusterArn": self._cluster_arn, "desiredStatus": "STOPPED"})
        verdict = {"messageId": self._manifest_id, "generatedAt": int(self._clock.now() * 1000), "stopTasks": stop}
        await self._send("TaskStopVerificationAck", verdict)


def connected(tx: Tx, arn: str, now: float, *, version: str, agent_hash: str, docker_version: str) -> bool:
    """Write down that the agent's session is open; False when the instance is gone. One session after another changes nothing."""
    instance = tx.get(CONTAINER_INSTANCES, arn)
    if instance is None or instance.status == "INACTIVE":
        return False
    after = replace(instance, agent_connected=True, agent_version=version, agent_hash=agent_hash, docker_version=docker_version)
    if after != instance:
        tx.put(CONTAINER_INSTANCES, after if instance.agent_connected else replace(after, agent_connection_changed_at=now))
    return True


def disconnected(tx: Tx, arn: str, now: float) -> None:
    instance = tx.get(CONTAINER_INSTANCES, arn)
    if instance is not None and instance.agent_connected:
        tx.put(CONTAINER_INSTANCES, replace(instance, agent_connected=False, agent_connection_changed_at=now))


def forget_sessions(tx: Tx, now: float) -> None:
    """A server that starts holds no sockets, whatever an earlier one left written."""
    for instance in tx.list(CONTAINER_INSTANCES):
        disconnected(tx, instance.arn, now)
