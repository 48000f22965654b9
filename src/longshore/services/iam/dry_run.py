"""What a changed policy would have done to calls that there were: which it would have denied, which it would have allowed newly. Pure.

Each recorded call is decided twice, with the policies as they are and as they would be, in the circumstances it was recorded in and by
the evaluator that decides about requests. What is compared is what was: a call that was allowed and would be denied breaks; one that was
refused and would be allowed is opened. What the policies of a session took away is taken as given: a call that was allowed was within them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from longshore.services.call import Principal, Session
from longshore.services.iam.deciding import Context, Heard
from longshore.services.iam.dry_run_changes import Source, Standing
from longshore.services.iam.evaluator import Decision, Limit, decide
from longshore.services.iam.identities import global_context
from longshore.services.iam.policy import Statement
from longshore.services.iam.recording_model import Circumstances, RecordedCall

#: condition keys that are not kept with a call, since they follow from who called and when
_REBUILT = (
    *("aws:currenttime", "aws:epochtime", "aws:userid", "aws:principalaccount"),
    *("aws:viaawsservice", "aws:principalisawsservice"),
)
_KINDS = {"boundary": "permissions boundary", "session": "session policy", "resource": "resource-based policy"}


class Verdict(NamedTuple):
    allowed: bool
    explicit: bool
    #: identity, resource, boundary or session: where it was decided, or where an Allow was lacking
    side: str
    #: where the deciding statement stands, and its place there; None where none decided
    source: Source | None
    statement: int | None
    #: all that in words
    why: str


class Case(NamedTuple):
    call: RecordedCall
    principal: Principal
    #: as it is heard now
    heard: Heard
    before: Standing
    after: Standing


class Difference(NamedTuple):
    call: RecordedCall
    before: Verdict
    after: Verdict


class Replay(NamedTuple):
    #: calls that were allowed and would be denied, the most frequent first
    breaks: tuple[Difference, ...]
    #: calls that were denied and would be allowed
    opens: tuple[Difference, ...]
    #: calls that would be decided as they were, by name and by number
    unchanged: int
    #: calls that the policies of today decide otherwise than they were decided then, whatever is changed
    since_changed: int
    #: requests behind `breaks`
    requests_denied: int


def replay(cases: Iterable[Case]) -> Replay:
    breaks, opens, unchanged, since_changed = [], [], 0, 0
    for call, principal, heard, before, after in cases:
        context = context_of(call, principal)
        now = verdict(principal, call.action, call.resource, context, heard, before)
        then = verdict(principal, call.action, call.resource, context, heard, after)
        if now.allowed is not bool(call.allowed):
            since_changed += 1
        if call.allowed and not then.allowed:
            breaks.append(Difference(call, now, then))
        elif call.denied and then.allowed and not now.allowed:
            opens.append(Difference(call, now, then))
        else:
            unchanged += 1
    return joined([Replay(tuple(breaks), tuple(opens), unchanged, since_changed, sum(one.call.allowed for one in breaks))])


def joined(parts: Iterable[Replay]) -> Replay:
    """Several as one, in order."""
    listed = list(parts)
    breaks = sorted(
        (one for part in listed for one in part.breaks), key=lambda one: (-one.call.allowed, one.call.action, one.call.resource)
    )
    opens = sorted((one for part in listed for one in part.opens), key=lambda one: (-one.call.denied, one.call.action, one.call.resource))
    numbers = (sum(part.unchanged for part in listed), sum(part.since_changed for part in listed))
    return Replay(tuple(breaks), tuple(opens), *numbers, sum(part.requests_denied for part in listed))


def caller_of(call: RecordedCall, account_id: str) -> Principal:
    """Who called, as far as it was kept: of a role the last of its sessions."""
    arn = call.principal
    if ":role/" not in arn:
        return Principal(account_id, arn, call.user_id, "")
    role = arn.rpartition("/")[2]
    session = Session(arn, call.user_id.partition(":")[0], 0.0, 0.0, "")
    return Principal(account_id, f"arn:aws:sts::{account_id}:assumed-role/{role}/{call.session_name}", call.user_id, "", session=session)


def context_of(call: RecordedCall, principal: Principal) -> Context:
    """The circumstances of a call, at the moment it was last made. Moments that were not kept are not there."""
    every = global_context(principal, now=call.last_at, region="", source_ip="", secure=False, user_agent="")
    context: dict[str, Sequence[str]] = {key: every[key] for key in _REBUILT}
    if call.user_agent:
        context["aws:useragent"] = (call.user_agent,)
    context.update(call.circumstances)
    return context


def verdict(principal: Principal, action: str, resource: str, context: Context, heard: Heard, standing: Standing) -> Verdict:
    """What is decided where `standing` is what the principal has, beside what the resource and the session say."""
    limits = [limit for limit in heard.limits if limit.side == "session"]
    if standing.boundary is not None:
        limits = [Limit("boundary", standing.bounds), *limits]
    own = () if principal.identity_arn.endswith(":root") else standing.own
    decision = decide(own, heard.its, action, resource, context, principal, limits=limits, resource_must_allow=heard.must_allow)
    source, number = _where(decision, standing)
    return Verdict(decision.allowed, decision.explicit_deny, decision.side, source, number, _words(decision, source, number))


def _where(decision: Decision, standing: Standing) -> tuple[Source | None, int | None]:
    """The policy of the principal's that the deciding statement stands in, and which it is."""
    if decision.statement is None:
        return None, None
    bounds = [standing.boundary] if standing.boundary is not None and standing.boundary.document else []
    for source in (*standing.sources, *bounds):
        for number, statement in enumerate(source.policy.statements):
            if statement is decision.statement:
                return source, number
    return None, None


def _words(decision: Decision, source: Source | None, number: int | None) -> str:
    kind = _KINDS.get(decision.side, "identity-based policy")
    if decision.statement is None:
        return f"no {kind} allows it" if not decision.allowed else "the root may"
    effect = "allows" if decision.allowed else "denies"
    if source is None:  # the resource's, whose words may be another account's, or the session's
        return f"a {_KINDS['resource'] if decision.statement.principals is not None else kind} {effect} it"
    return f"{source.name}, statement {(number or 0) + 1}{_sid(decision.statement)}, {effect} it"


def _sid(statement: Statement) -> str:
    return f" ({statement.sid})" if statement.sid else ""


def once(calls: Iterable[RecordedCall]) -> list[RecordedCall]:
    """Calls of several recordings, each once: what two have seen is counted as often as the one that has seen more of it."""
    found: dict[tuple[str, str, str, Circumstances], RecordedCall] = {}
    for call in calls:
        key = (call.principal, call.action, call.resource, call.circumstances)
        known = found.get(key)
        if known is None or (known.allowed + known.denied, known.last_at) < (call.allowed + call.denied, call.last_at):
            found[key] = call
    return list(found.values())


def unkept_keys(asked: Iterable[str], not_kept: Iterable[str]) -> tuple[str, ...]:
    """Condition keys that policies ask for and recordings do not have."""
    missing = {key.lower() for key in not_kept}
    return tuple(sorted({key for key in asked if key.lower() in missing}, key=str.lower))
