"""Layers by URL: what GetDownloadUrlForLayer hands out. The signature in the URL is all that is asked for."""

from __future__ import annotations

from aiohttp import web

from longshore.kit.clock import Clock
from longshore.kit.sealing import Keys
from longshore.registry.blobs import Blobs
from longshore.registry.errors import BlobUnknown, Denied, Unsupported
from longshore.services.ecr.layers.links import LinkExpired, LinkInvalid, opened
from longshore.services.ecr.model import IMAGES, REPOSITORIES, image_key
from longshore.store.base import Store


class Downloads:
    """`secret` is the installation's, which the URLs are signed with."""

    def __init__(self, *, store: Store, clock: Clock, blobs: Blobs, secret: Keys) -> None:
        self._store = store
        self._clock = clock
        self._blobs = blobs
        self._secret = secret

    async def get(self, request: web.BaseRequest) -> web.StreamResponse:
        """GET and HEAD, with Range."""
        if request.method not in ("GET", "HEAD"):
            raise Unsupported(f"{request.method} is not supported for a layer's URL", headers={"Allow": "GET, HEAD"})
        query = request.rel_url.query
        expires, signature = (query.getall(name, []) for name in ("expires", "signature"))
        if len(expires) != 1 or len(signature) != 1:
            raise Denied("the URL is not signed")
        try:
            link = opened(self._secret, request.path, expires[0], signature[0], self._clock.now())
        except LinkExpired:
            raise Denied("Request has expired") from None
        except LinkInvalid:
            raise Denied("the signature of the URL does not match it") from None
        await self._store.read_barrier()
        repository = self._store.get(REPOSITORIES, link.repository.key)
        # As when the URL was asked for: a layer that no image has any more is on its way out.
        if repository is None or not self._store.count(IMAGES, "references", image_key(repository.key, link.digest)):
            raise BlobUnknown
        return await self._blobs.send(request, repository, link.digest)
