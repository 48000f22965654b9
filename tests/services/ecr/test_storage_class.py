"""The archive: what goes there, what comes back, and what cannot be had meanwhile."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longshore.kit.clock import SteppedClock
from longshore.services.ecr.errors import ImageStorageClassUpdateNotSupportedException
from longshore.services.ecr.kinds import KINDS
from longshore.services.ecr.manifests import OCI_INDEX, OCI_MANIFEST
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REGISTRY_EVENTS, Image, ImageTag, Reference
from longshore.services.ecr.names import digest_of
from longshore.services.ecr.storage_class import archive_image, is_archived_layer, restore_image
from longshore.store.memory import memory_store
from tests.registry.contents import CONFIG, LAYER, descriptor, index, manifest
from tests.services.ecr.conftest import Ecr

IMAGE = manifest(LAYER)
OTHER = manifest(LAYER, annotations={"a": "b"})
DIGEST, OTHERS = digest_of(IMAGE), digest_of(OTHER)
BOTH = index(IMAGE, OTHER)
SIGNATURE = manifest(LAYER, subject=descriptor(IMAGE, OCI_MANIFEST))


@pytest.fixture
async def ecr(ecr: Ecr) -> Ecr:
    await ecr("CreateRepository", repositoryName="web")
    for content in (CONFIG, LAYER):
        await ecr.store_blob("web", content)
    return ecr


async def put(ecr: Ecr, content: bytes, tag: str | None = None) -> str:
    await ecr("PutImage", repositoryName="web", imageManifest=content.decode(), **({"imageTag": tag} if tag else {}))
    return digest_of(content)


async def move(ecr: Ecr, target: str, **identifier: str) -> dict[str, Any]:
    return await ecr("UpdateImageStorageClass", repositoryName="web", imageId=identifier, targetStorageClass=target)


async def statuses(ecr: Ecr) -> dict[str, str]:
    answer = await ecr("DescribeImages", repositoryName="web", filter={"imageStatus": "ANY"})
    return {each["imageDigest"]: each["imageStatus"] for each in answer["imageDetails"]}


async def test_an_archived_image_is_described_and_cannot_be_pulled_until_it_is_restored(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    answer = await move(ecr, "ARCHIVE", imageTag="1")
    assert answer["imageId"] == {"imageDigest": DIGEST, "imageTag": "1"}
    assert answer["imageStatus"] == "ARCHIVED"
    got = await ecr("BatchGetImage", repositoryName="web", imageIds=[{"imageTag": "1"}, {"imageDigest": DIGEST}])
    assert got["images"] == []
    assert [each["failureCode"] for each in got["failures"]] == ["ImageNotFound", "ImageNotFound"]
    (detail,) = (await ecr("DescribeImages", repositoryName="web", imageIds=[{"imageTag": "1"}]))["imageDetails"]
    assert detail["imageStatus"] == "ARCHIVED"
    assert detail["lastArchivedAt"].timestamp() == ecr.clock.now()
    assert "lastActivatedAt" not in detail
    await ecr.clock.step(60)
    assert (await move(ecr, "STANDARD", imageDigest=DIGEST))["imageStatus"] == "ACTIVE"
    (detail,) = (await ecr("DescribeImages", repositoryName="web"))["imageDetails"]
    assert detail["lastActivatedAt"].timestamp() == ecr.clock.now()
    assert len((await ecr("BatchGetImage", repositoryName="web", imageIds=[{"imageTag": "1"}]))["images"]) == 1


async def test_lists_show_active_images_unless_others_are_asked_for(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    await put(ecr, OTHER, "2")
    await move(ecr, "ARCHIVE", imageTag="1")
    for status, digests in (
        (None, {OTHERS}),
        ("ACTIVE", {OTHERS}),
        ("ARCHIVED", {DIGEST}),
        ("ACTIVATING", set()),
        ("ANY", {DIGEST, OTHERS}),
    ):
        asked = {"filter": {"imageStatus": status}} if status else {}
        listed = (await ecr("ListImages", repositoryName="web", **asked))["imageIds"]
        described = (await ecr("DescribeImages", repositoryName="web", **asked))["imageDetails"]
        assert {each["imageDigest"] for each in listed} == {each["imageDigest"] for each in described} == digests
    tagged = await ecr("ListImages", repositoryName="web", filter={"imageStatus": "ARCHIVED", "tagStatus": "UNTAGGED"})
    assert tagged["imageIds"] == []


async def test_moving_an_image_where_it_is_changes_nothing(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    assert (await move(ecr, "STANDARD", imageTag="1"))["imageStatus"] == "ACTIVE"
    await move(ecr, "ARCHIVE", imageTag="1")
    told = ecr.call.store.count(REGISTRY_EVENTS)
    await ecr.clock.step(60)
    assert (await move(ecr, "ARCHIVE", imageTag="1"))["imageStatus"] == "ARCHIVED"
    assert ecr.call.store.count(REGISTRY_EVENTS) == told


async def test_what_is_moved_is_told(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    await ecr.clock.step(1)
    await move(ecr, "ARCHIVE", imageTag="1")
    told = ecr.call.store.list(REGISTRY_EVENTS)[-1].detail
    assert (told["action-type"], told["target-storage-class"], told["image-digest"], told["image-tag"]) == (
        "UPDATE_STORAGE_CLASS",
        "ARCHIVE",
        DIGEST,
        "1",
    )


async def test_what_is_not_there_cannot_be_moved(ecr: Ecr) -> None:
    async def refused(**identifier: str) -> str:
        asked = {"repositoryName": "web", "imageId": identifier, "targetStorageClass": "ARCHIVE"}
        return (await ecr.refused("UpdateImageStorageClass", **asked))[0]

    assert await refused(imageTag="1") == "ImageNotFoundException"
    assert await refused() == "InvalidParameterException"
    assert await refused(imageDigest="nonsense") == "InvalidParameterException"


async def test_pushing_an_archived_image_again_restores_it(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    await move(ecr, "ARCHIVE", imageTag="1")
    await put(ecr, IMAGE, "1")
    assert await statuses(ecr) == {DIGEST: "ACTIVE"}
    assert (await ecr.refused("PutImage", repositoryName="web", imageManifest=IMAGE.decode(), imageTag="1"))[
        0
    ] == "ImageAlreadyExistsException"


async def test_an_index_takes_along_what_it_alone_consists_of(ecr: Ecr) -> None:
    await put(ecr, IMAGE)
    await put(ecr, OTHER, "other")
    whole = await put(ecr, BOTH, "1")
    await move(ecr, "ARCHIVE", imageTag="1")
    assert await statuses(ecr) == {whole: "ARCHIVED", DIGEST: "ARCHIVED", OTHERS: "ACTIVE"}
    await move(ecr, "STANDARD", imageTag="1")
    assert await statuses(ecr) == {whole: "ACTIVE", DIGEST: "ACTIVE", OTHERS: "ACTIVE"}


async def test_an_image_in_an_active_index_stays(ecr: Ecr) -> None:
    await put(ecr, IMAGE)
    await put(ecr, OTHER)
    whole = await put(ecr, BOTH, "1")
    code, message = await ecr.refused(
        "UpdateImageStorageClass", repositoryName="web", imageId={"imageDigest": DIGEST}, targetStorageClass="ARCHIVE"
    )
    assert code == "ImageStorageClassUpdateNotSupportedException"
    assert whole in message


async def test_pushing_an_index_restores_what_it_consists_of(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    await put(ecr, OTHER)
    await move(ecr, "ARCHIVE", imageTag="1")
    await put(ecr, BOTH, "2")
    assert set((await statuses(ecr)).values()) == {"ACTIVE"}


async def test_what_refers_to_an_image_goes_with_it_and_comes_back(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    signature = await put(ecr, SIGNATURE)

    async def referrers(**given: Any) -> list[str]:
        answer = await ecr("ListImageReferrers", repositoryName="web", subjectId={"imageDigest": DIGEST}, **given)
        return [each["digest"] for each in answer["referrers"]]

    assert await referrers() == [signature]
    await move(ecr, "ARCHIVE", imageTag="1")
    assert await statuses(ecr) == {DIGEST: "ARCHIVED", signature: "ARCHIVED"}
    assert await referrers() == []
    assert await referrers(filter={"artifactStatus": "ARCHIVED"}) == [signature]
    await move(ecr, "STANDARD", imageTag="1")
    assert await referrers() == [signature]


async def test_a_layer_is_archived_when_all_its_images_are(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    await put(ecr, OTHER, "2")

    async def availability() -> str:
        answer = await ecr("BatchCheckLayerAvailability", repositoryName="web", layerDigests=[digest_of(LAYER)])
        return str(answer["layers"][0]["layerAvailability"])

    await move(ecr, "ARCHIVE", imageTag="1")
    assert await availability() == "AVAILABLE"
    await move(ecr, "ARCHIVE", imageTag="2")
    assert await availability() == "ARCHIVED"


async def test_archived_images_can_be_deleted(ecr: Ecr) -> None:
    await put(ecr, IMAGE, "1")
    await move(ecr, "ARCHIVE", imageTag="1")
    answer = await ecr("BatchDeleteImage", repositoryName="web", imageIds=[{"imageDigest": DIGEST}])
    assert answer["failures"] == []
    assert await statuses(ecr) == {}


#: (members of the index, has a tag, subject) per image; numbers name images, larger ones may name smaller ones only
Shelf = list[tuple[set[int], bool, int | None]]


@given(
    st.lists(st.tuples(st.sets(st.integers(0, 6), max_size=3), st.booleans(), st.none() | st.integers(0, 6)), min_size=1, max_size=7),
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=12),
)
async def test_whatever_is_moved_no_active_index_names_an_archived_image(shelf: Shelf, moves: list[tuple[bool, int]]) -> None:
    store, clock = memory_store(KINDS), SteppedClock()
    names = [digest_of(str(number).encode()) for number in range(len(shelf))]
    for number, (members, tagged, subject) in enumerate(shelf):
        references = tuple(Reference(digest=names[each], size=1, is_manifest=True) for each in sorted(members) if each < number)
        image = Image(
            repository="r",
            digest=names[number],
            media_type=OCI_INDEX if references else OCI_MANIFEST,
            manifest_size=1,
            size=1,
            pushed_at=0.0,
            references=references or (Reference(digest=digest_of(b"layer"), size=1),),
            subject=names[subject] if subject is not None and subject < len(shelf) else "",
        )
        await store.transact(lambda tx, image=image: tx.put(IMAGES, image))  # type: ignore[misc]
        if tagged:
            tag = ImageTag(repository="r", tag=str(number), digest=names[number], tagged_at=0.0)
            await store.transact(lambda tx, tag=tag: tx.put(IMAGE_TAGS, tag))  # type: ignore[misc]
    for archive, number in moves:
        image_now = store.get(IMAGES, f"r@{names[number % len(shelf)]}")
        assert image_now is not None
        try:
            moved = await store.transact(
                lambda tx, image=image_now, archive=archive: (archive_image if archive else restore_image)(tx, image, clock.now())  # type: ignore[misc]
            )
        except ImageStorageClassUpdateNotSupportedException:
            continue
        assert {each.archived for each in moved} <= {archive}
        images = {each.digest: each for each in store.list(IMAGES)}
        for each in images.values():
            if not each.archived:
                assert not any(images[reference.digest].archived for reference in each.references if reference.is_manifest)
        plain = [each for each in images.values() if each.media_type == OCI_MANIFEST]
        assert is_archived_layer(store, "r", digest_of(b"layer")) == (bool(plain) and all(each.archived for each in plain))
    await store.close()
