"""Commands into containers, and their logs, for somebody at the other end of the platform.

The platform says which over the control socket; the agent opens a socket of its own for each, begins once the other end is
ready, and carries bytes both ways until the command has ended or the socket is gone, which ends the command. Nothing is kept:
after a crash of either side there is nothing to be resumed, and what was left running is the engine's to show.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

import aiohttp
import msgspec

from longshore.agent.api import PlatformUnreachable
from longshore.agent.engine import Engine
from longshore.agent.sockets import Dialer, HandshakeRefused, Socket
from longshore.kit import relay
from longshore.kit.relay import Ended
from longshore.runtime.base import Execution, Runtime, RuntimeFailure

log = logging.getLogger("longshore.agent")

#: sessions at once
MOST_SESSIONS = 50


class Order(msgspec.Struct, frozen=True, rename="camel"):
    """LongshoreExecMessage."""

    session_id: str
    endpoint: str
    task_arn: str
    container_name: str
    purpose: str = "command"
    command: tuple[str, ...] = ()
    interactive: bool = True
    follow: bool = False
    tail: int = -1
    timestamps: bool = False


class Sessions:
    """All sessions into containers of this agent."""

    def __init__(self, engine: Engine, runtime: Runtime, dialer: Dialer, container_instance_arn: str) -> None:
        self._engine = engine
        self._runtime = runtime
        self._dialer = dialer
        self._arn = container_instance_arn
        self._running: dict[str, asyncio.Task[None]] = {}

    def begin(self, message: bytes) -> None:
        """Raises msgspec.MsgspecError for what is no order. One that is told twice is served once."""
        order = msgspec.json.decode(message, type=Order)
        if order.session_id in self._running:
            return
        if len(self._running) >= MOST_SESSIONS:
            log.warning("%s: not begun, there are %d sessions already", order.session_id, len(self._running))
            return
        job = asyncio.create_task(self._serve(order), name=f"exec:{order.session_id}")
        self._running[order.session_id] = job
        job.add_done_callback(lambda done: self._ended(order.session_id, done))

    def _ended(self, session_id: str, job: asyncio.Task[None]) -> None:
        self._running.pop(session_id, None)
        if not job.cancelled() and (error := job.exception()) is not None:
            log.error("%s: unexpected: %r", session_id, error, exc_info=error)

    async def close(self) -> None:
        jobs = list(self._running.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    async def _serve(self, order: Order) -> None:
        url = self._dialer.url(order.endpoint, {"sessionId": order.session_id, "containerInstanceArn": self._arn})
        try:
            socket = await self._dialer.open(url)
        except (HandshakeRefused, PlatformUnreachable) as error:
            log.warning("%s: its socket cannot be opened: %s", order.session_id, error)
            return
        log.info("%s: %s in %s of %s", order.session_id, order.purpose, order.container_name, order.task_arn)
        try:
            begin = await socket.receive()
            if begin.type is aiohttp.WSMsgType.BINARY and begin.data == relay.GO:
                ended = await (self._logs(socket, order) if order.purpose == "logs" else self._command(socket, order))
                await socket.send_bytes(relay.ENDED + msgspec.json.encode(ended))
                log.info("%s: ended, %s", order.session_id, ended)
        except ConnectionError:
            log.info("%s: the other end is gone", order.session_id)
        finally:
            await socket.close()

    def _container(self, order: Order) -> str:
        """Its id; "" for what this agent does not have."""
        job = self._engine.jobs.get(order.task_arn)
        return job.container_id(order.container_name) if job is not None and order.container_name in job.seen else ""

    # ── commands ──

    async def _command(self, socket: Socket, order: Order) -> Ended:
        container_id = self._container(order)
        if not container_id:
            return Ended(reason=f"The container {order.container_name} is not there.")
        try:
            execution = await self._runtime.execute(container_id, order.command, tty=order.interactive)
        except RuntimeFailure as error:
            return Ended(reason=f"Unable to start command: {error}")
        try:
            return await self._carry(socket, execution)
        finally:
            await asyncio.shield(execution.close())

    async def _carry(self, socket: Socket, execution: Execution) -> Ended:
        """Raises ConnectionError when the other end goes."""
        frames: asyncio.Queue[bytes] = asyncio.Queue()
        output = asyncio.create_task(_carry_output(socket, execution), name="exec:output")
        heard = asyncio.create_task(_hear(socket, frames), name="exec:hear")
        given = asyncio.create_task(_carry_input(socket, execution, frames), name="exec:input")
        try:
            await asyncio.wait({output, heard}, return_when=asyncio.FIRST_COMPLETED)
            if not output.done():
                raise ConnectionResetError("the socket is closed")
            await output
            return Ended(code=await execution.exit_code())
        except RuntimeFailure as error:
            return Ended(reason=str(error))
        finally:
            for job in (output, heard, given):
                job.cancel()
            await asyncio.gather(output, heard, given, return_exceptions=True)

    # ── logs ──

    async def _logs(self, socket: Socket, order: Order) -> Ended:
        container_id = self._container(order)
        if not container_id:
            return Ended(reason=f"The container {order.container_name} is not there any more.")
        reading = asyncio.create_task(self._read_logs(socket, container_id, order), name="exec:logs")
        gone = asyncio.create_task(_until_closed(socket), name="exec:gone")
        try:
            await asyncio.wait({reading, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                raise ConnectionResetError("the socket is closed")
            await reading
            return Ended(code=0)
        except RuntimeFailure as error:
            return Ended(reason=f"The logs cannot be read: {error}")
        finally:
            for job in (reading, gone):
                job.cancel()
            await asyncio.gather(reading, gone, return_exceptions=True)

    async def _read_logs(self, socket: Socket, container_id: str, order: Order) -> None:
        tail = order.tail if order.tail >= 0 else None
        chunks = self._runtime.logs(container_id, follow=order.follow, tail=tail, timestamps=order.timestamps)
        async for chunk in chunks:
            await socket.send_bytes((relay.STDERR if chunk.is_error else relay.STDOUT) + chunk.data)


async def _carry_output(socket: Socket, execution: Execution) -> None:
    """Until the command has closed its output. A socket that is not read makes this wait, and the command with it."""
    while (chunk := await execution.read()) is not None:
        await socket.send_bytes((relay.STDERR if chunk.is_error else relay.STDOUT) + chunk.data)


async def _hear(socket: Socket, frames: asyncio.Queue[bytes]) -> None:
    """Until the other end is gone. It sends no more than a window ahead of what was taken, so the queue stays small."""
    async for frame in socket:
        if frame.type is aiohttp.WSMsgType.BINARY:
            frames.put_nowait(frame.data)


async def _carry_input(socket: Socket, execution: Execution, frames: asyncio.Queue[bytes]) -> None:
    """For ever; a command that does not read makes this wait."""
    while True:
        letter, content = relay.split(await frames.get())
        if letter == relay.INPUT:
            await execution.write(content)
            await socket.send_bytes(relay.TAKEN + b"%d" % len(content))
        elif letter == relay.INPUT_ENDS:
            await execution.end_input()
        elif letter == relay.SIZE:
            with contextlib.suppress(msgspec.MsgspecError):
                size = msgspec.json.decode(content, type=relay.Size)
                await execution.resize(size.cols, size.rows)


async def _until_closed(socket: Socket) -> None:
    async for _ in socket:
        continue
