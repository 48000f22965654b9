"""Layers on their way from upstream: each is fetched once, stored, and read by everybody who asked for it, while it arrives.

The bytes go to the blob store and to a nameless, encrypted file beside it, which readers read from; so nobody's speed holds up anybody
else, and memory stays small. A download belongs to nobody who waits for it: it goes on when they leave. The last byte is handed
out only once the whole has the digest it was asked by, so a reader has either all of it or a broken connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path

from longshore.aws.errors import AwsError
from longshore.kit.scratch import ScratchFile
from longshore.services.ecr.remote.client import RemoteClient
from longshore.services.ecr.remote.errors import RemoteError, RemoteInvalid, RemoteUnavailable
from longshore.store.base import StoreError
from longshore.store.blobs import BlobStore, BlobStoreFull, DigestMismatch

log = logging.getLogger("longshore.pull_through")

#: bytes written in one step, and read in one: of the readers there may be hundreds
_PIECE, _READ = 1 << 20, 1 << 16


class Download:
    """One layer. `size` is what its manifest says."""

    def __init__(self, digest: str, size: int, spool: ScratchFile) -> None:
        self.digest = digest
        self.size = size
        #: the task that fetches it
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._spool = spool
        self._received = 0
        self._readers = 0
        self._moved = asyncio.Event()

    @property
    def available(self) -> int:
        """Bytes that may be read by now."""
        if self.done.done() and self.done.exception() is None:
            return self.size
        return max(0, min(self._received, self.size - 1))

    def arrived(self, count: int) -> None:
        self._received += count
        self._wake()

    def end(self, error: Exception | None) -> None:
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
            self.done.exception()  # looked at: nobody need wait for it
        self._wake()
        self._close()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _close(self) -> None:
        if self.done.done() and not self._readers:
            self._spool.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Inside, what has arrived stays readable. To be entered without an await after the download was found."""
        self._readers += 1
        try:
            yield
        finally:
            self._readers -= 1
            self._close()

    async def begun(self) -> None:
        """Returns when there is something to read. Raises what ended the download before that."""
        while not self.available and not self.done.done():
            await self._moved.wait()
        if self.done.done():
            self.done.result()

    async def finished(self) -> None:
        """Returns when the whole layer is stored. Raises what ended the download."""
        await asyncio.wait([self.done])
        self.done.result()

    async def stream(self) -> AsyncIterator[bytes]:
        """The whole layer, as it comes, for somebody who is `reading`. Raises what ended the download."""
        at = 0
        while at < self.size:
            moved = self._moved
            count = min(self.available - at, _READ)
            if count > 0:
                # It has just been written, so it comes from memory, in less time than the way to another thread takes.
                piece = self._spool.read(count, at)
                at += len(piece)
                yield piece
                if at % _PIECE == 0:
                    await asyncio.sleep(0)  # a reader on this machine never has to wait: the others are to have their turn
                continue
            if self.done.done():
                self.done.result()
            await moved.wait()

    async def write(self, piece: bytes) -> None:
        await asyncio.to_thread(self._spool.append, piece)


class Downloads:
    """`spool` is the directory for the files that readers read from."""

    def __init__(self, spool: Path | None) -> None:
        self._spool = spool
        self._running: dict[str, Download] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(
        self,
        key: str,
        digest: str,
        size: int,
        client: RemoteClient,
        name: str,
        content: BlobStore,
        arrived: Callable[[], Awaitable[object]],
    ) -> Download:
        """The download under `key`, begun unless it is running; `arrived` is called once the bytes are stored. Raises BlobStoreFull."""
        running = self._running.get(key)
        if running is not None:
            return running
        try:
            spool = ScratchFile(self._spool)
        except OSError as error:
            raise BlobStoreFull(str(error)) from error
        download = self._running[key] = Download(digest, size, spool)
        task = asyncio.create_task(self._run(key, download, client, name, content, arrived), name=f"download:{digest}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return download

    async def _run(
        self,
        key: str,
        download: Download,
        client: RemoteClient,
        name: str,
        content: BlobStore,
        arrived: Callable[[], Awaitable[object]],
    ) -> None:
        error: Exception | None = RemoteUnavailable("the server stops")
        try:
            await _fetch(download, client, name, content)
            await arrived()
            error = None
        except (RemoteError, AwsError, StoreError, OSError) as problem:
            error = problem
            log.warning("%s of %s: %s", download.digest, client, problem)
        finally:
            del self._running[key]
            download.end(error)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _fetch(download: Download, client: RemoteClient, name: str, content: BlobStore) -> None:
    """Raises RemoteError and BlobStoreFull."""
    upload = await content.begin()
    gathered = bytearray()

    async def hand_on() -> None:
        piece = bytes(gathered)
        gathered.clear()
        await upload.write(piece)
        await download.write(piece)
        download.arrived(len(piece))

    try:
        async with aclosing(client.blob(name, download.digest, download.size)) as pieces:
            async for piece in pieces:
                gathered += piece
                if len(gathered) >= _PIECE:
                    await hand_on()
        await hand_on()
        try:
            await upload.commit(download.digest)
        except DigestMismatch as mismatch:
            raise RemoteInvalid(f"{client} sent {mismatch.received} for {download.digest}") from mismatch
    except BaseException:
        await upload.cancel()
        raise
