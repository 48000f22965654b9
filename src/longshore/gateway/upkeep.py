"""Longshore's own routes for whoever keeps the registry's bytes in order; `longshore registry` is their client.

    GET  /_longshore/registry/usage                      what there is, by the rows and on the disk   longshore:GetRegistryUsage
    POST /_longshore/registry/verify?repository=&rate=   read everything back; JSON lines as it goes  longshore:VerifyRegistry
    POST /_longshore/registry/collect?trash=empty        look for garbage now                         longshore:CollectRegistryGarbage

Signed like any AWS request (service `longshore`). The root user of the installation's account may, and whoever has the action
allowed on `*` in that account: bytes are shared between all accounts, so these are nobody else's affairs.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

import msgspec
from aiohttp import web

from longshore.aws.errors import AwsError, Validation
from longshore.gateway.admission import admit
from longshore.gateway.answer import Answer
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identified, Identities
from longshore.gateway.request import ApiRequest
from longshore.kit.clock import Clock
from longshore.registry.garbage import GarbageCollector
from longshore.registry.usage import usage_of_everything
from longshore.registry.verification import BYTES_PER_S, Verification
from longshore.services.call import Site
from longshore.services.ecr.images import find_repository
from longshore.services.ecr.model import Repository
from longshore.services.ecr.names import RepositoryId, is_repository_name
from longshore.store.base import Store
from longshore.store.blobs import BlobDepot

log = logging.getLogger("longshore.gateway")

PREFIX = "/_longshore/registry/"
_MIB = 1024 * 1024
_FASTEST_MIB_PER_S = 100_000
_ROUTES = {f"{PREFIX}usage": "GET", f"{PREFIX}verify": "POST", f"{PREFIX}collect": "POST"}


class Upkeep:
    def __init__(
        self,
        *,
        store: Store,
        blobs: BlobDepot,
        collector: GarbageCollector,
        identities: Identities,
        access: Access,
        clock: Clock,
        site: Site,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._collector = collector
        self._identities = identities
        self._access = access
        self._clock = clock
        self._site = site
        #: one at a time: two would read everything twice, and take turns at the disk
        self._verifying = asyncio.Lock()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        method = _ROUTES.get(request.path)
        if method is None:
            return _json(404, {"error": "NotFound", "message": f"There are {', '.join(_ROUTES)}."})
        if request.method != method:
            return _json(405, {"error": "MethodNotAllowed"})
        try:
            # The signature says that there is no body: one that comes all the same is none of its.
            identified = self._identities.identify(ApiRequest.of(request, b""))
            match request.path.removeprefix(PREFIX):
                case "usage":
                    self._require(request, identified, "longshore:GetRegistryUsage")
                    return Answer(200, msgspec.json.encode(await usage_of_everything(self._store, self._blobs)), "application/json")
                case "collect":
                    self._require(request, identified, "longshore:CollectRegistryGarbage")
                    collected = await self._collector.collect(empty_trash=_empties_trash(request))
                    return Answer(200, msgspec.json.encode(collected), "application/json")
                case _:
                    self._require(request, identified, "longshore:VerifyRegistry")
                    return await self._verify(request, identified)
        except AwsError as error:
            return _json(error.wire("json")[1], {"error": error.wire("json")[0], "message": error.message})
        except OSError as error:
            log.error("%s: %s", request.path, error)
            return _json(503, {"error": "ServiceUnavailable", "message": f"The registry's files cannot be reached: {error.strerror}"})

    def _require(self, request: web.BaseRequest, identified: Identified, action: str) -> None:
        admit(self._access, request, identified.principal, identified.region, action, account_id=self._site.account_id)

    async def _verify(self, request: web.BaseRequest, identified: Identified) -> web.StreamResponse:
        repository = self._named(request, identified)
        verification = Verification(
            store=self._store, blobs=self._blobs, clock=self._clock, repository=repository, bytes_per_s=_rate(request)
        )
        if self._verifying.locked():
            return _json(409, {"error": "VerificationInProgress", "message": "A verification is running: wait for its end."})
        async with self._verifying:
            response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
            await response.prepare(request)
            try:
                async with aclosing(verification.lines()) as lines:
                    async for line in lines:
                        await response.write(msgspec.json.encode(line) + b"\n")
            except ConnectionError:
                raise  # nobody listens any more
            except OSError as error:
                log.error("verification was cut short: %s", error)
                await response.write(msgspec.json.encode({"event": "failed", "message": f"{error.strerror or error}"}) + b"\n")
            await response.write_eof()
            return response

    def _named(self, request: web.BaseRequest, identified: Identified) -> Repository | None:
        name = request.rel_url.query.get("repository")
        if name is None:
            return None
        if not is_repository_name(name):
            raise Validation(f"{name[:100]!r} is no name of a repository")
        return find_repository(self._store, RepositoryId(identified.region, identified.principal.account_id, name))


def _empties_trash(request: web.BaseRequest) -> bool:
    """Raises Validation."""
    given = request.rel_url.query.get("trash", "keep")
    if given not in ("keep", "empty"):
        raise Validation(f"trash is {given[:20]!r}; it must be keep or empty")
    return given == "empty"


def _rate(request: web.BaseRequest) -> int:
    """Bytes per second. Raises Validation."""
    given = request.rel_url.query.get("rate")
    if given is None:
        return BYTES_PER_S
    if not (given.isascii() and given.isdigit() and len(given) < 7 and 1 <= int(given) <= _FASTEST_MIB_PER_S):
        raise Validation(f"rate is {given[:20]!r}; it must be a whole number of MiB per second from 1 to {_FASTEST_MIB_PER_S}")
    return int(given) * _MIB


def _json(status: int, body: dict[str, object]) -> Answer:
    return Answer(status, msgspec.json.encode(body), "application/json")
