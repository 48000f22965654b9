"""ListImageReferrers."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.services.ecr.manifests import OCI_MANIFEST
from longshore.services.ecr.names import digest_of
from tests.registry.contents import CONFIG, CONFIG_TYPE, LAYER, descriptor, manifest
from tests.services.ecr.conftest import Ecr

IMAGE = manifest(LAYER)
SUBJECT = descriptor(IMAGE, OCI_MANIFEST)
SBOM = manifest(LAYER, subject=SUBJECT, artifactType="application/spdx+json", annotations={"made-by": "us"})
SIGNATURES = [manifest(LAYER, subject=SUBJECT, artifactType="application/x-signature", annotations={"n": str(n)}) for n in range(4)]


@pytest.fixture
async def ecr(ecr: Ecr) -> Ecr:
    """With referrers to an image that has not been pushed."""
    await ecr("CreateRepository", repositoryName="web")
    for content in (CONFIG, LAYER):
        await ecr.store_blob("web", content)
    for each in (SBOM, *SIGNATURES, manifest(LAYER, annotations={"about": "nothing"})):
        await ecr("PutImage", repositoryName="web", imageManifest=each.decode())
    return ecr


async def referrers(ecr: Ecr, **more: Any) -> dict[str, Any]:
    return await ecr("ListImageReferrers", repositoryName="web", subjectId={"imageDigest": digest_of(IMAGE)}, **more)


async def test_what_was_pushed_about_an_image_is_listed(ecr: Ecr) -> None:
    answer = await referrers(ecr, filter={"artifactTypes": ["application/spdx+json"]})
    assert answer == {
        "referrers": [
            {
                "digest": digest_of(SBOM),
                "mediaType": OCI_MANIFEST,
                "artifactType": "application/spdx+json",
                "size": len(SBOM),
                "annotations": {"made-by": "us"},
                "artifactStatus": "ACTIVE",
            }
        ]
    }
    assert len((await referrers(ecr))["referrers"]) == 5
    assert len((await referrers(ecr, filter={"artifactTypes": ["application/spdx+json", "application/x-signature"]}))["referrers"]) == 5
    assert (await referrers(ecr, filter={"artifactTypes": [CONFIG_TYPE]}))["referrers"] == []


async def test_pages_hold_everything_once(ecr: Ecr) -> None:
    asked: dict[str, Any] = {"filter": {"artifactTypes": ["application/x-signature"]}, "maxResults": 3}
    first = await referrers(ecr, **asked)
    second = await referrers(ecr, **asked, nextToken=first["nextToken"])
    assert "nextToken" not in second
    found = [each["digest"] for answer in (first, second) for each in answer["referrers"]]
    assert sorted(found) == sorted(digest_of(each) for each in SIGNATURES)
    code, _ = await ecr.refused(
        "ListImageReferrers", repositoryName="web", subjectId={"imageDigest": digest_of(IMAGE)}, nextToken=first["nextToken"]
    )
    assert code == "InvalidParameterException"


async def test_a_subject_is_named_by_a_digest(ecr: Ecr) -> None:
    code, _ = await ecr.refused("ListImageReferrers", repositoryName="web", subjectId={"imageDigest": "latest"})
    assert code == "InvalidParameterException"


async def test_a_page_has_no_more_annotations_than_a_manifest_may_have(ecr: Ecr) -> None:
    for n in range(3):
        long = manifest(LAYER, subject=SUBJECT, artifactType="application/long", annotations={"n": str(n), "text": "x" * 2_000_000})
        await ecr("PutImage", repositoryName="web", imageManifest=long.decode())
    asked: dict[str, Any] = {"filter": {"artifactTypes": ["application/long"]}}
    first = await referrers(ecr, **asked)
    second = await referrers(ecr, **asked, nextToken=first["nextToken"])
    assert [len(each["referrers"]) for each in (first, second)] == [2, 1]
