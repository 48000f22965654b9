"""An upload that is encrypted as it comes: full chunks go to the file, what does not fill one waits beside it.

    uploads/<key id>.<upload id>        header and full chunks
    uploads/<key id>.<upload id>.tail   the bytes after them, one sealed record, replaced whole

No byte of the content is on the disk in plain, not even for a moment. What a client was told is received survives a restart:
chunks are written before the tail that follows on them, and a tail says after how many chunks it comes. If it comes after
fewer than there are, the server ended between the two and its bytes are in the chunk that is there.

The last chunk is sealed as such when the upload is committed, so at least one byte is held back until then.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from longshore.store.blobs import BlobBroken, DigestMismatch, InvalidDigest
from longshore.store.chunks import CHUNK_BYTES, HEADER_BYTES, SEALED_CHUNK_BYTES, Chunks, place_of
from longshore.store.file_uploads import room, write_all

if TYPE_CHECKING:
    from longshore.store.sealed_blobs import SealedBlobs

TAIL = ".tail"
#: what a tail is numbered as when it is sealed: no chunk has that number, so neither passes for the other
_TAIL_NUMBER = 1 << 63
_COUNT_BYTES = 8


class SealedUpload:
    """An upload and the file it goes to. Calls are carried out one after the other."""

    def __init__(self, store: SealedBlobs, upload_id: str, file: Path, chunks: Chunks) -> None:
        self._store = store
        self._upload_id = upload_id
        self._file = file
        self._chunks = chunks
        #: chunks that are in the file
        self._full = 0
        self._tail = b""
        self._sha256 = hashlib.sha256()
        self._turn = asyncio.Lock()

    def __repr__(self) -> str:
        return f"SealedUpload({self._upload_id}: {self.offset} bytes)"

    @property
    def upload_id(self) -> str:
        return self._upload_id

    @property
    def offset(self) -> int:
        return self._full * CHUNK_BYTES + len(self._tail)

    async def write(self, chunk: bytes) -> None:
        async with self._turn:
            await self._store.depot.on_thread(self._write, chunk)

    async def commit(self, digest: str) -> int:
        async with self._turn:
            await self._store.depot.on_thread(self._commit, digest)
            self._store.forget(self._upload_id)
            return self.offset

    async def cancel(self) -> None:
        async with self._turn:
            self._store.forget(self._upload_id)
            await self._store.depot.on_thread(self._remove)

    # -- on a thread -----------------------------------------------------------------------------------------------------------

    def create(self) -> None:
        with room():
            self._store.depot.write_new(self._file, self._chunks.header)

    def _write(self, chunk: bytes) -> None:
        content = self._tail + chunk
        # Chunks are sealed once something follows on them: which one is the last is known at the end only.
        full = max(0, len(content) - 1) // CHUNK_BYTES
        view = memoryview(content)
        with room():
            descriptor = os.open(self._file, os.O_WRONLY | os.O_CLOEXEC)
            try:
                sealed = (
                    self._chunks.seal(self._full + at, view[at * CHUNK_BYTES : (at + 1) * CHUNK_BYTES], last=False) for at in range(full)
                )
                write_all(descriptor, b"".join(sealed), place_of(self._full))
                self._store.shelf.stamp(descriptor)
                self._write_tail(self._full + full, content[full * CHUNK_BYTES :])
            except OSError:
                os.ftruncate(descriptor, place_of(self._full))
                raise
            finally:
                os.close(descriptor)
        self._sha256.update(chunk)
        self._full += full
        self._tail = content[full * CHUNK_BYTES :]

    def _write_tail(self, after: int, content: bytes) -> None:
        beside = self._file.with_name(f"{self._file.name}{TAIL}.new")
        sealed = self._chunks.seal(_TAIL_NUMBER, after.to_bytes(_COUNT_BYTES, "big") + content, last=False)
        try:
            beside.write_bytes(sealed)
            beside.replace(tail_of(self._file))
        except OSError:
            beside.unlink(missing_ok=True)
            raise

    def _commit(self, digest: str) -> None:
        target = self._store.shelf.file_of(digest)
        if target is None:
            raise InvalidDigest(digest)
        received = f"sha256:{self._sha256.hexdigest()}" if digest.startswith("sha256:") else self._sha512()
        if received != digest:
            raise DigestMismatch(digest, received)
        with room():
            descriptor = os.open(self._file, os.O_RDWR | os.O_CLOEXEC)
            try:
                write_all(descriptor, self._chunks.seal(self._full, self._tail, last=True), place_of(self._full))
                os.fchmod(descriptor, 0o444)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, place_of(self._full))
                os.fchmod(descriptor, 0o600)
                raise
            finally:
                os.close(descriptor)
            self._store.shelf.name(self._file, target)
        tail_of(self._file).unlink(missing_ok=True)

    def _sha512(self) -> str:
        hashed = hashlib.sha512()
        with self._file.open("rb") as file:
            file.seek(HEADER_BYTES)
            for number in range(self._full):
                hashed.update(self._chunks.open(number, file.read(SEALED_CHUNK_BYTES), last=False))
        hashed.update(self._tail)
        return f"sha512:{hashed.hexdigest()}"

    def _remove(self) -> None:
        self._file.unlink(missing_ok=True)
        tail_of(self._file).unlink(missing_ok=True)

    def take_up(self) -> None:
        """Be what the files say, after a restart. Raises FileNotFoundError, and BlobBroken for a torn tail."""
        held_back = b""
        with self._file.open("rb") as file:
            file.seek(HEADER_BYTES)
            while len(sealed := file.read(SEALED_CHUNK_BYTES)) == SEALED_CHUNK_BYTES:
                try:
                    content = self._chunks.open(self._full, sealed, last=False)
                except BlobBroken:
                    break  # the last chunk of a commit that did not come about; it is sealed anew
                self._sha256.update(held_back)
                held_back = content
                self._full += 1
        try:
            record = self._chunks.open(_TAIL_NUMBER, tail_of(self._file).read_bytes(), last=False)
        except FileNotFoundError:
            record = b""
        if record[:_COUNT_BYTES] == self._full.to_bytes(_COUNT_BYTES, "big"):
            self._sha256.update(held_back)
            held_back = record[_COUNT_BYTES:]
        elif self._full:
            self._full -= 1
        self._sha256.update(held_back)
        self._tail = held_back
        self._file.chmod(0o600)


def tail_of(file: Path) -> Path:
    return file.with_name(file.name + TAIL)


def found_again(store: SealedBlobs, upload_id: str, file: Path, data_key: bytes) -> SealedUpload | None:
    """The upload whose file that is; None when there is none, or it is not one of this data key's."""
    try:
        with file.open("rb") as opened:
            chunks = Chunks(data_key, opened.read(HEADER_BYTES))
        upload = SealedUpload(store, upload_id, file, chunks)
        upload.take_up()
    except (FileNotFoundError, BlobBroken):
        return None
    return upload
