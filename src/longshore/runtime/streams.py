"""Docker Engine's streams: commands in containers, and what containers wrote.

A command's stream takes over its HTTP connection ("hijacking"): after the answer's head both directions are raw bytes, and each
can end by itself, which no HTTP client offers. So the connection is opened here. Without a terminal, output comes in frames of
eight bytes (which stream, how long) and content; with one it comes as it is.

The engine does not end a command whose client has gone. What is left running is ended through its process id, after a look
whether that process is still one of the container's (https://docs.docker.com/reference/api/engine/, Exec).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec

from longshore.runtime.base import Chunk, RuntimeFailure, RuntimeUnavailable

_FRAME = struct.Struct(">BxxxI")
_STDERR = 2
#: bytes handed on at once
_MOST = 16 * 1024
#: seconds a command has to end after SIGHUP
_GRACE_S = 1.0
_LOOK_EVERY_S = 0.05
_CONNECT_S = 10.0
_MOST_HEAD = 16 * 1024

#: (method, path, parameters, body) → the engine's decoded answer
Ask = Callable[[str, str, dict[str, str] | None, bytes | None], Awaitable[Any]]


class DockerExecution:
    """Made by `begin`."""

    def __init__(
        self, exec_id: str, container_id: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ask: Ask, *, tty: bool
    ) -> None:
        self._exec_id = exec_id
        self._container_id = container_id
        self._reader = reader
        self._writer = writer
        self._ask = ask
        self._tty = tty
        self._left, self._is_error = 0, False

    @classmethod
    async def begin(cls, url: str, version: str, exec_id: str, container_id: str, ask: Ask, *, tty: bool) -> DockerExecution:
        """`url` is the engine's; `version` the API's, such as v1.41."""
        body = msgspec.json.encode({"Detach": False, "Tty": tty})
        head = (
            f"POST /{version}/exec/{exec_id}/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
            f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await _connect(url)
        except (OSError, TimeoutError) as error:
            raise RuntimeUnavailable(f"Docker Engine does not answer: {error or type(error).__name__}") from error
        try:
            writer.write(head.encode() + body)
            await _read_head(reader)
        except BaseException:
            writer.close()
            raise
        return cls(exec_id, container_id, reader, writer, ask, tty=tty)

    async def read(self) -> Chunk | None:
        try:
            if self._tty:
                data = await self._reader.read(_MOST)
                return Chunk(data) if data else None
            while self._left == 0:
                head = await self._reader.readexactly(_FRAME.size)
                stream, self._left = _FRAME.unpack(head)
                self._is_error = stream == _STDERR
            data = await self._reader.read(min(_MOST, self._left))
        except asyncio.IncompleteReadError:
            return None
        except OSError as error:
            raise RuntimeUnavailable(f"the command's stream broke: {error}") from error
        self._left -= len(data)
        return Chunk(data, self._is_error) if data else None

    async def write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._writer.write(data)
            await self._writer.drain()

    async def end_input(self) -> None:
        with contextlib.suppress(OSError):
            self._writer.write_eof()

    async def resize(self, columns: int, rows: int) -> None:
        if self._tty:
            with contextlib.suppress(RuntimeFailure):  # it may have ended, or not be there yet
                await self._ask("POST", f"exec/{self._exec_id}/resize", {"h": str(rows), "w": str(columns)}, None)

    async def exit_code(self) -> int | None:
        # the output may end a moment before the engine says so of the command
        await self._until_ended()
        found = await self._look()
        code = found.get("ExitCode")
        return None if found.get("Running") or code is None else int(code)

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(RuntimeFailure):
            for ending in (signal.SIGHUP, signal.SIGKILL):
                found = await self._look()
                if not found.get("Running"):
                    return
                _end_process(int(found.get("Pid") or 0), self._container_id, ending)
                await self._until_ended()

    async def _until_ended(self) -> None:
        for _ in range(int(_GRACE_S / _LOOK_EVERY_S)):
            if not (await self._look()).get("Running"):
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _look(self) -> dict[str, Any]:
        found: dict[str, Any] = await self._ask("GET", f"exec/{self._exec_id}/json", None, None)
        return found


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if url.startswith("unix://"):
        return await asyncio.open_unix_connection(url.removeprefix("unix://"), limit=_MOST * 4)
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname or "127.0.0.1", parts.port or 2375, limit=_MOST * 4)


async def _read_head(reader: asyncio.StreamReader) -> None:
    """The answer's head; raises RuntimeFailure with what the engine says instead of going on."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as error:
        raise RuntimeUnavailable(f"Docker Engine gave no answer: {error}") from error
    status = head.split(b" ", 2)[1:2]
    if status in ([b"101"], [b"200"]):
        return
    body = await reader.read(_MOST_HEAD)
    start, end = body.find(b"{"), body.rfind(b"}")
    try:
        raise RuntimeFailure(str(msgspec.json.decode(body[start : end + 1])["message"]))
    except (msgspec.MsgspecError, KeyError, TypeError):
        raise RuntimeFailure(f"Docker Engine does not begin the command: {head[:200].decode(errors='replace')}") from None


def _end_process(pid: int, container_id: str, ending: signal.Signals) -> None:
    """Only if the process is (still) one of the container's: a number may be another's by now, or of another machine.

    The engine begins a command as the leader of a group of its own, and what it started goes with it.
    """
    try:
        if pid > 1 and container_id in Path(f"/proc/{pid}/cgroup").read_text():
            (os.killpg if os.getpgid(pid) == pid else os.kill)(pid, ending)
    except OSError:
        return


async def read_logs(response: aiohttp.ClientResponse, *, tty: bool) -> AsyncIterator[Chunk]:
    """The body of an answer of `GET /containers/{id}/logs`."""
    content = response.content
    try:
        if tty:
            while data := await content.read(_MOST):
                yield Chunk(data)
            return
        while True:
            stream, left = _FRAME.unpack(await content.readexactly(_FRAME.size))
            while left:
                data = await content.read(min(_MOST, left))
                if not data:
                    return
                left -= len(data)
                yield Chunk(data, stream == _STDERR)
    except asyncio.IncompleteReadError:
        return
    except (aiohttp.ClientError, OSError) as error:
        raise RuntimeUnavailable(f"the logs broke off: {error or type(error).__name__}") from error
