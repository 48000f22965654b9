"""Says whether a task of this agent is at a port: what load balancers ask before they send it anything, and once a second after that.

A question is `<task id>/<port>!`, the answer `up` or `down #other` and a line's end, as HAProxy's agent checks have it: a task is
there when one of its containers runs and has that host port, or when it has an address of its own. Whoever asks must know the
task, and learns nothing but yes or no. Who asks anything else, too much, too often or too slowly hears nothing, and HAProxy takes
that for no news.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from longshore.agent.container_spec import Binding
from longshore.agent.metadata.limits import LOOKUPS_AT_ONCE, LOOKUPS_PER_SECOND, Crowd, Limits
from longshore.agent.sharing import has_interface
from longshore.agent.task import TaskJob
from longshore.kit.clock import Clock

log = logging.getLogger("longshore.agent")

_QUESTION = re.compile(rb"([0-9a-f-]{1,64})/([1-9][0-9]{0,4})!")
_MOST_BYTES = 72
_PATIENCE_S = 2.0
HERE, ELSEWHERE = b"up\n", b"down #other\n"


class Identity:
    """Listens on the instance's address, on the same port after a restart if it can be had."""

    def __init__(self, address: str, file: Path, clock: Clock) -> None:
        self._address = address
        self._file = file
        self._server: asyncio.Server | None = None
        self._asking: set[asyncio.StreamWriter] = set()
        self._crowd = Crowd()
        self._limits = Limits(clock, LOOKUPS_PER_SECOND, LOOKUPS_AT_ONCE)
        #: of the engine, once there is one; until then nobody hears anything
        self.jobs: Mapping[str, TaskJob] | None = None
        #: 0 while it does not listen
        self.port = 0

    def __repr__(self) -> str:
        return f"Identity({self._address}:{self.port})"

    async def open(self) -> None:
        """Leaves `port` at 0 when nothing can listen there."""
        with contextlib.suppress(OSError, ValueError):
            self._server = await asyncio.start_server(self._serve, self._address, _port_in(self._file), limit=_MOST_BYTES)
        try:
            if self._server is None:
                self._server = await asyncio.start_server(self._serve, self._address, 0, limit=_MOST_BYTES)
            self.port = self._server.sockets[0].getsockname()[1]
            self._file.write_text(f"{self.port}\n")
        except OSError as error:
            log.warning("load balancers cannot ask which task is at a port of %s: %s", self._address, error)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._asking):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server, self.port = None, 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = str((writer.get_extra_info("peername") or ("",))[0])
        if not self._limits.allow(peer) or not self._crowd.enter(peer):
            writer.transport.abort()
            return
        self._asking.add(writer)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                answer = self.answer(await reader.readuntil(b"!"))
                if answer:
                    writer.write(answer)
                    await writer.drain()
        except (OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            pass
        finally:
            self._asking.discard(writer)
            self._crowd.leave(peer)
            writer.close()

    def answer(self, question: bytes) -> bytes:
        """Empty for what is no question, or while the tasks are not known yet."""
        asked = _QUESTION.fullmatch(question)
        if asked is None or self.jobs is None:
            return b""
        task_id, port = asked[1].decode(), int(asked[2])
        job = next((job for arn, job in self.jobs.items() if arn.rpartition("/")[2] == task_id), None)
        return HERE if job is not None and _is_at(job, port) else ELSEWHERE


def _port_in(file: Path) -> int:
    return int(file.read_text()) if file.exists() else 0


def _is_at(job: TaskJob, port: int) -> bool:
    running = [name for name in job.seen if job.container_status(name) == "RUNNING"]
    if has_interface(job.task):
        return bool(running)
    return any(port in _ports(binding) for name in running for binding in _bindings(job, name))


def _bindings(job: TaskJob, name: str) -> list[Binding]:
    kept = job.record.containers.get(name)
    return msgspec.json.decode(kept.bindings, type=list[Binding]) if kept is not None and bytes(kept.bindings) else []


def _ports(binding: Binding) -> range:
    if binding.host_port_range:
        first, _, last = binding.host_port_range.partition("-")
        return range(int(first), int(last) + 1)
    return range(binding.host_port or 0, (binding.host_port or 0) + 1)
