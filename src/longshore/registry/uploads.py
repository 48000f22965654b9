"""Uploads: bytes on their way to becoming a blob, in one request, as a stream or chunk by chunk.

An upload's reference is its id in the blob store sealed together with the repository, so it works for nothing else and
cannot be guessed, and no row is written for it: it goes on after a restart of the server as if nothing had happened. When
it is finished the blob is durable first, and only then does the repository name it.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from longshore.kit.clock import Clock
from longshore.kit.sealing import Keys, newest, secrets_of
from longshore.registry.access import Access, Visit
from longshore.registry.body import receive
from longshore.registry.creation import repository_for_push
from longshore.registry.errors import (
    BlobUploadUnknown,
    DigestInvalid,
    NameInvalid,
    RangeInvalid,
    SizeInvalid,
    TooLarge,
)
from longshore.registry.ranges import chunk_range, received_range
from longshore.services.ecr.content import check_place, content_of, shares_content
from longshore.services.ecr.images import find_repository, mount_blob, record_blob
from longshore.services.ecr.model import REPOSITORIES, REPOSITORY_BLOBS, Repository, image_key
from longshore.services.ecr.names import RepositoryId, is_digest
from longshore.services.ecr.settings.rules import mounts_blobs
from longshore.store.base import Store, Tx
from longshore.store.blobs import BlobStore, BlobUpload, DigestMismatch

log = logging.getLogger("longshore.registry")

#: ECR's quota for one layer
LARGEST_BLOB = 52_000 * 1024 * 1024
_ALGORITHMS = ("sha256", "sha512")
_SEAL_DIGITS = 32
#: an upload nobody has touched for so long is closed; the blob store finds it again when somebody comes back
_OPEN_FOR_S = 900.0
#: repositories looked at for a blob that is to be mounted from anywhere
_MOST_SOURCES = 50


@dataclass(slots=True)
class _Session:
    """An upload that is open in this process. One request at a time writes to it."""

    upload: BlobUpload
    #: as it was when the upload was begun, or taken up by this process
    repository: Repository
    touched_at: float
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Uploads:
    def __init__(self, *, store: Store, blobs: BlobStore, clock: Clock, access: Access, secret: Keys) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._access = access
        self._secret = secret
        self._sessions: dict[str, _Session] = {}

    async def start(self, visit: Visit) -> web.StreamResponse:
        """POST: a new upload; or the whole blob at once (`digest`); or no upload at all, where a blob can be mounted (`mount`)."""
        self._access.require(visit, "InitiateLayerUpload")
        repository = await repository_for_push(self._store, self._access, visit, self._clock.now())
        query = visit.request.rel_url.query
        algorithm = query.get("digest-algorithm")
        if algorithm is not None and algorithm not in _ALGORITHMS:
            raise DigestInvalid(f"the digest algorithm {algorithm[:40]!r} is not supported: {' and '.join(_ALGORITHMS)} are")
        mounted = query.get("mount")
        if mounted is not None and await self._mount(visit, repository, _checked(mounted), query.get("from")):
            return _created(visit, mounted)
        digest = query.get("digest")
        if digest is not None:
            return await self._whole(visit, repository, _checked(digest))
        self._close_idle()
        upload = await content_of(self._blobs, repository).begin()
        self._sessions[upload.upload_id] = _Session(upload, repository, self._clock.now())
        return self._accepted(visit, upload)

    async def append(self, visit: Visit) -> web.StreamResponse:
        """PATCH: more bytes. With a Content-Range they must follow on what is there; without, they are simply appended."""
        self._access.require(visit, "UploadLayerPart")
        async with self._held(visit) as session:
            await self._receive(visit, session)
            return self._accepted(visit, session.upload)

    async def finish(self, visit: Visit) -> web.StreamResponse:
        """PUT: the last bytes, if any, and the digest that all of them together must have."""
        self._access.require(visit, "CompleteLayerUpload")
        digest = _checked(visit.request.rel_url.query.get("digest") or "")
        try:
            async with self._held(visit) as session:
                await self._receive(visit, session)
                await self._complete(session.repository, session.upload, digest)
        except BlobUploadUnknown:
            if not self._was_finished(visit, digest):
                raise
        return _created(visit, digest)

    async def status(self, visit: Visit) -> web.StreamResponse:
        """GET: how far it has come."""
        self._access.require(visit, "UploadLayerPart")
        session = await self._open(visit)
        return web.Response(status=204, headers=self._progress(visit, session.upload))

    async def cancel(self, visit: Visit) -> web.StreamResponse:
        self._access.require(visit, "UploadLayerPart")
        async with self._held(visit) as session:
            del self._sessions[session.upload.upload_id]
            await session.upload.cancel()
        return web.Response(status=204)

    async def _whole(self, visit: Visit, repository: Repository, digest: str) -> web.StreamResponse:
        self._access.require(visit, "UploadLayerPart")
        self._access.require(visit, "CompleteLayerUpload")
        upload = await content_of(self._blobs, repository).begin()
        try:
            await receive(visit.request, LARGEST_BLOB, upload.write)
        except BaseException:
            # The client was never told of this upload, so it cannot come back to it.
            await upload.cancel()
            raise
        await self._complete(repository, upload, digest)
        return _created(visit, digest)

    async def _receive(self, visit: Visit, session: _Session) -> None:
        """The request's body, checked against its Content-Range. What came before a connection broke stays, to be continued."""
        upload, request = session.upload, visit.request
        chunk = chunk_range(request.headers.get("Content-Range"))
        length = request.content_length
        if chunk is not None:
            first, last = chunk
            if first != upload.offset:
                raise RangeInvalid(
                    f"the chunk begins at byte {first}, but {upload.offset} bytes have been received", headers=self._progress(visit, upload)
                )
            if length is not None and length != last - first + 1:
                raise SizeInvalid(f"the chunk has {length} bytes, its Content-Range says {last - first + 1}")
        if upload.offset + (length or 0) > LARGEST_BLOB:
            raise TooLarge(f"a layer may have at most {LARGEST_BLOB} bytes")
        await receive(request, LARGEST_BLOB - upload.offset, upload.write)
        session.touched_at = self._clock.now()
        if chunk is not None and upload.offset != chunk[1] + 1:
            raise SizeInvalid(
                f"the chunk ended at byte {upload.offset - 1}, its Content-Range says {chunk[1]}", headers=self._progress(visit, upload)
            )

    async def _complete(self, repository: Repository, upload: BlobUpload, digest: str) -> None:
        meant = RepositoryId(repository.region, repository.account_id, repository.name)
        try:
            size = await upload.commit(digest)
        except DigestMismatch as mismatch:
            await upload.cancel()
            raise DigestInvalid(f"the digest {digest} was announced, the bytes received have {mismatch.received}") from mismatch
        finally:
            # Not before: until then whoever else names this upload has to find it taken.
            self._sessions.pop(upload.upload_id, None)
        now = self._clock.now()

        def name(tx: Tx) -> None:
            check_place(tx, repository)
            record_blob(tx, meant, digest, size, now)

        await self._store.transact(name)

    async def _mount(self, visit: Visit, repository: Repository, digest: str, source: str | None) -> bool:
        """Show a blob of another repository here: `source` as named, or whichever has it that the caller may read.

        The client is told to upload it (False) where that is not to be done, or cannot.
        """
        if not mounts_blobs(self._store, visit.repository.region, visit.repository.account_id):
            return False
        if source is not None:
            try:
                candidates = [self._access.repository(visit.request.host, source)]
            except NameInvalid:
                return False
        else:
            candidates = self._showing(digest)
        here = visit.repository
        readable = [
            each.key
            for each in candidates
            if (each.account_id, each.region) == (here.account_id, here.region)
            and self._access.refusal(visit.principal, each, "GetDownloadUrlForLayer", visit.origin) is None
        ]
        # From here on it is not collected, though it may be only the source that names it.
        if not readable or await content_of(self._blobs, repository).keep(digest) is None:
            return False
        now = self._clock.now()

        def mount(tx: Tx) -> bool:
            check_place(tx, repository)
            return mount_blob(tx, here, digest, readable, now) is not None

        return await self._store.transact(mount)

    def _showing(self, digest: str) -> list[RepositoryId]:
        """Repositories that have the blob, of whatever account; not all of them where it is in very many."""
        held = self._store.list(REPOSITORY_BLOBS, "digest", digest, limit=_MOST_SOURCES)
        repositories = (self._store.get(REPOSITORIES, each.repository) for each in held)
        return [RepositoryId(each.region, each.account_id, each.name) for each in repositories if each is not None]

    @asynccontextmanager
    async def _held(self, visit: Visit) -> AsyncIterator[_Session]:
        """The session that the path names, for this request alone. Raises BlobUploadUnknown, also when it ended while we waited."""
        session = await self._open(visit)
        async with session.lock:
            if self._sessions.get(session.upload.upload_id) is not session:
                raise BlobUploadUnknown
            yield session

    async def _open(self, visit: Visit) -> _Session:
        """The session that the path names. Raises BlobUploadUnknown."""
        repository = find_repository(self._store, visit.repository)
        upload_id = self._unsealed(visit)
        session = self._sessions.get(upload_id)
        if session is None:
            upload = await content_of(self._blobs, repository).resume(upload_id)
            if upload is None:
                raise BlobUploadUnknown
            session = self._sessions.setdefault(upload_id, _Session(upload, repository, 0.0))
        if not shares_content(session.repository, repository):
            raise BlobUploadUnknown
        session.touched_at = self._clock.now()
        return session

    def _was_finished(self, visit: Visit, digest: str) -> bool:
        """Whether a PUT is the repetition of one that was answered, but whose answer got lost."""
        self._unsealed(visit)
        return self._store.get(REPOSITORY_BLOBS, image_key(visit.repository.key, digest)) is not None

    def _close_idle(self) -> None:
        before = self._clock.now() - _OPEN_FOR_S
        for upload_id, session in list(self._sessions.items()):
            if session.touched_at < before and not session.lock.locked():
                del self._sessions[upload_id]

    def _sealed(self, visit: Visit, upload_id: str) -> str:
        return f"{upload_id}.{_seal(newest(self._secret), visit, upload_id)}"

    def _unsealed(self, visit: Visit) -> str:
        """The upload's id, where this server gave it out for this repository. Raises BlobUploadUnknown."""
        upload_id, _, seal = visit.reference.rpartition(".")
        if not visit.reference.isascii():
            raise BlobUploadUnknown
        if not any(hmac.compare_digest(seal, _seal(one, visit, upload_id)) for one in secrets_of(self._secret)):
            raise BlobUploadUnknown
        return upload_id

    def _progress(self, visit: Visit, upload: BlobUpload) -> dict[str, str]:
        return {
            "Location": f"{visit.base}/blobs/uploads/{self._sealed(visit, upload.upload_id)}",
            "Range": received_range(upload.offset),
            "Docker-Upload-UUID": upload.upload_id,
        }

    def _accepted(self, visit: Visit, upload: BlobUpload) -> web.StreamResponse:
        return web.Response(status=202, headers=self._progress(visit, upload))


def _checked(digest: str) -> str:
    if not is_digest(digest):
        raise DigestInvalid(f"{digest[:150]!r} is not a supported digest")
    return digest


def _seal(secret: bytes, visit: Visit, upload_id: str) -> str:
    message = f"registry-upload\0{visit.repository.key}\0{upload_id}".encode()
    return hmac.digest(secret, message, "sha256").hex()[:_SEAL_DIGITS]


def _created(visit: Visit, digest: str) -> web.StreamResponse:
    return web.Response(status=201, headers={"Location": f"{visit.base}/blobs/{digest}", "Docker-Content-Digest": digest})
