"""Longshore's own routes for what is measured: Prometheus's page, and requests as they come.

    GET /metrics                                        counters of load balancers, and what the platform has   longshore:GetMetrics
    GET /_longshore/load-balancers/tail?arn=ARN         a load balancer's requests, JSON lines, until closed    longshore:TailRequests
    GET /_longshore/load-balancers/metrics?arn=ARN&s=N  its metrics of the last N seconds                       longshore:GetMetrics

Signed like any AWS request (service `longshore`). `/metrics` also takes HTTP Basic with an access key (its id, its secret key), which
is what Prometheus can do; over plain HTTP that key can be read on its way, so it should be one of a user who may do nothing else.

The page shows every account's load balancers: it is for the installation's account alone. The other two are for the load balancer's
own account, and the action is asked about its ARN.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
from contextlib import aclosing

import msgspec
from aiohttp import web

from longshore.aws.errors import AwsError, Validation
from longshore.balancer.access_log.tail import watched
from longshore.balancer.metrics.calculate import NAMESPACES, id_of
from longshore.balancer.metrics.collector import Collector
from longshore.balancer.metrics.prometheus import CONTENT_TYPE, Page, counted, load_balancers
from longshore.balancer.render.places import Places
from longshore.gateway.admission import admit
from longshore.gateway.answer import Answer
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.gateway.request import ApiRequest
from longshore.kit.clock import Clock
from longshore.services.call import Principal, Site
from longshore.services.ecs.model import CONTAINER_INSTANCES, TASKS
from longshore.services.elbv2.model import LOAD_BALANCERS, LoadBalancer, scope_of
from longshore.store.base import Store, StoreUnavailable
from longshore.store.metrics import MetricStore, Query

PAGE = "/metrics"
PREFIX = "/_longshore/load-balancers/"
_LONGEST_S = 15 * 86_400
_MOST_WATCHING = 16
_ALIVE_S = 5.0
_NO_KEY = (("WWW-Authenticate", 'Basic realm="Longshore", charset="UTF-8"'),)


class NotAuthenticated(AwsError):
    """A signature or an access key is needed."""

    status = 401


class LoadBalancerNotFound(AwsError):
    """There is no such load balancer."""

    status = 404


class Told(msgspec.Struct, frozen=True, rename="camel"):
    """One series over the time that was asked for."""

    metric: str
    unit: str
    dimensions: dict[str, str]
    samples: float
    sum: float
    minimum: float
    maximum: float
    #: None where nothing is known of how samples are distributed
    p50: float | None = None
    p99: float | None = None


class Measuring:
    def __init__(
        self,
        *,
        store: Store,
        metrics: MetricStore,
        collector: Collector,
        places: Places,
        identities: Identities,
        access: Access,
        clock: Clock,
        site: Site,
    ) -> None:
        self._store = store
        self._metrics = metrics
        self._collector = collector
        self._places = places
        self._identities = identities
        self._access = access
        self._clock = clock
        self._site = site
        self._watching: set[asyncio.Task[object]] = set()

    @property
    def watching(self) -> int:
        return len(self._watching)

    async def close(self) -> None:
        """Nobody watches any more: the server stops."""
        for task in list(self._watching):
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path not in (PAGE, f"{PREFIX}tail", f"{PREFIX}metrics"):
            return _json(404, {"error": "NotFound", "message": f"There are {PAGE}, {PREFIX}tail and {PREFIX}metrics."})
        if request.method != "GET":
            return _json(405, {"error": "MethodNotAllowed"})
        try:
            principal, region = self._who(request)
            if request.path == PAGE:
                admit(self._access, request, principal, region, "longshore:GetMetrics", account_id=self._site.account_id)
                return Answer(200, await self._page(), CONTENT_TYPE)
            lb = self._load_balancer(request, principal)
            action = "longshore:TailRequests" if request.path == f"{PREFIX}tail" else "longshore:GetMetrics"
            owner = scope_of(lb.arn).partition(":")[2]
            admit(self._access, request, principal, region, action, account_id=owner, resource=lb.arn)
            return await (self._tail(request, lb) if request.path == f"{PREFIX}tail" else self._series(request, lb))
        except NotAuthenticated as error:
            return Answer(401, error.message.encode(), "text/plain; charset=utf-8", _NO_KEY)
        except AwsError as error:
            code, status = error.wire("json")
            return _json(status, {"error": code, "message": error.message})
        except StoreUnavailable as error:
            return _json(503, {"error": "ServiceUnavailable", "message": f"Metrics cannot be read at present: {error}"})

    def _who(self, request: web.BaseRequest) -> tuple[Principal, str]:
        """(who asks, in which region). Raises NotAuthenticated, and what a bad signature raises."""
        header = request.headers.get("Authorization", "")
        if request.path == PAGE and header[:6].lower() == "basic ":
            return self._of_key(header[6:]), self._site.region
        if request.path == PAGE and not header and "X-Amz-Signature" not in request.rel_url.query:
            raise NotAuthenticated
        # The signature says that there is no body: one that comes all the same is none of its.
        identified = self._identities.identify(ApiRequest.of(request, b""))
        return identified.principal, identified.region

    def _of_key(self, text: str) -> Principal:
        try:
            id, _, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise NotAuthenticated from None
        found = self._identities.credentials(id)
        if found is None or not hmac.compare_digest(found.secret.secret_access_key.encode(), secret.encode()):
            raise NotAuthenticated("This access key is not known, or its secret key is another.")
        return found.principal

    def _load_balancer(self, request: web.BaseRequest, principal: Principal) -> LoadBalancer:
        arn = request.rel_url.query.get("arn", "")
        found = self._store.get(LOAD_BALANCERS, arn)
        if found is None or scope_of(found.arn).partition(":")[2] != principal.account_id:
            raise LoadBalancerNotFound(f"Load balancer '{arn[:200]}' not found")
        return found

    async def _page(self) -> bytes:
        collector, page = self._collector, Page()
        load_balancers(page, await collector.look(), collector.totals)
        tasks = (task.status.last_status for task in self._store.list(TASKS))
        counted(page, "longshore_tasks", "Tasks by their last status.", "last_status", tasks)
        instances = ("connected" if one.agent_connected else "disconnected" for one in self._store.list(CONTAINER_INSTANCES))
        counted(page, "longshore_container_instances", "Container instances by whether their agent is there.", "agent", instances)
        page.put("longshore_store_revision", "counter", "Changes of what the store keeps.", self._store.revision)
        return page.text()

    async def _series(self, request: web.BaseRequest, lb: LoadBalancer) -> Answer:
        text = request.rel_url.query.get("s", "3600")
        if not (text.isascii() and text.isdecimal() and len(text) <= 8 and 60 <= int(text) <= _LONGEST_S):
            raise Validation(f"s is a number of seconds from 60 to {_LONGEST_S}.")
        now = self._clock.now()
        dimension = "LoadBalancerName" if lb.type == "classic" else "LoadBalancer"
        query = Query(scope_of(lb.arn), NAMESPACES.get(lb.type, ""), dimensions={dimension: id_of(lb)})
        told: list[Told] = []
        for series in await self._metrics.series(query, limit=1000):
            period_s = _LONGEST_S + 60
            for period in await self._metrics.read(series, now - int(text), now, period_s // 60 * 60):
                one = period.statistics
                told.append(
                    Told(
                        *(series.metric, series.unit, dict(series.dimensions), one.count, one.sum, one.minimum, one.maximum),
                        p50=one.percentile(50),
                        p99=one.percentile(99),
                    )
                )
        return _json(200, {"series": told})

    async def _tail(self, request: web.BaseRequest, lb: LoadBalancer) -> web.StreamResponse:
        """Lines that are empty say that there is somebody still, so that an end is noticed on both sides."""
        if len(self._watching) >= _MOST_WATCHING:
            return _json(429, {"error": "TooManyRequests", "message": f"{_MOST_WATCHING} watch already: end one of them."})
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        has_logs = lb.attributes.get("access_logs.s3.enabled") == "true"
        await response.write(msgspec.json.encode({"loadBalancer": id_of(lb), "accessLogs": has_logs}) + b"\n")
        task = asyncio.ensure_future(self._send(response, lb))
        self._watching.add(task)
        try:
            await task
        except (ConnectionError, asyncio.CancelledError):
            task.cancel()
        finally:
            self._watching.discard(task)
        return response

    async def _send(self, response: web.StreamResponse, lb: LoadBalancer) -> None:
        alive = asyncio.ensure_future(self._say_alive(response))
        try:
            async with aclosing(watched(self._places, lb.arn, self._clock)) as requests:  # type: ignore[type-var]
                async for seen in requests:
                    await response.write(msgspec.json.encode(seen) + b"\n")
        finally:
            alive.cancel()

    async def _say_alive(self, response: web.StreamResponse) -> None:
        while True:
            await self._clock.sleep(_ALIVE_S)
            await response.write(b"\n")


def _json(status: int, body: object) -> Answer:
    return Answer(status, msgspec.json.encode(body), "application/json")
