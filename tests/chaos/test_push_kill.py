"""kill -9 at every step of a push: what was acknowledged is there, what was not is whole or not there at all, and the push goes on."""

from __future__ import annotations

import asyncio
import io
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chaos.server_process import PATIENCE_S, Refused, ServerProcess
from tests.chaos.write_load import MANIFEST, REPOSITORY
from tests.registry.contents import CONFIG, digest_of, manifest

#: of the layer: more than the server gathers before it writes (1 MiB)
HALF = 1_500_000


@dataclass
class Push:
    """One image on its way, as one client sees it."""

    server: ServerProcess
    http: aiohttp.ClientSession
    tag: str
    layer: bytes = field(default_factory=lambda: os.urandom(2 * HALF))
    location: str = ""
    #: bytes of the layer that were acknowledged
    received: int = 0
    #: its last bytes are sent, and nobody knows whether it was answered
    committing: bool = False
    #: requests nobody waits for
    pending: list[asyncio.Future[Any]] = field(default_factory=list)

    @property
    def image(self) -> bytes:
        return manifest(self.layer)

    @property
    def blob(self) -> str:
        return f"{REPOSITORY}/blobs/{digest_of(self.layer)}"

    async def ask(self, method: str, path: str, body: Any = None, expect: int = 200, content_type: str = "") -> dict[str, str]:
        given = io.BytesIO(body) if isinstance(body, bytes) else body
        headers, _ = await self.server.registry(self.http, method, path, given, expect, content_type)
        return headers

    async def begin(self) -> None:
        self.location = (await self.ask("POST", f"{REPOSITORY}/blobs/uploads/", expect=202))["Location"]

    async def first_half(self) -> None:
        self.location = (await self.ask("PATCH", self.location, self.layer[:HALF], expect=202))["Location"]
        self.received = HALF

    async def finish(self) -> None:
        await self.ask("PUT", f"{self.location}?digest={digest_of(self.layer)}", self.layer[self.received :], expect=201)

    async def config(self) -> None:
        await self.ask("POST", f"{REPOSITORY}/blobs/uploads/?digest={digest_of(CONFIG)}", CONFIG, expect=201)

    async def name(self) -> None:
        await self.ask("PUT", f"{REPOSITORY}/manifests/{self.tag}", self.image, 201, MANIFEST)

    async def whole(self, path: str, content: bytes) -> bool:
        """Whether it is there; what is there must be all of it."""
        try:
            _, found = await self.server.registry(self.http, "GET", path)
        except Refused as refused:
            assert refused.status == 404, refused
            return False
        assert found == content
        return True

    async def go_on(self) -> None:
        """As a client does that finds the server again: ask how far it came, send the rest."""
        if not await self.whole(self.blob, self.layer):
            if self.location:
                await self._resume()
            else:
                await self.begin()
            await self.finish()
        await self.config()
        await self.name()
        assert await self.whole(self.blob, self.layer)
        assert await self.whole(f"{REPOSITORY}/manifests/{self.tag}", self.image)
        assert await self.whole(f"{REPOSITORY}/manifests/{digest_of(self.image)}", self.image)

    async def _resume(self) -> None:
        try:
            headers = await self.ask("GET", self.location, expect=204)
        except Refused as refused:
            # It had become a blob, which no repository named yet: nobody may have it for knowing its digest, so it is sent again.
            assert (refused.status, self.committing) == (404, True), "bytes that were acknowledged are lost"
            self.received = 0
            await self.begin()
        else:
            received = int(headers["Range"].rpartition("-")[2])
            received += received > 0  # nothing is told as 0-0
            assert received >= self.received, "bytes that were acknowledged are lost"
            self.received = received


# ── where it is cut off ─────────────────────────────────────────────────────────────────────────────────────────────


async def nothing_was_sent(push: Push) -> None: ...


async def the_upload_has_begun(push: Push) -> None:
    await push.begin()


async def half_of_the_layer_was_acknowledged(push: Push) -> None:
    await push.begin()
    await push.first_half()


async def a_chunk_is_being_sent(push: Push) -> None:
    await half_of_the_layer_was_acknowledged(push)
    await half_sent(push, "PATCH", push.location)


async def the_last_bytes_are_being_sent(push: Push) -> None:
    await half_of_the_layer_was_acknowledged(push)
    await half_sent(push, "PUT", f"{push.location}?digest={digest_of(push.layer)}")


async def the_layer_is_being_committed(push: Push) -> None:
    await half_of_the_layer_was_acknowledged(push)
    push.committing = True
    await unanswered(push, push.finish())


async def the_layer_is_there(push: Push) -> None:
    await half_of_the_layer_was_acknowledged(push)
    await push.finish()


async def everything_but_the_manifest_is_there(push: Push) -> None:
    await the_layer_is_there(push)
    await push.config()


async def the_manifest_is_being_put(push: Push) -> None:
    await everything_but_the_manifest_is_there(push)
    await unanswered(push, push.name())


async def the_image_is_there(push: Push) -> None:
    await everything_but_the_manifest_is_there(push)
    await push.name()


async def half_sent(push: Push, method: str, path: str) -> None:
    """A request whose body stops in the middle, once the server has written some of it."""
    file = push.server.data_dir / "registry" / "uploads" / push.location.rpartition("/")[2].partition(".")[0]
    before = file.stat().st_size
    announced = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield push.layer[push.received :]
        await announced.wait()  # for ever

    sending = asyncio.create_task(push.ask(method, path, body(), expect=0))
    async with asyncio.timeout(PATIENCE_S):
        while file.stat().st_size == before:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.002)
    push.pending.append(sending)


async def unanswered(push: Push, request: Awaitable[None]) -> None:
    """The request is on its way, and nobody waits for its answer."""
    sending = asyncio.ensure_future(request)
    for _ in range(100):
        await asyncio.sleep(0)
    push.pending.append(sending)


STEPS: tuple[Callable[[Push], Awaitable[None]], ...] = (
    nothing_was_sent,
    the_upload_has_begun,
    half_of_the_layer_was_acknowledged,
    a_chunk_is_being_sent,
    the_last_bytes_are_being_sent,
    the_layer_is_being_committed,
    the_layer_is_there,
    everything_but_the_manifest_is_there,
    the_manifest_is_being_put,
    the_image_is_there,
)


@pytest.fixture
async def server(tmp_path: Path, free_port: Callable[[], int]) -> AsyncIterator[ServerProcess]:
    made = ServerProcess(tmp_path, free_port())
    await made.start()
    async with aiohttp.ClientSession() as http:
        await made.call(http, "ecr", "CreateRepository", {"repositoryName": REPOSITORY})
    yield made
    await made.stop()


async def test_a_push_goes_on_wherever_the_server_was_killed(server: ServerProcess) -> None:
    finished: list[Push] = []
    for step in STEPS:
        async with aiohttp.ClientSession() as http:
            push = Push(server, http, step.__name__)
            await step(push)
            await server.kill()
            await asyncio.gather(*push.pending, return_exceptions=True)
        await server.start()
        async with aiohttp.ClientSession() as http:
            push.http = http
            there = await push.whole(f"{REPOSITORY}/manifests/{push.tag}", push.image)
            assert there or step is not the_image_is_there, "an image that was acknowledged is lost"
            _, content = await server.registry(http, "GET", f"{REPOSITORY}/tags/list")
            assert (push.tag in json.loads(content)["tags"]) is there
            if there or step is the_layer_is_there:
                assert await push.whole(push.blob, push.layer)
            await push.go_on()
        finished.append(push)
    async with aiohttp.ClientSession() as http:
        for push in finished:
            push.http = http
            assert await push.whole(f"{REPOSITORY}/manifests/{push.tag}", push.image)
            assert await push.whole(push.blob, push.layer)
    assert await server.stop() == 0
    assert "Traceback" not in server.log
