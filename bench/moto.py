"""The peer of the API benchmarks: moto_server, a mock of AWS, in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bench.installation import free_port, scratch_environment

NAME = f"moto_server {version('moto')}"


@dataclass(frozen=True, slots=True)
class Moto:
    endpoint: str
    pid: int
    #: seconds from its start to its first answer
    started_s: float


@contextlib.contextmanager
def moto(directory: Path) -> Iterator[Moto]:
    port = free_port()
    command = [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "moto.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, env=scratch_environment(directory / "client"))
    try:
        while not _answers(port):
            if process.poll() is not None:
                raise RuntimeError(f"moto_server ended with {process.returncode}; see {directory / 'moto.log'}")
            time.sleep(0.005)
        yield Moto(f"http://127.0.0.1:{port}", process.pid, time.perf_counter() - began)
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/moto-api/data.json")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
