"""The control socket (ACS): the platform says what is to run, the agent acknowledges.

A payload is acknowledged once its tasks are in the journal and on the disk. Tasks are known by ARN, so payloads may be
repeated. A manifest lists everything that is to run here; what runs beyond it is stopped only after the platform has
confirmed each task (agent protocol §2.2–2.5).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec

from longshore.agent import messages
from longshore.agent.acceptance import Refused, Unreadable, read_task
from longshore.agent.api import AGENT_VERSION, Api, PollEndpoint
from longshore.agent.engine import Engine
from longshore.agent.journal import Journal, JournalUnusable
from longshore.agent.sockets import Backoff, Dialer, HandshakeRefused, Socket, stay_connected, watching
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids

log = logging.getLogger("longshore.agent")

AGENT_HASH = "longshore"
#: how long an instance that was deregistered waits before it asks again
INACTIVE_S = 3600.0


class InstanceUnknown(Exception):
    """The platform does not know this container instance any more."""


class Endpoints:
    """Where the sockets are: asked for once, and again after they could not be opened there."""

    def __init__(self, api: Api, cluster: str, container_instance_arn: str) -> None:
        self._api = api
        self.cluster = cluster
        self.container_instance_arn = container_instance_arn
        self._known: PollEndpoint | None = None

    async def get(self) -> PollEndpoint:
        if self._known is None:
            self._known = await self._api.discover_poll_endpoint(self.cluster, self.container_instance_arn)
        return self._known

    def forget(self) -> None:
        self._known = None


class ControlSession:
    def __init__(
        self, engine: Engine, journal: Journal, endpoints: Endpoints, dialer: Dialer, clock: Clock, ids: Ids, docker_version: str
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._endpoints = endpoints
        self._dialer = dialer
        self._clock = clock
        self._ids = ids
        self._docker_version = docker_version
        self._has_connected = False
        self._manifest_id = ""
        self._acknowledging: set[asyncio.Task[None]] = set()
        #: called at every connection
        self.connected: Callable[[], None] = lambda: None
        #: called when the platform does not take this agent's signature
        self.refused: Callable[[], None] = lambda: None
        #: somebody wants into a container
        self.session_wanted: Callable[[bytes], None] = lambda message: None

    async def run(self) -> None:
        """For ever. Raises InstanceUnknown."""
        backoff = Backoff(self._clock, self._ids, first_s=0.25, most_s=5.0, factor=1.5)
        await stay_connected("control", self._once, self._on_refusal, self._clock, backoff)

    def _on_refusal(self, error: HandshakeRefused) -> float | None:
        if error.name == "InvalidInstanceException":
            raise InstanceUnknown(str(error))
        self._endpoints.forget()
        if error.name == "AccessDeniedException":
            self.refused()
        if error.name == "InactiveInstanceException":
            log.error("this container instance was deregistered; its tasks run on, and it asks again in an hour")
            return INACTIVE_S
        return None

    async def _once(self) -> int | None:
        endpoint = (await self._endpoints.get()).endpoint
        query = {
            "agentHash": AGENT_HASH,
            "agentVersion": AGENT_VERSION,
            "clusterArn": self._endpoints.cluster,
            "containerInstanceArn": self._endpoints.container_instance_arn,
            "dockerVersion": f"DockerVersion: {self._docker_version}",
            "protocolVersion": "2",
            "seqNum": "1",
            "sendCredentials": "false" if self._has_connected else "true",
        }
        try:
            socket = await self._dialer.open(self._dialer.url(endpoint, query))
        except BaseException:
            self._endpoints.forget()
            raise
        self._has_connected = True
        log.info("connected to %s", endpoint)
        self.connected()
        self._engine.reporter.try_now()
        async with watching(socket, self._clock, self._ids) as watch:
            async for frame in socket:
                if frame.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY) and await self._heard(socket, frame.data):
                    watch.heard()
        return socket.close_code

    async def _heard(self, socket: Socket, frame: str | bytes) -> bool:
        """Whether it was a message of the protocol."""
        try:
            content = msgspec.json.decode(frame, type=messages.Frame)
        except msgspec.MsgspecError:
            log.info("a control frame that is not a message: %.200r", frame)
            return False
        try:
            return await self._handle(socket, content.type, content.message)
        except msgspec.MsgspecError as error:
            log.warning("a %s that makes no sense is left out: %s", content.type, error)
            return True

    async def _handle(self, socket: Socket, kind: str, message: msgspec.Raw) -> bool:
        match kind:
            case "HeartbeatMessage":
                beat = msgspec.json.decode(message, type=messages.Heartbeat)
                await self._send(socket, "HeartbeatAckRequest", {"messageId": beat.message_id})
            case "PayloadMessage":
                self._on_payload(socket, msgspec.json.decode(message, type=messages.Payload))
            case "TaskManifestMessage":
                await self._on_manifest(socket, msgspec.json.decode(message, type=messages.TaskManifest))
            case "TaskStopVerificationAck":
                self._on_stop_verified(msgspec.json.decode(message, type=messages.TaskStopVerificationAck))
            case "IAMRoleCredentialsMessage":
                refresh = msgspec.json.decode(message, type=messages.IamRoleCredentials)
                self._engine.credentials.keep(refresh.role_credentials)
                await self._acknowledge_credentials(socket, refresh.message_id, refresh.role_credentials)
            case "StageUpdateMessage" | "PerformUpdateMessage":
                update = msgspec.json.decode(message, type=messages.Update)
                await self._acknowledge(socket, "NackRequest", update, reason="Updates are disabled")
            case "AttachTaskNetworkInterfacesMessage" | "AttachInstanceNetworkInterfacesMessage" | "ConfirmAttachmentMessage":
                await self._acknowledge(socket, "AckRequest", msgspec.json.decode(message, type=messages.Attach))
            case "LongshoreExecMessage":
                self.session_wanted(bytes(message))
            case "ErrorMessage" | "CloseMessage":
                log.warning("the platform says: %s %.300s", kind, bytes(message).decode(errors="replace"))
            case _:
                log.info("a message of the unknown type %.60s is left out", kind)
                return False
        return True

    # ── payloads ──

    def _on_payload(self, socket: Socket, payload: messages.Payload) -> None:
        if not (payload.message_id and payload.cluster_arn and payload.container_instance_arn):
            log.warning("a payload without its message id, cluster or container instance is left out")
            return
        if payload.container_instance_arn != self._endpoints.container_instance_arn:
            log.warning("payload %s is for %s and left out", payload.message_id, payload.container_instance_arn)
            return
        credentials, whole = self._take_on(payload)
        self._journal.raise_sequence(payload.seq_num)
        job = asyncio.create_task(self._confirm(socket, payload, credentials, whole), name=f"ack:{payload.message_id}")
        self._acknowledging.add(job)
        job.add_done_callback(self._acknowledging.discard)

    def _take_on(self, payload: messages.Payload) -> tuple[list[messages.RoleCredentials], bool]:
        """The credentials in it, and whether every task could be taken on. What is to stop comes first."""
        tasks: list[tuple[messages.Task, bytes]] = []
        whole = True
        for raw in payload.tasks or ():
            try:
                tasks.append((read_task(bytes(raw)), bytes(raw)))
            except Refused as refused:
                whole = False
                self._engine.refuse(refused)
            except Unreadable as error:
                whole = False
                log.error("payload %s: a task that does not say which: %s", payload.message_id, error)
        credentials: list[messages.RoleCredentials] = []
        for task, raw_task in sorted(tasks, key=lambda pair: pair[0].desired_status == "RUNNING"):
            given = [one for one in (task.role_credentials, task.execution_role_credentials) if one is not None]
            for one in given:
                self._engine.credentials.keep(one)  # before the task needs them for its first pull
            try:
                self._engine.take_on(task, raw_task)
            except Refused as refused:
                whole = False
                self._engine.refuse(refused)
                continue
            credentials += given
        return credentials, whole

    async def _confirm(self, socket: Socket, payload: messages.Payload, credentials: list[messages.RoleCredentials], whole: bool) -> None:
        try:
            await self._journal.sync()
        except JournalUnusable as error:
            log.error("payload %s is not acknowledged: %s", payload.message_id, error)
            return
        try:
            for given in credentials:
                await self._acknowledge_credentials(socket, payload.message_id, given)
            if whole:
                await self._acknowledge(socket, "AckRequest", payload)
        except ConnectionError:
            log.info("payload %s could not be acknowledged; it will come again", payload.message_id)

    async def _acknowledge_credentials(self, socket: Socket, message_id: str, given: messages.RoleCredentials) -> None:
        answer = {"messageId": message_id, "credentialsId": given.credentials_id, "expiration": given.expiration}
        await self._send(socket, "IAMRoleCredentialsAckRequest", answer)

    # ── the manifest ──

    async def _on_manifest(self, socket: Socket, manifest: messages.TaskManifest) -> None:
        if manifest.timeline <= self._journal.sequence:
            return
        self._journal.raise_sequence(manifest.timeline)
        await self._acknowledge(socket, "AckRequest", manifest)
        listed = {task.task_arn for task in manifest.tasks or () if task.desired_status == "RUNNING"}
        beyond = [job.task for job in self._engine.wanted_tasks() if job.arn not in listed]
        if beyond:
            self._manifest_id = manifest.message_id
            candidates = [{"taskArn": task.arn, "taskClusterArn": task.task_cluster_arn, "desiredStatus": "STOPPED"} for task in beyond]
            await self._send(socket, "TaskStopVerificationMessage", {"messageId": manifest.message_id, "stopCandidates": candidates})

    def _on_stop_verified(self, verdict: messages.TaskStopVerificationAck) -> None:
        if not verdict.message_id or verdict.message_id != self._manifest_id:
            return
        self._manifest_id = ""
        for task in verdict.stop_tasks or ():
            self._engine.stop(task.task_arn)

    # ── sending ──

    async def _acknowledge(
        self, socket: Socket, kind: str, message: messages.Payload | messages.TaskManifest | messages.Update | messages.Attach, **more: str
    ) -> None:
        answer = {"cluster": message.cluster_arn, "containerInstance": message.container_instance_arn, "messageId": message.message_id}
        await self._send(socket, kind, {**answer, **more})

    async def _send(self, socket: Socket, kind: str, message: dict[str, Any]) -> None:
        await socket.send_str(msgspec.json.encode({"type": kind, "message": message}).decode())
