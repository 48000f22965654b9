"""Longshore's own route for machines that run load balancers' data plane. The client is `longshore balancer`.

    GET /_longshore/balancers?host=ID&address=ADDRESS    signed (service `longshore`), a WebSocket from there on
    GET /_longshore/balancers                            signed, no WebSocket: the hosts there are

Both ways frames are JSON. Down: first a welcome with everything the balancer reads, then every change of it. Up: first the key
that certificates' keys are sealed with for this host, then its reports. Whoever has
`elasticloadbalancing:LongshoreServeLoadBalancers` allowed on `*` may: a host is given the private keys of certificates, so container
instances may not. Keys go over TLS, or within one machine, and nowhere else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from ipaddress import ip_address
from typing import Any

import msgspec
from aiohttp import WSMsgType, web
from msgspec.structs import replace

from longshore import __version__
from longshore.aws.errors import AwsError, Validation
from longshore.gateway.admission import admit
from longshore.gateway.answer import Answer
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identities
from longshore.gateway.request import ApiRequest
from longshore.kit.clock import Clock
from longshore.kit.resource import Kind
from longshore.kit.sealing import Keys, SealBroken, seal, unseal
from longshore.services.acm.model import CERTIFICATES, PURPOSE, Certificate
from longshore.services.call import Site
from longshore.services.elbv2.feed import FED, Greeting, Row, Rows, Welcome
from longshore.services.elbv2.hosts import BALANCER_HOSTS, BalancerHost
from longshore.services.elbv2.seats import Report, Seats
from longshore.services.iam.model import SERVER_CERTIFICATES, ServerCertificate
from longshore.store.base import Store

log = logging.getLogger("longshore.gateway")

ROUTE = "/_longshore/balancers"
ACTION = "elasticloadbalancing:LongshoreServeLoadBalancers"
_HEARTBEAT_S = 5.0
_MOST_FRAME = 16 * 1024 * 1024
_LOOK_S = 2.0
_HOST = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Balancers:
    def __init__(
        self, *, store: Store, seats: Seats, identities: Identities, access: Access, clock: Clock, site: Site, secret: Keys
    ) -> None:
        self._store = store
        self._seats = seats
        self._identities = identities
        self._access = access
        self._clock = clock
        self._site = site
        self._secret = secret
        self._open: dict[str, web.WebSocketResponse] = {}
        #: of who opened them: an access key id, or a session's token
        self._credentials: dict[web.WebSocketResponse, str] = {}

    async def keep_leases(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(_LOOK_S)
            await self._seats.end_leases(self._clock.now())
            await self.end_lines()

    async def end_lines(self) -> None:
        """Of those whose key is gone, or whose session is over: private keys go over them."""
        for socket in [socket for socket, credential in self._credentials.items() if self._identities.owner(credential) is None]:
            await socket.close(message=b"the credentials are not good any more")

    async def close(self) -> None:
        for socket in list(self._open.values()):
            await socket.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            host, credential = self._admitted(request)
        except AwsError as error:
            code, status = error.wire("json")
            return Answer(status, msgspec.json.encode({"error": code, "message": error.message}), "application/json", close=True)
        if host is None:
            return Answer(200, msgspec.json.encode({"hosts": self._store.list(BALANCER_HOSTS)}), "application/json")
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=_MOST_FRAME, compress=False)
        await socket.prepare(request)
        before = self._open.pop(host.id, None)
        if before is not None:
            await before.close()
        self._open[host.id] = socket
        self._credentials[socket] = credential
        private = request.secure or _is_loopback(request.remote or "")
        try:
            await self._serve(socket, host, private=private)
        except (ConnectionError, msgspec.MsgspecError) as error:
            log.warning("balancer host %s: %s", host.id, error)
        finally:
            del self._credentials[socket]
            if self._open.get(host.id) is socket:
                del self._open[host.id]
                await self._seats.leave(host.id, self._clock.now())
            with contextlib.suppress(ConnectionError):
                await socket.close()
        return socket

    def _admitted(self, request: web.BaseRequest) -> tuple[BalancerHost | None, str]:
        """The host, or None for whoever only wants to see them; and what they came with. Raises AwsError."""
        if request.path != ROUTE or request.method != "GET":
            raise Validation(f"There is GET {ROUTE}.")
        identified = self._identities.identify(ApiRequest.of(request, b""))
        principal = identified.principal
        admit(self._access, request, principal, identified.region, ACTION, account_id=self._site.account_id)
        credential = principal.session.token if principal.session is not None else principal.access_key_id
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return None, credential
        identifier, address = request.query.get("host", ""), request.query.get("address", "")
        if not _HOST.fullmatch(identifier):
            raise Validation("A balancer host is named by 1 to 64 letters, digits, '.', '_' and '-'.")
        if address:
            try:
                ip_address(address)
            except ValueError:
                raise Validation(f"{address[:40]!r} is no address.") from None
        version = request.query.get("version", "")[:40]
        return BalancerHost(identifier, address, principal.arn, since=self._clock.now(), version=version), credential

    async def _serve(self, socket: web.WebSocketResponse, host: BalancerHost, *, private: bool) -> None:
        first = await socket.receive()
        if first.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            return
        key = msgspec.json.decode(first.data, type=Greeting).key if private else b""
        await self._seats.enter(host)
        log.info("balancer host %s serves at %s%s", host.id, host.address or "its own machine", "" if private else " (no keys without TLS)")
        feeding = asyncio.create_task(self._feed(socket, key), name=f"balancers:{host.id}")
        try:
            async for frame in socket:
                if frame.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await self._seats.report(host.id, msgspec.json.decode(frame.data, type=Report))
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)

    async def _feed(self, socket: web.WebSocketResponse, key: bytes) -> None:
        """Everything, and then every change; everything again when changes were lost."""
        watch = self._store.watch(*FED)
        try:
            welcome = Welcome(__version__, self._site.account_id, self._site.region)
            await socket.send_str(msgspec.json.encode(welcome).decode())
            await self._send_all(socket, key)
            async for batch in watch.merged():
                if batch.lost:
                    await self._send_all(socket, key)
                else:
                    rows = [self._row(change.kind, change.key, change.new, key) for change in batch.changes]
                    await socket.send_str(msgspec.json.encode(Rows(tuple(rows))).decode())
        except ConnectionError:
            return
        finally:
            watch.close()
            await socket.close()

    async def _send_all(self, socket: web.WebSocketResponse, key: bytes) -> None:
        rows = [self._row(kind, kind.key(value), value, key) for kind in FED for value in self._store.list(kind)]
        await socket.send_str(msgspec.json.encode(Rows(tuple(rows), everything=True)).decode())

    def _row(self, kind: Kind[Any], name: str, value: Any, key: bytes) -> Row:
        if value is not None and kind.name in (CERTIFICATES.name, SERVER_CERTIFICATES.name):
            value = self._resealed(value, key)
        return Row(kind.name, name, msgspec.Raw(msgspec.json.encode(value)))

    def _resealed(self, value: Certificate | ServerCertificate, key: bytes) -> Certificate | ServerCertificate:
        """With its private key sealed for the host, or without it."""
        if not key or not value.sealed_key:
            return replace(value, sealed_key=b"")
        try:
            return replace(value, sealed_key=seal(key, PURPOSE, unseal(self._secret, PURPOSE, value.sealed_key)))
        except SealBroken:
            return replace(value, sealed_key=b"")


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False
