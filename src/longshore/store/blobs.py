"""Where layer and manifest bytes lie: content-addressed, written once, never changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple, Protocol


class BlobUpload(Protocol):
    """Bytes on their way to becoming a blob. Survives a restart: `BlobStore.resume` finds it again by its id."""

    @property
    def upload_id(self) -> str: ...

    @property
    def offset(self) -> int:
        """Bytes received so far."""

    async def write(self, chunk: bytes) -> None: ...

    async def commit(self, digest: str) -> int:
        """Verify `digest` (sha256:… or sha512:…), make the blob durable and return its size in bytes; raises DigestMismatch."""

    async def cancel(self) -> None: ...


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

    async def resume(self, upload_id: str) -> BlobUpload | None: ...

    async def put(self, content: bytes, digest: str) -> int:
        """Store a small blob whole; durable on return. Storing what is there already is fine."""

    def size(self, digest: str) -> int | None:
        """Bytes, or None when there is no such blob."""

    async def read(self, digest: str) -> bytes | None:
        """A small blob (a manifest) whole."""

    def path(self, digest: str) -> Path | None:
        """The file to send from, where the blob has one."""

    def stream(self, digest: str, first: int, last: int) -> AsyncIterator[bytes]:
        """Bytes `first` to `last`, both inclusive."""

    async def delete(self, digest: str, *, unused_since: float | None = None) -> bool:
        """Delete if there, and with `unused_since` (seconds since the epoch) only if nobody has stored it again after that.

        Says whether it is gone. Checking and deleting are one step as seen from `put` and `commit`.
        """

    def stored(self) -> AsyncIterator[StoredBlob]:
        """Everything there is, in no order; what comes or goes meanwhile may be missed."""

    async def expire_uploads(self, idle_since: float) -> int:
        """Forget uploads that nothing was written to after `idle_since`; how many they were."""
