"""Every API request becomes a record before its answer leaves.

What is alike in the records of one operation, one caller, one connection is worked out once and kept. A request whose record cannot be
written is not answered (StoreUnavailable, a 503 to the client), unless the installation was started to do what it can: what was
changed by it stays changed then, so a client that tries again must find its own write, as after any answer that is lost on its way.
A call that reached into another account is in the records of both.
"""

from __future__ import annotations

import logging
import re
from typing import Any, NamedTuple

import msgspec

from longshore.audit.log import AuditLog, AuditUnavailable
from longshore.audit.record import Known, Particular, Resource, cut, known_of, line_of, moment
from longshore.aws.errors import AwsError, Throttling
from longshore.gateway.attempt import Attempt
from longshore.gateway.auditing.identity import Identities, from_another_account, of_nobody
from longshore.gateway.auditing.nobody import Counted, Strangers
from longshore.gateway.auditing.parameters import written
from longshore.gateway.auditing.resources import made, owners, resources_of
from longshore.gateway.request import ApiRequest
from longshore.kit.addresses import network_of
from longshore.kit.clock import Clock
from longshore.kit.ids import Ids
from longshore.services.call import Principal, Site
from longshore.store.base import StoreUnavailable

log = logging.getLogger("longshore.audit")

#: what operations begin with that change nothing
_READS = (
    *("BatchCheck", "BatchGet", "Decode", "Describe", "Discover", "Explain", "Get", "List"),
    *("Lookup", "Preview", "Search", "Simulate", "Trace", "Validate"),
)
#: reads whose answer is recorded all the same, without its secrets: what was handed out
_HANDED_OUT = frozenset({"AssumeRole", "AssumeRoleWithWebIdentity", "GetSessionToken", "GetFederationToken"})
_KEY = re.compile(r"Credential=([A-Za-z0-9]{1,128})/")
_LONGEST_AGENT = 1_024
#: beginnings of records kept, and how many characters of what tells them apart: a few MiB in all, whatever clients say
_MOST_KEPT, _LONGEST_KEPT = 4_096, 1_000
#: what requests are recorded under that name no API
_UNKNOWN = "unknown"


class Happened(NamedTuple):
    """What a record is made of, beside who."""

    source: str
    name: str
    region: str
    remote: str
    user_agent: str
    request_id: str
    read_only: bool
    parameters: Any = None
    answer: Any = None
    error: tuple[str, str] | None = None
    arns: tuple[str, ...] = ()
    additional: dict[str, Any] | None = None
    #: of a TLS connection: the host the client named, then suite and version; "" for plain HTTP
    host: str = ""
    cipher: tuple[str, str, int] | None = None


class Auditor:
    """`best_effort`: what cannot be recorded is answered all the same, and said in the server's log."""

    def __init__(self, audit: AuditLog, clock: Clock, ids: Ids, site: Site, *, best_effort: bool = False) -> None:
        self._audit = audit
        self._clock = clock
        self._ids = ids
        self._site = site
        self._best_effort = best_effort
        self._identities = Identities()
        self._strangers = Strangers()
        self._held_up = Strangers()
        #: (API, operation) -> changes nothing
        self._reads: dict[str, bool] = {}
        self._missed = 0
        #: what records of one caller, operation and connection have in common
        self._known: dict[tuple[int | str, ...], tuple[msgspec.Raw, bytes]] = {}
        #: eventIDs of this process: drawn once, then counted
        self._series = ids.uuid()[:24]
        self._count = 0

    # ── API requests ──

    def note(self, attempt: Attempt) -> None:
        """Raises StoreUnavailable."""
        identified, api, request, error = attempt.identified, attempt.api, attempt.request, attempt.error
        code = error.wire(_protocol(attempt))[0] if error is not None else ""
        if identified is None:
            service = api.model.signing_name if api is not None else ""
            self.note_stranger(request.remote, code, request, service, attempt.operation_name, attempt.request_id)
            return
        name = attempt.operation_name or _UNKNOWN
        source = f"{_source(attempt)}.amazonaws.com"
        too_much = isinstance(error, Throttling)
        if too_much and not self.is_first_held_up(identified.principal, code, source, name, request.remote):
            return
        read_only = self.is_read(name)
        parsed, response = attempt.parsed, attempt.response
        answer = None
        if response is not None and (not read_only or name in _HANDED_OUT):
            answer = written(response)
        is_global = api is not None and api.model.global_endpoint
        self.write(
            identified.principal,
            Happened(
                source=source,
                name=name,
                region=self._site.region if is_global else identified.region,
                remote=request.remote,
                user_agent=request.headers.get("user-agent", ""),
                request_id=attempt.request_id,
                read_only=read_only,
                parameters=(written(parsed) or None) if parsed is not None else None,
                answer=answer,
                error=(code, error.message) if error is not None else None,
                arns=(*_acted_on(attempt), *(made(answer) if answer else ())),
                host=request.headers.get("host", "") if request.secure else "",
                cipher=request.cipher,
            ),
        )

    def is_read(self, name: str) -> bool:
        known = self._reads.get(name)
        if known is None:
            known = name.removeprefix("Longshore").startswith(_READS) or name in _HANDED_OUT
            if len(self._reads) < 4_096:  # names are whatever clients say
                self._reads[name] = known
        return known

    def note_stranger(
        self, remote: str, code: str, request: ApiRequest | None, service: str = "", operation: str = "", request_id: str = ""
    ) -> None:
        """A request that nobody is behind. Raises StoreUnavailable."""
        now = self._clock.now()
        if not self._strangers.is_first(network_of(remote), code, now, service, operation):
            return
        claimed = _KEY.search(request.headers.get("authorization", "")) if request is not None else None
        agent = request.headers.get("user-agent", "") if request is not None else ""
        happened = Happened(
            source=f"{service or _UNKNOWN}.amazonaws.com",
            name=operation or _UNKNOWN,
            region=self._site.region,
            remote=remote,
            user_agent=agent,
            request_id=request_id,
            read_only=True,
            error=(code, "") if code else None,
        )
        self._append(self._line(of_nobody(claimed[1] if claimed else ""), happened, self._site.account_id, ()), 1)

    def is_first_held_up(self, principal: Principal, code: str, source: str, operation: str, remote: str) -> bool:
        """Whether a request of somebody who asks too much is to be recorded; otherwise it has been counted."""
        return self._held_up.is_first(network_of(remote), code, self._clock.now(), source, cut(operation, 256), principal)

    def tick(self, *, at_the_end: bool = False) -> None:
        """Write down how many there were in the minutes that are over. Once a second, and when the server stops."""
        now = self._clock.now()
        for counted in (*self._strangers.over(now, all_of_them=at_the_end), *self._held_up.over(now, all_of_them=at_the_end)):
            who, account_id, happened = of_nobody(""), "", _happened(counted, self._site.region)
            if (principal := counted.principal) is not None:
                who, account_id = self._identities.of(principal), principal.account_id
                happened = happened._replace(source=counted.service, read_only=self.is_read(counted.operation))
            try:
                self._append(self._line(who, happened, account_id or self._site.account_id, ()), 1)
            except StoreUnavailable as problem:
                log.error("%d refused attempts of %s are not recorded: %s", counted.further, counted.source or "many", problem)

    # ── anything ──

    def write(self, principal: Principal, happened: Happened) -> None:
        """Raises StoreUnavailable."""
        resources = resources_of(happened.arns) if happened.arns else ()
        others = owners(resources, principal.account_id) if resources else []
        own = principal.account_id or self._site.account_id
        who = self._identities.of(principal)
        if not others:
            self._append(self._line(who, happened, own, resources), 1)
            return
        shared = self._ids.uuid()
        lines = [self._line(who, happened, own, resources, shared)]
        for account_id in others:
            its = tuple(resource for resource in resources if resource.account_id == account_id)
            # a federated caller shows who vouches for it, as AWS does
            lines.append(self._line(who if principal.provider_arn else from_another_account(principal), happened, account_id, its, shared))
        self._append(b"".join(lines), len(lines))

    def _line(
        self, who: msgspec.Raw, happened: Happened, recipient: str, resources: tuple[Resource, ...], shared: str | None = None
    ) -> bytes:
        error = happened.error
        self._count += 1
        particular = Particular(
            event_time=moment(int(self._clock.now())),
            error_code=error[0] if error else None,
            error_message=cut(error[1]) if error and error[1] else None,
            request_parameters=happened.parameters,
            response_elements=happened.answer,
            additional=happened.additional,
            request_id=happened.request_id,
            event_id=f"{self._series}{self._count:012x}",
            resources=resources,
            shared_event_id=shared,
        )
        return line_of(self._known_of(who, happened, recipient), particular)

    def _known_of(self, who: msgspec.Raw, happened: Happened, recipient: str) -> bytes:
        # `who` is the very same object for the same caller, as long as it is kept
        key = (id(who), recipient, happened.name, happened.source, happened.region, happened.remote, happened.user_agent, happened.host)
        kept = self._known.get(key)
        if kept is not None and kept[0] is who:
            return kept[1]
        known = known_of(
            Known(
                user_identity=who,
                event_source=happened.source,
                event_name=cut(happened.name, 256),
                region=cut(happened.region, 64),
                source_ip=happened.remote,
                user_agent=cut(happened.user_agent, _LONGEST_AGENT),
                read_only=happened.read_only,
                recipient=recipient,
                tls=_tls(happened),
            )
        )
        if sum(len(part) for part in key if isinstance(part, str)) <= _LONGEST_KEPT:
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[key] = (who, known)
        return known

    def _append(self, lines: bytes, count: int) -> None:
        try:
            self._audit.append(lines, count)
        except AuditUnavailable as problem:
            if not self._best_effort:
                raise StoreUnavailable(str(problem)) from None
            if not self._missed:
                log.error("requests are answered without being recorded: %s", problem)
            self._missed += count
            return
        if self._missed:
            log.error("%d requests were answered without being recorded", self._missed)
            self._missed = 0


def _tls(happened: Happened) -> dict[str, str] | None:
    if not happened.host:
        return None
    told = {"clientProvidedHostHeader": cut(happened.host, 255)}
    return told if happened.cipher is None else {"tlsVersion": happened.cipher[1], "cipherSuite": happened.cipher[0], **told}


def _protocol(attempt: Attempt) -> str:
    return attempt.api.model.protocol if attempt.api is not None else "json"


def _source(attempt: Attempt) -> str:
    """What stands before amazonaws.com."""
    if attempt.api is not None:
        return attempt.api.model.endpoint_prefix.removeprefix("api.")
    return attempt.identified.service if attempt.identified is not None else _UNKNOWN


def _acted_on(attempt: Attempt) -> tuple[str, ...]:
    """What the operation's declaration says it acts on, also where it was refused."""
    if attempt.resources is not None:
        return attempt.resources
    if attempt.operation is None or attempt.call is None or not attempt.operation.action:
        return ()
    try:
        return tuple(attempt.operation.resource(attempt.call, attempt.parsed))
    except AwsError:
        return ()


def _happened(counted: Counted, region: str) -> Happened:
    return Happened(
        source=f"{counted.service or _UNKNOWN}.amazonaws.com",
        name=counted.operation or _UNKNOWN,
        region=region,
        remote=counted.source,
        user_agent="",
        request_id="",
        read_only=True,
        error=(counted.code, "") if counted.code else None,
        additional={
            "furtherAttempts": counted.further,
            "since": moment(int(counted.since)),
            "until": moment(int(counted.until)),
            **({} if counted.source or counted.principal else {"fromMoreThan": "200 sources and refusals in a minute"}),
        },
    )
