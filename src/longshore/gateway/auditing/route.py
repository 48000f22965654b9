"""Longshore's own routes for the audit log; `longshore audit` is their client.

    GET /_longshore/audit?who=&action=&resource=&since=&until=&outcome=&account=&region=&limit=     longshore:LookupAuditRecords
    GET /_longshore/audit?…&follow=yes         the same, then every record as it is written           longshore:LookupAuditRecords
    GET /_longshore/audit/digests              the public key, and which digests there are            longshore:GetAuditDigests

The first two answer records as JSON lines, the oldest first: the last `limit` (50) of those that match, of all accounts unless one is
named. Times are seconds since the epoch; `outcome` is errors or denied. Signed like any AWS request (service `longshore`). The root user of
the installation's account may, and whoever has the action allowed on `*` in that account; others have cloudtrail LookupEvents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from aiohttp import web

from longshore.audit.layout import public_pem
from longshore.audit.log import AuditLog, AuditUnavailable
from longshore.audit.lookup import Match, Place, Query
from longshore.aws.errors import AwsError, Validation
from longshore.gateway.admission import admit
from longshore.gateway.answer import Answer
from longshore.gateway.authorise import Access
from longshore.gateway.identify import Identified, Identities
from longshore.gateway.request import ApiRequest
from longshore.kit.clock import Clock
from longshore.services.call import Site
from longshore.services.cloudtrail.searching import Filter, denied, doing, done_by, failed, query_of, to
from longshore.store.base import StoreUnavailable

ROUTE = "/_longshore/audit"
LOOKUP = "longshore:LookupAuditRecords"
_DIGESTS = f"{ROUTE}/digests"
_MOST, _USUAL = 10_000, 50
_LONGEST = 2_048
_KNOWN = frozenset({"who", "action", "resource", "since", "until", "outcome", "account", "region", "limit", "follow"})
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")
#: a line is sent at least so often, so that a reader knows that somebody is there
_QUIET_S = 5.0
#: matches read at a time while following
_STRIDE = 500


class Digests(msgspec.Struct, frozen=True, rename="camel"):
    public_key: str
    fingerprint: str
    first: int
    last: int
    last_hash_value: str


class AuditRoute:
    def __init__(self, *, audit: AuditLog, identities: Identities, access: Access, clock: Clock, site: Site) -> None:
        self._audit = audit
        self._identities = identities
        self._access = access
        self._clock = clock
        self._site = site

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            if request.path not in (ROUTE, _DIGESTS):
                return _json(404, {"error": "NotFound", "message": f"There are {ROUTE} and {_DIGESTS}."})
            if request.method != "GET":
                return _json(405, {"error": "MethodNotAllowed"})
            if request.path == _DIGESTS:
                self._require(request, "longshore:GetAuditDigests")
                return _json(200, self._digests())
            identified = self._require(request, LOOKUP)
            given = request.rel_url.query
            query, limit = _query(given, self._clock.now()), _limit(given)
            until = self._audit.end()
            found = await self._last(query, limit, until)
            if given.get("follow") == "yes":
                return await self._follow(request, identified, query, found, until)
            return Answer(200, b"".join(match.line + b"\n" for match in found), "application/x-ndjson")
        except AwsError as error:
            code, status = error.wire("json")
            return _json(status, {"error": code, "message": error.message})
        except (AuditUnavailable, StoreUnavailable) as problem:
            return _json(503, {"error": "ServiceUnavailable", "message": str(problem)})

    def _require(self, request: web.BaseRequest, action: str) -> Identified:
        # The signature says that there is no body: one that comes all the same is none of its.
        identified = self._identities.identify(ApiRequest.of(request, b""))
        admit(self._access, request, identified.principal, identified.region, action, account_id=self._site.account_id)
        return identified

    def _may_go_on(self, request: web.BaseRequest, identified: Identified) -> bool:
        """Whether who was let in would be now: a key may go, a session end and a policy change while somebody reads on."""
        session = identified.principal.session
        owner = self._identities.owner(session.token if session is not None else identified.principal.access_key_id)
        if owner is None or owner.user_id != identified.principal.user_id:
            return False
        denied = self._access.denial(
            owner,
            LOOKUP,
            "*",
            region=identified.region,
            source_ip=request.remote or "",
            secure=request.secure,
            user_agent=request.headers.get("User-Agent", ""),
        )
        return denied is None

    def _digests(self) -> Digests:
        closer = self._audit.closer
        return Digests(public_pem(closer.public).decode(), closer.fingerprint, closer.first, closer.last, closer.last_hash)

    async def _last(self, query: Query, limit: int, until: Place) -> list[Match]:
        """The last `limit` matches before `until`, the oldest first."""
        found: list[Match] = []
        place: Place | None = until
        while place is not None and len(found) < limit:
            page = await self._audit.search(query, limit - len(found), place)
            found += page.matches
            place = page.more
        return found[::-1]

    async def _follow(
        self, request: web.BaseRequest, identified: Identified, query: Query, found: list[Match], until: Place
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            while self._may_go_on(request, identified):
                for match in found:
                    await response.write(match.line + b"\n")
                seen = until
                if not await self._audit.grown_since(seen, _QUIET_S):
                    if self._audit.is_over:
                        break
                    await response.write(b"\n")
                    found = []
                    continue
                until = self._audit.end()
                found = await self._since(query, seen, until)
        except (ConnectionError, AuditUnavailable):
            return response
        await response.write_eof()
        return response

    async def _since(self, query: Query, seen: Place, until: Place) -> list[Match]:
        found: list[Match] = []
        place: Place | None = until
        while place is not None and place > seen:
            page = await self._audit.search(query, _STRIDE, place)
            fresh = [match for match in page.matches if match.place >= seen]
            found += fresh
            if len(fresh) < len(page.matches):
                break
            place = page.more
        return found[::-1]


def _query(given: Mapping[str, str], now: float) -> Query:
    """Raises Validation."""
    for name, value in given.items():
        if name not in _KNOWN:
            raise Validation(f"{name[:40]!r} is not known: there are {', '.join(sorted(_KNOWN))}")
        if len(value) > _LONGEST:
            raise Validation(f"the value of {name} is too long")
    filters: list[Filter] = []
    for name, filter_of in (("action", doing), ("resource", to), ("who", done_by)):
        if asked := given.get(name):
            filters.append(filter_of(asked))
    outcome = given.get("outcome", "")
    if outcome not in ("", "errors", "denied"):
        raise Validation(f"outcome is {outcome[:20]!r}; it must be errors or denied")
    if outcome:
        filters.append(denied() if outcome == "denied" else failed())
    since, until = (_moment(given, name) for name in ("since", "until"))
    return query_of(
        tuple(filters),
        account_id=given.get("account", ""),
        region=given.get("region", ""),
        since=since if since is not None else 0.0,
        until=until if until is not None else float("inf"),
    )


def _moment(given: Mapping[str, str], name: str) -> float | None:
    value = given.get(name)
    if not value:
        return None
    if _NUMBER.fullmatch(value) is None:
        raise Validation(f"{name} is {value[:40]!r}; it must be a number of seconds")
    return float(value)


def _limit(given: Mapping[str, str]) -> int:
    value = given.get("limit", str(_USUAL))
    if not (value.isascii() and value.isdigit() and len(value) < 7 and 0 <= int(value) <= _MOST):
        raise Validation(f"limit is {value[:20]!r}; it must be a whole number up to {_MOST}")
    return int(value)


def _json(status: int, body: object) -> Answer:
    return Answer(status, msgspec.json.encode(body), "application/json")
