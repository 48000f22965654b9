"""Debian's docker-registry, as somebody else's registry for tests marked engine("docker-registry")."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp


@contextmanager
def docker_registry(directory: Path, port: int) -> Iterator[str]:
    """Its address, 127.0.0.1:PORT; it keeps everything below `directory` and lets manifests be deleted."""
    config = directory / "docker-registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: '{directory / 'docker-registry'}'}}, delete: {{enabled: true}}}}\n"
    )
    process = subprocess.Popen(
        ["docker-registry", "serve", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"OTEL_TRACES_EXPORTER": "none"},
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


async def answers(address: str) -> None:
    """Returns when it does."""
    async with asyncio.timeout(20), aiohttp.ClientSession() as http:
        while True:
            try:
                async with http.get(f"http://{address}/v2/"):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)
