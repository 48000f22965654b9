"""Longshore's own route by which machines get, and renew, credentials of their own. The client is the agent.

    POST /_longshore/machines    {"code", "instanceId"}    a machine is let in by its code; not signed, the code says who may
    PUT  /_longshore/machines    {}                        signed with the machine's session, which may have ended lately

The answer is {"accessKeyId", "secretAccessKey", "sessionToken", "expiresAt"}. What goes over plain HTTP can be read on its way: the first
answer holds a secret key, so machines should be let in over HTTPS where others can listen.
"""

from __future__ import annotations

import logging

import msgspec
from aiohttp import web

from longshore.aws.errors import AwsError, Validation
from longshore.config import local_code
from longshore.gateway.answer import Answer
from longshore.gateway.auditing.entries import entry_of
from longshore.gateway.identify import Identities
from longshore.gateway.request import ApiRequest, read_body
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.kit.sealing import Keys
from longshore.services.call import Site
from longshore.services.ecs.machines.model import Machine
from longshore.services.ecs.machines.sessions import Drawn, let_in, renewed, session_of
from longshore.store.base import Store, StoreUnavailable

log = logging.getLogger("longshore.gateway")

ROUTE = "/_longshore/machines"
_MOST_BODY = 4096
#: in which it must have come, from whom nobody knows yet
_BODY_S = 30.0


class _Asked(msgspec.Struct, frozen=True, rename="camel"):
    code: str
    instance_id: str


class MachineCredentials(msgspec.Struct, frozen=True, rename="camel"):
    access_key_id: str
    secret_access_key: str
    session_token: str
    #: seconds since the epoch
    expires_at: float


class Machines:
    def __init__(
        self,
        store: Store,
        identities: Identities,
        clock: Clock,
        ids: Ids,
        site: Site,
        secret: Keys,
        root_secret: str,
        body_s: float = _BODY_S,
    ) -> None:
        """`root_secret` is the root's secret key: what the codes of the platform's own machine are worked out from."""
        self._store = store
        self._identities = identities
        self._clock = clock
        self._ids = ids
        self._site = site
        self._secret = secret
        self._root_secret = root_secret
        self._body_s = body_s

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            if request.path != ROUTE:
                return _json(404, {"error": "NotFound", "message": f"There is {ROUTE}."})
            body = await read_body(request, _MOST_BODY, self._body_s)
            match request.method:
                case "POST":
                    return self._noted(request, "ssm:RegisterManagedInstance", await self._let_in(body))
                case "PUT":
                    return self._noted(request, "longshore:RenewMachineCredentials", await self._renew(ApiRequest.of(request, body)))
        except AwsError as error:
            code, status = error.wire("json")
            return _json(status, {"error": code, "message": error.message})
        except (TimeoutError, ConnectionError, web.RequestPayloadError):
            return _json(408, {"error": "RequestTimeout", "message": "The body did not come."})
        except StoreUnavailable as error:
            return _json(503, {"error": "ServiceUnavailable", "message": f"Nothing can be written at present: {error}"})
        return _json(405, {"error": "MethodNotAllowed"})

    def _noted(self, request: web.BaseRequest, action: str, given: MachineCredentials) -> Answer:
        """Whoever was let in, or came again, is recorded before it learns of it. Raises StoreUnavailable."""
        principal = self._identities.owner(given.session_token)
        if (entry := entry_of(request)) is not None and principal is not None:
            entry.note(principal, action, resource=principal.role_arn)
        return _json(200, given)

    async def _let_in(self, body: bytes) -> MachineCredentials:
        try:
            asked = msgspec.json.decode(body, type=_Asked)
        except (msgspec.MsgspecError, RecursionError):
            raise Validation('The body is {"code": …, "instanceId": …}.') from None
        now, drawn = self._clock.now(), Drawn.of(self._ids)
        own = (local_code(self._root_secret, asked.instance_id), self._site.account_id)
        machine = await self._store.transact(lambda tx: let_in(tx, asked.code, asked.instance_id, now, drawn, local=own))
        log.info("machine %s was let in", machine.instance_id)
        return self._credentials(machine, now)

    async def _renew(self, request: ApiRequest) -> MachineCredentials:
        claims, now, drawn = self._identities.claims_of(request), self._clock.now(), Drawn.of(self._ids)
        return self._credentials(await self._store.transact(lambda tx: renewed(tx, claims, now, drawn)), now)

    def _credentials(self, machine: Machine, now: float) -> MachineCredentials:
        claims, token = session_of(self._store, self._secret, self._ids, machine, self._site.region, now)
        return MachineCredentials(claims.access_key_id, claims.secret_access_key, token, claims.expires_at)


def _json(status: int, body: object) -> Answer:
    return Answer(status, msgspec.json.encode(body), "application/json")
