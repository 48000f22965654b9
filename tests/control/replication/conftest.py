"""A store with registries in two regions and two accounts, ECR's operations, and a replicator whose keys a test turns by hand."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from longshore.aws.protocol import json as codec
from longshore.aws.shapes import ecr as shapes
from longshore.control.replication.backfill import Pace
from longshore.control.replication.controller import Replicator
from longshore.kit.clock import SteppedClock
from longshore.kit.ids import SeededIds
from longshore.services.call import Call, Principal, Site
from longshore.services.ecr import operations
from longshore.services.ecr.api import api
from longshore.services.ecr.content import content_of
from longshore.services.ecr.images import Push, find_repository, record_blob, record_push
from longshore.services.ecr.kinds import KINDS as ECR_KINDS
from longshore.services.ecr.manifests import parse_manifest
from longshore.services.ecr.model import REGISTRY_EVENTS
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.remote.connection import Remotes
from longshore.services.ecr.replication.model import REPLICATIONS
from longshore.services.iam.kinds import KINDS as IAM_KINDS
from longshore.store.base import Conflict
from longshore.store.memory import memory_store
from longshore.store.memory_blobs import MemoryBlobStore
from tests.registry.contents import CONFIG, LAYER, manifest

assert operations  # importing it registers them

HOME, OTHER = "000000000000", "111111111111"
REGION, ELSEWHERE = "us-east-1", "eu-west-1"
SECRET = b"s" * 32


@dataclass
class World:
    call: Call
    clock: SteppedClock
    blobs: MemoryBlobStore
    replicator: Replicator
    remotes: Remotes

    def at_a_pace_of(self, *, page: int, window: int) -> None:
        call = self.call
        self.replicator = Replicator(
            call.store, self.blobs, self.clock, call.ids, self.remotes, SECRET, pace=Pace(page=page, window=window)
        )

    async def ask(self, operation: str, *, account: str = HOME, region: str = REGION, **members: Any) -> Any:
        principal = Principal(account, f"arn:aws:iam::{account}:root", account, "AKIA")
        call = replace(self.call, account_id=account, region=region, principal=principal)
        shape = shapes.OPERATIONS.get(operation) or api.extensions[operation]
        request = codec.parse(shapes.MODEL, shape, json.dumps(members).encode())
        return await api.operations[operation].handle(call, request)

    async def replicate_to(self, *destinations: tuple[str, str], prefixes: tuple[str, ...] = (), **rule: Any) -> None:
        filters = {"repositoryFilters": [{"filter": each, "filterType": "PREFIX_MATCH"} for each in prefixes]} if prefixes else {}
        places = [{"region": region, "registryId": account} for region, account in destinations]
        await self.ask("PutReplicationConfiguration", replicationConfiguration={"rules": [{"destinations": places, **filters, **rule}]})

    async def push(self, name: str, content: bytes, *tags: str, region: str = REGION, layers: tuple[bytes, ...] = (CONFIG, LAYER)) -> str:
        """The digest of the image, pushed as `docker push` does."""
        meant = RepositoryId(region, HOME, name)
        held = find_repository(self.call.store, meant)
        digest, bytes_of = digest_of(content), content_of(self.blobs, held)
        for layer in layers:
            size = await bytes_of.put(layer, digest_of(layer))
            await self.call.store.transact(
                lambda tx, layer=layer, size=size: record_blob(tx, meant, digest_of(layer), size, self.clock.now())  # type: ignore[misc]
            )
        await bytes_of.put(content, digest)
        push = Push(parse_manifest(content, None), digest, len(content), tags, self.clock.now())
        await self.call.store.transact(lambda tx: record_push(tx, meant, push, again_is_error=False))
        return digest

    async def turn(self) -> None:
        """Look at every key until nothing changes any more."""
        before = -1
        while before != self.call.store.revision:
            before = self.call.store.revision
            for key in list(self.replicator.keys()):
                try:
                    await self.replicator.reconcile(key)
                except Conflict:
                    continue

    async def tags(self, name: str, *, account: str = HOME, region: str = ELSEWHERE) -> dict[str | None, str]:
        answer = await self.ask("ListImages", account=account, region=region, repositoryName=name)
        return {each.image_tag: each.image_digest for each in answer.image_ids}

    async def statuses(self, name: str, digest: str) -> dict[str, tuple[str, str | None]]:
        """Region -> (status, failure code)."""
        answer = await self.ask("DescribeImageReplicationStatus", repositoryName=name, imageId={"imageDigest": digest})
        return {each.region: (each.status, each.failure_code) for each in answer.replication_statuses}

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event.detail for event in self.call.store.list(REGISTRY_EVENTS) if event.detail_type == kind]

    @property
    def under_way(self) -> int:
        return self.call.store.count(REPLICATIONS, "open", "open")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock, ids = SteppedClock(), SeededIds()
    store = memory_store((*ECR_KINDS, *IAM_KINDS))
    blobs = MemoryBlobStore(clock=clock)
    remotes = Remotes(clock)
    call = Call(
        store=store,
        blobs=blobs,
        clock=clock,
        ids=ids,
        site=Site(HOME, REGION, ("us-east-1a",), "http://127.0.0.1:4566", 4566),
        principal=Principal(HOME, f"arn:aws:iam::{HOME}:root", HOME, "AKIA"),
        account_id=HOME,
        region=REGION,
        request_id="request-1",
        source_ip="127.0.0.1",
        base_url="http://127.0.0.1:4566",
        secret_for_signing=SECRET,
    )
    made = World(call, clock, blobs, Replicator(store, blobs, clock, ids, remotes, SECRET), remotes)
    await made.ask("CreateRepository", repositoryName="app/web")
    yield made
    await remotes.close()
    await store.close()


@pytest.fixture
def image() -> bytes:
    return manifest(LAYER)
