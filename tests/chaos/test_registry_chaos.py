"""Everything at once to a registry that collects garbage in seconds, with a kill -9 in the middle: no image is ever harmed.

`make chaos` does the same for minutes (LONGSHORE_CHAOS_S says how long).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from longshore.config import Storage
from tests.chaos.registry_load import Book, RegistryLoad, listed, pull, upkeep
from tests.chaos.server_process import ServerProcess

#: how long there is load, in seconds
LOAD_S = float(os.environ.get("LONGSHORE_CHAOS_S", "8"))
GRACE_S = 2.0
#: how long a test waits for the collector to have nothing left to do
PATIENCE_S = 30.0
STORAGE = Storage(grace_s=GRACE_S, trash_s=1.0, upload_idle_s=3.0, settle_s=0.1, interval_s=0.5, walk_s=1.0, scrub_bytes_per_s=50 << 20)


@pytest.fixture
async def server(tmp_path: Path, free_port: Callable[..., int]) -> AsyncIterator[ServerProcess]:
    made = ServerProcess(tmp_path, free_port(), storage=STORAGE)
    yield made
    await made.stop()


def on_the_disk(root: Path) -> int:
    return sum((Path(directory) / name).stat().st_size for directory, _, names in os.walk(root) for name in names)


@pytest.mark.timeout(120 + 3 * LOAD_S)
async def test_no_image_is_harmed_while_everything_happens_at_once(server: ServerProcess) -> None:
    book = Book()
    await server.start()
    for turn in range(2):
        async with aiohttp.ClientSession() as http:
            load = RegistryLoad(server, http, book, GRACE_S, seed=turn)
            if turn == 0:
                await load.create()
                running = asyncio.create_task(load.run_for(2 * LOAD_S))
                await asyncio.wait({running}, timeout=LOAD_S / 2)
                await server.kill()
                await running
                await server.start()
            else:
                await load.run_for(LOAD_S / 2)
    assert book.counts["pushed"] > 20, book.counts
    assert min(book.counts[what] for what in ("pulled", "deleted", "mounted", "uploaded", "there already", "collected")) > 0, book.counts
    assert book.counts["too slow"] * 5 < book.counts["pushed"], book.counts

    async with aiohttp.ClientSession() as http:
        for image in book.images.values():
            await pull(server, http, image)
        for image in await listed(server, http):
            await pull(server, http, image)
        done = (await upkeep(server, http, "POST", "verify"))[-1]
        assert (done["event"], done["broken"], done["missing"]) == ("done", 0, 0)
        await until_clean(server, http)
        for image in book.images.values():
            await pull(server, http, image)
    assert "Traceback" not in server.log
    assert "in the trash and in use" not in server.log, "something was deleted that was named"


async def until_clean(server: ServerProcess, http: aiohttp.ClientSession) -> None:
    """Until what nothing names is gone: then every byte on the disk is accounted for.

    Before, an account may be taken in the middle of a collection, its rows before and its disk after.
    """
    usage: dict[str, Any] = {}
    passing = ("unnamed", "trash", "uploads", "unreadable")
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not usage or any(usage[what]["blobs"] for what in passing) or not agrees(server, usage):
                await asyncio.sleep(0.2)
                (usage,) = await upkeep(server, http, "GET", "usage")
    except TimeoutError:
        raise AssertionError(f"{on_the_disk(server.data_dir / 'registry')} bytes are on the disk, told is {usage}") from None
    assert usage["quarantine"]["blobs"] == 0


def agrees(server: ServerProcess, usage: dict[str, Any]) -> bool:
    accounted = usage["accounted"]["bytes"] + usage["overheadBytes"]
    return bool(usage["accounted"] == usage["stored"] and usage["diskBytes"] == accounted == on_the_disk(server.data_dir / "registry"))
