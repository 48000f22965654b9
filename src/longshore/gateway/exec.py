"""Sessions into containers, brought together: the client's websocket and the socket its agent opens for it.

`/v1/data-channel/ID` is for clients: `aws ecs execute-command` with AWS's own plugin, `longshore exec`, `longshore task logs`.
Nothing but the token in the first frame says who comes; it opens the session once. Then the instance's agent is told (the row in
the store turns OPEN, its control session sees that) and opens `/_exec/ws` under its own signature. From there on a `Bridge`
carries bytes. Either end's end is the session's, and the row goes with it.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from longshore.aws.arn import parse_arn
from longshore.aws.data_channel import Opening
from longshore.gateway.agents.ending import until_cut
from longshore.gateway.agents.exec_offers import AGENT_ROUTE
from longshore.gateway.agents.handshake import Refused, admit
from longshore.gateway.auditing.entries import entry_of
from longshore.gateway.authorise import Access
from longshore.gateway.exec_bridge import MOST_FRAME, Bridge
from longshore.gateway.identify import Identities
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.call import Principal
from longshore.services.ecs.exec.model import EXEC_SESSIONS, ExecSession
from longshore.services.ecs.exec.rules import open_session
from longshore.store.base import Store, StoreError, Tx

log = logging.getLogger("longshore.gateway.exec")

CLIENT_ROUTE = "/v1/data-channel/"
#: seconds a client has for its first frame, and an agent to come
OPENING_S = 10.0
AGENT_S = 15.0
#: an end that does not answer a ping within so many seconds is gone
HEARTBEAT_S = 30.0
_MOST_OPENING = 8192


def _note(request: web.BaseRequest, session: ExecSession) -> None:
    """That somebody is in the container from here on. Raises StoreUnavailable."""
    if (entry := entry_of(request)) is not None:
        named = parse_arn(session.task_arn)
        principal = Principal(named.account_id if named else "", session.requester, "", "")
        told = {"sessionId": session.id, "container": session.container_name}
        entry.note(
            principal,
            "ssmmessages:OpenDataChannel",
            region=named.region if named else "",
            resource=session.task_arn,
            parameters=told,
        )


class ExecSessions:
    def __init__(self, store: Store, clock: Clock, ids: Ids, identities: Identities, access: Access) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._identities = identities
        self._access = access
        #: session id → where its agent's socket is waited for
        self._awaited: dict[str, asyncio.Future[web.WebSocketResponse]] = {}
        #: session id → set when it is over
        self._over: dict[str, asyncio.Event] = {}
        self._sockets: set[web.WebSocketResponse] = set()
        self._closing = False

    async def close(self) -> None:
        """Every session ends, and none begins."""
        self._closing = True
        closing = (socket.close(code=WSCloseCode.GOING_AWAY, message=b"server stops") for socket in list(self._sockets))
        await asyncio.gather(*closing, return_exceptions=True)

    # ── the client's end ──

    async def handle_client(self, request: web.BaseRequest) -> web.StreamResponse:
        session_id = request.path.removeprefix(CLIENT_ROUTE)
        if self._closing:
            return web.Response(status=503)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=426, headers={"Upgrade": "websocket"})
        socket = web.WebSocketResponse(autoping=True, heartbeat=HEARTBEAT_S, max_msg_size=MOST_FRAME, compress=False, timeout=2.0)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            session = await self._opened(socket, session_id)
            if session is None:
                log.info("%s: a client from %s is not let in", session_id[:64], request.remote)
                await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"the token is not good for this session (any more)")
            else:
                _note(request, session)
                await self._serve(socket, session)
        except StoreError as error:
            log.error("%s: %s", session_id[:64], error)
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"the state of this installation cannot be written")
        except (ConnectionError, asyncio.CancelledError):
            raise
        finally:
            self._sockets.discard(socket)
        return socket

    async def _opened(self, socket: web.WebSocketResponse, session_id: str) -> ExecSession | None:
        """The session that the client's first frame opens."""
        try:
            async with asyncio.timeout(OPENING_S):
                frame = await socket.receive()
        except TimeoutError:
            return None
        if frame.type is not WSMsgType.TEXT or len(frame.data) > _MOST_OPENING:
            return None
        try:
            opening = msgspec.json.decode(frame.data, type=Opening)
        except (msgspec.MsgspecError, RecursionError):
            return None
        now = self._clock.now()
        awaited: asyncio.Future[web.WebSocketResponse] = asyncio.get_running_loop().create_future()

        def open_it(tx: Tx) -> ExecSession | None:
            session = open_session(tx, session_id, opening.token_value, now)
            if session is not None:  # whoever is not let in changes nothing for who was; the agent may come with the commit
                self._awaited[session_id] = awaited
            return session

        try:
            return await self._store.transact(open_it)
        except BaseException:
            if self._awaited.get(session_id) is awaited:
                del self._awaited[session_id]
                # it may have been opened all the same, and nobody will serve it
                await asyncio.shield(self._forget(session_id))
            raise

    async def _forget(self, session_id: str) -> None:
        try:
            await self._store.transact(lambda tx: tx.delete(EXEC_SESSIONS, session_id))
        except StoreError as error:
            log.error("%s: that it ended could not be written: %s", session_id, error)

    async def _serve(self, client: web.WebSocketResponse, session: ExecSession) -> None:
        over = self._over[session.id] = asyncio.Event()
        bridge = Bridge(client, session, self._clock, self._ids)
        try:
            agent = await self._agent_of(session)
            if agent is None:
                log.warning("%s: the agent of %s did not come", session.id, session.container_instance_arn)
                await bridge.refuse("The agent of the task's container instance did not answer. Try again later.")
                return
            log.info("%s: begins (%s, %s of %s)", session.id, session.requester, session.container_name, session.task_arn)
            await bridge.run(agent, until_cut(self._store, session.asked_with))
            log.info("%s: %s", session.id, bridge.outcome)
        finally:
            over.set()
            self._over.pop(session.id, None)
            self._awaited.pop(session.id, None)
            await asyncio.shield(self._forget(session.id))

    async def _agent_of(self, session: ExecSession) -> web.WebSocketResponse | None:
        try:
            async with asyncio.timeout(AGENT_S):
                return await self._awaited[session.id]
        except TimeoutError:
            return None

    # ── the agent's end ──

    async def handle_agent(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            if self._closing or request.path != f"{AGENT_ROUTE}ws":
                raise Refused("ServerException", "There is no session to be had here.", 503)
            parameter = "containerInstanceArn"
            opened = admit(request, self._store, self._identities, self._access, instance_parameter=parameter, action="ecs:Poll")
            session_id = request.query.get("sessionId", "")
            session = self._store.get(EXEC_SESSIONS, session_id)
            awaited = self._awaited.get(session_id)
            own = session is not None and session.container_instance_arn == opened.instance.arn
            if not own or awaited is None or awaited.done():
                raise Refused("InvalidParameterException", "The session is not one that this container instance is to serve.")
        except Refused as refused:
            return refused.answer
        over = self._over.get(session_id)
        socket = web.WebSocketResponse(autoping=True, heartbeat=HEARTBEAT_S, max_msg_size=MOST_FRAME, compress=False, timeout=2.0)
        await socket.prepare(request)
        self._sockets.add(socket)
        try:
            if over is None or awaited.done():  # it ended, or another socket came, during the handshake
                await socket.close(code=WSCloseCode.GOING_AWAY)
                return socket
            awaited.set_result(socket)
            await over.wait()
        finally:
            self._sockets.discard(socket)
        return socket
