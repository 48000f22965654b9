"""HTTP/2 and gRPC on the real HAProxy, with real gRPC at both ends: streams, trailers, rules, health, and reloads under way."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest
from msgspec.structs import replace

from longshore.services.elbv2.model import TARGETS, HealthCheck, Target, TargetGroup
from tests.balancer.lab import Lab, fixed, forward, laboratory, paths, until
from tests.balancer.tls import SECRET, authority, context, issued, put_certificate

pytestmark = pytest.mark.engine("haproxy")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy", installation_secret=SECRET) as lab:
        yield lab


@dataclass
class Service(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A gRPC server: says who it is, repeats a stream, and fails where it is asked to."""

    name: str
    #: the status of what checks its health
    health: grpc.StatusCode = grpc.StatusCode.OK
    asked: list[str] = field(default_factory=list)
    port: int = 0

    def service(self, details: Any) -> Any:
        self.asked.append(details.method)
        match details.method.rpartition("/")[2]:
            case "Who":
                return grpc.unary_unary_rpc_method_handler(self._who)
            case "Repeat":
                return grpc.stream_stream_rpc_method_handler(self._repeat)
            case "Check":
                return grpc.unary_unary_rpc_method_handler(self._check)
        return None

    async def _who(self, request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("seen", request.decode()),))
        return self.name.encode()

    async def _repeat(self, requests: Any, context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    async def _check(self, request: bytes, context: Any) -> bytes:
        if self.health is not grpc.StatusCode.OK:
            await context.abort(self.health, "not well")
        return b""


@contextlib.asynccontextmanager
async def served(service: Service, credentials: Any = None) -> AsyncIterator[Service]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((service,))
    service.port = server.add_secure_port("127.0.0.1:0", credentials) if credentials else server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield service
    finally:
        await server.stop(None)


def grpc_check(**more: Any) -> HealthCheck:
    settings: dict[str, Any] = {"path": "/AWS.ALB/healthcheck", "http_codes": "12", "healthy_threshold": 2, "unhealthy_threshold": 2}
    return HealthCheck(interval_s=1, timeout_s=1, **(settings | more))


async def register(lab: Lab, group: TargetGroup, port: int) -> None:
    row = Target(group.arn, "127.0.0.1", port, lab.clock.now(), "127.0.0.1")
    await lab.store.transact(lambda tx: tx.put(TARGETS, row))


def health(lab: Lab, group: TargetGroup) -> tuple[str, str]:
    return next((row.health.state, row.health.description) for row in lab.store.list(TARGETS, "target_group", group.arn))


async def grpc_listener(lab: Lab, group: TargetGroup, slot: int = 1, **more: Any) -> Any:
    lb = await lab.load_balancer(f"grpc{slot}", slot)
    certificate = await put_certificate(lab, "one.test")
    listener = await lab.listener(lb, forward(group), protocol="HTTPS", certificates=(certificate,), **more)
    await lab.settled()
    return listener


@contextlib.asynccontextmanager
async def channel(lab: Lab, slot: int = 1) -> AsyncIterator[Any]:
    credentials = grpc.ssl_channel_credentials(authority().root_pem)
    options = [("grpc.ssl_target_name_override", "one.test")]
    async with grpc.aio.secure_channel(f"{lab.address(slot)}:{lab.port}", credentials, options) as channel:
        yield channel


async def test_calls_streams_and_trailers_pass_both_ways(lab: Lab) -> None:
    async with served(Service("one")) as one:
        group = await lab.group(protocol_version="GRPC", check=grpc_check())
        await register(lab, group, one.port)
        await grpc_listener(lab, group)
        await until(lambda: health(lab, group)[0] == "healthy", 1.0)
        async with channel(lab) as client:
            call = client.unary_unary("/x.Y/Who")(b"hello")
            assert await call == b"one"
            assert dict(await call.trailing_metadata())["seen"] == "hello"
            with pytest.raises(grpc.aio.AioRpcError) as failure:
                await client.unary_unary("/x.Y/Unknown")(b"")
            assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED
            stream = client.stream_stream("/x.Y/Repeat")()
            for number in range(5):
                await stream.write(b"%d" % number)
                assert await stream.read() == b"%d" % number, "each before the next: nothing waits for the end"
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF and await stream.code() is grpc.StatusCode.OK


async def test_methods_are_routed_by_their_path(lab: Lab) -> None:
    async with served(Service("one")) as one, served(Service("two")) as two:
        groups = [await lab.group(service.name, protocol_version="GRPC", check=grpc_check()) for service in (one, two)]
        for group, service in zip(groups, (one, two), strict=True):
            await register(lab, group, service.port)
        listener = await grpc_listener(lab, groups[0])
        await lab.rule(listener, 1, [paths("/other.Y/*")], forward(groups[1]))
        await lab.settled()
        await until(lambda: all(health(lab, group)[0] == "healthy" for group in groups))
        async with channel(lab) as client:
            assert await client.unary_unary("/x.Y/Who")(b"") == b"one"
            assert await client.unary_unary("/other.Y/Who")(b"") == b"two"


async def test_the_status_in_the_trailers_decides_on_health_and_is_told(lab: Lab) -> None:
    async with served(Service("one")) as one:
        group = await lab.group(protocol_version="GRPC", check=grpc_check(path="/grpc.health.v1.Health/Check", http_codes="0,2-3"))
        await register(lab, group, one.port)
        await grpc_listener(lab, group)
        await until(lambda: health(lab, group)[0] == "healthy", 1.0)
        one.health = grpc.StatusCode.NOT_FOUND
        await until(lambda: health(lab, group)[0] == "unhealthy")
        assert health(lab, group)[1] == "Health checks failed with these codes: [5]"
        one.health = grpc.StatusCode.INVALID_ARGUMENT
        await until(lambda: health(lab, group)[0] == "healthy")
        assert set(one.asked) == {"/grpc.health.v1.Health/Check"}


async def test_targets_that_speak_tls_are_checked_and_called_with_it(lab: Lab) -> None:
    certificate, key = issued("target.test")
    async with served(Service("one"), grpc.ssl_server_credentials([(key, certificate)])) as one:
        group = await lab.group(protocol="HTTPS", protocol_version="GRPC", check=grpc_check(protocol="HTTPS"))
        await register(lab, group, one.port)
        await grpc_listener(lab, group)
        await until(lambda: health(lab, group)[0] == "healthy", 1.0)
        checked = len(one.asked)
        await until(lambda: len(one.asked) >= checked + 1)
        assert health(lab, group)[0] == "healthy", "by HAProxy's own checks, too"
        async with channel(lab) as client:
            assert await client.unary_unary("/x.Y/Who")(b"") == b"one"


async def test_a_stream_goes_on_while_haproxy_is_reloaded(lab: Lab) -> None:
    async with served(Service("one")) as one:
        group = await lab.group(protocol_version="GRPC", check=grpc_check())
        await register(lab, group, one.port)
        listener = await grpc_listener(lab, group)
        await until(lambda: health(lab, group)[0] == "healthy")
        async with channel(lab) as client:
            stream = client.stream_stream("/x.Y/Repeat")()
            await stream.write(b"before")
            assert await stream.read() == b"before"
            for priority in (1, 2):
                worker = await lab.worker()
                await lab.rule(listener, priority, [paths(f"/{priority}")], fixed(200))
                await until(lambda worker=worker: _is_another(lab, worker))
                await stream.write(b"%d" % priority)
                assert await stream.read() == b"%d" % priority
            await stream.done_writing()
            assert await stream.code() is grpc.StatusCode.OK


async def _is_another(lab: Lab, worker: int) -> bool:
    return await lab.worker() != worker


# ── HTTP/2 without gRPC ──


class Server2:
    """Speaks HTTP/2 only, from the first byte on."""

    def __init__(self) -> None:
        self.status = 200
        self.seen: list[dict[str, str]] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            while data := await reader.read(65536):
                for event in connection.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        headers = {str(name): str(value) for name, value in event.headers or ()}
                        self.seen.append(headers)
                        assert event.stream_id is not None
                        is_check = headers.get("user-agent", "").startswith("ELB-HealthChecker")
                        status = self.status if is_check else 200
                        connection.send_headers(event.stream_id, [(":status", str(status)), ("x-path", headers[":path"])], end_stream=True)
                writer.write(connection.data_to_send())
        writer.close()


@contextlib.asynccontextmanager
async def server2(secure: bool) -> AsyncIterator[Server2]:
    made = Server2()
    settings = _server_context(*issued("target.test")) if secure else None
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=settings)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def _server_context(certificate: bytes, key: bytes) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate + key)
        file.flush()
        made.load_cert_chain(file.name)
    made.set_alpn_protocols(["h2"])
    return made


@pytest.mark.parametrize(("protocol", "status"), [("HTTP", 200), ("HTTPS", 418)])
async def test_targets_of_http_2_are_checked_and_called_in_it(lab: Lab, protocol: str, status: int) -> None:
    async with server2(protocol == "HTTPS") as server:
        server.status = status
        check = HealthCheck(protocol=protocol, interval_s=1, timeout_s=1, healthy_threshold=2, unhealthy_threshold=2, path="/h?x=1")
        group = await lab.group(protocol=protocol, protocol_version="HTTP2", check=_with_codes(check, str(status)))
        await register(lab, group, server.port)
        lb = await lab.load_balancer()
        await lab.listener(lb, forward(group))
        await until(lambda: health(lab, group)[0] == "healthy", 0.6)
        assert (await lab.ask("/asked")).status == 464, "a client of HTTP/1.1 is not translated for"
        headers, _ = await asked_in_2(lab, "/asked")
        assert headers[":status"] == "200" and headers["x-path"] == "/asked"
        checks = len(server.seen)
        await until(lambda: len(server.seen) >= checks + 1)
        assert health(lab, group)[0] == "healthy"
        assert {headers[":path"] for headers in server.seen} == {"/h?x=1", "/asked"}
        server.status = 500
        await until(lambda: health(lab, group) == ("unhealthy", "Health checks failed with these codes: [500]"))


def _with_codes(check: HealthCheck, codes: str) -> HealthCheck:
    return replace(check, http_codes=codes)


# ── WebSocket ──


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes an upgrade, and sends back whatever comes; answers anything else with 200."""
    with contextlib.suppress(OSError, EOFError):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"upgrade: websocket" not in head.lower():
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
            )
            while data := await reader.read(65536):
                writer.write(data)
    writer.close()


async def _opened(lab: Lab, secure: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    settings = context("http/1.1") if secure else None
    reader, writer = await asyncio.open_connection(lab.address(), lab.port, ssl=settings)
    writer.write(
        b"GET /ws HTTP/1.1\r\nHost: one.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
    return reader, writer


@pytest.mark.parametrize("secure", [False, True])
async def test_a_websocket_goes_on_while_haproxy_is_reloaded(lab: Lab, secure: bool) -> None:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    group = await lab.group()
    await register(lab, group, server.sockets[0].getsockname()[1])
    certificates = (await put_certificate(lab, "one.test"),) if secure else ()
    lb = await lab.load_balancer()
    listener = await lab.listener(lb, forward(group), protocol="HTTPS" if secure else "HTTP", certificates=certificates)
    await until(lambda: health(lab, group)[0] == "healthy")
    reader, writer = await _opened(lab, secure)
    for priority in (1, 2, 3):
        worker = await lab.worker()
        await lab.rule(listener, priority, [paths(f"/{priority}")], fixed(200))
        await until(lambda worker=worker: _is_another(lab, worker))
        writer.write(b"%d" % priority)
        assert await reader.readexactly(1) == b"%d" % priority
    writer.close()
    server.close()


async def asked_in_2(lab: Lab, path: str = "/") -> tuple[dict[str, str], bytes]:
    """(headers, body) of an answer without TLS."""
    reader, writer = await asyncio.open_connection(lab.address(), lab.port)
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    connection.send_headers(1, [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", "x.test")], end_stream=True)
    writer.write(connection.data_to_send())
    headers: dict[str, str] = {}
    body, is_over = b"", False
    while not is_over:
        for event in connection.receive_data(await reader.read(65536)):
            if isinstance(event, h2.events.ResponseReceived):
                headers = {str(name): str(value) for name, value in event.headers or ()}
            body += event.data if isinstance(event, h2.events.DataReceived) and event.data else b""
            is_over = is_over or isinstance(event, h2.events.StreamEnded)
    writer.close()
    return headers, body


async def test_http_2_without_tls_is_understood_by_who_knows_that_it_is_there(lab: Lab) -> None:
    lb = await lab.load_balancer()
    await lab.listener(lb, fixed(200, "hello"))
    await lab.settled()
    assert (await asked_in_2(lab))[1] == b"hello"
