"""Carrying images between registries of this installation: rows, and bytes only where the destination keeps them another way.

Blobs are found by their digests whoever shows them, so an image is at its destination once the rows say so. A repository with a
data key of its own keeps its own copy of every blob: that is made first, and named afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.services.ecr.content import carry_content, shares_content
from longshore.services.ecr.events import record
from longshore.services.ecr.images import Push, Unfound, delete_image, delete_tag, find_image, is_immutable, record_blob, record_push
from longshore.services.ecr.manifests import Manifest
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REPOSITORIES, REPOSITORY_BLOBS, Image, Repository, image_key, tag_key
from longshore.services.ecr.names import RepositoryId
from longshore.services.ecr.replication.destinations import refusal
from longshore.services.ecr.replication.model import Replication, Withdrawal
from longshore.services.ecr.templates.creation import ensure_repository
from longshore.store.base import Reader, Tx
from longshore.store.blobs import BlobStore, NoSuchBlob


class SourceChanged(Exception):
    """What was planned on is not there any more: look again."""


def destination_of(source: Repository, replication: Replication | Withdrawal) -> RepositoryId:
    return RepositoryId(replication.destination.region, replication.destination.account_id, source.name)


def open_destination(tx: Tx, source: Repository, replication: Replication, now: float) -> Repository:
    """The destination's repository, created if need be. Raises SourceChanged when it is not allowed any more."""
    if refusal(tx, source, replication.destination):
        raise SourceChanged
    return ensure_repository(tx, destination_of(source, replication), "REPLICATION", now)


async def copy_bytes(blobs: BlobStore, source: Repository, there: Repository, images: Iterable[Image]) -> None:
    """Whatever `images` consist of, where the destination does not read it from the same place anyway.

    Raises NoSuchBlob, BlobBroken, DigestMismatch and BlobStoreFull.
    """
    if shares_content(source, there):
        return
    for image in images:
        layers = (r.digest for r in image.references if not r.is_manifest and not r.foreign)
        for digest in (*layers, image.digest):
            if await carry_content(blobs, source, there, digest) is None:
                raise NoSuchBlob(digest)


def deliver(
    tx: Tx, source: Repository, copied_to: Repository, replication: Replication, order: Iterable[str], tags: Iterable[str], now: float
) -> None:
    """Show the images at the destination, where their bytes can be read since they were `copied_to` it. Raises SourceChanged.

    A tag that an immutable repository has given to another image already is left out, as ECR does.
    """
    there = tx.get(REPOSITORIES, destination_of(source, replication).key)
    if there is None or not shares_content(there, copied_to) or refusal(tx, source, replication.destination):
        raise SourceChanged
    target = RepositoryId(there.region, there.account_id, there.name)
    for digest in order:
        image = tx.get(IMAGES, image_key(source.key, digest))
        if image is None:
            raise SourceChanged
        for reference in image.references:
            held = tx.get(REPOSITORY_BLOBS, image_key(source.key, reference.digest))
            if held is not None and tx.get(REPOSITORY_BLOBS, image_key(there.key, reference.digest)) is None:
                record_blob(tx, target, held.digest, held.size, now)
        given = tuple(tag for tag in tags if _is_free(tx, there, tag, digest)) if digest == replication.digest else ()
        record_push(tx, target, _push(image, given, now), again_is_error=False)
        if digest == replication.digest:
            for tag in given or ("",):
                _tell(tx, source, there, digest, tag, now)


def _push(image: Image, tags: tuple[str, ...], now: float) -> Push:
    manifest = Manifest(
        media_type=image.media_type,
        references=image.references,
        subject=image.subject,
        artifact_type=image.artifact_media_type,
        annotations=image.annotations,
    )
    # An index may be as sparse here as it is at its source; layers were looked at when this was planned.
    return Push(manifest=manifest, digest=image.digest, size=image.manifest_size, tags=tags, now=now, may_lack_images=True, carried=True)


def _is_free(reader: Reader, repository: Repository, tag: str, digest: str) -> bool:
    held = reader.get(IMAGE_TAGS, tag_key(repository.key, tag))
    return held is None or held.digest == digest or not is_immutable(repository, tag)


def _tell(tx: Tx, source: Repository, there: Repository, digest: str, tag: str, now: float) -> None:
    detail = {
        "result": "SUCCESS",
        "repository-name": there.name,
        "image-digest": digest,
        "source-account": source.account_id,
        "action-type": "REPLICATE",
        "source-region": source.region,
        "image-tag": tag,
    }
    record(tx, there, "ECR Replication Action", detail, now, ordinal=f"REPLICATE:{digest}:{tag}")


def withdraw(tx: Tx, withdrawal: Withdrawal, now: float) -> None:
    """Delete at the destination what was deleted at the source. Raises Unfound while a manifest list there names the image."""
    if refusal(tx, withdrawal, withdrawal.destination):
        return
    there = RepositoryId(withdrawal.destination.region, withdrawal.destination.account_id, withdrawal.name)
    try:
        image = find_image(tx, there.key, withdrawal.digest, withdrawal.tag or None)
    except Unfound:
        return  # there is no such image, or the tag stands for another one
    if withdrawal.tag:
        delete_tag(tx, image, withdrawal.tag, now, carried=True)
    else:
        delete_image(tx, image, now, carried=True)
