"""Tags, repositories and referrers, page by page."""

from __future__ import annotations

import re
from typing import Any

import pytest

from longshore.services.ecr.manifests import OCI_INDEX, OCI_MANIFEST
from longshore.services.ecr.names import digest_of
from tests.registry.conftest import Client
from tests.registry.contents import CONFIG, CONFIG_TYPE, descriptor, index, manifest

IMAGE = manifest()
DIGEST = digest_of(IMAGE)


@pytest.fixture
async def client(client: Client) -> Client:
    await client.push_blob("app/web", CONFIG, digest_of(CONFIG))
    return client


async def put(client: Client, reference: str, content: bytes, media_type: str = OCI_MANIFEST) -> None:
    response = await client.ask("PUT", f"/v2/app/web/manifests/{reference}", data=content, headers={"Content-Type": media_type})
    assert response.status == 201


async def pages(client: Client, path: str, member: str) -> list[list[Any]]:
    """Follows the links."""
    found = []
    while True:
        response = await client.ask("GET", path)
        assert response.status == 200
        found.append((await response.json(content_type=None))[member])
        link = re.fullmatch(r'<([^>]+)>; rel="next"', response.headers.get("Link", ""))
        if link is None:
            return found
        path = link[1]


async def test_tags_are_listed_in_order_and_in_pages(client: Client) -> None:
    await put(client, DIGEST + "?" + "&".join(f"tag={tag}" for tag in ("b", "C", "a", "1")), IMAGE)
    assert await pages(client, "/v2/app/web/tags/list", "tags") == [["1", "C", "a", "b"]]
    assert await pages(client, "/v2/app/web/tags/list?n=3", "tags") == [["1", "C", "a"], ["b"]]
    assert await pages(client, "/v2/app/web/tags/list?n=4", "tags") == [["1", "C", "a", "b"]]
    assert await pages(client, "/v2/app/web/tags/list?n=0", "tags") == [[]]
    assert await pages(client, "/v2/app/web/tags/list?last=Z", "tags") == [["a", "b"]]


async def test_a_repository_without_tags_lists_none_and_an_absent_one_is_unknown(client: Client) -> None:
    assert (await (await client.ask("GET", "/v2/app/web/tags/list")).json()) == {"name": "app/web", "tags": []}
    response = await client.ask("GET", "/v2/absent/tags/list")
    assert (response.status, (await response.json())["errors"][0]["code"]) == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize("number", ["-1", "x", "1.5", "9" * 30, "%D9%A1"])
async def test_a_number_that_is_none_is_refused(client: Client, number: str) -> None:
    assert (await client.ask("GET", f"/v2/app/web/tags/list?n={number}")).status == 400


async def test_the_catalog_holds_the_repositories_of_one_registry(client: Client) -> None:
    await client.create_repository("b")
    await client.create_repository("far", region="eu-west-1")
    await client.create_repository("theirs", account_id="111111111111")
    assert await pages(client, "/v2/_catalog", "repositories") == [["app/web", "b"]]
    assert await pages(client, "/v2/_catalog?n=1", "repositories") == [["app/web"], ["b"]]
    response = await client.ask("GET", "/v2/_catalog", headers={"Host": "000000000000.dkr.ecr.eu-west-1.localhost:4566"})
    assert (await response.json())["repositories"] == ["far"]


async def test_referrers_are_described_as_the_specification_has_it(client: Client) -> None:
    signature = manifest(subject=descriptor(IMAGE, OCI_MANIFEST), artifactType="application/x.signature", annotations={"who": "me"})
    plain = manifest(subject=descriptor(IMAGE, OCI_MANIFEST))
    list_ = index(subject=descriptor(IMAGE, OCI_MANIFEST))
    await put(client, digest_of(signature), signature)
    await put(client, digest_of(plain), plain)
    await put(client, digest_of(list_), list_, OCI_INDEX)
    response = await client.ask("GET", f"/v2/app/web/referrers/{DIGEST}")
    assert response.headers["Content-Type"] == OCI_INDEX
    answer = await response.json(content_type=None)
    assert (answer["schemaVersion"], answer["mediaType"]) == (2, OCI_INDEX)
    assert sorted(answer["manifests"], key=lambda each: each["size"]) == sorted(
        (
            descriptor(signature, OCI_MANIFEST, artifactType="application/x.signature", annotations={"who": "me"}),
            descriptor(plain, OCI_MANIFEST, artifactType=CONFIG_TYPE),
            descriptor(list_, OCI_INDEX),
        ),
        key=lambda each: each["size"],
    )
    assert sum(len(page) for page in await pages(client, f"/v2/app/web/referrers/{DIGEST}?n=1", "manifests")) == 3


async def test_referrers_are_filtered_by_artifact_type(client: Client) -> None:
    for number in range(5):
        about = manifest(
            subject=descriptor(IMAGE, OCI_MANIFEST), artifactType=f"application/x.{number % 2}", annotations={"n": str(number)}
        )
        await put(client, digest_of(about), about)
    path = f"/v2/app/web/referrers/{DIGEST}?artifactType=application/x.0"
    response = await client.ask("GET", path)
    assert response.headers["OCI-Filters-Applied"] == "artifactType"
    assert len((await response.json(content_type=None))["manifests"]) == 3
    assert [len(page) for page in await pages(client, f"{path}&n=2", "manifests")] == [2, 1]


async def test_a_page_has_no_more_annotations_than_a_manifest_may_have(client: Client) -> None:
    for number in range(6):
        about = manifest(subject=descriptor(IMAGE, OCI_MANIFEST), annotations={"n": str(number), "text": "x" * 1_000_000})
        await put(client, digest_of(about), about)
    assert [len(page) for page in await pages(client, f"/v2/app/web/referrers/{DIGEST}", "manifests")] == [4, 2]


async def test_nothing_refers_to_what_nobody_knows(client: Client) -> None:
    response = await client.ask("GET", f"/v2/app/web/referrers/{digest_of(b'unknown')}")
    assert (response.status, (await response.json(content_type=None))["manifests"]) == (200, [])
    response = await client.ask("GET", "/v2/app/web/referrers/latest")
    assert (response.status, (await response.json())["errors"][0]["code"]) == (400, "DIGEST_INVALID")
