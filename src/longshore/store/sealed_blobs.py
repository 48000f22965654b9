"""Blobs of repositories with a data key: encrypted on the disk, plain to whoever asks here.

A set of its own per data key, beside the plain blobs. There is no file to send from; ranges are read by opening the chunks
they touch, a MiB at a time, so memory stays small however large the blob is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

from longshore.kit.data_keys import SealedKey
from longshore.store.blobs import BlobBroken, BlobStore, DigestMismatch, InvalidDigest, NoSuchBlob, digest_of, split_digest
from longshore.store.chunks import CHUNK_BYTES, HEADER_BYTES, SEALED_CHUNK_BYTES, Chunks, content_bytes, last_chunk, place_of
from longshore.store.file_uploads import room
from longshore.store.sealed_uploads import SealedUpload, found_again
from longshore.store.shelf import Shelf
from longshore.store.shelved import Shelved

if TYPE_CHECKING:
    from longshore.store.file_blobs import FileBlobStore

log = logging.getLogger("longshore.store.blobs")

#: chunks read and opened at a stretch
_CHUNKS_AT_ONCE = 16


class SealedBlobs(Shelved):
    def __init__(self, depot: FileBlobStore, shelf: Shelf, key_id: str, data_key: bytes) -> None:
        super().__init__(shelf, depot)
        self._depot = depot
        self._key_id = key_id
        self._data_key = data_key
        #: uploads of this process by id; those of an earlier one are found by their files
        self._running: dict[str, SealedUpload] = {}

    def __repr__(self) -> str:
        return f"SealedBlobs({self._key_id}, {len(self._running)} uploads)"

    @property
    def is_idle(self) -> bool:
        return not self._running

    def content_bytes(self, occupied: int) -> int:
        return content_bytes(occupied)

    def keyed(self, key: SealedKey) -> BlobStore:
        return self._depot.keyed(key)

    # -- uploads ---------------------------------------------------------------------------------------------------------------

    async def begin(self) -> SealedUpload:
        upload_id = self._depot.new_upload_id()
        upload = SealedUpload(self, upload_id, self._arriving(upload_id), Chunks.new(self._data_key))
        await self._threads.on_thread(upload.create)
        self._running[upload_id] = upload
        return upload

    async def resume(self, upload_id: str) -> SealedUpload | None:
        if upload_id in self._running:
            return self._running[upload_id]
        if not self._depot.is_upload_id(upload_id):
            return None
        found = await self._threads.on_thread(found_again, self, upload_id, self._arriving(upload_id), self._data_key)
        # Somebody else may have resumed it meanwhile: there is one upload per file.
        return None if found is None else self._running.setdefault(upload_id, found)

    def forget(self, upload_id: str) -> None:
        self._running.pop(upload_id, None)

    def _arriving(self, upload_id: str) -> Path:
        return self._depot.uploads / f"{self._key_id}.{upload_id}"

    # -- for its uploads -------------------------------------------------------------------------------------------------------

    @property
    def shelf(self) -> Shelf:
        return self._shelf

    @property
    def depot(self) -> FileBlobStore:
        return self._depot

    # -- blobs -----------------------------------------------------------------------------------------------------------------

    async def put(self, content: bytes, digest: str) -> int:
        parts = split_digest(digest)
        if parts is None:
            raise InvalidDigest(digest)
        received = digest_of(content, parts[0])
        if received != digest:
            raise DigestMismatch(digest, received)
        await self._threads.on_thread(self._put, content, digest)
        return len(content)

    def _put(self, content: bytes, digest: str) -> None:
        target = self._shelf.file_of(digest)
        assert target is not None
        with room():
            if self._shelf.keep(target) and self._opened(target) == content:
                self._depot.sync_name(target)
                return
            arriving = self._arriving(self._depot.new_upload_id())
            self._depot.write_whole(arriving, Chunks.new(self._data_key).seal_all(content))
            self._shelf.name(arriving, target)

    async def read(self, digest: str) -> bytes | None:
        file = self._shelf.file_of(digest)
        content = None if file is None else await self._threads.on_thread(self._opened, file)
        if content is None or digest_of(content, digest.partition(":")[0]) == digest:
            return content
        log.error("%s: the bytes of an encrypted blob are not those of its digest", digest)
        return None

    def _opened(self, file: Path) -> bytes | None:
        """The content of a file; None when there is none, or it is broken."""
        try:
            sealed = file.read_bytes()
        except FileNotFoundError:
            return None
        try:
            chunks = Chunks(self._data_key, sealed[:HEADER_BYTES])
            end = last_chunk(content_bytes(len(sealed)))
            view = memoryview(sealed)
            return b"".join(
                chunks.open(number, view[place_of(number) : place_of(number + 1)], last=number == end) for number in range(end + 1)
            )
        except BlobBroken as broken:
            log.error("%s: %s", file, broken)
            return None

    def path(self, digest: str) -> Path | None:
        return None

    async def stream(self, digest: str, first: int, last: int) -> AsyncIterator[bytes]:
        """As the protocol has it; raises BlobBroken where a chunk does not open."""
        file = self._shelf.file_of(digest)
        if file is None:
            raise NoSuchBlob(digest)
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NoSuchBlob(digest) from None
        try:
            chunks = Chunks(self._data_key, await self._threads.on_thread(os.pread, descriptor, HEADER_BYTES, 0))
            size = content_bytes(os.fstat(descriptor).st_size)
            last = min(last, size - 1)
            if size == 0:  # its one chunk says whether it is meant to be empty
                await self._threads.on_thread(_opened_at, descriptor, chunks, 0, 0, 0)
            number = first // CHUNK_BYTES
            while number * CHUNK_BYTES <= last:
                until = min(last // CHUNK_BYTES, number + _CHUNKS_AT_ONCE - 1)
                content = await self._threads.on_thread(_opened_at, descriptor, chunks, number, until, last_chunk(size))
                begins = number * CHUNK_BYTES
                yield content[max(0, first - begins) : last + 1 - begins]
                number = until + 1
        finally:
            os.close(descriptor)


def _opened_at(descriptor: int, chunks: Chunks, number: int, until: int, end: int) -> bytes:
    """The content of chunks `number` to `until` of a file whose last one is `end`. Raises BlobBroken."""
    sealed = memoryview(os.pread(descriptor, (until - number + 1) * SEALED_CHUNK_BYTES, place_of(number)))
    return b"".join(
        chunks.open(number + at, sealed[at * SEALED_CHUNK_BYTES : (at + 1) * SEALED_CHUNK_BYTES], last=number + at == end)
        for at in range(until - number + 1)
    )
