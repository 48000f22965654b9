"""What the ECR API does with the pull-through cache: images and layers that are asked for are brought here first."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr.errors import UnableToGetUpstreamLayerException
from longshore.services.ecr.images import Unfound
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REPOSITORIES, image_key, tag_key
from longshore.services.ecr.names import RepositoryId, is_digest, is_tag
from longshore.services.ecr.pull_through.cache import failure_code
from longshore.services.ecr.pull_through.rules import rule_for
from longshore.services.ecr.remote.errors import RemoteError
from longshore.services.ecr.scope import repository_of


def import_permissions(call: Call, request: shapes.BatchGetImageRequest) -> Iterable[tuple[str, str]]:
    """What a caller must be allowed besides, where an image is to come from upstream."""
    meant = repository_of(call, request)
    if rule_for(call.store, meant) is None or all(_is_here(call, meant, each) for each in request.image_ids):
        return ()
    asked = [("ecr:BatchImportUpstreamImage", meant.arn)]
    if call.store.get(REPOSITORIES, meant.key) is None:
        asked.append(("ecr:CreateRepository", meant.arn))
    return asked


def _is_here(call: Call, meant: RepositoryId, identifier: shapes.ImageIdentifier) -> bool:
    if identifier.image_digest:
        return call.store.get(IMAGES, image_key(meant.key, identifier.image_digest)) is not None
    return identifier.image_tag is None or call.store.get(IMAGE_TAGS, tag_key(meant.key, identifier.image_tag)) is not None


async def import_images(
    call: Call, meant: RepositoryId, identifiers: Iterable[shapes.ImageIdentifier]
) -> dict[shapes.ImageIdentifier, Unfound]:
    """Have the images here as the upstream has them; what could not be had, and why."""
    failed: dict[shapes.ImageIdentifier, Unfound] = {}
    if call.pull_through is None or rule_for(call.store, meant) is None:
        return failed
    for identifier in dict.fromkeys(identifiers):
        reference = identifier.image_digest or identifier.image_tag or ""
        if not (is_digest(reference) or (identifier.image_digest is None and is_tag(reference))):
            continue
        try:
            await call.pull_through.ensure_manifest(meant, reference, _permitted)
        except RemoteError as error:
            failed[identifier] = Unfound(failure_code(error), str(error))
    return failed


def _permitted(action: str) -> None:
    """Asked by the gateway already."""


async def import_layer(call: Call, meant: RepositoryId, digest: str) -> None:
    """Have a layer of a cached image here. Raises UnableToGetUpstreamLayerException."""
    size = call.pull_through.missing_blob(meant, digest) if call.pull_through is not None else None
    if call.pull_through is None or size is None:
        return
    try:
        await (await call.pull_through.download(meant, digest, size)).finished()
    except RemoteError as error:
        raise UnableToGetUpstreamLayerException(f"{UnableToGetUpstreamLayerException.__doc__} {error}") from error
