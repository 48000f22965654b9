"""Clients that write as fast as they can and keep a book of what was acknowledged, to be compared with what is there.

A call in flight when the server dies may have been carried out or not, and is in no book.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from tests.chaos.server_process import ServerProcess

REPOSITORY = "chaos/app"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass
class Book:
    """What was acknowledged."""

    clusters: set[str] = field(default_factory=set)
    #: asked to be deleted, and that was acknowledged
    deleted_clusters: set[str] = field(default_factory=set)
    #: (family, revision)
    revisions: set[tuple[str, int]] = field(default_factory=set)
    repositories: set[str] = field(default_factory=set)
    #: digest -> size
    blobs: dict[str, int] = field(default_factory=dict)
    #: tag -> digest of the manifest
    images: dict[str, str] = field(default_factory=dict)

    @property
    def acknowledged(self) -> int:
        kept = (self.clusters, self.deleted_clusters, self.revisions, self.repositories, self.blobs, self.images)
        return sum(len(one) for one in kept)


class Load:
    def __init__(self, server: ServerProcess, http: aiohttp.ClientSession, book: Book, turn: int) -> None:
        self._server = server
        self._http = http
        self._book = book
        self._turn = turn
        self._numbers = itertools.count(1)
        self._random = random.Random(turn)

    async def until_cut_off(self, clients: int = 2) -> None:
        """Every kind of writing, by several clients each, until the server is gone. Raises what else goes wrong."""
        kinds = (self._clusters, self._revisions, self._repositories, self._images)
        jobs = [asyncio.create_task(self._repeat(kind)) for kind in kinds for _ in range(clients)]
        try:
            await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _repeat(self, write: Callable[[str], Awaitable[None]]) -> None:
        try:
            while True:
                await write(f"t{self._turn}-{next(self._numbers)}")
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, ConnectionError):
            return

    async def _clusters(self, name: str) -> None:
        await self._server.call(self._http, "ecs", "CreateCluster", {"clusterName": name})
        self._book.clusters.add(name)
        if self._random.random() < 0.3:
            self._book.clusters.discard(name)  # from here on nobody can know, until the answer is there
            await self._server.call(self._http, "ecs", "DeleteCluster", {"cluster": name})
            self._book.deleted_clusters.add(name)

    async def _revisions(self, name: str) -> None:
        family = f"family-{self._random.randrange(3)}"
        container = {"name": "main", "image": "busybox", "memory": 16, "environment": [{"name": "WRITE", "value": name}]}
        answer = await self._server.call(
            self._http, "ecs", "RegisterTaskDefinition", {"family": family, "containerDefinitions": [container]}
        )
        given = (family, answer["taskDefinition"]["revision"])
        assert given not in self._book.revisions, f"{given} was given out twice"
        self._book.revisions.add(given)

    async def _repositories(self, name: str) -> None:
        await self._server.call(self._http, "ecr", "CreateRepository", {"repositoryName": name})
        self._book.repositories.add(name)

    async def _images(self, name: str) -> None:
        config = await self._blob(json.dumps({"architecture": "amd64", "os": "linux", "id": name}).encode())
        layer = await self._blob(self._random.randbytes(self._random.choice((10, 70_000, 700_000))))
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": config, "size": self._book.blobs[config]},
                "layers": [{"mediaType": LAYER, "digest": layer, "size": self._book.blobs[layer]}],
            }
        ).encode()
        await self._server.registry(self._http, "PUT", f"{REPOSITORY}/manifests/{name}", manifest, 201, MANIFEST)
        self._book.images[name] = digest_of(manifest)

    async def _blob(self, content: bytes) -> str:
        """In one request, or begun, sent in two parts and finished."""
        digest = digest_of(content)
        if self._random.random() < 0.5:
            await self._server.registry(self._http, "POST", f"{REPOSITORY}/blobs/uploads/?digest={digest}", content, 201)
        else:
            half = len(content) // 2
            headers, _ = await self._server.registry(self._http, "POST", f"{REPOSITORY}/blobs/uploads/", None, 202)
            headers, _ = await self._server.registry(self._http, "PATCH", headers["Location"], content[:half], 202)
            headers, _ = await self._server.registry(self._http, "PATCH", headers["Location"], content[half:], 202)
            joiner = "&" if "?" in headers["Location"] else "?"
            await self._server.registry(self._http, "PUT", f"{headers['Location']}{joiner}digest={digest}", None, 201)
        self._book.blobs[digest] = len(content)
        return digest


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def verify(server: ServerProcess, http: aiohttp.ClientSession, book: Book) -> None:
    """Everything in the book is there, and whole."""
    for names in batches(sorted(book.clusters | book.deleted_clusters), 100):
        answer = await server.call(http, "ecs", "DescribeClusters", {"clusters": names})
        status = {cluster["clusterName"]: cluster["status"] for cluster in answer["clusters"]}
        for name in names:
            wanted = "ACTIVE" if name in book.clusters else "INACTIVE"
            assert status.get(name, "INACTIVE") == wanted, f"cluster {name} is {status.get(name)}, not {wanted}"
    for names in batches(sorted(book.repositories), 100):
        answer = await server.call(http, "ecr", "DescribeRepositories", {"repositoryNames": names})
        assert {repository["repositoryName"] for repository in answer["repositories"]} == set(names)
    assert book.revisions <= await registered(server, http)
    for digest, size in book.blobs.items():
        _, content = await server.registry(http, "GET", f"{REPOSITORY}/blobs/{digest}")
        assert (len(content), digest_of(content)) == (size, digest)
    for tag, digest in book.images.items():
        _, content = await server.registry(http, "GET", f"{REPOSITORY}/manifests/{tag}")
        assert digest_of(content) == digest, f"{tag} is another image"


async def registered(server: ServerProcess, http: aiohttp.ClientSession) -> set[tuple[str, int]]:
    found: set[tuple[str, int]] = set()
    request: dict[str, object] = {"maxResults": 100}
    while True:
        answer = await server.call(http, "ecs", "ListTaskDefinitions", request)
        for arn in answer["taskDefinitionArns"]:
            family, _, revision = arn.rsplit("/", 1)[-1].rpartition(":")
            found.add((family, int(revision)))
        if not answer.get("nextToken"):
            return found
        request["nextToken"] = answer["nextToken"]


def batches(names: list[str], size: int) -> list[list[str]]:
    return [names[start : start + size] for start in range(0, len(names), size)]
