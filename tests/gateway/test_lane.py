"""The fast lane: how it reads, what it leaves to aiohttp, and that no request is ever read twice or in two ways.

Most of it runs on a transport without a network, to which bytes are fed as a socket might deliver them. What is said about
both parsers together runs on real sockets.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from longshore.gateway.answer import Answer
from longshore.gateway.begun import IDLE_S
from longshore.gateway.lane import MOST_FAST_BODY, MOST_HEAD, PARTIAL_S, Lane, Lanes
from longshore.gateway.request import MOST_BODY, ApiRequest, Reply, read_body

PATIENCE_S = 5.0


def post(body: bytes = b"", *headers: bytes, host: bytes = b"x") -> bytes:
    lines = [b"POST / HTTP/1.1", b"Host: " + host, b"Content-Length: %d" % len(body), *headers, b"", b""]
    return b"\r\n".join(lines) + body


def echo(request: ApiRequest) -> Reply:
    """All that was read of a request, so that two ways of reading can be compared."""
    headers = sorted((name.lower(), value) for name, value in request.pairs)
    told = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": headers,
        "body": request.body.decode("latin-1"),
    }
    return Reply(200, json.dumps(told).encode(), "application/json")


# ── a transport without a network ───────────────────────────────────────────────────────────────────────────────────


class Wire(asyncio.Transport):
    """What a lane writes and does. `stuck` is how many bytes the other side has not taken."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 50_000)})
        self.sent = b""
        self.closed = self.aborted = False
        self.reading = True
        self.stuck = 0
        self.protocol: asyncio.Protocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closed
        self.sent += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.stuck

    def feed(self, data: bytes) -> None:
        if not self.closed:
            assert self.protocol is not None
            self.protocol.data_received(data)

    def lose(self) -> None:
        self.closed = True
        assert self.protocol is not None
        self.protocol.connection_lost(None)


class Handed(asyncio.Protocol):
    """Stands where aiohttp's protocol does."""

    def __init__(self) -> None:
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data


class Road:
    """Lanes, and what they asked for. A body that begins with `wait` is answered when `let_go` is called."""

    def __init__(self) -> None:
        self.handed: list[Handed] = []
        self.asked: list[bytes] = []
        self._waiting: list[asyncio.Future[None]] = []
        self.lanes = Lanes(self._operate, self._general)

    async def _operate(self, request: ApiRequest) -> Reply:
        self.asked.append(request.body)
        if request.body.startswith(b"wait"):
            gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(gate)
            await gate
        if request.body.startswith(b"turn"):
            await asyncio.sleep(0)
        if request.body.startswith(b"fail"):
            raise KeyError("x")
        return Reply(200, request.body, "text/plain", close=request.body.startswith(b"close"))

    def _general(self) -> asyncio.Protocol:
        self.handed.append(Handed())
        return self.handed[-1]

    def connect(self) -> Wire:
        wire, lane = Wire(), self.lanes()
        wire.set_protocol(lane)
        lane.connection_made(wire)
        return wire

    async def let_go(self) -> None:
        waiting, self._waiting = self._waiting, []
        for gate in waiting:
            gate.set_result(None)
        await settled()

    def bytes_handed(self) -> bytes:
        return b"".join(handed.received for handed in self.handed)


async def settled() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


def answers(sent: bytes) -> list[bytes]:
    """The bodies of the answers in `sent`."""
    found = []
    while sent:
        head, _, rest = sent.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        found.append(rest[:length])
        sent = rest[length:]
    return found


@pytest.fixture
async def road() -> Road:
    return Road()


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

_bodies = st.one_of(st.binary(max_size=40), st.sampled_from([b"turn", b"turn2", b"\r\n\r\n", post(b"inner"), b"0\r\n\r\n", b"x" * 3000]))
_headers = st.lists(
    st.sampled_from([b"A: 1", b"B:2", b"C: \t ", b"User-Agent: aws/1 (x; y)", b"D: a:b", b"Connection: Keep-Alive"]), unique=True
)
_plain = st.builds(lambda body, headers: (post(body, *headers), body), _bodies, _headers)
_odd = st.sampled_from(
    [
        b"",
        b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v2/ HTTP/1.1\r\nHost: x\r\n\r\n",
        post(b"", b"Connection: close"),
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"POST / HTTP/1.1\nHost: x\n\n",
        post(b"partial")[:-1],
        b"POST / HTTP",
    ]
)


@settings(deadline=None, max_examples=150)
@given(requests=st.lists(_plain, max_size=5), odd=_odd, cuts=st.lists(st.integers(0, 4000), max_size=12), turns=st.booleans())
def test_bytes_mean_the_same_however_they_are_cut(
    runner: asyncio.Runner, requests: list[tuple[bytes, bytes]], odd: bytes, cuts: list[int], turns: bool
) -> None:
    stream = b"".join(each for each, _ in requests) + odd
    bounds = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(bounds)]

    async def spoken(pieces: list[bytes]) -> tuple[list[bytes], bytes, bool]:
        road = Road()
        wire = road.connect()
        for piece in pieces:
            wire.feed(piece)
            if turns:
                await asyncio.sleep(0)
        await settled()
        for _ in requests:
            await settled()
        return answers(wire.sent), road.bytes_handed(), bool(road.handed)

    whole = runner.run(spoken([stream]))
    assert whole == runner.run(spoken(pieces))
    assert whole == runner.run(spoken([stream[n : n + 1] for n in range(len(stream))]))
    given_back, handed, was_handed = whole
    assert given_back == [body for _, body in requests]
    assert handed == (odd if was_handed else b"")


@settings(deadline=None, max_examples=200)
@given(stream=st.binary(max_size=300))
def test_no_bytes_break_it(runner: asyncio.Runner, stream: bytes) -> None:
    async def spoken() -> None:
        road = Road()
        wire = road.connect()
        wire.feed(stream)
        assert wire.sent == b""
        assert road.bytes_handed() in (b"", stream)

    runner.run(spoken())


async def test_requests_on_one_connection_are_answered_in_order_and_one_at_a_time(road: Road) -> None:
    wire = road.connect()
    wire.feed(post(b"wait 1") + post(b"now") + post(b"wait 2") + post(b"last"))
    assert (road.asked, wire.sent) == ([b"wait 1"], b"")
    await road.let_go()
    assert (road.asked, answers(wire.sent)) == ([b"wait 1", b"now", b"wait 2"], [b"wait 1", b"now"])
    await road.let_go()
    assert answers(wire.sent) == [b"wait 1", b"now", b"wait 2", b"last"]


async def test_what_comes_while_another_is_answered_is_kept_whole(road: Road) -> None:
    wire = road.connect()
    wire.feed(post(b"wait"))
    for byte in post(b"after"):
        wire.feed(bytes([byte]))
    await road.let_go()
    assert answers(wire.sent) == [b"wait", b"after"]


async def test_hundreds_of_requests_at_once_need_no_stack(road: Road) -> None:
    wire = road.connect()
    wire.feed(post(b"x") * 3000)
    assert answers(wire.sent) == [b"x"] * 3000


async def test_a_connection_that_its_answer_closes_answers_no_more(road: Road) -> None:
    wire = road.connect()
    wire.feed(post(b"close") + post(b"never"))
    assert (road.asked, wire.closed) == ([b"close"], True)
    assert b"Connection: close" in wire.sent


async def test_an_operation_that_fails_ends_its_connection_and_no_other(road: Road) -> None:
    wire, other = road.connect(), road.connect()
    wire.feed(post(b"fail") + post(b"never"))
    assert (wire.aborted, wire.sent) == (True, b"")
    other.feed(post(b"fine"))
    assert answers(other.sent) == [b"fine"]


# ── handing over ────────────────────────────────────────────────────────────────────────────────────────────────────

NOT_PLAIN = {
    "another method": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method in small letters": b"post / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "another path": b"POST /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "a query": b"POST /?a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "an absolute target": b"POST http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.0": b"POST / HTTP/1.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "two spaces": b"POST  / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "an empty line first": b"\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    "no headers": b"POST / HTTP/1.1\r\n\r\n",
    "no host": b"POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "no length": b"POST / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an empty length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n",
    "a length with a sign": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\na",
    "a length below zero": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "a length in hexadecimal": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x1\r\n\r\na",
    "a list of lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\na",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "two equal lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\na",
    "two hosts": b"POST / HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 0\r\n\r\n",
    "chunks": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "chunks and a length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "an unknown coding": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: xchunked\r\n\r\na",
    "asking first": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\na",
    "an upgrade": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a compressed body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Encoding: gzip\r\n\r\na",
    "the last on its connection": post(b"", b"Connection: close"),
    "a space before the colon": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n\r\na",
    "a folded header": b"POST / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\nContent-Length: 0\r\n\r\n",
    "a NUL in a header": b"POST / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\nContent-Length: 0\r\n\r\n",
    "a letter of elsewhere in a header": "POST / HTTP/1.1\r\nHost: x\r\nA: é\r\nContent-Length: 0\r\n\r\n".encode(),
    "digits of elsewhere": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ١\r\n\r\na".encode(),
    "a bare line feed": b"POST / HTTP/1.1\r\nHost: x\r\nA: b\nContent-Length: 0\r\n\r\n",
    "bare line feeds throughout": b"POST / HTTP/1.1\nHost: x\nContent-Length: 0\n\n",
    "a bare carriage return": b"POST / HTTP/1.1\r\nHost: x\r\nA: b\rContent-Length: 0\r\n\r\n",
    "a header without a colon": b"POST / HTTP/1.1\r\nHost: x\r\nnothing\r\nContent-Length: 0\r\n\r\n",
    "a header without a name": b"POST / HTTP/1.1\r\nHost: x\r\n: b\r\nContent-Length: 0\r\n\r\n",
    "a long head": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nA: " + b"a" * MOST_HEAD,
    "a long body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (MOST_FAST_BODY + 1),
    "a length of many digits": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 00000001\r\n\r\na",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
not_plain = pytest.mark.parametrize("stream", NOT_PLAIN.values(), ids=NOT_PLAIN.keys())


@not_plain
async def test_what_is_not_plain_is_handed_over_untouched(road: Road, stream: bytes) -> None:
    wire = road.connect()
    wire.feed(post(b"before") + stream)
    assert (answers(wire.sent), road.asked) == ([b"before"], [b"before"])
    assert road.bytes_handed() == stream
    wire.feed(post(b"after"))
    assert road.bytes_handed() == stream + post(b"after"), "from then on all of it"
    assert not road.lanes.open


async def test_it_is_handed_over_only_when_its_turn_has_come(road: Road) -> None:
    wire = road.connect()
    wire.feed(post(b"wait") + b"GET / HTTP/1.1\r\n")
    assert not road.handed
    await road.let_go()
    assert answers(wire.sent) == [b"wait"]
    assert road.bytes_handed() == b"GET / HTTP/1.1\r\n"


# ── slow, stuck and gone ────────────────────────────────────────────────────────────────────────────────────────────


def lane_of(road: Road) -> Lane:
    (lane,) = road.lanes.open
    return lane


async def test_an_idle_connection_is_closed_after_a_while(road: Road) -> None:
    wire, now = road.connect(), asyncio.get_running_loop().time()
    lane_of(road).close_if_stale(now + IDLE_S - 1)
    assert not wire.closed
    lane_of(road).close_if_stale(now + IDLE_S + 1)
    assert (wire.closed, wire.aborted) == (True, False)


@pytest.mark.parametrize("sent", [b"P", b"POST / HTTP/1.1\r\nHost:", post(b"body")[:-1]])
async def test_a_slow_sender_is_closed_sooner_and_dripping_does_not_help(road: Road, sent: bytes) -> None:
    wire, now = road.connect(), asyncio.get_running_loop().time()
    for byte in sent:
        wire.feed(bytes([byte]))
    lane_of(road).close_if_stale(now + PARTIAL_S - 1)
    assert not wire.closed
    lane_of(road).close_if_stale(now + PARTIAL_S + 1)
    assert wire.closed


async def test_what_takes_long_to_answer_is_not_stale(road: Road) -> None:
    wire = road.connect()
    wire.feed(post(b"wait"))
    lane_of(road).close_if_stale(asyncio.get_running_loop().time() + 10 * IDLE_S)
    assert not wire.closed
    await road.let_go()
    assert answers(wire.sent) == [b"wait"]


async def test_a_client_that_does_not_take_its_answers_is_cut_off(road: Road) -> None:
    wire = road.connect()
    wire.feed(post(b"x"))
    wire.stuck = 5
    lane_of(road).pause_writing()
    lane_of(road).close_if_stale(asyncio.get_running_loop().time() + IDLE_S + 1)
    assert wire.aborted, "closing would wait for bytes nobody takes"


async def test_a_client_that_does_not_take_its_answers_gets_no_more_of_them_and_is_read_no_further(road: Road) -> None:
    wire = road.connect()
    lane = lane_of(road)
    wire.feed(post(b"one"))
    lane.pause_writing()
    wire.feed(post(b"two"))
    assert road.asked == [b"one"]
    piece = post(b"x" * 60_000)
    fed = 0
    while wire.reading:
        wire.feed(piece)
        fed += 1
        assert fed < 20, "what nobody answers must not pile up"
    lane.resume_writing()
    assert wire.reading
    assert len(answers(wire.sent)) == 2 + fed


async def test_a_client_that_sends_while_it_is_being_answered_is_read_no_further_than_a_request(road: Road) -> None:
    wire = road.connect()
    wire.feed(post(b"wait"))
    fed = 0
    while wire.reading:
        wire.feed(post(b"x" * 60_000))
        fed += 1
        assert fed < 20
    await road.let_go()
    assert wire.reading
    assert len(answers(wire.sent)) == 1 + fed


async def test_a_client_that_goes_away_does_no_harm(road: Road) -> None:
    for stream in (b"", b"POST / HT", post(b"body")[:-1], post(b"wait"), post(b"wait") + post(b"x")):
        wire = road.connect()
        wire.feed(stream)
        wire.lose()
        await road.let_go()
        assert wire.sent == b""
    assert not road.lanes.open
    assert road.asked == [b"wait", b"wait"]


# ── stopping ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_draining_closes_what_is_idle_and_finishes_what_is_being_answered(road: Road) -> None:
    idle, busy, half = road.connect(), road.connect(), road.connect()
    busy.feed(post(b"wait") + post(b"never"))
    half.feed(post(b"half")[:-2])
    draining = asyncio.create_task(road.lanes.drain(PATIENCE_S))
    await settled()
    assert (idle.closed, busy.closed) == (True, False)
    assert half.closed, "who has not said all by now is not waited for"
    idle.lose()
    half.lose()
    await road.let_go()
    assert (answers(busy.sent), busy.closed) == ([b"wait"], True)
    assert b"Connection: close" in busy.sent
    assert not draining.done()
    busy.lose()
    await asyncio.wait_for(draining, PATIENCE_S)
    assert road.asked == [b"wait"]


async def test_draining_does_not_wait_for_ever(road: Road) -> None:
    wire = road.connect()
    wire.feed(post(b"wait"))
    await asyncio.wait_for(road.lanes.drain(0.01), PATIENCE_S)
    assert wire.aborted


async def test_draining_nothing_takes_no_time(road: Road) -> None:
    await asyncio.wait_for(road.lanes.drain(3600), PATIENCE_S)


# ── both parsers together, on sockets ───────────────────────────────────────────────────────────────────────────────


@dataclass
class Server:
    port: int
    #: bodies of requests that were carried out
    asked: list[bytes]

    async def says(self, first: bytes, rest: bytes = b"") -> list[tuple[int, bytes]]:
        """(status, body) of everything that is answered to `first`, and to `rest` once that has begun to be answered.

        Something in there must make the server close the connection.
        """
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(first)
        found: list[tuple[int, bytes]] = []
        async with asyncio.timeout(PATIENCE_S):
            while head := await _head(reader):
                writer.write(rest if not found else b"")
                status = int(head.split()[1])
                if status != 100:
                    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                    found.append((status, await reader.readexactly(length)))
        writer.close()
        return found


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


async def listening(fast: bool) -> AsyncIterator[Server]:
    asked: list[bytes] = []

    async def operate(request: ApiRequest) -> Reply:
        asked.append(request.body)
        return echo(request)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        return Answer.of(await operate(ApiRequest.of(request, await read_body(request, MOST_BODY))))

    general = web.Server(handle, access_log=None, max_line_size=16_384, max_field_size=16_384, auto_decompress=False)
    protocol: Callable[[], asyncio.Protocol] = Lanes(operate, general) if fast else general
    listener = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    yield Server(listener.sockets[0].getsockname()[1], asked)
    listener.close()
    await general.shutdown(1)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async for made in listening(fast=True):
        yield made


@pytest.fixture
async def slow_server() -> AsyncIterator[Server]:
    async for made in listening(fast=False):
        yield made


LAST = b"POST / HTTP/1.1\r\nHost: last\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlast"


@not_plain
async def test_the_answers_are_those_aiohttp_alone_would_give(server: Server, slow_server: Server, stream: bytes) -> None:
    if stream is NOT_PLAIN["a long head"]:
        stream += b"\r\n\r\n"
    if stream is NOT_PLAIN["a long body"]:
        stream += b"b" * (MOST_FAST_BODY + 1)
    if stream is NOT_PLAIN["an upgrade"]:
        stream = stream.replace(b"Connection: Upgrade", b"Connection: close")  # what follows an upgrade is no HTTP
    # aiohttp alone would forget a good request that comes in one piece with a bad one
    first, rest = post(b"first", b"A: b"), stream + LAST
    fast, slow = await server.says(first, rest), await slow_server.says(first, rest)
    assert [status for status, _ in fast] == [status for status, _ in slow]
    assert server.asked == slow_server.asked
    assert [body for status, body in fast if status == 200] == [body for status, body in slow if status == 200]
    assert server.asked[0] == b"first"
    assert len(fast) <= 3, "two requests and the last"


@settings(deadline=None, max_examples=60)
@given(requests=st.lists(_plain, min_size=1, max_size=4))
def test_a_plain_request_is_read_as_aiohttp_reads_it(runner: asyncio.Runner, requests: list[tuple[bytes, bytes]]) -> None:
    stream = b"".join(each for each, _ in requests) + LAST

    async def both() -> None:
        said = []
        for fast in (True, False):
            async for server in listening(fast):
                said.append((await server.says(stream), server.asked))
        assert said[0] == said[1]
        assert said[0][1] == [*(body for _, body in requests), b"last"]

    runner.run(both())


CHUNKED = b"Transfer-Encoding: chunked"
INNER = b"POST / HTTP/1.1\r\nHost: inner\r\nContent-Length: 5\r\n\r\ninner"
SMUGGLED = {
    "length, then chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n\r\n0\r\n\r\n" % (5 + len(INNER), CHUNKED),
    "chunks, then length": b"POST / HTTP/1.1\r\nHost: x\r\n%s\r\nContent-Length: %d\r\n\r\n0\r\n\r\n" % (CHUNKED, 5 + len(INNER)),
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(INNER),
    "two lengths the other way round": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nContent-Length: 0\r\n\r\n" % len(INNER),
    "a list of lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0, %d\r\n\r\n" % len(INNER),
    "a space before the colon": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nTransfer-Encoding : chunked\r\n\r\n",
    "a coding nobody knows": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nTransfer-Encoding: xchunked\r\n\r\n" % len(INNER),
    "a folded coding": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nTransfer-Encoding:\r\n chunked\r\n\r\n" % len(INNER),
    "a vertical tab": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nTransfer-Encoding:\x0bchunked\r\n\r\n" % len(INNER),
    "a length behind a NUL": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\x00%d\r\n\r\n" % len(INNER),
    "a length behind a bare line feed": b"POST / HTTP/1.1\r\nHost: x\r\nA: b\nContent-Length: %d\r\n\r\n" % len(INNER),
    "a length behind a bare carriage return": b"POST / HTTP/1.1\r\nHost: x\r\nA: b\rContent-Length: %d\r\n\r\n" % len(INNER),
    "a length with an underscore": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent_Length: %d\r\n\r\n" % len(INNER),
}  # fmt: skip


@pytest.mark.parametrize("stream", SMUGGLED.values(), ids=SMUGGLED.keys())
async def test_a_request_hidden_in_another_is_never_both_body_and_request(server: Server, stream: bytes) -> None:
    said = await server.says(post(b"first") + stream + INNER + LAST)
    assert said[0][0] == 200
    as_body = [body for body in server.asked if INNER in body]
    as_request = [body for body in server.asked if body == b"inner"]
    assert not (as_body and as_request)
    assert len(said) <= 1 + len(server.asked), "an answer for each request that was carried out, and at most one refusal"
    if 400 in [status for status, _ in said]:
        assert said[-1][0] == 400, "nothing is read behind what could not be"
        assert b"last" not in server.asked


async def test_a_client_may_ask_before_it_sends(server: Server) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        writer.write(b"body")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    assert server.asked == [b"body"]
    writer.close()
