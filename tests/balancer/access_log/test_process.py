"""The reader of the spool as a process: one that somebody stopped does not let lines pile up unnoticed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from longshore.balancer.access_log.process import LogReader, is_stopped
from longshore.kit.clock import SteppedClock

PATIENCE_S = 20.0

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell that a process was stopped")


async def until(holds: Any) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def test_a_reader_that_was_stopped_is_woken_and_ends_when_it_is_told(tmp_path: Path) -> None:
    places: Any = SimpleNamespace(spool=str(tmp_path / "spool"), legends=str(tmp_path / "legends"))
    for name in ("spool", "legends"):
        (tmp_path / name).touch()
    clock = SteppedClock()
    reader = LogReader(places, tmp_path / "state", tmp_path / "buckets", tmp_path / "access-logs.log", clock)
    runs = asyncio.create_task(reader.run())
    await until(lambda: reader._process is not None and (tmp_path / "state" / "lock").exists())
    pid = reader._process.pid  # type: ignore[union-attr]
    assert not is_stopped(pid)
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: is_stopped(pid))
    await clock.step(10.0)
    assert is_stopped(pid), "once is somebody who looks at it"
    await clock.step(10.0)
    await until(lambda: not is_stopped(pid))
    os.kill(pid, signal.SIGSTOP)
    await until(lambda: is_stopped(pid))
    runs.cancel()
    await asyncio.gather(runs, return_exceptions=True)
    await reader.stop()
    assert reader._process.returncode is not None  # type: ignore[union-attr]
