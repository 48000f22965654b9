"""More than one may ask of the registry: refused in the registry's own words, each request counted as what ECR calls it."""

from __future__ import annotations

import pytest

from longshore.aws.errors import Throttling
from longshore.services.call import Principal
from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.names import digest_of
from tests.registry.conftest import ALICE, Client, make_registry
from tests.registry.contents import CONFIG, LAYER, manifest


class Counting:
    """Admits until it is told not to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.full = False

    def __call__(self, principal: Principal, action: str) -> None:
        assert principal.arn == ALICE.arn
        self.asked.append(action)
        if self.full:
            raise Throttling(retry_after_s=2.3)


@pytest.fixture
def counting(client: Client) -> Counting:
    made = Counting()
    client.registry = make_registry(client.store, client.blobs, client.clock, client.door, admit=made)
    return made


async def test_a_push_and_a_pull_count_as_ecr_names_them(client: Client, counting: Counting) -> None:
    for content in (CONFIG, LAYER):
        await client.push_blob("app/web", content, digest_of(content))
    body = manifest()
    await client.ask("PUT", "/v2/app/web/manifests/1", data=body, headers={"Content-Type": OCI_MANIFEST})
    assert set(counting.asked) == {"InitiateLayerUpload", "PutImage"}
    counting.asked.clear()
    assert (await client.ask("GET", "/v2/app/web/manifests/1")).status == 200
    assert (await client.ask("GET", f"/v2/app/web/blobs/{digest_of(LAYER)}")).status == 200
    assert (await client.ask("GET", "/v2/app/web/tags/list")).status == 200
    assert counting.asked == ["BatchGetImage", "GetDownloadUrlForLayer", "ListImages"]


async def test_too_much_is_answered_with_429_and_when_to_come_back(client: Client, counting: Counting) -> None:
    counting.full = True
    for method, path in (("GET", "/v2/"), ("GET", "/v2/app/web/manifests/1"), ("POST", "/v2/app/web/blobs/uploads/")):
        response = await client.ask(method, path)
        assert response.status == 429 and response.headers["Retry-After"] == "3"
        assert (await response.json())["errors"][0]["code"] == "TOOMANYREQUESTS"


async def test_strangers_are_not_counted_as_anybody(client: Client, counting: Counting) -> None:
    client.headers = {}
    assert (await client.ask("GET", "/v2/")).status == 401
    assert counting.asked == []
