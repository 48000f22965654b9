"""Scratch platforms for benchmarks, and a small client that signs: each platform has a data directory and a port of its own.

`detached` is what a user starts (`longshore up`); `simulated` is the same server with agents whose containers exist only in
memory and whose capacity does not end, for what an API can do without Docker Engine in the way; `server_alone` is the server
and nothing else, for the registry.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from longshore.aws.sigv4 import sign
from longshore.config import AgentConfig, Credentials, DataDirectory, PlatformConfig, ServerConfig, write_platform

T = TypeVar("T")
REGION = "us-east-1"
ECS_TARGET = "AmazonEC2ContainerServiceV20141113"
ECR_TARGET = "AmazonEC2ContainerRegistry_V20150921"
LONGSHORE = Path(sys.executable).with_name("longshore")


@dataclass(frozen=True, slots=True)
class Running:
    endpoint: str
    credentials: Credentials
    data: DataDirectory

    @property
    def registry(self) -> str:
        return self.endpoint.partition("://")[2]

    def pid(self, part: str) -> int:
        state = self.data.read_state()
        assert state is not None
        return next(found.pid for found in state.parts if found.name == part)

    def client(self) -> Client:
        return Client(self.endpoint, self.credentials)


class Refused(Exception):
    """An API call was answered with an error."""


class Client:
    """ECS and ECR over one kept connection, a signature per call: cheap enough to ask every few milliseconds."""

    def __init__(self, endpoint: str, credentials: Credentials) -> None:
        self._host = endpoint.partition("://")[2]
        self._credentials = credentials
        self._connection = http.client.HTTPConnection(self._host, timeout=60)
        self._connection.connect()
        self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ecs(self, operation: str, **request: Any) -> dict[str, Any]:
        """Raises Refused."""
        return self._call("ecs", f"{ECS_TARGET}.{operation}", request)

    def ecr(self, operation: str, **request: Any) -> dict[str, Any]:
        """Raises Refused."""
        return self._call("ecr", f"{ECR_TARGET}.{operation}", request)

    def _call(self, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        body = json.dumps(request).encode()
        headers = {"Host": self._host, "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": operation}
        headers |= signature(headers, body, self._credentials, service)
        self._connection.request("POST", "/", body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise Refused(f"{operation}: {answer.status} {content.decode(errors='replace')}")
        found: dict[str, Any] = json.loads(content)
        return found

    def query(self, service: str, version: str, operation: str, fields: dict[str, str]) -> ElementTree.Element:
        """A service that speaks the query protocol. Raises Refused."""
        body = urlencode({"Action": operation, "Version": version, **fields}).encode()
        headers = {"Host": self._host, "Content-Type": "application/x-www-form-urlencoded"}
        headers |= signature(headers, body, self._credentials, service)
        self._connection.request("POST", "/", body, headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise Refused(f"{operation}: {answer.status} {content.decode(errors='replace')}")
        return ElementTree.fromstring(content)

    def close(self) -> None:
        self._connection.close()


def signature(headers: dict[str, str], body: bytes, credentials: Credentials, service: str) -> dict[str, str]:
    """The headers that sign a POST to `/`."""
    return dict(
        sign(
            "POST",
            "/",
            "",
            headers.items(),
            body,
            access_key_id=credentials.access_key_id,
            secret_access_key=credentials.secret_access_key,
            region=REGION,
            service=service,
            now=time.time(),
        )
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def scratch_environment(directory: Path) -> dict[str, str]:
    """Nothing of the user's own AWS and Docker settings is read or changed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LONGSHORE_"))}
    directory.mkdir(parents=True, exist_ok=True)
    return {
        **kept,
        "AWS_CONFIG_FILE": str(directory / "aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(directory / "aws-credentials"),
        "DOCKER_CONFIG": str(directory / "docker"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextlib.contextmanager
def detached(directory: Path, *options: str) -> Iterator[Running]:
    """`longshore up --detach` with Docker Engine behind it; stopped on leaving, its tasks too."""
    port = free_port()
    environment = scratch_environment(directory / "client")
    data = DataDirectory(directory / "data")
    start = [LONGSHORE, "up", "--detach", "--data-dir", data.root, "--port", str(port), *options]
    started = subprocess.run(start, env=environment, capture_output=True, text=True, check=False)
    if started.returncode != 0:
        raise RuntimeError(f"longshore up: {started.stdout}{started.stderr}")
    try:
        running = Running(f"http://127.0.0.1:{port}", data.credentials(), data)
        wait_for_instances(running, 1)
        yield running
    except BaseException:
        print_logs(data)
        raise
    finally:
        instance_ids = [path.read_text() for path in data.root.glob("agents/*/instance-id")]
        subprocess.run([LONGSHORE, "down", "--data-dir", data.root], env=environment, capture_output=True, check=False)
        remove_containers(instance_ids)


def remove_containers(instance_ids: list[str]) -> None:
    """What is left of the tasks of these container instances; nothing else is touched."""
    for instance_id in instance_ids:
        command = ["docker", "ps", "--all", "--quiet", "--filter", f"label=longshore.instance={instance_id}"]
        left = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        if left:
            subprocess.run(["docker", "rm", "--force", *left], capture_output=True, check=True)


@contextlib.contextmanager
def simulated(directory: Path, instances: int) -> Iterator[Running]:
    """The server with a durable store, and `instances` agents on the runtime that exists in memory only."""
    data = DataDirectory(directory / "data")
    data.prepare()
    server = ServerConfig(data_dir=data.root, credentials=data.credentials(), port=free_port(), log_level="warning")
    agents = tuple(_simulated_agent(number, server, data) for number in range(1, instances + 1))
    write_platform(data.platform_file, PlatformConfig(server=server, agents=agents))
    command = [sys.executable, "-m", "longshore.main", "supervisor", "--config", data.platform_file]
    with (directory / "supervisor.log").open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            if said["event"] == "failed":
                raise RuntimeError(f"{said['part']}: {said.get('cause')} (logs in {data.logs})")
            if said["event"] == "ready" and said["part"] == "platform":
                break
        else:
            raise RuntimeError(f"the platform did not start (logs in {data.logs})")
        running = Running(server.endpoint, server.credentials, data)
        wait_for_instances(running, instances)
        yield running
    except BaseException:
        print_logs(data)
        raise
    finally:
        process.terminate()
        process.wait(60)


@contextlib.contextmanager
def server_alone(directory: Path, **settings: Any) -> Iterator[tuple[Running, int]]:
    """The server with a durable store, no agents and no supervisor, and its process id. `settings` are members of ServerConfig."""
    data = DataDirectory(directory / "data")
    data.prepare()
    server = ServerConfig(data_dir=data.root, credentials=data.credentials(), port=free_port(), log_level="warning", **settings)
    write_platform(data.platform_file, PlatformConfig(server=server))
    command = [sys.executable, "-m", "longshore.main", "server", "--config", data.platform_file]
    with (directory / "server.log").open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline() or '{"event": "failed"}')
        if said["event"] != "ready":
            raise RuntimeError(f"the server did not start: {said.get('cause') or (directory / 'server.log').read_text()[-2000:]}")
        yield Running(server.endpoint, server.credentials, data), process.pid
    finally:
        process.terminate()
        process.wait(60)


def _simulated_agent(number: int, server: ServerConfig, data: DataDirectory) -> AgentConfig:
    name = f"agent-{number}"
    return AgentConfig(
        name=name,
        data_dir=data.agent(name),
        endpoint=server.endpoint,
        credentials=server.credentials,
        instance_id=data.instance_id(name),
        address=f"127.0.1.{number}",
        zone=server.zones[(number - 1) % len(server.zones)],
        cpu_units=4_000_000,
        memory_mib=4_000_000,
        docker_url="fake:",
        log_level="warning",
    )


def wait_until(what: str, seen: Callable[[], T | None], *, timeout_s: float = 60.0, every_s: float = 0.005) -> T:
    """Asks again and again until something is seen; raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = seen()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(every_s)


def wait_for_instances(platform: Running, count: int) -> None:
    """Until `count` container instances have joined the default cluster."""
    client = platform.client()

    def joined() -> bool:
        clusters = client.ecs("DescribeClusters", clusters=["default"])["clusters"]
        return not count or (bool(clusters) and clusters[0]["registeredContainerInstancesCount"] >= count)

    wait_until("container instances to join", joined, every_s=0.02)
    client.close()


def print_logs(data: DataDirectory) -> None:
    """The ends of all logs: the directory is gone when somebody wants to look."""
    for path in sorted(data.logs.glob("*.log")):
        for line in path.read_text(errors="replace").splitlines()[-10:]:
            print(f"{path.stem}: {line}", file=sys.stderr)


def memory_mb(pid: int) -> dict[str, float]:
    """Rss and Pss of a process, in MB of a million bytes."""
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in ("Rss", "Pss"):
            sizes[name] = int(rest.split()[0]) * 1024 / 1e6
    return sizes
