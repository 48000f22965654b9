"""Starting and stopping, with a stand-in for the supervisor."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from longshore.cli import presence
from longshore.cli.outcome import ExitCode, Failure
from longshore.config import read_platform
from tests.cli.conftest import Home


def test_up_says_what_starts_and_where_everything_answers(home: Home) -> None:
    said = home.up()
    assert "starting server\nserver ready" in said
    assert f"endpoint        http://127.0.0.1:{home.port}" in said
    assert f"registry        127.0.0.1:{home.port}" in said
    assert "load balancers  127.0.2.N" in said
    assert "an ordinary log line" not in said


def test_down_stops_it_and_a_second_down_says_that_nothing_runs(home: Home) -> None:
    home.up()
    assert home.longshore("down").returncode == ExitCode.OK
    again = home.longshore("down")
    assert again.returncode == ExitCode.NOT_RUNNING
    assert "no platform is running" in again.stderr


def test_a_second_up_is_refused_while_the_first_runs(home: Home) -> None:
    home.up()
    with pytest.raises(Failure, match="already running") as refused:
        home.up()
    assert refused.value.code == ExitCode.ALREADY_RUNNING


def test_a_supervisor_killed_outright_leaves_nothing_in_the_way_of_the_next_start(home: Home) -> None:
    home.up()
    pid = presence.supervisor_pid(home.data)
    assert pid
    os.kill(pid, signal.SIGKILL)
    home.started[0].wait(10)
    assert presence.supervisor_pid(home.data) is None
    assert home.longshore("status").returncode == ExitCode.NOT_RUNNING
    assert "is ready" in home.up()


def test_a_part_that_does_not_start_is_named_with_cause_and_fix(home: Home) -> None:
    with pytest.raises(Failure, match="server did not start: the disk is full") as failed:
        home.up("--fail")
    assert failed.value.fix == "free some space"
    assert presence.supervisor_pid(home.data) is None


def test_a_supervisor_that_dies_is_quoted(home: Home) -> None:
    with pytest.raises(Failure, match=r"ended with 7 while starting:(.|\n)*something unforeseen"):
        home.up("--die")


def test_a_busy_port_is_told_before_anything_starts(home: Home) -> None:
    with socket.create_server(("127.0.0.1", home.port)), pytest.raises(Failure, match="in use by another program"):
        home.up()
    assert not home.data.platform_file.exists()


def test_a_missing_haproxy_and_a_missing_engine_are_missing_parts(home: Home) -> None:
    with pytest.raises(Failure, match="Docker Engine") as refused:
        home.up(instances=1, docker_url=f"unix://{home.path}/nothing.sock")
    assert refused.value.code == ExitCode.MISSING_PART
    home.variables["LONGSHORE_HAPROXY"] = "haproxy-that-is-not-there"
    with pytest.raises(Failure, match="HAProxy") as refused:
        home.up()
    assert refused.value.code == ExitCode.MISSING_PART


def test_a_directory_with_someone_elses_files_is_refused(home: Home) -> None:
    home.data.root.mkdir()
    (home.data.root / "thesis.tex").write_text("years of work")
    with pytest.raises(Failure, match="not a data directory"):
        home.up()


def test_the_root_key_is_made_once_and_kept_from_others(home: Home) -> None:
    home.up()
    first = home.data.credentials()
    for file in (home.data.credentials_file, home.data.platform_file, home.data.state_file):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    home.longshore("down")
    home.up()
    platform = read_platform(home.data.platform_file)
    assert platform.server is not None
    assert platform.server.credentials == first
    assert len(first.access_key_id) == 20 and len(first.secret_access_key) == 40


def test_the_supervisor_inherits_the_lock_and_nothing_else(home: Home) -> None:
    with (home.path / "open-elsewhere").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        home.up()
        pid = presence.supervisor_pid(home.data)
        opened = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()}
    assert str(home.data.root / "run" / "lock") in opened
    assert str(home.path / "open-elsewhere") not in opened
    assert os.getsid(pid or 0) == pid


def test_ctrl_c_in_the_foreground_is_one_orderly_stop(home: Home) -> None:
    driver = (
        "import sys; from tests.cli.conftest import *; from longshore.cli.up import up;"
        # whoever started the tests in the background may have had it ignored, and that is handed on
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        f"home = Home(Path({str(home.path)!r}), {home.port}, {home.variables!r});"
        "up(home.wishes(), home.environment, sys.stdout, detach=False, command=home.twin())"
    )
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen([sys.executable, "-c", driver], cwd=root, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "Ctrl-C" in line:
            break
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait(10) == 0
    assert "stopping" in rest and "stopped" in rest
    assert presence.supervisor_pid(home.data) is None


def test_a_command_given_while_it_starts_says_so(home: Home) -> None:
    home.data.prepare()
    lock = presence.take_lock(home.data)
    assert lock is not None
    presence.note_supervisor(lock, 4711)
    with pytest.raises(Failure, match="still starting"):
        presence.running_state(home.data)
    assert presence.take_lock(home.data) is None
    os.close(lock)
    assert presence.supervisor_pid(home.data) is None
