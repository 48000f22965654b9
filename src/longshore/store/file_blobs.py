"""Blobs as files, and uploads beside them while they arrive.

    blobs/…                 the plain ones            (store/shelf.py says how a set of blobs lies below its directory)
    keyed/<key id>/…        those encrypted with that data key
    uploads/<id>            what arrives for the plain ones; <key id>.<id> for the others
    trash/…  quarantine/…   what was deleted and what was found broken, by the same names

A blob exists once its file has its name, and gets its name only after its bytes are on the disk: verify, fsync the file, rename,
fsync the directory. A crash at any moment leaves whole blobs, and uploads that can be resumed or swept away. Everything that
touches the disk or hashes runs on threads of this store's own.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import shutil
import threading
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from longshore.kit.clock import Clock, SystemClock
from longshore.kit.data_keys import SealedKey, open_data_key
from longshore.kit.ids import Ids, RandomIds
from longshore.kit.sealing import Keys, SealBroken
from longshore.store.blobs import BlobBroken, BlobStore, DigestMismatch, InvalidDigest, NoSuchBlob, Place, digest_of, split_digest
from longshore.store.file_uploads import FileUpload, room, write_all
from longshore.store.sealed_blobs import SealedBlobs
from longshore.store.sealed_uploads import TAIL
from longshore.store.shelf import Shelf, make_directory, sync_directory, usage_of
from longshore.store.shelved import Shelved

log = logging.getLogger("longshore.store.blobs")

R = TypeVar("R")

READ_BYTES = 1 << 20
HASH_BYTES = 1 << 22
THREADS = 4
#: sets of encrypted blobs held ready; opening a key takes a tenth of a millisecond
_KEYS_HELD = 1024


class FileBlobStore(Shelved):
    """Blobs and uploads under `root`, which is created if need be. `secret` is the installation's, which opens data keys."""

    def __init__(self, root: Path, *, clock: Clock | None = None, ids: Ids | None = None, secret: Keys = b"") -> None:
        self._root = root
        self.uploads = root / "uploads"
        self._clock = clock or SystemClock()
        self._ids = ids or RandomIds()
        self._secret = secret
        self._thread = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        #: uploads of this process by id; those of an earlier one are found by their files
        self._running: dict[str, FileUpload] = {}
        self._naming = threading.Lock()
        #: by the id of their data key, which is the same when that is sealed anew
        self._keyed: OrderedDict[str, SealedBlobs] = OrderedDict()
        super().__init__(self._shelf_at("blobs"), self)
        make_directory(root / "blobs")
        make_directory(self.uploads)

    @classmethod
    async def open(cls, root: Path, *, clock: Clock | None = None, ids: Ids | None = None, secret: Keys = b"") -> FileBlobStore:
        """The store under `root`, with its directories created off the loop."""
        return await asyncio.to_thread(lambda: cls(root, clock=clock, ids=ids, secret=secret))

    def __repr__(self) -> str:
        return f"FileBlobStore({self._root}, {len(self._running)} uploads)"

    def _shelf_at(self, where: str) -> Shelf:
        root = self._root
        return Shelf(root / where, root / "trash" / where, root / "quarantine" / where, clock=self._clock, naming=self._naming)

    async def on_thread(self, fn: Callable[..., R], *arguments: object) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, fn, *arguments)

    def content_bytes(self, occupied: int) -> int:
        return occupied

    # -- for uploads -----------------------------------------------------------------------------------------------------------

    def forget(self, upload_id: str) -> None:
        self._running.pop(upload_id, None)

    def file_of(self, digest: str) -> Path | None:
        """Where the blob of that digest lies or would lie; None when it is no digest."""
        return self._shelf.file_of(digest)

    def stamp(self, file: int | Path) -> None:
        """Note on a file (or its descriptor) that it was stored or written to just now."""
        self._shelf.stamp(file)

    def name(self, arrived: Path, target: Path) -> None:
        """Make a blob of a file that is on the disk already."""
        self._shelf.name(arrived, target)

    def new_upload_id(self) -> str:
        return self._ids.uuid()

    def is_upload_id(self, text: str) -> bool:
        try:
            return str(uuid.UUID(text)) == text  # other spellings of a UUID are no ids of ours
        except ValueError:
            return False

    def write_new(self, file: Path, content: bytes) -> None:
        """The beginning of an upload."""
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            write_all(descriptor, content, 0)
            self.stamp(descriptor)
        except OSError:
            file.unlink()
            raise
        finally:
            os.close(descriptor)

    def write_whole(self, file: Path, pieces: Iterable[bytes]) -> None:
        """A file that is on the disk on return, and not there at all when that fails."""
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        try:
            offset = 0
            for piece in pieces:
                write_all(descriptor, piece, offset)
                offset += len(piece)
            os.fsync(descriptor)
        except OSError:
            file.unlink()
            raise
        finally:
            os.close(descriptor)

    def sync_name(self, target: Path) -> None:
        """Have a name on the disk that may be younger than the last fsync of its directory."""
        sync_directory(target.parent)

    # -- uploads ---------------------------------------------------------------------------------------------------------------

    async def begin(self) -> FileUpload:
        upload = FileUpload(self, self.new_upload_id(), 0, hashlib.sha256())
        await self.on_thread(self._create, upload.upload_id)
        self._running[upload.upload_id] = upload
        return upload

    def _create(self, upload_id: str) -> None:
        with room():
            self.write_new(self.uploads / upload_id, b"")

    async def resume(self, upload_id: str) -> FileUpload | None:
        if upload_id in self._running:
            return self._running[upload_id]
        if not self.is_upload_id(upload_id):
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
        for name in expired:
            key_id, _, upload_id = name.rpartition(".")
            self.forget(upload_id)
            for sealed in [sealed for held, sealed in self._keyed.items() if held == key_id]:
                sealed.forget(upload_id)
        return len(expired)

    def _expire_uploads(self, idle_since: float) -> list[str]:
        expired = []
        for file in self.uploads.iterdir():
            if TAIL in file.name:
                _expire_tail(file)
                continue
            try:
                if file.stat().st_mtime <= idle_since:
                    file.unlink()
                    file.with_name(file.name + TAIL).unlink(missing_ok=True)
                    expired.append(file.name)
            except FileNotFoundError:
                pass  # it was committed or cancelled this very moment
        return expired

    async def arriving(self) -> Place:
        return await self.on_thread(usage_of, self.uploads)

    # -- sets of encrypted blobs -----------------------------------------------------------------------------------------------

    def keyed(self, key: SealedKey) -> BlobStore:
        held = self._keyed.get(key.id)
        if held is None:
            shelf = self._shelf_at(f"keyed/{key.id}")
            try:
                data_key = open_data_key(self._secret, key)
            except SealBroken:
                raise BlobBroken(f"data key {key.id} does not open: it was sealed by another key than this installation's") from None
            held = self._keyed[key.id] = SealedBlobs(self, shelf, key.id, data_key)
            self._let_go_of_keys(besides=key.id)
        self._keyed.move_to_end(key.id)
        return held

    def _let_go_of_keys(self, besides: str) -> None:
        """Of those unused for longest, as far as there are too many; not where an upload is under way."""
        many = len(self._keyed) - _KEYS_HELD
        if many > 0:
            idle = [key for key, sealed in self._keyed.items() if sealed.is_idle and key != besides]
            for key in idle[:many]:
                del self._keyed[key]

    async def key_ids(self) -> list[str]:
        return await self.on_thread(self._key_ids)

    def _key_ids(self) -> list[str]:
        keyed = self._root / "keyed"
        return sorted(entry.name for entry in keyed.iterdir()) if keyed.is_dir() else []

    async def forget_key(self, key_id: str) -> Place:
        self._keyed.pop(key_id, None)
        return await self.on_thread(self._forget_key, key_id)

    def _forget_key(self, key_id: str) -> Place:
        for name in os.listdir(self.uploads):
            if name.startswith(f"{key_id}."):
                (self.uploads / name).unlink(missing_ok=True)
        if key_id not in self._key_ids():
            return Place(0, 0)
        place = self._occupied_by(key_id)
        for directory in self._directories_of(key_id):
            shutil.rmtree(directory, ignore_errors=True)
        return place

    async def occupied_by(self, key_id: str) -> Place:
        return await self.on_thread(self._occupied_by, key_id)

    def _occupied_by(self, key_id: str) -> Place:
        places = [usage_of(directory) for directory in self._directories_of(key_id)]
        return Place(sum(place.files for place in places), sum(place.bytes for place in places))

    def _directories_of(self, key_id: str) -> list[Path]:
        """The one that tells of the key comes last: what is interrupted is taken up again."""
        return [self._root / root / "keyed" / key_id for root in ("trash", "quarantine", "")]

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
            if self._shelf.keep(target) and target.read_bytes() == content:
                self.sync_name(target)
                return
            arriving = self.uploads / upload_id
            self.write_whole(arriving, (content,))
            self.name(arriving, target)

    def path(self, digest: str) -> Path | None:
        file = self.file_of(digest)
        return file if file is not None and file.exists() else None

    async def read(self, digest: str) -> bytes | None:
        file = self.file_of(digest)
        return None if file is None else await self.on_thread(_read, file, digest)

    async def stream(self, digest: str, first: int, last: int) -> AsyncIterator[bytes]:
        file = self.file_of(digest)
        if file is None:
            raise NoSuchBlob(digest)
        try:
            descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
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

    async def close(self) -> None:
        await asyncio.to_thread(self._thread.shutdown)


def _read(file: Path, digest: str) -> bytes | None:
    """A file whole; None when it is not there, or its bytes are not those of its digest."""
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    if digest_of(content, digest.partition(":")[0]) == digest:
        return content
    log.error("%s: the bytes in %s are others", digest, file)
    return None


def _expire_tail(file: Path) -> None:
    """What is left of an upload that is gone."""
    upload = file.with_name(file.name.partition(TAIL)[0])
    if not upload.exists():
        file.unlink(missing_ok=True)
