"""Verification: every blob read back and hashed, and every row asked whether its bytes are there.

What is broken is moved aside at once and served no more; whoever pushes it again puts it right. Reading goes on at a bounded
rate, beside everything else the server does, and what is found is told as it is found. A blob that is pushed again while it is
hashed is looked at once more, since what was read of it proves nothing.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, NamedTuple

import msgspec

from longshore.kit.clock import Clock
from longshore.kit.resource import Kind
from longshore.registry.naming import PLAIN, blobs_of, namers_of, set_of
from longshore.services.ecr.model import IMAGES, REPOSITORIES, REPOSITORY_BLOBS, Image, Repository, RepositoryBlob, image_key
from longshore.services.ecr.scanning.model import IMAGE_SCAN_REPORTS, ImageScanReport
from longshore.store.base import Reader, Store
from longshore.store.blobs import BlobBroken, BlobDepot, BlobStore, NoSuchBlob, StoredBlob

log = logging.getLogger("longshore.registry.verification")

#: as fast as a disk of spinning platters reads beside its other work
BYTES_PER_S = 64 * 1024 * 1024
#: repositories and images named with what is broken
MOST_NAMED = 20
_PROGRESS_EVERY_S = 1.0
_TRIES = 3
#: between rounds of the background verification
_REST_S = 3600.0
_PAGE = 200


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="progress", rename="camel"):
    """How far it has come."""

    blobs: int
    bytes: int
    broken: int
    missing: int


class Broken(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="broken", rename="camel"):
    """A blob whose bytes are others than those that were pushed; it was moved aside."""

    digest: str
    size: int
    reason: str
    #: `region:account:name`
    repositories: tuple[str, ...]
    #: `region:account:name@digest` of images that cannot be pulled until it is pushed again
    images: tuple[str, ...]


class Missing(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="missing", rename="camel"):
    """A blob that a repository has, and the disk has not, or not in that size."""

    digest: str
    size: int
    repositories: tuple[str, ...]
    images: tuple[str, ...]


class Done(msgspec.Struct, frozen=True, kw_only=True, tag_field="event", tag="done", rename="camel"):
    blobs: int
    bytes: int
    broken: int
    missing: int
    seconds: float


Line = Progress | Broken | Missing | Done


class Pace:
    """Lets so many bytes pass each second."""

    def __init__(self, clock: Clock, bytes_per_s: int) -> None:
        self._clock = clock
        self._bytes_per_s = bytes_per_s
        self._due = clock.now()

    async def take(self, size: int) -> None:
        """Returns when their time has come; what was not taken in the past is not made up for."""
        now = self._clock.now()
        self._due = max(self._due, now) + size / self._bytes_per_s
        await self._clock.sleep(self._due - now)


class Verification:
    """One round. `repository`: only what that one has."""

    def __init__(
        self, *, store: Store, blobs: BlobDepot, clock: Clock, repository: Repository | None = None, bytes_per_s: int = BYTES_PER_S
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._repository = repository
        self._pace = Pace(clock, bytes_per_s)
        self._counted = self._read = self._broken = self._missing = 0
        #: broken ones of this round, by set and digest
        self._aside: set[tuple[str, str]] = set()

    async def lines(self) -> AsyncGenerator[Line, None]:
        began = told = self._clock.now()
        async for key_id, some, blob in self._stored():
            reason = await self._look_at(some, blob)
            self._counted += 1
            if reason is not None:
                self._broken += 1
                self._aside.add((key_id, blob.digest))
                yield self._told_broken(key_id, blob, reason)
            if self._clock.now() - told >= _PROGRESS_EVERY_S:
                told = self._clock.now()
                yield Progress(**self._counts())
        async for missing in self._looked_for():
            self._missing += 1
            yield missing
        yield Done(**self._counts(), seconds=round(self._clock.now() - began, 3))

    def _counts(self) -> dict[str, int]:
        return {"blobs": self._counted, "bytes": self._read, "broken": self._broken, "missing": self._missing}

    # -- bytes -----------------------------------------------------------------------------------------------------------------

    async def _stored(self) -> AsyncIterator[tuple[str, BlobStore, StoredBlob]]:
        """What is to be read, with the set it is in."""
        if self._repository is not None:
            own = blobs_of(self._store, self._blobs, set_of(self._repository))
            async for row in self._rows():
                if own is not None and (blob := own.look(row.digest)) is not None:
                    yield set_of(self._repository), own, blob
            return
        for key_id in (PLAIN, *await self._blobs.key_ids()):
            some = blobs_of(self._store, self._blobs, key_id)
            if some is not None:
                async for blob in some.stored():
                    yield key_id, some, blob

    async def _look_at(self, some: BlobStore, blob: StoredBlob) -> str | None:
        """Why it was moved aside; None when it is well, or went away."""
        for _ in range(_TRIES):
            reason = await self._fault(some, blob)
            if reason is None or await some.quarantine(blob.digest, stored_at=blob.stored_at):
                return reason
            # It was stored or kept meanwhile: perhaps these are other bytes.
            again = some.look(blob.digest)
            if again is None:
                return None
            blob = again
        log.warning("%s: it is being pushed and seems broken (%s); the next round will tell", blob.digest, reason)
        return None

    async def _fault(self, some: BlobStore, blob: StoredBlob) -> str | None:
        algorithm, _, digits = blob.digest.partition(":")
        hashed = hashlib.new(algorithm)
        try:
            async for chunk in some.stream(blob.digest, 0, max(0, blob.size - 1)):
                await self._pace.take(len(chunk))
                await asyncio.to_thread(hashed.update, chunk)
                self._read += len(chunk)
        except NoSuchBlob:
            return None
        except BlobBroken as broken:
            return str(broken)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return f"the disk cannot read it: {error.strerror}"
        return None if hashed.hexdigest() == digits else f"its bytes have the digest {algorithm}:{hashed.hexdigest()}"

    def _told_broken(self, key_id: str, blob: StoredBlob, reason: str) -> Broken:
        repositories, images = namers_of(self._store, key_id, blob.digest, MOST_NAMED)
        log.error("%s: broken, moved aside: %s; images that need it: %s", blob.digest, reason, ", ".join(images) or "none")
        return Broken(digest=blob.digest, size=blob.size, reason=reason, repositories=tuple(repositories), images=tuple(images))

    # -- rows ------------------------------------------------------------------------------------------------------------------

    async def _looked_for(self) -> AsyncIterator[Missing]:
        """What rows name and the disk has not; what was moved aside just now has been told already."""
        async for row in self._rows():
            key_id, digest = set_of(row.repository), row.digest
            if self._is_there(key_id, row) or (key_id, digest) in self._aside or self._store.get(row.kind, row.key) is None:
                continue
            images = [image_key(image.repository, image.digest) for image in _images_with(self._store, row.repository, digest)]
            log.error("%s: %s: its %d bytes are missing", row.repository.key, digest, row.size)
            yield Missing(digest=digest, size=row.size, repositories=(row.repository.key,), images=tuple(images[:MOST_NAMED]))

    def _is_there(self, key_id: str, row: _Row) -> bool:
        some = blobs_of(self._store, self._blobs, key_id)
        return some is not None and some.size(row.digest) == row.size

    async def _rows(self) -> AsyncIterator[_Row]:
        """Everything that names bytes; what goes meanwhile may be among it."""
        index, value = ("repository", self._repository.key) if self._repository else (None, None)
        for kind in _NAMING:
            after = None
            while page := self._store.list(kind, index, value, after=after, limit=_PAGE):
                for held in page:
                    repository = self._store.get(REPOSITORIES, held.repository)
                    if repository is not None:
                        yield _Row(kind, kind.key(held), repository, *_named_by(held))
                after = kind.key(page[-1])
                await asyncio.sleep(0)  # requests in between


_NAMING: tuple[Kind[Any], ...] = (REPOSITORY_BLOBS, IMAGES, IMAGE_SCAN_REPORTS)


class _Row(NamedTuple):
    """A resource that names bytes."""

    kind: Kind[Any]
    key: str
    repository: Repository
    digest: str
    size: int


def _named_by(held: RepositoryBlob | Image | ImageScanReport) -> tuple[str, int]:
    """Digest and size."""
    match held:
        case RepositoryBlob():
            return held.digest, held.size
        case Image():
            return held.digest, held.manifest_size
        case ImageScanReport():
            return held.content, held.size


def _images_with(reader: Reader, repository: Repository, digest: str) -> list[Image]:
    key = image_key(repository.key, digest)
    own = reader.get(IMAGES, key)
    return [*([own] if own else []), *reader.list(IMAGES, "references", key, limit=MOST_NAMED)]


async def scrub(store: Store, blobs: BlobDepot, clock: Clock, bytes_per_s: int) -> None:
    """Round after round, for ever; what is broken or missing is in the log."""
    while True:
        try:
            async for line in Verification(store=store, blobs=blobs, clock=clock, bytes_per_s=bytes_per_s).lines():
                if isinstance(line, Done):
                    log.info("verified %d blobs, %d bytes: %d broken, %d missing", line.blobs, line.bytes, line.broken, line.missing)
        except OSError as error:
            log.error("verification was cut short: %s", error)
        await clock.sleep(_REST_S)
