"""An agent behind a cable that can be pulled: it lives in a network namespace of its own and reaches the platform over a pair of
interfaces. Docker Engine it reaches over its socket, which is a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


class FarAgent:
    """`number` makes its network: 10.NUMBER.1.0/30 between host (.1) and agent (.2)."""

    def __init__(self, directory: Path, number: int) -> None:
        self._directory = directory
        self._number = number
        self._namespace = f"lsc{number}"
        self._outside, self._inside = f"lsc{number}o", f"lsc{number}i"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host_address(self) -> str:
        """Of the host, as the agent sees it: where the platform is to listen."""
        return f"10.{self._number}.1.1"

    def lay_cable(self) -> None:
        for command in (
            f"ip netns add {self._namespace}",
            f"ip link add {self._outside} type veth peer name {self._inside}",
            f"ip link set {self._inside} netns {self._namespace}",
            f"ip addr add {self.host_address}/30 dev {self._outside}",
            f"ip link set {self._outside} up",
            f"ip netns exec {self._namespace} ip addr add 10.{self._number}.1.2/30 dev {self._inside}",
            f"ip netns exec {self._namespace} ip link set {self._inside} up",
            f"ip netns exec {self._namespace} ip link set lo up",
        ):
            subprocess.run(command.split(), check=True, capture_output=True)

    def start(self, endpoint: str, environment: dict[str, str], *options: str) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        command = ["ip", "netns", "exec", self._namespace, str(BIN / "longshore"), "agent", "--endpoint", endpoint]
        with (self._directory / "agent.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--data-dir", str(self._directory / "data"), *options],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        return (self._directory / "agent.log").read_text(errors="replace")

    def kill(self) -> None:
        if self.is_running and self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def cut(self) -> None:
        subprocess.run(["ip", "link", "set", self._outside, "down"], check=True)

    def mend(self) -> None:
        subprocess.run(["ip", "link", "set", self._outside, "up"], check=True)

    def remove(self) -> None:
        self.kill()
        subprocess.run(["ip", "netns", "del", self._namespace], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", self._outside], capture_output=True, check=False)
