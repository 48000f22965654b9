"""Images: put, list, describe, get and delete."""

from __future__ import annotations

from collections.abc import Callable

from longshore.aws.errors import ServiceUnavailable
from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr import views
from longshore.services.ecr.api import api
from longshore.services.ecr.content import check_place, content_of
from longshore.services.ecr.errors import (
    ImageDigestDoesNotMatchException,
    ImageNotFoundException,
    InvalidParameterException,
    LimitExceededException,
)
from longshore.services.ecr.images import (
    Push,
    Unfound,
    delete_image,
    delete_tag,
    find_image,
    find_pullable,
    find_repository,
    is_pull_news,
    record_pulls,
    record_push,
    tags_of,
)
from longshore.services.ecr.manifests import INDEXES, ManifestInvalid, parse_manifest
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, Image, Repository, image_key, tag_key
from longshore.services.ecr.names import LARGEST_MANIFEST, checked_digest, checked_tag, described, digest_of
from longshore.services.ecr.pull_through.on_request import import_images, import_permissions
from longshore.services.ecr.scope import repository_of, repository_resource, tag_conditions
from longshore.services.ecr.settings.rules import leaves_no_trace
from longshore.store.base import Tx
from longshore.store.blobs import BlobStoreFull

_PAGE = 100
#: bytes of manifests in one answer: hundreds of real ones
_MOST_MANIFESTS = 32 * 1024 * 1024
_INVALID_TOKEN = "Invalid parameter at 'nextToken' failed to satisfy constraint: 'Invalid token'"
#: stands between a digest and a tag in the tokens of ListImages
_SEPARATOR = " "


@api.operation("PutImage", resource=repository_resource, conditions=tag_conditions)
async def put_image(call: Call, request: shapes.PutImageRequest) -> shapes.PutImageResponse:
    """The layers must have been uploaded. The manifest's bytes are durable before the image is recorded."""
    meant = repository_of(call, request)
    repository = find_repository(call.store, meant)
    tags = (checked_tag(request.image_tag),) if request.image_tag else ()
    content = request.image_manifest.encode()
    if len(content) > LARGEST_MANIFEST:
        raise InvalidParameterException(
            "Invalid parameter at 'imageManifest' failed to satisfy constraint: "
            f"'Member must have length less than or equal to {LARGEST_MANIFEST}'"
        )
    try:
        manifest = parse_manifest(content, request.image_manifest_media_type)
    except ManifestInvalid as error:
        raise InvalidParameterException(
            f"Invalid parameter at 'imageManifest' failed to satisfy constraint: 'Invalid manifest: {error}'"
        ) from error
    digest = _digest(content, request.image_digest)
    try:
        size = await content_of(call.blobs, repository).put(content, digest)
    except BlobStoreFull as error:
        raise ServiceUnavailable(f"The image cannot be stored at present: {error}") from error
    push = Push(manifest=manifest, digest=digest, size=size, tags=tags, now=call.clock.now())

    def name(tx: Tx) -> Image:
        check_place(tx, repository)
        return record_push(tx, meant, push, again_is_error=True)

    image = await call.store.transact(name)
    return shapes.PutImageResponse(image=views.image(image, repository, request.image_manifest, request.image_tag))


def _digest(content: bytes, given: str | None) -> str:
    if not given:
        return digest_of(content)
    calculated = digest_of(content, checked_digest(given).partition(":")[0])
    if given != calculated:
        raise ImageDigestDoesNotMatchException(given, calculated)
    return calculated


def _has_status(call: Call, tag_status: str | None, image_status: str | None) -> Callable[[Image], bool] | None:
    """What DescribeImages and ListImages filter by: active images unless others are asked for. None when everything passes."""
    statuses = ("ACTIVE", "ARCHIVED") if image_status == "ANY" else (image_status or "ACTIVE",)
    tagged = None if tag_status in (None, "ANY") else tag_status == "TAGGED"
    if tagged is None and image_status == "ANY":
        return None

    def has_status(image: Image) -> bool:
        if views.image_status(image) not in statuses:
            return False
        return tagged is None or bool(call.store.count(IMAGE_TAGS, "image", image_key(image.repository, image.digest))) is tagged

    return has_status


@api.operation("DescribeImages", resource=repository_resource, conditions=tag_conditions)
async def describe_images(call: Call, request: shapes.DescribeImagesRequest) -> shapes.DescribeImagesResponse:
    repository = find_repository(call.store, repository_of(call, request))
    if request.image_ids is not None:
        if request.next_token is not None or request.max_results is not None:
            raise InvalidParameterException("maxResults and nextToken cannot be specified together with imageIds")
        named = {image.digest: image for image in (_named(call, repository, each) for each in request.image_ids)}
        return shapes.DescribeImagesResponse(
            image_details=tuple(views.image_detail(call.store, each, repository) for each in named.values())
        )
    status = request.filter or shapes.DescribeImagesFilter()
    question = ("DescribeImages", repository.key, status.tag_status, status.image_status)
    found, after = page(
        lambda after, limit: call.store.list(IMAGES, "repository", repository.key, after=after, limit=limit),
        lambda each: image_key(each.repository, each.digest),
        after=unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException(_INVALID_TOKEN)),
        limit=request.max_results or _PAGE,
        keep=_has_status(call, status.tag_status, status.image_status),
    )
    return shapes.DescribeImagesResponse(
        image_details=tuple(views.image_detail(call.store, each, repository) for each in found),
        next_token=seal(call.secret_for_signing, question, after) if after else None,
    )


def _named(call: Call, repository: Repository, identifier: shapes.ImageIdentifier) -> Image:
    try:
        return find_image(call.store, repository.key, identifier.image_digest, identifier.image_tag)
    except Unfound as unfound:
        if unfound.code in ("ImageNotFound", "ImageTagDoesNotMatchDigest"):
            image = described(identifier.image_digest, identifier.image_tag)
            raise ImageNotFoundException(image, repository.name, repository.account_id) from None
        raise InvalidParameterException(unfound.reason) from None


@api.operation("ListImages", resource=repository_resource, conditions=tag_conditions)
async def list_images(call: Call, request: shapes.ListImagesRequest) -> shapes.ListImagesResponse:
    """One entry per tag, and one for each image without tags."""
    repository = find_repository(call.store, repository_of(call, request))
    status = request.filter or shapes.ListImagesFilter()
    keep = _has_status(call, status.tag_status, status.image_status)
    question = ("ListImages", repository.key, status.tag_status, status.image_status)
    token = unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException(_INVALID_TOKEN))
    limit = request.max_results or _PAGE
    found = _listed(call, repository, token, limit + 1, keep)
    more = len(found) > limit
    last = found[limit - 1] if more else None
    return shapes.ListImagesResponse(
        image_ids=tuple(found[:limit]),
        next_token=seal(call.secret_for_signing, question, f"{last.image_digest}{_SEPARATOR}{last.image_tag or ''}") if last else None,
    )


def _listed(
    call: Call, repository: Repository, token: str | None, limit: int, keep: Callable[[Image], bool] | None
) -> list[shapes.ImageIdentifier]:
    """At most `limit` entries after the one that `token` names (its digest and tag)."""
    found: list[shapes.ImageIdentifier] = []
    digest, _, tag = (token or "").partition(_SEPARATOR)
    if token and tag:
        # The image at the seam of two pages may have more tags than fitted on the first.
        rest = call.store.list(IMAGE_TAGS, "image", image_key(repository.key, digest), after=tag_key(repository.key, tag), limit=limit)
        found.extend(shapes.ImageIdentifier(image_digest=digest, image_tag=each.tag) for each in rest)
    after = image_key(repository.key, digest) if token else None
    while len(found) < limit:
        images = call.store.list(IMAGES, "repository", repository.key, after=after, limit=limit)
        for image in images:
            if keep is None or keep(image):
                found.extend(
                    shapes.ImageIdentifier(image_digest=image.digest, image_tag=each) for each in tags_of(call.store, image) or (None,)
                )
        if len(images) < limit:
            break
        after = image_key(repository.key, images[-1].digest)
    return found[:limit]


@api.operation("BatchGetImage", resource=repository_resource, conditions=tag_conditions, also=import_permissions)
async def batch_get_image(call: Call, request: shapes.BatchGetImageRequest) -> shapes.BatchGetImageResponse:
    """Manifests as they were pushed: `acceptedMediaTypes` never makes one be converted."""
    meant = repository_of(call, request)
    not_imported = await import_images(call, meant, request.image_ids)
    repository = find_repository(call.store, meant)
    now = call.clock.now()
    images: list[shapes.Image] = []
    failures: list[shapes.ImageFailure] = []
    pulled: list[Image] = []
    room = _MOST_MANIFESTS
    for identifier in dict.fromkeys(request.image_ids):
        try:
            image = find_pullable(call.store, repository.key, identifier.image_digest, identifier.image_tag)
            room -= image.manifest_size
            if room < 0 and images:
                raise LimitExceededException(f"The manifests of the images have more than {_MOST_MANIFESTS} bytes: ask for fewer at once.")
            content = await content_of(call.blobs, repository).read(image.digest)
            if content is None:
                raise Unfound("ImageInaccessible", "Requested image is not accessible: the bytes of its manifest are missing")
            text = _text_of(content)
        except Unfound as unfound:
            failures.append(_failure(identifier, not_imported.get(identifier, unfound)))
            continue
        images.append(views.image(image, repository, text, identifier.image_tag))
        if is_pull_news(image, now) and not leaves_no_trace(call.store, repository, call.principal.arn):
            pulled.append(image)
    if pulled:
        await call.store.transact(lambda tx: record_pulls(tx, pulled, now))
    return shapes.BatchGetImageResponse(images=tuple(images), failures=tuple(failures))


def _text_of(manifest: bytes) -> str:
    """Raises Unfound for what earlier versions took that is no UTF-8."""
    try:
        return manifest.decode()
    except UnicodeDecodeError:
        raise Unfound("ImageInaccessible", "Requested image is not accessible: its manifest is no text") from None


def _failure(identifier: shapes.ImageIdentifier, unfound: Unfound) -> shapes.ImageFailure:
    return shapes.ImageFailure(image_id=identifier, failure_code=unfound.code, failure_reason=unfound.reason)


@api.operation("BatchDeleteImage", resource=repository_resource, conditions=tag_conditions)
async def batch_delete_image(call: Call, request: shapes.BatchDeleteImageRequest) -> shapes.BatchDeleteImageResponse:
    """A digest goes with all its tags; a tag goes alone, and takes the image with it when it was the last."""
    meant = repository_of(call, request)
    now = call.clock.now()

    def delete(tx: Tx) -> tuple[list[shapes.ImageIdentifier], list[shapes.ImageFailure]]:
        repository = find_repository(tx, meant)
        deleted: list[shapes.ImageIdentifier] = []
        failures: list[shapes.ImageFailure] = []
        for identifier in _lists_first(tx, repository, tuple(dict.fromkeys(request.image_ids))):
            try:
                deleted.extend(_delete(tx, repository, identifier, now))
            except Unfound as unfound:
                failures.append(_failure(identifier, unfound))
        return deleted, failures

    deleted, failures = await call.store.transact(delete)
    return shapes.BatchDeleteImageResponse(image_ids=tuple(deleted), failures=tuple(failures))


def _lists_first(tx: Tx, repository: Repository, identifiers: tuple[shapes.ImageIdentifier, ...]) -> list[shapes.ImageIdentifier]:
    """Manifest lists before the images in them, so that both can go in one request whatever their order."""

    def is_no_list(identifier: shapes.ImageIdentifier) -> bool:
        try:
            return find_image(tx, repository.key, identifier.image_digest, identifier.image_tag).media_type not in INDEXES
        except Unfound:
            return True

    return sorted(identifiers, key=is_no_list)


def _delete(tx: Tx, repository: Repository, identifier: shapes.ImageIdentifier, now: float) -> list[shapes.ImageIdentifier]:
    image = find_image(tx, repository.key, identifier.image_digest, identifier.image_tag)
    tag = identifier.image_tag
    if tag and len(tags_of(tx, image)) > 1:
        delete_tag(tx, image, tag, now)
        return [shapes.ImageIdentifier(image_digest=image.digest, image_tag=tag)]
    return [shapes.ImageIdentifier(image_digest=image.digest, image_tag=each) for each in delete_image(tx, image, now) or (None,)]
