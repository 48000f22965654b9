"""A laboratory for load balancers: the real balancer and HAProxy over a store in memory, and servers to send requests to.

Every laboratory has a loopback network of its own, so that several may run at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from longshore.aws.shapes import elbv2 as shapes
from longshore.balancer.controller import Balancer
from longshore.balancer.watches import EVERYTHING
from longshore.control.loop import Loop
from longshore.kit.clock import SystemClock
from longshore.kit.ids import RandomIds
from longshore.services.acm import model as acm_model
from longshore.services.call import Site
from longshore.services.elbv2 import model as elbv2_model
from longshore.services.elbv2.model import (
    LISTENERS,
    LOAD_BALANCERS,
    RULES,
    TARGET_GROUPS,
    TARGETS,
    HealthCheck,
    Listener,
    LoadBalancer,
    Rule,
    Target,
    TargetGroup,
    target_key,
)
from longshore.services.iam import kinds as iam_kinds
from longshore.store.base import Store
from longshore.store.memory import memory_store

PREFIX = "arn:aws:elasticloadbalancing:us-east-1:000000000000:"
SITE = Site("000000000000", "us-east-1", ("us-east-1a", "us-east-1b"), "http://127.0.0.1:4566", 4566)
#: fast enough for tests; the API asks for 5 s at least
QUICK = HealthCheck(interval_s=1, timeout_s=1, healthy_threshold=2, unhealthy_threshold=2)

_networks = itertools.count(1)
_ports = random.Random(os.getpid())


async def until(condition: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    """What `condition` returns once that is true; fails when it does not become so in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        with contextlib.suppress(OSError, EOFError):
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.004)


def quiet_port() -> int:
    """A free port below those that the system gives to whoever asks for any."""
    while True:
        port = _ports.randrange(12_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Answer:
    def __init__(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.headers}, {self.body!r})"

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def cookies(self) -> dict[str, str]:
        found = [value.partition("=") for key, value in self.headers if key.lower() == "set-cookie"]
        return {name: rest for name, _, rest in found}

    @property
    def seen(self) -> dict[str, Any]:
        """What the server that answered says it was asked."""
        return json.loads(self.body)  # type: ignore[no-any-return]


class Client:
    """One connection, kept open between requests."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, address: str, port: int, **more: Any) -> Client:
        return cls(*await asyncio.open_connection(address, port, **more))

    async def request(self, path: str = "/", method: str = "GET", headers: Iterable[tuple[str, str]] = (), host: str = "x.test") -> Answer:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers), "", ""]
        self._writer.write("\r\n".join(lines).encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in head[1:] if line)]
        length = next((int(value) for name, value in fields if name.lower() == "content-length"), 0)
        return Answer(int(head[0].split()[1]), fields, await self._reader.readexactly(length))

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def ask(address: str, port: int, path: str = "/", **more: Any) -> Answer:
    client = await Client.connect(address, port)
    try:
        async with asyncio.timeout(30):
            return await client.request(path, **more)
    finally:
        await client.close()


class Upstream:
    """A server behind a load balancer. Says who it is and what it was asked; `/hold…` waits until `release` is set."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.status = 200
        self.health_status = 200
        self.asked: list[str] = []
        self.checks = 0
        self.release = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def open(self, port: int = 0) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port or self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._connections):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                fields = [line.partition(": ")[::2] for line in head[1:] if line]
                writer.write(await self._answer(method, path, fields))
                await writer.drain()
        except (OSError, EOFError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(self, method: str, path: str, fields: list[tuple[str, ...]]) -> bytes:
        status = self.status
        if any(name.lower() == "user-agent" and value.startswith("ELB-HealthChecker/") for name, value in fields):
            self.checks += 1
            status = self.health_status
        else:
            self.asked.append(path)
            if path.startswith("/hold"):
                await self.release.wait()
        body = json.dumps({"name": self.name, "method": method, "path": path, "headers": fields}).encode()
        return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


class Lab:
    def __init__(self, directory: Path, port: int = 0, **options: Any) -> None:
        number = os.getpid() * 16 + next(_networks)
        self.network = f"127.{64 + number // 200 % 128}.{number % 200}."
        self.directory = directory
        self.port = port or quiet_port()
        self.options = options
        self.store: Store = memory_store((*elbv2_model.KINDS, *acm_model.KINDS, *iam_kinds.KINDS))
        self.clock = SystemClock()
        self.upstreams: list[Upstream] = []
        self.balancer: Balancer
        self._loop: asyncio.Task[None]

    async def open(self) -> None:
        self.balancer = Balancer(self.store, self.clock, RandomIds(), SITE, self.directory, network=self.network, **self.options)
        await self.balancer.start()
        self._loop = asyncio.create_task(Loop(self.balancer, self.store, self.clock, RandomIds()).run())

    async def close(self, keep_running: bool = False) -> None:
        self._loop.cancel()
        await asyncio.gather(self._loop, return_exceptions=True)
        await self.balancer.stop(keep_running)

    # ── what there is ──

    async def load_balancer(self, name: str = "web", slot: int = 1, type: str = "application", **attributes: str) -> LoadBalancer:
        lb = LoadBalancer(
            arn=f"{PREFIX}loadbalancer/{type[:3]}/{name}/{slot:016x}",
            name=name,
            type=type,
            scheme="internet-facing",
            dns_name=f"{name}-{slot}.us-east-1.elb.localhost",
            canonical_hosted_zone_id="Z1",
            created_at=self.clock.now(),
            vpc_id="vpc-1",
            slot=slot,
            attributes={key.replace("__", "."): value for key, value in attributes.items()},
        )
        await self.store.transact(lambda tx: tx.put(LOAD_BALANCERS, lb))
        return lb

    async def group(self, name: str = "web", check: HealthCheck = QUICK, **more: Any) -> TargetGroup:
        settings = {"protocol": "HTTP", "port": 80, "vpc_id": "vpc-1", "target_type": "ip", "created_at": self.clock.now()} | more
        group = TargetGroup(arn=f"{PREFIX}targetgroup/{name}/{abs(hash(name)) % 16**16:016x}", name=name, health_check=check, **settings)
        await self.store.transact(lambda tx: tx.put(TARGET_GROUPS, group))
        return group

    async def listener(self, lb: LoadBalancer, *actions: shapes.Action, port: int = 0, protocol: str = "HTTP", **more: Any) -> Listener:
        number = port or self.port
        arn = f"{lb.arn.replace('loadbalancer/', 'listener/')}/{number:016x}"
        listener = Listener(arn=arn, load_balancer_arn=lb.arn, port=number, protocol=protocol, default_actions=actions, **more)
        await self.store.transact(lambda tx: tx.put(LISTENERS, listener))
        return listener

    async def rule(self, listener: Listener, priority: int, conditions: Iterable[shapes.RuleCondition], *actions: shapes.Action) -> Rule:
        arn = f"{listener.arn.replace('listener/', 'listener-rule/')}/{priority:016x}"
        rule = Rule(arn=arn, listener_arn=listener.arn, priority=priority, conditions=tuple(conditions), actions=actions)
        await self.store.transact(lambda tx: tx.put(RULES, rule))
        return rule

    async def upstream(self, name: str) -> Upstream:
        upstream = await Upstream(name).open()
        self.upstreams.append(upstream)
        return upstream

    async def register(self, group: TargetGroup, *upstreams: Upstream) -> None:
        now = self.clock.now()
        rows = [Target(group.arn, "127.0.0.1", upstream.port, now, "127.0.0.1") for upstream in upstreams]
        await self.store.transact(lambda tx: [tx.put(TARGETS, row) for row in rows])

    async def deregister(self, group: TargetGroup, upstream: Upstream) -> None:
        row = self.target(group, upstream)
        assert row is not None
        await self.store.transact(lambda tx: tx.put(TARGETS, replace(row, deregistered_at=self.clock.now())))

    async def serving(self, *upstreams: Upstream, group: TargetGroup | None = None) -> tuple[LoadBalancer, TargetGroup]:
        """A load balancer that forwards everything to healthy `upstreams`."""
        lb = await self.load_balancer()
        group = group or await self.group()
        await self.register(group, *upstreams)
        await self.listener(lb, forward(group))
        await self.healthy(group, *upstreams)
        return lb, group

    # ── what is seen ──

    def target(self, group: TargetGroup, upstream: Upstream) -> Target | None:
        return self.store.get(TARGETS, target_key(group.arn, "127.0.0.1", upstream.port))

    def health(self, group: TargetGroup, upstream: Upstream) -> tuple[str, str]:
        row = self.target(group, upstream)
        return (row.health.state, row.health.description) if row else ("", "")

    async def healthy(self, group: TargetGroup, *upstreams: Upstream) -> None:
        await until(lambda: all(self.health(group, upstream)[0] == "healthy" for upstream in upstreams))

    def status(self, lb: LoadBalancer) -> tuple[str, str]:
        found = self.store.get(LOAD_BALANCERS, lb.arn)
        assert found is not None
        return found.status.state, found.status.reason

    async def settled(self) -> None:
        """Returns when HAProxy does what has been written down so far."""
        await self.balancer.reconcile(EVERYTHING)

    async def active(self, lb: LoadBalancer) -> None:
        await until(lambda: self.status(lb)[0] == "active")

    def address(self, slot: int = 1) -> str:
        return f"{self.network}{slot}"

    async def ask(self, path: str = "/", slot: int = 1, **more: Any) -> Answer:
        return await ask(self.address(slot), more.pop("port", self.port), path, **more)

    async def worker(self) -> int:
        """The one that serves, once it is told of: the master is silent about its workers for a moment while it reloads."""
        return await self.balancer._haproxy.worker()

    async def workers(self) -> list[int]:
        return await self.balancer._haproxy.workers()


def forward(*groups: TargetGroup, weights: tuple[int, ...] = (), sticky_s: int = 0) -> shapes.Action:
    tuples = tuple(
        shapes.TargetGroupTuple(target_group_arn=group.arn, weight=weights[number] if weights else 1) for number, group in enumerate(groups)
    )
    stickiness = shapes.TargetGroupStickinessConfig(enabled=bool(sticky_s), duration_seconds=sticky_s or None)
    config = shapes.ForwardActionConfig(target_groups=tuples, target_group_stickiness_config=stickiness)
    return shapes.Action(type="forward", target_group_arn=groups[0].arn if len(groups) == 1 else None, forward_config=config)


def fixed(status: int, body: str = "", content_type: str = "text/plain") -> shapes.Action:
    config = shapes.FixedResponseActionConfig(status_code=str(status), message_body=body or None, content_type=content_type)
    return shapes.Action(type="fixed-response", fixed_response_config=config)


def paths(*values: str, regex: tuple[str, ...] = ()) -> shapes.RuleCondition:
    return shapes.RuleCondition(
        field="path-pattern", path_pattern_config=shapes.PathPatternConditionConfig(values=values or None, regex_values=regex or None)
    )


def hosts(*values: str) -> shapes.RuleCondition:
    return shapes.RuleCondition(field="host-header", host_header_config=shapes.HostHeaderConditionConfig(values=values))


@asynccontextmanager
async def laboratory(directory: Path, port: int = 0, **options: Any) -> AsyncIterator[Lab]:
    lab = Lab(directory, port, **options)
    await lab.open()
    try:
        yield lab
    finally:
        await lab.close()
        for upstream in lab.upstreams:
            upstream.release.set()
            await upstream.close()
