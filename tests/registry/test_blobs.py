"""Blobs as they are read: whole, in part, not at all."""

from __future__ import annotations

import asyncio

import pytest

from longshore.registry.garbage import GRACE_S
from longshore.services.ecr.images import record_blob
from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.model import REPOSITORY_BLOBS
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.store.memory_blobs import MemoryBlobStore
from tests.registry.conftest import ACCOUNT, REGION, Client
from tests.registry.contents import CONFIG, LAYER, manifest

DIGEST = digest_of(LAYER)
PATH = f"/v2/app/web/blobs/{DIGEST}"


@pytest.fixture(params=["from a file", "from a store without files"])
async def stored(client: Client, request: pytest.FixtureRequest) -> Client:
    if request.param != "from a file":
        client.serve_from(MemoryBlobStore(clock=client.clock))
    await client.push_blob("app/web", LAYER, DIGEST)
    return client


async def test_a_blob_comes_whole_with_its_digest_and_length(stored: Client) -> None:
    response = await stored.ask("GET", PATH)
    assert (response.status, await response.read()) == (200, LAYER)
    assert response.headers["Docker-Content-Digest"] == DIGEST
    assert response.headers["Content-Length"] == str(len(LAYER))
    assert response.headers["ETag"] == f'"{DIGEST}"'
    assert response.headers["Accept-Ranges"] == "bytes"


async def test_head_tells_the_true_length_and_sends_nothing(stored: Client) -> None:
    response = await stored.ask("HEAD", PATH)
    assert (response.status, response.headers["Content-Length"], await response.read()) == (200, str(len(LAYER)), b"")
    assert response.headers["Docker-Content-Digest"] == DIGEST


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5000-", 5000, 10239),
        ("bytes=-7", 10233, 10239),
        ("bytes=10-99999", 10, 10239),
        ("bytes=-99999", 0, 10239),
    ],
)
async def test_a_part_comes_as_206(stored: Client, asked: str, first: int, last: int) -> None:
    response = await stored.ask("GET", PATH, headers={"Range": asked})
    assert (response.status, response.headers["Content-Range"]) == (206, f"bytes {first}-{last}/{len(LAYER)}")
    assert await response.read() == LAYER[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=-0", "bytes=99999999999-999999999999", "bytes=9-3"])
async def test_a_range_beyond_the_end_is_416(stored: Client, asked: str) -> None:
    response = await stored.ask("GET", PATH, headers={"Range": asked})
    assert (response.status, response.headers["Content-Range"]) == (416, f"bytes */{len(LAYER)}")


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=", "bytes=-", "bytes=a-b", "bytes=" + "9" * 400 + "-"])
async def test_what_is_no_single_range_is_ignored(stored: Client, asked: str) -> None:
    response = await stored.ask("GET", PATH, headers={"Range": asked})
    assert (response.status, await response.read()) == (200, LAYER)


async def test_a_range_of_something_else_is_not_honoured(stored: Client) -> None:
    response = await stored.ask("GET", PATH, headers={"Range": "bytes=0-1", "If-Range": '"another"'})
    assert response.status == 200
    response = await stored.ask("GET", PATH, headers={"Range": "bytes=0-1", "If-Range": f'"{DIGEST}"'})
    assert response.status == 206


async def test_what_the_client_has_is_not_sent_again(stored: Client) -> None:
    response = await stored.ask("GET", PATH, headers={"If-None-Match": f'"{DIGEST}"'})
    assert (response.status, await response.read()) == (304, b"")


async def test_an_empty_blob_is_a_blob(client: Client) -> None:
    digest = digest_of(b"")
    await client.push_blob("app/web", b"", digest)
    response = await client.ask("GET", f"/v2/app/web/blobs/{digest}")
    assert (response.status, response.headers["Content-Length"]) == (200, "0")


async def test_a_blob_is_not_readable_where_it_was_not_pushed(stored: Client) -> None:
    await stored.create_repository("other")
    response = await stored.ask("GET", f"/v2/other/blobs/{DIGEST}")
    assert (response.status, (await response.json())["errors"][0]["code"]) == (404, "BLOB_UNKNOWN")


async def test_a_blob_whose_bytes_are_missing_is_unknown(stored: Client) -> None:
    await stored.blobs.delete(DIGEST)
    for method in ("GET", "HEAD"):
        assert (await stored.ask(method, PATH)).status == 404


@pytest.mark.parametrize("digest", ["sha256:12", "latest", "sha256:" + "z" * 64, "..%2F..%2Fetc%2Fpasswd", "md5:" + "0" * 32])
async def test_a_digest_that_is_none_is_refused(client: Client, digest: str) -> None:
    response = await client.ask("GET", f"/v2/app/web/blobs/{digest}")
    assert response.status in (400, 404)


async def test_a_blob_can_be_taken_out_until_an_image_uses_it(stored: Client) -> None:
    assert (await stored.ask("DELETE", PATH)).status == 202
    assert (await stored.ask("GET", PATH)).status == 404
    await stored.push_blob("app/web", LAYER, DIGEST)
    await stored.push_blob("app/web", CONFIG, digest_of(CONFIG))
    response = await stored.ask("PUT", "/v2/app/web/manifests/1", data=manifest(LAYER), headers={"Content-Type": OCI_MANIFEST})
    assert response.status == 201
    response = await stored.ask("DELETE", PATH)
    assert (response.status, (await response.json())["errors"][0]["code"]) == (405, "UNSUPPORTED")
    assert (await stored.ask("GET", PATH)).status == 200


async def test_an_unused_blob_that_a_push_asks_for_is_kept_for_that_push(client: Client) -> None:
    await client.push_blob("app/web", LAYER, DIGEST)
    await client.clock.step(GRACE_S * 0.9)
    client.log_in()
    assert (await client.ask("HEAD", PATH)).status == 200
    (held,) = client.store.list(REPOSITORY_BLOBS)
    assert held.uploaded_at == client.clock.now()


@pytest.mark.parametrize("way", ["", "?by=aiohttp"])
async def test_a_client_that_stops_listening_is_no_error(client: Client, caplog: pytest.LogCaptureFixture, way: str) -> None:
    large = bytes(20 * 1024 * 1024)
    await client.blobs.put(large, digest_of(large))
    web = RepositoryId(REGION, ACCOUNT, "app/web")
    await client.store.transact(lambda tx: record_blob(tx, web, digest_of(large), len(large), client.clock.now()))
    caplog.set_level("INFO", "longshore")
    for _ in range(2):
        async with client.session.get(client.url(f"/v2/app/web/blobs/{digest_of(large)}{way}"), headers=client.headers) as response:
            await response.content.readexactly(1000)
            response.close()
    async with asyncio.timeout(5):
        while caplog.text.count("the connection broke") < 2:
            assert (await client.ask("GET", "/v2/")).status == 200
    assert "Traceback" not in caplog.text
