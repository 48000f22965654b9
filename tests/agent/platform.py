"""A platform for one agent: the ECS calls an agent makes and both sockets, as the stock agent's counterpart speaks them.

It checks every signature as the real gateway does, records what it hears and says what a test tells it to.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from longshore.aws.sigv4 import Secret, SignedRequest, verify
from longshore.kit.clock import SystemClock

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ACCOUNT, REGION = "123456789012", "us-east-1"
CLUSTER_ARN = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/default"
Condition = Callable[[], Any]


async def until(condition: Condition, timeout_s: float = 10.0) -> Any:
    """The first true value of `condition`; fails when there is none in time."""
    async with asyncio.timeout(timeout_s):
        while not (value := condition()):  # noqa: ASYNC110 - conditions of tests are plain functions
            await asyncio.sleep(0.002)
        return value


class Socket:
    """One connection of the agent."""

    def __init__(self, ws: web.WebSocketResponse, query: dict[str, str], transport: asyncio.Transport | None) -> None:
        self.ws = ws
        self.transport = transport
        self.query = query
        self.heard: list[dict[str, Any]] = []

    async def say(self, kind: str, message: dict[str, Any]) -> None:
        await self.ws.send_str(json.dumps({"type": kind, "message": message}))

    def heard_of(self, kind: str) -> list[dict[str, Any]]:
        return [frame["message"] for frame in self.heard if frame["type"] == kind]


class Platform:
    def __init__(self) -> None:
        self.port = 0
        self.registrations: list[dict[str, Any]] = []
        self.reports: list[dict[str, Any]] = []
        #: flight records, and how many reports there were when each came
        self.records: list[tuple[dict[str, Any], int]] = []
        self.calls: list[str] = []
        self.control: list[Socket] = []
        self.telemetry: list[Socket] = []
        self.instances: list[str] = []
        #: operation → answers (status, body) to give before the usual one
        self.refusals: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        #: answers to control handshakes before they are accepted
        self.handshake_refusals: list[tuple[int, dict[str, Any]]] = []
        self._runner: web.ServerRunner | None = None
        self._message = 0
        self._sequence = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def instance_arn(self) -> str:
        return self.instances[-1]

    # ── coming and going ──

    async def start(self) -> None:
        """On the same port again after a stop."""
        server = web.Server(self._handle)
        self._runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """As if it had been killed: connections break without a word."""
        for socket in [*self.control, *self.telemetry]:
            if socket.transport is not None:
                socket.transport.abort()
        if self._runner is not None:
            await self._runner.cleanup()

    # ── saying ──

    async def connected(self, number: int = 1) -> Socket:
        await until(lambda: len(self.control) >= number)
        return self.control[-1]

    async def send_tasks(self, *tasks: dict[str, Any], message_id: str = "", **more: Any) -> str:
        self._message += 1
        self._sequence += 1
        message_id = message_id or f"m-{self._message}"
        await self.control[-1].say(
            "PayloadMessage",
            {
                "messageId": message_id,
                "clusterArn": CLUSTER_ARN,
                "containerInstanceArn": self.instance_arn,
                "generatedAt": 1795372699499,
                "seqNum": self._sequence,
                "tasks": list(tasks),
                **more,
            },
        )
        return message_id

    async def send_manifest(self, *arns: str, timeline: int | None = None) -> str:
        self._message += 1
        self._sequence += 1
        message_id = f"man-{self._message}"
        await self.control[-1].say(
            "TaskManifestMessage",
            {
                "messageId": message_id,
                "clusterArn": CLUSTER_ARN,
                "containerInstanceArn": self.instance_arn,
                "generatedAt": 1,
                "timeline": self._sequence if timeline is None else timeline,
                "tasks": [{"taskArn": arn, "taskClusterArn": CLUSTER_ARN, "desiredStatus": "RUNNING"} for arn in arns],
            },
        )
        return message_id

    # ── what was heard ──

    def acknowledged(self) -> list[str]:
        return [message["messageId"] for socket in self.control for message in socket.heard_of("AckRequest")]

    def statuses(self, arn: str) -> list[str]:
        return [report["status"] for report in self.reports if report["task"] == arn]

    def report(self, arn: str, status: str) -> dict[str, Any] | None:
        """The last report of the task with that status."""
        return next((report for report in reversed(self.reports) if report["task"] == arn and report["status"] == status), None)

    async def reported(self, arn: str, status: str, timeout_s: float = 10.0) -> dict[str, Any]:
        found: dict[str, Any] = await until(lambda: self.report(arn, status), timeout_s)
        return found

    def health(self) -> list[dict[str, Any]]:
        return [task for socket in self.telemetry for message in socket.heard_of("PublishHealthRequest") for task in message["tasks"]]

    # ── serving ──

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        path, _, query = request.raw_path.partition("?")
        headers = [(name.decode(), value.decode()) for name, value in request.raw_headers]
        signed = SignedRequest(request.method, path, query, headers, body)
        verify(signed, lambda key: Secret(SECRET) if key == KEY else None, SystemClock().now())
        if path == "/acs/ws":
            return await self._serve_control(request)
        if path == "/tcs/ws":
            return await self._serve_telemetry(request)
        return self._call(request.headers["X-Amz-Target"].rpartition(".")[2], json.loads(body))

    def _call(self, operation: str, body: dict[str, Any]) -> web.Response:
        self.calls.append(operation)
        if self.refusals.get(operation):
            status, answer = self.refusals[operation].pop(0)
            return web.json_response(answer, status=status)
        match operation:
            case "RegisterContainerInstance":
                return web.json_response(self._register(body))
            case "DiscoverPollEndpoint":
                return web.json_response({"endpoint": f"{self.endpoint}/acs/", "telemetryEndpoint": f"{self.endpoint}/tcs"})
            case "SubmitTaskStateChange":
                self.reports.append(body)
                return web.json_response({"acknowledgment": "ACCEPT"})
            case "LongshoreSubmitTaskRecord":
                self.records.append((body, len(self.reports)))
                return web.json_response({"acknowledgment": "ACCEPT"})
            case "GetAuthorizationToken":
                token = base64.b64encode(b"AWS:password:with:colons").decode()
                data = {"authorizationToken": token, "expiresAt": SystemClock().now() + 43200, "proxyEndpoint": self.endpoint}
                return web.json_response({"authorizationData": [data]})
            case "CreateCluster":
                return web.json_response({"cluster": {"clusterArn": CLUSTER_ARN}})
            case _:
                return web.json_response({"__type": "UnknownOperationException", "message": operation}, status=400)

    def _register(self, body: dict[str, Any]) -> dict[str, Any]:
        self.registrations.append(body)
        arn = body.get("containerInstanceArn")
        if not arn:
            arn = f"arn:aws:ecs:{REGION}:{ACCOUNT}:container-instance/default/{len(self.instances) + 1:032x}"
            self.instances.append(arn)
        zone = {"name": "ecs.availability-zone", "value": "us-east-1a"}
        return {"containerInstance": {"containerInstanceArn": arn, "attributes": [*body["attributes"], zone]}}

    async def _serve_control(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.handshake_refusals:
            status, answer = self.handshake_refusals.pop(0)
            return web.json_response(answer, status=status)
        socket = await self._accept(request)
        self.control.append(socket)
        async for frame in socket.ws:
            if frame.type is WSMsgType.TEXT:
                socket.heard.append(json.loads(frame.data))
        return socket.ws

    async def _serve_telemetry(self, request: web.BaseRequest) -> web.StreamResponse:
        socket = await self._accept(request)
        self.telemetry.append(socket)
        async for frame in socket.ws:
            if frame.type is WSMsgType.TEXT:
                head, _, body = frame.data.partition("\r\n\r\n")
                self._check_frame(request, head, body)
                socket.heard.append(json.loads(body))
                await socket.say({"PublishMetricsRequest": "AckPublishMetric"}.get(socket.heard[-1]["type"], "AckPublishHealth"), {})
        return socket.ws

    def _check_frame(self, request: web.BaseRequest, head: str, body: str) -> None:
        headers = [tuple(line.split(": ", 1)) for line in head.split("\r\n")]
        path, _, query = request.raw_path.partition("?")
        signed = SignedRequest("GET", path, query, [(name, value) for name, value in headers], body.encode())
        verify(signed, lambda key: Secret(SECRET) if key == KEY else None, SystemClock().now())

    async def _accept(self, request: web.BaseRequest) -> Socket:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        return Socket(ws, dict(request.query), request.transport)


@asynccontextmanager
async def running_platform() -> AsyncIterator[Platform]:
    platform = Platform()
    await platform.start()
    try:
        yield platform
    finally:
        await platform.stop()


def task(number: int = 1, *containers: dict[str, Any], desired: str = "RUNNING", **more: Any) -> dict[str, Any]:
    """A task of a payload with the members the real platform sends."""
    return {
        "arn": task_arn(number),
        "taskClusterArn": CLUSTER_ARN,
        "family": "web",
        "version": "3",
        "desiredStatus": desired,
        "overrides": "{}",
        "containers": list(containers) or [container()],
        "volumes": [],
        "networkMode": "bridge",
        "launchType": "EC2",
        "group": "family:web",
        **more,
    }


def task_arn(number: int) -> str:
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/default/{number:032x}"


def container(name: str = "main", image: str = "bb:1", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "cpu": 10,
        "memory": 32,
        "essential": True,
        "command": [],
        "entryPoint": [],
        "environment": {},
        "portMappings": [],
        "mountPoints": [],
        "volumesFrom": [],
        "links": [],
        "overrides": "{}",
        "dockerConfig": {"version": "1.32", "config": "{}", "hostConfig": '{"NetworkMode": "bridge"}'},
        **more,
    }
