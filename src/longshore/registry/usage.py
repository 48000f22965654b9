"""Accounting: what repositories have, by the store's rows, beside what lies on the disk, by a walk through it.

The two are added up independently and have to agree: the bytes of blobs that something names are those that the rows account
for. All else on the disk is shown with what it is: bytes that nothing names (yet, or any more), uploads, trash, quarantine, and
what encryption adds. Numbers are of one moment only where nobody pushes meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from longshore.kit.resource import Kind
from longshore.registry.naming import PLAIN, blobs_of, is_named, set_of
from longshore.services.ecr.model import IMAGES, REPOSITORIES, REPOSITORY_BLOBS, Image, Repository, RepositoryBlob, image_key
from longshore.services.ecr.scanning.model import IMAGE_SCAN_REPORTS, ImageScanReport
from longshore.store.base import Reader, Store
from longshore.store.blobs import BlobDepot, Place

_PAGE = 200
#: blobs looked at between requests
_LOOKS = 100


class RepositoryUsage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    registry_id: str
    region: str
    repository_name: str
    encrypted: bool
    images: int
    layers: int
    #: bytes of its manifests and layers, and of the reports of its images' scans
    logical_bytes: int
    #: those of them that other repositories have, too, and that are on the disk only once
    shared_bytes: int


class Lying(msgspec.Struct, frozen=True, rename="camel"):
    """How much lies in one place of the disk."""

    blobs: int
    bytes: int


class Usage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    repositories: tuple[RepositoryUsage, ...]
    #: what the rows name: each blob once for all that share it
    accounted: Lying
    #: what is on the disk of that; the same, unless something is missing
    stored: Lying
    #: what nothing names: pushed a moment ago, or to be collected
    unnamed: Lying
    uploads: Lying
    trash: Lying
    quarantine: Lying
    #: what was encrypted with keys of deleted repositories; it goes with the next collection
    unreadable: Lying
    #: what encryption adds to the content of stored and unnamed blobs
    overhead_bytes: int
    #: everything together, as it lies in the files
    disk_bytes: int


async def usage_of_everything(store: Store, blobs: BlobDepot) -> Usage:
    repositories: list[RepositoryUsage] = []
    accounted = [0, 0]
    async for repository in _repositories(store):
        shown, counted = await _usage_of(store, repository)
        repositories.append(shown)
        accounted[0] += counted.files
        accounted[1] += counted.bytes
    stored, unnamed, trash, quarantine, unreadable, overhead = [0, 0], [0, 0], [0, 0], [0, 0], [0, 0], 0
    for key_id in (PLAIN, *await blobs.key_ids()):
        some = blobs_of(store, blobs, key_id)
        if some is None:
            _add(unreadable, *await blobs.occupied_by(key_id))
            continue
        looked = 0
        async for blob in some.stored():
            _add(stored if is_named(store, key_id, blob.digest) else unnamed, 1, blob.size)
            overhead += blob.occupied - blob.size
            looked += 1
            if looked % _LOOKS == 0:
                await asyncio.sleep(0)  # requests in between
        async for blob in some.trashed():
            _add(trash, 1, blob.occupied)
        _add(quarantine, *await some.quarantined())
    uploads = await blobs.arriving()
    return Usage(
        repositories=tuple(repositories),
        accounted=Lying(*accounted),
        stored=Lying(*stored),
        unnamed=Lying(*unnamed),
        uploads=Lying(*uploads),
        trash=Lying(*trash),
        quarantine=Lying(*quarantine),
        unreadable=Lying(*unreadable),
        overhead_bytes=overhead,
        disk_bytes=stored[1] + unnamed[1] + overhead + uploads.bytes + trash[1] + quarantine[1] + unreadable[1],
    )


def _add(total: list[int], blobs: int, size: int) -> None:
    total[0] += blobs
    total[1] += size


async def _repositories(store: Store) -> AsyncIterator[Repository]:
    after = None
    while page := store.list(REPOSITORIES, after=after, limit=_PAGE):
        for repository in page:
            yield repository
        after = page[-1].key
        await asyncio.sleep(0)


async def _usage_of(store: Store, repository: Repository) -> tuple[RepositoryUsage, Place]:
    """What the repository has, and what it adds to the account: of blobs that several share, the first one counts them."""
    logical = shared = files = size = 0
    after = None
    while layers := store.list(REPOSITORY_BLOBS, "repository", repository.key, after=after, limit=_PAGE):
        for layer in layers:
            first, others = _sharing(store, repository, layer)
            logical, shared = logical + layer.size, shared + layer.size * others
            files, size = files + first, size + layer.size * first
        after = REPOSITORY_BLOBS.key(layers[-1])
        await asyncio.sleep(0)
    after = None
    while images := store.list(IMAGES, "repository", repository.key, after=after, limit=_PAGE):
        for image in images:
            first, others = _sharing_manifest(store, repository, image)
            logical, shared = logical + image.manifest_size, shared + image.manifest_size * others
            files, size = files + first, size + image.manifest_size * first
        after = IMAGES.key(images[-1])
        await asyncio.sleep(0)
    after = None
    while reports := store.list(IMAGE_SCAN_REPORTS, "repository", repository.key, after=after, limit=_PAGE):
        for report in reports:
            counts = _counts_report(store, repository, report)
            logical += report.size
            files, size = files + counts, size + report.size * counts
        after = IMAGE_SCAN_REPORTS.key(reports[-1])
        await asyncio.sleep(0)
    usage = RepositoryUsage(
        registry_id=repository.account_id,
        region=repository.region,
        repository_name=repository.name,
        encrypted=repository.data_key is not None,
        images=store.count(IMAGES, "repository", repository.key),
        layers=store.count(REPOSITORY_BLOBS, "repository", repository.key),
        logical_bytes=logical,
        shared_bytes=shared,
    )
    return usage, Place(files, size)


def _sharing(reader: Reader, repository: Repository, layer: RepositoryBlob) -> tuple[bool, bool]:
    """Whether this repository is the first that shows the layer's bytes, and whether there are others."""
    if repository.data_key is not None:
        return True, False
    holders = _plain_holders(reader, REPOSITORY_BLOBS, "digest", layer.digest)
    return holders[:1] == [layer.repository], len(holders) > 1


def _sharing_manifest(reader: Reader, repository: Repository, image: Image) -> tuple[bool, bool]:
    """Likewise for a manifest, whose bytes may have been uploaded as a layer besides."""
    if repository.data_key is not None:
        return reader.get(REPOSITORY_BLOBS, image_key(repository.key, image.digest)) is None, False
    holders = _plain_holders(reader, IMAGES, "blob", image.digest)
    as_layer = _plain_holders(reader, REPOSITORY_BLOBS, "digest", image.digest)
    return not as_layer and holders[:1] == [image.repository], len({*holders, *as_layer}) > 1


def _counts_report(reader: Reader, repository: Repository, report: ImageScanReport) -> bool:
    """Whether this report of a scan is the first to name its bytes: scans of like images have the same."""
    digest = report.content
    if _sharing_digest(reader, repository, digest):
        return False
    for other in reader.list(IMAGE_SCAN_REPORTS, "blob", digest):
        read_by = reader.get(REPOSITORIES, other.repository)
        if read_by is not None and set_of(read_by) == set_of(repository):
            return IMAGE_SCAN_REPORTS.key(other) == IMAGE_SCAN_REPORTS.key(report)
    return False


def _sharing_digest(reader: Reader, repository: Repository, digest: str) -> bool:
    """Whether a layer or a manifest has the very bytes that lie there for a report."""
    if repository.data_key is not None:
        key = image_key(repository.key, digest)
        return reader.get(REPOSITORY_BLOBS, key) is not None or reader.get(IMAGES, key) is not None
    return bool(_plain_holders(reader, REPOSITORY_BLOBS, "digest", digest) or _plain_holders(reader, IMAGES, "blob", digest))


def _plain_holders(reader: Reader, kind: Kind[Any], index: str, digest: str) -> list[str]:
    """Keys of the first two repositories that have the blob in plain: as a layer, or as a manifest of their own."""
    found: list[str] = []
    after = None
    while page := reader.list(kind, index, digest, after=after, limit=16):
        for held in page:
            repository = reader.get(REPOSITORIES, held.repository) if held.digest == digest else None
            if repository is not None and repository.data_key is None:
                found.append(held.repository)
        if len(found) > 1:
            break
        after = kind.key(page[-1])
    return found[:2]
