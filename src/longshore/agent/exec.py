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
#: seconds the other end has to read the last of the output
LAST_S = 20.0


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
        frames: asyncio.Queue[bytes] = asyncio.Queue()
        heard = asyncio.create_task(_hear(socket, frames), name="exec:hear")
        work = asyncio.create_task(self._work(socket, frames, order), name="exec:work")
        try:
            await asyncio.wait({heard, work}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                ended = await work
                await socket.send_bytes(relay.ENDED + msgspec.json.encode(ended))
                log.info("%s: ended, %s", order.session_id, ended)
                # The other end closes when it has read it all: a connection closed with something unread loses what is under way.
                await asyncio.wait({heard}, timeout=LAST_S)
            else:
                log.info("%s: the other end is gone", order.session_id)
        except ConnectionError:
            log.info("%s: the other end is gone", order.session_id)
        finally:
            for job in (heard, work):
                job.cancel()
            await asyncio.gather(heard, work, return_exceptions=True)
            await socket.close()

    async def _work(self, socket: Socket, frames: asyncio.Queue[bytes], order: Order) -> Ended:
        """Raises ConnectionError when the other end goes."""
        while await frames.get() != relay.GO:
            continue
        try:
            if order.purpose == "logs":
                return await self._logs(socket, order)
            return await self._command(socket, frames, order)
        except RuntimeFailure as error:
            return Ended(reason=str(error))

    def _container(self, order: Order) -> str:
        """Its id; "" for what this agent does not have."""
        job = self._engine.jobs.get(order.task_arn)
        return job.container_id(order.container_name) if job is not None and order.container_name in job.seen else ""

    async def _command(self, socket: Socket, frames: asyncio.Queue[bytes], order: Order) -> Ended:
        container_id = self._container(order)
        if not container_id:
            return Ended(reason=f"The container {order.container_name} is not there.")
        try:
            execution = await self._runtime.execute(container_id, order.command, tty=order.interactive)
        except RuntimeFailure as error:
            return Ended(reason=f"Unable to start command: {error}")
        given = asyncio.create_task(_carry_input(socket, execution, frames), name="exec:input")
        try:
            await _carry_output(socket, execution)
            return Ended(code=await execution.exit_code())
        finally:
            # in one piece: whoever cancels this while it ends already must not leave the command behind
            await asyncio.shield(_end(execution, given))

    async def _logs(self, socket: Socket, order: Order) -> Ended:
        container_id = self._container(order)
        if not container_id:
            return Ended(reason=f"The container {order.container_name} is not there any more.")
        tail = order.tail if order.tail >= 0 else None
        chunks = self._runtime.logs(container_id, follow=order.follow, tail=tail, timestamps=order.timestamps)
        try:
            async for chunk in chunks:
                await socket.send_bytes((relay.STDERR if chunk.is_error else relay.STDOUT) + chunk.data)
        except RuntimeFailure as error:
            return Ended(reason=f"The logs cannot be read: {error}")
        return Ended(code=0)


async def _end(execution: Execution, given: asyncio.Task[None]) -> None:
    given.cancel()
    await asyncio.gather(given, return_exceptions=True)
    await execution.close()


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
