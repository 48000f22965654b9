"""kill -9 at every single step of what a blob store does to its files: blobs are whole or not there, and nothing is lost.

A child process does one thing and kills itself just before its Nth call that touches a file, for every N there is. What a new
store finds afterwards is held against what had been acknowledged before.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from longshore.kit.data_keys import SealedKey, lock_of, new_data_key
from longshore.store.blobs import BlobStore, digest_of
from longshore.store.chunks import CHUNK_BYTES
from longshore.store.file_blobs import FileBlobStore

SECRET = b"s" * 32
KEY = new_data_key(lock_of(SECRET))
OLD, NEW = bytes(range(256)) * 700, b"new" * CHUNK_BYTES
TOUCHING = {"open", "os.rename", "os.remove", "os.utime", "os.mkdir", "os.chmod", "os.truncate"}
MOST_STEPS = 200

Act = Callable[[BlobStore, str], Awaitable[object]]


async def put(blobs: BlobStore, upload_id: str) -> None:
    await blobs.put(NEW, digest_of(NEW))


async def put_again(blobs: BlobStore, upload_id: str) -> None:
    await blobs.put(OLD, digest_of(OLD))


async def commit(blobs: BlobStore, upload_id: str) -> None:
    upload = await blobs.resume(upload_id)
    if upload is not None:
        await upload.write(NEW[upload.offset :])
        await upload.commit(digest_of(NEW))


async def keep(blobs: BlobStore, upload_id: str) -> None:
    assert await blobs.keep(digest_of(OLD)) == len(OLD)


async def delete(blobs: BlobStore, upload_id: str) -> None:
    await blobs.delete(digest_of(OLD))


async def purge(blobs: BlobStore, upload_id: str) -> None:
    await blobs.purge(digest_of(OLD), trashed_before=1e12)


#: what is done, whether the old blob lies in the trash before, and whether it is readable for certain afterwards
ACTS: list[tuple[Act, bool, bool]] = [
    (put, False, True),
    (put_again, True, True),
    (put_again, False, True),
    (commit, False, True),
    (keep, True, True),
    (delete, False, False),
    (purge, True, False),
]


def crash_at(root: Path, key: SealedKey | None, step: int, act: Act, upload_id: str) -> bool:
    """Whether the child was killed; False when it was done before so many steps."""
    child = os.fork()
    if child == 0:
        count = 0

        def hook(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal count
            if event in TOUCHING and (not isinstance(arguments[0], str | os.PathLike) or str(arguments[0]).startswith(str(root))):
                count += 1
                if count == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        async def run() -> None:
            store = await FileBlobStore.open(root, secret=SECRET)
            blobs = store if key is None else store.keyed(key)
            sys.addaudithook(hook)
            await act(blobs, upload_id)

        code = 1
        try:
            asyncio.run(run())
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, "the act failed in the child"
    return False


async def prepared(root: Path, key: SealedKey | None, trashed: bool) -> str:
    """The old blob, and an upload with the first bytes of the new one."""
    store = await FileBlobStore.open(root, secret=SECRET)
    blobs = store if key is None else store.keyed(key)
    await blobs.put(OLD, digest_of(OLD))
    if trashed:
        await blobs.delete(digest_of(OLD))
    upload = await blobs.begin()
    await upload.write(NEW[: CHUNK_BYTES + 5])
    await store.close()
    return upload.upload_id


async def check(root: Path, key: SealedKey | None, upload_id: str, act: Act, readable: bool) -> None:
    store = await FileBlobStore.open(root, secret=SECRET)
    blobs = store if key is None else store.keyed(key)
    contents = {digest_of(OLD): OLD, digest_of(NEW): NEW}
    async for blob in blobs.stored():
        assert await blobs.read(blob.digest) == contents[blob.digest], "a blob is there, and not whole"
    resumed = await blobs.resume(upload_id)
    assert resumed is None or resumed.offset >= CHUNK_BYTES + 5, "bytes of an upload are lost"
    assert resumed is not None or blobs.size(digest_of(NEW)) is not None or act is not commit
    # Once more, as a client would: now it comes to its end.
    await act(blobs, upload_id)
    if readable:
        assert await blobs.keep(digest_of(OLD)) == len(OLD), "what was stored is gone"
        assert await blobs.read(digest_of(OLD)) == OLD
    if act in (put, commit):
        assert await blobs.read(digest_of(NEW)) == NEW
    assert {blob.digest async for blob in blobs.trashed()} <= ({digest_of(OLD)} if act is delete else set())
    await store.expire_uploads(1e12)
    await store.expire_uploads(1e12)
    assert os.listdir(root / "uploads") == [], "what a crash leaves is never swept away"
    await store.close()


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
@pytest.mark.parametrize(("act", "trashed", "readable"), ACTS, ids=[f"{act.__name__}{'-trashed' if old else ''}" for act, old, _ in ACTS])
def test_a_crash_at_any_step_leaves_blobs_whole_and_loses_none(
    tmp_path: Path, key: SealedKey | None, act: Act, trashed: bool, readable: bool
) -> None:
    for step in range(1, MOST_STEPS):
        root = tmp_path / str(step)
        upload_id = asyncio.run(prepared(root, key, trashed))
        killed = crash_at(root, key, step, act, upload_id)
        asyncio.run(check(root, key, upload_id, act, readable))
        if not killed:
            assert step > (1 if act is purge else 2), "nothing was ever killed"
            return
    raise AssertionError("it never came to its end")
