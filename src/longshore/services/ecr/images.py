"""Images in transactions: what PutImage and `docker push` have in common, and how images are found and go away.

Every function here takes a reader or a transaction, decides, and writes; none of them touches bytes. Whoever pushes stores
the manifest's bytes first and records the image afterwards, so a recorded image can always be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import msgspec

from longshore.services.ecr.errors import (
    ImageAlreadyExistsException,
    ImageTagAlreadyExistsException,
    LayersNotFoundException,
    LimitExceededException,
    ReferencedImagesNotFoundException,
    RepositoryNotFoundException,
)
from longshore.services.ecr.events import image_action
from longshore.services.ecr.kinds import OF_IMAGE, OF_REPOSITORY
from longshore.services.ecr.manifests import Manifest
from longshore.services.ecr.model import (
    IMAGE_TAGS,
    IMAGES,
    REPOSITORIES,
    REPOSITORY_BLOBS,
    Image,
    ImageTag,
    Reference,
    Repository,
    RepositoryBlob,
    image_key,
    tag_key,
)
from longshore.services.ecr.names import TAG, RepositoryId, is_tag, looks_like_digest
from longshore.services.ecr.pull_through.model import CACHED_TAGS
from longshore.services.ecr.replication.wanted import want_replicas, want_withdrawal
from longshore.services.ecr.scanning.requests import request_on_push
from longshore.services.ecr.storage_class import restore_image
from longshore.store.base import Reader, Tx

#: a pull is written down when the last one noted is this much older
PULLS_NOTED_EVERY_S = 3600.0
#: indexes that learn of an image that came after them
_MOST_ENLARGED = 500
#: manifest lists that a refusal names
_MOST_TOLD = 100
#: ECR's quota for one repository
MOST_IMAGES = 100_000


class Unfound(Exception):
    """No such image, or it cannot be deleted: `code` and `reason` as the batch operations report them."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Push:
    """A manifest whose bytes are stored, about to become an image. `tags` have been checked."""

    manifest: Manifest
    digest: str
    size: int
    tags: tuple[str, ...]
    now: float
    #: an index may be sparse: it names images of which not all are here, or not yet
    may_lack_images: bool = False
    #: the same of an image and its layers
    may_lack_layers: bool = False
    #: it came from another registry, by replication or through the cache, and is carried no further
    carried: bool = False


def find_repository(reader: Reader, repository: RepositoryId) -> Repository:
    """Raises RepositoryNotFoundException."""
    found = reader.get(REPOSITORIES, repository.key)
    if found is None:
        raise RepositoryNotFoundException(repository.name, repository.account_id)
    return found


def record_push(tx: Tx, repository_id: RepositoryId, push: Push, *, again_is_error: bool) -> Image:
    """The image and its tags. With `again_is_error` (PutImage) an image that is there under all of these tags is refused.

    An archived image is active again. Raises RepositoryNotFoundException, LayersNotFoundException, ReferencedImagesNotFoundException,
    ImageTagAlreadyExistsException, ImageAlreadyExistsException and LimitExceededException.
    """
    repository = find_repository(tx, repository_id)
    _check_parts(tx, repository, push)
    known = tx.get(IMAGES, image_key(repository.key, push.digest))
    tags = [(tag, tx.get(IMAGE_TAGS, tag_key(repository.key, tag))) for tag in push.tags]
    here = known is not None and not known.archived
    if again_is_error and here and all(held is not None and held.digest == push.digest for _, held in tags):
        raise ImageAlreadyExistsException(push.digest, push.tags[0] if push.tags else None, repository.name, repository.account_id)
    for tag, held in tags:
        if held is not None and held.digest != push.digest and is_immutable(repository, tag):
            raise ImageTagAlreadyExistsException(tag, repository.name)
    image = known
    if image is None:
        if tx.count(IMAGES, "repository", repository.key) >= MOST_IMAGES:
            raise LimitExceededException(f"A repository may have at most {MOST_IMAGES} images.")
        image = tx.create(IMAGES, _image(tx, repository, push))
        _enlarge_indexes(tx, image)
        request_on_push(tx, repository, image, push.now)
    for archived in _archived_of(tx, image):
        restore_image(tx, archived, push.now)
    moved = [tag for tag, held in tags if held is None or held.digest != push.digest]
    for tag in moved:
        tx.put(IMAGE_TAGS, ImageTag(repository=repository.key, tag=tag, digest=push.digest, tagged_at=push.now))
    media_types = {"manifest-media-type": image.media_type, "artifact-media-type": image.artifact_media_type}
    for each in moved or ([""] if known is None else []):
        image_action(tx, repository, "PUSH", push.digest, each, push.now, media_types)
    if (moved or known is None) and not push.carried:
        want_replicas(tx, repository, push.digest, moved, push.now)
    return image


def _archived_of(reader: Reader, image: Image) -> list[Image]:
    """The image and those it consists of, where they are archived: what has been pushed can be pulled."""
    named = [image.digest, *(reference.digest for reference in image.references if reference.is_manifest)]
    found = (reader.get(IMAGES, image_key(image.repository, digest)) for digest in named)
    return [each for each in found if each is not None and each.archived]


def _check_parts(reader: Reader, repository: Repository, push: Push) -> None:
    manifest = push.manifest
    if push.may_lack_images if manifest.is_index else push.may_lack_layers:
        return
    missing = [reference.digest for reference in manifest.references if not _is_there(reader, repository, reference)]
    if not missing:
        return
    if manifest.is_index:
        raise ReferencedImagesNotFoundException(missing, repository.name, repository.account_id)
    raise LayersNotFoundException(missing, repository.name, repository.account_id)


def _is_there(reader: Reader, repository: Repository, reference: Reference) -> bool:
    key = image_key(repository.key, reference.digest)
    if reference.is_manifest:
        return reader.get(IMAGES, key) is not None
    return reference.foreign or reader.get(REPOSITORY_BLOBS, key) is not None


def _image(reader: Reader, repository: Repository, push: Push) -> Image:
    manifest = push.manifest
    if manifest.is_index:
        # As DescribeImages defines it: an index is as large as the largest image in it.
        children = (reader.get(IMAGES, image_key(repository.key, reference.digest)) for reference in manifest.references)
        size = max((child.size for child in children if child is not None), default=0)
    else:
        size = sum(reference.size for reference in manifest.references)
    return Image(
        repository=repository.key,
        digest=push.digest,
        media_type=manifest.media_type,
        manifest_size=push.size,
        size=size,
        pushed_at=push.now,
        artifact_media_type=manifest.artifact_type,
        subject=manifest.subject,
        references=manifest.references,
        annotations=manifest.annotations,
    )


def _enlarge_indexes(tx: Tx, image: Image) -> None:
    """Indexes that were here before one of their images are as large as the largest image in them from now on, and so on upwards.

    Indexes can be nested deep and name each other in thousands: what one push changes is bounded, and a size is for show.
    """
    smaller, left = [image], _MOST_ENLARGED
    while smaller:
        child = smaller.pop()
        for digest in indexes_naming(tx, child.repository, child.digest)[:left]:
            index = tx.get(IMAGES, image_key(child.repository, digest))
            if index is not None and index.size < child.size:
                smaller.append(tx.put(IMAGES, msgspec.structs.replace(index, size=child.size)))
                left -= 1


def is_immutable(repository: Repository, tag: str) -> bool:
    """Whether `tag`, once given, stays where it is."""
    excluded = any(matches(pattern, tag) for pattern in repository.mutability_exclusions)
    match repository.image_tag_mutability:
        case "IMMUTABLE":
            return True
        case "IMMUTABLE_WITH_EXCLUSION":
            return not excluded
        case "MUTABLE_WITH_EXCLUSION":
            return excluded
    return False


def matches(pattern: str, tag: str) -> bool:
    """`*` stands for any run of characters; nothing else in a pattern is special (its alphabet has neither `?` nor `[`)."""
    return fnmatchcase(tag, pattern)


def find_image(reader: Reader, repository: str, digest: str | None, tag: str | None) -> Image:
    """By digest, by tag, or by both where they agree. Raises Unfound."""
    if not digest and not tag:
        raise Unfound("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
    if digest and not looks_like_digest(digest):
        raise Unfound(
            "InvalidImageDigest", "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
        )
    if tag and not is_tag(tag):
        raise Unfound("InvalidImageTag", f"Invalid request parameters: image tag should satisfy the regex '{TAG.pattern}'")
    held = reader.get(IMAGE_TAGS, tag_key(repository, tag)) if tag else None
    meant = digest or (held.digest if held else None)
    image = reader.get(IMAGES, image_key(repository, meant)) if meant else None
    if image is None or (tag and held is None):
        raise Unfound("ImageNotFound", "Requested image not found")
    if held is not None and held.digest != image.digest:
        raise Unfound("ImageTagDoesNotMatchDigest", "Requested image tag does not match the requested image digest")
    return image


def find_pullable(reader: Reader, repository: str, digest: str | None, tag: str | None) -> Image:
    """As find_image, but an archived image is as good as none. Raises Unfound."""
    image = find_image(reader, repository, digest, tag)
    if image.archived:
        raise Unfound("ImageNotFound", "Requested image not found")
    return image


def tags_of(reader: Reader, image: Image) -> list[str]:
    """Sorted."""
    return [tag.tag for tag in reader.list(IMAGE_TAGS, "image", image_key(image.repository, image.digest))]


def indexes_naming(reader: Reader, repository: str, digest: str) -> list[str]:
    """Digests of the manifest lists in `repository` that consist of this image among others.

    What one manifest names is all manifests or all layers, so the first tells; thousands may name it, and each of them thousands.
    """
    return [image.digest for image in reader.list(IMAGES, "references", image_key(repository, digest)) if image.references[0].is_manifest]


def delete_image(tx: Tx, image: Image, now: float, more: Mapping[str, Any] | None = None, *, carried: bool = False) -> list[str]:
    """The image with all its tags, which are returned, and all that is kept about it. Raises Unfound while a manifest list names it.

    `more` are further members of the event that tells of it; `carried`: it was deleted elsewhere first, and is deleted nowhere else.
    """
    lists = indexes_naming(tx, image.repository, image.digest)
    if lists:
        told = ", ".join((*lists[:_MOST_TOLD], *(["..."] if len(lists) > _MOST_TOLD else [])))
        raise Unfound("ImageReferencedByManifestList", f"Requested image referenced by manifest list: [{told}]")
    tags = tags_of(tx, image)
    key = image_key(image.repository, image.digest)
    for kind in OF_IMAGE:
        for held in tx.list(kind, "image", key):
            tx.delete(kind, kind.key(held))
    tx.delete(IMAGES, key)
    repository = tx.get(REPOSITORIES, image.repository)
    if repository is not None:
        image_action(tx, repository, "DELETE", image.digest, tags[0] if tags else "", now, more)
        if not carried:
            want_withdrawal(tx, repository, image.digest, "", now)
    return tags


def delete_tag(tx: Tx, image: Image, tag: str, now: float, *, carried: bool = False) -> None:
    """One tag of `image`, which stays. `carried` as in `delete_image`."""
    key = tag_key(image.repository, tag)
    tx.delete(IMAGE_TAGS, key)
    tx.delete(CACHED_TAGS, key)
    repository = tx.get(REPOSITORIES, image.repository)
    if repository is not None and not carried:
        want_withdrawal(tx, repository, image.digest, tag, now)


def delete_repository(tx: Tx, repository: Repository) -> None:
    """With everything in it; the bytes are freed by garbage collection where no other repository shows them."""
    for kind in OF_REPOSITORY:
        for held in tx.list(kind, "repository", repository.key):
            tx.delete(kind, kind.key(held))
    tx.delete(REPOSITORIES, repository.key)


def record_blob(tx: Tx, repository_id: RepositoryId, digest: str, size: int, now: float) -> RepositoryBlob:
    """A layer or config whose bytes are stored is readable in the repository from here on. Raises RepositoryNotFoundException."""
    repository = find_repository(tx, repository_id)
    return tx.put(REPOSITORY_BLOBS, RepositoryBlob(repository=repository.key, digest=digest, size=size, uploaded_at=now))


def keep_blob(tx: Tx, held: RepositoryBlob, now: float) -> RepositoryBlob | None:
    """A client was told that the layer is there and may leave it out of a push: it is as young as if it had been uploaded now.

    That it belongs to an image does not make up for it: the image may be deleted before the push is done. None when it is gone.
    """
    current = tx.get(REPOSITORY_BLOBS, REPOSITORY_BLOBS.key(held))
    return None if current is None else tx.put(REPOSITORY_BLOBS, msgspec.structs.replace(current, uploaded_at=now))


def mount_blob(tx: Tx, repository_id: RepositoryId, digest: str, sources: Iterable[str], now: float) -> RepositoryBlob | None:
    """Show in the repository what one of `sources` (repository keys) shows; None when none of them does.

    The source is looked at in the same transaction, so the bytes cannot have been collected meanwhile.
    """
    for source in sources:
        held = tx.get(REPOSITORY_BLOBS, image_key(source, digest))
        if held is not None:
            return record_blob(tx, repository_id, digest, held.size, now)
    return None


def record_pulls(tx: Tx, images: Iterable[Image], now: float) -> None:
    for image in images:
        held = tx.get(IMAGES, image_key(image.repository, image.digest))
        if held is not None and is_pull_news(held, now):
            tx.put(IMAGES, msgspec.structs.replace(held, last_pulled_at=now))


def is_pull_news(image: Image, now: float) -> bool:
    """Also where the last one is yet to come: the clock was set back."""
    return image.last_pulled_at is None or not 0 <= now - image.last_pulled_at < PULLS_NOTED_EVERY_S
