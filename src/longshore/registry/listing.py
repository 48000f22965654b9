"""Lists: tags of a repository, repositories of a registry, and what refers to an image."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from longshore.aws.pagination import page
from longshore.registry.access import Access, Visit, origin_of
from longshore.registry.errors import DigestInvalid, PageInvalid
from longshore.services.call import Principal
from longshore.services.ecr.images import find_repository
from longshore.services.ecr.manifests import MOST_ANNOTATIONS, OCI_INDEX, size_of_annotations
from longshore.services.ecr.model import IMAGE_TAGS, IMAGES, REPOSITORIES, Image, ImageTag, image_key, repository_key, tag_key
from longshore.services.ecr.names import is_digest
from longshore.store.base import Store

T = TypeVar("T")

#: entries on a page when the client does not say, and the most it may ask for
_PAGE, _MOST = 1000, 10_000


class _Tags(msgspec.Struct, frozen=True):
    name: str
    tags: list[str]


class _Catalog(msgspec.Struct, frozen=True):
    repositories: list[str]


class _Descriptor(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    media_type: str
    digest: str
    size: int
    artifact_type: str = ""
    annotations: dict[str, str] = {}


class _Index(msgspec.Struct, frozen=True, rename="camel"):
    manifests: list[_Descriptor]
    media_type: str = OCI_INDEX
    schema_version: int = 2


class Listing:
    def __init__(self, *, store: Store, access: Access) -> None:
        self._store = store
        self._access = access

    async def prepare(self) -> None:
        """Put in order what is listed, rather than when somebody asks for the first page of a hundred thousand."""
        for kind, index in ((REPOSITORIES, "scope"), (IMAGE_TAGS, "repository"), (IMAGES, "subject")):
            self._store.count(kind, index, "")
            await asyncio.sleep(0)

    async def tags(self, visit: Visit) -> web.StreamResponse:
        self._access.require(visit, "ListImages")
        repository = find_repository(self._store, visit.repository)
        limit, last = _asked(visit.request)
        held, more = _page(
            lambda after, limit: self._store.list(IMAGE_TAGS, "repository", repository.key, after=after, limit=limit),
            IMAGE_TAGS.key,
            after=tag_key(repository.key, last) if last else None,
            limit=limit,
            keep=self._can_be_pulled,
        )
        names = [each.tag for each in held]
        link = _link(f"{visit.base}/tags/list", {"n": str(limit), "last": names[-1]}) if more else {}
        return _json(_Tags(visit.name, names), link)

    async def catalog(self, request: web.BaseRequest, principal: Principal) -> web.StreamResponse:
        account_id, region = self._access.registry(request.host)
        self._access.require_catalog(principal, account_id, region, origin_of(request))
        limit, last = _asked(request)
        held = self._store.list(
            REPOSITORIES,
            "scope",
            f"{region}:{account_id}",
            after=repository_key(region, account_id, last) if last else None,
            limit=limit + 1,
        )
        names = [each.name for each in held[:limit]]
        link = _link("/v2/_catalog", {"n": str(limit), "last": names[-1]}) if names and len(held) > limit else {}
        return _json(_Catalog(names), link)

    async def referrers(self, visit: Visit) -> web.StreamResponse:
        """An index of the manifests whose subject is this digest; an empty one where there are none, known or not."""
        self._access.require(visit, "ListImageReferrers", "BatchGetImage")
        if not is_digest(visit.reference):
            raise DigestInvalid(f"{visit.reference[:150]!r} is not a supported digest")
        repository = find_repository(self._store, visit.repository)
        query = visit.request.rel_url.query
        wanted = query.get("artifactType")
        limit, last = _asked(visit.request)
        subject = image_key(repository.key, visit.reference)
        found, more = _page(
            lambda after, limit: self._store.list(IMAGES, "subject", subject, after=after, limit=limit),
            lambda image: image_key(image.repository, image.digest),
            after=image_key(repository.key, last) if last else None,
            limit=limit,
            keep=lambda image: not image.archived and wanted in (None, image.artifact_media_type),
            size=size_of_annotations,
        )
        headers = {"Content-Type": OCI_INDEX}
        if wanted is not None:
            headers["OCI-Filters-Applied"] = "artifactType"
        if more:
            asked = {"n": str(limit), "last": found[-1].digest} | ({"artifactType": wanted} if wanted is not None else {})
            headers |= _link(f"{visit.base}/referrers/{visit.reference}", asked)
        return _json(_Index([_descriptor(image) for image in found]), headers)

    def _can_be_pulled(self, tag: ImageTag) -> bool:
        image = self._store.get(IMAGES, image_key(tag.repository, tag.digest))
        return image is not None and not image.archived


def _page(
    read: Callable[[str | None, int], list[T]],
    key: Callable[[T], str],
    *,
    after: str | None,
    limit: int,
    keep: Callable[[T], bool],
    size: Callable[[T], int] | None = None,
) -> tuple[list[T], str | None]:
    """As `page`; nothing, and nothing to go on with, where nothing is asked for."""
    return page(read, key, after=after, limit=limit, keep=keep, size=size, most_size=MOST_ANNOTATIONS) if limit else ([], None)


def _descriptor(image: Image) -> _Descriptor:
    return _Descriptor(
        media_type=image.media_type,
        digest=image.digest,
        size=image.manifest_size,
        artifact_type=image.artifact_media_type,
        annotations=image.annotations,
    )


def _asked(request: web.BaseRequest) -> tuple[int, str | None]:
    """How many entries, and after which. Raises PageInvalid."""
    query = request.rel_url.query
    number = query.get("n")
    if number is None:
        return _PAGE, query.get("last")
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise PageInvalid(f"invalid number of results requested: {number[:40]!r}")
    return min(int(number), _MOST), query.get("last")


def _link(path: str, query: Mapping[str, str]) -> dict[str, str]:
    return {"Link": f'<{path}?{urlencode(query)}>; rel="next"'}


def _json(body: msgspec.Struct, headers: Mapping[str, str]) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), headers={"Content-Type": "application/json", **headers})
