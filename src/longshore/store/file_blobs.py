"""Blobs as files: blobs/<algorithm>/<first two digits>/<digits>, and uploads/<id> beside them while they arrive.

A blob exists once its file has its name, and gets its name only after its bytes are on the disk: verify, fsync the file, rename,
fsync the directory. A crash at any moment leaves whole blobs, and uploads that can be resumed or swept away. Everything that
touches the disk or hashes runs on threads of this store's own.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from longshore.kit.clock import Clock, SystemClock
from longshore.kit.ids import Ids, RandomIds
from longshore.store.blobs import DigestMismatch, InvalidDigest, NoSuchBlob, StoredBlob, digest_of, split_digest
from longshore.store.file_uploads import FileUpload, room, write_all

R = TypeVar("R")

READ_BYTES = 1 << 20
HASH_BYTES = 1 << 22
THREADS = 4


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_directory(path: Path) -> None:
    """Create a directory, and the parents it lacks, so that they are still there after a power failure."""
    if path.is_dir():
        return
    _make_directory(path.parent)
    path.mkdir(exist_ok=True)
    _sync_directory(path.parent)


def _names(directory: Path) -> list[str]:
    return [entry.name for entry in os.scandir(directory) if entry.is_dir()]


def _stored_in(directory: Path, algorithm: str) -> list[StoredBlob]:
    found = []
    for entry in os.scandir(directory):
        try:
            status = entry.stat()
        except FileNotFoundError:
            continue  # deleted meanwhile
        found.append(StoredBlob(f"{algorithm}:{entry.name}", status.st_size, status.st_mtime))
    return found


class FileBlobStore:
    """Blobs and uploads under `root`, which is created if need be."""

    def __init__(self, root: Path, *, clock: Clock | None = None, ids: Ids | None = None) -> None:
        self._blobs = root / "blobs"
        self.uploads = root / "uploads"
        self._clock = clock or SystemClock()
        self._ids = ids or RandomIds()
        self._thread = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        #: uploads of this process by id; those of an earlier one are found by their files
        self._running: dict[str, FileUpload] = {}
        #: held where a blob gets or loses its name: what has just been stored again is not deleted for having been unused
        self._naming = threading.Lock()
        _make_directory(self._blobs)
        _make_directory(self.uploads)

    @classmethod
    async def open(cls, root: Path, *, clock: Clock | None = None, ids: Ids | None = None) -> FileBlobStore:
        """The store under `root`, with its directories created off the loop."""
        return await asyncio.to_thread(lambda: cls(root, clock=clock, ids=ids))

    def __repr__(self) -> str:
        return f"FileBlobStore({self._blobs.parent}, {len(self._running)} uploads)"

    async def on_thread(self, fn: Callable[..., R], *arguments: object) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, fn, *arguments)

    def forget(self, upload_id: str) -> None:
        self._running.pop(upload_id, None)

    def file_of(self, digest: str) -> Path | None:
        """Where the blob of that digest lies or would lie; None when it is no digest."""
        parts = split_digest(digest)
        if parts is None:
            return None
        algorithm, digits = parts
        return self._blobs / algorithm / digits[:2] / digits

    def stamp(self, file: int | Path) -> None:
        """Note on a file (or its descriptor) that it was stored or written to just now."""
        now = self._clock.now()
        os.utime(file, (now, now))

    def name(self, arrived: Path, target: Path) -> None:
        """Make a blob of a file that is on the disk already."""
        _make_directory(target.parent)
        with self._naming:
            self.stamp(arrived)
            arrived.rename(target)
        _sync_directory(target.parent)

    # -- uploads ---------------------------------------------------------------------------------------------------------------

    async def begin(self) -> FileUpload:
        upload = FileUpload(self, self._ids.uuid(), 0, hashlib.sha256())
        await self.on_thread(self._create, upload.upload_id)
        self._running[upload.upload_id] = upload
        return upload

    def _create(self, upload_id: str) -> None:
        with room():
            descriptor = os.open(self.uploads / upload_id, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            self.stamp(descriptor)
            os.close(descriptor)

    async def resume(self, upload_id: str) -> FileUpload | None:
        if upload_id in self._running:
            return self._running[upload_id]
        try:
            canonical = str(uuid.UUID(upload_id))
        except ValueError:
            return None
        if canonical != upload_id:  # other spellings of a UUID are no ids of ours
            return None
        found = await self.on_thread(self._hash_again, upload_id)
        if found is None:
            return None
        offset, sha256 = found
        # Somebody else may have resumed it meanwhile: there is one FileUpload per file.
        return self._running.setdefault(upload_id, FileUpload(self, upload_id, offset, sha256))

    def _hash_again(self, upload_id: str) -> tuple[int, hashlib._Hash] | None:
        sha256 = hashlib.sha256()
        offset = 0
        try:
            with (self.uploads / upload_id).open("rb") as file:
                while chunk := file.read(HASH_BYTES):
                    sha256.update(chunk)
                    offset += len(chunk)
        except FileNotFoundError:
            return None
        return offset, sha256

    async def expire_uploads(self, idle_since: float) -> int:
        expired = await self.on_thread(self._expire_uploads, idle_since)
        for upload_id in expired:
            self.forget(upload_id)
        return len(expired)

    def _expire_uploads(self, idle_since: float) -> list[str]:
        expired = []
        for file in self.uploads.iterdir():
            try:
                if file.stat().st_mtime <= idle_since:
                    file.unlink()
                    expired.append(file.name)
            except FileNotFoundError:
                pass  # it was committed or cancelled this very moment
        return expired

    # -- blobs -----------------------------------------------------------------------------------------------------------------

    async def put(self, content: bytes, digest: str) -> int:
        parts = split_digest(digest)
        if parts is None:
            raise InvalidDigest(digest)
        received = digest_of(content, parts[0])
        if received != digest:
            raise DigestMismatch(digest, received)
        await self.on_thread(self._put, content, digest, self._ids.uuid())
        return len(content)

    def _put(self, content: bytes, digest: str, upload_id: str) -> None:
        target = self.file_of(digest)
        assert target is not None
        with room():
            if self._renew(target):
                # Its name may be younger than the last fsync of its directory.
                _sync_directory(target.parent)
                return
            arriving = self.uploads / upload_id
            descriptor = os.open(arriving, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
            try:
                write_all(descriptor, content, 0)
                os.fsync(descriptor)
            except OSError:
                arriving.unlink()
                raise
            finally:
                os.close(descriptor)
            self.name(arriving, target)

    def _renew(self, target: Path) -> bool:
        with self._naming:
            try:
                self.stamp(target)
            except FileNotFoundError:
                return False
            return True

    def size(self, digest: str) -> int | None:
        file = self.file_of(digest)
        if file is None:
            return None
        try:
            return file.stat().st_size
        except FileNotFoundError:
            return None

    def path(self, digest: str) -> Path | None:
        file = self.file_of(digest)
        return file if file is not None and file.exists() else None

    async def read(self, digest: str) -> bytes | None:
        file = self.file_of(digest)
        if file is None:
            return None
        try:
            return await self.on_thread(file.read_bytes)
        except FileNotFoundError:
            return None

    async def stream(self, digest: str, first: int, last: int) -> AsyncIterator[bytes]:
        file = self.file_of(digest)
        if file is None:
            raise NoSuchBlob(digest)
        try:
            descriptor = os.open(file, os.O_RDONLY)
        except FileNotFoundError:
            raise NoSuchBlob(digest) from None
        try:
            while first <= last:
                chunk = await self.on_thread(os.pread, descriptor, min(READ_BYTES, last - first + 1), first)
                if not chunk:
                    return
                first += len(chunk)
                yield chunk
        finally:
            os.close(descriptor)

    async def delete(self, digest: str, *, unused_since: float | None = None) -> bool:
        file = self.file_of(digest)
        return False if file is None else await self.on_thread(self._delete, file, unused_since)

    def _delete(self, file: Path, unused_since: float | None) -> bool:
        with self._naming:
            try:
                if unused_since is not None and file.stat().st_mtime > unused_since:
                    return False
                file.unlink()
            except FileNotFoundError:
                return False
            return True

    async def stored(self) -> AsyncIterator[StoredBlob]:
        for algorithm in await self.on_thread(_names, self._blobs):
            for beginning in await self.on_thread(_names, self._blobs / algorithm):
                for blob in await self.on_thread(_stored_in, self._blobs / algorithm / beginning, algorithm):
                    yield blob

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)
