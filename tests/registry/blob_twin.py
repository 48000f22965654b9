"""A plain blob store in a directory, without any care for speed: what tests of the registry stand on."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from longshore.kit.clock import Clock
from longshore.store.blobs import DigestMismatch, StoredBlob


class TwinUpload:
    def __init__(self, store: TwinBlobs, upload_id: str) -> None:
        self._store = store
        self._upload_id = upload_id
        self._file = store.root / "uploads" / upload_id

    @property
    def upload_id(self) -> str:
        return self._upload_id

    @property
    def offset(self) -> int:
        return self._file.stat().st_size

    async def write(self, chunk: bytes) -> None:
        with self._file.open("ab") as file:
            file.write(chunk)

    async def commit(self, digest: str) -> int:
        content = self._file.read_bytes()
        await self._store.put(content, digest)
        self._file.unlink()
        return len(content)

    async def cancel(self) -> None:
        self._file.unlink(missing_ok=True)


class TwinBlobs:
    """`with_paths=False` is a store that has no files to send from."""

    def __init__(self, root: Path, clock: Clock, *, with_paths: bool = True) -> None:
        self.root = root
        self._clock = clock
        self._with_paths = with_paths
        for name in ("uploads", "blobs"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def _file(self, digest: str) -> Path:
        return self.root / "blobs" / digest

    async def begin(self) -> TwinUpload:
        upload = TwinUpload(self, str(uuid.uuid4()))
        await upload.write(b"")
        return upload

    async def resume(self, upload_id: str) -> TwinUpload | None:
        return TwinUpload(self, upload_id) if (self.root / "uploads" / upload_id).exists() else None

    async def put(self, content: bytes, digest: str) -> int:
        algorithm = digest.partition(":")[0]
        received = f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"
        if received != digest:
            raise DigestMismatch(digest, received)
        self._file(digest).write_bytes(content)
        os.utime(self._file(digest), (self._clock.now(), self._clock.now()))
        return len(content)

    def size(self, digest: str) -> int | None:
        return self._file(digest).stat().st_size if self._file(digest).exists() else None

    async def read(self, digest: str) -> bytes | None:
        return self._file(digest).read_bytes() if self._file(digest).exists() else None

    def path(self, digest: str) -> Path | None:
        return self._file(digest) if self._with_paths else None

    async def stream(self, digest: str, first: int, last: int) -> AsyncIterator[bytes]:
        content = self._file(digest).read_bytes()[first : last + 1]
        for begin in range(0, len(content), 7):
            yield content[begin : begin + 7]

    async def delete(self, digest: str, *, unused_since: float | None = None) -> bool:
        file = self._file(digest)
        if not file.exists() or (unused_since is not None and file.stat().st_mtime > unused_since):
            return False
        file.unlink()
        return True

    async def stored(self) -> AsyncIterator[StoredBlob]:
        for file in sorted((self.root / "blobs").iterdir()):
            yield StoredBlob(file.name, file.stat().st_size, file.stat().st_mtime)

    async def expire_uploads(self, idle_since: float) -> int:
        idle = [file for file in (self.root / "uploads").iterdir() if file.stat().st_mtime <= idle_since]
        for file in idle:
            file.unlink()
        return len(idle)
