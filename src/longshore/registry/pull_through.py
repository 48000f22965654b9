"""Repositories that mirror another registry's: before a manifest or layer is served, it is seen to that it is here.

A layer that is not here yet is sent on while it arrives, to everybody who asks for it. What an upstream refuses is told in the
registry's own words; an image whose upstream is in trouble is served as it is, with a warning (RFC 9111 calls it stale).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from longshore.aws.errors import AwsError
from longshore.registry.access import Access, Visit
from longshore.registry.errors import BlobUnknown, Denied, ManifestUnknown, RegistryError, TooManyRequests, Unavailable
from longshore.registry.parts import will_be_streamed
from longshore.registry.routes import Kind
from longshore.services.ecr.names import is_digest, is_tag
from longshore.services.ecr.pull_through.cache import NotPermitted, PullThroughCache, State
from longshore.services.ecr.pull_through.downloads import Download
from longshore.services.ecr.remote.errors import RemoteBusy, RemoteDenied, RemoteError, RemoteNotFound
from longshore.store.base import StoreError

Handler = Callable[[Visit], Awaitable[web.StreamResponse]]

_STALE = '110 - "Response is Stale"'


class PullThrough:
    def __init__(self, *, cache: PullThroughCache, access: Access) -> None:
        self._cache = cache
        self._access = access

    async def around(self, visit: Visit, kind: Kind, handler: Handler) -> web.StreamResponse:
        """What `handler` answers to a GET or HEAD, once what it looks for is here as far as it can be.

        A request that this server itself made of an upstream, and that came back here, is answered with what there is.
        """
        if not self._cache.concerns(visit.repository) or self._cache.asked_for_this(visit.request.headers.get("Via", "")):
            return await handler(visit)
        try:
            if kind is Kind.MANIFEST:
                return await self._manifest(visit, handler)
            if kind is Kind.BLOB:
                return await self._blob(visit, handler)
        except NotPermitted as error:
            raise Denied(str(error)) from error
        except RemoteError as error:
            raise _told(error, kind) from error
        return await handler(visit)

    async def _manifest(self, visit: Visit, handler: Handler) -> web.StreamResponse:
        if not (is_tag(visit.reference) or is_digest(visit.reference)) or self._refusal(visit, "BatchGetImage") is not None:
            return await handler(visit)
        state = await self._cache.ensure_manifest(visit.repository, visit.reference, partial(self._refusal, visit))
        response = await handler(visit)
        if state is State.STALE and not response.prepared:
            response.headers["Warning"] = _STALE
        return response

    async def _blob(self, visit: Visit, handler: Handler) -> web.StreamResponse:
        size = self._cache.missing_blob(visit.repository, visit.reference)
        if size is None or self._refusal(visit, "GetDownloadUrlForLayer") is not None:
            return await handler(visit)
        if visit.request.method == "HEAD":
            return web.Response(headers=_headers(visit.reference) | {"Content-Length": str(size)})
        will_be_streamed(visit.request)
        download = await self._cache.download(visit.repository, visit.reference, size)
        if "Range" in visit.request.headers:
            await download.finished()
            return await handler(visit)
        return await _send(visit, download)

    def _refusal(self, visit: Visit, action: str) -> str | None:
        return self._access.refusal(visit.principal, visit.repository, action, visit.origin)


async def _send(visit: Visit, download: Download) -> web.StreamResponse:
    """Raises RemoteError and BlobStoreFull before anything was sent, ConnectionError after that."""
    with download.reading():
        await download.begun()
        response = web.StreamResponse(headers=_headers(download.digest))
        response.content_length = download.size
        await response.prepare(visit.request)
        try:
            async for piece in download.stream():
                await response.write(piece)
        except (RemoteError, AwsError, StoreError, OSError) as error:
            raise ConnectionAbortedError(str(error)) from error
        await response.write_eof()
    return response


def _headers(digest: str) -> dict[str, str]:
    return {
        "Content-Type": "application/octet-stream",
        "Docker-Content-Digest": digest,
        "Docker-Distribution-Api-Version": "registry/2.0",
        "ETag": f'"{digest}"',
    }


def _told(error: RemoteError, kind: Kind) -> RegistryError:
    match error:
        case RemoteNotFound():
            unknown = BlobUnknown if kind is Kind.BLOB else ManifestUnknown
            return unknown(f"the upstream registry has none: {error}")
        case RemoteDenied():
            return Denied(f"the upstream registry does not let us: {error}")
        case RemoteBusy():
            return TooManyRequests(f"the upstream registry is asked too often: {error}", headers={"Retry-After": "30"})
    return Unavailable(f"unable to get this from the upstream registry: {error}")
