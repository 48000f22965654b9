"""Why somebody may, or may not: every policy that has a say, what each of its statements said to the question, which one decided, and what
would have to be said for it to be allowed. Pure.

The decision is the evaluator's, and the statements are asked with its own functions (`tracing.py`). What would help is found by helping:
statements that deny are taken away, the smallest statement that is lacking is added where it is lacking, and the evaluator is asked again
until it allows. So what is proposed is known to suffice.

Where one side belongs to an account that the asker does not speak for, its policies are not shown, and the answer is what the other
side says.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec

from longshore.services.call import Principal
from longshore.services.iam.deciding import Context
from longshore.services.iam.document import Place
from longshore.services.iam.dry_run_changes import Source
from longshore.services.iam.evaluator import Decision, Limit, Side, decide, resource_account
from longshore.services.iam.identities import access_denied_message
from longshore.services.iam.minimal_patterns import literal
from longshore.services.iam.policy import CURRENT_VERSION, Policy, Statement, compile_policy
from longshore.services.iam.simulation import context_keys
from longshore.services.iam.tracing import Named, Traced, trace

UNDETERMINED = "undetermined"


class Voice(NamedTuple):
    """A policy that has a say."""

    side: Side
    source: Source
    #: as it is heard; None where a boundary's policy is gone, which then allows nothing
    policy: Policy | None


class Question(NamedTuple):
    principal: Principal
    action: str
    resource: str
    context: Context
    #: in the order in which they are heard
    voices: tuple[Voice, ...]
    #: limits that there are, whether or not a policy stands behind them
    bounded: bool
    #: the resource's own policy must allow, also at home
    must_allow: bool
    #: resources of this kind can have policies of their own
    shares: bool
    #: the policies of the principal, or of the resource, are another account's affair
    hides: frozenset[Side] = frozenset()


class Said(NamedTuple):
    """One statement, and what it said."""

    traced: Traced
    #: as written, on one line
    text: str
    place: Place | None
    decides: bool


class Spoken(NamedTuple):
    voice: Voice
    statements: tuple[Said, ...]


class Remedy(NamedTuple):
    """Something without which it stays refused."""

    side: Side
    #: add: a statement; change: one that denies
    verb: str
    #: the user, role or resource whose policy it is
    holder_arn: str
    account_id: str
    #: of what is to be changed, or added to; empty where any will do
    policy_name: str
    #: JSON
    statement: str
    words: str


class Explanation(NamedTuple):
    #: allowed, explicitDeny, implicitDeny; undetermined where another account decides
    decision: str
    #: as AWS refuses; empty where it does not
    message: str
    spoken: tuple[Spoken, ...]
    #: condition keys that matter and that the question does not have
    missing: tuple[str, ...]
    remedies: tuple[Remedy, ...]
    notes: tuple[str, ...]


_EVERYTHING = {"Effect": "Allow", "Action": "*"}


def _policy_of(*statements: dict[str, Any], resource_based: bool = False) -> Policy:
    document = json.dumps({"Version": CURRENT_VERSION, "Statement": list(statements)})
    return compile_policy(document, resource_based=resource_based)


def explain(question: Question) -> Explanation:
    policies = _Policies.of(question)
    decision = policies.decided(question)
    told = UNDETERMINED if decision.allowed and question.hides else _WORDS[decision.allowed, decision.explicit_deny]
    refused = not decision.allowed
    message = (
        access_denied_message(question.principal, question.action, question.resource, explicit=decision.explicit_deny, side=decision.side)
        if refused
        else ""
    )
    return Explanation(
        told,
        message,
        tuple(_spoken(question, voice, decision) for voice in question.voices),
        _missing(question),
        tuple(_remedies(question, policies)) if refused else (),
        tuple(_notes(question, decision)),
    )


_WORDS = {(True, False): "allowed", (False, True): "explicitDeny", (False, False): "implicitDeny"}


class _Policies(NamedTuple):
    """What is heard, side by side."""

    identity: tuple[Policy, ...]
    resource: tuple[Policy, ...]
    boundary: tuple[Policy, ...] | None
    session: tuple[Policy, ...] | None

    @classmethod
    def of(cls, question: Question) -> _Policies:
        def on(side: Side) -> tuple[Policy, ...]:
            return tuple(voice.policy for voice in question.voices if voice.side == side and voice.policy is not None)

        identity, resource = on("identity"), on("resource")
        if "identity" in question.hides:
            identity = (_policy_of({**_EVERYTHING, "Resource": "*"}),)
        if "resource" in question.hides:
            resource = (_policy_of({**_EVERYTHING, "Principal": "*"}, resource_based=True),)
        is_limited = any(voice.side == "session" for voice in question.voices)
        return cls(identity, resource, on("boundary") if question.bounded else None, on("session") if is_limited else None)

    def decided(self, question: Question) -> Decision:
        limits = []
        if self.boundary is not None:
            limits.append(Limit("boundary", self.boundary))
        if self.session is not None:
            limits.append(Limit("session", self.session))
        return decide(
            self.identity,
            self.resource,
            question.action,
            question.resource,
            question.context,
            question.principal,
            limits=limits,
            resource_must_allow=question.must_allow,
        )

    def with_one_more(self, side: Side, policy: Policy) -> _Policies:
        return self._replace(**{side: (*(getattr(self, side) or ()), policy)})

    def without(self, side: Side, statement: Statement) -> _Policies:
        kept = tuple(
            replace(policy, statements=tuple(one for one in policy.statements if one is not statement))
            for policy in getattr(self, side) or ()
        )
        return self._replace(**{side: kept})


# ── what was said ───────────────────────────────────────────────────────────────────────────────────────────────────


def _spoken(question: Question, voice: Voice, decision: Decision) -> Spoken:
    if voice.policy is None:
        return Spoken(voice, ())
    named = Named(voice.source.name, voice.side, voice.policy)
    traced = trace([named], question.action, question.resource, question.context, question.principal)
    texts, places = _written(voice.source)
    return Spoken(
        voice,
        tuple(
            Said(
                one,
                texts[one.index] if one.index < len(texts) else "",
                places[one.index] if one.index < len(places) else None,
                statement is decision.statement,
            )
            for one, statement in zip(traced, voice.policy.statements, strict=True)
        ),
    )


def _written(source: Source) -> tuple[list[str], tuple[Place, ...]]:
    """The statements of a policy as they were written, and where they stand in it."""
    raw = _statements(source.document)
    return [msgspec.json.encode(one).decode() for one in raw], compile_policy(source.document, resource_based=source.resource_based).places


def _statements(document: str) -> list[dict[str, Any]]:
    statements = msgspec.json.decode(document)["Statement"]
    return statements if isinstance(statements, list) else [statements]


def _missing(question: Question) -> tuple[str, ...]:
    """Keys asked for by statements about the principal and the action; in conditions only where the resource is theirs, too."""
    asked: list[str] = []
    known = {key.lower() for key in question.context}
    for voice in question.voices:
        if voice.policy is None:
            continue
        raw = _statements(voice.source.document)
        named = Named(voice.source.name, voice.side, voice.policy)
        for one in trace([named], question.action, question.resource, question.context, question.principal):
            if one.missed in ("principal", "action") or one.index >= len(raw):
                continue
            statement = {key: value for key, value in raw[one.index].items() if key != "Condition" or one.missed != "resource"}
            asked.append(json.dumps({"Statement": [statement]}))
    return tuple(key for key in context_keys(asked) if key.lower() not in known)


def _notes(question: Question, decision: Decision) -> Iterable[str]:
    owner = resource_account(question.resource)
    principal = question.principal
    if owner and owner != principal.account_id:
        yield f"The resource belongs to account {owner}, the principal to {principal.account_id}: both must allow."
    if "identity" in question.hides:
        yield f"What the policies of account {principal.account_id} say is not shown here, and is not known."
    if "resource" in question.hides:
        yield f"What the policies of account {owner} say is not shown here, and is not known."
    if principal.identity_arn.endswith(":root") and decision.allowed and not question.hides:
        yield "The root user of an account needs no policy there."
    if question.bounded and any(voice.side == "boundary" and voice.policy is None for voice in question.voices):
        yield "The policy of the permissions boundary is gone: it allows nothing."


# ── what would help ─────────────────────────────────────────────────────────────────────────────────────────────────


def _remedies(question: Question, policies: _Policies) -> Iterable[Remedy]:
    #: every statement that denies, and at most one that is lacking on each side
    for _ in range(sum(len(voice.policy.statements) for voice in question.voices if voice.policy is not None) + 5):
        decision = policies.decided(question)
        if decision.allowed:
            return
        if decision.statement is not None:
            yield _deny(question, decision.side, decision.statement)
            policies = policies.without(decision.side, decision.statement)
            continue
        added = _lacking(question, decision.side)
        yield added
        if added.verb != "add":
            return
        policies = policies.with_one_more(
            decision.side, _policy_of(msgspec.json.decode(added.statement), resource_based=decision.side == "resource")
        )


def _deny(question: Question, side: Side, statement: Statement) -> Remedy:
    for voice in question.voices:
        if voice.policy is not None and any(one is statement for one in voice.policy.statements):
            source = voice.source
            text = msgspec.json.encode(_statements(source.document)[statement.index]).decode()
            words = f"Take away or narrow statement {statement.index + 1} of {source.name}: while it denies, nothing else helps."
            return Remedy(side, "change", source.holder_arn, _account_of(source.holder_arn), source.name, text, words)
    raise AssertionError("a statement that decides stands in a policy that was heard")


def _lacking(question: Question, side: Side) -> Remedy:
    principal, action, resource = question.principal, question.action, question.resource
    who = principal.identity_arn
    if side == "resource":
        owner = resource_account(resource) or principal.account_id
        if not question.shares:
            words = "Resources of this kind have no policies of their own: another account is never let in."
            return Remedy(side, "none", resource, owner, "", "", words)
        trust = action.lower().startswith("sts:")
        statement: dict[str, Any] = {"Effect": "Allow", "Principal": {"AWS": who}, "Action": action}
        where = "the role's trust policy" if trust else "the resource's policy"
        return Remedy(side, "add", resource, owner, "", _text(statement), f"Allow it in {where}, in account {owner}.")
    statement = {"Effect": "Allow", "Action": action, "Resource": literal(resource)}
    if side == "boundary":
        name = next((voice.source.name for voice in question.voices if voice.side == "boundary"), "")
        return Remedy(side, "add", who, principal.account_id, name, _text(statement), "Allow it in the permissions boundary, too.")
    if side == "session":
        words = "Begin the session with a policy that allows it, or with none."
        return Remedy(side, "add", principal.arn, principal.account_id, "", _text(statement), words)
    words = f"Allow it in a policy of {who.rpartition(':')[2]}, in account {principal.account_id}."
    return Remedy(side, "add", who, principal.account_id, "", _text(statement), words)


def _text(statement: dict[str, Any]) -> str:
    return msgspec.json.encode(statement).decode()


def _account_of(arn: str) -> str:
    parts: Sequence[str] = arn.split(":", 5)
    return parts[4] if len(parts) == 6 else ""
