"""Clients with TLS go on while everything around them changes: rules, certificates, workers. None of their requests fails."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import h2.config
import h2.connection
import h2.events
import pytest

from tests.balancer.lab import Client, Lab, fixed, forward, laboratory, paths, until
from tests.balancer.tls import SECRET, context, issued, put_certificate

_GOAWAY = 7

pytestmark = pytest.mark.engine("haproxy")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with laboratory(tmp_path / "haproxy", installation_secret=SECRET) as lab:
        yield lab


async def _http1(lab: Lab, over: asyncio.Event) -> int:
    """Keeps its connection for as long as it is let, as browsers do."""
    count, client = 0, None
    while not over.is_set():
        client = client or await Client.connect(lab.address(), lab.port, ssl=context(), server_hostname="one.test")
        answer = await client.request("/x")
        assert answer.status == 200
        count += 1
        if (answer.header("connection") or "").lower() == "close":
            await client.close()
            client = None
    if client is not None:
        await client.close()
    return count


async def _http2(lab: Lab, over: asyncio.Event) -> int:
    """Opens stream after stream, and another connection when it is told to go."""
    count = 0
    while not over.is_set():
        reader, writer = await asyncio.open_connection(lab.address(), lab.port, ssl=context("h2"), server_hostname="one.test")
        connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        connection.initiate_connection()
        is_told_to_go, waiting = False, b""
        while not over.is_set() and not is_told_to_go:
            stream = connection.get_next_available_stream_id()
            headers = [(":method", "GET"), (":path", "/x"), (":scheme", "https"), (":authority", "one.test")]
            connection.send_headers(stream, headers, end_stream=True)
            writer.write(connection.data_to_send())
            is_answered = False
            while not is_answered:
                data = await reader.read(65536)
                assert data, "the connection ended before its answer"
                frames, waiting = _whole_frames(waiting + data)
                # The library takes no answers after being told to go, though they come.
                is_told_to_go = is_told_to_go or any(frame[3] == _GOAWAY for frame in frames)
                for event in connection.receive_data(b"".join(frame for frame in frames if frame[3] != _GOAWAY)):
                    if isinstance(event, h2.events.ResponseReceived):
                        assert dict(event.headers or ())[":status"] == "200"
                    is_answered = is_answered or (isinstance(event, h2.events.StreamEnded) and event.stream_id == stream)
                with contextlib.suppress(OSError):
                    writer.write(connection.data_to_send())
            count += 1
        writer.close()
    return count


def _whole_frames(data: bytes) -> tuple[list[bytes], bytes]:
    """(frames, the rest)."""
    frames: list[bytes] = []
    while len(data) >= 9 and len(data) >= 9 + int.from_bytes(data[:3], "big"):
        end = 9 + int.from_bytes(data[:3], "big")
        frames.append(data[:end])
        data = data[end:]
    return frames, data


@pytest.mark.parametrize("client", [_http1, _http2], ids=["http1", "http2"])
async def test_no_request_fails_while_rules_and_certificates_change(lab: Lab, client: object) -> None:
    one = await lab.upstream("one")
    group = await lab.group()
    await lab.register(group, one)
    lb = await lab.load_balancer()
    certificates = (await put_certificate(lab, "one.test"),)
    listener = await lab.listener(lb, forward(group), protocol="HTTPS", certificates=certificates)
    await lab.healthy(group, one)
    over = asyncio.Event()
    clients = [asyncio.create_task(client(lab, over)) for _ in range(6)]  # type: ignore[operator]
    for priority in range(1, 9):
        worker = await lab.worker()
        await put_certificate(lab, "one.test", pair=issued("one.test"))
        await lab.rule(listener, priority, [paths(f"/other{priority}")], fixed(200))
        await until(lambda worker=worker: _is_another(lab, worker))
        await lab.settled()
    over.set()
    counts = await asyncio.gather(*clients)
    assert min(counts) > 10, counts


async def _is_another(lab: Lab, worker: int) -> bool:
    return await lab.worker() != worker
