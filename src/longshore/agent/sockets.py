"""Opening the agent's sockets and keeping them open.

A socket is opened with a signed GET, watched for silence, renewed after half an hour and opened again whenever it closes:
at once when it was closed in good order (the platform is about to take us back), with growing pauses otherwise
(agent protocol §2.1, §2.3). A refused handshake names an exception in its body, which says more than its status.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
import yarl

from longshore.agent.api import Api, CallRefused, PlatformUnreachable
from longshore.agent.pause import pause
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids

log = logging.getLogger("longshore.agent")

#: closed without hearing anything for 60 s and up to as much again
QUIET_S, QUIET_SPREAD_S = 60.0, 60.0
#: renewed after 30 to 35 minutes
LIFE_S, LIFE_SPREAD_S = 30 * 60.0, 5 * 60.0
HANDSHAKE_S = 30.0
#: how long the platform has to answer a close
CLOSE_S = 2.0
#: a connection that lasted so long was a good one
GOOD_S = 60.0
CLEAN_CODES = frozenset({1000, 1001, 1006, 1011})
MOST_FRAME = 64 * 1024 * 1024

Socket = aiohttp.ClientWebSocketResponse


class HandshakeRefused(Exception):
    """The platform did not open the socket; `name` is the exception in its answer."""

    def __init__(self, status: int, name: str, text: str) -> None:
        super().__init__(f"{name or status}: {text}")
        self.status = status
        self.name = name


class Dialer:
    """`trust` is what platforms that speak HTTPS may prove themselves with; True: what the system trusts."""

    def __init__(self, api: Api, trust: ssl.SSLContext | bool = True) -> None:
        self._api = api
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), raise_for_status=_refuse)

    async def close(self) -> None:
        await self._session.close()

    def url(self, base: str, query: Mapping[str, str]) -> str:
        """Where the socket is, encoded as it is sent. Only http and https bases are served."""
        if urlsplit(base).scheme not in ("http", "https"):
            raise PlatformUnreachable(f"{base} is no address to open a socket at")
        slash = "" if base.endswith("/") else "/"
        return f"{base}{slash}ws?{urlencode(sorted(query.items()), quote_via=quote)}"

    async def open(self, url: str) -> Socket:
        """Raises HandshakeRefused and PlatformUnreachable."""
        headers = self._api.signed("GET", url, {}, b"")
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                return await self._session.ws_connect(
                    yarl.URL(url, encoded=True),
                    headers=headers,
                    max_msg_size=MOST_FRAME,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                )
        except aiohttp.WSServerHandshakeError as error:
            raise HandshakeRefused(error.status, "", error.message) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PlatformUnreachable(f"{url.partition('?')[0]}: {error or type(error).__name__}") from error


async def _refuse(response: aiohttp.ClientResponse) -> None:
    """aiohttp's hook for every answer: what is no handshake is read before it is lost."""
    if response.status != 101:
        name, text = _exception(await response.read())
        raise HandshakeRefused(response.status, name, text)


def _exception(body: bytes) -> tuple[str, str]:
    """(name, text) of {"Name": "text"} or {"type": "Name", "message": {"message": "text"}}."""
    try:
        content = msgspec.json.decode(body, type=dict[str, object])
    except msgspec.MsgspecError:
        return "", body[:200].decode(errors="replace")
    if isinstance(content.get("type"), str):
        inner = content.get("message")
        return str(content["type"]), str(inner.get("message", "") if isinstance(inner, dict) else inner)
    name = next(iter(content), "")
    return name, str(content.get(name, ""))


class Watch:
    """Closes a socket on which nothing is heard any more, and one that is old."""

    def __init__(self, socket: Socket, clock: Clock, ids: Ids) -> None:
        self._socket = socket
        self._clock = clock
        self._heard_at = clock.now()
        self._quiet_s = QUIET_S + QUIET_SPREAD_S * ids.fraction()
        self._until = clock.now() + LIFE_S + LIFE_SPREAD_S * ids.fraction()

    def heard(self) -> None:
        self._heard_at = self._clock.now()

    async def run(self) -> None:
        while True:
            silent_at = self._heard_at + self._quiet_s
            await self._clock.sleep(min(silent_at, self._until) - self._clock.now())
            now = self._clock.now()
            if now >= self._heard_at + self._quiet_s:
                log.warning("nothing heard for %.0f s: connection closed", self._quiet_s)
                await self._socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)
                return
            if now >= self._until:
                await self._socket.close(code=aiohttp.WSCloseCode.OK, message=b"ConnectionExpired: Reconnect to continue")
                return


@asynccontextmanager
async def watching(socket: Socket, clock: Clock, ids: Ids) -> AsyncIterator[Watch]:
    """The socket with its watch; closed at the end in any case."""
    watch = Watch(socket, clock, ids)
    job = asyncio.create_task(watch.run(), name="socket:watch")
    try:
        yield watch
    finally:
        job.cancel()
        await asyncio.gather(job, return_exceptions=True)
        await socket.close()


class Backoff:
    """The pauses between attempts of one kind of socket."""

    def __init__(self, clock: Clock, ids: Ids, *, first_s: float, most_s: float, factor: float) -> None:
        self._clock = clock
        self._ids = ids
        self._first_s, self._most_s, self._factor = first_s, most_s, factor
        self._failures = 0

    def after(self, lasted_s: float, *, clean: bool) -> float:
        """Seconds to wait, given how long the last connection lasted (0: there was none) and how it ended."""
        if lasted_s >= GOOD_S:
            self._failures = 0
        if clean and (self._failures == 0 or lasted_s >= 1.0):
            # at once, but a platform that closes every new connection is not hammered
            self._failures = 1 if lasted_s < 1.0 else 0
            return 0.0
        self._failures += 1
        return backoff_s(self._failures - 1, self._ids.fraction(), first_s=self._first_s, most_s=self._most_s, factor=self._factor)


async def stay_connected(
    name: str,
    once: Callable[[], Awaitable[int | None]],
    refused: Callable[[HandshakeRefused], float | None],
    clock: Clock,
    backoff: Backoff,
) -> None:
    """For ever: `once` opens and serves one connection and returns its close code.

    `refused` may raise, or answer with the seconds to wait after a refusal of that name (None: as after any failure).
    """
    while True:
        began = clock.now()
        wait: float | None = None
        try:
            code = await once()
            log.info("%s socket closed (%s)", name, code)
            wait = backoff.after(max(clock.now() - began, 0.001), clean=code is None or code in CLEAN_CODES)
        except HandshakeRefused as error:
            log.warning("%s socket refused: %s", name, error)
            wait = refused(error)
        except (PlatformUnreachable, CallRefused) as error:
            log.info("%s socket: %s", name, error)
        except (ConnectionError, aiohttp.ClientError) as error:
            log.info("%s socket broke: %s", name, error)
        if wait is None:
            wait = backoff.after(0.0, clean=False)
        if wait:
            await pause(clock, wait, asyncio.Event())
