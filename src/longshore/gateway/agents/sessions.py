"""All agent sockets of this server: opened, counted, closed.

`/acs/ws` is the control socket, `/tcs/ws` the telemetry socket (DiscoverPollEndpoint hands out their bases). An instance
counts as connected while it has a control session; a newer session of the same instance takes the older one's place.
"""

from __future__ import annotations

import asyncio
import logging

from aiohttp import WSCloseCode, web

from longshore.gateway.agents.control import ControlSession, connected, disconnected
from longshore.gateway.agents.ending import until_first_ends, until_revoked, until_unknown
from longshore.gateway.agents.handshake import Opened, Refused, admit
from longshore.gateway.agents.telemetry import TelemetrySession
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.sealing import Keys
from longshore.services.call import Site
from longshore.services.ecs.utilisation import Utilisation
from longshore.store.base import Store, StoreError

log = logging.getLogger("longshore.gateway.agents")

#: the largest frame an agent may send: a telemetry message is at most 1 MiB
MOST_FRAME = 4 * 1024 * 1024
#: how long an agent whose connection was closed for its age may take to come back before it counts as gone, and how often it is looked
RETURN_S = 10.0
RETURN_LOOK_S = 1.0


class AgentSessions:
    def __init__(
        self, store: Store, clock: Clock, ids: Ids, site: Site, identities: Identities, access: Access, secret: Keys = b""
    ) -> None:
        self._identities = identities
        self._access = access
        self._store = store
        self._clock = clock
        self._ids = ids
        self._site = site
        self._secret = secret
        self._control: dict[str, ControlSession] = {}
        self._sockets: set[web.WebSocketResponse] = set()
        self._closing = False
        self.utilisation = Utilisation()

    @property
    def connected_instances(self) -> tuple[str, ...]:
        return tuple(self._control)

    async def handle_control(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            opened = self._admit(request, "containerInstanceArn", "ecs:Poll")
        except Refused as refused:
            return refused.answer
        socket = await self._open(request)
        session = ControlSession(socket, opened, self._store, self._clock, self._ids, self._site, self._secret)
        arn = opened.instance.arn
        older = self._control.get(arn)
        self._control[arn] = session
        if older is not None:
            older.give_way()
        version, agent_hash = request.query.get("agentVersion", "")[:64], request.query.get("agentHash", "")[:64]
        docker_version = request.query.get("dockerVersion", "")[:128]
        try:
            now = self._clock.now()
            known = await self._store.transact(
                lambda tx: connected(tx, arn, now, version=version, agent_hash=agent_hash, docker_version=docker_version)
            )
            if known:
                log.info("%s: agent %s connected from %s", arn, version, request.remote)
                await until_first_ends(f"acs:{arn}", run=session.run(), known=self._until_unknown(opened))
        except StoreError as error:
            log.error("%s: could not write down that its agent is there: %s", arn, error)
        finally:
            if session.expired:
                await self._let_come_back(socket, arn, session)
            await self._closed(socket, arn, session)
        return socket

    async def handle_telemetry(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            opened = self._admit(request, "containerInstance", "ecs:StartTelemetrySession")
        except Refused as refused:
            return refused.answer
        socket = await self._open(request)
        try:
            session = TelemetrySession(socket, opened.instance, self._store, self._clock, self._ids, self.utilisation)
            principal = opened.identified.principal
            await until_first_ends(
                f"tcs:{opened.instance.arn}",
                run=session.run(),
                allowed=until_revoked(self._store, principal),
                known=self._until_unknown(opened),
            )
        finally:
            self._sockets.discard(socket)
        return socket

    async def stop_tasks(self) -> None:
        """Have every connected agent stop what it runs, before the store is wiped."""
        await asyncio.gather(*(session.stop_everything() for session in self._control.values()), return_exceptions=True)

    async def close(self) -> None:
        """Close every socket and open no more; agents come back at once when a server listens again."""
        self._closing = True
        await asyncio.gather(
            *(socket.close(code=WSCloseCode.GOING_AWAY, message=b"server stops") for socket in list(self._sockets)), return_exceptions=True
        )

    def _admit(self, request: web.BaseRequest, instance_parameter: str, action: str) -> Opened:
        if self._closing:
            raise Refused("ServerException", "The server stops.", 503)
        return admit(request, self._store, self._identities, self._access, instance_parameter=instance_parameter, action=action)

    async def _until_unknown(self, opened: Opened) -> None:
        await until_unknown(self._store, self._clock, self._identities.owner, opened.identified.principal)

    async def _open(self, request: web.BaseRequest) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(autoping=True, max_msg_size=MOST_FRAME, compress=False, timeout=2.0)
        await socket.prepare(request)
        self._sockets.add(socket)
        return socket

    async def _let_come_back(self, socket: web.WebSocketResponse, arn: str, session: ControlSession) -> None:
        """An agent whose connection was closed for its age comes back at once, and was not gone for it."""
        await socket.close(message=b"the connection has expired")
        until = self._clock.now() + RETURN_S
        while self._control.get(arn) is session and not self._closing and self._clock.now() < until:
            await self._clock.sleep(RETURN_LOOK_S)

    async def _closed(self, socket: web.WebSocketResponse, arn: str, session: ControlSession) -> None:
        self._sockets.discard(socket)
        if self._control.get(arn) is not session:
            return  # a newer session of the same instance is open already
        del self._control[arn]
        now = self._clock.now()
        log.info("%s: agent disconnected", arn)
        try:
            await asyncio.shield(self._store.transact(lambda tx: disconnected(tx, arn, now)))
        except StoreError as error:
            log.error("%s: could not write down that its agent is gone: %s", arn, error)
