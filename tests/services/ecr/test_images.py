"""Images through ECR's own operations."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.services.ecr.manifests import OCI_INDEX, OCI_MANIFEST
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES
from longshore.services.ecr.names import digest_of
from tests.registry.contents import CONFIG, CONFIG_TYPE, LAYER, descriptor, index, manifest
from tests.services.ecr.conftest import ACCOUNT, Ecr

IMAGE = manifest(LAYER)
DIGEST = digest_of(IMAGE)
OTHER = manifest(LAYER, annotations={"a": "b"})
ABSENT = "sha256:" + "0" * 64


@pytest.fixture
async def ecr(ecr: Ecr) -> Ecr:
    await ecr("CreateRepository", repositoryName="web")
    for content in (CONFIG, LAYER):
        await ecr.store_blob("web", content)
    return ecr


async def put(ecr: Ecr, content: bytes, tag: str | None = None, **members: Any) -> dict[str, Any]:
    given = members | ({"imageTag": tag} if tag else {})
    return await ecr("PutImage", repositoryName="web", imageManifest=content.decode(), **given)


async def listed(ecr: Ecr, **members: Any) -> list[tuple[str, str | None]]:
    answer = await ecr("ListImages", repositoryName="web", **members)
    return [(each["imageDigest"], each.get("imageTag")) for each in answer["imageIds"]]


async def delete(ecr: Ecr, *identifiers: dict[str, str]) -> tuple[list[dict[str, str]], list[str]]:
    answer = await ecr("BatchDeleteImage", repositoryName="web", imageIds=list(identifiers))
    return answer["imageIds"], [each["failureCode"] for each in answer["failures"]]


async def test_an_image_is_put_described_and_got_back(ecr: Ecr) -> None:
    answer = await put(ecr, IMAGE, "1")
    assert answer["image"] == {
        "registryId": ACCOUNT,
        "repositoryName": "web",
        "imageId": {"imageDigest": DIGEST, "imageTag": "1"},
        "imageManifest": IMAGE.decode(),
        "imageManifestMediaType": OCI_MANIFEST,
    }
    assert (await ecr("BatchGetImage", repositoryName="web", imageIds=[{"imageTag": "1"}])) == {"images": [answer["image"]], "failures": []}
    (detail,) = (await ecr("DescribeImages", repositoryName="web"))["imageDetails"]
    assert detail == {
        "registryId": ACCOUNT,
        "repositoryName": "web",
        "imageDigest": DIGEST,
        "imageTags": ["1"],
        "imageSizeInBytes": len(CONFIG) + len(LAYER),
        "imagePushedAt": detail["imagePushedAt"],
        "imageManifestMediaType": OCI_MANIFEST,
        "artifactMediaType": CONFIG_TYPE,
        "lastRecordedPullTime": detail["lastRecordedPullTime"],
        "imageStatus": "ACTIVE",
    }


async def test_putting_what_is_there_is_refused_and_moving_a_tag_is_not(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    assert await ecr.refused("PutImage", repositoryName="web", imageManifest=IMAGE.decode(), imageTag="1") == (
        "ImageAlreadyExistsException",
        f"Image with digest '{DIGEST}' and tag '1' already exists in the repository with name 'web' in registry with id '000000000000'",
    )
    assert (await ecr.refused("PutImage", repositoryName="web", imageManifest=IMAGE.decode()))[0] == "ImageAlreadyExistsException"
    await put(ecr, IMAGE, "2")
    await put(ecr, OTHER, "1")
    assert sorted(await listed(ecr)) == sorted([(DIGEST, "2"), (digest_of(OTHER), "1")])


async def test_an_immutable_tag_does_not_move(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    await ecr("PutImageTagMutability", repositoryName="web", imageTagMutability="IMMUTABLE")
    assert await ecr.refused("PutImage", repositoryName="web", imageManifest=OTHER.decode(), imageTag="1") == (
        "ImageTagAlreadyExistsException",
        "The image tag '1' already exists in the 'web' repository and cannot be overwritten because the repository is immutable.",
    )
    await put(ecr, OTHER, "2")


async def test_an_image_needs_its_parts(ecr: Ecr) -> None:
    code, message = await ecr.refused("PutImage", repositoryName="web", imageManifest=manifest(b"absent").decode())
    assert (code, digest_of(b"absent") in message) == ("LayersNotFoundException", True)
    code, message = await ecr.refused("PutImage", repositoryName="web", imageManifest=index(IMAGE).decode())
    assert (code, DIGEST in message) == ("ReferencedImagesNotFoundException", True)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"imageManifest": "{}"}, "InvalidParameterException"),
        ({"imageManifest": "no json"}, "InvalidParameterException"),
        ({"imageManifestMediaType": OCI_INDEX}, "InvalidParameterException"),
        ({"imageTag": "a b"}, "InvalidParameterException"),
        ({"imageTag": "../x"}, "InvalidParameterException"),
        ({"imageDigest": "sha256:short"}, "InvalidParameterException"),
        ({"imageDigest": ABSENT}, "ImageDigestDoesNotMatchException"),
    ],
)
async def test_what_cannot_be_put_is_refused(ecr: Ecr, members: dict[str, str], code: str) -> None:
    given = {"imageManifest": IMAGE.decode()} | members
    assert (await ecr.refused("PutImage", repositoryName="web", **given))[0] == code
    assert ecr.call.store.count(IMAGES) == ecr.call.store.count(IMAGE_TAGS) == 0


async def test_images_are_filtered_by_whether_they_have_tags(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    await put(ecr, OTHER)
    for status, expected in (("TAGGED", {DIGEST}), ("UNTAGGED", {digest_of(OTHER)}), ("ANY", {DIGEST, digest_of(OTHER)})):
        filtered = {"filter": {"tagStatus": status}}
        assert {digest for digest, _ in await listed(ecr, **filtered)} == expected
        described = await ecr("DescribeImages", repositoryName="web", **filtered)
        assert {each["imageDigest"] for each in described["imageDetails"]} == expected
    assert await listed(ecr, filter={"imageStatus": "ARCHIVED"}) == []


async def test_lists_go_on_where_a_page_ended_even_within_an_image(ecr: Ecr) -> None:
    for tag in ("a", "b", "c", "d"):
        await put(ecr, IMAGE, tag)
    await put(ecr, OTHER, "z")
    await put(ecr, manifest(LAYER, annotations={"no": "tag"}))
    for size in range(1, 8):
        found: list[tuple[str, str | None]] = []
        token: dict[str, str] = {}
        while True:
            answer = await ecr("ListImages", repositoryName="web", maxResults=size, **token)
            assert len(answer["imageIds"]) <= size
            found.extend((each["imageDigest"], each.get("imageTag")) for each in answer["imageIds"])
            if "nextToken" not in answer:
                break
            token = {"nextToken": answer["nextToken"]}
        assert found == await listed(ecr)
        assert len(found) == 6
    described = await ecr("DescribeImages", repositoryName="web", maxResults=2)
    assert len(described["imageDetails"]) == 2
    rest = await ecr("DescribeImages", repositoryName="web", nextToken=described["nextToken"])
    assert (len(rest["imageDetails"]), rest.get("nextToken")) == (1, None)
    assert (await ecr.refused("ListImages", repositoryName="web", nextToken=described["nextToken"]))[0] == "InvalidParameterException"


async def test_named_images_are_described_or_missed(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    answer = await ecr("DescribeImages", repositoryName="web", imageIds=[{"imageTag": "1"}, {"imageDigest": DIGEST}])
    assert [each["imageDigest"] for each in answer["imageDetails"]] == [DIGEST]
    assert await ecr.refused("DescribeImages", repositoryName="web", imageIds=[{"imageTag": "2"}]) == (
        "ImageNotFoundException",
        "The image with imageId {imageDigest:'null', imageTag:'2'} does not exist within the repository with name 'web' "
        "in the registry with id '000000000000'",
    )
    assert (await ecr.refused("DescribeImages", repositoryName="web", imageIds=[{}]))[0] == "InvalidParameterException"


async def test_a_batch_tells_what_it_could_not_find(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    await put(ecr, OTHER, "2")
    identifiers = [
        {"imageTag": "1"},
        {"imageTag": "absent"},
        {"imageDigest": ABSENT},
        {"imageDigest": "nonsense"},
        {"imageTag": "-bad"},
        {"imageDigest": DIGEST, "imageTag": "2"},
        {"imageDigest": DIGEST, "imageTag": "absent"},
        {},
    ]
    answer = await ecr("BatchGetImage", repositoryName="web", imageIds=identifiers)
    assert [each["imageId"] for each in answer["images"]] == [{"imageDigest": DIGEST, "imageTag": "1"}]
    assert [(each["imageId"], each["failureCode"]) for each in answer["failures"]] == [
        (identifiers[1], "ImageNotFound"),
        (identifiers[2], "ImageNotFound"),
        (identifiers[3], "InvalidImageDigest"),
        (identifiers[4], "InvalidImageTag"),
        (identifiers[5], "ImageTagDoesNotMatchDigest"),
        (identifiers[6], "ImageNotFound"),
        (identifiers[7], "MissingDigestAndTag"),
    ]


async def test_one_answer_has_not_more_manifests_than_are_read_at_ease(ecr: Ecr) -> None:
    digests = []
    for n in range(9):
        answer = await put(ecr, manifest(LAYER, annotations={"n": str(n), "text": "x" * 4_000_000}))
        digests.append({"imageDigest": answer["image"]["imageId"]["imageDigest"]})
    assert (await ecr.refused("BatchGetImage", repositoryName="web", imageIds=digests))[0] == "LimitExceededException"
    answer = await ecr("BatchGetImage", repositoryName="web", imageIds=digests[:8])
    assert len(answer["images"]) == 8


async def test_a_tag_goes_alone_until_it_is_the_last(ecr: Ecr) -> None:
    for tag in ("1", "2"):
        await put(ecr, IMAGE, tag)
    assert await delete(ecr, {"imageTag": "1"}) == ([{"imageDigest": DIGEST, "imageTag": "1"}], [])
    assert await listed(ecr) == [(DIGEST, "2")]
    assert await delete(ecr, {"imageTag": "2"}) == ([{"imageDigest": DIGEST, "imageTag": "2"}], [])
    assert await listed(ecr) == []
    assert await delete(ecr, {"imageTag": "2"}) == ([], ["ImageNotFound"])


async def test_a_digest_goes_with_all_its_tags(ecr: Ecr) -> None:
    for tag in ("1", "2"):
        await put(ecr, IMAGE, tag)
    await put(ecr, OTHER)
    deleted, failures = await delete(ecr, {"imageDigest": DIGEST}, {"imageDigest": digest_of(OTHER)})
    assert failures == []
    assert deleted == [
        {"imageDigest": DIGEST, "imageTag": "1"},
        {"imageDigest": DIGEST, "imageTag": "2"},
        {"imageDigest": digest_of(OTHER)},
    ]
    assert ecr.call.store.count(IMAGE_TAGS) == 0


async def test_a_refusal_names_no_more_lists_than_can_be_read(ecr: Ecr) -> None:
    await put(ecr, IMAGE)
    for n in range(101):
        await put(ecr, index(IMAGE, annotations={"n": str(n)}))
    (failure,) = (await ecr("BatchDeleteImage", repositoryName="web", imageIds=[{"imageDigest": DIGEST}]))["failures"]
    assert failure["failureReason"].count("sha256:") == 100
    assert failure["failureReason"].endswith(", ...]")


async def test_an_image_in_a_list_stays_unless_the_list_goes_too(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "amd64")
    await put(ecr, index(IMAGE), "all")
    answer = await ecr("BatchDeleteImage", repositoryName="web", imageIds=[{"imageDigest": DIGEST}, {"imageTag": "amd64"}])
    assert [each["failureCode"] for each in answer["failures"]] == ["ImageReferencedByManifestList"] * 2
    assert answer["failures"][0]["failureReason"] == f"Requested image referenced by manifest list: [{digest_of(index(IMAGE))}]"
    deleted, failures = await delete(ecr, {"imageDigest": DIGEST}, {"imageTag": "all"})
    assert (len(deleted), failures) == (2, [])
    assert ecr.call.store.count(IMAGES) == 0


async def test_a_pull_through_the_api_is_noted(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    await ecr.clock.step(60)
    await ecr("BatchGetImage", repositoryName="web", imageIds=[{"imageTag": "1"}])
    (image,) = ecr.call.store.list(IMAGES)
    assert image.last_pulled_at == ecr.clock.now()


async def test_what_an_image_is_about_is_described(ecr: Ecr) -> None:
    about = manifest(subject=descriptor(IMAGE, OCI_MANIFEST), artifactType="application/x.signature")
    await put(ecr, about)
    (detail,) = (await ecr("DescribeImages", repositoryName="web"))["imageDetails"]
    assert (detail["subjectManifestDigest"], detail["artifactMediaType"]) == (DIGEST, "application/x.signature")
