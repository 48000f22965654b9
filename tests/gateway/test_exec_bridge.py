"""What one session may make the gateway keep, whatever its client sends: bounds on memory, over sockets that only count."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import cast

import aiohttp
import pytest
from aiohttp import web

from longshore.aws import data_channel
from longshore.aws.data_channel import Message
from longshore.gateway.exec_bridge import MOST_FRAME, MOST_INPUT, Bridge
from longshore.kit.clock import SystemClock
from longshore.kit.ids import RandomIds
from longshore.services.ecs.exec.model import ExecSession

#: what may be ahead of its turn, beside what is in order
_AHEAD = 4 * MOST_FRAME


class Line:
    """One end of a session: what it says comes in, and what it is told is forgotten."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[aiohttp.WSMessage | None] = asyncio.Queue()
        self.told = 0

    async def send_bytes(self, frame: bytes) -> None:
        self.told += 1

    async def close(self, **why: object) -> None:
        self.says.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[aiohttp.WSMessage]:
        while (frame := await self.says.get()) is not None:
            yield frame
            self.says.task_done()

    def say(self, sequence: int, payload: bytes, payload_type: int, flags: int = 0) -> None:
        message = Message(
            kind=data_channel.INPUT,
            sequence=sequence,
            payload=payload,
            payload_type=payload_type,
            flags=flags,
            id="5f9c2d0e-3b1a-4c8d-9e7f-0a1b2c3d4e5f",
            created=0,
        )
        self.says.put_nowait(aiohttp.WSMessage(aiohttp.WSMsgType.BINARY, data_channel.pack(message), None))


def _session() -> ExecSession:
    return ExecSession("s-1", "task", "cluster", "instance", "main", "arn", "", 0.0, 60.0)


@pytest.mark.parametrize(
    "payload_type", [data_channel.DATA, data_channel.SIZE, data_channel.STDERR, 99], ids=["data", "size", "wrong way", "unknown"]
)
@pytest.mark.parametrize("length", [0, 200_000])
@pytest.mark.parametrize("in_order", [True, False], ids=["in order", "ahead"])
async def test_a_client_that_floods_a_command_that_reads_nothing_fills_no_more_than_its_bounds(
    payload_type: int, length: int, in_order: bool
) -> None:
    client, agent, drawn = Line(), Line(), random.Random(length)
    bridge = Bridge(cast(web.WebSocketResponse, client), _session(), SystemClock(), RandomIds())
    running = asyncio.create_task(bridge.run(cast(web.WebSocketResponse, agent)))
    client.say(0, b"{}", data_channel.HANDSHAKE_RESPONSE)
    for sequence in range(1, 21):  # the window to the agent is full, and nothing is taken
        client.say(sequence, b"x" * data_channel.PIECE, data_channel.DATA)
    count, payload = (20_000 if length == 0 else 60), bytes(length)
    most = 0
    for number in range(count):
        client.say(21 + number + (0 if in_order else drawn.randrange(1, 90)), payload, payload_type)
        if number % 50 == 0:
            await client.says.join()
            most = max(most, bridge.held, _kept(bridge))
    assert not running.done() and most <= MOST_INPUT + _AHEAD
    await client.close()
    await running


def _kept(bridge: Bridge) -> int:
    """What the queue to the agent really holds, counted anew: its frames, its messages, and what a message takes at least."""
    return sum(len(frame) + (len(message.payload) + 300 if message else 0) for frame, message in bridge._input._queue)  # type: ignore[attr-defined]


async def test_an_agent_that_never_says_that_it_took_anything_is_sent_no_more_than_a_window() -> None:
    client, agent = Line(), Line()
    bridge = Bridge(cast(web.WebSocketResponse, client), _session(), SystemClock(), RandomIds())
    running = asyncio.create_task(bridge.run(cast(web.WebSocketResponse, agent)))
    client.say(0, b"{}", data_channel.HANDSHAKE_RESPONSE)
    for sequence in range(1, 200):
        client.say(sequence, b"x" * data_channel.PIECE, data_channel.DATA)
    await client.says.join()
    assert agent.told <= 1 + 256 * 1024 // data_channel.PIECE
    await client.close()
    await running
