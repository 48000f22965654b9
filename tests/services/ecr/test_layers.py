"""Layers through ECR's own operations: parts, what is there, and URLs."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from longshore.aws.errors import AwsError
from longshore.kit.ids import SeededIds
from longshore.services.ecr.layers.model import LAYER_UPLOADS, MIB, PART_SIZE
from longshore.services.ecr.model import REPOSITORY_BLOBS, image_key
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.store.blobs import BlobStoreFull
from longshore.store.memory_blobs import MemoryBlobStore, MemoryUpload
from tests.registry.contents import CONFIG, LAYER, LAYER_TYPE, manifest
from tests.services.ecr.conftest import ACCOUNT, REGION, Ecr

FIVE = bytes(5 * MIB)
KEY = RepositoryId(REGION, ACCOUNT, "web").key


@pytest.fixture
async def ecr(ecr: Ecr) -> Ecr:
    await ecr("CreateRepository", repositoryName="web")
    return ecr


async def begin(ecr: Ecr, name: str = "web") -> str:
    answer = await ecr("InitiateLayerUpload", repositoryName=name)
    assert answer["partSize"] == PART_SIZE
    return str(answer["uploadId"])


def sent(upload_id: str, content: bytes, first: int = 0, name: str = "web") -> dict[str, Any]:
    return {
        "repositoryName": name,
        "uploadId": upload_id,
        "partFirstByte": first,
        "partLastByte": first + len(content) - 1,
        "layerPartBlob": b64encode(content).decode(),
    }


async def upload(ecr: Ecr, content: bytes) -> str:
    upload_id = await begin(ecr)
    await ecr("UploadLayerPart", **sent(upload_id, content))
    digest = digest_of(content)
    await ecr("CompleteLayerUpload", repositoryName="web", uploadId=upload_id, layerDigests=[digest])
    return digest


async def test_a_layer_is_uploaded_in_parts(ecr: Ecr) -> None:
    upload_id = await begin(ecr)
    answer = await ecr("UploadLayerPart", **sent(upload_id, FIVE))
    assert answer == {"registryId": ACCOUNT, "repositoryName": "web", "uploadId": upload_id, "lastByteReceived": len(FIVE) - 1}
    answer = await ecr("UploadLayerPart", **sent(upload_id, b"end", len(FIVE)))
    assert answer["lastByteReceived"] == len(FIVE) + 2
    digest = digest_of(FIVE + b"end")
    for _ in range(2):  # its answer may get lost
        answer = await ecr("CompleteLayerUpload", repositoryName="web", uploadId=upload_id, layerDigests=[digest])
        assert answer == {"registryId": ACCOUNT, "repositoryName": "web", "uploadId": upload_id, "layerDigest": digest}
    held = ecr.call.store.get(REPOSITORY_BLOBS, image_key(KEY, digest))
    assert held is not None
    assert held.size == len(FIVE) + 3
    assert (await ecr.refused("UploadLayerPart", **sent(upload_id, b"more", len(FIVE) + 3)))[0] == "UploadNotFoundException"


async def test_a_part_that_does_not_follow_on_is_told_where_to_go_on(ecr: Ecr) -> None:
    upload_id = await begin(ecr)

    async def refused(content: bytes, first: int) -> dict[str, Any]:
        with pytest.raises(AwsError) as caught:
            await ecr("UploadLayerPart", **sent(upload_id, content, first))
        assert caught.value.code == "InvalidLayerPartException"
        return dict(caught.value.members)

    whose = {"registryId": ACCOUNT, "repositoryName": "web", "uploadId": upload_id}
    assert await refused(b"late", 1) == whose
    await ecr("UploadLayerPart", **sent(upload_id, b"first"))
    assert await refused(b"late", 6) == {**whose, "lastValidByteReceived": 4}
    assert await refused(b"", 5) == {**whose, "lastValidByteReceived": 4}


async def test_a_part_may_come_again_when_its_answer_got_lost(ecr: Ecr) -> None:
    upload_id = await begin(ecr)
    for _ in range(3):
        answer = await ecr("UploadLayerPart", **sent(upload_id, LAYER))
        assert answer["lastByteReceived"] == len(LAYER) - 1
    await ecr("CompleteLayerUpload", repositoryName="web", uploadId=upload_id, layerDigests=[digest_of(LAYER)])


async def test_the_same_part_sent_twice_at_once_is_stored_once(ecr: Ecr) -> None:
    upload_id = await begin(ecr)
    await asyncio.gather(*(ecr("UploadLayerPart", **sent(upload_id, LAYER)) for _ in range(4)))
    await ecr("CompleteLayerUpload", repositoryName="web", uploadId=upload_id, layerDigests=[digest_of(LAYER)])


async def test_what_cannot_be_completed_is_said_in_ecrs_codes(ecr: Ecr) -> None:
    async def complete(upload_id: str, *digests: str) -> str:
        return (await ecr.refused("CompleteLayerUpload", repositoryName="web", uploadId=upload_id, layerDigests=list(digests)))[0]

    nothing = await begin(ecr)
    assert await complete(nothing, digest_of(b"")) == "EmptyUploadException"
    other = await begin(ecr)
    await ecr("UploadLayerPart", **sent(other, LAYER))
    assert await complete(other, digest_of(b"other")) == "InvalidLayerException"
    assert await complete(other, digest_of(LAYER), digest_of(b"other")) == "InvalidParameterException"
    assert await complete(other, "md5:abcd") == "InvalidParameterException"
    await ecr("UploadLayerPart", **sent(other, b"more", len(LAYER)))
    assert await complete(other, digest_of(LAYER + b"more")) == "LayerPartTooSmallException"
    assert await complete("00000000-0000-4000-8000-000000000000", digest_of(LAYER)) == "UploadNotFoundException"
    await upload(ecr, LAYER)
    again = await begin(ecr)
    await ecr("UploadLayerPart", **sent(again, LAYER))
    assert await complete(again, digest_of(LAYER)) == "LayerAlreadyExistsException"


async def test_after_a_wrong_digest_the_right_one_completes(ecr: Ecr) -> None:
    upload_id = await begin(ecr)
    await ecr("UploadLayerPart", **sent(upload_id, LAYER))
    await ecr.refused("CompleteLayerUpload", repositoryName="web", uploadId=upload_id, layerDigests=[digest_of(b"other")])
    await ecr("CompleteLayerUpload", repositoryName="web", uploadId=upload_id, layerDigests=[digest_of(LAYER)])


async def test_an_upload_belongs_to_its_repository_and_account(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="api")
    upload_id = await begin(ecr)
    assert (await ecr.refused("UploadLayerPart", **sent(upload_id, LAYER, name="api")))[0] == "UploadNotFoundException"
    stranger = Ecr(replace(ecr.call, account_id="999999999999", ids=SeededIds(7)), ecr.clock)
    await stranger("CreateRepository", repositoryName="web")
    assert (await stranger.refused("UploadLayerPart", **sent(upload_id, LAYER)))[0] == "UploadNotFoundException"
    await ecr("UploadLayerPart", **sent(upload_id, LAYER))


async def test_an_upload_goes_with_its_repository(ecr: Ecr) -> None:
    upload_id = await begin(ecr)
    await ecr("DeleteRepository", repositoryName="web")
    await ecr("CreateRepository", repositoryName="web")
    assert (await ecr.refused("UploadLayerPart", **sent(upload_id, LAYER)))[0] == "UploadNotFoundException"
    assert ecr.call.store.count(LAYER_UPLOADS) == 0


async def test_uploads_that_were_given_up_are_forgotten_when_the_next_begins(ecr: Ecr) -> None:
    await begin(ecr)
    await ecr.clock.step(8 * 24 * 3600)
    kept = await begin(ecr)
    assert [each.upload_id for each in ecr.call.store.list(LAYER_UPLOADS)] == [kept]


async def test_layers_are_checked_for(ecr: Ecr) -> None:
    digest = await upload(ecr, LAYER)
    absent = digest_of(b"absent")
    asked = [digest, absent, "sha256:abc", "nonsense", "", digest]
    answer = await ecr("BatchCheckLayerAvailability", repositoryName="web", layerDigests=asked)
    assert answer["layers"] == [
        {"layerDigest": digest, "layerAvailability": "AVAILABLE", "layerSize": len(LAYER)},
        {"layerDigest": absent, "layerAvailability": "UNAVAILABLE"},
        {"layerDigest": "sha256:abc", "layerAvailability": "UNAVAILABLE"},
    ]
    assert [(each["layerDigest"], each["failureCode"]) for each in answer["failures"]] == [
        ("nonsense", "InvalidLayerDigest"),
        ("", "MissingLayerDigest"),
    ]
    await ecr.store_blob("web", CONFIG)
    await ecr("PutImage", repositoryName="web", imageManifest=manifest(LAYER).decode())
    (layer,) = (await ecr("BatchCheckLayerAvailability", repositoryName="web", layerDigests=[digest]))["layers"]
    assert layer["mediaType"] == LAYER_TYPE


async def test_a_layer_whose_bytes_are_lost_is_to_be_uploaded_again(ecr: Ecr) -> None:
    digest = await upload(ecr, LAYER)
    await ecr.call.blobs.delete(digest)
    (layer,) = (await ecr("BatchCheckLayerAvailability", repositoryName="web", layerDigests=[digest]))["layers"]
    assert layer["layerAvailability"] == "UNAVAILABLE"
    again = await begin(ecr)
    await ecr("UploadLayerPart", **sent(again, LAYER))
    await ecr.refused("CompleteLayerUpload", repositoryName="web", uploadId=again, layerDigests=[digest])
    assert ecr.call.blobs.size(digest) == len(LAYER)


async def test_a_layer_without_image_is_kept_when_somebody_was_told_it_is_there(ecr: Ecr) -> None:
    digest = await upload(ecr, LAYER)
    await ecr.clock.step(20 * 3600)
    await ecr("BatchCheckLayerAvailability", repositoryName="web", layerDigests=[digest])
    held = ecr.call.store.get(REPOSITORY_BLOBS, image_key(KEY, digest))
    assert held is not None
    assert held.uploaded_at == ecr.clock.now()


async def test_urls_are_for_layers_of_images_that_can_be_pulled(ecr: Ecr) -> None:
    digest = await upload(ecr, LAYER)

    async def asked(digest: str = digest) -> str:
        return (await ecr.refused("GetDownloadUrlForLayer", repositoryName="web", layerDigest=digest))[0]

    assert await asked(digest_of(b"absent")) == "LayersNotFoundException"
    assert await asked() == "LayerInaccessibleException"
    await ecr.store_blob("web", CONFIG)
    await ecr("PutImage", repositoryName="web", imageManifest=manifest(LAYER).decode(), imageTag="1")
    answer = await ecr("GetDownloadUrlForLayer", repositoryName="web", layerDigest=digest)
    assert answer["layerDigest"] == digest
    assert answer["downloadUrl"].startswith(f"http://127.0.0.1:4566/_layers/{ACCOUNT}/{REGION}/web/{digest}?expires=")
    await ecr("UpdateImageStorageClass", repositoryName="web", imageId={"imageTag": "1"}, targetStorageClass="ARCHIVE")
    assert await asked() == "LayerInaccessibleException"


async def test_an_upload_whose_bytes_were_given_up_is_not_found(ecr: Ecr) -> None:
    upload_id = await begin(ecr)
    await ecr("UploadLayerPart", **sent(upload_id, LAYER))
    blobs = ecr.call.blobs
    assert isinstance(blobs, MemoryBlobStore)
    await blobs.expire_uploads(ecr.clock.now())
    assert (await ecr.refused("UploadLayerPart", **sent(upload_id, LAYER)))[0] == "UploadNotFoundException"
    asked = {"repositoryName": "web", "uploadId": upload_id, "layerDigests": [digest_of(LAYER)]}
    assert (await ecr.refused("CompleteLayerUpload", **asked))[0] == "UploadNotFoundException"


async def test_a_part_that_found_no_room_can_be_sent_again(ecr: Ecr) -> None:
    narrow = Narrow(clock=ecr.clock)
    ecr = replace(ecr, call=replace(ecr.call, blobs=narrow))
    narrow.has_room = False
    assert (await ecr.refused("InitiateLayerUpload", repositoryName="web"))[0] == "ServiceUnavailableException"
    narrow.has_room = True
    upload_id = await begin(ecr)
    narrow.has_room = False
    assert (await ecr.refused("UploadLayerPart", **sent(upload_id, LAYER)))[0] == "ServiceUnavailableException"
    narrow.has_room = True
    await ecr("UploadLayerPart", **sent(upload_id, LAYER))
    asked = {"repositoryName": "web", "uploadId": upload_id, "layerDigests": [digest_of(LAYER)]}
    narrow.has_room = False
    assert (await ecr.refused("CompleteLayerUpload", **asked))[0] == "ServiceUnavailableException"
    narrow.has_room = True
    await ecr("CompleteLayerUpload", **asked)


class Narrow(MemoryBlobStore):
    """A blob store whose disk may be full."""

    has_room = True

    async def begin(self) -> MemoryUpload:
        self.make_room()
        upload = NarrowUpload(self, str(uuid4()), self.clock.now())
        self.uploads[upload.upload_id] = upload
        return upload

    def make_room(self) -> None:
        if not self.has_room:
            raise BlobStoreFull("no room for more blobs")


class NarrowUpload(MemoryUpload):
    async def write(self, chunk: bytes) -> None:
        self._store.make_room()  # type: ignore[attr-defined]
        await super().write(chunk)

    async def commit(self, digest: str) -> int:
        self._store.make_room()  # type: ignore[attr-defined]
        return await super().commit(digest)
