"""The blob store's twin without a disk, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from longshore.kit.clock import Clock, SystemClock
from longshore.kit.data_keys import SealedKey
from longshore.kit.ids import Ids, RandomIds
from longshore.store.blobs import BlobStore, DigestMismatch, InvalidDigest, NoSuchBlob, Place, StoredBlob, digest_of, split_digest

STREAM_BYTES = 1 << 16


class MemoryUpload:
    def __init__(self, store: MemoryBlobStore, upload_id: str, now: float) -> None:
        self._store = store
        self._upload_id = upload_id
        self._content = bytearray()
        self.written_at = now

    @property
    def upload_id(self) -> str:
        return self._upload_id

    @property
    def offset(self) -> int:
        return len(self._content)

    async def write(self, chunk: bytes) -> None:
        if self._upload_id not in self._store.uploads:
            raise FileNotFoundError(self._upload_id)
        self._content += chunk
        self.written_at = self._store.clock.now()

    async def commit(self, digest: str) -> int:
        size = await self._store.put(bytes(self._content), digest)
        await self.cancel()
        return size

    async def cancel(self) -> None:
        self._store.uploads.pop(self._upload_id, None)


class MemoryBlobStore:
    """A set of blobs; the first one made is the depot of all that hang on it by their keys."""

    def __init__(self, *, ids: Ids | None = None, clock: Clock | None = None, depot: MemoryBlobStore | None = None) -> None:
        self.clock = clock or SystemClock()
        self.uploads: dict[str, MemoryUpload] = {}
        self._ids = ids or RandomIds()
        self._blobs: dict[str, bytes] = {}
        self._stored_at: dict[str, float] = {}
        self._trash: dict[str, tuple[bytes, float]] = {}
        self._broken: list[bytes] = []
        self._depot = depot or self
        self._keyed: dict[str, MemoryBlobStore] = {}

    def __repr__(self) -> str:
        return f"MemoryBlobStore({len(self._blobs)} blobs, {len(self.uploads)} uploads)"

    async def begin(self) -> MemoryUpload:
        upload = MemoryUpload(self, self._ids.uuid(), self.clock.now())
        self.uploads[upload.upload_id] = upload
        return upload

    async def resume(self, upload_id: str) -> MemoryUpload | None:
        return self.uploads.get(upload_id)

    async def put(self, content: bytes, digest: str) -> int:
        parts = split_digest(digest)
        if parts is None:
            raise InvalidDigest(digest)
        received = digest_of(content, parts[0])
        if received != digest:
            raise DigestMismatch(digest, received)
        self._blobs[digest] = content
        self._stored_at[digest] = self.clock.now()
        self._trash.pop(digest, None)
        return len(content)

    def size(self, digest: str) -> int | None:
        content = self._blobs.get(digest)
        return None if content is None else len(content)

    def path(self, digest: str) -> Path | None:
        return None

    async def read(self, digest: str) -> bytes | None:
        return self._blobs.get(digest)

    async def stream(self, digest: str, first: int, last: int) -> AsyncIterator[bytes]:
        content = self._blobs.get(digest)
        if content is None:
            raise NoSuchBlob(digest)
        end = min(last + 1, len(content))
        for at in range(first, end, STREAM_BYTES):
            yield content[at : min(at + STREAM_BYTES, end)]

    async def keep(self, digest: str) -> int | None:
        content = self._blobs.get(digest)
        if content is None and digest in self._trash:
            content = self._trash[digest][0]
        return None if content is None else await self.put(content, digest)

    async def delete(self, digest: str, *, unused_since: float | None = None) -> bool:
        if digest not in self._blobs or (unused_since is not None and self._stored_at[digest] > unused_since):
            return False
        self._trash[digest] = (self._blobs.pop(digest), self.clock.now())
        del self._stored_at[digest]
        return True

    async def purge(self, digest: str, *, trashed_before: float) -> bool:
        if digest not in self._trash or self._trash[digest][1] > trashed_before:
            return False
        del self._trash[digest]
        return True

    async def quarantine(self, digest: str, *, stored_at: float) -> bool:
        if self._stored_at.get(digest) != stored_at:
            return False
        self._broken.append(self._blobs.pop(digest))
        del self._stored_at[digest]
        return True

    async def quarantined(self) -> Place:
        return Place(len(self._broken), sum(map(len, self._broken)))

    def look(self, digest: str) -> StoredBlob | None:
        content = self._blobs.get(digest)
        return None if content is None else StoredBlob(digest, len(content), self._stored_at[digest], len(content))

    async def stored(self) -> AsyncIterator[StoredBlob]:
        for digest, content in list(self._blobs.items()):
            yield StoredBlob(digest, len(content), self._stored_at[digest], len(content))

    async def trashed(self) -> AsyncIterator[StoredBlob]:
        for digest, (content, at) in list(self._trash.items()):
            yield StoredBlob(digest, len(content), at, len(content))

    def keyed(self, key: SealedKey) -> BlobStore:
        if self._depot is not self:
            return self._depot.keyed(key)
        return self._keyed.setdefault(key.id, MemoryBlobStore(ids=self._ids, clock=self.clock, depot=self))

    async def key_ids(self) -> list[str]:
        return sorted(self._keyed)

    async def forget_key(self, key_id: str) -> Place:
        place = await self.occupied_by(key_id)
        self._keyed.pop(key_id, None)
        return place

    async def occupied_by(self, key_id: str) -> Place:
        gone = self._keyed.get(key_id)
        if gone is None:
            return Place(0, 0)
        contents = [*gone._blobs.values(), *(content for content, _ in gone._trash.values()), *gone._broken]
        return Place(len(contents), sum(map(len, contents)))

    async def arriving(self) -> Place:
        uploads = [upload for each in (self, *self._keyed.values()) for upload in each.uploads.values()]
        return Place(len(uploads), sum(upload.offset for upload in uploads))

    async def expire_uploads(self, idle_since: float) -> int:
        count = 0
        for each in (self, *self._keyed.values()):
            idle = [upload_id for upload_id, upload in each.uploads.items() if upload.written_at <= idle_since]
            for upload_id in idle:
                del each.uploads[upload_id]
            count += len(idle)
        return count

    async def close(self) -> None: ...
