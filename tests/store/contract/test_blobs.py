"""What any blob store promises."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from longshore.kit.clock import SteppedClock
from longshore.kit.data_keys import SealedKey, lock_of, new_data_key
from longshore.store.blobs import BlobDepot, BlobStore, DigestMismatch, InvalidDigest, NoSuchBlob, Place, digest_of
from longshore.store.file_blobs import FileBlobStore
from longshore.store.memory_blobs import MemoryBlobStore

CONTENT = bytes(range(256)) * 10_000
SHA256 = digest_of(CONTENT)
SHA512 = digest_of(CONTENT, "sha512")
SECRET = b"s" * 32
KEY, OTHER_KEY = new_data_key(lock_of(SECRET)), new_data_key(lock_of(SECRET))


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(params=["memory", "files"])
async def depot(request: pytest.FixtureRequest, tmp_path: Path, clock: SteppedClock) -> AsyncIterator[BlobDepot]:
    if request.param == "memory":
        yield MemoryBlobStore(clock=clock)
        return
    store = await FileBlobStore.open(tmp_path, clock=clock, secret=SECRET)
    yield store
    await store.close()


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def blobs(request: pytest.FixtureRequest, depot: BlobDepot) -> BlobStore:
    key: SealedKey | None = request.param
    return depot if key is None else depot.keyed(key)


async def digests(found: AsyncIterator[object]) -> set[str]:
    return {blob.digest async for blob in found}  # type: ignore[attr-defined]


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
    stored = [blob async for blob in blobs.stored()]
    assert {blob[:3] for blob in stored} == {(SHA256, len(CONTENT), clock.now() - 10), (SHA512, len(CONTENT), clock.now())}
    assert all(blob.size <= blob.occupied <= blob.size * 1.001 for blob in stored)


async def test_what_was_deleted_lies_in_the_trash_until_it_is_purged(blobs: BlobStore, clock: SteppedClock) -> None:
    await blobs.put(CONTENT, SHA256)
    await clock.step(100)
    await blobs.delete(SHA256)
    assert [(blob.digest, blob.size, blob.stored_at) async for blob in blobs.trashed()] == [(SHA256, len(CONTENT), clock.now())]
    assert not await blobs.purge(SHA256, trashed_before=clock.now() - 1)
    assert await blobs.purge(SHA256, trashed_before=clock.now())
    assert not await blobs.purge(SHA256, trashed_before=clock.now())
    assert await digests(blobs.trashed()) == set()
    assert await blobs.keep(SHA256) is None


@pytest.mark.parametrize("how", ["put", "upload", "keep"])
async def test_what_is_wanted_again_comes_back_from_the_trash(blobs: BlobStore, clock: SteppedClock, how: str) -> None:
    await blobs.put(CONTENT, SHA256)
    await blobs.delete(SHA256)
    await clock.step(60)
    if how == "put":
        await blobs.put(CONTENT, SHA256)
    elif how == "upload":
        upload = await blobs.begin()
        await upload.write(CONTENT)
        await upload.commit(SHA256)
    else:
        assert await blobs.keep(SHA256) == len(CONTENT)
    assert await blobs.read(SHA256) == CONTENT
    assert await digests(blobs.trashed()) == set()
    assert not await blobs.purge(SHA256, trashed_before=clock.now() + 1)
    assert not await blobs.delete(SHA256, unused_since=clock.now() - 1)


async def test_what_is_kept_is_not_deleted_for_having_been_unused(blobs: BlobStore, clock: SteppedClock) -> None:
    await blobs.put(CONTENT, SHA256)
    then = clock.now()
    await clock.step(60)
    assert await blobs.keep(SHA256) == len(CONTENT)
    assert not await blobs.delete(SHA256, unused_since=then)
    assert await blobs.keep(SHA512) is None
    assert await blobs.keep("../etc/passwd") is None


async def test_a_broken_blob_is_moved_aside_and_can_be_stored_anew(blobs: BlobStore, clock: SteppedClock) -> None:
    await blobs.put(CONTENT, SHA256)
    looked = clock.now()
    await clock.step(1)
    await blobs.keep(SHA256)
    assert not await blobs.quarantine(SHA256, stored_at=looked), "it was touched after the look"
    assert await blobs.quarantine(SHA256, stored_at=clock.now())
    assert not await blobs.quarantine(SHA256, stored_at=clock.now())
    assert (blobs.size(SHA256), blobs.path(SHA256), await blobs.read(SHA256), await blobs.keep(SHA256)) == (None, None, None, None)
    aside = await blobs.quarantined()
    assert aside.files == 1
    assert aside.bytes >= len(CONTENT)
    await blobs.put(CONTENT, SHA256)
    assert await blobs.read(SHA256) == CONTENT


async def test_sets_of_blobs_share_nothing(depot: BlobDepot) -> None:
    one, other = depot.keyed(KEY), depot.keyed(OTHER_KEY)
    await one.put(CONTENT, SHA256)
    for elsewhere in (depot, other):
        assert elsewhere.size(SHA256) is None
        assert await digests(elsewhere.stored()) == set()
        assert not await elsewhere.delete(SHA256)
    upload = await one.begin()
    assert await other.resume(upload.upload_id) is None
    assert await depot.resume(upload.upload_id) is None
    await depot.put(CONTENT, SHA256)
    assert await one.delete(SHA256)
    assert await depot.read(SHA256) == CONTENT
    assert one.keyed(OTHER_KEY) is other


async def test_with_a_key_goes_all_that_was_encrypted_with_it(depot: BlobDepot) -> None:
    one, other = depot.keyed(KEY), depot.keyed(OTHER_KEY)
    for digest in (SHA256, SHA512):
        await one.put(CONTENT, digest)
    await one.delete(SHA512)
    await other.put(CONTENT, SHA256)
    unfinished, others = await one.begin(), await other.begin()
    await unfinished.write(CONTENT)
    assert await depot.key_ids() == sorted((KEY.id, OTHER_KEY.id))
    occupied = await depot.occupied_by(KEY.id)
    gone = await depot.forget_key(KEY.id)
    assert gone == occupied
    assert (gone.files, gone.bytes >= 2 * len(CONTENT)) == (2, True)
    assert await depot.key_ids() == [OTHER_KEY.id]
    assert await depot.forget_key(KEY.id) == await depot.forget_key("..") == Place(0, 0)
    assert depot.keyed(KEY).size(SHA256) is None
    assert await depot.keyed(KEY).resume(unfinished.upload_id) is None
    assert await other.read(SHA256) == CONTENT
    assert await other.resume(others.upload_id) is others


async def test_what_arrives_is_counted(depot: BlobDepot, blobs: BlobStore) -> None:
    assert await depot.arriving() == Place(0, 0)
    upload = await blobs.begin()
    await upload.write(CONTENT)
    assert (await depot.arriving()).bytes >= len(CONTENT)
    await upload.commit(SHA256)
    assert await depot.arriving() == Place(0, 0)


async def test_idle_uploads_expire_and_busy_ones_do_not(depot: BlobDepot, blobs: BlobStore, clock: SteppedClock) -> None:
    idle, busy = await blobs.begin(), await blobs.begin()
    await clock.step(100)
    await busy.write(b"x")
    assert await depot.expire_uploads(clock.now() - 50) == 1
    assert await blobs.resume(idle.upload_id) is None
    assert await blobs.resume(busy.upload_id) is busy
