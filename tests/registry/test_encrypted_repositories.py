"""Repositories that encrypt: to their clients they are like all others, and on the disk nothing is to be read."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientError

from longshore.kit.data_keys import lock_of, new_data_key
from longshore.services.ecr.images import delete_repository
from longshore.services.ecr.manifests import OCI_INDEX, OCI_MANIFEST
from longshore.services.ecr.model import IMAGES, REPOSITORIES, REPOSITORY_BLOBS
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.store.chunks import CHUNK_BYTES, SEALED_CHUNK_BYTES
from longshore.store.file_blobs import FileBlobStore
from tests.registry.conftest import ACCOUNT, REGION, SECRET, Client
from tests.registry.contents import CONFIG, index, manifest

LAYER = b"confidential" * 20_000
DIGEST = digest_of(LAYER)
IMAGE = manifest(LAYER)


@pytest.fixture
async def secret(client: Client) -> RepositoryId:
    return await client.create_repository("secret", data_key=new_data_key(lock_of(SECRET)))


@pytest.fixture
async def pushed(client: Client, secret: RepositoryId) -> Client:
    for content in (CONFIG, LAYER):
        await client.push_blob("secret", content, digest_of(content))
    response = await client.ask("PUT", "/v2/secret/manifests/1", data=IMAGE, headers={"Content-Type": OCI_MANIFEST})
    assert response.status == 201
    return client


def files(client: Client) -> list[Path]:
    root: Path = client.blobs._root  # type: ignore[attr-defined]
    return [Path(directory) / name for directory, _, names in os.walk(root) for name in names]


async def test_what_is_pushed_is_pulled(pushed: Client) -> None:
    assert await (await pushed.ask("GET", "/v2/secret/manifests/1")).read() == IMAGE
    response = await pushed.ask("GET", f"/v2/secret/blobs/{DIGEST}")
    assert (response.status, await response.read()) == (200, LAYER)
    response = await pushed.ask("HEAD", f"/v2/secret/blobs/{DIGEST}")
    assert (response.status, response.headers["Content-Length"]) == (200, str(len(LAYER)))


@pytest.mark.parametrize(
    ("first", "last"), [(0, 0), (5, 9), (CHUNK_BYTES - 1, CHUNK_BYTES), (CHUNK_BYTES, 2 * CHUNK_BYTES - 1), (100_000, len(LAYER) - 1)]
)
async def test_ranges_are_served(pushed: Client, first: int, last: int) -> None:
    response = await pushed.ask("GET", f"/v2/secret/blobs/{DIGEST}", headers={"Range": f"bytes={first}-{last}"})
    assert (response.status, response.headers["Content-Range"]) == (206, f"bytes {first}-{last}/{len(LAYER)}")
    assert await response.read() == LAYER[first : last + 1]


async def test_nothing_of_it_is_to_be_read_on_the_disk(pushed: Client) -> None:
    assert len(files(pushed)) == 3
    for file in files(pushed):
        content = file.read_bytes()
        assert b"confidential" not in content
        assert b"schemaVersion" not in content
        assert b"architecture" not in content


async def test_a_chunked_upload_goes_on_after_a_restart(client: Client, secret: RepositoryId) -> None:
    response = await client.ask("POST", "/v2/secret/blobs/uploads/")
    response = await client.ask("PATCH", response.headers["Location"], data=LAYER[:70_000])
    assert response.headers["Range"] == "0-69999"
    client.serve_from(FileBlobStore(client.blobs._root, clock=client.clock, secret=SECRET))  # type: ignore[attr-defined]
    response = await client.ask("GET", response.headers["Location"])
    assert (response.status, response.headers["Range"]) == (204, "0-69999")
    response = await client.ask("PUT", f"{response.headers['Location']}?digest={DIGEST}", data=LAYER[70_000:])
    assert response.status == 201
    assert await (await client.ask("GET", f"/v2/secret/blobs/{DIGEST}")).read() == LAYER


@pytest.mark.parametrize(("source", "target"), [("secret", "app/web"), ("app/web", "secret"), ("secret", "other")])
async def test_a_mount_between_different_keys_becomes_an_upload(client: Client, secret: RepositoryId, source: str, target: str) -> None:
    await client.create_repository("other", data_key=new_data_key(lock_of(SECRET)))
    await client.push_blob(source, LAYER, DIGEST)
    response = await client.ask("POST", f"/v2/{target}/blobs/uploads/?mount={DIGEST}&from={source}")
    assert response.status == 202
    assert (await client.ask("HEAD", f"/v2/{target}/blobs/{DIGEST}")).status == 404


async def test_the_same_layer_is_stored_once_for_each_key_and_once_in_plain(client: Client, secret: RepositoryId) -> None:
    await client.create_repository("plain")
    for name in ("secret", "app/web", "plain", "secret"):
        await client.push_blob(name, LAYER, DIGEST)
    assert len(files(client)) == 2


async def test_what_is_broken_at_its_beginning_is_not_begun(pushed: Client) -> None:
    damage(pushed, 100)
    response = await pushed.ask("GET", f"/v2/secret/blobs/{DIGEST}")
    assert response.status == 404
    assert "BLOB_UNKNOWN" in await response.text()


async def test_what_is_broken_further_on_breaks_the_connection(client: Client, secret: RepositoryId) -> None:
    large = os.urandom(40 * CHUNK_BYTES)
    await client.ask("POST", f"/v2/secret/blobs/uploads/?digest={digest_of(large)}", data=io.BytesIO(large))
    damage(client, 30 * SEALED_CHUNK_BYTES)
    with pytest.raises((ClientError, ConnectionError)):
        await client.ask("GET", f"/v2/secret/blobs/{digest_of(large)}")
    assert (await client.ask("GET", "/v2/")).status == 200


def damage(client: Client, at: int) -> None:
    file = max(files(client), key=lambda each: each.stat().st_size)
    file.chmod(0o600)
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


async def test_a_repository_made_anew_under_the_same_name_reads_nothing_of_the_old_one(pushed: Client, secret: RepositoryId) -> None:
    old = pushed.store.get(REPOSITORIES, secret.key)
    await pushed.store.transact(lambda tx: tx.delete(REPOSITORIES, secret.key))
    await pushed.create_repository("secret", data_key=new_data_key(lock_of(SECRET)))
    new = pushed.store.get(REPOSITORIES, secret.key)
    assert old and new and old.data_key != new.data_key
    assert (await pushed.ask("GET", f"/v2/secret/blobs/{DIGEST}")).status == 404


async def replace(client: Client, encrypted: bool) -> None:
    """The repository `app` is deleted, if it is there, and made anew."""
    held = client.store.get(REPOSITORIES, RepositoryId(REGION, ACCOUNT, "app").key)
    if held is not None:
        await client.store.transact(lambda tx: delete_repository(tx, held))
    await client.create_repository("app", data_key=new_data_key(lock_of(SECRET)) if encrypted else None)


@pytest.mark.parametrize(("before", "after"), [(False, True), (True, False), (True, True)])
async def test_what_was_begun_for_a_repository_does_not_go_to_another_of_its_name(client: Client, before: bool, after: bool) -> None:
    await replace(client, before)
    begun = await client.ask("POST", "/v2/app/blobs/uploads/")
    await client.ask("PATCH", begun.headers["Location"], data=LAYER[:100])
    await replace(client, after)
    assert (await client.ask("PATCH", begun.headers["Location"], data=LAYER[100:])).status == 404
    assert (await client.ask("PUT", f"{begun.headers['Location']}?digest={DIGEST}", data=LAYER[100:])).status == 404
    assert client.store.count(REPOSITORY_BLOBS) == 0


@pytest.mark.parametrize("what", ["layer", "manifest"])
async def test_what_is_acknowledged_can_be_read_though_the_repository_was_replaced_meanwhile(client: Client, what: str) -> None:
    await replace(client, True)
    content = LAYER if what == "layer" else index()

    async def body() -> AsyncIterator[bytes]:
        await replace(client, False)
        yield content

    # The body is sent once the server has looked for the repository and asks for it.
    if what == "layer":
        response = await client.ask("POST", f"/v2/app/blobs/uploads/?digest={DIGEST}", data=body(), expect100=True)
    else:
        response = await client.ask("PUT", "/v2/app/manifests/1", data=body(), expect100=True, headers={"Content-Type": OCI_INDEX})
    assert response.status == 404
    assert client.store.count(REPOSITORY_BLOBS) + client.store.count(IMAGES) == 0
