"""Manifests: served exactly as they were pushed, by tag or by digest."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence

from aiohttp import web

from longshore.kit.clock import Clock
from longshore.registry import errors
from longshore.registry.access import Access, Visit
from longshore.registry.body import read_whole
from longshore.registry.creation import repository_for_push
from longshore.services.ecr.content import check_place, content_of
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
)
from longshore.services.ecr.manifests import ManifestInvalid, parse_manifest
from longshore.services.ecr.model import Image, Repository
from longshore.services.ecr.names import LARGEST_MANIFEST, digest_of, is_digest, is_tag
from longshore.services.ecr.settings.rules import leaves_no_trace
from longshore.store.base import Store, StoreUnavailable, Tx
from longshore.store.blobs import BlobStore

log = logging.getLogger("longshore.registry")

_MOST_TAGS_AT_ONCE = 100


class Contents:
    """Manifests read lately. A digest stands for the same bytes for ever, so nothing in here can be out of date.

    What is read is checked against its digest once: bytes that a disk has damaged are as good as missing.
    """

    def __init__(self, most_bytes: int = 32 * 1024 * 1024) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._read: OrderedDict[str, bytes] = OrderedDict()

    async def read(self, blobs: BlobStore, digest: str) -> bytes | None:
        content = self._read.get(digest)
        if content is not None:
            self._read.move_to_end(digest)
            return content
        content = await blobs.read(digest)
        if content is not None and digest_of(content, digest.partition(":")[0]) != digest:
            log.error("the bytes of manifest %s are damaged", digest)
            return None
        if content is not None and digest not in self._read:
            self._read[digest] = content
            self._bytes += len(content)
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._read.popitem(last=False)[1])
        return content


class Manifests:
    """`incomplete_images`: an image may be pushed without all of its layers."""

    def __init__(self, *, store: Store, blobs: BlobStore, clock: Clock, access: Access, incomplete_images: bool) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._access = access
        self._incomplete_images = incomplete_images
        self._contents = Contents()

    async def get(self, visit: Visit) -> web.StreamResponse:
        """GET and HEAD; only the first is noted as a pull."""
        self._access.require(visit, "BatchGetImage")
        repository = find_repository(self._store, visit.repository)
        image = self._find(repository, visit.reference)
        _check_acceptable(visit.request, image)
        headers = {"Content-Type": image.media_type, "Docker-Content-Digest": image.digest, "ETag": f'"{image.digest}"'}
        if f'"{image.digest}"' in visit.request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        content = await self._contents.read(content_of(self._blobs, repository), image.digest)
        if content is None:
            log.error("%s: the bytes of manifest %s are missing", image.repository, image.digest)
            raise errors.ManifestUnknown("the bytes of this manifest are missing: push it again")
        if visit.request.method == "GET":
            await self._note_pull(visit, repository, image)
        return web.Response(body=content, headers=headers)

    async def put(self, visit: Visit) -> web.StreamResponse:
        self._access.require(visit, "PutImage")
        repository = await repository_for_push(self._store, self._access, visit, self._clock.now())
        digest, tags = self._named(visit)
        content = await read_whole(visit.request, LARGEST_MANIFEST, f"a manifest may have at most {LARGEST_MANIFEST} bytes")
        try:
            manifest = parse_manifest(content, _media_type(visit.request))
        except ManifestInvalid as error:
            raise errors.ManifestInvalid(str(error)) from error
        calculated = digest_of(content, digest.partition(":")[0] if digest else "sha256")
        if digest is not None and digest != calculated:
            raise errors.DigestInvalid(f"the manifest is put as {digest}, but its digest is {calculated}")
        size = await content_of(self._blobs, repository).put(content, calculated)
        push = Push(
            manifest=manifest,
            digest=calculated,
            size=size,
            tags=tuple(tags),
            now=self._clock.now(),
            may_lack_images=True,
            may_lack_layers=self._incomplete_images,
        )

        def name(tx: Tx) -> None:
            check_place(tx, repository)
            record_push(tx, visit.repository, push, again_is_error=False)

        await self._store.transact(name)
        response = web.Response(
            status=201, headers={"Location": f"{visit.base}/manifests/{calculated}", "Docker-Content-Digest": calculated}
        )
        if manifest.subject:
            response.headers["OCI-Subject"] = manifest.subject
        if digest is not None:
            for tag in tags:
                response.headers.add("OCI-Tag", tag)
        return response

    async def delete(self, visit: Visit) -> web.StreamResponse:
        """A tag alone, or a digest with all its tags. (BatchDeleteImage takes the image along with its last tag; this does not.)"""
        self._access.require(visit, "BatchDeleteImage")
        repository = find_repository(self._store, visit.repository)
        now = self._clock.now()

        def delete(tx: Tx) -> None:
            image = find_image(tx, repository.key, *_identified(visit.reference))
            if is_digest(visit.reference):
                delete_image(tx, image, now)
            else:
                delete_tag(tx, image, visit.reference, now)

        try:
            await self._store.transact(delete)
        except Unfound as unfound:
            raise _told(unfound) from None
        return web.Response(status=202)

    def _find(self, repository: Repository, reference: str) -> Image:
        try:
            return find_pullable(self._store, repository.key, *_identified(reference))
        except Unfound as unfound:
            raise _told(unfound) from None

    def _named(self, visit: Visit) -> tuple[str | None, Sequence[str]]:
        """The digest and tags under which a manifest is put. Raises DigestInvalid and TagInvalid."""
        query_tags: list[str] = list(dict.fromkeys(visit.request.rel_url.query.getall("tag", [])))
        if ":" in visit.reference:
            if not is_digest(visit.reference):
                raise errors.DigestInvalid(f"{visit.reference[:150]!r} is not a supported digest")
            digest, tags = visit.reference, query_tags
        else:
            digest, tags = None, [visit.reference]
        if len(tags) > _MOST_TAGS_AT_ONCE:
            raise errors.TagInvalid(f"at most {_MOST_TAGS_AT_ONCE} tags can be given at once")
        for tag in tags:
            if not is_tag(tag):
                raise errors.TagInvalid(f"{tag[:150]!r} is not a valid tag")
        return digest, tags

    async def _note_pull(self, visit: Visit, repository: Repository, image: Image) -> None:
        now = self._clock.now()
        if not is_pull_news(image, now) or leaves_no_trace(self._store, repository, visit.principal.arn):
            return
        try:
            await self._store.transact(lambda tx: record_pulls(tx, (image,), now))
        except StoreUnavailable as error:
            # An image can be pulled while the disk is full, though nobody will know when.
            log.warning("%s: the pull of %s is not noted: %s", image.repository, image.digest, error)


def _identified(reference: str) -> tuple[str | None, str | None]:
    """(digest, tag) of which a path names one."""
    return (reference, None) if ":" in reference else (None, reference)


def _told(unfound: Unfound) -> errors.RegistryError:
    if unfound.code == "ImageReferencedByManifestList":
        return errors.Unsupported(unfound.reason)
    return errors.ManifestUnknown()


def _media_type(request: web.BaseRequest) -> str | None:
    return request.headers.get("Content-Type", "").partition(";")[0].strip() or None


def _check_acceptable(request: web.BaseRequest, image: Image) -> None:
    """A manifest is never converted: a client that names the types it reads, and not this one, is told so."""
    accepted = [each.partition(";")[0].strip() for line in request.headers.getall("Accept", []) for each in line.split(",")]
    if accepted and not {image.media_type, "*/*", "application/*"} & set(accepted):
        raise errors.ManifestUnknown(f"the image has a manifest of type {image.media_type}, which the Accept header does not name")
