"""What any blob store promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.kit.clock import SteppedClock
from longshore.store.blobs import BlobStore, DigestMismatch, InvalidDigest, NoSuchBlob, digest_of
from longshore.store.file_blobs import FileBlobStore
from longshore.store.memory_blobs import MemoryBlobStore

CONTENT = bytes(range(256)) * 10_000
SHA256 = digest_of(CONTENT)
SHA512 = digest_of(CONTENT, "sha512")


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(params=["memory", "files"])
async def blobs(request: pytest.FixtureRequest, tmp_path: Path, clock: SteppedClock) -> AsyncIterator[BlobStore]:
    if request.param == "memory":
        yield MemoryBlobStore(clock=clock)
        return
    store = await FileBlobStore.open(tmp_path, clock=clock)
    yield store
    await store.close()


async def whole(blobs: BlobStore, digest: str, first: int, last: int) -> bytes:
    return b"".join([chunk async for chunk in blobs.stream(digest, first, last)])


@pytest.mark.parametrize("digest", [SHA256, SHA512])
async def test_an_upload_in_pieces_becomes_a_blob(blobs: BlobStore, digest: str) -> None:
    upload = await blobs.begin()
    for at in range(0, len(CONTENT), 1_000_000):
        assert upload.offset == at
        await upload.write(CONTENT[at : at + 1_000_000])
    assert blobs.size(digest) is None
    assert await upload.commit(digest) == len(CONTENT)
    assert blobs.size(digest) == len(CONTENT)
    assert await blobs.read(digest) == CONTENT
    assert await blobs.resume(upload.upload_id) is None


async def test_an_upload_is_found_again_by_its_id(blobs: BlobStore) -> None:
    upload = await blobs.begin()
    await upload.write(CONTENT[:100])
    again = await blobs.resume(upload.upload_id)
    assert again is not None
    assert again.offset == 100
    await again.write(CONTENT[100:])
    assert await again.commit(SHA256) == len(CONTENT)


@pytest.mark.parametrize(
    "upload_id", ["", "..", "../blobs", "not-a-uuid", "00000000-0000-4000-8000-000000000000", "{00000000-0000-4000-8000-000000000000}"]
)
async def test_an_unknown_upload_is_not_found(blobs: BlobStore, upload_id: str) -> None:
    assert await blobs.resume(upload_id) is None


async def test_bytes_that_differ_from_their_digest_are_refused_and_the_upload_can_go_on(blobs: BlobStore) -> None:
    upload = await blobs.begin()
    await upload.write(CONTENT[:-1])
    with pytest.raises(DigestMismatch) as refused:
        await upload.commit(SHA256)
    assert (refused.value.expected, refused.value.received) == (SHA256, digest_of(CONTENT[:-1]))
    assert blobs.size(SHA256) is None
    await upload.write(CONTENT[-1:])
    await upload.commit(SHA256)
    assert blobs.size(SHA256) == len(CONTENT)


async def test_a_cancelled_upload_is_gone(blobs: BlobStore) -> None:
    upload = await blobs.begin()
    await upload.write(b"x")
    await upload.cancel()
    await upload.cancel()
    assert await blobs.resume(upload.upload_id) is None
    with pytest.raises(FileNotFoundError):
        await upload.write(b"y")


async def test_the_empty_blob(blobs: BlobStore) -> None:
    digest = digest_of(b"")
    upload = await blobs.begin()
    assert await upload.commit(digest) == 0
    assert (blobs.size(digest), await blobs.read(digest)) == (0, b"")


async def test_a_small_blob_is_put_whole_and_again(blobs: BlobStore) -> None:
    digest = digest_of(b"{}")
    assert await blobs.put(b"{}", digest) == 2
    assert await blobs.put(b"{}", digest) == 2
    assert await blobs.read(digest) == b"{}"
    with pytest.raises(DigestMismatch):
        await blobs.put(b"[]", digest)


@pytest.mark.parametrize(
    "digest",
    [
        "",
        "sha256:",
        "sha256:../../etc/passwd",
        "sha256:" + "A" * 64,
        "sha256:" + "a" * 63,
        "sha512:" + "a" * 64,
        "md5:" + "a" * 32,
        SHA256 + "\n",
        "../" + SHA256,
    ],
)
async def test_what_is_no_digest_names_no_blob(blobs: BlobStore, digest: str) -> None:
    assert (blobs.size(digest), blobs.path(digest), await blobs.read(digest), await blobs.delete(digest)) == (None, None, None, False)
    with pytest.raises(NoSuchBlob):
        await whole(blobs, digest, 0, 1)
    with pytest.raises(InvalidDigest):
        await blobs.put(b"x", digest)
    upload = await blobs.begin()
    with pytest.raises(InvalidDigest):
        await upload.commit(digest)


async def test_streaming_a_range(blobs: BlobStore) -> None:
    await blobs.put(CONTENT, SHA256)
    last = len(CONTENT) - 1
    assert await whole(blobs, SHA256, 0, last) == CONTENT
    assert await whole(blobs, SHA256, 5, 5) == CONTENT[5:6]
    assert await whole(blobs, SHA256, 70_000, 1_700_000) == CONTENT[70_000:1_700_001]
    assert await whole(blobs, SHA256, last - 1, last + 100) == CONTENT[-2:]
    with pytest.raises(NoSuchBlob):
        await whole(blobs, digest_of(b"absent"), 0, 1)


async def test_a_deleted_blob_is_gone(blobs: BlobStore) -> None:
    await blobs.put(CONTENT, SHA256)
    assert await blobs.delete(SHA256)
    assert not await blobs.delete(SHA256)
    assert (blobs.size(SHA256), blobs.path(SHA256), await blobs.read(SHA256)) == (None, None, None)


async def test_what_was_stored_again_is_not_deleted_for_having_been_unused(blobs: BlobStore, clock: SteppedClock) -> None:
    put, uploaded, left = (digest_of(content) for content in (b"put", b"uploaded", b"left"))
    for content, digest in ((b"put", put), (b"uploaded", uploaded), (b"left", left)):
        await blobs.put(content, digest)
    then = clock.now()
    await clock.step(60)
    await blobs.put(b"put", put)
    upload = await blobs.begin()
    await upload.write(b"uploaded")
    await upload.commit(uploaded)
    assert [await blobs.delete(digest, unused_since=then) for digest in (put, uploaded, left)] == [False, False, True]
    assert not await blobs.delete(put, unused_since=clock.now() - 1)
    assert await blobs.delete(put, unused_since=clock.now())


async def test_everything_stored_is_told_with_its_size_and_age(blobs: BlobStore, clock: SteppedClock) -> None:
    assert [blob async for blob in blobs.stored()] == []
    await blobs.put(CONTENT, SHA256)
    await clock.step(10)
    await blobs.put(CONTENT, SHA512)
    await blobs.begin()
    assert {tuple(blob) async for blob in blobs.stored()} == {
        (SHA256, len(CONTENT), clock.now() - 10),
        (SHA512, len(CONTENT), clock.now()),
    }


async def test_idle_uploads_expire_and_busy_ones_do_not(blobs: BlobStore, clock: SteppedClock) -> None:
    idle, busy = await blobs.begin(), await blobs.begin()
    await clock.step(100)
    await busy.write(b"x")
    assert await blobs.expire_uploads(clock.now() - 50) == 1
    assert await blobs.resume(idle.upload_id) is None
    assert await blobs.resume(busy.upload_id) is busy
