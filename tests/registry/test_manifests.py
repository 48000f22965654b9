"""Manifests by tag and by digest: pushed, served as they were, refused, deleted."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from longshore.services.ecr.manifests import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from longshore.services.ecr.model import IMAGES, Image, Reference
from longshore.services.ecr.names import LARGEST_MANIFEST, RepositoryId, digest_of
from tests.registry.conftest import ACCOUNT, REGION, Client, make_registry
from tests.registry.contents import CONFIG, LAYER, descriptor, index, manifest

IMAGE = manifest(LAYER)
DIGEST = digest_of(IMAGE)


@pytest.fixture
async def client(client: Client) -> Client:
    """With the parts of an image pushed."""
    for content in (CONFIG, LAYER):
        await client.push_blob("app/web", content, digest_of(content))
    return client


async def put(client: Client, reference: str, content: bytes, media_type: str | None = OCI_MANIFEST, name: str = "app/web") -> Any:
    headers = {"Content-Type": media_type} if media_type else {}
    return await client.ask("PUT", f"/v2/{name}/manifests/{reference}", data=io.BytesIO(content), headers=headers)


async def code_of(response: Any) -> tuple[int, str]:
    return response.status, (await response.json())["errors"][0]["code"]


async def test_a_manifest_is_served_byte_for_byte_by_tag_and_by_digest(client: Client) -> None:
    response = await put(client, "1.0", IMAGE)
    assert response.status == 201
    assert response.headers["Docker-Content-Digest"] == DIGEST
    assert response.headers["Location"] == f"/v2/app/web/manifests/{DIGEST}"
    for reference in ("1.0", DIGEST):
        for method, body in (("GET", IMAGE), ("HEAD", b"")):
            response = await client.ask(method, f"/v2/app/web/manifests/{reference}")
            assert (response.status, await response.read()) == (200, body)
            assert response.headers["Content-Length"] == str(len(IMAGE))
            assert response.headers["Content-Type"] == OCI_MANIFEST
            assert response.headers["Docker-Content-Digest"] == DIGEST


async def test_parameters_of_the_media_type_are_dropped(client: Client) -> None:
    document = json.loads(IMAGE)
    del document["mediaType"]
    assert (await put(client, "1.0", json.dumps(document).encode(), f"{OCI_MANIFEST}; charset=utf-8")).status == 201
    response = await client.ask("GET", "/v2/app/web/manifests/1.0")
    assert response.headers["Content-Type"] == OCI_MANIFEST


async def test_docker_manifests_and_lists_are_taken(client: Client) -> None:
    docker = manifest(LAYER, media_type=DOCKER_MANIFEST)
    assert (await put(client, "v2s2", docker, DOCKER_MANIFEST)).status == 201
    assert (await put(client, "all", index(docker, media_type=DOCKER_LIST), DOCKER_LIST)).status == 201


async def test_a_tag_moves_to_the_image_pushed_last(client: Client) -> None:
    other = manifest(LAYER, annotations={"a": "b"})
    for content in (IMAGE, other):
        assert (await put(client, "latest", content)).status == 201
    response = await client.ask("HEAD", "/v2/app/web/manifests/latest")
    assert response.headers["Docker-Content-Digest"] == digest_of(other)
    assert (await client.ask("HEAD", f"/v2/app/web/manifests/{DIGEST}")).status == 200


async def test_a_manifest_can_be_put_by_digest_and_given_several_tags(client: Client) -> None:
    response = await put(client, f"{DIGEST}?tag=a&tag=b", IMAGE)
    assert (response.status, response.headers.getall("OCI-Tag")) == (201, ["a", "b"])
    for tag in ("a", "b"):
        assert (await client.ask("HEAD", f"/v2/app/web/manifests/{tag}")).status == 200


async def test_a_digest_that_is_not_the_manifests_is_refused(client: Client) -> None:
    response = await put(client, digest_of(b"something else"), IMAGE)
    assert await code_of(response) == (400, "DIGEST_INVALID")
    assert (await put(client, digest_of(IMAGE, "sha512"), IMAGE)).status == 201


async def test_an_image_needs_its_layers(client: Client) -> None:
    absent = b"never pushed"
    response = await put(client, "1", manifest(absent))
    assert await code_of(response) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert digest_of(absent) in (await response.json())["errors"][0]["message"]
    assert (await client.ask("HEAD", "/v2/app/web/manifests/1")).status == 404


async def test_an_image_may_lack_layers_where_the_server_was_started_so(client: Client) -> None:
    client.registry = make_registry(client.store, client.blobs, client.clock, client.door, incomplete_images=True)
    assert (await put(client, "1", manifest(b"never pushed"))).status == 201
    assert (await client.ask("GET", "/v2/app/web/manifests/1")).status == 200


async def test_an_index_may_be_sparse_and_is_as_large_as_the_images_that_came_later(client: Client) -> None:
    inner = index(IMAGE, manifest(LAYER, annotations={"never": "pushed"}))
    outer = index(inner)
    for tag, content in (("outer", outer), ("inner", inner)):
        assert (await put(client, tag, content, OCI_INDEX)).status == 201
    sizes = {image.digest: image.size for image in client.store.list(IMAGES)}
    assert sizes == {digest_of(inner): 0, digest_of(outer): 0}
    assert (await put(client, "1", IMAGE)).status == 201
    assert {image.size for image in client.store.list(IMAGES)} == {len(CONFIG) + len(LAYER)}
    assert await code_of(await client.ask("DELETE", f"/v2/app/web/manifests/{DIGEST}")) == (405, "UNSUPPORTED")
    for content in (outer, inner, IMAGE):
        assert (await client.ask("DELETE", f"/v2/app/web/manifests/{digest_of(content)}")).status == 202


async def test_an_image_that_thousands_of_indexes_wait_for_is_pushed_like_any_other(client: Client) -> None:
    repository = RepositoryId(REGION, ACCOUNT, "app/web").key
    deep = [digest_of(IMAGE), *(digest_of(b"%d" % number) for number in range(2000))]
    indexes = [
        Image(
            repository=repository,
            digest=digest,
            media_type=OCI_INDEX,
            manifest_size=1,
            size=0,
            pushed_at=0.0,
            references=(Reference(digest=child, size=1, is_manifest=True),),
        )
        for digest, child in [*zip(deep[1:1001], deep[0:1000], strict=True), *((wide, deep[0]) for wide in deep[1001:])]
    ]
    await client.store.transact(lambda tx: [tx.create(IMAGES, each) for each in indexes])
    assert (await put(client, "1", IMAGE)).status == 201
    sizes = [image.size for image in client.store.list(IMAGES) if image.digest != DIGEST]
    assert 0 < sizes.count(len(CONFIG) + len(LAYER)) < 1000, "so many at once, and no more"


async def test_a_layer_of_another_repository_does_not_count(client: Client) -> None:
    await client.create_repository("other")
    assert await code_of(await put(client, "1", IMAGE, name="other")) == (404, "MANIFEST_BLOB_UNKNOWN")


async def test_a_layer_that_may_not_be_passed_on_need_not_be_there(client: Client) -> None:
    document = json.loads(IMAGE)
    document["layers"].append(descriptor(b"foreign", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"))
    assert (await put(client, "1", json.dumps(document).encode())).status == 201


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"schemaVersion": 2}',
        b'{"schemaVersion": 1, "name": "app/web", "fsLayers": []}',
        b"\xff\xfe",
        manifest(LAYER, manifests=[]),
        index(layers=[]),
        manifest(LAYER, media_type="application/x-thing"),
        manifest(LAYER).replace(b"sha256:", b"sha257:"),
        manifest(LAYER, subject=descriptor(b"s", OCI_MANIFEST) | {"digest": "../../etc"}),
        manifest(LAYER).replace(b'"size": 10240', b'"size": -1'),
        b'{"schemaVersion": 2, "config": ' + b"[" * 100_000,
        b'{"schemaVersion": 2, "unknown": ' + b"[" * 100_000,
        manifest(LAYER).replace(b'"size": 10240', b'"size": %d' % (2**45 + 1)),
        manifest(LAYER).replace(b'"layers"', b'"unknown": "\xff", "layers"'),
        manifest(LAYER, Layers=[]),
        manifest(LAYER, LAYERS=[]).replace(b"LAYERS", "layer\u017f".encode()),  # as a keyword Python would make `layers` of it
        manifest(LAYER).replace(b'"size"', b'"\\u0053ize": 5, "size"'),
    ],
)
async def test_a_manifest_that_is_none_is_refused(client: Client, content: bytes) -> None:
    assert await code_of(await put(client, "1", content)) == (400, "MANIFEST_INVALID")
    assert client.store.count(IMAGES) == 0


async def test_a_manifest_that_is_called_something_else_is_refused(client: Client) -> None:
    assert await code_of(await put(client, "1", IMAGE, OCI_INDEX)) == (400, "MANIFEST_INVALID")


async def test_a_manifest_of_four_mebibytes_is_taken_and_a_larger_one_is_not(client: Client) -> None:
    def padded(size: int) -> bytes:
        room = size - len(manifest(LAYER, annotations={"padding": ""}))
        return manifest(LAYER, annotations={"padding": "x" * room})

    assert (await put(client, "1", padded(LARGEST_MANIFEST))).status == 201
    assert await code_of(await put(client, "1", padded(LARGEST_MANIFEST + 1))) == (413, "SIZE_INVALID")


@pytest.mark.parametrize("tag", ["-a", ".a", "a" * 129, "a%20b", "%2e%2e", "a%00b"])
async def test_a_tag_that_is_none_is_refused(client: Client, tag: str) -> None:
    assert await code_of(await put(client, tag, IMAGE)) == (400, "TAG_INVALID")


async def test_an_immutable_tag_stays_but_the_same_image_may_be_pushed_again(client: Client) -> None:
    await client.create_repository("fixed", image_tag_mutability="IMMUTABLE")
    for content in (CONFIG, LAYER):
        await client.push_blob("fixed", content, digest_of(content))
    for _ in range(2):
        assert (await put(client, "1", IMAGE, name="fixed")).status == 201
    response = await put(client, "1", manifest(LAYER, annotations={"a": "b"}), name="fixed")
    assert await code_of(response) == (400, "TAG_INVALID")
    assert (await response.json())["errors"][0]["message"] == (
        "The image tag '1' already exists in the 'fixed' repository and cannot be overwritten because the repository is immutable."
    )


@pytest.mark.parametrize(("setting", "moves"), [("IMMUTABLE_WITH_EXCLUSION", ["dev-1"]), ("MUTABLE_WITH_EXCLUSION", ["1.0"])])
async def test_filters_turn_the_setting_round_for_the_tags_they_match(client: Client, setting: str, moves: list[str]) -> None:
    await client.create_repository("partly", image_tag_mutability=setting, mutability_exclusions=("dev-*",))
    for content in (CONFIG, LAYER):
        await client.push_blob("partly", content, digest_of(content))
    moved = []
    for tag in ("dev-1", "1.0"):
        await put(client, tag, IMAGE, name="partly")
        if (await put(client, tag, manifest(LAYER, annotations={"a": "b"}), name="partly")).status == 201:
            moved.append(tag)
    assert moved == moves


async def test_a_client_that_cannot_read_the_manifest_is_told_so(client: Client) -> None:
    await put(client, "1", IMAGE)
    path = "/v2/app/web/manifests/1"
    for accepted in (OCI_MANIFEST, f"{DOCKER_MANIFEST}, {OCI_MANIFEST};q=0.5", "*/*", "application/*"):
        assert (await client.ask("GET", path, headers={"Accept": accepted})).status == 200
    response = await client.ask("GET", path, headers={"Accept": DOCKER_MANIFEST})
    assert await code_of(response) == (404, "MANIFEST_UNKNOWN")


async def test_what_the_client_has_is_not_sent_again(client: Client) -> None:
    await put(client, "1", IMAGE)
    response = await client.ask("GET", "/v2/app/web/manifests/1", headers={"If-None-Match": f'"{DIGEST}"'})
    assert (response.status, await response.read()) == (304, b"")


async def test_a_manifest_that_the_disk_has_damaged_is_not_served_until_it_is_pushed_again(client: Client) -> None:
    await put(client, "1", IMAGE)
    client.serve_from(client.blobs)  # one that has not read it yet
    file = client.blobs.path(DIGEST)
    assert file is not None
    file.chmod(0o644)
    file.write_bytes(IMAGE.replace(b"2", b"3", 1))
    assert await code_of(await client.ask("GET", "/v2/app/web/manifests/1")) == (404, "MANIFEST_UNKNOWN")
    assert "push it again" in (await (await client.ask("GET", "/v2/app/web/manifests/1")).json())["errors"][0]["message"]
    await client.blobs.delete(DIGEST)
    await put(client, "1", IMAGE)
    assert await (await client.ask("GET", "/v2/app/web/manifests/1")).read() == IMAGE


async def test_deleting_a_tag_leaves_the_image_and_its_other_tags(client: Client) -> None:
    await put(client, f"{DIGEST}?tag=a&tag=b", IMAGE)
    assert (await client.ask("DELETE", "/v2/app/web/manifests/a")).status == 202
    assert (await client.ask("HEAD", "/v2/app/web/manifests/a")).status == 404
    assert (await client.ask("DELETE", "/v2/app/web/manifests/b")).status == 202
    assert (await client.ask("HEAD", f"/v2/app/web/manifests/{DIGEST}")).status == 200


async def test_deleting_a_digest_takes_its_tags_along(client: Client) -> None:
    await put(client, f"{DIGEST}?tag=a&tag=b", IMAGE)
    assert (await client.ask("DELETE", f"/v2/app/web/manifests/{DIGEST}")).status == 202
    for reference in ("a", "b", DIGEST):
        assert await code_of(await client.ask("GET", f"/v2/app/web/manifests/{reference}")) == (404, "MANIFEST_UNKNOWN")
    assert (await client.ask("DELETE", f"/v2/app/web/manifests/{DIGEST}")).status == 404


async def test_an_image_in_an_index_is_not_deleted_before_it(client: Client) -> None:
    await put(client, DIGEST, IMAGE)
    await put(client, "all", index(IMAGE), OCI_INDEX)
    assert await code_of(await client.ask("DELETE", f"/v2/app/web/manifests/{DIGEST}")) == (405, "UNSUPPORTED")
    assert (await client.ask("DELETE", f"/v2/app/web/manifests/{digest_of(index(IMAGE))}")).status == 202
    assert (await client.ask("DELETE", f"/v2/app/web/manifests/{DIGEST}")).status == 202


async def test_a_pull_is_noted_once_an_hour_and_a_look_is_not(client: Client) -> None:
    await put(client, "1", IMAGE)
    (image,) = client.store.list(IMAGES)
    await client.ask("HEAD", "/v2/app/web/manifests/1")
    assert client.store.list(IMAGES) == [image]
    await client.ask("GET", "/v2/app/web/manifests/1")
    first = client.clock.now()
    await client.clock.step(600)
    await client.ask("GET", "/v2/app/web/manifests/1")
    assert client.store.list(IMAGES)[0].last_pulled_at == first
    await client.clock.step(3600)
    await client.ask("GET", "/v2/app/web/manifests/1")
    assert client.store.list(IMAGES)[0].last_pulled_at == client.clock.now()


async def test_an_image_is_as_large_as_its_parts_and_an_index_as_its_largest_image(client: Client) -> None:
    small = manifest()
    for content in (IMAGE, small):
        await put(client, digest_of(content), content)
    await put(client, "all", index(small, IMAGE), OCI_INDEX)
    sizes = {image.digest: image.size for image in client.store.list(IMAGES)}
    assert sizes[digest_of(small)] == len(CONFIG)
    assert sizes[DIGEST] == sizes[digest_of(index(small, IMAGE))] == len(CONFIG) + len(LAYER)


async def test_a_manifest_may_be_about_one_that_is_not_there_yet(client: Client) -> None:
    about = manifest(subject=descriptor(IMAGE, OCI_MANIFEST))
    response = await put(client, digest_of(about), about)
    assert (response.status, response.headers["OCI-Subject"]) == (201, DIGEST)
