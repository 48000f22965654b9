"""How long `longshore up` takes until it is healthy, beside moto_server to its first answer; and how much memory it holds.

Every round starts from nothing: a new data directory, one container instance. HAProxy and Docker Engine are not counted.
"""

from __future__ import annotations

import http.client
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.installation import LONGSHORE, free_port, memory_mb, scratch_environment, wait_until
from bench.moto import NAME as PEER
from bench.moto import moto
from bench.report import Figure, Target, p50
from longshore.config import DataDirectory

#: everything that is imported in the background after the start has been imported by then
IDLE_S = 4.0


def measure(rounds: int) -> Iterator[Figure]:
    healthy, ready, resident, shared, peer_started = [], [], [], [], []
    for number in range(max(rounds, 5)):
        with tempfile.TemporaryDirectory(prefix="longshore-bench-") as name:
            once = _start(Path(name), look_at_memory=number < 2)
            healthy.append(once["healthy"])
            ready.append(once["ready"])
            if "Rss" in once:
                resident.append(once["Rss"])
                shared.append(once["Pss"])
            with moto(Path(name) / "moto") as mock:
                peer_started.append(mock.started_s)
    yield Figure("longshore up to healthy", "s", p50(healthy), p50(peer_started), PEER, Target("<=", 1.5))
    yield Figure("longshore up to its ready line", "s", p50(ready), p50(peer_started), PEER)
    yield Figure("server + one agent, resident (RSS)", "MB", p50(resident), target=Target("<=", 120))
    yield Figure("the same, shared pages shared out (PSS)", "MB", p50(shared))


def _start(directory: Path, *, look_at_memory: bool) -> dict[str, float]:
    port = free_port()
    data = directory / "data"
    environment = scratch_environment(directory / "client")
    began = time.perf_counter()
    up = subprocess.Popen(
        [LONGSHORE, "up", "--detach", "--data-dir", data, "--port", str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_until("health", lambda: _healthy(port) or up.poll() not in (None, 0), timeout_s=30)
        seen = {"healthy": time.perf_counter() - began}
        said = up.communicate(timeout=60)[0]
        if up.returncode != 0:
            raise RuntimeError(f"longshore up: {said}")
        seen["ready"] = time.perf_counter() - began
        if look_at_memory:
            time.sleep(IDLE_S)
            state = DataDirectory(data).read_state()
            assert state is not None
            sizes = [memory_mb(part.pid) for part in state.parts if part.name in ("server", "agent-1")]
            seen |= {kind: sum(size[kind] for size in sizes) for kind in ("Rss", "Pss")}
        return seen
    finally:
        subprocess.run([LONGSHORE, "down", "--data-dir", data], env=environment, capture_output=True, check=False)


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/_longshore/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
