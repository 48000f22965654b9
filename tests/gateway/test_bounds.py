"""What one connection may ask of the port before anybody knows whose it is: sizes, counts, and how long it may take over it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from longshore.gateway.app import Gateway
from longshore.gateway.begun import Begun, http_server
from longshore.gateway.lane import Lanes
from longshore.gateway.machines import ROUTE, Machines
from longshore.gateway.request import MOST_BODY
from longshore.kit.clock import SystemClock
from longshore.kit.ids import RandomIds
from longshore.services.call import Site
from longshore.store.base import Store

PATIENCE_S = 10.0
JSON = b"X-Amz-Target: AmazonEC2ContainerServiceV20141113.ListClusters\r\nContent-Type: application/x-amz-json-1.1\r\n"


@pytest.fixture
async def port(gateway: Gateway, store: Store, site: Site) -> AsyncIterator[int]:
    """The gateway's as it is served; machines have little time for their codes."""
    machines = Machines(store, gateway._identities, SystemClock(), RandomIds(), site, b"s" * 32, "root", body_s=0.2)
    gateway.mount(ROUTE, machines.handle)
    begun = Begun(gateway.handle)
    general = http_server(begun)
    lanes = Lanes(gateway.answer, general, expect=lambda transport, _: begun.expect(transport, 0.2))
    server = await asyncio.get_running_loop().create_server(lanes, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await general.shutdown(0.05)


async def answered(port: int, sent: bytes) -> bytes:
    """The first that comes back; nothing where the connection is just closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(sent)
            return await reader.read(65_536)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def status(answer: bytes) -> int:
    """0 for a connection that was closed without a word."""
    return int(answer.split(b" ", 2)[1]) if answer else 0


def post(body: bytes, *headers: bytes, path: bytes = b"/") -> bytes:
    return b"\r\n".join([b"POST " + path + b" HTTP/1.1", b"Host: x", *headers, b"Content-Length: %d" % len(body), b"", b""]) + body


HEAD = b"GET /v1/x HTTP/1.1\r\nHost: x\r\n"
REFUSED: dict[str, bytes] = {
    "many headers": HEAD + b"".join(b"A%d: b\r\n" % number for number in range(200)) + b"\r\n",
    "a long value": HEAD + b"A: " + b"b" * 20_000 + b"\r\n\r\n",
    "a long name": HEAD + b"b" * 20_000 + b": a\r\n\r\n",
    "a long path": b"GET /" + b"b" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a value with a NUL": HEAD + b"A: b\x00c\r\n\r\n",
    "a value with a line of its own": HEAD + b"A: b\rB: c\r\n\r\n",
    "a folded header": HEAD + b"A: b\r\n c\r\n\r\n",
    "a space before the colon": HEAD + b"Content-Length : 3\r\n\r\nabc",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length with a sign": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc",
    "a length beyond 64 bits": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\nabc",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: x\n\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 10 + b"\r\n\r\n",
}


@pytest.mark.parametrize("what", REFUSED)
async def test_requests_that_two_servers_could_read_differently_or_without_end_are_refused(port: int, what: str) -> None:
    assert status(await answered(port, REFUSED[what])) in (0, 400)


async def test_a_body_larger_than_is_taken_is_refused_by_its_length_and_chunk_by_chunk(port: int) -> None:
    told = b"POST / HTTP/1.1\r\nHost: x\r\n" + JSON + b"Content-Length: %d\r\n\r\n" % (MOST_BODY + 1)
    assert status(await answered(port, told)) == 413
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    endless = b"POST / HTTP/1.1\r\nHost: x\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * (MOST_BODY // 0x100000 + 1)
    assert status(await answered(port, endless)) in (0, 413)


async def test_what_is_compressed_is_not_unpacked_for_strangers(port: int) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    for encoding in (b"gzip", b"deflate", b"br", b"GZIP", b"gzip, gzip"):
        answer = await answered(port, post(bomb, JSON.rstrip(b"\r\n"), b"Content-Encoding: " + encoding))
        assert status(answer) == 400 and b"Content-Encoding is not supported" in answer


async def test_a_machine_that_only_begins_to_tell_its_code_is_not_waited_for(port: int) -> None:
    begun = b"POST " + ROUTE.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    assert status(await answered(port, begun)) == 408


async def test_a_code_that_comes_in_pieces_is_read_whole_and_a_long_one_is_not(port: int) -> None:
    code = json.dumps({"code": "no such code", "instanceId": "i-00000000000000001"}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = b"POST " + ROUTE.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(code)
        for piece in (head, code[:10], code[10:]):
            writer.write(piece)
            await writer.drain()
            for _ in range(5):  # the server reads it by itself
                await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_S):
            answer = await reader.read(65_536)
    finally:
        writer.close()
    assert b'"error"' in answer and b"The body is" not in answer
    assert status(await answered(port, post(b" " * 5000, path=ROUTE.encode()))) == 413


@pytest.mark.parametrize("first", [b"G", b"GET /v2/ HTTP/1.1\r\nHost", b"GET /acs/ HTTP/1.1\r\nUpgrade: websocket\r\n", HEAD])
async def test_a_head_that_does_not_come_is_not_waited_for_at_any_door(port: int, first: bytes) -> None:
    """(Of one that begins like an API request the lane takes care itself: test_lane.py.)"""
    assert await answered(port, first) == b""


@pytest.mark.parametrize("body", [b'{"maxResults": %s}', b'{"a": {"b": [%s]}}'])
@pytest.mark.parametrize("number", [b"18446744073709551616", b"9" * 5000, b"1e999", b"-1e999", b"1e-400", b"NaN", b"0x10", b"01"])
async def test_numbers_of_any_size_are_read_or_refused(client: Any, body: bytes, number: bytes) -> None:
    assert (await client.json("ListClusters", body % number)).status in (200, 400)
    form = f"Action=DescribeSubnets&Version=2016-11-15&MaxResults={number.decode()}"
    assert (await client.query(form, service="ec2")).status in (200, 400)


@pytest.mark.parametrize("text", ["\x00", "\ud800", "\r\nX: y", "\x1b[2J", "../../etc/passwd", "a" * 100_000])
async def test_names_that_reach_logs_files_and_headers_are_read_or_refused(client: Any, text: str) -> None:
    body = json.dumps({"clusterName": text, "cluster": text, "clusters": [text]}).encode()
    for operation in ("CreateCluster", "DescribeClusters", "ListTasks", text.encode("ascii", "replace").decode()[:50].strip() or "x"):
        if "\n" in operation or "\x1b" in operation or "\x00" in operation:
            continue  # no client can send it: see REFUSED
        answer = await client.json(operation, body)
        assert answer.status in (200, 400) and "passwd" not in str(answer.headers)
