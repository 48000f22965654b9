"""The server's doors that are no API operation, as it mounts them: each asked for by all who may not, over its own port.

`Doorway` is the server as far as that; nothing runs behind it. `SIGNED` has every route that is opened by a signature, `OPEN` and
`TOKENS` those opened by nothing or by what a link carries; `MOUNTS` says of each mounted path which of them stand under it.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
from msgspec.structs import replace

from longshore.answering import Answering
from longshore.aws.sigv4 import sign
from longshore.config import Credentials, ServerConfig
from longshore.gateway import accounts, balancers, keys, machines, measuring, names, upkeep
from longshore.gateway.agents.exec_offers import AGENT_ROUTE
from longshore.gateway.app import Gateway
from longshore.gateway.auditing import route as audit
from longshore.gateway.exec import CLIENT_ROUTE
from longshore.kit.clock import SteppedClock
from longshore.kit.sealing import Keys as Secrets
from longshore.listening import Listener
from longshore.server import Server
from longshore.services.ec2.model import SUBNETS
from longshore.services.ecs import model as ecs
from longshore.services.elbv2.claims import KEYS_ROUTE
from longshore.services.elbv2.trust_stores import CONTENT_ROUTE
from longshore.services.iam import model as iam
from longshore.store.base import Tx

REGION, OWNER, STRANGER = "us-east-1", "000000000000", "222222222222"
CLUSTER = f"arn:aws:ecs:{REGION}:{OWNER}:cluster/main"
MACHINE = f"arn:aws:ecs:{REGION}:{OWNER}:container-instance/main/{'1' * 32}"
_HOUR_S = 3600.0


class Keys(NamedTuple):
    access_key_id: str
    secret: str
    token: str | None = None


ROOT = Keys("AKIAROOTROOTROOTROOT", "the root's secret")
STRANGERS_ROOT = Keys("AKIASTRANGERSTRANGER", "the stranger's secret")
USER = Keys("AKIAUSERUSERUSERUSER", "the user's secret")
DISABLED = Keys("AKIADISABLEDDISABLED", "a disabled key's secret")
USER_ARN = f"arn:aws:iam::{OWNER}:user/ann"


class Door(NamedTuple):
    method: str
    path: str
    query: Mapping[str, str]
    #: what a policy must allow; empty where any key of the installation will do
    action: str
    service: str = "longshore"
    body: bytes = b""
    #: whoever else is allowed the action: no user
    for_the_root: bool = False
    #: opened as a WebSocket
    is_socket: bool = False

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def _control(cluster: str, instance: str, **more: str) -> dict[str, str]:
    return {cluster: "main", instance: MACHINE, "agentHash": "a", "agentVersion": "1", "dockerVersion": "20", **more}


#: what stands for the load balancer, which has its name once it is there
_LOAD_BALANCER = {"arn": "LOAD_BALANCER"}
_EXEC = {"containerInstanceArn": MACHINE, "containerInstance": MACHINE, "sessionId": "none"}
SIGNED = (
    Door("GET", accounts.ROUTE, {}, "longshore:ListAccounts"),
    Door("POST", accounts.ROUTE, {"id": "333333333333"}, "longshore:CreateAccountKey"),
    Door("GET", audit.ROUTE, {}, "longshore:LookupAuditRecords"),
    Door("GET", f"{audit.ROUTE}/digests", {}, "longshore:GetAuditDigests"),
    Door("GET", f"{upkeep.PREFIX}usage", {}, "longshore:GetRegistryUsage"),
    Door("POST", f"{upkeep.PREFIX}verify", {}, "longshore:VerifyRegistry"),
    Door("POST", f"{upkeep.PREFIX}collect", {}, "longshore:CollectRegistryGarbage"),
    Door("GET", keys.ROUTE, {}, "longshore:DescribeKeys"),
    Door("POST", f"{keys.ROUTE}/rotate", {}, "longshore:RotateKeys", body=b"{}"),
    Door("POST", f"{keys.ROUTE}/master", {}, "longshore:RotateMasterKey", body=b'{"source": "none"}', for_the_root=True),
    Door("GET", measuring.PAGE, {}, "longshore:GetMetrics"),
    Door("GET", f"{measuring.PREFIX}metrics", _LOAD_BALANCER, "longshore:GetMetrics"),
    Door("GET", f"{measuring.PREFIX}tail", _LOAD_BALANCER, "longshore:TailRequests"),
    Door("GET", balancers.ROUTE, {}, balancers.ACTION),
    Door("GET", names.ROUTE, {"address": "127.0.0.1"}, ""),
    Door("PUT", machines.ROUTE, {}, "", body=b"{}", for_the_root=True),
    Door("GET", "/acs/ws", _control("clusterArn", "containerInstanceArn", sendCredentials="true"), "ecs:Poll", "ecs", is_socket=True),
    Door("GET", "/tcs/ws", _control("cluster", "containerInstance"), "ecs:StartTelemetrySession", "ecs", is_socket=True),
    Door("GET", f"{AGENT_ROUTE}ws", _EXEC, "ecs:Poll", "ecs", is_socket=True),
)


_DIGEST = "sha256:" + "0" * 64
#: the registry's routes, each with what it takes; they are opened by a token in HTTP Basic
REGISTRY = tuple(
    (method, f"/v2/{path}")
    for path, methods in {
        "": ("GET",),
        "_catalog": ("GET",),
        "app/tags/list": ("GET",),
        "app/manifests/1": ("GET", "HEAD", "PUT", "DELETE"),
        f"app/manifests/{_DIGEST}": ("GET", "HEAD", "PUT", "DELETE"),
        f"app/blobs/{_DIGEST}": ("GET", "HEAD", "DELETE"),
        "app/blobs/uploads/": ("POST",),
        "app/blobs/uploads/guessed": ("GET", "PATCH", "PUT", "DELETE"),
        f"app/referrers/{_DIGEST}": ("GET",),
    }.items()
    for method in methods
)

#: answered to everybody: whether the server is well, and a public key
OPEN = (("GET", "/_longshore/health"), ("HEAD", "/_longshore/health"), ("GET", f"{KEYS_ROUTE}none"))
#: opened by what a link or a first frame carries, by no signature
TOKENS = (("GET", f"{CONTENT_ROUTE}guessed"), ("GET", "/_layers/guessed"), ("POST", machines.ROUTE), ("GET", f"{CLIENT_ROUTE}guessed"))
#: only a --dev platform has it
DEV = (("POST", "/_longshore/reset"),)
#: every path that the server mounts -> where it is tried: here, or in test_registry_paths and test_registry_permissions
MOUNTS: Mapping[str, str] = {
    "/v2/": "registry",
    "/_layers/": "token",
    "/acs/": "signed",
    "/tcs/": "signed",
    CLIENT_ROUTE: "token",
    AGENT_ROUTE: "signed",
    upkeep.PREFIX: "signed",
    accounts.ROUTE: "signed",
    audit.ROUTE: "signed",
    machines.ROUTE: "signed and token",
    names.ROUTE: "signed",
    balancers.ROUTE: "signed",
    keys.ROUTE: "signed",
    CONTENT_ROUTE: "token",
    KEYS_ROUTE: "open",
    measuring.PREFIX: "signed",
    measuring.PAGE: "signed",
    "/_longshore/": "open and dev",
}


class Answer(NamedTuple):
    status: int
    text: str

    @property
    def refused(self) -> bool:
        return self.status in (400, 401, 403, 404) and not self.opened

    @property
    def opened(self) -> bool:
        return self.status < 400

    @property
    def denied(self) -> bool:
        """By policies: whoever asks is known."""
        return "AccessDenied" in self.text or "not authorized" in self.text


class _Opened(Exception):
    """As far as doors need it."""


class Doorway(Server):
    """The server with its real mounts on a port of its own, and a clock that tests step."""

    gateway: Gateway
    answering: Answering

    def __init__(self, path: Path) -> None:
        credentials = Credentials(ROOT.access_key_id, ROOT.secret)
        config = ServerConfig(data_dir=path, credentials=credentials, account_id=OWNER, region=REGION, port=0, haproxy="no-such-haproxy")
        super().__init__(config)
        self.steps = SteppedClock()
        self._setting = self._setting._replace(clock=self.steps)
        self._inside = AsyncExitStack()

    async def _listen(self, keys: Secrets, answering: Answering) -> Listener:
        self._listener = await super()._listen(keys, answering)
        self.answering, self.gateway = answering, answering.gateway
        raise _Opened

    async def open(self) -> None:
        try:
            await self.start()
        except _Opened:
            pass
        self.store = self.gateway._store
        assert self._listener is not None
        self.host = f"127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
        self._http = await self._inside.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        await self.store.transact(self._settle)
        subnets = [subnet.id for subnet in self.store.list(SUBNETS) if subnet.is_default][:2]
        asked = {"Action": "CreateLoadBalancer", "Version": "2015-12-01", "Name": "web"}
        text = await self._form("elasticloadbalancing", asked | {f"Subnets.member.{n}": id for n, id in enumerate(subnets, 1)})
        self.load_balancer = text.split("<LoadBalancerArn>")[1].split("<")[0]
        self.ended_session = await self._session()
        await self.steps.step(2 * _HOUR_S)
        self.session = await self._session()

    def _settle(self, tx: Tx) -> None:
        now = self.steps.now()
        tx.put(iam.USERS, iam.User(OWNER, "ann", "AIDAANNANNANNANNANNAN", now))
        for held, owner, account in ((USER, USER_ARN, OWNER), (STRANGERS_ROOT, iam.root_arn(STRANGER), STRANGER)):
            tx.put(iam.ACCESS_KEYS, iam.AccessKey(held.access_key_id, account, owner, held.secret, now))
        off = iam.AccessKey(DISABLED.access_key_id, OWNER, iam.root_arn(OWNER), DISABLED.secret, now, status="Inactive")
        tx.put(iam.ACCESS_KEYS, off)
        tx.put(ecs.CLUSTERS, ecs.Cluster(CLUSTER, "main", now))
        tx.put(
            ecs.CONTAINER_INSTANCES,
            ecs.ContainerInstance(MACHINE, CLUSTER, "i-00000000000000001", now, capacity=ecs.Capacity(1024, 1024), registered_by=USER_ARN),
        )

    async def close(self) -> None:
        await self._inside.aclose()
        await self.stop()

    async def stop(self) -> None:
        await self._take_apart()

    # ── asking ──

    async def allow(self, *statements: Mapping[str, Any]) -> None:
        """These are the user's policy, and nothing else is."""
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        policy = iam.InlinePolicy(USER_ARN, "doors", document)
        if statements:
            await self.store.transact(lambda tx: tx.put(iam.INLINE_POLICIES, policy))
        else:
            await self.store.transact(lambda tx: tx.delete(iam.INLINE_POLICIES, iam.INLINE_POLICIES.key(policy)))

    def here(self, door: Door) -> Door:
        return door._replace(query={"arn": self.load_balancer}) if door.query is _LOAD_BALANCER else door

    def signature(self, door: Door, held: Keys, *, skew_s: float = 0.0, more: Mapping[str, str] | None = None) -> dict[str, str]:
        return sign(
            door.method,
            door.path,
            urlencode(door.query),
            [("Host", self.host), *(more or {}).items()],
            door.body,
            access_key_id=held.access_key_id,
            secret_access_key=held.secret,
            session_token=held.token,
            region=REGION,
            service=door.service,
            now=self.steps.now() + skew_s,
        )

    async def knock(self, door: Door, headers: Mapping[str, str]) -> Answer:
        """With those headers beside what the door's kind takes. What is answered without end is read as far as its first bytes."""
        url = f"http://{self.host}{door.path}" + (f"?{urlencode(door.query)}" if door.query else "")
        sent = {"Host": self.host, **headers}
        if door.is_socket:
            try:
                async with self._http.ws_connect(url, headers=sent):
                    return Answer(101, "")
            except aiohttp.WSServerHandshakeError as refused:
                return Answer(refused.status, await self._why(url, sent))
        async with self._http.request(door.method, url, headers=sent, data=door.body or None) as answer:
            if answer.status == 200:
                return Answer(200, "")
            return Answer(answer.status, await answer.text())

    async def read(self, door: Door) -> bytes:
        """What the root is answered, to its end."""
        url = f"http://{self.host}{door.path}?{urlencode(door.query)}"
        async with self._http.request(door.method, url, headers={"Host": self.host, **self.signature(door, ROOT)}) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.read()

    async def _why(self, url: str, headers: Mapping[str, str]) -> str:
        """What a handshake is refused with, which the client of WebSockets does not read."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade["Sec-WebSocket-Key"] = b64encode(b"0123456789abcdef").decode()
        async with self._http.get(url, headers={**headers, **upgrade}) as answer:
            return await answer.text()

    async def _session(self) -> Keys:
        """Of the root's own key, for an hour."""
        text = await self._form("sts", {"Action": "GetSessionToken", "Version": "2011-06-15", "DurationSeconds": "3600"})
        found = [text.split(f"<{name}>")[1].split("<")[0] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
        return Keys(found[0], found[1], found[2])

    async def token(self, held: Keys) -> str:
        """What `docker login` is given, as HTTP Basic."""
        target = {
            "X-Amz-Target": "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
            "Content-Type": "application/x-amz-json-1.1",
        }
        headers = self.signature(Door("POST", "/", {}, "", "ecr", b"{}"), held, more=target) | {"Host": self.host} | target
        async with self._http.post(f"http://{self.host}/", data=b"{}", headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            given = json.loads(await answer.read())["authorizationData"][0]["authorizationToken"]
        return f"Basic {given}"

    async def set_key(self, held: Keys, status: str) -> None:
        def put(tx: Tx) -> None:
            key = tx.get(iam.ACCESS_KEYS, held.access_key_id)
            assert key is not None
            tx.put(iam.ACCESS_KEYS, replace(key, status=status))

        await self.store.transact(put)

    async def _form(self, service: str, asked: Mapping[str, str]) -> str:
        """The root's own requests to an API."""
        body = urlencode(asked).encode()
        headers = self.signature(Door("POST", "/", {}, "", service, body), ROOT) | {"Host": self.host}
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        async with self._http.post(f"http://{self.host}/", data=body, headers=headers) as answer:
            text = await answer.text()
            assert answer.status == 200, text
            return text
