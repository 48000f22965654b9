"""Archived images, pulls that leave no trace and mounts that are not wanted, as docker meets them."""

from __future__ import annotations

import pytest

from longshore.services.call import Principal
from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.model import IMAGES, image_key
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.settings.model import ACCOUNT_SETTINGS, PULL_TIME_EXCLUSIONS, AccountSetting, PullTimeExclusion
from longshore.services.ecr.storage_class import archive_image
from tests.registry.conftest import ACCOUNT, ALICE, REGION, Client
from tests.registry.contents import CONFIG, LAYER, descriptor, manifest

IMAGE = manifest(LAYER)
KEY = image_key(RepositoryId(REGION, ACCOUNT, "app/web").key, digest_of(IMAGE))
PATH = f"/v2/app/web/manifests/{digest_of(IMAGE)}"


async def push(client: Client, content: bytes = IMAGE, tag: str = "1") -> None:
    response = await client.ask("PUT", f"/v2/app/web/manifests/{tag}", data=content, headers={"Content-Type": OCI_MANIFEST})
    assert response.status == 201


@pytest.fixture
async def client(client: Client) -> Client:
    for content in (LAYER, CONFIG):
        await client.push_blob("app/web", content, digest_of(content))
    await push(client)
    return client


async def archive(client: Client) -> None:
    image = client.store.get(IMAGES, KEY)
    assert image is not None
    await client.store.transact(lambda tx: archive_image(tx, image, client.clock.now()))


async def test_an_archived_image_is_not_found_until_it_is_pushed_again(client: Client) -> None:
    await archive(client)
    layer = f"/v2/app/web/blobs/{digest_of(LAYER)}"
    for path in (PATH, "/v2/app/web/manifests/1", layer):
        assert (await client.ask("GET", path)).status == 404
    assert (await client.ask("HEAD", "/v2/app/web/manifests/1")).status == 404
    assert (await client.ask("HEAD", layer)).status == 200  # so that a push leaves it out
    await push(client)
    for path in (PATH, "/v2/app/web/manifests/1", layer):
        assert (await client.ask("GET", path)).status == 200


async def test_lists_leave_out_what_is_archived(client: Client) -> None:
    await push(client, manifest(LAYER, annotations={"a": "b"}), "2")
    await push(client, manifest(LAYER, subject=descriptor(IMAGE, OCI_MANIFEST)), "3")
    referrers = f"/v2/app/web/referrers/{digest_of(IMAGE)}"
    assert len((await (await client.ask("GET", referrers)).json(content_type=None))["manifests"]) == 1
    await archive(client)  # and what refers to it
    assert (await (await client.ask("GET", "/v2/app/web/tags/list")).json())["tags"] == ["2"]
    assert (await (await client.ask("GET", referrers)).json(content_type=None))["manifests"] == []


async def test_a_page_of_nothing_is_empty(client: Client) -> None:
    await push(client, manifest(LAYER, subject=descriptor(IMAGE, OCI_MANIFEST)), "2")
    for path, member in (("tags/list", "tags"), (f"referrers/{digest_of(IMAGE)}", "manifests")):
        response = await client.ask("GET", f"/v2/app/web/{path}?n=0")
        assert (response.status, (await response.json(content_type=None))[member]) == (200, [])
        assert "Link" not in response.headers


async def test_a_layer_that_an_active_image_has_too_can_be_pulled(client: Client) -> None:
    await push(client, manifest(LAYER, annotations={"a": "b"}), "2")
    await archive(client)
    assert (await client.ask("GET", f"/v2/app/web/blobs/{digest_of(LAYER)}")).status == 200
    assert (await client.ask("GET", "/v2/app/web/manifests/2")).status == 200


async def test_an_archived_image_can_be_deleted(client: Client) -> None:
    await archive(client)
    assert (await client.ask("DELETE", PATH)).status == 202
    assert client.store.get(IMAGES, KEY) is None


async def test_a_pull_by_an_excluded_principal_is_not_noted(client: Client) -> None:
    exclusion = PullTimeExclusion(REGION, ACCOUNT, ALICE.arn, 0.0)
    await client.store.transact(lambda tx: tx.put(PULL_TIME_EXCLUSIONS, exclusion))
    assert (await client.ask("GET", PATH)).status == 200
    image = client.store.get(IMAGES, KEY)
    assert image is not None
    assert image.last_pulled_at is None
    client.log_in(Principal(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT, "AKIAROOT"))
    assert (await client.ask("GET", PATH)).status == 200
    image = client.store.get(IMAGES, KEY)
    assert image is not None
    assert image.last_pulled_at == client.clock.now()


@pytest.mark.parametrize(("value", "status"), [(None, 201), ("ENABLED", 201), ("DISABLED", 202)])
async def test_layers_are_mounted_unless_the_account_has_it_otherwise(client: Client, value: str | None, status: int) -> None:
    await client.create_repository("app/api")
    if value:
        setting = AccountSetting(REGION, ACCOUNT, "BLOB_MOUNTING", value)
        await client.store.transact(lambda tx: tx.put(ACCOUNT_SETTINGS, setting))
    for source in ("&from=app/web", ""):
        response = await client.ask("POST", f"/v2/app/api/blobs/uploads/?mount={digest_of(LAYER)}{source}")
        assert response.status == status
