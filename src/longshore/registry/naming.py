"""Who names a blob: the one question that garbage collection, accounting and verification all ask of the store.

Nothing counts references. The store's indexes are derived from what is kept, so they cannot disagree with it; a blob is in use
if a repository shows it, an image consists of it, or it is the report of an image's scan, in the set of blobs that this
repository reads from: the plain one, or the one of its data key.
"""

from __future__ import annotations

import logging
from typing import Any

from longshore.kit.resource import Kind
from longshore.services.ecr.content import content_of
from longshore.services.ecr.model import IMAGES, REPOSITORIES, REPOSITORY_BLOBS, Repository, image_key
from longshore.services.ecr.scanning.model import IMAGE_SCAN_REPORTS
from longshore.store.base import Reader
from longshore.store.blobs import BlobBroken, BlobStore

log = logging.getLogger("longshore.registry")

#: the set of the plain blobs, where a data key's id names a set
PLAIN = ""
_PAGE = 64


def set_of(repository: Repository) -> str:
    """The id of its data key, or PLAIN."""
    return repository.data_key.id if repository.data_key else PLAIN


def owner_of(reader: Reader, key_id: str) -> Repository | None:
    """The repository whose data key that is; None once it is deleted."""
    found = reader.list(REPOSITORIES, "data_key", key_id, limit=1)
    return found[0] if found else None


def blobs_of(reader: Reader, depot: BlobStore, key_id: str) -> BlobStore | None:
    """The set of blobs by its name; None when nobody can read it any more, or this installation cannot."""
    if key_id == PLAIN:
        return depot
    repository = owner_of(reader, key_id)
    try:
        return None if repository is None else content_of(depot, repository)
    except BlobBroken as broken:
        log.error("%s: %s", repository.key if repository else key_id, broken)
        return None


def is_named(reader: Reader, key_id: str, digest: str) -> bool:
    if key_id == PLAIN:
        return _is_named_in_plain(reader, digest)
    repository = owner_of(reader, key_id)
    if repository is None:
        return False
    key = image_key(repository.key, digest)
    return (
        reader.get(REPOSITORY_BLOBS, key) is not None
        or reader.get(IMAGES, key) is not None
        or reader.count(IMAGES, "references", key) > 0
        or any(held.repository == repository.key for held in reader.list(IMAGE_SCAN_REPORTS, "blob", digest))
    )


def _is_named_in_plain(reader: Reader, digest: str) -> bool:
    kinds = ((REPOSITORY_BLOBS, "digest"), (IMAGES, "blob"), (IMAGE_SCAN_REPORTS, "blob"))
    return any(_any_reads_plain(reader, kind, index, digest) for kind, index in kinds)


def _any_reads_plain(reader: Reader, kind: Kind[Any], index: str, digest: str) -> bool:
    after = None
    while True:
        # Nearly always the first one decides: only where a blob is in many encrypted repositories does this go on.
        page = reader.list(kind, index, digest, after=after, limit=_PAGE)
        if any(_reads_plain(reader, held.repository) for held in page):
            return True
        if len(page) < _PAGE:
            return False
        after = kind.key(page[-1])


def _reads_plain(reader: Reader, repository: str) -> bool:
    """Whether a repository, by its key, reads plain blobs; yes in case of doubt."""
    found = reader.get(REPOSITORIES, repository)
    return found is None or found.data_key is None


def namers_of(reader: Reader, key_id: str, digest: str, most: int) -> tuple[list[str], list[str]]:
    """For people: keys of repositories that show the blob, and `image_key`s of images that are it or consist of it; `most` of each."""
    repositories = [held.repository for held in reader.list(REPOSITORY_BLOBS, "digest", digest) if _reads(reader, held.repository, key_id)]
    images = [
        image_key(image.repository, image.digest)
        for image in reader.list(IMAGES, "blob", digest)
        if _reads(reader, image.repository, key_id)
    ]
    return sorted({*repositories, *(image.partition("@")[0] for image in images)})[:most], images[:most]


def _reads(reader: Reader, repository: str, key_id: str) -> bool:
    found = reader.get(REPOSITORIES, repository)
    return found is not None and set_of(found) == key_id
