"""Where layer and manifest bytes lie: content-addressed, written once, never changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple, Protocol

_DIGEST = re.compile(r"(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128})")


def split_digest(digest: str) -> tuple[str, str] | None:
    """Algorithm and hexadecimal digits of a digest; None for anything else, so that no digest can name another path."""
    found = _DIGEST.fullmatch(digest)
    if found is None:
        return None
    return (found[1], found[2]) if found[1] else (found[3], found[4])


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


class InvalidDigest(ValueError):
    """Not a digest of the form sha256:<64 lower-case hexadecimal digits> or sha512:<128 of them>."""


class NoSuchBlob(LookupError):
    """There is no blob of that digest."""


class BlobStoreFull(OSError):
    """The disk has no room for more; what was there before is untouched."""


class BlobUpload(Protocol):
    """Bytes on their way to becoming a blob. Survives a restart: `BlobStore.resume` finds it again by its id."""

    @property
    def upload_id(self) -> str: ...

    @property
    def offset(self) -> int:
        """Bytes received so far."""

    async def write(self, chunk: bytes) -> None:
        """Append. Every call costs a hop to another thread, so large chunks (256 KiB to 4 MiB) are best. Raises BlobStoreFull."""

    async def commit(self, digest: str) -> int:
        """Verify `digest` (sha256:… or sha512:…), make the blob durable and return its size in bytes.

        Raises DigestMismatch or InvalidDigest, and the upload can go on or be cancelled; BlobStoreFull.
        """

    async def cancel(self) -> None:
        """Throw away what was received."""


class StoredBlob(NamedTuple):
    digest: str
    size: int
    #: when it was last stored (again), seconds since the epoch: `put` and `commit` renew it for bytes that were there already
    stored_at: float


class DigestMismatch(Exception):
    """The bytes received do not have the digest they were announced with."""

    def __init__(self, expected: str, received: str) -> None:
        super().__init__(f"expected {expected}, received {received}")
        self.expected = expected
        self.received = received


class BlobStore(Protocol):
    async def begin(self) -> BlobUpload: ...

    async def resume(self, upload_id: str) -> BlobUpload | None:
        """The upload begun before under this id, be it before a restart; None when there is none."""

    async def put(self, content: bytes, digest: str) -> int:
        """Store a small blob whole; durable on return. Storing what is there already is fine.

        Raises DigestMismatch, InvalidDigest or BlobStoreFull.
        """

    def size(self, digest: str) -> int | None:
        """Bytes, or None when there is no such blob."""

    async def read(self, digest: str) -> bytes | None:
        """A small blob (a manifest) whole."""

    def path(self, digest: str) -> Path | None:
        """The file to send from, where the blob has one."""

    def stream(self, digest: str, first: int, last: int) -> AsyncIterator[bytes]:
        """Bytes `first` to `last`, both inclusive; ends early where the blob does. Raises NoSuchBlob."""

    async def delete(self, digest: str, *, unused_since: float | None = None) -> bool:
        """Delete if there, and with `unused_since` (seconds since the epoch) only if nobody has stored it again after that.

        Says whether it was deleted. Checking and deleting are one step as seen from `put` and `commit`.
        """

    def stored(self) -> AsyncIterator[StoredBlob]:
        """Everything there is, in no order; what comes or goes meanwhile may be missed."""

    async def expire_uploads(self, idle_since: float) -> int:
        """Forget uploads that nothing was written to after `idle_since`; how many they were."""
