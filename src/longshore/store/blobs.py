"""Where layer and manifest bytes lie: content-addressed, written once, never changed.

A `BlobStore` is one set of blobs. Bytes of repositories with a data key are in sets of their own, one per key (`keyed`): they
are encrypted on the disk and plain to whoever reads them here, digests and sizes are those of the plain bytes, and two sets
share nothing. The `BlobDepot` is the set of the plain ones, and what is kept for all sets together.

What is deleted goes to the trash first. Storing it again, or asking to keep it, brings it back, until it is purged.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple, Protocol

from longshore.kit.data_keys import SealedKey

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


class BlobBroken(OSError):
    """The bytes on the disk are not those that were stored: they were changed, or torn off."""


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
    #: bytes of the content
    size: int
    #: when it was last stored (again) or kept, seconds since the epoch: of what is in the trash, when it came there
    stored_at: float
    #: bytes on the disk: more than `size` where it is encrypted
    occupied: int


class Place(NamedTuple):
    """How much lies somewhere on the disk."""

    files: int
    bytes: int


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

    async def keep(self, digest: str) -> int | None:
        """Have a blob count as stored just now, out of the trash if need be; its size, None when there is none.

        Whoever is about to name a blob that somebody else stored asks for this first, and it is not collected meanwhile.
        """

    async def delete(self, digest: str, *, unused_since: float | None = None) -> bool:
        """To the trash if there, and with `unused_since` (seconds since the epoch) only if nobody has stored or kept it after that.

        Says whether it was deleted. Checking and deleting are one step as seen from `put`, `commit` and `keep`.
        """

    async def purge(self, digest: str, *, trashed_before: float) -> bool:
        """For good, if it is in the trash and came there at that moment or before (seconds since the epoch)."""

    async def quarantine(self, digest: str, *, stored_at: float) -> bool:
        """Move a broken blob aside, never to be served; only if it is still the one `stored` told of, else it may be whole again."""

    def look(self, digest: str) -> StoredBlob | None:
        """What `stored` tells of this one; None when there is no such blob."""

    def stored(self) -> AsyncIterator[StoredBlob]:
        """Everything there is, in no order; what comes or goes meanwhile may be missed."""

    def trashed(self) -> AsyncIterator[StoredBlob]:
        """What lies in the trash, likewise."""

    async def quarantined(self) -> Place:
        """How much was moved aside."""

    def keyed(self, key: SealedKey) -> BlobStore:
        """The set of blobs encrypted with that data key. Raises BlobBroken for a key of another installation."""


class BlobDepot(BlobStore, Protocol):
    """The plain blobs, and what is kept for all sets together."""

    async def key_ids(self) -> list[str]:
        """Of every data key under which there are bytes, or their directories."""

    async def occupied_by(self, key_id: str) -> Place:
        """How much is encrypted with a data key, trash and quarantine included, whether anybody can still read it or not."""

    async def forget_key(self, key_id: str) -> Place:
        """Delete, at once, everything encrypted with a key that is no more, uploads included; how many bytes of blobs it was."""

    async def arriving(self) -> Place:
        """How much uploads take that are under way, or given up and not expired yet."""

    async def expire_uploads(self, idle_since: float) -> int:
        """Forget uploads, of every set, that nothing was written to after `idle_since`; how many they were."""
