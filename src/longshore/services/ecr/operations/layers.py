"""Layers: uploaded in parts, checked for, and handed out by URL; what `docker push` does over /v2/, in AWS's own words."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.errors import ServiceUnavailable
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr.api import api
from longshore.services.ecr.content import check_place, content_of
from longshore.services.ecr.errors import (
    EmptyUploadException,
    InvalidLayerException,
    InvalidLayerPartException,
    InvalidParameterException,
    LayerAlreadyExistsException,
    LayerInaccessibleException,
    LayerNotFound,
    LayerPartTooSmallException,
    LimitExceededException,
    UploadNotFoundException,
)
from longshore.services.ecr.images import find_repository, keep_blob, record_blob
from longshore.services.ecr.layers.links import Link, link_to
from longshore.services.ecr.layers.model import LAYER_UPLOADS, PART_SIZE, LayerUpload
from longshore.services.ecr.layers.parts import Part, PartRefused, TooMuch, accept
from longshore.services.ecr.layers.turns import Turns
from longshore.services.ecr.model import IMAGES, REPOSITORY_BLOBS, Repository, RepositoryBlob, image_key
from longshore.services.ecr.names import RepositoryId, is_digest, looks_like_digest
from longshore.services.ecr.pull_through.on_request import import_layer
from longshore.services.ecr.scope import repository_of, repository_resource, tag_conditions
from longshore.services.ecr.storage_class import is_archived_layer
from longshore.store.base import Tx
from longshore.store.blobs import BlobStoreFull, BlobUpload, DigestMismatch

#: an upload that nobody came back to for so long is forgotten when the next one of its repository begins
_IDLE_S = 7 * 24 * 3600.0
_MOST_FORGOTTEN = 100
#: a layer without image that was asked for is kept from then on; noted when the last note is this old
_RENEWED_AFTER_S = 3600.0
_turns = Turns()


@api.operation("InitiateLayerUpload", resource=repository_resource, conditions=tag_conditions)
async def initiate_layer_upload(call: Call, request: shapes.InitiateLayerUploadRequest) -> shapes.InitiateLayerUploadResponse:
    meant = repository_of(call, request)
    repository = find_repository(call.store, meant)
    now = call.clock.now()
    try:
        begun = await content_of(call.blobs, repository).begin()
    except BlobStoreFull as error:
        raise _no_room(error) from error
    upload = LayerUpload(upload_id=call.ids.uuid(), repository=repository.key, blob_upload_id=begun.upload_id, touched_at=now)

    def initiate(tx: Tx) -> None:
        find_repository(tx, meant)
        for held in tx.list(LAYER_UPLOADS, "repository", repository.key, limit=_MOST_FORGOTTEN):
            if now - held.touched_at > _IDLE_S:
                tx.delete(LAYER_UPLOADS, held.upload_id)
        tx.create(LAYER_UPLOADS, upload)

    await call.store.transact(initiate)
    return shapes.InitiateLayerUploadResponse(upload_id=upload.upload_id, part_size=PART_SIZE)


@api.operation("UploadLayerPart", resource=repository_resource, conditions=tag_conditions)
async def upload_layer_part(call: Call, request: shapes.UploadLayerPartRequest) -> shapes.UploadLayerPartResponse:
    """The answer means that the part outlives the server. The same part again, when its answer got lost, is answered alike."""
    repository = find_repository(call.store, repository_of(call, request))
    content = request.layer_part_blob
    async with _turns.of(request.upload_id):
        held = _find_upload(call, repository, request.upload_id)
        upload = await _resumed(call, repository, held)
        try:
            part = Part(request.part_first_byte, request.part_last_byte, len(content))
            accepted = accept(held, upload.offset, part, call.clock.now())
        except PartRefused as refused:
            raise _part_refused(refused, repository, request.upload_id, upload.offset) from None
        except TooMuch as too_much:
            raise LimitExceededException(str(too_much)) from None
        await call.store.transact(lambda tx: _begin_part(tx, repository, accepted.upload))
        try:
            await upload.write(content[accepted.skip :])
        except BlobStoreFull as error:
            raise _no_room(error) from error
        except FileNotFoundError:  # it expired this very moment
            raise UploadNotFoundException(request.upload_id, repository.name, repository.account_id) from None
    return shapes.UploadLayerPartResponse(
        registry_id=repository.account_id,
        repository_name=repository.name,
        upload_id=request.upload_id,
        last_byte_received=request.part_last_byte,
    )


def _begin_part(tx: Tx, repository: Repository, upload: LayerUpload) -> None:
    if tx.get(LAYER_UPLOADS, upload.upload_id) is None:
        raise UploadNotFoundException(upload.upload_id, repository.name, repository.account_id)
    tx.put(LAYER_UPLOADS, upload)


def _part_refused(refused: PartRefused, repository: Repository, upload_id: str, received: int) -> InvalidLayerPartException:
    so_far = {"lastValidByteReceived": received - 1} if received else {}
    return InvalidLayerPartException(
        f"The layer part is not valid: {refused}",
        registryId=repository.account_id,
        repositoryName=repository.name,
        uploadId=upload_id,
        **so_far,
    )


@api.operation("CompleteLayerUpload", resource=repository_resource, conditions=tag_conditions)
async def complete_layer_upload(call: Call, request: shapes.CompleteLayerUploadRequest) -> shapes.CompleteLayerUploadResponse:
    """The blob is durable before the repository names it. A repetition, when the answer got lost, is answered alike."""
    meant = repository_of(call, request)
    repository = find_repository(call.store, meant)
    digest = _one_digest(request.layer_digests)
    async with _turns.of(request.upload_id):
        held = _find_upload(call, repository, request.upload_id, finished_as=digest)
        if not held.layer_digest:
            try:
                size = await _committed(await _resumed(call, repository, held), held, digest)
            except FileNotFoundError:
                raise UploadNotFoundException(request.upload_id, repository.name, repository.account_id) from None
            now = call.clock.now()
            if not await call.store.transact(lambda tx: _finish(tx, repository, held, digest, size, now)):
                raise LayerAlreadyExistsException(digest, repository.name, repository.account_id)
    return shapes.CompleteLayerUploadResponse(
        registry_id=repository.account_id, repository_name=repository.name, upload_id=request.upload_id, layer_digest=digest
    )


async def _committed(upload: BlobUpload, held: LayerUpload, digest: str) -> int:
    """Size of the layer. After a wrong digest the upload is as it was, and can be completed with the right one."""
    if not upload.offset:
        raise EmptyUploadException
    if held.too_small:
        raise LayerPartTooSmallException
    try:
        return await upload.commit(digest)
    except DigestMismatch as mismatch:
        raise InvalidLayerException(
            f"The digest {digest} was specified for the layer, the bytes received have {mismatch.received}"
        ) from mismatch
    except BlobStoreFull as error:
        raise _no_room(error) from error


def _finish(tx: Tx, repository: Repository, held: LayerUpload, digest: str, size: int, now: float) -> bool:
    """Whether the layer is new to the repository."""
    check_place(tx, repository)
    known = tx.get(REPOSITORY_BLOBS, image_key(repository.key, digest)) is not None
    record_blob(tx, RepositoryId(repository.region, repository.account_id, repository.name), digest, size, now)
    if known:
        tx.delete(LAYER_UPLOADS, held.upload_id)
    else:
        tx.put(LAYER_UPLOADS, replace(held, layer_digest=digest, touched_at=now))
    return not known


def _one_digest(digests: Iterable[str]) -> str:
    distinct = list(dict.fromkeys(digests))
    if len(distinct) != 1 or not is_digest(distinct[0]):
        raise InvalidParameterException(
            "Invalid parameter at 'layerDigests' failed to satisfy constraint: 'must be the one sha256 or sha512 digest of the layer'"
        )
    return distinct[0]


def _find_upload(call: Call, repository: Repository, upload_id: str, finished_as: str = "") -> LayerUpload:
    """Of this repository, and going on: or finished already, as `finished_as`. Raises UploadNotFoundException."""
    held = call.store.get(LAYER_UPLOADS, upload_id)
    if held is None or held.repository != repository.key or held.layer_digest not in ("", finished_as):
        raise UploadNotFoundException(upload_id, repository.name, repository.account_id)
    return held


async def _resumed(call: Call, repository: Repository, held: LayerUpload) -> BlobUpload:
    upload = await content_of(call.blobs, repository).resume(held.blob_upload_id)
    if upload is None:
        raise UploadNotFoundException(held.upload_id, repository.name, repository.account_id)
    return upload


def _no_room(error: BlobStoreFull) -> ServiceUnavailable:
    return ServiceUnavailable(f"The layer cannot be stored at present: {error}")


@api.operation("BatchCheckLayerAvailability", resource=repository_resource, conditions=tag_conditions)
async def batch_check_layer_availability(
    call: Call, request: shapes.BatchCheckLayerAvailabilityRequest
) -> shapes.BatchCheckLayerAvailabilityResponse:
    """A client leaves out the layers that are there: they are kept for a while from here on."""
    meant = repository_of(call, request)
    repository = find_repository(call.store, meant)
    layers: list[shapes.Layer] = []
    failures: list[shapes.LayerFailure] = []
    told: list[RepositoryBlob] = []
    for digest in dict.fromkeys(request.layer_digests):
        if not looks_like_digest(digest):
            failures.append(_layer_failure(digest))
            continue
        held = _layer(call, repository, digest)
        layers.append(shapes.Layer(layer_digest=digest, layer_availability="UNAVAILABLE") if held is None else _shown(call, held))
        if held is not None:
            told.append(held)
    now = call.clock.now()
    renewed_after_s = min(_RENEWED_AFTER_S, call.site.collection_grace_s / 2)
    renewed = [held for held in told if now - held.uploaded_at > renewed_after_s]
    if renewed:
        for held in renewed:
            await content_of(call.blobs, repository).keep(held.digest)
        await call.store.transact(lambda tx: [keep_blob(tx, held, now) for held in renewed])
    return shapes.BatchCheckLayerAvailabilityResponse(layers=tuple(layers), failures=tuple(failures))


def _layer_failure(digest: str) -> shapes.LayerFailure:
    code, reason = ("InvalidLayerDigest", "Invalid layer digest") if digest else ("MissingLayerDigest", "Missing layer digest")
    return shapes.LayerFailure(layer_digest=digest, failure_code=code, failure_reason=reason)


def _layer(call: Call, repository: Repository, digest: str) -> RepositoryBlob | None:
    """None also where the bytes are missing, so that they are uploaded again."""
    held = call.store.get(REPOSITORY_BLOBS, image_key(repository.key, digest))
    return held if held is not None and content_of(call.blobs, repository).size(digest) == held.size else None


def _shown(call: Call, held: RepositoryBlob) -> shapes.Layer:
    """What kind of layer it is stands in the images that have it."""
    images = call.store.list(IMAGES, "references", image_key(held.repository, held.digest), limit=1)
    named = [reference for image in images for reference in image.references if reference.digest == held.digest]
    return shapes.Layer(
        layer_digest=held.digest,
        layer_availability="ARCHIVED" if is_archived_layer(call.store, held.repository, held.digest) else "AVAILABLE",
        layer_size=held.size,
        media_type=named[0].media_type or None if named else None,
    )


@api.operation("GetDownloadUrlForLayer", resource=repository_resource, conditions=tag_conditions)
async def get_download_url_for_layer(call: Call, request: shapes.GetDownloadUrlForLayerRequest) -> shapes.GetDownloadUrlForLayerResponse:
    """A URL for the layer of an image, good for an hour and for whoever has it."""
    meant = repository_of(call, request)
    repository = find_repository(call.store, meant)
    digest = request.layer_digest
    await import_layer(call, meant, digest)
    if _layer(call, repository, digest) is None:
        raise LayerNotFound(digest, repository.name, repository.account_id)
    if not call.store.count(IMAGES, "references", image_key(repository.key, digest)):
        raise LayerInaccessibleException
    if is_archived_layer(call.store, repository.key, digest):
        raise LayerInaccessibleException("The specified layer is not available because it is associated with archived images only.")
    url = link_to(call.secret_for_signing, call.base_url, Link(meant, digest), call.clock.now())
    return shapes.GetDownloadUrlForLayerResponse(download_url=url, layer_digest=digest)
