"""The server role as a process of its own, to be killed, stopped and started again on one data directory."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from longshore.aws.sigv4 import sign
from longshore.config import Credentials, PlatformConfig, ServerConfig, write_platform

ROOT = Path(__file__).resolve().parents[2]
KEY, SECRET, REGION, ACCOUNT = "AKIACHAOSCHAOSCHAOS0", "chaossecret", "us-east-1", "000000000000"
#: a program that is nowhere: these tests are about the server
NO_HAPROXY = "no-haproxy-for-this-test"
PATIENCE_S = 30.0
TARGETS = {"ecs": ("AmazonEC2ContainerServiceV20141113", "1.1"), "ecr": ("AmazonEC2ContainerRegistry_V20150921", "1.1")}


class Refused(Exception):
    """The server answered, and not with what was asked for."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:500]}")
        self.status = status
        self.body = body


@dataclass
class Said:
    """The first line a server writes on its standard output."""

    event: str
    facts: dict[str, Any]


class ServerProcess:
    def __init__(self, directory: Path, port: int, **settings: Any) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.data_dir: Path = settings.pop("data_dir", directory / "data")
        self.port = port
        self.log_file = directory / "server.log"
        self._config_file = directory / "platform.json"
        server = ServerConfig(
            data_dir=self.data_dir, credentials=Credentials(KEY, SECRET), port=port, **{"haproxy": NO_HAPROXY, **settings}
        )
        write_platform(self._config_file, PlatformConfig(server=server))
        self.process: asyncio.subprocess.Process | None = None
        #: from the start of the process to its ready line
        self.started_in_s = 0.0
        self._registry_login = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    # ── the process ──

    async def spawn(self) -> asyncio.subprocess.Process:
        with self.log_file.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "longshore.main",
                "server",
                "--config",
                str(self._config_file),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={"PYTHONPATH": str(ROOT / "src"), "PATH": os.environ.get("PATH", ""), "HOME": str(self.data_dir.parent)},
            )
        return self.process

    async def start(self) -> dict[str, Any]:
        """Facts of the ready line; fails when the server says anything else."""
        began = time.monotonic()
        said = await self.try_to_start()
        assert said.event == "ready", f"{said}\n{self.log[-2000:]}"
        self.started_in_s = time.monotonic() - began
        self._registry_login = ""
        return said.facts

    async def try_to_start(self) -> Said:
        process = await self.spawn()
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        assert line, f"it ended without a word\n{self.log[-2000:]}"
        facts = json.loads(line)
        return Said(facts.pop("event"), facts)

    async def ended(self) -> int:
        """The exit code."""
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), PATIENCE_S)

    async def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    def terminate(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)

    async def stop(self) -> int:
        """Gracefully when it runs; nothing when it has ended."""
        if self.process is None:
            return 0
        if self.process.returncode is None:
            self.terminate()
        try:
            return await self.ended()
        except TimeoutError:
            await self.kill()
            raise

    # ── its clients ──

    async def call(self, http: aiohttp.ClientSession, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """The response of an acknowledged call. Raises Refused, or aiohttp.ClientError when the server went away."""
        body = json.dumps(request).encode()
        prefix, version = TARGETS[service]
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            "X-Amz-Target": f"{prefix}.{operation}",
            "Content-Type": f"application/x-amz-json-{version}",
        }
        added = sign(
            "POST",
            "/",
            "",
            headers.items(),
            body,
            access_key_id=KEY,
            secret_access_key=SECRET,
            region=REGION,
            service=service,
            now=time.time(),
        )
        async with http.post(f"{self.url}/", data=body, headers={**headers, **added}) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise Refused(answer.status, text)
            return dict(json.loads(text))

    async def log_in(self, http: aiohttp.ClientSession) -> None:
        tokens = await self.call(http, "ecr", "GetAuthorizationToken", {})
        self._registry_login = f"Basic {tokens['authorizationData'][0]['authorizationToken']}"
        assert base64.b64decode(self._registry_login[6:]).startswith(b"AWS:")

    async def registry(
        self, http: aiohttp.ClientSession, method: str, path: str, body: Any = None, expect: int = 200, content_type: str = ""
    ) -> tuple[dict[str, str], bytes]:
        """Headers and body of an answer with status `expect`; `path` follows /v2/ or is a Location. Raises like `call`."""
        if not self._registry_login:
            await self.log_in(http)
        headers = {"Authorization": self._registry_login, **({"Content-Type": content_type} if content_type else {})}
        url = path if path.startswith("http") else f"{self.url}{path}" if path.startswith("/") else f"{self.url}/v2/{path}"
        async with http.request(method, url, data=body, headers=headers) as answer:
            content = await answer.read()
            if answer.status != expect:
                raise Refused(answer.status, content.decode(errors="replace"))
            return dict(answer.headers), content
