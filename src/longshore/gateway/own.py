"""Longshore's own routes beside the AWS APIs: health for everybody, reset for the root user in --dev mode."""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec
from aiohttp import web
from msgspec.structs import replace

from longshore import __version__
from longshore.aws.errors import AwsError
from longshore.gateway.agents.sessions import AgentSessions
from longshore.gateway.answer import Answer
from longshore.gateway.identify import Identities
from longshore.gateway.request import ApiRequest
from longshore.kit.clock import Clock
from longshore.services.call import Site
from longshore.services.ecs.model import CLUSTERS, CONTAINER_INSTANCES, TASKS, Cluster, ContainerInstance
from longshore.store.archive import Archive
from longshore.store.base import Store, Tx
from longshore.store.blobs import BlobStore
from longshore.store.event_log import EventLog
from longshore.store.metrics import MetricStore

log = logging.getLogger("longshore.gateway")


class OwnRoutes:
    def __init__(
        self,
        store: Store,
        blobs: BlobStore,
        sessions: AgentSessions,
        identities: Identities,
        clock: Clock,
        site: Site,
        found: Callable[[Tx, float], None],
        archive: Archive,
        events: EventLog,
        metrics: MetricStore | None = None,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._sessions = sessions
        self._identities = identities
        self._clock = clock
        self._site = site
        self._found = found
        self._archive = archive
        self._events = events
        self._metrics = metrics

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        match (request.method, request.path):
            case ("GET" | "HEAD", "/_longshore/health"):
                return self._health()
            case ("POST", "/_longshore/reset"):
                return await self._reset(request)
            case (_, "/_longshore/health" | "/_longshore/reset"):
                return _json(405, {"error": "MethodNotAllowed"})
            case _:
                return _json(404, {"error": "NotFound", "message": "Longshore's own routes are /_longshore/health and /_longshore/reset."})

    def _health(self) -> Answer:
        return _json(
            200,
            {
                "status": "ok",
                "version": __version__,
                "account": self._site.account_id,
                "region": self._site.region,
                "dev": self._site.dev,
                "revision": self._store.revision,
                "agents_connected": len(self._sessions.connected_instances),
                "tasks": self._store.count(TASKS),
            },
        )

    async def _reset(self, request: web.BaseRequest) -> Answer:
        """Everything goes but the machines: connected instances stay registered, their tasks are stopped."""
        if not self._site.dev:
            return _json(403, {"error": "AccessDenied", "message": "reset is served in --dev mode only."})
        try:
            identified = self._identities.identify(ApiRequest.of(request, b""))
        except AwsError as error:
            return _json(403, {"error": error.code, "message": error.message})
        if not identified.principal.is_root:
            return _json(403, {"error": "AccessDenied", "message": "reset is for the root user."})
        began = self._clock.now()
        await self._sessions.stop_tasks()
        instances = [i for arn in self._sessions.connected_instances if (i := self._store.get(CONTAINER_INSTANCES, arn)) is not None]
        clusters = [c for arn in {i.cluster_arn for i in instances} if (c := self._store.get(CLUSTERS, arn)) is not None]
        await self._store.reset()
        await self._archive.clear()
        await self._events.clear()
        if self._metrics is not None:
            await self._metrics.clear()
        await self._store.transact(lambda tx: self._begin_again(tx, began, clusters, instances))
        took_ms = (self._clock.now() - began) * 1000
        log.info("reset by %s in %.1f ms", identified.principal.arn, took_ms)
        return _json(200, {"status": "reset", "took_ms": round(took_ms, 1)})

    def _begin_again(self, tx: Tx, now: float, clusters: list[Cluster], instances: list[ContainerInstance]) -> None:
        self._found(tx, now)
        for cluster in clusters:
            tx.put(CLUSTERS, cluster)
        for instance in instances:
            tx.put(CONTAINER_INSTANCES, replace(instance, status="ACTIVE"))


def _json(status: int, body: dict[str, object]) -> Answer:
    return Answer(status, msgspec.json.encode(body), "application/json")
