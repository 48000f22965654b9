"""`longshore registry` against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from typer.testing import CliRunner

from longshore.cli.app import app
from longshore.cli.outcome import Failure
from longshore.cli.presence import note_supervisor, take_lock
from longshore.cli.registry import size
from longshore.config import Credentials, DataDirectory, PlatformConfig, ServerConfig, State, write_platform
from tests.chaos.server_process import ACCOUNT, KEY, REGION, SECRET, ServerProcess
from tests.chaos.write_load import digest_of

LAYER = b"layer" * 1000


@dataclass
class Shop:
    server: ServerProcess
    http: aiohttp.ClientSession

    async def run(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output of `longshore registry …`. Raises Failure."""
        command = ("registry", *arguments, "--data-dir", str(self.server.data_dir))
        result = await asyncio.to_thread(CliRunner().invoke, app, command)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    @property
    def layer(self) -> Path:
        digits = digest_of(LAYER)[7:]
        return self.server.data_dir / "registry" / "blobs" / "sha256" / digits[:2] / digits


@pytest.fixture
async def shop(tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[Shop]:
    """A server with a layer in it, which this test plays the supervisor of."""
    server = ServerProcess(tmp_path, free_port())
    await server.start()
    data = DataDirectory(server.data_dir)
    lock = take_lock(data)
    assert lock is not None
    note_supervisor(lock, os.getpid())
    config = ServerConfig(data_dir=data.root, credentials=Credentials(KEY, SECRET), port=server.port)
    write_platform(data.platform_file, PlatformConfig(server=config))
    data.write_state(
        State(
            pid=os.getpid(),
            started_at=time.time(),
            endpoint=server.url,
            registry=config.registry,
            load_balancers="",
            account_id=ACCOUNT,
            region=REGION,
            zones=config.zones,
        )
    )
    try:
        async with aiohttp.ClientSession() as http:
            await server.call(http, "ecr", "CreateRepository", {"repositoryName": "app"})
            await server.registry(http, "POST", f"app/blobs/uploads/?digest={digest_of(LAYER)}", LAYER, 201)
            yield Shop(server, http)
    finally:
        os.close(lock)
        await server.stop()


async def test_usage_tells_people_and_programs_what_there_is(shop: Shop) -> None:
    code, output = await shop.run("usage")
    assert code == 0
    assert [line.split() for line in output.splitlines() if line.startswith("app")] == [
        ["app", REGION, ACCOUNT, "0", "1", "4.9", "KiB", "0", "B"]
    ]
    assert "on the disk" in output
    code, output = await shop.run("usage", "-o", "json")
    usage = json.loads(output)
    assert usage["accounted"] == usage["stored"] == {"blobs": 1, "bytes": len(LAYER)}


async def test_verify_ends_with_a_code_that_says_whether_all_is_well(shop: Shop) -> None:
    code, output = await shop.run("verify")
    assert (code, output.splitlines()[-1].partition(" in ")[0]) == (0, "1 blobs, 4.9 KiB")
    shop.layer.chmod(0o600)
    shop.layer.write_bytes(LAYER[:-1] + b"!")
    code, output = await shop.run("verify", "--rate", "1000", "-o", "json")
    lines = [json.loads(line) for line in output.splitlines()]
    assert (code, [line["event"] for line in lines]) == (1, ["broken", "done"])
    code, output = await shop.run("verify", "--repository", "app")
    assert code == 1
    assert f"MISSING {digest_of(LAYER)}" in output
    assert f"of {REGION}:{ACCOUNT}:app" in output
    await shop.server.registry(shop.http, "POST", f"app/blobs/uploads/?digest={digest_of(LAYER)}", LAYER, 201)
    assert (await shop.run("verify"))[0] == 0


async def test_collect_tells_what_it_did(shop: Shop) -> None:
    code, output = await shop.run("collect")
    assert (code, output.splitlines()[0]) == (0, "0 layers left their repositories; 0 blobs (0 B) went to the trash")


async def test_what_the_server_refuses_is_said_in_its_words(shop: Shop) -> None:
    with pytest.raises(Failure, match="The repository with name 'absent' does not exist"):
        await shop.run("verify", "--repository", "absent")
    with pytest.raises(Failure, match="unknown output"):
        await shop.run("usage", "-o", "xml")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 * 1024, "1.5 MiB"), (5 << 40, "5.0 TiB")],
)
def test_sizes_are_told_in_units_for_people(count: int, text: str) -> None:
    assert size(count) == text
