"""The gateway: one port for every AWS API, the registry and the agents' sockets.

The way of an API request is one flat list of steps, each its own module:
recognise → identify → parse → authorise → operate → render. Identity comes first in time (an unsigned request learns
nothing, not even whether an operation exists, but for the few that know by other means who asks: unsigned.py); what it asks for is
told from headers and body without parsing either.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web

from longshore.audit.log import AuditLog
from longshore.aws.errors import (
    AwsError,
    InternalFailure,
    RequestTooLarge,
    ServiceUnavailable,
    SignatureDoesNotMatch,
    Throttling,
    UnknownOperation,
)
from longshore.aws.protocol import ec2, json, query
from longshore.aws.protocol.model import Model
from longshore.gateway.answer import Answer
from longshore.gateway.attempt import Attempt, Limiter, Unlimited, Unwatched, Watcher
from longshore.gateway.auditing.entries import Entries
from longshore.gateway.authorise import Access
from longshore.gateway.catalogue import Served, served
from longshore.gateway.failures import Failures, Uncounted
from longshore.gateway.identify import Identified, Identities
from longshore.gateway.limits import retry_headers
from longshore.gateway.recognise import protocol_of, recognise
from longshore.gateway.request import ApiRequest, Reply, most_body, read_body
from longshore.gateway.unsigned import asked_unsigned, nobody
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.sealing import Keys
from longshore.services.call import Call, Site
from longshore.services.ecr.pull_through.cache import PullThroughCache
from longshore.services.ecs.outlook.counts import Counter as TrafficCounter
from longshore.services.ecs.outlook.seen import Scheduler
from longshore.services.ecs.utilisation import Utilisation
from longshore.services.iam.identities import KeyUses, used_identity, used_key
from longshore.services.sts.reach import check_reach
from longshore.services.sts.web_identity.issuers import Issuers
from longshore.store.archive import Archive, MemoryArchive
from longshore.store.base import Store, StoreUnavailable
from longshore.store.blobs import BlobStore
from longshore.store.event_log import EventLog

log = logging.getLogger("longshore.gateway")

_PROTOCOLS: dict[str, Any] = {"json": json, "query": query, "ec2": ec2}
#: for errors before an API is known
_NO_MODEL = Model(api="", service_id="", protocols=("query",), api_version="", signing_name="", endpoint_prefix="")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Gateway:
    """`mounts` are handlers for whole path prefixes (`/v2/`, `/acs/`, `/_longshore/`), looked at before any API."""

    def __init__(
        self,
        *,
        store: Store,
        blobs: BlobStore,
        clock: Clock,
        ids: Ids,
        site: Site,
        identities: Identities,
        access: Access,
        signing_secret: Keys,
        mounts: dict[str, Handler] | None = None,
        pull_through: PullThroughCache | None = None,
        archive: Archive | None = None,
        events: EventLog | None = None,
        utilisation: Utilisation | None = None,
        scheduler: Scheduler | None = None,
        traffic: TrafficCounter | None = None,
        audit: AuditLog | None = None,
        watcher: Watcher | None = None,
        entries: Entries | None = None,
        limiter: Limiter | None = None,
        failures: Failures | None = None,
        issuers: Issuers | None = None,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._ids = ids
        self._site = site
        self._identities = identities
        self._access = access
        self._uses = KeyUses(store)
        self._signing_secret = signing_secret
        self._mounts = dict(mounts or {})
        self._pull_through = pull_through
        self._archive = archive or MemoryArchive()
        self._events = events
        self._utilisation = utilisation or Utilisation()
        self._scheduler = scheduler
        self._traffic = traffic
        self._audit = audit
        self._entries = entries
        self._watcher = watcher or Unwatched()
        self._limiter = Unlimited() if limiter is None else limiter
        self._failures = Uncounted(clock) if failures is None else failures
        self._issuers = issuers
        self._draining = False

    def mount(self, prefix: str, handler: Handler) -> None:
        self._mounts[prefix] = handler

    def _is_key(self, credential: str) -> bool:
        return self._identities.owner(credential) is not None

    def drain(self) -> None:
        """From now on every answer closes its connection."""
        self._draining = True

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """What aiohttp's server calls for each request that is not read by the fast lane."""
        path = request.path
        if path != "/":
            for prefix, handler in self._mounts.items():
                if path.startswith(prefix) or path == prefix.rstrip("/"):
                    return await self._failures.answer(
                        request, partial(self._entries.answer, handler=handler) if self._entries else handler
                    )
        try:
            body = await read_body(request, most_body(request.headers, self._is_key))
        except AwsError as error:
            headers = {name.lower(): value for name, value in request.headers.items()}
            return Answer.of(self._error(_PROTOCOLS[protocol_of(headers)], _NO_MODEL, error, self._ids.uuid()))
        except (TimeoutError, ConnectionError, web.RequestPayloadError):
            # There is nobody to tell. It is nothing for the log, either: whoever can connect can do it thousands of times.
            response = web.Response(status=HTTPStatus.REQUEST_TIMEOUT)
            response.force_close()
            return response
        return Answer.of(await self.answer(ApiRequest.of(request, body)))

    async def answer(self, request: ApiRequest) -> Reply:
        """One API request, from its bytes to those of its reply."""
        attempt = Attempt(request, self._ids.uuid())
        codec, model, body, content_type = _PROTOCOLS[protocol_of(request.headers)], _NO_MODEL, b"", ""
        try:
            recognised = asked_unsigned(request)
            if recognised is None:
                identified = attempt.identified = self._identities.identify(request)
                recognised = recognise(request.headers, request.query, request.body, identified.service)
            attempt.operation_name = recognised.operation
            api = attempt.api = served(recognised.api)
            model = api.model
            if attempt.identified is None:
                identified = nobody(request, self._site.region, model.signing_name)
            check_service(identified.service, model.signing_name)
            codec = _PROTOCOLS["ec2" if model.protocol == "ec2" else recognised.protocol]
            body, content_type = await self._operate(attempt, api, codec, identified)
        except AwsError as error:
            attempt.error = error
        except StoreUnavailable as error:
            attempt.error = _unavailable(attempt, error)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception:  # the boundary: whatever it was becomes a 500 that names the request, and a line in the log
            asked = request.headers.get("x-amz-target", request.path)
            log.exception("%s: %s %s failed", attempt.request_id, request.method, asked)
            attempt.error = InternalFailure()
        try:
            self._watcher.note(attempt)
        except StoreUnavailable as error:
            attempt.error = _unavailable(attempt, error)
        if attempt.error is not None:
            if attempt.identified is None:
                await self._failures.hold(request.remote)
            return self._error(codec, model, attempt.error, attempt.request_id)
        return Reply(200, body, content_type, (("x-amzn-RequestId", attempt.request_id),), close=self._draining)

    async def _operate(self, attempt: Attempt, api: Served, codec: Any, identified: Identified) -> tuple[bytes, str]:
        request, name = attempt.request, attempt.operation_name
        self._limiter.admit(identified.principal, api.model.api, name)
        check_reach(identified.principal, api.model.api, name)
        operation = attempt.operation = api.operations.get(name)
        if operation is None:
            raise UnknownOperation(_unserved(api, name))
        shape = api.shapes[name]
        parsed = attempt.parsed = codec.parse(api.model, shape, request.body or request.query.encode())
        call = Call(
            store=self._store,
            blobs=self._blobs,
            clock=self._clock,
            ids=self._ids,
            site=self._site,
            principal=identified.principal,
            account_id=identified.principal.account_id,
            region=self._site.region if api.model.global_endpoint else identified.region,
            request_id=attempt.request_id,
            source_ip=request.remote,
            base_url=request.base_url,
            secret_for_signing=self._signing_secret,
            pull_through=self._pull_through,
            archive=self._archive,
            events=self._events,
            audit=self._audit,
            utilisation=self._utilisation,
            scheduler=self._scheduler,
            traffic=self._traffic,
            issuers=self._issuers,
            deciding=self._access,
            recorder=self._access.recorder,
        )
        if operation.identify is not None:
            call = await operation.identify(call, parsed)
            identified = attempt.identified = Identified(call.principal, identified.region, identified.service)
        attempt.call = call
        agent = request.headers.get("user-agent", "")
        attempt.resources = self._access.authorise(operation, call, parsed, secure=request.secure, user_agent=agent)
        await self._note_use(identified, call.region)
        await self._store.read_barrier()
        response = attempt.response = await operation.handle(call, parsed)
        rendered: tuple[bytes, str] = codec.render(api.model, shape, response, attempt.request_id)
        return rendered

    async def _note_use(self, identified: Identified, region: str) -> None:
        """A use that cannot be written down is no reason to refuse a request that needs no writing."""
        now, principal = self._clock.now(), identified.principal
        used = used_key(principal)
        if used and self._uses.note(used, now, identified.service, region, used_identity(principal)):
            try:
                await self._uses.write(now)
            except StoreUnavailable as error:
                log.warning("when %s was last used could not be written: %s", used, error)

    def _error(self, codec: Any, model: Model, error: AwsError, request_id: str) -> Reply:
        status, body, content_type, headers = codec.render_error(model, error, request_id)
        hints = retry_headers(error.retry_after_s) if isinstance(error, Throttling) else ()
        close = self._draining or isinstance(error, RequestTooLarge)
        return Reply(status, body, content_type, (*headers, *hints, ("x-amzn-RequestId", request_id)), close=close)


def _unavailable(attempt: Attempt, error: StoreUnavailable) -> AwsError:
    log.error("%s: the store cannot be written: %s", attempt.request_id, error)
    return ServiceUnavailable(f"The state of this installation cannot be written: {error}")


def check_service(signed_for: str, signing_name: str) -> None:
    """A signature made for one service opens no other."""
    if signed_for != signing_name:
        raise SignatureDoesNotMatch(f"Credential should be scoped to correct service: '{signing_name}'. ")


def _unserved(api: Served, name: str) -> str:
    if name in api.known:
        return f"The operation {name} of {api.model.service_id} is not served by this installation."
    return f"The action {name[:200]} is not valid for this endpoint."
