"""Blobs as files: what is particular to them."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from longshore.store.blobs import BlobStoreFull, digest_of
from longshore.store.file_blobs import FileBlobStore


async def test_the_layout_on_the_disk(tmp_path: Path) -> None:
    blobs = await FileBlobStore.open(tmp_path / "registry")
    digest = digest_of(b"hello")
    upload = await blobs.begin()
    await upload.write(b"hello")
    assert (tmp_path / "registry/uploads" / upload.upload_id).read_bytes() == b"hello"
    await upload.commit(digest)
    digits = digest.removeprefix("sha256:")
    path = tmp_path / "registry/blobs/sha256" / digits[:2] / digits
    assert blobs.path(digest) == path
    assert path.read_bytes() == b"hello"
    assert path.stat().st_mode & 0o777 == 0o444
    assert {each.stat().st_mode & 0o777 for each in (tmp_path / "registry", blobs.uploads, path.parent)} == {0o700}
    assert list((tmp_path / "registry/uploads").iterdir()) == []
    await blobs.close()


async def test_an_upload_survives_a_restart(tmp_path: Path) -> None:
    before = await FileBlobStore.open(tmp_path)
    upload = await before.begin()
    await upload.write(b"hel")
    await before.close()

    after = await FileBlobStore.open(tmp_path)
    resumed = await after.resume(upload.upload_id)
    assert resumed is not None
    assert resumed.offset == 3
    await resumed.write(b"lo")
    assert await resumed.commit(digest_of(b"hello")) == 5
    assert await after.read(digest_of(b"hello")) == b"hello"
    await after.close()


@contextmanager
def small_files() -> Iterator[int]:
    """Let no file of this process grow beyond so many bytes: the nearest thing to a full disk that needs no rights.

    Only inside the test: what the test runner prints may go to a file, too.
    """
    before, limits = signal.signal(signal.SIGXFSZ, signal.SIG_IGN), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        yield 4096
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


async def test_a_full_disk_is_named_and_leaves_the_upload_as_it_was(tmp_path: Path) -> None:
    with small_files() as most:
        blobs = await FileBlobStore.open(tmp_path)
        upload = await blobs.begin()
        await upload.write(b"a" * 4000)
        with pytest.raises(BlobStoreFull):
            await upload.write(b"b" * 4000)
        assert upload.offset == 4000 == (tmp_path / "uploads" / upload.upload_id).stat().st_size
        await upload.write(b"c" * 96)
        assert await upload.commit(digest_of(b"a" * 4000 + b"c" * 96)) == most
        with pytest.raises(BlobStoreFull) as full:
            await blobs.put(b"d" * 5000, digest_of(b"d" * 5000))
        assert full.value.errno in (errno.ENOSPC, errno.EFBIG)
        assert os.listdir(tmp_path / "uploads") == []
        await blobs.close()
