"""Bytes of a blob on their way to a client: from their file, which never passes through this process, or as a stream."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping

from aiohttp import web

from longshore.kit.sending import Senders
from longshore.registry.errors import BlobUnknown
from longshore.store.blobs import BlobBroken, BlobStore, NoSuchBlob

log = logging.getLogger("longshore.registry")

#: bytes sent at a stretch where the event loop itself has to send
_SLICE = 256 * 1024


class ByTheGeneralWay(Exception):
    """This answer cannot be handed back whole: the request is to be answered again over aiohttp's own connection."""


def will_be_streamed(request: web.BaseRequest) -> None:
    """Called before the work for an answer that sends itself. Raises ByTheGeneralWay where the fast lane has the connection."""
    _ = request.writer


def _to_nobody() -> None:
    """Where nobody keeps records."""


class Part(web.StreamResponse):
    """An answer whose body is `count` bytes of a blob from `first` on. It is sent by whoever has the connection."""

    def __init__(self, *, status: int, headers: Mapping[str, str], content: BlobStore, digest: str, first: int, count: int) -> None:
        super().__init__(status=status, headers=headers)
        self.content_length = count
        self.first = first
        self.count = count
        self._content = content
        self._digest = digest
        #: called before the first byte is sent; raises StoreUnavailable, and then nothing may be
        self.noted: Callable[[], None] = _to_nobody

    def open(self) -> int | None:
        """A descriptor of the file to send from; None where the blob has none. Raises BlobUnknown."""
        path = self._content.path(self._digest)
        if path is None:
            return None
        try:
            return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise BlobUnknown from None

    async def send(self, request: web.BaseRequest, senders: Senders) -> None:
        """Over aiohttp's connection. Raises BlobUnknown and StoreUnavailable before anything was sent, then ConnectionError, TimeoutError
        and EOFError."""
        file = self.open()
        try:
            self.noted()
        except BaseException:
            if file is not None:
                os.close(file)
            raise
        if file is None:
            await self._send_stream(request)
        else:
            await self._send_file(request, senders, file)
        await self.write_eof()

    async def _send_file(self, request: web.BaseRequest, senders: Senders, file: int) -> None:
        try:
            await self.prepare(request)
            transport = request.transport
            if transport is None or transport.is_closing():
                raise ConnectionResetError("the client is gone")
            if transport.get_extra_info("sslcontext") is not None or transport.get_write_buffer_size():
                await self._send_slices(file)
                return
            sending = senders.send(transport.get_extra_info("socket").fileno(), b"", file, self.first, self.count)
            file = -1
        finally:
            if file >= 0:
                os.close(file)
        try:
            await sending.done
        except asyncio.CancelledError:
            sending.abort()
            raise

    async def _send_slices(self, file: int) -> None:
        """Through this process: the bytes are encrypted here, or others have to be sent before them.

        Not by asyncio's own way of sending files without sendfile: under backpressure it tells aiohttp's protocol to go on twice,
        which breaks the connection.
        """
        loop = asyncio.get_running_loop()
        at, end = self.first, self.first + self.count
        while at < end:
            content = await loop.run_in_executor(None, os.pread, file, min(_SLICE, end - at), at)
            if not content:
                raise EOFError(f"the file ended {end - at} bytes early")
            await self.write(content)
            at += len(content)

    async def _send_stream(self, request: web.BaseRequest) -> None:
        """The first bytes are at hand before anything is said: what cannot be read at all is an error, not a broken answer."""
        chunks = self._content.stream(self._digest, self.first, self.first + self.count - 1)
        try:
            chunk = await anext(chunks, b"") if self.count else b""
        except NoSuchBlob:
            raise BlobUnknown from None
        except BlobBroken as broken:
            log.error("%s: %s", self._digest, broken)
            raise BlobUnknown("the bytes of this blob are broken: push it again") from broken
        await self.prepare(request)
        left = self.count
        try:
            while chunk:
                await self.write(chunk)
                left -= len(chunk)
                chunk = await anext(chunks, b"")
        except (BlobBroken, NoSuchBlob) as broken:
            raise EOFError(f"{self._digest}: {broken}") from broken
        if left:
            raise EOFError(f"{self._digest}: the blob ended {left} bytes early")
