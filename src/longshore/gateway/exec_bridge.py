"""One session while it lasts: what the client says goes to the agent, what the agent says to the client.

Nothing is buffered beyond what is under way. Output: the agent's socket is read only as far as the client acknowledges, and an
agent that is not read stops reading the engine. Input: a message is acknowledged when it has been sent to the agent, who is sent
no more than a window ahead of what the command has read; what a client sends far beyond that is dropped unacknowledged, and it
sends it again.
Acknowledgements are read whatever is blocked, so that the two directions never wait for each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web
from msgspec.structs import replace

from longshore import __version__
from longshore.aws import data_channel
from longshore.aws.data_channel import Closing, Incoming, Malformed, Message, Outgoing, TerminalSize
from longshore.kit import relay
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.relay import Ended
from longshore.services.ecs.exec.model import ExecSession

log = logging.getLogger("longshore.gateway.exec")

MOST_FRAME = 256 * 1024
#: bytes of input under way to the agent
MOST_INPUT = 4 * 1024 * 1024
#: bytes that a message takes beside its payload, about
_MESSAGE_COST = 512
#: seconds in which nothing was said by anybody
IDLE_S = 20 * 60.0
#: seconds the client has to acknowledge the last output
LAST_S = 10.0
_REPEAT_EVERY_S = 0.1
_MOST_SIZE = 10_000


class Bridge:
    """`run` once; `outcome` says how it ended."""

    def __init__(self, client: web.WebSocketResponse, session: ExecSession, clock: Clock, ids: Ids) -> None:
        self._client = client
        self._session = session
        self._clock = clock
        self._ids = ids
        self._incoming, self._outgoing = Incoming(64, MOST_FRAME * 4), Outgoing()
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        #: (what to tell the agent, the message to acknowledge then)
        self._input: asyncio.Queue[tuple[bytes, Message | None]] = asyncio.Queue()
        self._input_bytes = 0
        #: bytes of input the command has not taken yet
        self._under_way = 0
        self._taken = asyncio.Event()
        self._last_said = clock.now()
        self.outcome = Ended()

    @property
    def held(self) -> int:
        """Bytes of what the client has sent that are kept for the agent, about."""
        return self._input_bytes + self._incoming.held

    async def refuse(self, reason: str) -> None:
        self.outcome = Ended(reason=reason)
        with contextlib.suppress(ConnectionError):
            await self._close()

    async def run(self, agent: web.WebSocketResponse, cut: Coroutine[Any, Any, None] | None = None) -> None:
        """Until one of the ends is gone, the command has ended, nobody has said anything for long or `cut` returns."""
        listening = asyncio.create_task(self._hear_client(), name=f"{self._session.id}:client")
        jobs = {
            asyncio.create_task(job, name=f"{self._session.id}:{name}")
            for name, job in (("agent", self._hear_agent(agent)), ("input", self._pass_input_on(agent)), ("idle", self._until_idle()))
        }
        if cut is not None:
            jobs.add(asyncio.create_task(self._until_cut(cut), name=f"{self._session.id}:cut"))
        repeating = asyncio.create_task(self._repeat(), name=f"{self._session.id}:repeat")
        try:
            done, _ = await asyncio.wait({listening, *jobs}, return_when=asyncio.FIRST_COMPLETED)
            for error in filter(None, (job.exception() for job in done)):
                if not isinstance(error, ConnectionError):
                    log.error("%s: it broke", self._session.id, exc_info=error)
                    self.outcome = Ended(reason="The session broke inside the platform, whose log says why.")
            if listening.done():
                self.outcome = Ended(reason="the client is gone")
                return
            await self._until_acknowledged(listening)
            await self._close()
        except ConnectionError:
            self.outcome = Ended(reason="the client is gone")
        finally:
            everything = {listening, repeating, *jobs}
            for job in everything:
                job.cancel()
            await asyncio.gather(*everything, return_exceptions=True)
            await agent.close()

    # ── from the agent to the client ──

    async def _hear_agent(self, agent: web.WebSocketResponse) -> None:
        session_type = "InteractiveCommands" if self._session.interactive else "NonInteractiveCommands"
        await self._say(data_channel.HANDSHAKE_REQUEST, data_channel.handshake_request(__version__, session_type))
        await self._ready.wait()
        await self._say(data_channel.HANDSHAKE_COMPLETE, msgspec.json.encode({"HandshakeTimeToComplete": 0, "CustomerMessage": ""}))
        await agent.send_bytes(relay.GO)
        async for frame in agent:
            if frame.type is not WSMsgType.BINARY:
                continue
            self._last_said = self._clock.now()
            letter, content = relay.split(frame.data)
            if letter in (relay.STDOUT, relay.STDERR):
                payload_type = data_channel.DATA if letter == relay.STDOUT else data_channel.STDERR
                for piece in data_channel.pieces(content):
                    await self._say(payload_type, piece)
            elif letter == relay.TAKEN and content.isdigit():
                self._under_way = max(0, self._under_way - int(content[:9]))
                self._taken.set()
            elif letter == relay.ENDED:
                self.outcome = _ended(content)
                return
        self.outcome = Ended(reason="The agent of the task's container instance went away.")

    async def _say(self, payload_type: int, payload: bytes) -> None:
        while not self._outgoing.has_room:
            self._room.clear()
            await self._room.wait()
        sequence, now = self._outgoing.number(), self._clock.now()
        flags = data_channel.SYN if sequence == 0 else 0
        frame = self._packed(data_channel.OUTPUT, payload, payload_type=payload_type, sequence=sequence, flags=flags)
        self._outgoing.sent(sequence, frame, now)
        await self._client.send_bytes(frame)

    async def _repeat(self) -> None:
        while True:
            await self._clock.sleep(_REPEAT_EVERY_S)
            for frame in self._outgoing.overdue(self._clock.now()):
                await self._client.send_bytes(frame)

    async def _until_acknowledged(self, listening: asyncio.Task[None]) -> None:
        """The end of the output has arrived, or will not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_S):
                while not self._outgoing.is_through and not listening.done():
                    self._room.clear()
                    room = asyncio.create_task(self._room.wait())
                    await asyncio.wait({room, listening}, return_when=asyncio.FIRST_COMPLETED)
                    room.cancel()

    async def _close(self) -> None:
        """Tell the client that and how it ended."""
        now = int(self._clock.now() * 1000)
        closing = Closing(
            message_id=self._ids.uuid(),
            created_date=str(now),
            destination_id=self._session.task_arn,
            session_id=self._session.id,
            message_type=data_channel.CLOSED,
            schema_version=1,
            output=self.outcome.reason,
            exit_code=self.outcome.code,
        )
        await self._client.send_bytes(self._packed(data_channel.CLOSED, msgspec.json.encode(closing), flags=data_channel.FIN))
        await self._client.close(code=WSCloseCode.OK)

    def _packed(self, kind: str, payload: bytes, *, payload_type: int = 0, sequence: int = 0, flags: int = 0) -> bytes:
        message = Message(
            kind=kind,
            payload=payload,
            payload_type=payload_type,
            sequence=sequence,
            flags=flags,
            id=self._ids.uuid(),
            created=int(self._clock.now() * 1000),
        )
        return data_channel.pack(message)

    # ── from the client to the agent ──

    async def _hear_client(self) -> None:
        """Until it goes or asks for the end."""
        async for frame in self._client:
            if frame.type is not WSMsgType.BINARY:
                continue
            try:
                message = data_channel.unpack(frame.data)
                if message.kind == data_channel.ACKNOWLEDGE:
                    self._outgoing.acknowledge(data_channel.acknowledged(message))
                    self._room.set()
                elif message.kind == data_channel.INPUT and not await self._on_input(message):
                    return
            except Malformed as error:
                log.info("%s: a frame is left out: %s", self._session.id, error)

    async def _on_input(self, message: Message) -> bool:
        """False: the client wants it ended."""
        if self._input_bytes + len(message.payload) + _MESSAGE_COST > MOST_INPUT:
            return True  # not acknowledged, so it comes again
        to_acknowledge, ready = self._incoming.take(message)
        if to_acknowledge and message not in ready:
            await self._acknowledge(message)
        for one in ready:
            if one.payload_type == data_channel.FLAG and int.from_bytes(one.payload, "big") == data_channel.TERMINATE_SESSION:
                return False
            self._take(one)
        return True

    def _take(self, message: Message) -> None:
        self._last_said = self._clock.now()
        if message.payload_type == data_channel.HANDSHAKE_RESPONSE:
            self._ready.set()
            self._hand_on(b"", message)
        elif message.payload_type == data_channel.SIZE:
            self._hand_on(_size(message.payload), message)
        elif message.payload_type == data_channel.DATA:
            for piece in data_channel.pieces(message.payload):
                self._hand_on(relay.INPUT + piece)
            self._hand_on(relay.INPUT_ENDS if message.flags & data_channel.FIN else b"", message)
        else:
            self._hand_on(b"", message)

    def _hand_on(self, frame: bytes, message: Message | None = None) -> None:
        """A frame for the agent, if any; then the message is acknowledged. What says nothing to the agent takes its place all the same."""
        self._input_bytes += len(frame) + _MESSAGE_COST
        self._input.put_nowait((frame, replace(message, payload=b"") if message is not None else None))

    async def _pass_input_on(self, agent: web.WebSocketResponse) -> None:
        while True:
            frame, message = await self._input.get()
            while self._under_way and self._under_way + len(frame) > relay.WINDOW:
                self._taken.clear()
                await self._taken.wait()
            if frame:
                try:
                    await agent.send_bytes(frame)
                except ConnectionError:
                    break
            self._input_bytes -= len(frame) + _MESSAGE_COST
            self._under_way += len(frame) - 1 if frame.startswith(relay.INPUT) else 0
            if message is not None:
                await self._acknowledge(message)
        await asyncio.Event().wait()  # whoever listens to the agent sees that it is gone

    async def _acknowledge(self, message: Message) -> None:
        await self._client.send_bytes(data_channel.acknowledgement(message, self._ids.uuid(), int(self._clock.now() * 1000)))

    async def _until_cut(self, cut: Coroutine[Any, Any, None]) -> None:
        await cut
        self.outcome = Ended(reason="The credentials with which the session was begun have been revoked.")

    async def _until_idle(self) -> None:
        while (left := self._last_said + IDLE_S - self._clock.now()) > 0:
            await self._clock.sleep(left)
        self.outcome = Ended(reason="The session ended because nothing was said in it for 20 minutes.")


def _ended(content: bytes) -> Ended:
    try:
        return msgspec.json.decode(content, type=Ended)
    except (msgspec.MsgspecError, RecursionError):
        return Ended(reason="The agent did not say how it ended.")


def _size(content: bytes) -> bytes:
    """What the agent is told of the client's terminal; nothing for what is no size."""
    try:
        size = msgspec.json.decode(content, type=TerminalSize)
    except (msgspec.MsgspecError, RecursionError):
        return b""
    if not (0 < size.cols <= _MOST_SIZE and 0 < size.rows <= _MOST_SIZE):
        return b""
    return relay.SIZE + msgspec.json.encode(relay.Size(size.cols, size.rows))
