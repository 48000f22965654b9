"""Garbage collection: bytes that nothing names any more are deleted, while pushes go on.

Three things become garbage: uploads that were given up, layers in a repository that no image there uses, and blobs that no
repository and no image names. What is young is left alone, because a push stores layers first and names them later.

Deleting needs no standstill. A blob's bytes are stored (again) before anything names them, and storing renews their age; the
blob store deletes only what has not been stored again since the plan was made. So either the push comes first and
the bytes stay, or the deletion comes first and the push stores them anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from longshore.kit.clock import Clock
from longshore.services.ecr.model import IMAGES, REPOSITORY_BLOBS, RepositoryBlob, image_key
from longshore.store.base import Store, StoreError, Tx
from longshore.store.blobs import BlobDepot, StoredBlob

log = logging.getLogger("longshore.registry.garbage")

#: unnamed things younger than this are left alone: longer than any push takes from its first layer to its manifest
GRACE_S = 24 * 3600.0
#: an upload to which nothing came for so long is given up
UPLOAD_IDLE_S = 7 * 24 * 3600.0
INTERVAL_S = 3600.0
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in a repository, and whether an image there uses it."""

    held: RepositoryBlob
    used: bool


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes in the blob store, and whether any repository or image names them."""

    stored: StoredBlob
    named: bool


@dataclass(frozen=True, slots=True)
class Removal:
    key: str
    reason: str
    size: int


def removable_layers(layers: Iterable[Layer], now: float, grace_s: float = GRACE_S) -> list[Removal]:
    """Layers to take out of their repositories."""
    return [
        Removal(image_key(layer.held.repository, layer.held.digest), "no image of the repository uses it", layer.held.size)
        for layer in layers
        if not layer.used and now - layer.held.uploaded_at > grace_s
    ]


def removable_blobs(blobs: Iterable[Blob], now: float, grace_s: float = GRACE_S) -> list[Removal]:
    """Blobs to delete."""
    return [
        Removal(blob.stored.digest, "no repository and no image names it", blob.stored.size)
        for blob in blobs
        if not blob.named and now - blob.stored.stored_at > grace_s
    ]


@dataclass(frozen=True, slots=True)
class Collected:
    layers: int
    blobs: int
    bytes: int
    uploads: int


class GarbageCollector:
    """One of these runs per installation: under a lease where there are several servers."""

    def __init__(self, *, store: Store, blobs: BlobDepot, clock: Clock, grace_s: float = GRACE_S) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._grace_s = grace_s

    async def run(self) -> None:
        """Collect every hour, for ever."""
        while True:
            await self._clock.sleep(INTERVAL_S)
            try:
                collected = await self.collect()
            except (StoreError, OSError) as error:
                log.error("collection failed, the next one is in %d s: %s", INTERVAL_S, error)
            else:
                log.info("collected %s", collected)

    async def collect(self) -> Collected:
        now = self._clock.now()
        uploads = await self._blobs.expire_uploads(now - UPLOAD_IDLE_S)
        layers = await self._forget_layers(now)
        blobs, size = await self._delete_blobs(now)
        return Collected(layers=layers, blobs=blobs, bytes=size, uploads=uploads)

    async def _forget_layers(self, now: float) -> int:
        count, after = 0, None
        while True:
            page = self._store.list(REPOSITORY_BLOBS, after=after, limit=_PAGE)
            removals = removable_layers(self._layers(page), now, self._grace_s)
            if removals:
                count += await self._store.transact(partial(_forget, removals=removals, uploaded_before=now - self._grace_s))
            if len(page) < _PAGE:
                return count
            after = image_key(page[-1].repository, page[-1].digest)
            await asyncio.sleep(0)  # requests in between

    def _layers(self, page: list[RepositoryBlob]) -> Iterable[Layer]:
        for held in page:
            yield Layer(held, used=self._store.count(IMAGES, "references", image_key(held.repository, held.digest)) > 0)

    async def _delete_blobs(self, now: float) -> tuple[int, int]:
        count = size = 0
        async for stored in self._blobs.stored():
            for removal in removable_blobs((Blob(stored, self._is_named(stored.digest)),), now, self._grace_s):
                # Between the look above and this call nothing can come to name the blob without storing it again.
                if await self._blobs.delete(removal.key, unused_since=now - self._grace_s):
                    log.info("%s: deleted %d bytes: %s", removal.key, removal.size, removal.reason)
                    count, size = count + 1, size + removal.size
        return count, size

    def _is_named(self, digest: str) -> bool:
        return self._store.count(REPOSITORY_BLOBS, "digest", digest) > 0 or self._store.count(IMAGES, "blob", digest) > 0


def _forget(tx: Tx, removals: Iterable[Removal], uploaded_before: float) -> int:
    """Looks again inside the transaction: an image may have come to use the layer, or a client asked for it."""
    count = 0
    for removal in removals:
        held = tx.get(REPOSITORY_BLOBS, removal.key)
        if held is not None and held.uploaded_at <= uploaded_before and not tx.count(IMAGES, "references", removal.key):
            tx.delete(REPOSITORY_BLOBS, removal.key)
            count += 1
    return count
