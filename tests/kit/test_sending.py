"""Files on their way to sockets: whole and exact, whoever else is being sent to, and with nothing left behind."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.kit.sending import Senders

CONTENT = os.urandom(3 * 1024 * 1024 + 17)
HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
PATIENCE_S = 20.0


@pytest.fixture
async def senders() -> AsyncIterator[Senders]:
    made = Senders(2)
    before = len(os.listdir("/proc/self/fd"))
    yield made
    await made.close()
    assert len(os.listdir("/proc/self/fd")) <= before, "descriptors are left open"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "content"
    path.write_bytes(CONTENT)
    return path


def opened(file: Path) -> int:
    return os.open(file, os.O_RDONLY)


def pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    return ours, theirs


async def read(theirs: socket.socket, count: int) -> bytes:
    loop, found = asyncio.get_running_loop(), bytearray()
    while len(found) < count:
        piece = await loop.sock_recv(theirs, 65536)
        if not piece:
            break
        found += piece
    return bytes(found)


@pytest.mark.parametrize(("offset", "count"), [(0, len(CONTENT)), (0, 0), (5, 1), (1_000_001, 2_000_000), (len(CONTENT) - 1, 1)])
@pytest.mark.parametrize("readers", [1, 5])
async def test_every_reader_gets_the_head_and_the_very_bytes(senders: Senders, file: Path, offset: int, count: int, readers: int) -> None:
    pairs = [pair() for _ in range(readers)]
    sendings = [senders.send(ours.fileno(), HEAD, opened(file), offset, count) for ours, _ in pairs]
    async with asyncio.timeout(PATIENCE_S):
        found = await asyncio.gather(*(read(theirs, len(HEAD) + count) for _, theirs in pairs))
        await asyncio.gather(*(sending.done for sending in sendings))
    assert set(found) == {HEAD + CONTENT[offset : offset + count]}
    for ours, theirs in pairs:
        ours.close()
        assert theirs.recv(1) == b"", "nothing came after it"
        theirs.close()


async def test_a_reader_that_takes_nothing_holds_up_nobody(senders: Senders, file: Path) -> None:
    stuck = [pair() for _ in range(4)]
    held = [senders.send(ours.fileno(), HEAD, opened(file), 0, len(CONTENT)) for ours, _ in stuck]
    ours, theirs = pair()
    sending = senders.send(ours.fileno(), HEAD, opened(file), 0, len(CONTENT))
    async with asyncio.timeout(PATIENCE_S):
        assert await read(theirs, len(HEAD) + len(CONTENT)) == HEAD + CONTENT
        await sending.done
    assert not any(each.done.done() for each in held)
    for each in (ours, theirs, *(end for pair in stuck for end in pair)):
        each.close()
    for each in held:
        with pytest.raises(ConnectionError):
            await each.done


async def test_a_file_that_ends_early_is_told(senders: Senders, file: Path) -> None:
    ours, theirs = pair()
    sending = senders.send(ours.fileno(), HEAD, opened(file), len(CONTENT) - 3, 10)
    with pytest.raises(EOFError, match="7 bytes early"):
        await sending.done
    ours.close()
    theirs.close()


async def test_a_connection_can_be_broken_off_at_any_time(senders: Senders, file: Path) -> None:
    ours, theirs = pair()
    sending = senders.send(ours.fileno(), HEAD, opened(file), 0, len(CONTENT))
    sending.abort()
    with pytest.raises(ConnectionError):
        await sending.done
    sending.abort()
    ours.close()
    theirs.close()


async def test_a_connection_that_was_closed_meanwhile_is_not_mistaken_for_another(senders: Senders, file: Path) -> None:
    ours, theirs = pair()
    sending = senders.send(ours.fileno(), HEAD, opened(file), 0, len(CONTENT))
    number = ours.fileno()
    ours.close()
    others = [pair() for _ in range(3)]
    assert number in {each.fileno() for pair in others for each in pair}, "the number is another's now"
    async with asyncio.timeout(PATIENCE_S):
        assert await read(theirs, len(HEAD) + len(CONTENT)) == HEAD + CONTENT
        await sending.done
    theirs.close()
    for ours, theirs in others:
        for end in (ours, theirs):
            with pytest.raises(BlockingIOError):
                end.recv(1)
        ours.close()
        theirs.close()


async def test_closing_breaks_off_what_is_on_its_way_and_takes_no_more(senders: Senders, file: Path) -> None:
    ours, theirs = pair()
    sending = senders.send(ours.fileno(), HEAD, opened(file), 0, len(CONTENT))
    await senders.close()
    late = senders.send(ours.fileno(), HEAD, opened(file), 0, 1)
    for each in (sending, late):
        with pytest.raises(ConnectionAbortedError):
            await each.done
    ours.close()
    theirs.close()
