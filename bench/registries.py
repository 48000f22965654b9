"""Registries side by side: Longshore's server and its peers, each in a scratch directory on a free port, and a way to push to them.

docker-registry 2.8.2 is Debian's. zot and distribution v3 take part when the variables ZOT and DISTRIBUTION name their
programs. The peers check no credentials; Longshore checks them with each request.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.installation import free_port, server_alone, wait_until

REPOSITORY = "bench/image"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_PEERS = {"docker-registry": "", "zot": "ZOT", "distribution": "DISTRIBUTION"}


@dataclass(frozen=True, slots=True)
class Side:
    name: str
    port: int
    pid: int
    #: value of the Authorization header, or ""
    authorization: str = ""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        credentials = {"Authorization": self.authorization} if self.authorization else {}
        connection.request(method, path, body, {"Content-Length": str(len(body)), **credentials, **(headers or {})})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, content

    def push(self, repository: str, tag: str, layers: Sequence[bytes]) -> list[str]:
        """An image of these layers; the paths of everything in it: manifest, config and layers."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
        blobs = [config, *layers]
        descriptors = [
            {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": self._push_blob(repository, blob), "size": len(blob)}
            for blob in blobs
        ]
        descriptors[0]["mediaType"] = "application/vnd.oci.image.config.v1+json"
        document = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": descriptors[0], "layers": descriptors[1:]}
        path = f"/v2/{repository}/manifests/{tag}"
        status, _, content = self.ask("PUT", path, json.dumps(document).encode(), {"Content-Type": MANIFEST_TYPE})
        if status != 201:
            raise RuntimeError(f"{self.name}: the manifest was refused: {status} {content[:300]!r}")
        return [path, *(f"/v2/{repository}/blobs/{each['digest']}" for each in descriptors)]

    def _push_blob(self, repository: str, blob: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(blob).hexdigest()}"
        status, headers, content = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        if status == 202:
            location = headers["location"][headers["location"].index("/v2/") :]
            path = f"{location}{'&' if '?' in location else '?'}digest={digest}"
            status, _, content = self.ask("PUT", path, blob, {"Content-Type": "application/octet-stream"})
        if status != 201:
            raise RuntimeError(f"{self.name}: a blob was refused: {status} {content[:300]!r}")
        return digest


@contextlib.contextmanager
def longshore(directory: Path, repositories: Sequence[str] = (REPOSITORY,)) -> Iterator[Side]:
    directory.mkdir(exist_ok=True)
    with server_alone(directory) as (running, pid):
        client = running.client()
        for repository in repositories:
            client.ecr("CreateRepository", repositoryName=repository)
        token = client.ecr("GetAuthorizationToken")["authorizationData"][0]["authorizationToken"]
        client.close()
        yield Side("longshore", int(running.registry.rpartition(":")[2]), pid, f"Basic {token}")


@contextlib.contextmanager
def peers(directory: Path) -> Iterator[list[Side]]:
    """Those whose programs are here; docker-registry must be."""
    with contextlib.ExitStack() as started:
        found = []
        for name, variable in _PEERS.items():
            program = os.environ.get(variable, "") if variable else shutil.which(name)
            if program:
                found.append(started.enter_context(_peer(name, program, directory / name)))
            elif not variable:
                raise RuntimeError("docker-registry is not here: apt-get install docker-registry")
        yield found


@contextlib.contextmanager
def _peer(name: str, program: str, directory: Path) -> Iterator[Side]:
    directory.mkdir()
    port = free_port()
    config = directory / "config.yml"
    if name == "zot":
        settings = {
            "storage": {"rootDirectory": str(directory / "data")},
            "http": {"address": "127.0.0.1", "port": str(port)},
            "log": {"level": "error"},
        }
    else:
        settings = {
            "version": "0.1",
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
            "http": {"addr": f"127.0.0.1:{port}"},
        }
    config.write_text(json.dumps(settings))  # JSON is YAML
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen([program, "serve", config], stdout=log, stderr=log)
    try:
        wait_until(f"{name} to answer", lambda: process.poll() is None and _answers(port), every_s=0.05)
        yield Side(name, port, process.pid)
    finally:
        process.terminate()
        process.wait(30)


def _answers(port: int) -> bool:
    try:
        return Side("", port, 0).ask("GET", "/v2/")[0] == 200
    except OSError:
        return False


def most_memory_mb(pid: int) -> float:
    """The most that the process has had resident since it began, in MB of a million bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} is gone")
