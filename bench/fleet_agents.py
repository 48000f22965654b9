"""A fleet of container instances that are agents only: real signatures, real websockets, tasks that run nowhere.

    python -m bench.fleet_agents --endpoint http://127.0.0.1:4566 --first 0 --count 500 --key … --secret …

Each registers, holds its control and telemetry sockets open, acknowledges what it is sent, reports every task RUNNING or STOPPED as
soon as it is told to, and publishes metrics of its tasks every 20 seconds, as agents do (agent protocol §2–§4). The program says
`ready` once all are connected, and a line of JSON about its reports for each line that it is given.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import WSMsgType
from yarl import URL

from longshore.aws.sigv4 import sign

REGION = "us-east-1"
TARGET = "AmazonEC2ContainerServiceV20141113"
CPU, MEMORY_MIB = 4096, 16_384
PUBLISH_S = 20.0
TASKS_IN_MESSAGE = 10
#: calls of the API under way at once, of all agents of this process
CALLS = 32
#: attributes of a real agent are some fifty
ATTRIBUTES = [{"name": f"com.amazonaws.ecs.capability.docker-remote-api.1.{minor}"} for minor in range(17, 45)] + [
    {"name": f"ecs.capability.feature-{number}"} for number in range(20)
]


class Fleet:
    def __init__(self, endpoint: str, key: str, secret: str, http: aiohttp.ClientSession) -> None:
        self.endpoint, self.host = endpoint, endpoint.partition("://")[2]
        self._keys = (key, secret)
        self.http = http
        self._calls = asyncio.Semaphore(CALLS)
        self.connected = 0
        #: seconds that reports of a state took to be acknowledged, which is when everybody sees them
        self.reported: list[float] = []
        self.reconnects = 0

    def _signed(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        added = sign(
            method,
            path,
            query,
            headers.items(),
            body,
            access_key_id=self._keys[0],
            secret_access_key=self._keys[1],
            region=REGION,
            service="ecs",
            now=time.time(),
        )
        return {**headers, **added}

    async def call(self, operation: str, **request: Any) -> dict[str, Any]:
        body = json.dumps(request).encode()
        headers = {"Host": self.host, "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{TARGET}.{operation}"}
        async with self._calls:
            while True:
                try:
                    signed = self._signed("POST", "/", "", headers, body)
                    began = time.monotonic()
                    async with self.http.post(f"{self.endpoint}/", data=body, headers=signed) as answer:
                        found: dict[str, Any] = json.loads(await answer.read())
                        if answer.status != 200:
                            raise RuntimeError(f"{operation}: {found}")
                        if operation == "SubmitTaskStateChange":
                            self.reported.append(time.monotonic() - began)
                        return found
                except aiohttp.ClientError:
                    await asyncio.sleep(0.5)

    async def socket(self, path: str, **query: str) -> aiohttp.ClientWebSocketResponse:
        url = URL(f"{self.endpoint}{path}?{urlencode(query)}", encoded=True)
        headers = self._signed("GET", url.raw_path, url.raw_query_string, {"Host": self.host}, b"")
        return await self.http.ws_connect(url, headers=headers, autoping=True, compress=0, max_msg_size=0)

    def frame(self, kind: str, message: dict[str, Any]) -> str:
        return f"Authorization: none\r\nHost: {self.host}\r\n\r\n{json.dumps({'type': kind, 'message': message})}"


class Agent:
    def __init__(self, fleet: Fleet, number: int) -> None:
        self._fleet = fleet
        self._number = number
        self._arn = ""
        self._tasks: dict[str, str] = {}
        self._jobs: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        document = {
            "instanceId": f"i-{self._number:017x}",
            "privateIp": f"10.0.{self._number // 250}.{self._number % 250 + 1}",
            "availabilityZone": f"{REGION}{'abc'[self._number % 3]}",
            "instanceType": "longshore.local",
        }
        registered = await self._fleet.call(
            "RegisterContainerInstance",
            cluster="default",
            instanceIdentityDocument=json.dumps(document),
            instanceIdentityDocumentSignature="",
            totalResources=[
                {"name": "CPU", "type": "INTEGER", "integerValue": CPU},
                {"name": "MEMORY", "type": "INTEGER", "integerValue": MEMORY_MIB},
                {"name": "PORTS", "type": "STRINGSET", "stringSetValue": []},
                {"name": "PORTS_UDP", "type": "STRINGSET", "stringSetValue": []},
            ],
            attributes=ATTRIBUTES,
        )
        self._arn = registered["containerInstance"]["containerInstanceArn"]
        await asyncio.gather(self._stay(self._control), self._stay(self._telemetry))

    async def _stay(self, once: Any) -> None:
        wait = 0.25
        while True:
            began = time.monotonic()
            try:
                await once()
            except (aiohttp.ClientError, ConnectionError):
                pass
            self._fleet.reconnects += 1
            wait = 0.25 if time.monotonic() - began > 60 else min(5.0, wait * 1.5)
            await asyncio.sleep(wait * (0.8 + 0.4 * (self._number % 97) / 97))

    async def _control(self) -> None:
        socket = await self._fleet.socket(
            "/acs/ws",
            agentHash="bench",
            agentVersion="1.105.1",
            clusterArn="default",
            containerInstanceArn=self._arn,
            dockerVersion="DockerVersion: 20.10.24",
            protocolVersion="2",
            sendCredentials="true",
            seqNum="1",
        )
        self._fleet.connected += 1
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    await self._heard(socket, json.loads(frame.data))
        finally:
            self._fleet.connected -= 1

    async def _heard(self, socket: aiohttp.ClientWebSocketResponse, said: dict[str, Any]) -> None:
        kind, message = said["type"], said["message"]
        if kind == "HeartbeatMessage":
            await socket.send_str(json.dumps({"type": "HeartbeatAckRequest", "message": {"messageId": message["messageId"]}}))
        elif kind in ("PayloadMessage", "TaskManifestMessage"):
            acknowledged = {"cluster": message["clusterArn"], "containerInstance": self._arn, "messageId": message["messageId"]}
            await socket.send_str(json.dumps({"type": "AckRequest", "message": acknowledged}))
            for task in message["tasks"] if kind == "PayloadMessage" else ():
                if self._tasks.get(task["arn"]) != task["desiredStatus"]:
                    self._tasks[task["arn"]] = task["desiredStatus"]
                    job = asyncio.create_task(self._report(task["arn"], task["desiredStatus"]))
                    self._jobs.add(job)
                    job.add_done_callback(self._jobs.discard)

    async def _report(self, arn: str, status: str) -> None:
        container = {"containerName": "main", "status": status, "runtimeId": arn[-32:] * 2}
        if status == "STOPPED":
            container["exitCode"] = 0  # type: ignore[assignment]
            self._tasks.pop(arn, None)
        await self._fleet.call("SubmitTaskStateChange", cluster="default", task=arn, status=status, reason="", containers=[container])

    async def _telemetry(self) -> None:
        socket = await self._fleet.socket(
            "/tcs/ws", agentHash="bench", agentVersion="1.105.1", cluster="default", containerInstance=self._arn, dockerVersion="20.10.24"
        )
        publishing = asyncio.create_task(self._publish(socket))
        try:
            async for _ in socket:
                pass
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)

    async def _publish(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await asyncio.sleep(PUBLISH_S * (self._number % 100) / 100)  # agents do not start all at once
        metadata = {"cluster": "default", "containerInstance": self._arn}
        while not socket.closed:
            running = [arn for arn, status in self._tasks.items() if status == "RUNNING"]
            for start in range(0, max(1, len(running)), TASKS_IN_MESSAGE):
                some = running[start : start + TASKS_IN_MESSAGE]
                said = {**metadata, "messageId": "m", "idle": not some, "fin": start + TASKS_IN_MESSAGE >= len(running)}
                message = {"metadata": said, "timestamp": time.time(), "taskMetrics": [_metrics(arn) for arn in some]}
                await socket.send_str(self._fleet.frame("PublishMetricsRequest", message))
            await asyncio.sleep(PUBLISH_S)


def _metrics(arn: str) -> dict[str, Any]:
    cpu = {"min": 0.1, "max": 0.4, "sampleCount": 20, "sum": 4.5}
    memory = {"min": 21, "max": 22, "sampleCount": 20, "sum": 430}
    containers = [{"containerName": "main", "cpuStatsSet": cpu, "memoryStatsSet": memory}]
    return {"taskArn": arn, "taskDefinitionFamily": "fleet", "taskDefinitionVersion": "1", "containerMetrics": containers}


async def _answer(fleet: Fleet) -> None:
    """A line out for each line in: what was reported since the last one."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.readline():
        reported, fleet.reported = fleet.reported, []
        print(json.dumps({"reported": reported, "connected": fleet.connected, "reconnects": fleet.reconnects}), flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--endpoint", "--key", "--secret"):
        parser.add_argument(name, required=True)
    parser.add_argument("--first", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    given = parser.parse_args()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as http:
        fleet = Fleet(given.endpoint, given.key, given.secret, http)
        agents = [asyncio.create_task(Agent(fleet, given.first + number).run()) for number in range(given.count)]
        while fleet.connected < given.count:
            for agent in agents:
                if agent.done():
                    agent.result()
            await asyncio.sleep(0.05)
        print("ready", flush=True)
        await _answer(fleet)


if __name__ == "__main__":
    asyncio.run(main())
