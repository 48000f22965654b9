"""Encrypted blobs as files: what is particular to them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longshore.kit.data_keys import lock_of, new_data_key
from longshore.store.blobs import BlobBroken, BlobStore, BlobStoreFull, digest_of
from longshore.store.chunks import CHUNK_BYTES, HEADER_BYTES, SEALED_CHUNK_BYTES, Chunks, content_bytes
from longshore.store.file_blobs import FileBlobStore
from tests.store.test_file_blobs import small_files

SECRET = b"s" * 32
KEY = new_data_key(lock_of(SECRET))
SIZES = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 40 * CHUNK_BYTES + 17]


@pytest.fixture
async def depot(tmp_path: Path) -> AsyncIterator[FileBlobStore]:
    made = await FileBlobStore.open(tmp_path, secret=SECRET)
    yield made
    await made.close()


def content_of(size: int) -> bytes:
    return (b"confidential " * (size // 13 + 1))[:size]


def file_of(root: Path, digest: str) -> Path:
    digits = digest.partition(":")[2]
    return root / "keyed" / KEY.id / "sha256" / digits[:2] / digits


async def stored(blobs: BlobStore, content: bytes) -> str:
    digest = digest_of(content)
    upload = await blobs.begin()
    await upload.write(content)
    assert await upload.commit(digest) == len(content)
    return digest


async def whole(blobs: BlobStore, digest: str, first: int = 0, last: int = 1 << 40) -> bytes:
    return b"".join([chunk async for chunk in blobs.stream(digest, first, last)])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("how", ["put", "upload"])
async def test_content_of_any_size_comes_back_as_it_was(depot: FileBlobStore, tmp_path: Path, size: int, how: str) -> None:
    blobs, content = depot.keyed(KEY), content_of(size)
    digest = digest_of(content)
    if how == "put":
        await blobs.put(content, digest)
    else:
        await stored(blobs, content)
    assert (blobs.size(digest), await blobs.read(digest), await whole(blobs, digest)) == (size, content, content)
    assert file_of(tmp_path, digest).stat().st_mode & 0o777 == 0o444
    assert os.listdir(tmp_path / "uploads") == []


def test_the_size_of_a_file_tells_the_size_of_its_content() -> None:
    for size in SIZES:
        sealed = b"".join(Chunks.new(b"k" * 32).seal_all(bytes(size)))
        assert content_bytes(len(sealed)) == size


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.integers(0, 3 * CHUNK_BYTES), max_size=6), restarts=st.sets(st.integers(0, 5)))
async def test_however_it_comes_and_however_often_the_server_is_started_anew(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[int], restarts: set[int]
) -> None:
    root = tmp_path_factory.mktemp("blobs")
    depot = await FileBlobStore.open(root, secret=SECRET)
    upload, expected = await depot.keyed(KEY).begin(), b""
    for number, size in enumerate(pieces):
        piece = os.urandom(size)
        await upload.write(piece)
        expected += piece
        if number in restarts:
            await depot.close()
            depot = await FileBlobStore.open(root, secret=SECRET)
            found = await depot.keyed(KEY).resume(upload.upload_id)
            assert found is not None
            upload = found
        assert upload.offset == len(expected)
    digest = digest_of(expected)
    assert await upload.commit(digest) == len(expected)
    assert await whole(depot.keyed(KEY), digest) == expected
    await depot.close()


async def test_no_byte_of_it_is_on_the_disk_in_plain(depot: FileBlobStore, tmp_path: Path) -> None:
    blobs = depot.keyed(KEY)
    upload = await blobs.begin()
    await upload.write(content_of(3 * CHUNK_BYTES + 100))
    await blobs.put(b"confidential manifest", digest_of(b"confidential manifest"))
    files = [Path(directory) / name for directory, _, names in os.walk(tmp_path) for name in names]
    assert len(files) == 3
    assert not any(b"confidential" in file.read_bytes() for file in files)
    await stored(blobs, content_of(100))
    assert not any(b"confidential" in (Path(d) / n).read_bytes() for d, _, names in os.walk(tmp_path) for n in names)


async def test_the_same_content_looks_different_in_every_file(depot: FileBlobStore, tmp_path: Path) -> None:
    content, other = content_of(1000), new_data_key(lock_of(SECRET))
    for key in (KEY, other):
        await depot.keyed(key).put(content, digest_of(content))
    one, two = (file.read_bytes() for file in (tmp_path / "keyed").rglob("*") if file.is_file())
    assert one[HEADER_BYTES:] != two[HEADER_BYTES:]


async def test_a_range_is_read_though_other_chunks_are_broken(depot: FileBlobStore, tmp_path: Path) -> None:
    blobs, content = depot.keyed(KEY), os.urandom(10 * CHUNK_BYTES)
    digest = await stored(blobs, content)
    change(file_of(tmp_path, digest), 9 * SEALED_CHUNK_BYTES)
    assert await whole(blobs, digest, CHUNK_BYTES + 5, 3 * CHUNK_BYTES) == content[CHUNK_BYTES + 5 : 3 * CHUNK_BYTES + 1]
    with pytest.raises(BlobBroken):
        await whole(blobs, digest)


def change(file: Path, at: int) -> None:
    file.chmod(0o600)
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def swap(content: bytes) -> bytes:
    """The first two chunks in the other order."""
    first, second = HEADER_BYTES + SEALED_CHUNK_BYTES, HEADER_BYTES + 2 * SEALED_CHUNK_BYTES
    return content[:HEADER_BYTES] + content[first:second] + content[HEADER_BYTES:first] + content[second:]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit of the header": lambda content: bytes((content[0] ^ 1,)) + content[1:],
    "a bit of the salt": lambda content: content[:10] + bytes((content[10] ^ 1,)) + content[11:],
    "a bit of the end": lambda content: content[:-1] + bytes((content[-1] ^ 1,)),
    "the last byte": lambda content: content[:-1],
    "the last chunk": lambda content: content[: HEADER_BYTES + 2 * SEALED_CHUNK_BYTES],
    "all but the header": lambda content: content[:HEADER_BYTES],
    "everything": lambda content: b"",
    "the order of chunks": swap,
    "a chunk twice": lambda content: content[: HEADER_BYTES + SEALED_CHUNK_BYTES] + content[HEADER_BYTES:],
    "something behind it": lambda content: content + b"x",
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_is_noticed(depot: FileBlobStore, tmp_path: Path, damage: str) -> None:
    blobs = depot.keyed(KEY)
    digest = await stored(blobs, os.urandom(2 * CHUNK_BYTES + 100))
    file = file_of(tmp_path, digest)
    file.chmod(0o600)
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert await blobs.read(digest) is None
    with pytest.raises(BlobBroken):
        await whole(blobs, digest)


async def test_putting_a_broken_blob_again_makes_it_whole(depot: FileBlobStore, tmp_path: Path) -> None:
    for blobs, file_name in ((depot.keyed(KEY), f"keyed/{KEY.id}"), (depot, "blobs")):
        content = b"a manifest"
        digest = digest_of(content)
        await blobs.put(content, digest)
        change(tmp_path / file_name / "sha256" / digest[7:9] / digest[7:], -1)
        assert await blobs.read(digest) is None
        await blobs.put(content, digest)
        assert await blobs.read(digest) == content


async def test_another_installation_cannot_open_it(depot: FileBlobStore, tmp_path: Path) -> None:
    await stored(depot.keyed(KEY), b"mine")
    other = await FileBlobStore.open(tmp_path, secret=b"t" * 32)
    with pytest.raises(BlobBroken):
        other.keyed(KEY)
    await other.close()


async def test_an_upload_is_not_continued_with_another_key(depot: FileBlobStore, tmp_path: Path) -> None:
    upload = await depot.keyed(KEY).begin()
    await upload.write(b"x" * 100)
    other = new_data_key(lock_of(SECRET))
    (tmp_path / "uploads" / f"{KEY.id}.{upload.upload_id}").rename(tmp_path / "uploads" / f"{other.id}.{upload.upload_id}")
    (tmp_path / "uploads" / f"{KEY.id}.{upload.upload_id}.tail").rename(tmp_path / "uploads" / f"{other.id}.{upload.upload_id}.tail")
    assert await depot.keyed(other).resume(upload.upload_id) is None


async def test_a_server_that_ends_between_chunks_and_tail_has_lost_nothing_it_acknowledged(depot: FileBlobStore, tmp_path: Path) -> None:
    upload = await depot.keyed(KEY).begin()
    content = os.urandom(3 * CHUNK_BYTES)
    await upload.write(content[:100])
    tail = tmp_path / "uploads" / f"{KEY.id}.{upload.upload_id}.tail"
    before = tail.read_bytes()
    await upload.write(content[100 : 2 * CHUNK_BYTES + 50])
    tail.write_bytes(before)
    again = await FileBlobStore.open(tmp_path, secret=SECRET)
    resumed = await again.keyed(KEY).resume(upload.upload_id)
    assert resumed is not None
    assert resumed.offset == 2 * CHUNK_BYTES
    await resumed.write(content[2 * CHUNK_BYTES :])
    digest = digest_of(content)
    await resumed.commit(digest)
    assert await whole(again.keyed(KEY), digest) == content
    await again.close()


async def test_a_server_that_ends_before_the_name_is_given_can_commit_again(depot: FileBlobStore, tmp_path: Path) -> None:
    upload = await depot.keyed(KEY).begin()
    content = os.urandom(CHUNK_BYTES + 10)
    digest = digest_of(content)
    await upload.write(content)
    arriving = tmp_path / "uploads" / f"{KEY.id}.{upload.upload_id}"
    tail = arriving.with_name(arriving.name + ".tail").read_bytes()
    await upload.commit(digest)
    file_of(tmp_path, digest).rename(arriving)
    arriving.with_name(arriving.name + ".tail").write_bytes(tail)
    again = await FileBlobStore.open(tmp_path, secret=SECRET)
    resumed = await again.keyed(KEY).resume(upload.upload_id)
    assert resumed is not None
    assert resumed.offset == len(content)
    await resumed.commit(digest)
    assert await whole(again.keyed(KEY), digest) == content
    assert os.listdir(tmp_path / "uploads") == []
    await again.close()


async def test_a_full_disk_is_named_and_leaves_an_encrypted_upload_as_it_was(tmp_path: Path) -> None:
    with small_files():
        depot = await FileBlobStore.open(tmp_path, secret=SECRET)
        upload = await depot.keyed(KEY).begin()
        await upload.write(b"a" * 3000)
        with pytest.raises(BlobStoreFull):
            await upload.write(b"b" * 5000)
        assert upload.offset == 3000
        await upload.write(b"c" * 96)
        assert await upload.commit(digest_of(b"a" * 3000 + b"c" * 96)) == 3096
        with pytest.raises(BlobStoreFull):
            await depot.keyed(KEY).put(b"d" * 5000, digest_of(b"d" * 5000))
        assert os.listdir(tmp_path / "uploads") == []
        await depot.close()


async def test_very_many_keys_are_not_all_held_and_none_is_lost(depot: FileBlobStore) -> None:
    keys = [new_data_key(lock_of(SECRET)) for _ in range(1100)]
    upload = await depot.keyed(keys[0]).begin()
    for number, key in enumerate(keys):
        if number < 3:
            await depot.keyed(key).put(b"x", digest_of(b"x"))
        depot.keyed(key)
    assert len(depot._keyed) <= 1025
    for key in keys[:3]:
        assert await depot.keyed(key).read(digest_of(b"x")) == b"x"
    assert await depot.keyed(keys[0]).resume(upload.upload_id) is upload
