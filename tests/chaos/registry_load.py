"""Clients that push, mount, pull and delete images all at once, while the server collects garbage as fast as it can.

Each image has a config of its own, so no two pushes make the same image; layers come from a small pool, so repositories share
them and the collector is for ever about to delete what somebody is about to name. The book holds what was acknowledged and
what nobody asked to be deleted: that must be there, whole, at any moment.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp

from longshore.aws.sigv4 import sign
from tests.chaos.server_process import KEY, REGION, SECRET, Refused, ServerProcess
from tests.chaos.write_load import CONFIG, LAYER, MANIFEST, digest_of

PLAIN, SECRETS = ("chaos/one", "chaos/two"), ("chaos/secret", "chaos/other-secret")
#: made, filled and deleted over and over
FLEETING = ("chaos/fleeting", "chaos/fleeting-secret")
_POOL = tuple(random.Random(number).randbytes(size) for number, size in enumerate((10, 900, 65_536, 65_537, 150_000, 300_000, 700_000)))


@dataclass
class Image:
    repository: str
    digest: str
    #: digest -> bytes of config and layers
    parts: dict[str, int]


@dataclass
class Book:
    #: by digest: acknowledged, and not asked to be deleted
    images: dict[str, Image] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


class RegistryLoad:
    def __init__(self, server: ServerProcess, http: aiohttp.ClientSession, book: Book, grace_s: float, seed: int) -> None:
        self._server = server
        self._http = http
        self._book = book
        self._grace_s = grace_s
        self._random = random.Random(seed)
        self._numbers = itertools.count(1)
        self._seed = seed

    async def create(self) -> None:
        for name in (*PLAIN, *SECRETS):
            await self._create(name)

    async def _create(self, name: str) -> None:
        encryption = {"encryptionConfiguration": {"encryptionType": "KMS"}} if "secret" in name else {}
        await self._server.call(self._http, "ecr", "CreateRepository", {"repositoryName": name, **encryption})

    async def run_for(self, seconds: float) -> None:
        """Until then, or until the server is gone. Raises what goes wrong otherwise."""
        ends = time.monotonic() + seconds
        kinds = (self._push, self._push, self._push, self._pull, self._pull, self._delete, self._abandon, self._collect)
        fleeting = [self._fleeting(name) for name in FLEETING]
        async with asyncio.TaskGroup() as group:
            for kind in (*kinds, *fleeting):
                group.create_task(self._repeat(kind, ends))

    async def _repeat(self, act: Callable[[], Awaitable[None]], ends: float) -> None:
        while time.monotonic() < ends:
            try:
                await act()
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError):
                return

    # -- pushing ---------------------------------------------------------------------------------------------------------------

    async def _push(self) -> None:
        image = await self._pushed(self._random.choice((*PLAIN, *SECRETS)))
        if image is not None:
            self._book.images[image.digest] = image

    async def _pushed(self, repository: str) -> Image | None:
        """None when its layers were collected before it named them, which may only happen to a slow push."""
        began = time.monotonic()
        config = json.dumps({"architecture": "amd64", "os": "linux", "id": f"{self._seed}-{next(self._numbers)}"}).encode()
        layers = self._random.sample(_POOL, self._random.randrange(1, 4))
        for content in (config, *layers):
            await self._bring(repository, content)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [{"mediaType": LAYER, "digest": digest_of(layer), "size": len(layer)} for layer in layers],
        }
        body = json.dumps(manifest).encode()
        path = f"{repository}/manifests/{digest_of(body)}?tag=t{self._random.randrange(20)}"
        try:
            await self._server.registry(self._http, "PUT", path, body, 201, MANIFEST)
        except Refused as refused:
            if "MANIFEST_BLOB_UNKNOWN" in refused.body and time.monotonic() - began > self._grace_s / 2:
                self._book.counts["too slow"] += 1
                return None
            raise
        self._book.counts["pushed"] += 1
        return Image(repository, digest_of(body), {digest_of(content): len(content) for content in (config, *layers)})

    async def _bring(self, repository: str, content: bytes) -> None:
        """As clients do: ask whether it is there, mount it from elsewhere, or upload it at once or in pieces."""
        digest = digest_of(content)
        try:
            await self._server.registry(self._http, "HEAD", f"{repository}/blobs/{digest}")
        except Refused as refused:
            if refused.status != 404:
                raise
        else:
            self._book.counts["there already"] += 1
            return
        source = self._random.choice((*PLAIN, *SECRETS))
        query = f"mount={digest}&from={quote(source, safe='')}" if self._random.random() < 0.5 else ""
        started = await self._start(repository, query)
        if started is None:
            self._book.counts["mounted"] += 1
            return
        half = self._random.randrange(len(content) + 1) if self._random.random() < 0.5 else 0
        if half:
            headers, _ = await self._server.registry(self._http, "PATCH", started, content[:half], 202)
            started = headers["Location"]
        await self._server.registry(self._http, "PUT", f"{started}?digest={digest}", content[half:], 201)
        self._book.counts["uploaded"] += 1

    async def _start(self, repository: str, query: str) -> str | None:
        """Where to upload to; None when it was mounted."""
        try:
            headers, _ = await self._server.registry(self._http, "POST", f"{repository}/blobs/uploads/?{query}", None, 202)
        except Refused as refused:
            if refused.status == 201:
                return None
            raise
        return headers["Location"]

    async def _abandon(self) -> None:
        """An upload that nobody ever finishes, and a layer that no image comes to use."""
        repository = self._random.choice((*PLAIN, *SECRETS))
        started = await self._start(repository, "")
        assert started is not None
        await self._server.registry(self._http, "PATCH", started, self._random.randbytes(100_000), 202)
        await self._bring(repository, self._random.randbytes(5_000))
        await asyncio.sleep(0.1)

    def _fleeting(self, name: str) -> Callable[[], Awaitable[None]]:
        async def act() -> None:
            try:
                await self._create(name)
            except Refused as refused:  # a server that was killed has left it behind
                if "RepositoryAlreadyExists" not in refused.body:
                    raise
            try:
                for _ in range(3):
                    await self._pushed(name)
            finally:
                await self._server.call(self._http, "ecr", "DeleteRepository", {"repositoryName": name, "force": True})
                self._book.counts["repositories deleted"] += 1

        return act

    # -- the others ------------------------------------------------------------------------------------------------------------

    async def _pull(self) -> None:
        if not self._book.images:
            await asyncio.sleep(0.01)
            return
        image = self._random.choice(list(self._book.images.values()))
        try:
            await pull(self._server, self._http, image)
        except Refused as refused:
            # Only what somebody asked to be deleted may be gone.
            if refused.status != 404 or image.digest in self._book.images:
                raise AssertionError(f"{image.repository}@{image.digest}: {refused}") from refused
        self._book.counts["pulled"] += 1

    async def _delete(self) -> None:
        if len(self._book.images) < 15:
            await asyncio.sleep(0.01)
            return
        image = self._book.images.pop(self._random.choice(list(self._book.images)))
        if self._random.random() < 0.5:
            await self._server.registry(self._http, "DELETE", f"{image.repository}/manifests/{image.digest}", None, 202)
        else:
            identified = {"repositoryName": image.repository, "imageIds": [{"imageDigest": image.digest}]}
            answer = await self._server.call(self._http, "ecr", "BatchDeleteImage", identified)
            assert answer.get("failures", []) == []
        self._book.counts["deleted"] += 1

    async def _collect(self) -> None:
        if self._random.random() < 0.3:
            lines = await upkeep(self._server, self._http, "POST", "verify?rate=1000")
            assert not [line for line in lines if line["event"] in ("broken", "missing")], lines
            self._book.counts["verified"] += 1
        await upkeep(self._server, self._http, "POST", "collect")
        self._book.counts["collected"] += 1
        await asyncio.sleep(0.3)


async def pull(server: ServerProcess, http: aiohttp.ClientSession, image: Image) -> None:
    """The image whole, each part compared with its digest."""
    _, body = await server.registry(http, "GET", f"{image.repository}/manifests/{image.digest}")
    assert digest_of(body) == image.digest
    for digest, size in image.parts.items():
        _, content = await server.registry(http, "GET", f"{image.repository}/blobs/{digest}")
        assert (digest_of(content), len(content)) == (digest, size), f"{image.repository} serves other bytes as {digest}"


async def upkeep(server: ServerProcess, http: aiohttp.ClientSession, method: str, route: str) -> list[Any]:
    """What one of the upkeep's routes answers, line by line."""
    path, _, query = f"/_longshore/registry/{route}".partition("?")
    headers = sign(
        method,
        path,
        query,
        [("Host", f"127.0.0.1:{server.port}")],
        b"",
        access_key_id=KEY,
        secret_access_key=SECRET,
        region=REGION,
        service="longshore",
        now=time.time(),
    )
    async with http.request(method, f"{server.url}/_longshore/registry/{route}", headers=headers) as answer:
        text = await answer.text()
        if answer.status != 200:
            raise Refused(answer.status, text)
        return [json.loads(line) for line in text.splitlines()]


async def listed(server: ServerProcess, http: aiohttp.ClientSession) -> list[Image]:
    """Every image that the server says it has."""
    found = []
    repositories = await server.call(http, "ecr", "DescribeRepositories", {})
    for repository in repositories["repositories"]:
        name, token = repository["repositoryName"], None
        while True:
            request = {"repositoryName": name, **({"nextToken": token} if token else {})}
            answer = await server.call(http, "ecr", "ListImages", request)
            for digest in {each["imageDigest"] for each in answer["imageIds"]}:
                _, body = await server.registry(http, "GET", f"{name}/manifests/{digest}")
                document = json.loads(body)
                parts = {each["digest"]: each["size"] for each in (document["config"], *document["layers"])}
                found.append(Image(name, digest, parts))
            token = answer.get("nextToken")
            if not token:
                break
    return found
