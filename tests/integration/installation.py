"""A whole platform for clients to meet, started as a user starts it: a home, a data directory and ports of its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

BIN = Path(sys.executable).parent
#: of the machine's own environment nothing that names a platform, a key or what to trust comes along
_KEPT = ("LANG", "TMPDIR", "XDG_RUNTIME_DIR", "DOCKER_HOST")


@dataclass
class Installation:
    home: Path
    port: int
    host: str = "127.0.0.1"
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        path = f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.environment = {**kept, "HOME": str(self.home), "PATH": path, "LONGSHORE_DATA_DIR": str(self.data)} | self.environment

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def ca(self) -> Path:
        return self.data / "tls" / "ca.pem"

    @property
    def registry(self) -> str:
        return f"{self.host}:{self.port}"

    def up(self, *options: str, instances: int = 0) -> str:
        address = ("--host", self.host, "--port", str(self.port))
        return self.longshore("up", "--detach", "--instances", str(instances), *address, *options)

    def down(self) -> None:
        self.longshore("down")

    def longshore(self, *arguments: str, given: str = "", fails: bool = False) -> str:
        return self.run(str(BIN / "longshore"), *arguments, given=given, fails=fails)

    def run(self, *command: str, given: str = "", fails: bool = False, **variables: str) -> str:
        """What it said; it must end well, or badly with `fails`."""
        done = subprocess.run(
            command, env=self.environment | variables, input=given, capture_output=True, text=True, check=False, timeout=90, cwd=self.home
        )
        assert (done.returncode != 0) is fails, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + (done.stderr if fails else "")

    async def running(self, *command: str, **variables: str) -> str:
        """The same, beside others."""
        return await asyncio.to_thread(self.run, *command, **variables)

    def variables(self) -> dict[str, str]:
        """What `longshore env` tells a shell."""
        told: dict[str, str] = json.loads(self.longshore("env", "-o", "json"))
        return told

    def client(self, service: str, **more: str) -> Any:
        told = self.variables()
        return boto3.client(
            service,
            endpoint_url=told["AWS_ENDPOINT_URL"],
            region_name=told["AWS_REGION"],
            aws_access_key_id=more.get("key", told["AWS_ACCESS_KEY_ID"]),
            aws_secret_access_key=more.get("secret", told["AWS_SECRET_ACCESS_KEY"]),
            verify=told.get("AWS_CA_BUNDLE"),
            config=Config(retries={"max_attempts": 0}),
        )
