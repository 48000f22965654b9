"""The recorded conversation of a stock agent, said again to this server: same bytes, same signatures, same moments.

Only message ids differ: the server's are its own, so an acknowledgement names the message that this server sent in the
place of the recorded one.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType
from msgspec.structs import replace
from yarl import URL

from longshore.aws.errors import SignatureDoesNotMatch
from longshore.aws.shapes import ecs as shapes
from longshore.aws.sigv4 import Secret, verify
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.ecs.model import CONTAINER_INSTANCES
from tests.gateway.agent_wire import MESSAGES, REQUIRED, Misread, check
from tests.gateway.captures import Capture, captures, needed, signed
from tests.gateway.platform import INSTANCE, KEY, REGION, SECRET, Platform, platform_on, until
from tests.gateway.stock_agent import StockAgent

pytestmark = needed
#: when the recording began
BEGAN = 1795372599.9


def lookup(key: str) -> Secret | None:
    return Secret(SECRET) if key == KEY else None


# ── signatures ──


def test_every_recorded_signature_holds_at_its_time() -> None:
    everything = signed(captures())
    assert {capture.kind.split("-")[0] for capture, _ in everything} == {"api", "acs", "tcs"}
    for capture, request in everything:
        identity = verify(request, lookup, capture.signed_at)
        assert (identity.access_key_id, identity.region, identity.service) == (KEY, REGION, "ecs"), str(capture)
        if capture.kind.startswith("api-"):
            assert len(request.body) == int(dict(capture.headers)["Content-Length"])


def test_no_recorded_signature_holds_for_anything_else() -> None:
    for capture, request in signed(captures()):
        other_body = request._replace(body=request.body[:-1] + b" }")
        other_query = request._replace(query=request.query.replace("demo", "prod") or "a=b")
        for tampered in (other_body, other_query):
            with pytest.raises(SignatureDoesNotMatch):
                verify(tampered, lookup, capture.signed_at)


# ── what the agent was sent ──

#: recorded to see them refused: an unknown type, one the agent ignores, a payload without its instance, an unknown volume type
REFUSED = {109, 110, 111, 125}


def test_the_types_of_messages_are_those_the_agent_was_recorded_to_accept() -> None:
    sent = [capture for capture in captures() if "-out-" in capture.kind]
    for capture in sent:
        if capture.number not in REFUSED:
            check(capture.type, capture.content)
            required = REQUIRED.get(capture.type, ()) if capture.kind.startswith("acs-") else ()
            assert all(capture.content.get(name) for name in required)
    with pytest.raises(Misread, match=r"volumes\[0\].type is 'weird'"):
        check("PayloadMessage", next(capture for capture in sent if capture.number == 125).content)
    assert {capture.type for capture in sent if capture.number not in REFUSED} <= set(MESSAGES)


WEB = shapes.ContainerDefinition(
    name="web",
    image="bb:1",
    cpu=10,
    memory=32,
    memory_reservation=16,
    essential=True,
    command=("sh", "-c", 'trap "exit 0" TERM; httpd -p 80; env; while true; do sleep 1; done'),
    environment=(shapes.KeyValuePair(name="FOO", value="bar"),),
    port_mappings=(shapes.PortMapping(container_port=80, host_port=0, protocol="tcp"),),
    mount_points=(shapes.MountPoint(source_volume="v", container_path="/v", read_only=False),),
    depends_on=(shapes.ContainerDependency(container_name="init", condition="SUCCESS"),),
    health_check=shapes.HealthCheck(command=("CMD-SHELL", "true"), interval=2, timeout=2, retries=1),
    docker_labels={"my": "label"},
    log_configuration=shapes.LogConfiguration(log_driver="json-file"),
    stop_timeout=3,
)
INIT = shapes.ContainerDefinition(
    name="init",
    image="bb:1",
    cpu=10,
    memory=32,
    essential=False,
    command=("sh", "-c", "exit 0"),
    environment=(shapes.KeyValuePair(name="FOO", value="bar"),),
)
SIZE: dict[str, Any] = {"cpu": "256", "memory": "64", "volumes": (shapes.Volume(name="v"),), "network_mode": "bridge"}


async def test_the_recorded_task_is_sent_as_it_was_recorded() -> None:
    recorded = next(capture for capture in captures() if capture.number == 75).content
    async with platform_on(SteppedClock()) as platform:
        await platform.cluster()
        await platform.instance()
        await platform.definition(WEB, INIT, **SIZE)
        arn = await platform.task(2, "web", "init")
        async with StockAgent(platform) as agent:
            await agent.until_told(arn, "RUNNING")
            assert agent.misread == []
            ours = agent.of_type("PayloadMessage")[0]
    assert types_of(ours) == types_of({**recorded, "tasks": ours["tasks"]})
    (task,), (model,) = ours["tasks"], recorded["tasks"]
    # roles come with a later version; zone and the launch type are this installation's own
    for name in sorted(set(model) - {"containers", "roleCredentials", "executionRoleCredentials", "launchType"}):
        assert task[name] == model[name], name
        assert type(task[name]) is type(model[name]), name
    for container, wanted in zip(task["containers"], model["containers"], strict=True):
        for name in sorted(set(wanted) - {"dockerConfig", "containerArn"}):
            assert container[name] == wanted[name], name
        for text in ("config", "hostConfig"):
            settings, model_settings = (json.loads(one["dockerConfig"][text]) for one in (container, wanted))
            given = {name: value for name, value in model_settings.items() if value != []}
            assert {name: settings.get(name) for name in given} == given, f"{container['name']} {text}"


def types_of(message: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in message.items()}


# ── the conversation ──


class RecordedIds(SeededIds):
    """Gives the container instance the id it had."""

    def hex(self, length: int) -> str:
        return INSTANCE.rsplit("/", 1)[-1] if length == 32 else super().hex(length)


class Conversation:
    """The agent's side: what it said goes out as recorded, what this server says instead of the recorded one is kept."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._control: aiohttp.ClientWebSocketResponse | None = None
        self._telemetry: aiohttp.ClientWebSocketResponse | None = None
        self._listening: list[asyncio.Task[None]] = []
        self.heard: list[tuple[str, dict[str, Any]]] = []
        #: recorded message id -> the one this server sent in its place
        self.message_ids: dict[str, str] = {}

    async def call(self, capture: Capture) -> dict[str, Any]:
        async with self._platform.http.post(URL(self._platform.url + "/"), data=capture.body, headers=capture.sendable_headers) as answer:
            body = json.loads(await answer.read())
            assert answer.status == 200, f"{capture}: {answer.status} {body}"
            return dict(body)

    async def connect(self, capture: Capture) -> None:
        url = URL(self._platform.url + capture.target, encoded=True)
        socket = await self._platform.http.ws_connect(url, headers=capture.sendable_headers)
        self._listening.append(asyncio.create_task(self._listen(socket)))
        if capture.kind.startswith("acs-"):
            self._control = socket
        else:
            self._telemetry = socket

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket:
            assert frame.type is WSMsgType.TEXT
            received = json.loads(frame.data)
            if received["type"] != "HeartbeatMessage":  # on the telemetry socket it has no id
                check(received["type"], received["message"])
            self.heard.append((received["type"], received["message"]))

    async def say(self, capture: Capture) -> None:
        socket = self._control if capture.kind.startswith("acs-") else self._telemetry
        assert socket is not None
        frame = capture.frame
        for recorded, ours in self.message_ids.items():
            frame = frame.replace(json.dumps(recorded), json.dumps(ours))
        await socket.send_str(frame)

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [message for heard, message in self.heard if heard == kind]

    async def answered(self, kind: str, number: int) -> None:
        await until(lambda: len(self.of_type(kind)) >= number, f"{number} × {kind}")

    async def close_control(self) -> None:
        assert self._control is not None
        await self._control.close()

    async def hang_up(self) -> None:
        for socket in (self._control, self._telemetry):
            if socket is not None:
                await socket.close()
        await asyncio.gather(*self._listening)
        self._control = self._telemetry = None
        self._listening.clear()


TELEMETRY_ACKS = {
    "PublishMetricsRequest": "AckPublishMetric",
    "PublishHealthRequest": "AckPublishHealth",
    "PublishInstanceStatusRequest": "AckPublishInstanceStatus",
}


async def test_the_recorded_conversation_goes_the_same_way_with_this_server() -> None:
    clock = SteppedClock(BEGAN)
    async with platform_on(clock, RecordedIds(1)) as platform:
        await platform.cluster()
        replay = Replay(platform)
        for capture in captures():
            await clock.step(max(0.0, BEGAN + capture.at - clock.now()))
            await replay.play(capture)
        await replay.conversation.hang_up()
        replay.verify_the_end()


class Replay:
    """What happens at each recorded moment, and what must be true after it."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self.conversation = Conversation(platform)
        self._acks = dict.fromkeys(TELEMETRY_ACKS.values(), 0)
        self._arns: dict[int, str] = {}
        self._registrations = 0

    async def play(self, capture: Capture) -> None:
        match capture.kind.split("-", 2):
            case ["api", "RegisterContainerInstance"]:
                self._registered(capture, await self.conversation.call(capture))
            case ["api", "DiscoverPollEndpoint"]:
                found = await self.conversation.call(capture)
                host = dict(capture.headers)["Host"]
                assert (found["endpoint"], found["telemetryEndpoint"]) == (f"http://{host}/acs/", f"http://{host}/tcs/")
            case ["api", "SubmitTaskStateChange"]:
                assert (await self.conversation.call(capture))["acknowledgment"]
                await self._reported(capture)
            case ["api", "ListTagsForResource"]:
                tags = (await self.conversation.call(capture))["tags"]
                assert tags == ([{"key": "tagk", "value": "tagv"}] if capture.content["body"]["resourceArn"] == INSTANCE else [])
            case [_, "handshake"]:
                await self.conversation.connect(capture)
                await until(lambda: self._platform.seen().agent_connected or capture.kind.startswith("tcs-"))
            case ["acs", "out", "PayloadMessage"] if capture.number != 110:
                await self._place(capture)
            case ["acs", "out", "TaskManifestMessage"]:
                await self.conversation.answered("TaskManifestMessage", 1)
                self.conversation.message_ids[capture.content["messageId"]] = self.conversation.of_type("TaskManifestMessage")[-1][
                    "messageId"
                ]
            case ["acs", "in", "TaskStopVerificationMessage"]:
                await self._verify(capture)
            case ["acs", "in", "CLOSE"]:
                await self._close()
            case ["disconnect"]:
                await self.conversation.hang_up()
                await until(lambda: not self._platform.seen().agent_connected)
            case ["acs", "in", _]:
                await self.conversation.say(capture)
            case ["tcs", "in", kind]:
                ack = TELEMETRY_ACKS[kind]
                self._acks[ack] += 1
                await self.conversation.say(capture)
                await self.conversation.answered(ack, self._acks[ack])
                self._healthy(capture)

    def _registered(self, capture: Capture, answer: dict[str, Any]) -> None:
        self._registrations += 1
        instance = answer["containerInstance"]
        assert instance["containerInstanceArn"] == INSTANCE
        echoed = {attribute["name"]: attribute.get("value", "") for attribute in instance["attributes"]}
        for asked in capture.content["body"]["attributes"]:
            assert echoed[asked["name"]] == asked.get("value", ""), f"{asked['name']}: the agent would exit with code 5"
        assert echoed["ecs.availability-zone"], "the agent has no other source for its zone"
        assert echoed["stack"] == "stub", "a custom attribute is told on the first registration only, and kept"
        assert self._platform.store.count(CONTAINER_INSTANCES) == 1

    async def _place(self, capture: Capture) -> None:
        """What made the recorded server send this: a task is placed."""
        recorded = capture.content["tasks"][0]
        digit = int(recorded["arn"][-1])
        names = tuple(container["name"] for container in recorded["containers"])
        if digit not in self._arns:
            containers = (WEB, INIT) if digit == 2 else (replace(INIT, name=names[0], essential=True),)
            await self._platform.definition(*containers, revision=digit, **(SIZE if digit == 2 else {}))
            self._arns[digit] = await self._platform.task(digit, *names, revision=digit)
            assert self._arns[digit] == recorded["arn"]
        await until(lambda: self._payload_with(recorded["arn"]) is not None, f"{capture} of ours")
        payload = self._payload_with(recorded["arn"])
        assert payload is not None
        self.conversation.message_ids[capture.content["messageId"]] = payload["messageId"]

    def _payload_with(self, arn: str) -> dict[str, Any] | None:
        payloads = reversed(self.conversation.of_type("PayloadMessage"))
        return next((payload for payload in payloads if any(task["arn"] == arn for task in payload["tasks"])), None)

    async def _verify(self, capture: Capture) -> None:
        """The recorded server no longer wanted that task; neither does this one, and it says so when it is asked."""
        arn = capture.content["message"]["stopCandidates"][0]["taskArn"]
        await self._platform.ask_to_stop(arn)
        self.conversation.message_ids[capture.content["message"]["messageId"]] = self.conversation.of_type("TaskManifestMessage")[-1][
            "messageId"
        ]
        await self.conversation.say(capture)
        await self.conversation.answered("TaskStopVerificationAck", 1)
        assert [task["taskArn"] for task in self.conversation.of_type("TaskStopVerificationAck")[0]["stopTasks"]] == [arn]

    async def _close(self) -> None:
        """The agent closes its end of the control socket, to come back at once on a new one."""
        await self.conversation.close_control()
        await until(lambda: not self._platform.seen().agent_connected)

    async def _reported(self, capture: Capture) -> None:
        said = capture.content["body"]
        task = self._platform.seen_task(said["task"])
        containers = {container.name: container for container in task.status.containers}
        match capture.number:
            case 45:
                assert task.last_status == "RUNNING"
                binding = containers["main"].network_bindings[0]
                assert (binding.bind_ip, binding.container_port, binding.host_port, binding.protocol) == ("0.0.0.0", 80, 32768, "tcp")
            case 53:
                assert (task.last_status, containers["main"].exit_code, task.status.stop_code) == ("STOPPED", 3, "EssentialContainerExited")
                assert task.status.execution_stopped_at == said["executionStoppedAt"]
            case 82:
                assert task.last_status == "RUNNING"
                # `init` stands in the list twice, RUNNING and STOPPED: the last one is what it is
                assert (containers["init"].last_status, containers["init"].exit_code) == ("STOPPED", 0)
                assert (containers["web"].last_status, containers["web"].exit_code) == ("RUNNING", None)
            case 126:
                assert task.last_status == "STOPPED"
                assert task.status.stopped_reason == said["reason"]
                assert task.status.stop_code == "TaskFailedToStart"
            case 131:
                assert (task.last_status, containers["web"].exit_code, task.stop and task.stop.reason) == ("STOPPED", 0, "enough")
            case 141:
                assert (task.last_status, task.status.stop_code) == ("STOPPED", "TaskFailedToStart")
                assert containers["nope"].reason.startswith("CannotPullImageManifestError: ")
                assert containers["nope"].exit_code is None
            case number:
                raise AssertionError(f"nothing is known of report {number}")

    def _healthy(self, capture: Capture) -> None:
        if capture.type == "PublishHealthRequest":
            arn = capture.content["body"]["message"]["tasks"][0]["taskArn"]
            containers = {one.name: one.health_status for one in self._platform.seen_task(arn).status.containers}
            assert containers == {"web": "HEALTHY", "init": "UNKNOWN"}

    def verify_the_end(self) -> None:
        assert self._registrations == 2
        assert sorted(self._arns) == [1, 2, 3, 4]
        assert all(self._platform.seen_task(arn).is_stopped for arn in self._arns.values())
        assert self._platform.seen().agent_version == "1.105.1"
