"""Network load balancers on the real HAProxy: TLS to targets, the PROXY protocol, weights, idle times, load balancers in a row."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import socketserver
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from longshore.balancer.probe import passes
from longshore.services.elbv2.model import TARGETS, HealthCheck, LoadBalancer, Target, TargetGroup
from tests.balancer import cases
from tests.balancer.lab import QUICK, Client, Lab, forward, laboratory, until
from tests.balancer.tls import SECRET, context, issued, put_certificate

pytestmark = pytest.mark.engine("haproxy")

TCP = HealthCheck(protocol="TCP", path="", http_codes="", interval_s=1, timeout_s=1, healthy_threshold=2, unhealthy_threshold=2)
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy", installation_secret=SECRET) as lab:
        yield lab


class Told:
    """Speaks HTTP behind the PROXY protocol, and says who it was told that its client is."""

    def __init__(self, settings: ssl.SSLContext | None = None) -> None:
        self.settings = settings
        self.plain = 0
        self.commands: list[int] = []
        self.port = 0

    @contextlib.contextmanager
    def served(self) -> Iterator[Told]:
        told = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(5)
                with contextlib.suppress(OSError, EOFError):
                    told.answer(self.request)

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            self.port = server.server_address[1]
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            yield self
            server.shutdown()

    def answer(self, connection: socket.socket) -> None:
        head = _exactly(connection, 16)
        if not head.startswith(_SIGNATURE):
            self.plain += 1
            return
        self.commands.append(head[12] & 15)
        addresses = _exactly(connection, int.from_bytes(head[14:16], "big"))
        stream = self.settings.wrap_socket(connection, server_side=True) if self.settings else connection
        with stream:
            question = b""
            while b"\r\n\r\n" not in question:
                question += _exactly(stream, 1)
            client = ".".join(map(str, addresses[:4])) if addresses else "nobody"
            stream.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(client)}\r\n\r\n{client}".encode())


def _exactly(connection: socket.socket, count: int) -> bytes:
    """No byte more: what comes behind may be the beginning of TLS."""
    found = b""
    while len(found) < count:
        more = connection.recv(count - len(found))
        if not more:
            raise EOFError
        found += more
    return found


async def register(lab: Lab, group: TargetGroup, *ports: int) -> None:
    for port in ports:
        row = Target(group.arn, "127.0.0.1", port, lab.clock.now(), "127.0.0.1")
        await lab.store.transact(lambda tx, row=row: tx.put(TARGETS, row))


def states(lab: Lab, group: TargetGroup) -> set[str]:
    return {row.health.state for row in lab.store.list(TARGETS, "target_group", group.arn)}


async def network(lab: Lab, *groups: TargetGroup, slot: int = 1, weights: tuple[int, ...] = (), **more: Any) -> LoadBalancer:
    lb = await lab.load_balancer(f"net{slot}", slot, type="network")
    await lab.listener(lb, forward(*groups, weights=weights), **({"protocol": "TCP"} | more))
    await lab.settled()
    return lb


def of_server() -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(issued("target.test")))
        file.flush()
        made.load_cert_chain(file.name)
    return made


@pytest.mark.parametrize("check", [TCP, QUICK])
async def test_who_the_client_is_stands_in_front_and_checks_speak_for_nobody(
    lab: Lab, stack: contextlib.ExitStack, check: HealthCheck
) -> None:
    server = stack.enter_context(Told().served())
    group = await lab.group(protocol="TCP", check=check, attributes={"proxy_protocol_v2.enabled": "true"})
    await register(lab, group, server.port)
    await network(lab, group)
    await until(lambda: states(lab, group) == {"healthy"}, 0.8)
    checks = len(server.commands)
    await until(lambda: len(server.commands) >= checks + 1)
    assert states(lab, group) == {"healthy"} and server.plain == 0 and set(server.commands) == {0}
    client = await Client.connect(lab.address(), lab.port, local_addr=("127.9.8.7", 0))
    assert (await client.request()).body == b"127.9.8.7"
    assert server.commands.count(1) == 1
    await client.close()


@pytest.mark.parametrize("protocol", ["HTTP", "HTTPS"])
async def test_the_first_look_at_a_target_speaks_for_nobody_too(stack: contextlib.ExitStack, protocol: str) -> None:
    server = stack.enter_context(Told(of_server() if protocol == "HTTPS" else None).served())
    check = HealthCheck(protocol=protocol, timeout_s=2)
    asked = cases.group(protocol="TCP", health_check=check, attributes={"proxy_protocol_v2.enabled": "true"})
    assert await passes(asked, Target(asked.arn, "127.0.0.1", server.port, 0.0, "127.0.0.1"))
    assert server.commands == [0] and server.plain == 0
    bare = replace(asked, attributes={})
    assert not await passes(bare, Target(asked.arn, "127.0.0.1", server.port, 0.0, "127.0.0.1"))


@pytest.mark.parametrize("protocol", ["TLS", "TCP"])
async def test_tls_begins_anew_where_a_group_wants_it_and_passes_where_nobody_ends_it(
    lab: Lab, stack: contextlib.ExitStack, protocol: str
) -> None:
    server = stack.enter_context(Told(of_server()).served())
    check = HealthCheck(protocol="HTTPS", interval_s=1, timeout_s=1, healthy_threshold=2, unhealthy_threshold=2)
    group = await lab.group(protocol=protocol, check=check, attributes={"proxy_protocol_v2.enabled": "true"})
    await register(lab, group, server.port)
    certificates = (await put_certificate(lab, "one.test"),) if protocol == "TLS" else ()
    await network(lab, group, protocol=protocol, certificates=certificates)
    await until(lambda: states(lab, group) == {"healthy"}, 0.8)
    checks = len(server.commands)
    await until(lambda: len(server.commands) >= checks + 1)
    assert states(lab, group) == {"healthy"}, "HAProxy's own checks agree"
    client = await Client.connect(lab.address(), lab.port, ssl=context())
    assert (await client.request()).body == b"127.0.0.1"
    names = client._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    assert (b"target.test" in names) == (protocol == "TCP")
    await client.close()


async def test_connections_are_divided_by_weight_and_a_group_without_weight_gets_none(lab: Lab) -> None:
    upstreams = [await lab.upstream(name) for name in ("one", "two", "none")]
    groups = [await lab.group(upstream.name, protocol="TCP") for upstream in upstreams]
    for group, upstream in zip(groups, upstreams, strict=True):
        await register(lab, group, upstream.port)
    await network(lab, *groups, weights=(3, 1, 0))
    await until(lambda: all(states(lab, group) == {"healthy"} for group in groups))
    seen: Counter[str] = Counter()
    for _ in range(200):
        seen[(await lab.ask()).seen["name"]] += 1
    assert seen["none"] == 0 and seen["one"] + seen["two"] == 200 and 20 <= seen["two"] <= 80
    upstreams[0].health_status = 500
    await until(lambda: states(lab, groups[0]) == {"unhealthy"})
    assert {(await lab.ask()).seen["name"] for _ in range(20)} == {"one", "two"}, "to all of its targets, when none is healthy"


async def test_a_listener_says_how_long_its_connections_may_be_idle(lab: Lab) -> None:
    server = await asyncio.start_server(_repeat, "127.0.0.1", 0)
    group = await lab.group(protocol="TCP", check=TCP)
    await register(lab, group, server.sockets[0].getsockname()[1])
    await network(lab, group, attributes={"tcp.idle_timeout.seconds": "1"})
    await until(lambda: states(lab, group) == {"healthy"})
    reader, writer = await asyncio.open_connection(lab.address(), lab.port)
    begun = time.monotonic()
    for _ in range(4):
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.5)
    assert time.monotonic() - begun > 1.5, "longer than it may be idle, but never idle for so long"
    silent = time.monotonic()
    assert await reader.read() == b""
    assert 0.3 < time.monotonic() - silent < 3
    writer.close()
    server.close()


async def _repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


async def test_a_client_stays_with_its_target_where_that_is_asked_for(lab: Lab) -> None:
    upstreams = [await lab.upstream(name) for name in ("one", "two", "three")]
    group = await lab.group(protocol="TCP", attributes={"stickiness.enabled": "true"})
    await register(lab, group, *(upstream.port for upstream in upstreams))
    await network(lab, group)
    await until(lambda: states(lab, group) == {"healthy"})

    async def who(address: str) -> str:
        client = await Client.connect(lab.address(), lab.port, local_addr=(address, 0))
        try:
            return str((await client.request()).seen["name"])
        finally:
            await client.close()

    by_client = {f"127.9.8.{last}": {await who(f"127.9.8.{last}") for _ in range(4)} for last in range(1, 13)}
    assert all(len(names) == 1 for names in by_client.values())
    assert len({name for names in by_client.values() for name in names}) > 1


@pytest.mark.parametrize("protocol", ["HTTP", "HTTPS"])
async def test_a_load_balancer_behind_another_knows_who_the_client_is(lab: Lab, protocol: str) -> None:
    one = await lab.upstream("one")
    web = await lab.group()
    await register(lab, web, one.port)
    inner = await lab.load_balancer("inner", 1)
    certificates = (await put_certificate(lab, "one.test"),) if protocol == "HTTPS" else ()
    await lab.listener(inner, forward(web), protocol=protocol, certificates=certificates)
    check = HealthCheck(protocol=protocol, http_codes="200-399", interval_s=1, timeout_s=1, healthy_threshold=2, unhealthy_threshold=2)
    chain = await lab.group("chain", protocol="TCP", target_type="alb", port=lab.port, check=check)
    row = Target(chain.arn, inner.arn, lab.port, lab.clock.now(), lab.address(1), "all")
    await network(lab, chain, slot=2)
    await lab.store.transact(lambda tx: tx.put(TARGETS, row))
    await until(lambda: states(lab, chain) == {"healthy"})
    settings = {"ssl": context()} if protocol == "HTTPS" else {}
    client = await Client.connect(lab.address(2), lab.port, local_addr=("127.9.8.7", 0), **settings)
    headers = {name.lower(): value for name, value in (await client.request()).seen["headers"]}
    assert (headers["x-forwarded-for"], headers["x-forwarded-proto"]) == ("127.9.8.7", protocol.lower())
    await client.close()
    checks = one.checks
    await until(lambda: one.checks >= checks + 1)
    assert states(lab, chain) == {"healthy"}
    client = await Client.connect(lab.address(1), lab.port, **settings)
    assert (await client.request()).status == 200, "whoever calls it himself is served, too"
    await client.close()
