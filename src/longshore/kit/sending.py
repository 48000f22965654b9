"""Sending files to sockets from threads of their own, so that a reader as fast as this machine holds up nobody else.

Bytes go from the page cache to the socket without Python's lock: a few threads keep all processors busy while the event loop
answers other requests. Each thread serves many sockets in turn, a slice at a time, and waits with epoll for those that take no
more; so thousands of slow readers cost a file descriptor each, and no thread. With several sockets to serve the kernel sends
from the file (sendfile), which costs the least. A thread with a single one reads into a buffer that stays in the processor's
cache and sends from there: sendfile hands over page by page, and a lone reader gets up to half as much again this way.

A socket is sent to through a duplicate of its descriptor: whatever becomes of the connection meanwhile, the number cannot come to mean
another one. Whoever hands a socket over must not write to it until the sending has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import socket
import threading
import time
from collections import deque

#: sent to one socket before the next has its turn
_SLICE = 1024 * 1024
#: read and sent at a time where there is one socket only
_BUFFER = 256 * 1024
#: a reader that takes nothing for so long is gone
_SILENCE_S = 300.0
_LOOK_EVERY_S = 15.0
_EVENTS_AT_ONCE = 64


class Sending:
    """A head, and then `count` bytes of an open file from `offset` on, on their way to a socket. Awaiting it waits for the end.

    It owns `file`, a descriptor, and closes it. Raises ConnectionError or TimeoutError where the reader is gone, EOFError where the file
    ended early.
    """

    __slots__ = ("_done", "_lock", "_loop", "count", "file", "head", "moved_at", "offset", "socket")

    def __init__(self, connection: int, head: bytes, file: int, offset: int, count: int) -> None:
        self.socket = socket.socket(fileno=os.dup(connection))
        self.head = head
        self.file = file
        self.offset = offset
        self.count = count
        self.moved_at = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._lock = threading.Lock()

    @property
    def done(self) -> asyncio.Future[None]:
        return self._done

    def abort(self) -> None:
        """Break the connection off. The end is told as usual."""
        with self._lock, contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def advance(self, buffer: memoryview | None) -> bool:
        """Send a slice, by way of `buffer` if it is given; whether all has been sent.

        Raises BlockingIOError when the socket takes no more at present.
        """
        if self.head:
            sent = self.socket.send(self.head, socket.MSG_MORE if self.count else 0)
            self.head = self.head[sent:]
            if self.head:
                raise BlockingIOError
        if self.count:
            if buffer is None:
                sent = os.sendfile(self.socket.fileno(), self.file, self.offset, min(self.count, _SLICE))
            else:
                # What the socket does not take is read again.
                read = os.preadv(self.file, (buffer[: self.count],), self.offset)
                sent = self.socket.send(buffer[:read]) if read else 0
            if not sent:
                raise EOFError(f"the file ended {self.count} bytes early")
            self.offset += sent
            self.count -= sent
        self.moved_at = time.monotonic()
        return not self.count

    def end(self, error: Exception | None) -> None:
        """From the sender's thread: nothing more will be sent."""
        with self._lock:
            self.socket.close()
        os.close(self.file)
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._tell, error)

    def _tell(self, error: Exception | None) -> None:
        if self._done.done():
            return
        if error is None:
            self._done.set_result(None)
        else:
            self._done.set_exception(error)


class Senders:
    """The threads. They begin with the first thing to send and end with `close`, which breaks off what is on its way."""

    def __init__(self, threads: int | None = None) -> None:
        self._count = threads or min(4, max(2, os.cpu_count() or 2))
        self._threads: list[_Sender] = []
        self._next = 0
        self._closed = False

    def send(self, connection: int, head: bytes, file: int, offset: int, count: int) -> Sending:
        """Begin to send `head` and then part of `file` to the non-blocking socket `connection` (both descriptors)."""
        sending = Sending(connection, head, file, offset, count)
        if self._closed:
            sending.end(ConnectionAbortedError("nothing is sent any more"))
            return sending
        if not self._threads:
            self._threads = [_Sender(number) for number in range(self._count)]
            for thread in self._threads:
                thread.start()
        self._next = (self._next + 1) % len(self._threads)
        self._threads[self._next].take(sending)
        return sending

    async def close(self) -> None:
        self._closed = True
        for thread in self._threads:
            thread.stop()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._threads = []


class _Sender(threading.Thread):
    def __init__(self, number: int) -> None:
        super().__init__(name=f"sender-{number}", daemon=True)
        self._poll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake, select.EPOLLIN)
        self._arrived: deque[Sending] = deque()
        self._sendings: dict[int, Sending] = {}
        self._buffer = memoryview(bytearray(_BUFFER))
        self._looked_at = 0.0
        self._stopping = False

    def take(self, sending: Sending) -> None:
        self._arrived.append(sending)
        os.eventfd_write(self._wake, 1)

    def stop(self) -> None:
        self._stopping = True
        os.eventfd_write(self._wake, 1)

    def run(self) -> None:
        while not self._stopping:
            for descriptor, _ in self._poll.poll(_LOOK_EVERY_S, _EVENTS_AT_ONCE):
                if descriptor == self._wake:
                    os.eventfd_read(self._wake)
                else:
                    self._advance(self._sendings[descriptor])
            while self._arrived:
                self._begin(self._arrived.popleft())
            self._give_up_silent()
        for sending in (*self._sendings.values(), *self._arrived):
            sending.end(ConnectionAbortedError("nothing is sent any more"))
        self._poll.close()
        os.close(self._wake)

    def _begin(self, sending: Sending) -> None:
        descriptor = sending.socket.fileno()
        self._sendings[descriptor] = sending
        self._poll.register(descriptor, select.EPOLLOUT)
        self._advance(sending)

    def _advance(self, sending: Sending) -> None:
        try:
            if not sending.advance(self._buffer if len(self._sendings) == 1 else None):
                return
        except BlockingIOError:
            return
        except (OSError, EOFError) as error:
            self._end(sending, error)
        else:
            self._end(sending, None)

    def _end(self, sending: Sending, error: Exception | None) -> None:
        descriptor = sending.socket.fileno()
        del self._sendings[descriptor]
        self._poll.unregister(descriptor)
        sending.end(error)

    def _give_up_silent(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < _LOOK_EVERY_S:
            return
        self._looked_at = now
        for sending in list(self._sendings.values()):
            if now - sending.moved_at > _SILENCE_S:
                self._end(sending, TimeoutError("the reader takes nothing any more"))
