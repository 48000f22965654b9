"""A home, a data directory and a platform of its own for every test of the CLI."""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from longshore.cli.layout import Wishes
from longshore.cli.up import up
from longshore.config import DEFAULT_ACCOUNT_ID, DEFAULT_DOCKER_URL, DataDirectory
from longshore.environment import Environment, environment

TWIN = Path(__file__).with_name("supervisor_twin.py")


@dataclass
class Home:
    """A user's home directory with a data directory in it, and commands run there."""

    path: Path
    port: int
    variables: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def up(self, *mode: str, **wishes: object) -> str:
        """Starts the stand-in in the background; gives what `up` said."""
        out = io.StringIO()
        self.started.append(up(self.wishes(**wishes), self.environment, out, detach=True, command=self.twin(*mode)))
        return out.getvalue()

    @property
    def data(self) -> DataDirectory:
        return DataDirectory(self.path / "data")

    @property
    def environment(self) -> Environment:
        return environment(self.variables)

    def wishes(self, **changes: object) -> Wishes:
        wishes = Wishes(
            data_dir=self.data.root,
            host="127.0.0.1",
            port=self.port,
            account_id=DEFAULT_ACCOUNT_ID,
            region="us-east-1",
            zones="a,b",
            instances=0,
            instance_cpu_units=None,
            instance_memory_mib=None,
            dev=False,
            docker_url=DEFAULT_DOCKER_URL,
            log_level="info",
        )
        return replace(wishes, **changes)  # type: ignore[arg-type]

    def twin(self, *mode: str) -> list[str]:
        """The supervisor's stand-in as a command for `up`."""
        return [sys.executable, str(TWIN), *mode]

    def longshore(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        program = Path(sys.executable).with_name("longshore")
        return subprocess.run(
            [program, *arguments], env=self.variables, input=stdin or "", capture_output=True, text=True, check=False, timeout=30
        )


@pytest.fixture
def home(tmp_path: Path, free_port: Callable[..., int]) -> Iterator[Home]:
    haproxy = tmp_path / "bin" / "haproxy"
    haproxy.parent.mkdir()
    haproxy.write_text("#!/bin/sh\necho 'HAProxy version 2.6.12-1 2023/12/16 - https://haproxy.org/'\n")
    haproxy.chmod(0o755)
    variables = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "LONGSHORE_DATA_DIR": str(tmp_path / "data"),
        "LONGSHORE_HAPROXY": str(haproxy),
    }
    made = Home(tmp_path, free_port(), variables)
    # `up` takes over the signals of its process, which here is the test run's.
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)
    for process in made.started:
        process.terminate()
        process.wait(10)
