"""What plain and encrypted blobs have in common: a shelf, worked on by threads.

How a blob's bytes are written and read is their own affair; here is how blobs are kept, thrown away, listed and moved aside.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from longshore.store.blobs import Place, StoredBlob
from longshore.store.shelf import Filed, Shelf

R = TypeVar("R")


class Threads(Protocol):
    async def on_thread(self, fn: Callable[..., R], *arguments: object) -> R:
        """`fn(*arguments)` on a thread of the blob store's own."""


class Shelved(ABC):
    def __init__(self, shelf: Shelf, threads: Threads) -> None:
        self._shelf = shelf
        self._threads = threads

    @abstractmethod
    def content_bytes(self, occupied: int) -> int:
        """Bytes of the content of a file that takes so many on the disk."""

    def size(self, digest: str) -> int | None:
        filed = self._shelf.look(digest)
        return None if filed is None else self.content_bytes(filed.bytes)

    def look(self, digest: str) -> StoredBlob | None:
        filed = self._shelf.look(digest)
        return None if filed is None else self._told(filed)

    async def keep(self, digest: str) -> int | None:
        file = self._shelf.file_of(digest)
        if file is None or not await self._threads.on_thread(self._shelf.keep, file):
            return None
        return self.size(digest)

    async def delete(self, digest: str, *, unused_since: float | None = None) -> bool:
        return await self._with_file(digest, lambda file: self._shelf.delete(file, unused_since))

    async def purge(self, digest: str, *, trashed_before: float) -> bool:
        return await self._with_file(digest, lambda file: self._shelf.purge(file, trashed_before))

    async def quarantine(self, digest: str, *, stored_at: float) -> bool:
        return await self._with_file(digest, lambda file: self._shelf.quarantine(file, stored_at))

    async def _with_file(self, digest: str, do: Callable[[Path], bool]) -> bool:
        file = self._shelf.file_of(digest)
        return False if file is None else await self._threads.on_thread(do, file)

    async def stored(self) -> AsyncIterator[StoredBlob]:
        async for blob in self._listed(self._shelf.place):
            yield blob

    async def trashed(self) -> AsyncIterator[StoredBlob]:
        async for blob in self._listed(self._shelf.trash):
            yield blob

    async def _listed(self, root: Path) -> AsyncIterator[StoredBlob]:
        pages = self._shelf.pages(root)
        end: list[Filed] | None = None
        while (page := await self._threads.on_thread(next, pages, end)) is not None:
            for filed in page:
                yield self._told(filed)

    def _told(self, filed: Filed) -> StoredBlob:
        return StoredBlob(filed.digest, self.content_bytes(filed.bytes), filed.stamp, filed.bytes)

    async def quarantined(self) -> Place:
        return await self._threads.on_thread(self._shelf.quarantined)
