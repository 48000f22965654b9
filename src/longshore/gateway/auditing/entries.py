"""Records of what comes in by other doors than the APIs': routes of our own, agents' sockets, sessions into containers.

Whoever answers such a request finds an `Entry` in it and says who was let in, or refused, and to do what; the record is written at once,
since a socket may stay open for days. Where what was let in then fails, a second record with the same requestID says so. A refusal of
somebody who did not get as far as a name is counted with those of all strangers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from longshore.audit.record import cut
from longshore.gateway.answer import Answer
from longshore.gateway.auditing.watcher import Auditor, Happened
from longshore.kit.ids import Ids
from longshore.services.call import Principal, Site
from longshore.store.base import StoreUnavailable

#: the APIs have their own way, and so has the registry
_ELSEWHERE = ("/v2/", "/_layers/")
#: what everybody may ask, as often as they like
_HEALTH = "/_longshore/health"
_MOST_BODY = 8_192

#: names in queries whose values open something
_SECRET = frozenset({"code", "password", "secret", "signature", "token"})

_TOO_MUCH = "ThrottlingException"

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class _Error(msgspec.Struct, frozen=True):
    error: str = ""
    message: str = ""


class Entry:
    """One request at a door."""

    def __init__(self, auditor: Auditor, request: web.BaseRequest, request_id: str, region: str) -> None:
        self._auditor = auditor
        self._request = request
        self._request_id = request_id
        self._region = region
        self._last: tuple[Principal, Happened] | None = None
        self._refused = False

    def note(
        self,
        principal: Principal,
        action: str,
        *,
        region: str = "",
        resource: str = "*",
        denied: str | None = None,
        code: str = "AccessDenied",
        parameters: dict[str, Any] | None = None,
        additional: dict[str, Any] | None = None,
    ) -> None:
        """`action` as policies name it; `denied`: why it was refused, `code`: as what. Raises StoreUnavailable."""
        prefix, _, name = action.partition(":")
        source = _source_of(prefix)
        told = _plain(self._request.rel_url.query) if parameters is None else parameters
        happened = Happened(
            source=source,
            name=name,
            region=region or self._region,
            remote=self._request.remote or "",
            user_agent=self._request.headers.get("User-Agent", ""),
            request_id=self._request_id,
            read_only=self._auditor.is_read(name) or name in ("Poll", "StartTelemetrySession", "ServeLoadBalancers"),
            parameters={"method": self._request.method, "path": self._request.path, **told},
            error=(code, denied) if denied else None,
            arns=(resource,),
            additional=additional,
            host=self._request.host if self._request.secure else "",
            cipher=self._request.get_extra_info("cipher"),
        )
        self._refused = denied is not None
        self._auditor.write(principal, happened)
        self._last = (principal, happened)

    def held_up(self, principal: Principal, action: str, *, region: str = "", resource: str = "*") -> None:
        """They ask too much: the first in a minute is recorded, the rest counted. Raises StoreUnavailable."""
        self._refused = True
        prefix, _, name = action.partition(":")
        source, remote = _source_of(prefix), self._request.remote or ""
        if self._auditor.is_first_held_up(principal, _TOO_MUCH, source, name, remote):
            self.note(principal, action, region=region, resource=resource, denied="Rate exceeded", code=_TOO_MUCH)

    def answered(self, status: int, body: bytes) -> None:
        """Raises StoreUnavailable."""
        if status < 400 or self._refused or self._request.path == _HEALTH:
            return
        code, message = _told(status, body)
        if self._last is not None:
            principal, happened = self._last
            self._auditor.write(principal, happened._replace(error=(code, message)))
        elif status in (400, 401, 403, 404, 405):
            self._auditor.note_stranger(self._request.remote or "", code, None, "", f"{self._request.method} {self._request.path}"[:200])


_KEY: web.RequestKey[Entry] = web.RequestKey("longshore.entry", Entry)


class Entries:
    """Puts an entry into each request before its handler sees it."""

    def __init__(self, auditor: Auditor, ids: Ids, site: Site) -> None:
        self._auditor = auditor
        self._ids = ids
        self._site = site

    async def answer(self, request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(_ELSEWHERE):
            return await handler(request)
        entry = Entry(self._auditor, request, self._ids.uuid(), self._site.region)
        request[_KEY] = entry
        try:
            response = await handler(request)
            entry.answered(response.status, response.content[:_MOST_BODY] if isinstance(response, Answer) else b"")
        except StoreUnavailable as problem:
            told = {"error": "ServiceUnavailable", "message": f"The state of this installation cannot be written: {problem}"}
            return Answer(503, msgspec.json.encode(told), "application/json")
        return response


def entry_of(request: web.BaseRequest) -> Entry | None:
    """None where nobody keeps records."""
    return request.get(_KEY)


def _source_of(prefix: str) -> str:
    return prefix if prefix == "longshore" else f"{prefix}.amazonaws.com"


def _plain(query: Mapping[str, str]) -> dict[str, str]:
    """What a query asks for, without what it is signed or opened with."""
    return {name: cut(value, 1_024) for name, value in query.items() if not name.startswith("X-Amz-") and name.lower() not in _SECRET}


def _told(status: int, body: bytes) -> tuple[str, str]:
    try:
        found = msgspec.json.decode(body, type=_Error)
        return found.error or f"HTTP {status}", found.message
    except msgspec.MsgspecError:
        return f"HTTP {status}", ""
