"""An upload as a file: bytes appended, hashed as they come, and named as a blob once they are on the disk.

Everything that touches the disk or hashes runs on threads of the blob store, one call of an upload after the other.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from longshore.store.blobs import BlobStoreFull, DigestMismatch, InvalidDigest

if TYPE_CHECKING:
    from longshore.store.file_blobs import FileBlobStore

#: sync_file_range(2) of the C library, which Python does not offer; and SYNC_FILE_RANGE_WRITE
_SYNC_FILE_RANGE = getattr(ctypes.CDLL(None), "sync_file_range", None)
_BEGIN_TO_WRITE = 2


@contextmanager
def room() -> Iterator[None]:
    """Call a full disk by its name."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise BlobStoreFull(error.errno, f"no room for more blobs: {error.strerror}") from error
        raise


def write_all(descriptor: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        offset += written
        view = view[written:]


def begin_to_store(descriptor: int, offset: int, count: int) -> None:
    """Ask the kernel to begin to write this part of the file to the disk, and do not wait for it: so there is little left for fsync.

    Without effect where it cannot be done: nothing depends on it.
    """
    if _SYNC_FILE_RANGE is not None:
        _SYNC_FILE_RANGE(descriptor, ctypes.c_int64(offset), ctypes.c_int64(count), _BEGIN_TO_WRITE)


class FileUpload:
    """An upload and the file it goes to. Calls are carried out one after the other."""

    def __init__(self, store: FileBlobStore, upload_id: str, offset: int, sha256: hashlib._Hash) -> None:
        self._store = store
        self._upload_id = upload_id
        self._offset = offset
        self._sha256 = sha256
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"FileUpload({self._upload_id}: {self._offset} bytes)"

    @property
    def upload_id(self) -> str:
        return self._upload_id

    @property
    def offset(self) -> int:
        return self._offset

    @property
    def _path(self) -> Path:
        return self._store.uploads / self._upload_id

    async def write(self, chunk: bytes) -> None:
        async with self._turn:
            await self._store.on_thread(self._write, chunk)

    async def commit(self, digest: str) -> int:
        async with self._turn:
            await self._store.on_thread(self._commit, digest)
            self._store.forget(self._upload_id)
            return self._offset

    async def cancel(self) -> None:
        async with self._turn:
            self._store.forget(self._upload_id)
            await self._store.on_thread(self._path.unlink, True)

    # -- on a thread -----------------------------------------------------------------------------------------------------------

    def _write(self, chunk: bytes) -> None:
        with room():
            descriptor = os.open(self._path, os.O_WRONLY)
            try:
                write_all(descriptor, chunk, self._offset)
                begin_to_store(descriptor, self._offset, len(chunk))
                self._store.stamp(descriptor)
            except OSError:
                os.ftruncate(descriptor, self._offset)
                raise
            finally:
                os.close(descriptor)
        self._sha256.update(chunk)
        self._offset += len(chunk)

    def _commit(self, digest: str) -> None:
        target = self._store.file_of(digest)
        if target is None:
            raise InvalidDigest(digest)
        received = f"sha256:{self._sha256.hexdigest()}"
        if digest.startswith("sha512:"):
            with self._path.open("rb") as file:
                received = f"sha512:{hashlib.file_digest(file, 'sha512').hexdigest()}"
        if received != digest:
            raise DigestMismatch(digest, received)
        with room():
            descriptor = os.open(self._path, os.O_WRONLY)
            try:
                os.fchmod(descriptor, 0o444)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            self._store.name(self._path, target)
