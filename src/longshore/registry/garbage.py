"""Garbage collection: bytes that nothing names any more are deleted, while pushes go on.

Four things become garbage: uploads that were given up, layers in a repository that no image there uses, blobs that no
repository and no image names, and everything encrypted with the key of a repository that was deleted. What is young is left
alone, because a push stores layers first and names them later.

Deleting needs no standstill. A blob's bytes are stored, or kept, before anything comes to name them, and that renews their
stamp; the blob store deletes only what has not been stamped since the grace began (store/shelf.py says why that is enough).
So either the push comes first and the bytes stay, or the deletion comes first and the push finds them in the trash, or stores
them anew. What lies in the trash is purged only after a while, and only if nothing names it even then; should anything name
it after all, it comes back.

What goes is noticed as it goes: a watch tells of images, layers and repositories that are deleted, and what they leave
behind is looked at a few seconds later, or when its grace is over. So a collection costs what was deleted, not what is
there. Only to be sure, all rows are looked through every hour, and the directories walked once a day, for what a server that
was killed had in mind and for bytes that nothing ever named.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial

from longshore.config import Storage
from longshore.kit.clock import Clock
from longshore.registry.leavings import MOST as MOST_NOTED
from longshore.registry.leavings import Leavings, LeftBlob
from longshore.registry.naming import PLAIN, blobs_of, is_named, owner_of, set_of
from longshore.services.ecr.model import IMAGES, REPOSITORIES, REPOSITORY_BLOBS, RepositoryBlob, image_key
from longshore.services.ecr.scanning.model import IMAGE_SCAN_REPORTS
from longshore.store.base import Store, StoreError, Tx, Watch
from longshore.store.blobs import BlobDepot, BlobStore, StoredBlob

log = logging.getLogger("longshore.registry.garbage")

_DEFAULTS = Storage()
GRACE_S = _DEFAULTS.grace_s
UPLOAD_IDLE_S = _DEFAULTS.upload_idle_s
TRASH_S = _DEFAULTS.trash_s
_PAGE = 500
#: blobs looked at between requests
_LOOKS = 100
_HAIR_S = 0.001


@dataclass(frozen=True, slots=True)
class Held:
    """A layer in a repository, and whether an image there uses it."""

    layer: RepositoryBlob
    used: bool


@dataclass(frozen=True, slots=True)
class Found:
    """Bytes in the blob store, and whether any repository or image names them."""

    blob: StoredBlob
    named: bool


@dataclass(frozen=True, slots=True)
class Removal:
    key: str
    reason: str
    size: int


def removable_layers(layers: Iterable[Held], now: float, grace_s: float = GRACE_S) -> list[Removal]:
    """Layers to take out of their repositories."""
    return [
        Removal(image_key(held.layer.repository, held.layer.digest), "no image of the repository uses it", held.layer.size)
        for held in layers
        if not held.used and now - held.layer.uploaded_at > grace_s
    ]


def removable_blobs(blobs: Iterable[Found], now: float, grace_s: float = GRACE_S) -> list[Removal]:
    """Blobs to move to the trash."""
    return [
        Removal(found.blob.digest, "no repository and no image names it", found.blob.size)
        for found in blobs
        if not found.named and now - found.blob.stored_at > grace_s
    ]


@dataclass(frozen=True, slots=True)
class Collected:
    """What one collection did: layers taken out of repositories, blobs and their bytes moved to the trash, and so on."""

    layers: int = 0
    blobs: int = 0
    bytes: int = 0
    uploads: int = 0
    #: bytes that left the disk
    purged: int = 0
    #: blobs that came back from the trash, because something names them
    restored: int = 0

    def __bool__(self) -> bool:
        return self != Collected()


class GarbageCollector:
    """One of these runs per installation: under a lease where there are several servers."""

    def __init__(
        self, *, store: Store, blobs: BlobDepot, clock: Clock, settings: Storage = _DEFAULTS, most_noted: int = MOST_NOTED
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._settings = settings
        self._leavings = Leavings(settings.grace_s, most_noted)
        self._noticed = asyncio.Event()
        self._walked_at: float | None = None
        #: a look at everything and one at what was left behind do not mix: their counts would
        self._turn = asyncio.Lock()

    # -- for ever --------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Collect what is left behind soon, and look at everything every hour."""
        watch = self._store.watch(IMAGES, REPOSITORY_BLOBS, IMAGE_SCAN_REPORTS, REPOSITORIES)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(watch), name="garbage:watch")
                group.create_task(self._collect_soon(), name="garbage:soon")
                group.create_task(self._collect_regularly(), name="garbage:all")
        finally:
            watch.close()

    async def _follow(self, watch: Watch) -> None:
        async for batch in watch.merged():
            if self._leavings.note(self._store, batch, self._clock.now()):
                self._noticed.set()

    async def _collect_soon(self) -> None:
        while True:
            await self._noticed.wait()
            await self._clock.sleep(self._settings.settle_s)
            self._noticed.clear()
            await self._collecting(self.collect_leavings)
            if self._leavings:
                self._noticed.set()

    async def _collect_regularly(self) -> None:
        while True:
            await self._clock.sleep(self._settings.interval_s)
            await self._collecting(self.collect)

    async def _collecting(self, collect: Callable[[], Awaitable[Collected]]) -> None:
        try:
            collected = await collect()
        except (StoreError, OSError) as error:
            log.error("collection failed, the next one is in %d s at most: %s", self._settings.interval_s, error)
        else:
            if collected:
                log.info("collected %s", collected)

    # -- once ------------------------------------------------------------------------------------------------------------------

    async def collect_leavings(self) -> Collected:
        """Look at what deletions left behind, as far as its grace is over."""
        async with self._turn:
            now = self._clock.now()
            if self._leavings.take_everything():
                return await self._collect(now, now - self._settings.trash_s)
            for key_id in self._leavings.take_keys():
                await self._forget_key(key_id)
            count = 0
            due = self._leavings.take_layers(now)
            for start in range(0, len(due), _PAGE):
                held = [layer for key in due[start : start + _PAGE] if (layer := self._store.get(REPOSITORY_BLOBS, key)) is not None]
                count += await self._forget_layers(held, now)
            deleted = [await self._look_at(left, now) for left in self._leavings.take_blobs(now)]
            sizes = [size for size in deleted if size is not None]
            return Collected(layers=count, blobs=len(sizes), bytes=sum(sizes))

    async def collect(self, *, empty_trash: bool = False) -> Collected:
        """Look at everything. With `empty_trash` what lies in the trash leaves the disk, however short a time it lay there."""
        async with self._turn:
            now = self._clock.now()
            # Before any moment to come: what this very collection throws away goes, too.
            return await self._collect(now, math.inf if empty_trash else now - self._settings.trash_s)

    async def _collect(self, now: float, trashed_before: float) -> Collected:
        uploads = await self._blobs.expire_uploads(now - self._settings.upload_idle_s)
        layers = await self._look_through_layers(now)
        blobs = size = purged = restored = 0
        walk = self._walked_at is None or now - self._walked_at >= self._settings.walk_s
        async for key_id, some in self._sets():
            if walk:
                count, deleted = await self._delete_blobs(key_id, some, now)
                blobs, size = blobs + count, size + deleted
            freed, back = await self._empty_trash(key_id, some, trashed_before)
            purged, restored = purged + freed, restored + back
        if walk:
            self._walked_at = now
        return Collected(layers=layers, blobs=blobs, bytes=size, uploads=uploads, purged=purged, restored=restored)

    async def _sets(self) -> AsyncIterator[tuple[str, BlobStore]]:
        """Every set of blobs that somebody can read; the others go for good."""
        yield PLAIN, self._blobs
        for key_id in await self._blobs.key_ids():
            some = blobs_of(self._store, self._blobs, key_id)
            if some is None:
                await self._forget_key(key_id)
            else:
                yield key_id, some

    async def _forget_key(self, key_id: str) -> None:
        """A repository has its data key before anything is encrypted with it, so a key that nobody has is nobody's any more."""
        if owner_of(self._store, key_id) is None:
            gone = await self._blobs.forget_key(key_id)
            log.info("key %s: its repository is deleted, and %d bytes in %d blobs with it", key_id, gone.bytes, gone.files)

    # -- layers ----------------------------------------------------------------------------------------------------------------

    async def _look_through_layers(self, now: float) -> int:
        count, after = 0, None
        while True:
            page = self._store.list(REPOSITORY_BLOBS, after=after, limit=_PAGE)
            count += await self._forget_layers(page, now)
            if len(page) < _PAGE:
                return count
            after = REPOSITORY_BLOBS.key(page[-1])
            await asyncio.sleep(0)  # requests in between

    async def _forget_layers(self, layers: list[RepositoryBlob], now: float) -> int:
        """Take the unused ones out of their repositories; those that are too young are noted, to be looked at in time."""
        grace_s = self._settings.grace_s
        held = [Held(layer, used=self._store.count(IMAGES, "references", REPOSITORY_BLOBS.key(layer)) > 0) for layer in layers]
        removals = removable_layers(held, now, grace_s)
        for each in held:
            if not each.used and now - each.layer.uploaded_at <= grace_s:
                # A hair later than its grace ends, which is a moment too early.
                self._leavings.look_at_layer(REPOSITORY_BLOBS.key(each.layer), each.layer.uploaded_at + grace_s + _HAIR_S)
        if not removals:
            return 0
        forgotten = await self._store.transact(partial(_forget, removals=removals, uploaded_before=now - grace_s))
        for layer in forgotten:
            repository = self._store.get(REPOSITORIES, layer.repository)
            self._leavings.look_at_blob(LeftBlob(set_of(repository) if repository else PLAIN, layer.digest), now)
        return len(forgotten)

    # -- blobs -----------------------------------------------------------------------------------------------------------------

    async def _look_at(self, left: LeftBlob, now: float) -> int | None:
        """Bytes moved to the trash; None when the blob stays, or is gone already."""
        some = blobs_of(self._store, self._blobs, left.key_id)
        blob = None if some is None else some.look(left.digest)
        if some is None or blob is None or is_named(self._store, left.key_id, left.digest):
            return None
        if await self._delete(some, Removal(left.digest, "no repository and no image names it any more", blob.size), now):
            return blob.size
        self._leavings.look_at_blob(left, max(now, blob.stored_at + self._settings.grace_s + _HAIR_S))
        return None

    async def _delete_blobs(self, key_id: str, some: BlobStore, now: float) -> tuple[int, int]:
        count = size = looked = 0
        async for blob in some.stored():
            looked += 1
            if looked % _LOOKS == 0:
                await asyncio.sleep(0)  # requests in between
            found = Found(blob, is_named(self._store, key_id, blob.digest))
            for removal in removable_blobs((found,), now, self._settings.grace_s):
                if await self._delete(some, removal, now):
                    count, size = count + 1, size + removal.size
        return count, size

    async def _delete(self, some: BlobStore, removal: Removal, now: float) -> bool:
        # Between the look and this call nothing can come to name the blob without stamping it.
        deleted = await some.delete(removal.key, unused_since=now - self._settings.grace_s)
        if deleted:
            log.info("%s: %d bytes moved to the trash: %s", removal.key, removal.size, removal.reason)
        return deleted

    async def _empty_trash(self, key_id: str, some: BlobStore, trashed_before: float) -> tuple[int, int]:
        """(bytes freed, blobs restored)"""
        freed = restored = 0
        async for blob in some.trashed():
            if is_named(self._store, key_id, blob.digest):
                log.warning("%s: it is in the trash and in use: restored", blob.digest)
                restored += await some.keep(blob.digest) is not None
            elif await some.purge(blob.digest, trashed_before=trashed_before):
                log.info("%s: %d bytes purged", blob.digest, blob.occupied)
                freed += blob.occupied
        return freed, restored


def _forget(tx: Tx, removals: Iterable[Removal], uploaded_before: float) -> list[RepositoryBlob]:
    """Looks again inside the transaction: an image may have come to use the layer, or a client asked for it."""
    forgotten = []
    for removal in removals:
        held = tx.get(REPOSITORY_BLOBS, removal.key)
        if held is not None and held.uploaded_at <= uploaded_before and not tx.count(IMAGES, "references", removal.key):
            tx.delete(REPOSITORY_BLOBS, removal.key)
            forgotten.append(held)
    return forgotten
