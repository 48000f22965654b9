"""A platform full of secrets: none of them lies in a file, a log, an answer, or what processes are started with."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from longshore.config import DataDirectory
from tests.planted import Planter, found_in, search

MASTER = b64encode(b"recognisable master key of 32 b!").decode()
#: what commands on this machine sign with: the operator's own
ALLOWED = {"credentials.json": {"the root's secret key"}}


class House:
    def __init__(self, home: Path, port: int) -> None:
        self.data = DataDirectory(home / "data")
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LONGSHORE_DATA_DIR": str(self.data.root),
            "LONGSHORE_MASTER_KEY": MASTER,
            "LONGSHORE_PORT": str(port),
        }
        self.said = b""

    def run(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", "from longshore.cli.app import main; main()", *arguments],
            env=self._environment,
            capture_output=True,
            check=False,
            timeout=120,
        )
        self.said += done.stdout + done.stderr
        assert done.returncode == 0, (done.stdout + done.stderr).decode()

    def processes(self) -> dict[int, bytes]:
        """Process id -> arguments and environment of all that run from the data directory, or are children of those."""
        state = json.loads(self.data.state_file.read_bytes())
        wanted = {state["pid"], *(part["pid"] for part in state["parts"])}
        for _ in range(3):
            for place in Path("/proc").iterdir():
                if place.name.isdigit():
                    try:
                        parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                    except OSError:
                        continue
                    if parent in wanted:
                        wanted.add(int(place.name))
        return {pid: b"".join(Path(f"/proc/{pid}/{what}").read_bytes() for what in ("cmdline", "environ")) for pid in wanted}

    def kill_server(self) -> None:
        state = json.loads(self.data.state_file.read_bytes())
        (server,) = [part["pid"] for part in state["parts"] if part["name"] == "server"]
        os.kill(server, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            parts = json.loads(self.data.state_file.read_bytes())["parts"]
            if any(part["name"] == "server" and part["pid"] != server for part in parts) and self.is_up():
                return
            time.sleep(0.1)
        raise AssertionError("the server did not come back")

    def is_up(self) -> bool:
        try:
            self.run("keys", "status")
        except AssertionError:
            return False
        return True


@pytest.fixture
def house(tmp_path: Path, free_port: Callable[..., int]) -> Iterator[House]:
    there = House(tmp_path, free_port())
    there.run("up", "--detach", "--instances", "0", "--tls")
    try:
        yield there
    finally:
        if there.data.state_file.exists():
            there.run("down")


@pytest.mark.engine("haproxy")
def test_no_secret_lies_anywhere(house: House) -> None:
    state = json.loads(house.data.state_file.read_bytes())
    planter = Planter(state["endpoint"], house.data.credentials(), house.data.ca_file)
    planter.plant()
    planter.planted["the master key"] = MASTER
    house.run("status")
    house.run("keys", "status")
    house.run("keys", "rotate")
    house.kill_server()
    house.run("keys", "rotate", "--at-once")
    planter.describe()

    assert search(house.data.root, planter.planted) == ALLOWED
    assert found_in("".join(planter.answers).encode() + house.said, planter.planted) == set()
    running = house.processes()
    assert len(running) >= 4  # supervisor, server, HAProxy's master and its worker
    assert {pid: found for pid, shown in running.items() if (found := found_in(shown, planter.planted))} == {}
    assert not any(b"LONGSHORE_MASTER_KEY" in shown for shown in running.values())
    for path in (house.data.root, *house.data.root.rglob("*")):
        if not path.is_symlink() and not stat.S_ISSOCK(path.stat().st_mode):
            assert path.parent != house.data.root or not path.stat().st_mode & 0o077, path

    house.run("down")
    assert search(house.data.root, planter.planted) == ALLOWED
    assert b"PRIVATE KEY-----" in (house.data.tls / "server.pem").read_bytes()
    plain = [path for path in house.data.root.rglob("*") if path.is_file() and b"BEGIN PRIVATE KEY" in path.read_bytes()]
    assert plain == []
    assert not list(house.data.root.rglob("certs/*"))
