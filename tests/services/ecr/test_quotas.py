"""How much one repository may hold."""

from __future__ import annotations

from typing import Any

import pytest

from longshore.services.ecr.errors import LimitExceededException
from longshore.services.ecr.images import MOST_IMAGES, Push, record_push
from longshore.services.ecr.manifests import parse_manifest
from longshore.services.ecr.model import IMAGES
from longshore.services.ecr.names import RepositoryId, digest_of
from longshore.store.base import Tx
from tests.registry.contents import CONFIG, LAYER, manifest
from tests.services.ecr.conftest import ACCOUNT, REGION, Ecr

MEANT = RepositoryId(REGION, ACCOUNT, "web")


class Crowded:
    """A transaction in which the repository has so many images."""

    def __init__(self, tx: Tx, images: int) -> None:
        self._tx = tx
        self._images = images

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def count(self, kind: Any, index: str | None = None, value: str | None = None) -> int:
        return self._images if (kind, index, value) == (IMAGES, "repository", MEANT.key) else self._tx.count(kind, index, value)


async def push(ecr: Ecr, content: bytes, tag: str, images: int) -> None:
    given = Push(parse_manifest(content, None), digest_of(content), len(content), (tag,), ecr.clock.now())
    await ecr.call.store.transact(lambda tx: record_push(Crowded(tx, images), MEANT, given, again_is_error=False))  # type: ignore[arg-type]


async def test_a_repository_that_is_full_takes_tags_and_no_images(ecr: Ecr) -> None:
    await ecr("CreateRepository", repositoryName="web")
    for content in (CONFIG, LAYER):
        await ecr.store_blob("web", content)
    held, other = manifest(LAYER), manifest(LAYER, annotations={"one": "too many"})
    await push(ecr, held, "1", MOST_IMAGES - 1)
    with pytest.raises(LimitExceededException):
        await push(ecr, other, "2", MOST_IMAGES)
    await push(ecr, held, "2", MOST_IMAGES)
    listed = await ecr("ListImages", repositoryName="web")
    assert [each["imageTag"] for each in listed["imageIds"]] == ["1", "2"]
