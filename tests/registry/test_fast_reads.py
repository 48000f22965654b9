"""Reads of the registry in the fast lane: the same answers, by the same rules, as by aiohttp's general way.

Every request here is sent as bytes to two servers over one registry, one with the lane and one without it, and both must say the
same. How the lane itself reads and waits its turn is tested in test_lane.py.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import web

from longshore.gateway.lane import MOST_AT_ONCE, Lanes
from longshore.gateway.request import ApiRequest, Reply
from longshore.registry.parts import Part
from longshore.services.ecr.images import record_blob
from longshore.services.ecr.manifests import DOCKER_MANIFEST, OCI_MANIFEST
from longshore.services.ecr.model import IMAGES
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.store.memory_blobs import MemoryBlobStore
from tests.gateway.platform import until
from tests.registry.conftest import ACCOUNT, REGION, Client
from tests.registry.contents import CONFIG, manifest

PATIENCE_S = 20.0
LAYER = os.urandom(5 * 1024 * 1024 + 3)
SMALL = os.urandom(MOST_AT_ONCE)
IMAGE = manifest(LAYER, SMALL)
DIGEST = digest_of(IMAGE)
BLOB = f"/v2/app/web/blobs/{digest_of(LAYER)}"
SMALL_BLOB = f"/v2/app/web/blobs/{digest_of(SMALL)}"
MANIFEST = "/v2/app/web/manifests/1"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Front:
    """The registry behind a port: `lanes` where the fast lane reads first."""

    port: int
    authorization: str
    lanes: Lanes | None
    #: requests that aiohttp read
    general: list[str]

    def request(self, method: str, path: str, *headers: str, host: str = "127.0.0.1:4566", credentials: bool = True) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
        if credentials:
            lines.append(f"Authorization: {self.authorization}")
        return "\r\n".join([*lines, "", ""]).encode()

    async def says(self, sent: bytes, answers: int = 1, heads: tuple[int, ...] = ()) -> list[Answer]:
        """`heads` are the numbers of those requests whose answers have no body, whatever length they say."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(sent)
            async with asyncio.timeout(PATIENCE_S):
                return [await _answer(reader, has_body=number not in heads) for number in range(answers)]
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader, *, has_body: bool) -> Answer:
    line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in lines)}
    length = int(headers.get("content-length", 0)) if has_body else 0
    return Answer(int(line.split()[1]), headers, await reader.readexactly(length))


async def _front(client: Client, *, fast: bool) -> AsyncIterator[Front]:
    seen: list[str] = []

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(f"{request.method} {request.path}")
        return await client.registry.handle(request)

    async def operate(request: ApiRequest) -> Reply:
        return Reply(200, request.body, "text/plain")

    async def look(request: web.BaseRequest) -> web.StreamResponse:
        return await client.registry.answer(request)

    general = web.Server(handle, access_log=None, max_line_size=16_384, max_field_size=16_384, auto_decompress=False)
    lanes = Lanes(operate, general, look, client.registry.senders) if fast else None
    listener = await asyncio.get_running_loop().create_server(lanes or general, "127.0.0.1", 0)
    yield Front(listener.sockets[0].getsockname()[1], client.headers["Authorization"], lanes, seen)
    listener.close()
    await general.shutdown(1)


async def hold(client: Client, content: bytes) -> None:
    await client.blobs.put(content, digest_of(content))
    web = RepositoryId(REGION, ACCOUNT, "app/web")
    await client.store.transact(lambda tx: record_blob(tx, web, digest_of(content), len(content), client.clock.now()))


@pytest.fixture
async def stocked(client: Client) -> Client:
    """An image in the repository, and a second repository that has none of it."""
    for content in (CONFIG, LAYER, SMALL):
        await hold(client, content)
    response = await client.ask("PUT", MANIFEST, data=IMAGE, headers={"Content-Type": OCI_MANIFEST})
    assert response.status == 201
    await client.create_repository("other")
    return client


@pytest.fixture
async def fast(stocked: Client) -> AsyncIterator[Front]:
    async for front in _front(stocked, fast=True):
        yield front


@pytest.fixture
async def slow(stocked: Client) -> AsyncIterator[Front]:
    async for front in _front(stocked, fast=False):
        yield front


def alike(fast: Answer, slow: Answer) -> bool:
    ignored = {"date", "server", "connection"}
    ours, theirs = ({name: value for name, value in each.headers.items() if name not in ignored} for each in (fast, slow))
    if fast.status == 304:
        theirs.pop("content-type", None) if "content-type" not in ours else None
    return (fast.status, ours, fast.body) == (slow.status, theirs, slow.body)


READS = {
    "the registry": ("/v2/", []),
    "a manifest by tag": (MANIFEST, []),
    "a manifest by digest": (f"/v2/app/web/manifests/{DIGEST}", []),
    "a manifest of a type the client reads": (MANIFEST, [f"Accept: {OCI_MANIFEST}"]),
    "a manifest of one of several types": (MANIFEST, [f"Accept: {DOCKER_MANIFEST}", f"Accept: {OCI_MANIFEST}", "accept: */*;q=0.1"]),
    "a manifest of a type the client does not read": (MANIFEST, [f"Accept: {DOCKER_MANIFEST}"]),
    "a manifest the client has": (MANIFEST, [f'If-None-Match: "{DIGEST}"']),
    "a manifest that is not there": ("/v2/app/web/manifests/2", []),
    "a manifest by what is no digest": ("/v2/app/web/manifests/sha256:12", []),
    "a manifest elsewhere": (f"/v2/other/manifests/{DIGEST}", []),
    "a manifest of no repository": ("/v2/nowhere/manifests/1", []),
    "a manifest with account and region": ("/v2/000000000000.dkr.ecr.us-east-1/app/web/manifests/1", []),
    "a manifest of another account": ("/v2/111111111111.dkr.ecr.us-east-1/app/web/manifests/1", []),
    "a name that is none": ("/v2/App/manifests/1", []),
    "a blob": (BLOB, []),
    "a small blob": (SMALL_BLOB, []),
    "a part of a blob": (BLOB, ["Range: bytes=1000-4000000"]),
    "the end of a blob": (BLOB, ["Range: bytes=-70000"]),
    "a small part of a blob": (BLOB, ["Range: bytes=7-7"]),
    "what lies beyond a blob": (BLOB, ["Range: bytes=99999999-"]),
    "several parts of a blob": (BLOB, ["Range: bytes=0-1,3-4"]),
    "a part of another blob": (BLOB, ["Range: bytes=0-1", 'If-Range: "another"']),
    "a blob the client has": (BLOB, [f'If-None-Match: "{digest_of(LAYER)}"']),
    "a blob elsewhere": (BLOB.replace("app/web", "other"), []),
    "a blob by what is no digest": ("/v2/app/web/blobs/latest", []),
    "a blob in an uploads' place": ("/v2/app/web/blobs/uploads/", []),
    "tags": ("/v2/app/web/tags/list", []),
    "nothing": ("/v2/app", []),
}
LEFT_TO_AIOHTTP = {"a blob in an uploads' place", "tags", "nothing"}
reads = pytest.mark.parametrize("read", READS.values(), ids=READS.keys())


@reads
async def test_a_read_is_answered_as_by_the_general_way(fast: Front, slow: Front, read: tuple[str, list[str]]) -> None:
    path, headers = read
    for method in ("GET", "HEAD"):
        sent = fast.request(method, path, *headers) * 2
        heads = (0, 1) if method == "HEAD" else ()
        both = [(await front.says(sent, 2, heads)) for front in (fast, slow)]
        assert all(alike(ours, theirs) for ours, theirs in zip(*both, strict=True)), both
    left = next(name for name, each in READS.items() if each is read) in LEFT_TO_AIOHTTP
    assert bool(fast.general) is left


@reads
async def test_nobody_reads_without_the_right_to(fast: Front, slow: Front, stocked: Client, read: tuple[str, list[str]]) -> None:
    path, headers = read
    anonymous = fast.request("GET", path, *headers, credentials=False)
    ours, theirs = [(await front.says(anonymous))[0] for front in (fast, slow)]
    assert alike(ours, theirs)
    assert ours.status in (400, 401, 404, 405)
    assert (ours.status == 401) is ("www-authenticate" in ours.headers)
    stocked.door.refused |= {("ecr:BatchGetImage", "*"), ("ecr:GetDownloadUrlForLayer", "*"), ("ecr:ListImages", "*")}
    stocked.door.refused |= {("ecr:BatchCheckLayerAvailability", "*")}
    ours, theirs = [(await front.says(fast.request("GET", path, *headers)))[0] for front in (fast, slow)]
    assert alike(ours, theirs)
    assert ours.status in ((200,) if path == "/v2/" else (400, 403, 404, 405))


ODD = {
    "a query": b"GET /v2/app/web/manifests/1?x=y HTTP/1.1\r\nHost: x\r\n",
    "percent-encoding": b"GET /v2/app/web/manifests/%31 HTTP/1.1\r\nHost: x\r\n",
    "a dot segment": b"GET /v2/app/./web/manifests/1 HTTP/1.1\r\nHost: x\r\n",
    "two dots": b"GET /v2/other/../app/web/manifests/1 HTTP/1.1\r\nHost: x\r\n",
    "two slashes": b"GET /v2//app/web/manifests/1 HTTP/1.1\r\nHost: x\r\n",
    "an absolute target": b"GET http://x/v2/app/web/manifests/1 HTTP/1.1\r\nHost: x\r\n",
    "HTTP/1.0": b"GET /v2/app/web/manifests/1 HTTP/1.0\r\nHost: x\r\n",
    "a small method": b"get /v2/app/web/manifests/1 HTTP/1.1\r\nHost: x\r\n",
    "two spaces": b"GET  /v2/app/web/manifests/1 HTTP/1.1\r\nHost: x\r\n",
    "no host": b"GET /v2/app/web/manifests/1 HTTP/1.1\r\n",
    "two hosts": b"GET /v2/app/web/manifests/1 HTTP/1.1\r\nHost: x\r\nHost: y\r\n",
    "two ranges": b"GET /v2/app/web/manifests/1 HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nRange: bytes=2-3\r\n",
    "a folded header": b"GET /v2/app/web/manifests/1 HTTP/1.1\r\nHost: x\r\nAccept: a/b,\r\n c/d\r\n",
    "chunks": b"GET /v2/app/web/manifests/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n",
    "a last request": b"GET /v2/app/web/manifests/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
async def test_what_is_not_plain_is_left_to_aiohttp_whole(fast: Front, slow: Front, odd: bytes) -> None:
    first = fast.request("GET", "/v2/")
    ending = f"Authorization: {fast.authorization}\r\n\r\n".encode()
    if b"chunked" in odd:
        ending += b"0\r\n\r\n"
    ours, theirs = [await _everything(front, first, odd + ending) for front in (fast, slow)]
    assert ours == theirs
    assert fast.general[:1] != ["GET /v2/"], "the first request was plain"


async def _everything(front: Front, first: bytes, rest: bytes) -> list[int]:
    """The statuses of all answers: to `first`, and then to `rest` (aiohttp forgets a good request in one piece with a bad one)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(first)
    found = []
    async with asyncio.timeout(PATIENCE_S):
        found.append((await _answer(reader, has_body=True)).status)
        writer.write(rest + front.request("GET", "/v2/", "Connection: close"))
        while True:
            try:
                found.append((await _answer(reader, has_body=True)).status)
            except (asyncio.IncompleteReadError, ConnectionError):
                break
    writer.close()
    return found


async def test_a_body_where_none_belongs_is_read_as_a_body(fast: Front, slow: Front) -> None:
    inner = fast.request("GET", "/v2/inner/manifests/1")
    sent = fast.request("GET", MANIFEST, f"Content-Length: {len(inner)}") + inner + fast.request("GET", "/v2/")
    for front in (fast, slow):
        first, second = await front.says(sent, 2)
        assert (first.body, second.body) == (IMAGE, b"{}")


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 8, 9, 20, 60, 100, -3, -2, -1])
async def test_a_request_may_come_in_pieces(fast: Front, cut: int) -> None:
    sent = fast.request("HEAD", MANIFEST, f"Accept: {OCI_MANIFEST}")
    reader, writer = await asyncio.open_connection("127.0.0.1", fast.port)
    async with asyncio.timeout(PATIENCE_S):
        writer.write(sent[:cut])
        await writer.drain()
        assert (await fast.says(fast.request("GET", "/v2/")))[0].status == 200  # by now the first piece has arrived
        writer.write(sent[cut:])
        assert (await _answer(reader, has_body=False)).status == 200
    writer.close()
    assert fast.general == []


async def test_blobs_manifests_and_operations_on_one_connection_come_in_order(fast: Front) -> None:
    operation = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    one, two, three, four, five = await fast.says(
        fast.request("GET", BLOB)
        + operation
        + fast.request("GET", SMALL_BLOB)
        + fast.request("GET", MANIFEST)
        + fast.request("GET", BLOB, "Range: bytes=5-"),
        5,
    )
    assert [one.body, two.body, three.body, four.body, five.body] == [LAYER, b"hello", SMALL, IMAGE, LAYER[5:]]
    assert fast.general == []


async def test_a_pull_is_noted_in_the_lane(fast: Front, stocked: Client) -> None:
    assert stocked.store.list(IMAGES)[0].last_pulled_at is None
    await fast.says(fast.request("GET", MANIFEST))
    assert stocked.store.list(IMAGES)[0].last_pulled_at == stocked.clock.now()
    assert fast.general == []


async def test_what_has_no_file_is_streamed_by_the_general_way(stocked: Client) -> None:
    stocked.serve_from(MemoryBlobStore(clock=stocked.clock))
    await hold(stocked, LAYER)
    async for front in _front(stocked, fast=True):
        first, second = await front.says(front.request("GET", BLOB, "Range: bytes=0-99999") + front.request("GET", "/v2/"), 2)
        assert (first.status, first.body, second.status) == (206, LAYER[:100_000], 200)
        assert front.general == [f"GET {BLOB}", "GET /v2/"]


async def test_an_answer_that_sends_itself_is_begun_anew_by_the_general_way(stocked: Client) -> None:
    begun = []

    async def look(request: web.BaseRequest) -> web.StreamResponse:
        begun.append(request)
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await response.write_eof()
        return response

    stocked.registry.answer = stocked.registry.handle = look  # type: ignore[method-assign]
    async for front in _front(stocked, fast=True):
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(front.request("GET", MANIFEST))
        async with asyncio.timeout(PATIENCE_S):
            head = await reader.readuntil(b"\r\n\r\n")
            assert (await reader.readuntil(b"0\r\n\r\n")) == b"1\r\nx\r\n0\r\n\r\n"
        assert re.match(rb"HTTP/1.1 200 OK\r\n", head)
        assert len(begun) == 2
        writer.close()


async def test_a_line_break_in_a_header_is_never_sent(stocked: Client) -> None:
    async def look(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(headers={"Content-Type": "a/b"}) if request.path == "/v2/" else Broken(headers={"X": "a\r\nEvil: yes"})

    class Broken(web.Response): ...

    stocked.registry.answer = look  # type: ignore[method-assign]
    async for front in _front(stocked, fast=True):
        assert (await front.says(front.request("GET", "/v2/")))[0].status == 200
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await front.says(front.request("GET", MANIFEST))


async def test_a_client_that_goes_away_in_the_middle_of_a_blob_leaves_nothing_behind(fast: Front) -> None:
    lanes = fast.lanes
    assert lanes is not None
    await fast.says(fast.request("GET", BLOB))  # the threads that send are there from now on
    await until(lambda: not lanes.open)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", fast.port, limit=4096)
        writer.write(fast.request("GET", BLOB))
        await reader.readexactly(100)
        writer.transport.abort()
    await until(lambda: not lanes.open and len(os.listdir("/proc/self/fd")) <= before)


async def test_a_server_that_stops_finishes_what_it_sends_and_closes(fast: Front) -> None:
    assert fast.lanes is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", fast.port, limit=4096)
    writer.write(fast.request("GET", BLOB) + fast.request("GET", MANIFEST))
    async with asyncio.timeout(PATIENCE_S):
        await reader.readuntil(b"\r\n\r\n")
        draining = asyncio.create_task(fast.lanes.drain(PATIENCE_S))
        assert await reader.readexactly(len(LAYER)) == LAYER
        assert await reader.read() == b"", "the second is not answered any more"
        await draining
    writer.close()


async def test_a_server_that_stops_does_not_wait_for_ever_for_a_reader(fast: Front) -> None:
    assert fast.lanes is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", fast.port, limit=4096)
    writer.write(fast.request("GET", BLOB))
    async with asyncio.timeout(PATIENCE_S):
        await reader.readuntil(b"\r\n\r\n")
        await fast.lanes.drain(0.05)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(len(LAYER))
    writer.close()


async def test_a_blob_whose_file_goes_between_finding_and_sending_it_is_unknown(stocked: Client, fast: Front) -> None:
    asked = stocked.registry.answer

    async def look(request: web.BaseRequest) -> web.StreamResponse:
        response = await asked(request)
        assert isinstance(response, Part)
        await stocked.blobs.delete(digest_of(LAYER))
        return response

    stocked.registry.answer = look  # type: ignore[method-assign]
    (answer,) = await fast.says(fast.request("GET", BLOB))
    assert answer.status == 404
    assert fast.general == [f"GET {BLOB}"]
