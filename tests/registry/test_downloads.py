"""Layers by URL: whoever has one may fetch that layer for a while, and nothing else."""

from __future__ import annotations

import pytest
from yarl import URL

from longshore.services.ecr.images import delete_repository, find_repository
from longshore.services.ecr.layers.links import GOOD_FOR_S, Link, link_to
from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.model import IMAGES, REPOSITORY_BLOBS, image_key
from longshore.services.ecr.names import RepositoryId, digest_of
from tests.registry.conftest import ACCOUNT, REGION, SECRET, Client
from tests.registry.contents import CONFIG, LAYER, manifest

MEANT = RepositoryId(REGION, ACCOUNT, "app/web")


@pytest.fixture
async def url(client: Client) -> str:
    """Of a layer, as a path with its query; asked by somebody who has nothing but it."""
    for content in (LAYER, CONFIG):
        await client.push_blob("app/web", content, digest_of(content))
    put = await client.ask("PUT", "/v2/app/web/manifests/1", data=manifest(LAYER), headers={"Content-Type": OCI_MANIFEST})
    assert put.status == 201
    client.headers = {}
    return link_to(SECRET, "", Link(MEANT, digest_of(LAYER)), client.clock.now())


async def test_the_layer_is_had_without_any_other_authentication(client: Client, url: str) -> None:
    response = await client.ask("GET", url)
    assert response.status == 200
    assert await response.read() == LAYER
    assert response.headers["Docker-Content-Digest"] == digest_of(LAYER)
    head = await client.ask("HEAD", url)
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(LAYER)))


async def test_a_range_is_had_alone(client: Client, url: str) -> None:
    response = await client.ask("GET", url, headers={"Range": "bytes=10-19"})
    assert (response.status, response.headers["Content-Range"]) == (206, f"bytes 10-19/{len(LAYER)}")
    assert await response.read() == LAYER[10:20]
    assert (await client.ask("GET", url, headers={"Range": f"bytes={len(LAYER)}-"})).status == 416


async def test_a_url_that_was_changed_or_has_expired_is_denied(client: Client, url: str) -> None:
    path, _, query = url.partition("?")
    signature = URL(url).query["signature"]
    for other in (
        path,
        f"{path}?expires=9999999999&signature={signature}",
        url.replace(digest_of(LAYER), digest_of(CONFIG)),
        url.replace("app/web", "app/api"),
        f"{url}&expires=9999999999",
        f"{path}?{query[:-1]}",
        f"/_layers/?{query}",
        f"/_layers/..%2f..%2fv2/?{query}",
    ):
        assert (await client.ask("GET", other)).status == 403, other
    await client.clock.step(GOOD_FOR_S + 1)
    assert (await client.ask("GET", url)).status == 403


async def test_a_url_is_for_reading(client: Client, url: str) -> None:
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        assert (await client.ask(method, url)).status == 405


async def test_with_the_last_image_that_has_the_layer_its_url_is_closed(client: Client, url: str) -> None:
    await client.store.transact(lambda tx: tx.delete(IMAGES, image_key(MEANT.key, digest_of(manifest(LAYER)))))
    assert (await client.ask("GET", url)).status == 404


async def test_what_is_gone_is_not_found(client: Client, url: str) -> None:
    await client.store.transact(lambda tx: tx.delete(REPOSITORY_BLOBS, image_key(MEANT.key, digest_of(LAYER))))
    assert (await client.ask("GET", url)).status == 404
    await client.store.transact(lambda tx: delete_repository(tx, find_repository(tx, MEANT)))
    assert (await client.ask("GET", url)).status == 404
