"""Create on push: a push to a repository that does not exist, where a creation template speaks for it."""

from __future__ import annotations

import json

import pytest

from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.model import REPOSITORIES
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.services.ecr.templates.model import CREATION_TEMPLATES, CreationTemplate, Occasion
from tests.registry.conftest import ACCOUNT, REGION, Client
from tests.registry.contents import CONFIG, LAYER, manifest


async def speak(client: Client, prefix: str, *occasions: Occasion, mutability: str = "MUTABLE") -> None:
    template = CreationTemplate(
        region=REGION,
        account_id=ACCOUNT,
        prefix=prefix,
        created_at=0.0,
        updated_at=0.0,
        applied_for=occasions,
        image_tag_mutability=mutability,
    )
    await client.store.transact(lambda tx: tx.put(CREATION_TEMPLATES, template))


def exists(client: Client, name: str) -> bool:
    return client.store.get(REPOSITORIES, RepositoryId(REGION, ACCOUNT, name).key) is not None


async def push(client: Client, name: str) -> None:
    for content in (LAYER, CONFIG):
        head = await client.ask("HEAD", f"/v2/{name}/blobs/{digest_of(content)}")
        assert head.status == 404
        await client.push_blob(name, content, digest_of(content))
    image = manifest(LAYER)
    response = await client.ask("PUT", f"/v2/{name}/manifests/1", data=image, headers={"Content-Type": OCI_MANIFEST})
    assert response.status == 201


async def test_a_push_creates_the_repository_as_the_template_says(client: Client) -> None:
    await speak(client, "team", "CREATE_ON_PUSH", mutability="IMMUTABLE")
    await push(client, "team/new")
    held = client.store.get(REPOSITORIES, RepositoryId(REGION, ACCOUNT, "team/new").key)
    assert held is not None
    assert held.image_tag_mutability == "IMMUTABLE"
    pulled = await client.ask("GET", "/v2/team/new/manifests/1")
    assert pulled.status == 200


@pytest.mark.parametrize("name", ["team", "teams/new", "other/new", "new"])
async def test_without_a_template_for_it_a_push_finds_no_repository(client: Client, name: str) -> None:
    await speak(client, "team", "CREATE_ON_PUSH")
    await speak(client, "other", "REPLICATION", "PULL_THROUGH_CACHE")
    response = await client.ask("POST", f"/v2/{name}/blobs/uploads/")
    assert response.status == 404
    (error,) = json.loads(await response.read())["errors"]
    assert error["code"] == "NAME_UNKNOWN"
    assert error["message"] == f"The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'"
    assert not exists(client, name)


async def test_who_pushes_must_be_allowed_to_create_the_repository(client: Client) -> None:
    await speak(client, "ROOT", "CREATE_ON_PUSH")
    client.door.refused.add(("ecr:CreateRepository", "new"))
    response = await client.ask("POST", "/v2/new/blobs/uploads/")
    assert (response.status, json.loads(await response.read())["errors"][0]["code"]) == (403, "DENIED")
    assert not exists(client, "new")
    client.door.refused = {("ecr:InitiateLayerUpload", "new")}
    assert (await client.ask("POST", "/v2/new/blobs/uploads/")).status == 403
    assert not exists(client, "new")


async def test_a_pull_creates_nothing(client: Client) -> None:
    await speak(client, "ROOT", "CREATE_ON_PUSH")
    for path in ("/v2/new/manifests/1", f"/v2/new/blobs/{digest_of(LAYER)}", "/v2/new/tags/list"):
        assert (await client.ask("GET", path)).status == 404
    assert not exists(client, "new")


async def test_an_index_of_nothing_can_be_the_first_push(client: Client) -> None:
    await speak(client, "ROOT", "CREATE_ON_PUSH")
    body = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}).encode()
    headers = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
    assert (await client.ask("PUT", "/v2/new/manifests/1", data=body, headers=headers)).status == 201
    assert exists(client, "new")
