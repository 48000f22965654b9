"""The agent's own credentials: a session that is this machine's alone, got with a code and renewed while it lasts.

It is kept in the data directory, so that a machine that was let in needs no code again, nor when it was away for some weeks: a session
that has ended can still renew itself. A machine of the platform's own host brings its code along at every start. Agents that were
given an access key use that and come here not at all.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import aiohttp
import msgspec
import yarl

from longshore.agent.api import USER_AGENT, Api, PlatformUnreachable
from longshore.agent.pause import pause
from longshore.aws.sigv4 import sign
from longshore.config import MACHINE_SESSION, AgentConfig, Credentials, write_privately
from longshore.kit.backoff import backoff_s
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids

log = logging.getLogger("longshore.agent")

ROUTE = "/_longshore/machines"
#: how often it is looked whether the session is to be renewed, and with which part of its life left it is
LOOK_S = 60.0
RENEWED_WITH = 0.5
_ANSWER_S = 30.0
#: refused so often in a row, a renewal will not work any more
_MOST_REFUSALS = 5


class NotLetIn(Exception):
    """The platform knows neither a code nor a session of this machine."""


class MachineSession(msgspec.Struct, frozen=True, rename="camel"):
    access_key_id: str
    secret_access_key: str
    session_token: str
    #: seconds since the epoch
    expires_at: float
    #: when it began, by this machine's clock, and where it is good
    begun_at: float = 0.0
    endpoint: str = ""

    def __repr__(self) -> str:
        return f"MachineSession({self.access_key_id})"

    @property
    def credentials(self) -> Credentials:
        return Credentials(self.access_key_id, self.secret_access_key, self.session_token)


class _Refused(Exception):
    """The platform said no, and would again."""


class MachineCredentials:
    def __init__(self, http: aiohttp.ClientSession, config: AgentConfig, clock: Clock, ids: Ids) -> None:
        self._http = http
        self._config = config
        self._clock = clock
        self._ids = ids
        self._file = session_file(config.data_dir)
        self._session: MachineSession | None = None
        self._doubted = asyncio.Event()

    def doubt(self) -> None:
        """The platform has refused what was signed with the session: it may know nothing of it any more."""
        self._doubted.set()

    async def first(self) -> Credentials:
        """Waits for the platform. Raises NotLetIn when it does not take this machine."""
        failures = 0
        while True:
            try:
                self._keep(await self._begin())
                assert self._session is not None
                return self._session.credentials
            except PlatformUnreachable as error:
                wait = backoff_s(failures, self._ids.fraction(), first_s=0.1, most_s=5.0)
                failures += 1
                log.info("credentials wait: %s", error)
                await self._clock.sleep(wait)

    async def renew(self, api: Api) -> None:
        """For ever: has `api` sign with the newest. Raises NotLetIn when the platform does not know this machine any more."""
        refusals = 0
        while True:
            await pause(self._clock, LOOK_S, self._doubted)
            session = self._session
            if session is None or not (self._doubted.is_set() or self._is_due(session)):
                continue
            self._doubted.clear()
            try:
                self._keep(await self._begin())
            except PlatformUnreachable as error:
                log.info("the session of this machine is not renewed yet: %s", error)
            except NotLetIn as error:
                refusals += 1
                log.error("the session of this machine is not renewed: %s", error)
                if refusals >= _MOST_REFUSALS:
                    raise
            else:
                refusals = 0
                assert self._session is not None
                api.use(self._session.credentials)

    def _is_due(self, session: MachineSession) -> bool:
        life = max(0.0, session.expires_at - session.begun_at)
        return session.expires_at - self._clock.now() < RENEWED_WITH * life

    async def _begin(self) -> MachineSession:
        """By the session of the last time where there is one, by the code otherwise: a code that lets in once is not used twice."""
        kept = read_session(self._file)
        refusal = "this machine has neither a session nor a code: give one with --activation"
        if kept is not None and _place(kept.endpoint) == _place(self._config.endpoint):
            try:
                return await self._renewed(kept)
            except _Refused as error:
                refusal = str(error)
        if self._config.activation:
            try:
                return await self._let_in(self._config.activation)
            except _Refused as error:
                refusal = str(error)
        raise NotLetIn(refusal)

    async def _let_in(self, code: str) -> MachineSession:
        body = msgspec.json.encode({"code": code, "instanceId": self._config.instance_id})
        return await self._ask("POST", body, {"Content-Type": "application/json"})

    async def _renewed(self, session: MachineSession) -> MachineSession:
        url = yarl.URL(self._config.endpoint)
        host = f"{url.host}:{url.port}" if not url.is_default_port() else str(url.host)
        signed = sign(
            "PUT",
            ROUTE,
            "",
            [("host", host)],
            b"{}",
            access_key_id=session.access_key_id,
            secret_access_key=session.secret_access_key,
            session_token=session.session_token,
            region=self._config.region,
            service="longshore",
            now=self._clock.now(),
        )
        return await self._ask("PUT", b"{}", {"Host": host, **signed})

    async def _ask(self, method: str, body: bytes, headers: dict[str, str]) -> MachineSession:
        """Raises _Refused and PlatformUnreachable."""
        url = yarl.URL(f"{self._config.endpoint.rstrip('/')}{ROUTE}")
        timeout = aiohttp.ClientTimeout(total=_ANSWER_S, sock_connect=5.0)
        sent = {"User-Agent": USER_AGENT, **headers}
        try:
            async with self._http.request(method, url, data=body, headers=sent, timeout=timeout) as response:
                content = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PlatformUnreachable(f"{self._config.endpoint}: {error or type(error).__name__}") from error
        if response.status >= 500:
            raise PlatformUnreachable(f"{self._config.endpoint}: status {response.status}")
        if response.status != 200:
            raise _Refused(_said(content))
        try:
            return msgspec.json.decode(content, type=MachineSession)
        except msgspec.MsgspecError as error:
            raise PlatformUnreachable(f"{self._config.endpoint}: an answer that makes no sense: {error}") from error

    def _keep(self, session: MachineSession) -> None:
        self._session = msgspec.structs.replace(session, begun_at=self._clock.now(), endpoint=self._config.endpoint)
        write_privately(self._file, msgspec.json.encode(self._session))


def _said(content: bytes) -> str:
    try:
        said = msgspec.json.decode(content, type=dict[str, str])
    except msgspec.MsgspecError:
        return content[:500].decode(errors="replace")
    return f"{said.get('error', '')}: {said.get('message', '')}"


def session_file(data_dir: Path) -> Path:
    return data_dir / MACHINE_SESSION


def read_session(path: Path) -> MachineSession | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=MachineSession)
    except (OSError, msgspec.MsgspecError):
        return None


def _place(endpoint: str) -> str:
    return endpoint.rstrip("/").rpartition("://")[2]
