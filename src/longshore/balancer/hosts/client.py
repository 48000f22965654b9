"""A balancer host's line to the platform: what it is told goes into its replica, what it has seen goes back.

While there is no line HAProxy serves on as it was told last, and its own checks keep bad targets out. A line that comes back begins with
everything, in both directions.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from urllib.parse import urlencode, urlsplit

import aiohttp
import msgspec
import yarl
from aiohttp import WSMsgType

from longshore import __version__
from longshore.aws.sigv4 import sign
from longshore.balancer.hosts.replica import Replica
from longshore.config import BalancerConfig
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.elbv2.feed import Greeting, Rows, Welcome

log = logging.getLogger("longshore.balancer")

_ROUTE = "/_longshore/balancers"
_HEARTBEAT_S = 5.0
_MOST_FRAME = 1024 * 1024 * 1024
_MOST_WAIT_S = 5.0


class NotAdmitted(Exception):
    """The platform does not take this host; says why."""


class Line:
    def __init__(self, config: BalancerConfig, key: bytes, trust: ssl.SSLContext | bool, clock: Clock, ids: Ids) -> None:
        self._config = config
        self._key = key
        self._trust = trust
        self._clock = clock
        self._ids = ids
        self._something = asyncio.Event()
        self.replica = Replica(key, self._something.set)
        #: set when the replica holds everything for the first time
        self.told = asyncio.Event()
        self.welcome: Welcome | None = None

    @property
    def replica_key(self) -> bytes:
        """What the keys of certificates in the replica are sealed with."""
        return self._key

    async def run(self) -> None:
        """For ever. Raises NotAdmitted before the first welcome."""
        failures = 0
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._trust)) as http:
            while True:
                begun = self._clock.now()
                try:
                    await self._once(http)
                except aiohttp.WSServerHandshakeError as error:
                    if error.status in (400, 403) and self.welcome is None:
                        cause = "the key's policies" if error.status == 403 else "the key, this host's name and its address"
                        raise NotAdmitted(
                            f"{self._config.endpoint} does not take this host (status {error.status}): see to {cause}"
                        ) from None
                    log.warning("%s: status %s", self._config.endpoint, error.status)
                except (aiohttp.ClientError, msgspec.MsgspecError, TimeoutError, OSError) as error:
                    log.warning("no line to %s: %s", self._config.endpoint, error or type(error).__name__)
                failures = 0 if self._clock.now() - begun > _MOST_WAIT_S else failures + 1
                await self._clock.sleep(backoff_s(failures, self._ids.fraction(), first_s=0.1, most_s=_MOST_WAIT_S))

    async def _once(self, http: aiohttp.ClientSession) -> None:
        config = self._config
        query = urlencode({"address": config.address, "host": config.host_id, "version": __version__})
        url = f"{config.endpoint.rstrip('/')}{_ROUTE}?{query}"
        parts = urlsplit(url)
        signed = sign(
            "GET",
            parts.path,
            parts.query,
            [("host", parts.netloc)],
            b"",
            access_key_id=config.credentials.access_key_id,
            secret_access_key=config.credentials.secret_access_key,
            session_token=config.credentials.session_token or None,
            region=config.region,
            service="longshore",
            now=self._clock.now(),
        )
        async with http.ws_connect(yarl.URL(url, encoded=True), headers=signed, heartbeat=_HEARTBEAT_S, max_msg_size=_MOST_FRAME) as socket:
            await socket.send_str(msgspec.json.encode(Greeting(self._key)).decode())
            telling = asyncio.create_task(self._tell(socket), name="line:tell")
            try:
                await self._hear(socket)
            finally:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)

    async def _hear(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        is_first = True
        async for frame in socket:
            if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            if is_first:
                self.welcome, is_first = msgspec.json.decode(frame.data, type=Welcome), False
                continue
            rows = msgspec.json.decode(frame.data, type=Rows)
            await self.replica.take(rows)
            if rows.everything:
                self.replica.everything()
                self._something.set()
                self.told.set()

    async def _tell(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._something.wait()
            self._something.clear()
            if not self.told.is_set():
                continue
            report = self.replica.report()
            if report is not None:
                await socket.send_str(msgspec.json.encode(report).decode())
