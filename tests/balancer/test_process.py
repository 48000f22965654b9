"""HAProxy as a process: told apart from one that has ended, found again, and started even where nothing can be written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from longshore.balancer.process import HAProxy, _spool
from longshore.balancer.render.places import Places
from longshore.kit.clock import SystemClock

#: has a child, says which, and never asks how it ended
_CARELESS = "import os, time; pid = os.fork(); pid or time.sleep(60); print(pid, flush=True); time.sleep(60)"


@pytest.fixture
def child_of_another() -> Iterator[int]:
    parent = subprocess.Popen([sys.executable, "-c", _CARELESS], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    yield pid
    os.kill(pid, signal.SIGKILL)
    parent.kill()
    parent.communicate()


def haproxy_in(directory: Path) -> HAProxy:
    return HAProxy("haproxy", Places(str(directory)), directory / "log", SystemClock())


async def test_one_that_ended_is_gone_even_where_its_parent_takes_no_note_of_it(tmp_path: Path, child_of_another: int) -> None:
    """As after a kill of the server, in a container whose first process is none that does."""
    haproxy = haproxy_in(tmp_path)
    haproxy.pid = child_of_another
    assert haproxy.is_alive()
    os.kill(child_of_another, signal.SIGKILL)
    await haproxy.ended()
    assert not haproxy.is_alive()


def test_a_process_id_that_cannot_be_written_down_is_no_reason_not_to_serve(tmp_path: Path) -> None:
    haproxy = haproxy_in(tmp_path)
    (tmp_path / "haproxy.pid").write_text("7\n")
    (tmp_path / ".haproxy.pid.beside").mkdir()
    haproxy.pid = 8
    haproxy._remember_pid()
    assert (tmp_path / "haproxy.pid").read_text() == "7\n", "never half of one"
    (tmp_path / ".haproxy.pid.beside").rmdir()
    haproxy._remember_pid()
    assert (tmp_path / "haproxy.pid").read_text() == "8\n"


def test_where_there_is_no_room_for_lines_requests_are_served_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "full").write_bytes(b"")
    descriptor = _spool(tmp_path / "full" / "lines")
    assert os.write(descriptor, b"@R") == 2
    os.close(descriptor)
