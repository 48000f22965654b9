"""A Docker Engine of a test's own, to be killed and started again: no container, image or network of the machine's own is near it.

It has a bridge of its own and writes no packet filter rules: ports are published by its user-land proxy, which is all that
clients on the same machine need. As where systemd runs the two, containerd is a process beside it and outlives it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path
from typing import Any

from tests import engines

PATIENCE_S = 60.0


class PrivateEngine:
    """`number` makes its network: 10.NUMBER.0.0/16, on a bridge named after it."""

    def __init__(self, directory: Path, number: int) -> None:
        self._directory = directory
        # sockets have short names, and containerd puts its own far below; and the engine mounts its data over themselves
        self._run = Path(tempfile.mkdtemp(prefix="lsc"))
        self._bridge = f"lsc{number}"
        self._network = f"10.{number}.0.1/16"
        self._process: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @property
    def url(self) -> str:
        return f"unix://{self._run}/docker.sock"

    def start(self) -> None:
        if subprocess.run(["ip", "link", "show", self._bridge], capture_output=True, check=False).returncode != 0:
            subprocess.run(["ip", "link", "add", self._bridge, "type", "bridge"], check=True)
            subprocess.run(["ip", "addr", "add", self._network, "dev", self._bridge], check=True)
            subprocess.run(["ip", "link", "set", self._bridge, "up"], check=True)
        (self._directory / "docker.pid").unlink(missing_ok=True)
        if self._containerd is None:
            self._containerd = self._spawn(self._containerd_command(), "containerd.log")
        command = [
            "dockerd",
            *("--host", self.url, "--pidfile", str(self._directory / "docker.pid")),
            *("--data-root", str(self._run / "data"), "--exec-root", str(self._run / "exec")),
            *("--bridge", self._bridge, "--iptables=false", "--ip-masq=false", "--log-level", "error"),
            *("--containerd", self._containerd_socket),
        ]
        self._process = self._spawn(command, "dockerd.log")
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, self.log[-2000:]
            time.sleep(0.05)

    @property
    def _containerd_socket(self) -> str:
        return f"{self._run}/containerd.sock"

    def _containerd_command(self) -> list[str]:
        settings = self._run / "containerd.toml"
        settings.write_text('version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n')
        places = ("--root", str(self._run / "data" / "containerd"), "--state", str(self._run / "exec" / "containerd"))
        return ["containerd", "--config", str(settings), "--address", self._containerd_socket, *places, "--log-level", "error"]

    def _spawn(self, command: list[str], log_name: str) -> subprocess.Popen[bytes]:
        with (self._directory / log_name).open("ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def _answers(self) -> bool:
        try:
            engines.require("docker", self.url)
        except engines.EngineMissing:
            return False
        return True

    @property
    def log(self) -> str:
        return (self._directory / "dockerd.log").read_text(errors="replace")

    def restart(self, *, kill: bool) -> None:
        """Its containers end with it, as without `live-restore` they do when it stops in good order."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        self._process.wait(PATIENCE_S)
        self.start()

    def containers(self, *, running: bool = True) -> list[dict[str, Any]]:
        """As `GET /containers/json` tells them: those of our tasks only."""
        filters = urllib.parse.quote(json.dumps({"label": ["longshore.instance"]}))
        status, body = engines.docker_request("GET", f"/containers/json?all={int(not running)}&filters={filters}", docker_url=self.url)
        assert status == 200, body
        found: list[dict[str, Any]] = json.loads(body)
        return found

    def kill(self, container_id: str) -> None:
        engines.docker_request("POST", f"/containers/{container_id}/kill", docker_url=self.url)

    def remove(self) -> None:
        """The engine, all it ran and all it kept."""
        if self._process is not None and self._process.poll() is None:
            for container in self.containers(running=False):
                engines.docker_request("DELETE", f"/containers/{container['Id']}?force=1&v=1", docker_url=self.url)
            self._process.terminate()
            try:
                self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait(PATIENCE_S)
        subprocess.run(["ip", "link", "del", self._bridge], capture_output=True, check=False)
        # what minds containers outlives an engine that was killed
        subprocess.run(["pkill", "-KILL", "-f", str(self._run)], capture_output=True, check=False)
        for process in (self._process, self._containerd):
            if process is not None:
                process.wait(PATIENCE_S)
        self._unmount()
        shutil.rmtree(self._run, ignore_errors=True)

    def _unmount(self) -> None:
        """What an engine that was killed left mounted, the innermost first."""
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for path in reversed([path for path in mounted if path.startswith(f"{self._run}/")]):
            subprocess.run(["umount", "--lazy", path], capture_output=True, check=False)
