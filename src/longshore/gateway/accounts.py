"""Longshore's own routes for further accounts; `longshore account` is their client.

    GET  /_longshore/accounts               the accounts that have a root user                    longshore:ListAccounts
    POST /_longshore/accounts?id=ACCOUNT    a new key of that account's root, shown this once     longshore:CreateAccountKey

An account exists from its root's first key on, with a default network as at AWS, and shares nothing with others but what
policies of resources open. Signed like any AWS request (service `longshore`). The root user of the installation's account may, and
whoever has the action allowed on `*` in that account.
"""

from __future__ import annotations

import logging
import re

import msgspec
from aiohttp import web

from longshore.aws.errors import AwsError, Validation
from longshore.gateway.admission import admit
from longshore.gateway.answer import Answer
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identified, Identities
from longshore.gateway.request import ApiRequest
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.call import Site
from longshore.services.ec2.defaults import ensure_default_network
from longshore.services.iam.lookup import new_id, new_secret
from longshore.services.iam.model import ACCESS_KEYS, AccessKey, root_arn
from longshore.store.base import Store, StoreUnavailable, Tx

log = logging.getLogger("longshore.gateway")

ROUTE = "/_longshore/accounts"
#: as many as IAM allows a root
_MOST_KEYS = 2
_ID = re.compile(r"[0-9]{12}")


class TooManyKeys(AwsError):
    """The account's root has two keys already: it can delete one with IAM's DeleteAccessKey."""

    status = 409


class Account(msgspec.Struct, frozen=True, rename="camel"):
    account_id: str
    #: active and inactive ones of its root
    root_keys: int


class NewKey(msgspec.Struct, frozen=True, rename="camel"):
    account_id: str
    access_key_id: str
    secret_access_key: str


class Accounts:
    def __init__(self, *, store: Store, identities: Identities, access: Access, clock: Clock, ids: Ids, site: Site) -> None:
        self._store = store
        self._identities = identities
        self._access = access
        self._clock = clock
        self._ids = ids
        self._site = site

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != ROUTE:
            return _json(404, {"error": "NotFound", "message": f"There is {ROUTE}."})
        try:
            match request.method:
                case "GET":
                    self._require(request, "longshore:ListAccounts")
                    return _json(200, {"accounts": self.listed()})
                case "POST":
                    self._require(request, "longshore:CreateAccountKey")
                    return _json(200, await self.add(request.rel_url.query.get("id", "")))
        except AwsError as error:
            code, status = error.wire("json")
            return _json(status, {"error": code, "message": error.message})
        except StoreUnavailable as error:
            return _json(503, {"error": "ServiceUnavailable", "message": f"Nothing can be written at present: {error}"})
        return _json(405, {"error": "MethodNotAllowed"})

    def _require(self, request: web.BaseRequest, action: str) -> None:
        # The signature says that there is no body: one that comes all the same is none of its.
        identified: Identified = self._identities.identify(ApiRequest.of(request, b""))
        admit(self._access, request, identified.principal, identified.region, action, account_id=self._site.account_id)

    def listed(self) -> list[Account]:
        """By id."""
        counts: dict[str, int] = {}
        for key in self._store.list(ACCESS_KEYS):
            if key.principal_arn == root_arn(key.account_id):
                counts[key.account_id] = counts.get(key.account_id, 0) + 1
        return [Account(account_id, count) for account_id, count in sorted(counts.items())]

    async def add(self, account_id: str) -> NewKey:
        """Raises Validation and TooManyKeys."""
        if not _ID.fullmatch(account_id):
            raise Validation(f"{account_id[:40]!r} is no account id: it has 12 digits.")
        now, root = self._clock.now(), root_arn(account_id)
        key = AccessKey(new_id(self._ids, "AKIA", 20), account_id, root, new_secret(self._ids), now)

        def put(tx: Tx) -> None:
            if tx.count(ACCESS_KEYS, "principal", root) >= _MOST_KEYS:
                raise TooManyKeys
            tx.create(ACCESS_KEYS, key)
            ensure_default_network(tx, account_id, self._site.region, self._site.zones, now)

        await self._store.transact(put)
        log.info("%s: a key %s for the root of this account", account_id, key.access_key_id)
        return NewKey(account_id, key.access_key_id, key.secret_access_key)


def _json(status: int, body: object) -> Answer:
    return Answer(status, msgspec.json.encode(body), "application/json")
