"""Programs that are given a time to answer in, and killed when it is over."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence

from longshore.scanner.seam import ScanInterrupted

#: what is kept of what a program says on standard error
_LAST_WORDS = 4096


class Overlong(Exception):
    """The program answered more than it may, or used up its time."""


async def answer_of(
    command: Sequence[str],
    sent: AsyncIterator[bytes],
    *,
    environment: Mapping[str, str] | None,
    timeout_s: float,
    most: int,
) -> tuple[int, bytes, str]:
    """(exit status, standard output, end of standard error) of a program that is sent `sent`.

    Raises Overlong, and ScanInterrupted when it cannot be started. What `sent` raises is raised here; the program ends in any case.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise ScanInterrupted(f"{command[0]} cannot be started: {error.strerror}") from error
    assert process.stdin and process.stdout and process.stderr
    try:
        async with asyncio.timeout(timeout_s):
            said, words = await _together(_send(process.stdin, sent), _read(process.stdout, most), _end_of(process.stderr))
            return await process.wait(), said, words
    except TimeoutError:
        raise Overlong(f"not finished after {timeout_s:.0f} s") from None
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill it with all that it started, if it still runs, and wait until it is gone."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    # asyncio calls a process ended when its pipes are, too: one that nobody reads from any more, or that a child of the program's
    # inherited, would be waited for without end.
    process._transport.close()  # type: ignore[attr-defined]
    await process.wait()


async def _together(send: Awaitable[None], read: Awaitable[bytes], words: Awaitable[str]) -> tuple[bytes, str]:
    """All three at once; the first to fail ends the others."""
    sending, reading, listening = asyncio.ensure_future(send), asyncio.ensure_future(read), asyncio.ensure_future(words)
    try:
        await asyncio.gather(sending, reading, listening)
    except BaseException:
        for task in (sending, reading, listening):
            task.cancel()
        await asyncio.gather(sending, reading, listening, return_exceptions=True)
        raise
    return reading.result(), listening.result()


async def _send(pipe: asyncio.StreamWriter, sent: AsyncIterator[bytes]) -> None:
    try:
        async for piece in sent:
            pipe.write(piece)
            await pipe.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it has read enough, or has died: its answer tells
    finally:
        pipe.close()


async def _read(pipe: asyncio.StreamReader, most: int) -> bytes:
    parts: list[bytes] = []
    count = 0
    while piece := await pipe.read(1 << 16):
        count += len(piece)
        if count > most:
            raise Overlong(f"an answer of more than {most} bytes")
        parts.append(piece)
    return b"".join(parts)


async def _end_of(pipe: asyncio.StreamReader) -> str:
    kept = b""
    while piece := await pipe.read(1 << 16):
        kept = (kept + piece)[-_LAST_WORDS:]
    return kept.decode(errors="replace").strip()


def ended_by(status: int) -> str:
    """How a program ended, for people."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"
