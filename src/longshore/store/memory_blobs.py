"""The blob store's twin without a disk, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from longshore.kit.clock import Clock, SystemClock
from longshore.kit.ids import Ids, RandomIds
from longshore.store.blobs import DigestMismatch, InvalidDigest, NoSuchBlob, StoredBlob, digest_of, split_digest

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
    def __init__(self, *, ids: Ids | None = None, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.uploads: dict[str, MemoryUpload] = {}
        self._ids = ids or RandomIds()
        self._blobs: dict[str, bytes] = {}
        self._stored_at: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"MemoryBlobStore({len(self._blobs)} blobs, {len(self.uploads)} uploads)"

    async def begin(self) -> MemoryUpload:
        upload = MemoryUpload(self, self._ids.uuid(), self.clock.now())
        self.uploads[upload.upload_id] = upload
        return upload

    async def resume(self, upload_id: str) -> MemoryUpload | None:
        return self.uploads.get(upload_id)

    async def expire_uploads(self, idle_since: float) -> int:
        idle = [upload_id for upload_id, upload in self.uploads.items() if upload.written_at <= idle_since]
        for upload_id in idle:
            del self.uploads[upload_id]
        return len(idle)

    async def put(self, content: bytes, digest: str) -> int:
        parts = split_digest(digest)
        if parts is None:
            raise InvalidDigest(digest)
        received = digest_of(content, parts[0])
        if received != digest:
            raise DigestMismatch(digest, received)
        self._blobs[digest] = content
        self._stored_at[digest] = self.clock.now()
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

    async def delete(self, digest: str, *, unused_since: float | None = None) -> bool:
        if digest not in self._blobs or (unused_since is not None and self._stored_at[digest] > unused_since):
            return False
        del self._blobs[digest], self._stored_at[digest]
        return True

    async def stored(self) -> AsyncIterator[StoredBlob]:
        for digest, content in list(self._blobs.items()):
            yield StoredBlob(digest, len(content), self._stored_at[digest])

    async def close(self) -> None: ...
