"""Uploads in one request, as a stream and in chunks; what breaks them and what does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from longshore.services.ecr.names import digest_of
from longshore.store.file_blobs import FileBlobStore
from tests.registry.conftest import Client
from tests.registry.contents import LAYER

DIGEST = digest_of(LAYER)


async def begin(client: Client, query: str = "") -> str:
    response = await client.ask("POST", f"/v2/app/web/blobs/uploads/{query}")
    assert response.status == 202
    assert response.headers["Range"] == "0-0"
    return response.headers["Location"]


async def stored(client: Client, digest: str = DIGEST) -> bytes:
    response = await client.ask("GET", f"/v2/app/web/blobs/{digest}")
    assert response.status == 200
    return await response.read()


async def test_a_blob_is_uploaded_whole_with_the_post(client: Client) -> None:
    response = await client.ask("POST", f"/v2/app/web/blobs/uploads/?digest={DIGEST}", data=LAYER)
    assert response.status == 201
    assert response.headers["Location"] == f"/v2/app/web/blobs/{DIGEST}"
    assert response.headers["Docker-Content-Digest"] == DIGEST
    assert await stored(client) == LAYER


async def test_a_blob_is_uploaded_whole_with_the_put(client: Client) -> None:
    location = await begin(client)
    response = await client.ask("PUT", f"{location}?digest={DIGEST}", data=LAYER)
    assert response.status == 201
    assert await stored(client) == LAYER


async def test_a_blob_is_streamed_and_then_closed_with_an_empty_put(client: Client) -> None:
    location = await begin(client)

    async def pieces():  # type: ignore[no-untyped-def]
        for begin in range(0, len(LAYER), 1000):
            yield LAYER[begin : begin + 1000]

    response = await client.ask("PATCH", location, data=pieces())
    assert response.status == 202
    assert response.headers["Range"] == f"0-{len(LAYER) - 1}"
    response = await client.ask("PUT", f"{response.headers['Location']}?digest={DIGEST}")
    assert response.status == 201
    assert await stored(client) == LAYER


async def test_chunks_must_follow_one_another(client: Client) -> None:
    location = await begin(client)
    response = await client.ask("PATCH", location, data=LAYER[:100], headers={"Content-Range": "0-99"})
    assert (response.status, response.headers["Range"]) == (202, "0-99")
    for wrong in ("0-99", "200-299"):
        response = await client.ask("PATCH", location, data=LAYER[100:200], headers={"Content-Range": wrong})
        assert (response.status, response.headers["Range"]) == (416, "0-99")
        assert response.headers["Location"] == location
    response = await client.ask("PATCH", location, data=LAYER[100:200], headers={"Content-Range": "100-149"})
    assert response.status == 400
    response = await client.ask("PATCH", location, data=LAYER[100:200], headers={"Content-Range": "somewhere"})
    assert (response.status, (await response.json())["errors"][0]["code"]) == (400, "BLOB_UPLOAD_INVALID")
    last = f"100-{len(LAYER) - 1}"
    response = await client.ask("PUT", f"{location}?digest={DIGEST}", data=LAYER[100:], headers={"Content-Range": last})
    assert response.status == 201
    assert await stored(client) == LAYER


async def test_how_far_an_upload_has_come_can_be_asked(client: Client) -> None:
    location = await begin(client)
    await client.ask("PATCH", location, data=LAYER[:100])
    response = await client.ask("GET", location)
    assert (response.status, response.headers["Range"], response.headers["Location"]) == (204, "0-99", location)


async def test_a_cancelled_upload_is_gone(client: Client) -> None:
    location = await begin(client)
    assert (await client.ask("DELETE", location)).status == 204
    for method in ("GET", "PATCH", "DELETE"):
        response = await client.ask(method, location)
        assert (response.status, (await response.json())["errors"][0]["code"]) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize("way", ["post", "put"])
async def test_bytes_that_do_not_have_the_announced_digest_are_refused(client: Client, way: str) -> None:
    if way == "post":
        response = await client.ask("POST", f"/v2/app/web/blobs/uploads/?digest={DIGEST}", data=LAYER + b"!")
    else:
        response = await client.ask("PUT", f"{await begin(client)}?digest={DIGEST}", data=LAYER + b"!")
    assert (response.status, (await response.json())["errors"][0]["code"]) == (400, "DIGEST_INVALID")
    assert (await client.ask("HEAD", f"/v2/app/web/blobs/{DIGEST}")).status == 404
    assert [blob async for blob in client.blobs.stored()] == []


@pytest.mark.parametrize("digest", ["", "sha256:abc", "md5:d41d8cd98f00b204e9800998ecf8427e", "../../etc/passwd", "sha256:" + "G" * 64])
async def test_a_digest_that_is_none_is_refused_before_anything_is_read(client: Client, digest: str) -> None:
    response = await client.ask("PUT", f"{await begin(client)}?digest={digest}", data=LAYER)
    assert (response.status, (await response.json())["errors"][0]["code"]) == (400, "DIGEST_INVALID")


async def test_sha512_is_taken_whatever_was_said_at_the_start(client: Client) -> None:
    digest = digest_of(LAYER, "sha512")
    for query in ("", "?digest-algorithm=sha512"):
        response = await client.ask("PUT", f"{await begin(client, query)}?digest={digest}", data=LAYER)
        assert response.status == 201
    assert await stored(client, digest) == LAYER
    response = await client.ask("POST", "/v2/app/web/blobs/uploads/?digest-algorithm=md5")
    assert response.status == 400


async def test_an_upload_belongs_to_its_repository(client: Client) -> None:
    await client.create_repository("other")
    location = await begin(client)
    response = await client.ask("PUT", f"{location.replace('app/web', 'other')}?digest={DIGEST}", data=LAYER)
    assert response.status == 404


@pytest.mark.parametrize("reference", ["x", "..%2f..%2fetc%2fpasswd", "%2e%2e", "uuid.0123", "é.ü", "." * 200])
async def test_an_upload_that_was_not_given_out_is_unknown(client: Client, reference: str) -> None:
    response = await client.ask("PATCH", f"/v2/app/web/blobs/uploads/{reference}", data=b"x")
    assert response.status in (400, 404)


async def test_an_upload_goes_on_after_a_restart(client: Client, tmp_path: Path) -> None:
    location = await begin(client)
    await client.ask("PATCH", location, data=LAYER[:5000])
    blobs = await FileBlobStore.open(tmp_path, clock=client.clock)
    client.serve_from(blobs)
    response = await client.ask("GET", location)
    assert response.headers["Range"] == "0-4999"
    response = await client.ask("PATCH", location, data=LAYER[5000:], headers={"Content-Range": f"5000-{len(LAYER) - 1}"})
    response = await client.ask("PUT", f"{location}?digest={DIGEST}")
    assert response.status == 201
    assert await stored(client) == LAYER
    await blobs.close()


@pytest.mark.parametrize(
    ("header", "sent"),
    [
        (f"Content-Length: {len(LAYER)}", LAYER[:3000]),
        ("Transfer-Encoding: chunked", b"bb8\r\n" + LAYER[:3000] + b"\r\n"),
    ],
)
async def test_what_came_before_the_connection_broke_is_kept(
    client: Client, caplog: pytest.LogCaptureFixture, header: str, sent: bytes
) -> None:
    location = await begin(client)
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nAuthorization: {client.headers['Authorization']}\r\n{header}\r\n\r\n"
    writer.write(head.encode() + sent)
    await writer.drain()
    writer.close()
    async with asyncio.timeout(5):
        while (response := await client.ask("GET", location)).headers["Range"] != "0-2999":
            assert response.status == 204
    response = await client.ask("PUT", f"{location}?digest={DIGEST}", data=LAYER[3000:])
    assert response.status == 201
    assert "Traceback" not in caplog.text


async def test_a_put_whose_answer_got_lost_can_be_repeated(client: Client) -> None:
    location = await begin(client)
    for _ in range(2):
        response = await client.ask("PUT", f"{location}?digest={DIGEST}", data=LAYER)
        assert response.status == 201


async def test_a_client_that_asks_first_is_told_to_go_ahead(client: Client) -> None:
    location = await begin(client)
    response = await client.ask("PUT", f"{location}?digest={DIGEST}", data=LAYER, expect100=True)
    assert response.status == 201


async def test_pushing_to_a_repository_that_does_not_exist_says_so_in_ecrs_words(client: Client) -> None:
    response = await client.ask("POST", "/v2/nobody/blobs/uploads/")
    assert response.status == 404
    assert (await response.json())["errors"] == [
        {
            "code": "NAME_UNKNOWN",
            "message": "The repository with name 'nobody' does not exist in the registry with id '000000000000'",
            "detail": None,
        }
    ]


async def test_a_blob_is_mounted_from_another_repository(client: Client) -> None:
    await client.create_repository("other")
    await client.push_blob("other", LAYER, DIGEST)
    response = await client.ask("POST", f"/v2/app/web/blobs/uploads/?mount={DIGEST}&from=other")
    assert (response.status, response.headers["Location"]) == (201, f"/v2/app/web/blobs/{DIGEST}")
    assert await stored(client) == LAYER


async def test_a_blob_is_mounted_from_wherever_it_is(client: Client) -> None:
    await client.create_repository("other")
    await client.push_blob("other", LAYER, DIGEST)
    assert (await client.ask("POST", f"/v2/app/web/blobs/uploads/?mount={DIGEST}")).status == 201


@pytest.mark.parametrize("source", ["absent", "../other", "app/web"])
async def test_what_cannot_be_mounted_begins_an_upload(client: Client, source: str) -> None:
    response = await client.ask("POST", f"/v2/app/web/blobs/uploads/?mount={DIGEST}&from={source}")
    assert response.status == 202
    response = await client.ask("PUT", f"{response.headers['Location']}?digest={DIGEST}", data=LAYER)
    assert response.status == 201


async def test_nothing_is_mounted_from_what_the_caller_may_not_read(client: Client) -> None:
    await client.create_repository("secret")
    await client.push_blob("secret", LAYER, DIGEST)
    client.door.refused.add(("ecr:GetDownloadUrlForLayer", "secret"))
    for query in (f"mount={DIGEST}&from=secret", f"mount={DIGEST}"):
        assert (await client.ask("POST", f"/v2/app/web/blobs/uploads/?{query}")).status == 202


async def test_nothing_is_mounted_from_another_account_or_region(client: Client) -> None:
    await client.create_repository("theirs", account_id="111111111111")
    await client.create_repository("far", region="eu-west-1")
    response = await client.ask("POST", f"/v2/{ACCOUNT_PREFIX}/far/blobs/uploads/?digest={DIGEST}", data=LAYER)
    assert response.status == 201
    for query in (f"mount={DIGEST}&from={ACCOUNT_PREFIX}/far", f"mount={DIGEST}"):
        assert (await client.ask("POST", f"/v2/app/web/blobs/uploads/?{query}")).status == 202


ACCOUNT_PREFIX = "000000000000.dkr.ecr.eu-west-1"
