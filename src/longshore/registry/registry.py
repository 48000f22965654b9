"""The registry: everything below /v2/.

Way of a request: route → identify → handler, which authorises, acts and answers. One place turns what went wrong into the
errors of the distribution specification. An answer is handed back before it is sent, so that the gateway's fast lane can send it, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from longshore.aws.errors import AwsError
from longshore.kit.clock import Clock
from longshore.kit.sealing import Keys
from longshore.kit.sending import Senders
from longshore.registry.access import Access, Authorise, Ended, Owner, Visit
from longshore.registry.blobs import Blobs
from longshore.registry.downloads import Downloads
from longshore.registry.errors import RegistryError, Unavailable, Unsupported, rendered, told
from longshore.registry.listing import Listing
from longshore.registry.manifests import Manifests
from longshore.registry.parts import Part
from longshore.registry.pull_through import PullThrough
from longshore.registry.routes import Kind, Route, route
from longshore.registry.uploads import Uploads
from longshore.registry.watching import Asked, Watch
from longshore.services.call import Principal, Site
from longshore.services.ecr.layers.links import PREFIX as LAYERS
from longshore.services.ecr.pull_through.cache import PullThroughCache
from longshore.store.base import Store, StoreUnavailable
from longshore.store.blobs import BlobStore, BlobStoreFull

log = logging.getLogger("longshore.registry")

Handler = Callable[[Visit], Awaitable[web.StreamResponse]]
#: (who, what in ECR's words); raises Throttling where that is too much
Admit = Callable[[Principal, str], None]


class Registry:
    """`handle` answers any request whose path begins with /v2 or /_layers/.

    `secret` is the installation's, which seals tokens, uploads and the URLs of layers.
    """

    def __init__(
        self,
        *,
        store: Store,
        blobs: BlobStore,
        clock: Clock,
        site: Site,
        secret: Keys,
        authorise: Authorise,
        owner: Owner,
        incomplete_images: bool = False,
        cache: PullThroughCache | None = None,
        watch: Watch | None = None,
        ended: Ended = lambda links: False,
        admit: Admit | None = None,
    ) -> None:
        self._store = store
        self._admit = admit
        self._watch = watch
        self.senders = Senders()
        self._access = Access(store=store, site=site, clock=clock, secret=secret, authorise=authorise, owner=owner, ended=ended)
        self._pull_through = PullThrough(cache=cache, access=self._access) if cache is not None else None
        self._listing = Listing(store=store, access=self._access)
        content = Blobs(store=store, blobs=blobs, clock=clock, access=self._access, grace_s=site.collection_grace_s)
        self._downloads = Downloads(store=store, clock=clock, blobs=content, secret=secret)
        manifests = Manifests(store=store, blobs=blobs, clock=clock, access=self._access, incomplete_images=incomplete_images)
        uploads = Uploads(store=store, blobs=blobs, clock=clock, access=self._access, secret=secret)
        self._handlers: Mapping[Kind, Mapping[str, Handler]] = {
            Kind.BLOB: {"GET": content.get, "HEAD": content.head, "DELETE": content.delete},
            Kind.MANIFEST: {"GET": manifests.get, "HEAD": manifests.get, "PUT": manifests.put, "DELETE": manifests.delete},
            Kind.UPLOADS: {"POST": uploads.start},
            Kind.UPLOAD: {"GET": uploads.status, "PATCH": uploads.append, "PUT": uploads.finish, "DELETE": uploads.cancel},
            Kind.TAGS: {"GET": self._listing.tags, "HEAD": self._listing.tags},
            Kind.REFERRERS: {"GET": self._listing.referrers, "HEAD": self._listing.referrers},
        }

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answers over aiohttp's connection."""
        return await self._guarded(request, self._send)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a GET or HEAD, unsent: a web.Response, or a Part whose bytes are to follow. Raises ByTheGeneralWay."""
        return await self._guarded(request, self._answer)

    async def prepare(self) -> None:
        """What would hold up the first who asks for it; once, at the start."""
        await self._listing.prepare()

    async def close(self) -> None:
        """Breaks off what is being sent."""
        await self.senders.close()

    async def _guarded(self, request: web.BaseRequest, answer: Callable[[Asked], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        asked = Asked(request)
        try:
            response = await answer(asked)
        except RegistryError as error:
            response = self._refused(asked, error)
        except AwsError as error:
            response = self._refused(asked, told(error))
        except StoreUnavailable as error:
            log.error("%s %s: the store cannot be written: %s", request.method, request.path, error)
            response = rendered(Unavailable(f"the registry cannot write at present: {error}"))
        except BlobStoreFull as error:
            log.error("%s %s: %s", request.method, request.path, error)
            response = rendered(Unavailable(f"the registry cannot write at present: {error}"))
        except (ConnectionError, TimeoutError, EOFError, web.RequestPayloadError, HttpProcessingError) as error:
            # The client is gone, or sends what is no body: there is nobody to answer. What it had uploaded is kept.
            log.info("%s %s: the connection broke: %s", request.method, request.path, error or type(error).__name__)
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=400)
        except asyncio.CancelledError:
            # aiohttp may notice first that a client is gone, and ends what is being sent to it.
            log.info("%s %s: the connection broke, or the server stops", request.method, request.path)
            raise
        except OSError as error:
            log.error("%s %s: %s", request.method, request.path, error)
            response = rendered(Unavailable("the registry cannot reach its files at present"))
        if not response.prepared:
            response.headers["Docker-Distribution-Api-Version"] = "registry/2.0"
        return response

    def _refused(self, asked: Asked, error: RegistryError) -> web.StreamResponse:
        try:
            self._note(asked, error)
        except StoreUnavailable as problem:
            error = Unavailable(f"the registry cannot write at present: {problem}")
        return rendered(error)

    def _note(self, asked: Asked, error: RegistryError | None = None, answered: Mapping[str, str] | None = None) -> None:
        """Raises StoreUnavailable."""
        if self._watch is not None:
            self._watch(asked, error, answered or {})

    async def _send(self, asked: Asked) -> web.StreamResponse:
        response = await self._answer(asked)
        if isinstance(response, Part):
            await response.send(asked.request, self.senders)
        return response

    async def _answer(self, asked: Asked) -> web.StreamResponse:
        response = await self._found(asked)
        if isinstance(response, Part):
            response.noted = partial(self._note, asked)  # when it is sent, which need not be by whoever asked first
        else:
            self._note(asked, None, response.headers)
        return response

    async def _found(self, asked: Asked) -> web.StreamResponse:
        request = asked.request
        if request.path.startswith(LAYERS):
            return await self._downloads.get(request)
        found = route(request.path)
        asked.kind, asked.reference = found.kind, found.reference
        await self._store.read_barrier()
        given = request.headers.getall("Authorization", [])
        # Of two, nobody knows which one somebody before us has looked at: they are none.
        principal = asked.principal = self._access.identify(given[0] if len(given) == 1 else "", request.scheme, request.host)
        if self._admit is not None:
            self._admit(principal, asked.action)
        if found.kind is Kind.BASE:
            _check_method(request, found, ("GET", "HEAD"))
            return web.Response(body=b"{}", content_type="application/json")
        if found.kind is Kind.CATALOG:
            _check_method(request, found, ("GET", "HEAD"))
            return await self._listing.catalog(request, principal)
        return await self._visit(asked, principal, found)

    async def _visit(self, asked: Asked, principal: Principal, found: Route) -> web.StreamResponse:
        request, handlers = asked.request, self._handlers[found.kind]
        _check_method(request, found, handlers)
        visit = Visit(
            request=request,
            principal=principal,
            repository=self._access.repository(request.host, found.name),
            name=found.name,
            reference=found.reference,
        )
        asked.repository = visit.repository
        if self._pull_through is not None and request.method in ("GET", "HEAD"):
            return await self._pull_through.around(visit, found.kind, handlers[request.method])
        return await handlers[request.method](visit)


def _check_method(request: web.BaseRequest, found: Route, allowed: Mapping[str, Handler] | tuple[str, ...]) -> None:
    if request.method not in allowed:
        raise Unsupported(f"{request.method} is not supported for {found.kind.value}", headers={"Allow": ", ".join(sorted(allowed))})
