"""The agent's servers for containers: requests for itself, and connections to the platform that it passes on.

Both find out who is at the other end, and hand over to the agent of that container where it is another's. Between agents a request
carries the container it is of in a header, over a socket in a directory that their user alone may enter.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from longshore.agent.container_spec import INSTANCE_LABEL
from longshore.agent.metadata.callers import Caller, Callers, Peer
from longshore.agent.metadata.endpoints import Answer, Asked, Endpoints, unanswered
from longshore.agent.metadata.entrance import Entrance
from longshore.agent.metadata.limits import LOOKUPS_AT_ONCE, LOOKUPS_PER_SECOND, PER_SECOND, Crowd, Limits
from longshore.kit.clock import Clock
from longshore.runtime.base import NoSuchContainer, Runtime, RuntimeFailure

log = logging.getLogger("longshore.agent")

#: names the container a request is of, between agents
OF_CONTAINER = "X-Longshore-Container"
REMOTE = "X-Longshore-Remote"
_MOST_BODY = 64 * 1024
_ANSWER_S = 10.0
_BODY_S = 10.0
_PIECE = 64 * 1024
_NOWHERE = ("0.0.0.0", 0)


class Platform(NamedTuple):
    """Where connections to the platform are passed on to; `trust` is None where it speaks plain HTTP."""

    host: str
    port: int
    trust: ssl.SSLContext | bool | None

    @classmethod
    def at(cls, endpoint: str, trust: ssl.SSLContext | bool) -> Platform:
        url = urlsplit(endpoint)
        secure = url.scheme == "https"
        return cls(url.hostname or "127.0.0.1", url.port or (443 if secure else 80), trust if secure else None)


class MetadataServer:
    def __init__(
        self, entrance: Entrance, endpoints: Endpoints, runtime: Runtime, instance_id: str, platform: Platform, clock: Clock
    ) -> None:
        self._entrance = entrance
        self._endpoints = endpoints
        self._runtime = runtime
        self._instance_id = instance_id
        self._platform = platform
        self._callers = Callers(runtime)
        self._limits = Limits(clock)
        #: to find out who asks costs more than most answers
        self._lookups = Limits(clock, LOOKUPS_PER_SECOND, LOOKUPS_AT_ONCE)
        self._connections: set[asyncio.Task[None]] = set()
        self._passing = Crowd()

    async def run(self) -> None:
        """Until cancelled. An agent whose servers cannot be had goes on without."""
        try:
            await self._serve()
        except OSError as error:
            log.error("containers are not served: %s", error)
            await asyncio.Event().wait()

    async def _serve(self) -> None:
        requests, platform = (self._entrance.socket_of(self._instance_id, what) for what in ("requests", "platform"))
        async with contextlib.AsyncExitStack() as stack:
            runner = web.ServerRunner(_Guarded(self._from_container, Crowd()), shutdown_timeout=1.0)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.SockSite(runner, self._entrance.requests).start()
            among_agents = web.ServerRunner(web.Server(self._from_agent, access_log=None), shutdown_timeout=1.0)
            await among_agents.setup()
            stack.push_async_callback(among_agents.cleanup)
            for path in (requests, platform):
                path.unlink(missing_ok=True)
                stack.callback(path.unlink, missing_ok=True)
            await web.UnixSite(among_agents, str(requests)).start()
            for server in (
                await asyncio.start_server(self._kept(self._to_platform), sock=self._entrance.platform),
                await asyncio.start_unix_server(self._kept(self._pass_on), path=str(platform)),
            ):
                stack.callback(server.close)
            stack.push_async_callback(self._end_connections)
            await asyncio.Event().wait()

    # ── requests ──

    async def _from_container(self, request: web.BaseRequest) -> web.StreamResponse:
        peer = _peer(request.transport)
        remote = f"{peer.address}:{peer.port}"
        if not self._lookups.allow(peer.address):
            return _response(Answer(429, "You have reached maximum request limit."), remote)
        try:
            caller = await self._callers.find(peer)
        except RuntimeFailure as error:
            return _response(unanswered(error), remote)
        if not self._limits.allow(caller.key):
            return _response(Answer(429, "You have reached maximum request limit."), remote)
        whose = caller.container.labels.get(INSTANCE_LABEL, "") if caller.container is not None else self._instance_id
        if whose not in ("", self._instance_id):
            return await self._hand_over(request, caller, whose, remote)
        return _response(await self._answered(request, caller), remote)

    async def _from_agent(self, request: web.BaseRequest) -> web.StreamResponse:
        remote = request.headers.get(REMOTE, "")
        try:
            caller = Caller(await self._runtime.inspect(request.headers.get(OF_CONTAINER, "")))
        except NoSuchContainer:
            caller = Caller(None)
        except RuntimeFailure as error:
            return _response(unanswered(error), remote)
        return _response(await self._answered(request, caller), remote)

    async def _answered(self, request: web.BaseRequest, caller: Caller) -> Answer:
        body = await _body(request)
        if body is None:
            return Answer(413, "")
        if request.method not in ("GET", "PUT"):
            return Answer(405, "")
        try:
            return await self._endpoints.answer(Asked(request.method, request.path, dict(request.query), body), caller)
        except RuntimeFailure as error:
            return unanswered(error)

    async def _hand_over(self, request: web.BaseRequest, caller: Caller, whose: str, remote: str) -> web.StreamResponse:
        assert caller.container is not None
        path = self._entrance.socket_of(whose, "requests")
        headers = {OF_CONTAINER: caller.container.id, REMOTE: remote}
        body = await _body(request)
        if body is None:
            return _response(Answer(413, ""), remote)
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
                session.request(
                    request.method,
                    f"http://agent{request.path_qs}",
                    data=body,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=_ANSWER_S),
                ) as answer,
            ):
                return _raw_response(answer.status, await answer.read(), remote)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("the agent of instance %s does not answer for its container: %s", whose, error or type(error).__name__)
            return _response(Answer(503, "The agent of this container does not answer."), remote)

    # ── connections to the platform ──

    def _kept(
        self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
    ) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def kept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            job = asyncio.current_task()
            assert job is not None
            self._connections.add(job)
            try:
                await serve(reader, writer)
            except (OSError, RuntimeFailure) as error:
                log.info("a container's connection to the platform ended: %s", error)
            finally:
                self._connections.discard(job)
                writer.close()

        return kept

    async def _to_platform(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _peer(writer.transport)
        if not self._lookups.allow(peer.address) or not self._passing.enter(peer.address):
            return
        try:
            await self._to_platform_of(peer, reader, writer)
        finally:
            self._passing.leave(peer.address)

    async def _to_platform_of(self, peer: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = await self._callers.find(peer)
        whose = caller.container.labels.get(INSTANCE_LABEL, "") if caller.container is not None else ""
        if not whose:
            return  # not of any task: the platform is not opened to whatever else runs here
        if whose == self._instance_id:
            await self._pass_on(reader, writer)
            return
        path = self._entrance.socket_of(whose, "platform")
        await _splice(reader, writer, *await asyncio.open_unix_connection(str(path)))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port, trust = self._platform
        name = host if trust is not None else None
        await _splice(reader, writer, *await asyncio.open_connection(host, port, ssl=trust, server_hostname=name))

    async def _end_connections(self) -> None:
        jobs = list(self._connections)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


class _Guarded(web.Server):
    """Closes what comes when its address, or all together, have as many connections as they may."""

    def __init__(self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], crowd: Crowd) -> None:
        super().__init__(handler, access_log=None)
        self._crowd = crowd
        self._entered: dict[RequestHandler, str] = {}

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        address = _peer(transport).address
        if self._crowd.enter(address):
            self._entered[handler] = address
        else:
            transport.abort()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        address = self._entered.pop(handler, None)
        if address is not None:
            self._crowd.leave(address)
        super().connection_lost(handler, exc)


async def _splice(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other_reader: asyncio.StreamReader, other_writer: asyncio.StreamWriter
) -> None:
    """Both ways until both have ended, or one has broken."""
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, other_writer))
            group.create_task(_copy(other_reader, writer))
    except* OSError as broken:
        log.debug("a connection broke: %s", broken.exceptions[0])
    finally:
        other_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
    # TLS cannot say that one direction has ended: what comes the other way is still to come, and whoever sends it ends both


def _peer(transport: asyncio.BaseTransport | None) -> Peer:
    ends = [_end(transport.get_extra_info(which)) if transport is not None else _NOWHERE for which in ("peername", "sockname")]
    return Peer(*ends[0], ends[1])


def _end(name: object) -> tuple[str, int]:
    match name:
        case (str(address), int(port), *_):
            return address.removeprefix("::ffff:"), port
    return _NOWHERE


async def _body(request: web.BaseRequest) -> bytes | None:
    """None when there is too much of it. Raises TimeoutError where it does not come."""
    body = bytearray()
    async with asyncio.timeout(_BODY_S):
        while len(body) <= _MOST_BODY and (piece := await request.content.readany()):
            body += piece
    return bytes(body) if len(body) <= _MOST_BODY else None


def _response(answer: Answer, remote: str) -> web.Response:
    if answer.status == 429:
        return web.Response(status=429, text=answer.content, headers=_limit_headers(remote))
    return _raw_response(answer.status, msgspec.json.encode(answer.content), remote)


def _raw_response(status: int, content: bytes, remote: str) -> web.Response:
    return web.Response(status=status, body=content, content_type="application/json", headers=_limit_headers(remote))


def _limit_headers(remote: str) -> dict[str, str]:
    return {
        "X-Rate-Limit-Limit": f"{PER_SECOND:.2f}",
        "X-Rate-Limit-Duration": "1",
        "X-Rate-Limit-Request-Forwarded-For": "",
        "X-Rate-Limit-Request-Remote-Addr": remote,
    }
