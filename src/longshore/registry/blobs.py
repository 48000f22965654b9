"""Blobs: layers and configs, sent from their files without passing through this process.

A blob is readable in a repository only when the repository has it, whatever else the blob store holds.
"""

from __future__ import annotations

import logging

from aiohttp import web

from longshore.kit.clock import Clock
from longshore.registry.access import Access, Visit
from longshore.registry.errors import BlobUnknown, DigestInvalid, Unsupported
from longshore.registry.parts import Part
from longshore.registry.ranges import requested_range
from longshore.services.ecr.content import content_of
from longshore.services.ecr.images import find_repository, keep_blob
from longshore.services.ecr.model import IMAGES, REPOSITORY_BLOBS, Repository, RepositoryBlob, image_key
from longshore.services.ecr.names import is_digest
from longshore.services.ecr.storage_class import is_archived_layer
from longshore.store.base import Store, StoreUnavailable, Tx
from longshore.store.blobs import BlobStore

log = logging.getLogger("longshore.registry")


class Blobs:
    def __init__(self, *, store: Store, blobs: BlobStore, clock: Clock, access: Access, grace_s: float) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._access = access
        self._grace_s = grace_s

    async def head(self, visit: Visit) -> web.StreamResponse:
        """A client that pushes asks this before it leaves a layer out, so it is kept for a while from here on."""
        self._access.require(visit, "BatchCheckLayerAvailability", "GetDownloadUrlForLayer")
        held, content = self._find(visit)
        if self._clock.now() - held.uploaded_at > self._grace_s / 2:
            # The bytes first: whatever the collector is about to do, they are there when they are named anew.
            await content.keep(held.digest)
            try:
                kept = await self._store.transact(lambda tx: keep_blob(tx, held, self._clock.now()))
            except StoreUnavailable:
                # Nobody can push now. Who only wants to know what an image consists of is told.
                if not self._store.count(IMAGES, "references", _key(held)):
                    raise
                kept = held
            if kept is None:
                raise BlobUnknown
        return web.Response(headers=_headers(held) | {"Content-Length": str(held.size)})

    async def get(self, visit: Visit) -> web.StreamResponse:
        self._access.require(visit, "GetDownloadUrlForLayer")
        return await self.send(visit.request, find_repository(self._store, visit.repository), visit.reference)

    async def send(self, request: web.BaseRequest, repository: Repository, digest: str) -> web.StreamResponse:
        """GET and HEAD of the blob, for somebody who may have it: what is yet to be sent. Raises DigestInvalid and BlobUnknown."""
        held, content = self._held(repository, digest)
        if is_archived_layer(self._store, repository.key, digest):
            raise BlobUnknown("the blob belongs to archived images only: restore one of them first")
        if f'"{held.digest}"' in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers={"ETag": f'"{held.digest}"'})
        wanted = requested_range(request.headers.get("Range"), held.size) if _is_current(request, held) else None
        first, last = wanted or (0, held.size - 1)
        headers = _headers(held)
        if wanted:
            headers["Content-Range"] = f"bytes {first}-{last}/{held.size}"
        part = Part(
            status=206 if wanted else 200, headers=headers, content=content, digest=held.digest, first=first, count=last - first + 1
        )
        return _without_body(part) if request.method == "HEAD" else part

    async def delete(self, visit: Visit) -> web.StreamResponse:
        """Takes the blob out of the repository, unless an image there still consists of it."""
        self._access.require(visit, "BatchDeleteImage")
        held, _ = self._find(visit)

        def forget(tx: Tx) -> bool:
            if tx.count(IMAGES, "references", _key(held)):
                return False
            tx.delete(REPOSITORY_BLOBS, _key(held))
            return True

        if not await self._store.transact(forget):
            raise Unsupported("the blob belongs to an image of this repository: delete the image first")
        return web.Response(status=202)

    def _find(self, visit: Visit) -> tuple[RepositoryBlob, BlobStore]:
        """The blob, and the blob store that has its bytes. Raises DigestInvalid and BlobUnknown."""
        return self._held(find_repository(self._store, visit.repository), visit.reference)

    def _held(self, repository: Repository, digest: str) -> tuple[RepositoryBlob, BlobStore]:
        if not is_digest(digest):
            raise DigestInvalid(f"{digest[:150]!r} is not a supported digest")
        held = self._store.get(REPOSITORY_BLOBS, image_key(repository.key, digest))
        if held is None:
            raise BlobUnknown
        content = content_of(self._blobs, repository)
        size = content.size(held.digest)
        if size != held.size:
            log.error("%s: blob %s should have %d bytes, the blob store has %s", held.repository, held.digest, held.size, size)
            raise BlobUnknown("the bytes of this blob are missing: push it again")
        return held, content


def _key(held: RepositoryBlob) -> str:
    return image_key(held.repository, held.digest)


def _headers(held: RepositoryBlob) -> dict[str, str]:
    return {
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": held.digest,
        "Docker-Distribution-Api-Version": "registry/2.0",
        "ETag": f'"{held.digest}"',
    }


def _without_body(part: Part) -> web.StreamResponse:
    return web.Response(status=part.status, headers={**part.headers, "Content-Length": str(part.count)})


def _is_current(request: web.BaseRequest, held: RepositoryBlob) -> bool:
    """Whether a Range is to be honoured: If-Range, where it stands, must name this very content."""
    condition = request.headers.get("If-Range")
    return condition is None or condition == f'"{held.digest}"'
