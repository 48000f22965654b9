"""Keeps the reader of the spool running, as long as this process does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

from longshore.balancer.render.places import Places
from longshore.kit.clock import Clock
from longshore.kit.logs import appended

log = logging.getLogger("longshore.balancer")

_AGAIN_S = 2.0
_END_S = 20.0
#: stopped for as long as this, it was not somebody who only looks at it
_LOOK_S = 10.0


class LogReader:
    """One reader; `run` until cancelled, `stop` to have it finish its files."""

    def __init__(self, places: Places, state: Path, buckets: Path, log_file: Path, clock: Clock) -> None:
        self._arguments = [places.spool, places.legends, str(state), str(buckets), str(log_file)]
        self._log_file = log_file
        self._clock = clock
        self._process: asyncio.subprocess.Process | None = None

    def __repr__(self) -> str:
        return f"LogReader({self._process!r})"

    async def run(self) -> None:
        while True:
            try:
                await self._once()
            except OSError as problem:
                log.error("access logs are not written: %s", problem)
            await self._clock.sleep(_AGAIN_S)

    async def _once(self) -> None:
        with appended(self._log_file) as errors:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "longshore.balancer.access_log.reader", *self._arguments),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        awake = asyncio.create_task(self._keep_awake(process.pid), name="log-reader-awake")
        try:
            status = await process.wait()
        finally:
            awake.cancel()
        log.error("the reader of access logs ended (%s); it is started again, and goes on where it was", status)

    async def _keep_awake(self, pid: int) -> None:
        """A reader that somebody stopped and forgot would let the spool fill up unnoticed."""
        stopped = False
        while True:
            await self._clock.sleep(_LOOK_S)
            before, stopped = stopped, is_stopped(pid)
            if before and stopped:
                log.error("the reader of access logs (%d) was stopped by a signal and is woken; lines waited in the spool", pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    async def stop(self) -> None:
        """It reads to the end and finishes its files, for as long as that may take."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
            process.send_signal(signal.SIGCONT)  # who is stopped hears nothing else
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            log.warning("the reader of access logs has much to do: the next one goes on with it")
            with contextlib.suppress(ProcessLookupError):
                process.kill()


def is_stopped(pid: int) -> bool:
    """By a signal; false where the system does not tell."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False
