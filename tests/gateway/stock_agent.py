"""A double of the stock agent on its two sockets: it does what agent protocol §2–§4 says the agent does, and nothing else.

It signs its handshakes, acknowledges heartbeats and payloads, drops without a word what lacks a required field, keeps the
latest sequence number, and asks before it stops what a manifest does not name. It runs nothing: `tasks` is what it would run.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import WSMsgType
from yarl import URL

from longshore.aws.sigv4 import sign
from tests.gateway.agent_wire import REQUIRED, Misread, check
from tests.gateway.platform import CLUSTER, INSTANCE, KEY, REGION, SECRET, Platform, until


class StockAgent:
    """Used as an asynchronous context: connected inside."""

    def __init__(
        self,
        platform: Platform,
        arn: str = INSTANCE,
        *,
        acknowledges: bool = True,
        answers: bool = True,
        keys: tuple[str, str, str | None] = (KEY, SECRET, None),
    ) -> None:
        self._platform = platform
        self._arn = arn
        self._keys = keys
        #: payloads it acknowledges; anything at all it answers
        self.acknowledges = acknowledges
        self.answers = answers
        #: every message, in order: (type, message)
        self.heard: list[tuple[str, dict[str, Any]]] = []
        #: what it could not read, in words
        self.misread: list[str] = []
        #: task ARN -> desired status
        self.tasks: dict[str, str] = {}
        self.latest_sequence = -1
        self._manifest_id = ""
        self._receiving: asyncio.Task[None] | None = None
        self.socket: aiohttp.ClientWebSocketResponse

    async def __aenter__(self) -> StockAgent:
        key, secret, token = self._keys
        signed = {"key": key, "secret": secret, **({"token": token} if token else {})}
        self.socket = await open_socket(self._platform, control_url(self._platform, self._arn), **signed)
        self._receiving = asyncio.create_task(self._receive())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._receiving is not None:
            self._receiving.cancel()
            await asyncio.gather(self._receiving, return_exceptions=True)
        await self.socket.close()

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [message for heard, message in self.heard if heard == kind]

    @property
    def told(self) -> list[tuple[str, str]]:
        """(task ARN, desired status), as often as it was told."""
        return [(task["arn"], task["desiredStatus"]) for payload in self.of_type("PayloadMessage") for task in payload["tasks"]]

    async def until_told(self, arn: str, status: str, times: int = 1) -> None:
        await until(lambda: self.told.count((arn, status)) >= times, f"{arn} {status} told {times} time(s), not {self.told}")

    async def until_closed(self) -> int | None:
        """The close code."""
        assert self._receiving is not None
        await asyncio.wait_for(asyncio.shield(self._receiving), 5.0)
        return self.socket.close_code

    async def settled(self) -> None:
        """Returns once the server has dealt with all this agent has said and with all that was written before.

        The server takes an agent's frames one after the other and answers a question about its own manifest, so the answer
        comes after the effects of everything said earlier.
        """
        await until(lambda: self.of_type("TaskManifestMessage"), "a manifest")
        for _ in range(2):
            before = len(self.of_type("TaskStopVerificationAck"))
            manifest = self.of_type("TaskManifestMessage")[-1]["messageId"]
            await self.say("TaskStopVerificationMessage", {"messageId": manifest, "stopCandidates": []})
            await until(lambda before=before: len(self.of_type("TaskStopVerificationAck")) > before)  # type: ignore[misc]

    async def settled_or_closed(self) -> None:
        """The same, unless the server closes the connection first."""
        settling = asyncio.create_task(self.settled())
        closing = asyncio.create_task(self.until_closed())
        await asyncio.wait((settling, closing), return_when=asyncio.FIRST_COMPLETED)
        for job in (settling, closing):
            job.cancel()
        await asyncio.gather(settling, closing, return_exceptions=True)

    async def say(self, kind: str, message: dict[str, Any]) -> None:
        await self.socket.send_str(json.dumps({"type": kind, "message": message}))

    async def _receive(self) -> None:
        async for frame in self.socket:
            if frame.type is not WSMsgType.TEXT:
                continue
            received = json.loads(frame.data)
            kind, message = received["type"], received["message"]
            self.heard.append((kind, message))
            try:
                check(kind, message)
                understood = all(message.get(name) not in (None, "") for name in REQUIRED.get(kind, ()))
            except (Misread, KeyError) as error:
                self.misread.append(str(error))
                understood = False
            if understood and self.answers:
                await self._act(kind, message)

    async def _act(self, kind: str, message: dict[str, Any]) -> None:
        match kind:
            case "HeartbeatMessage":
                await self.say("HeartbeatAckRequest", {"messageId": message["messageId"]})
            case "PayloadMessage":
                for task in sorted(message["tasks"], key=lambda task: task["desiredStatus"] != "STOPPED"):
                    self.tasks[task["arn"]] = task["desiredStatus"]
                self.latest_sequence = max(self.latest_sequence, message.get("seqNum", -1))
                if self.acknowledges:
                    await self._acknowledge(message)
            case "IAMRoleCredentialsMessage" if self.acknowledges:
                given = message["roleCredentials"]
                answer = {name: given[name] for name in ("credentialsId", "expiration")}
                await self.say("IAMRoleCredentialsAckRequest", {"messageId": message["messageId"], **answer})
            case "TaskManifestMessage" if message["timeline"] > self.latest_sequence:
                await self._compare(message)
            case "TaskStopVerificationAck" if message["messageId"] == self._manifest_id:
                for task in message["stopTasks"]:
                    self.tasks[task["taskArn"]] = "STOPPED"

    async def _acknowledge(self, message: dict[str, Any]) -> None:
        await self.say(
            "AckRequest",
            {"cluster": message["clusterArn"], "containerInstance": message["containerInstanceArn"], "messageId": message["messageId"]},
        )

    async def _compare(self, manifest: dict[str, Any]) -> None:
        self.latest_sequence, self._manifest_id = manifest["timeline"], manifest["messageId"]
        await self._acknowledge(manifest)
        wanted = {task["taskArn"] for task in manifest["tasks"] if task["desiredStatus"] == "RUNNING"}
        surplus = [arn for arn, desired in self.tasks.items() if desired == "RUNNING" and arn not in wanted]
        if surplus:
            candidates = [{"taskArn": arn, "taskClusterArn": CLUSTER, "desiredStatus": "STOPPED"} for arn in surplus]
            await self.say("TaskStopVerificationMessage", {"messageId": self._manifest_id, "stopCandidates": candidates})


def control_url(platform: Platform, arn: str = INSTANCE) -> URL:
    query = {
        "agentHash": "a8b3e7d3",
        "agentVersion": "1.105.1",
        "clusterArn": "demo",
        "containerInstanceArn": arn,
        "dockerVersion": "DockerVersion: 20.10.24+dfsg1",
        "protocolVersion": "2",
        "sendCredentials": "true",
        "seqNum": "1",
    }
    return URL(f"{platform.url}/acs/ws?{urlencode(query)}", encoded=True)


def telemetry_url(platform: Platform, arn: str = INSTANCE) -> URL:
    query = {
        "agentHash": "a8b3e7d3",
        "agentVersion": "1.105.1",
        "cluster": "demo",
        "containerInstance": arn,
        "dockerVersion": "20.10.24+dfsg1",
    }
    return URL(f"{platform.url}/tcs/ws?{urlencode(query)}", encoded=True)


def signed_headers(
    platform: Platform,
    url: URL,
    *,
    key: str = KEY,
    secret: str = SECRET,
    token: str | None = None,
    region: str = REGION,
    service: str = "ecs",
) -> dict[str, str]:
    host = f"{url.host}:{url.port}"
    added = sign(
        "GET",
        url.raw_path,
        url.raw_query_string,
        [("Host", host)],
        b"",
        access_key_id=key,
        secret_access_key=secret,
        region=region,
        service=service,
        session_token=token,
        now=platform.clock.now(),
    )
    return {"Host": host, **added}


async def open_socket(platform: Platform, url: URL, **signed: str) -> aiohttp.ClientWebSocketResponse:
    """Raises aiohttp.WSServerHandshakeError when it is refused."""
    return await platform.http.ws_connect(url, headers=signed_headers(platform, url, **signed), autoping=True)


async def refusal(platform: Platform, url: URL, headers: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Status and body of the answer to a handshake that is refused, read as the agent reads it."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "CyAp6A6F1g+Dy/BmKtuxAw==",
    }
    async with platform.http.get(url, headers={**headers, **upgrade}) as answer:
        return answer.status, json.loads(await answer.read())
