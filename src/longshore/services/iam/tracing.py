"""Why a decision came out as it did: for every statement whether it applied, and if not, what kept it from applying first.

The evaluator stops at the first deny and says which statement decided. Whoever wants to understand needs the others, too: the allow
that was meant to apply and missed by one condition. Each statement is asked with the evaluator's own functions, in the order in
which the documents are heard: principal, action, resource, conditions. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from longshore.services.iam.conditions import Condition
from longshore.services.iam.document import Place
from longshore.services.iam.evaluator import Caller, Question, Reach, Side, reach_of
from longshore.services.iam.policy import Policy, Statement

#: what a statement missed a question by; empty where it applied
Missed = Literal["", "principal", "action", "resource", "condition"]


class Named(NamedTuple):
    """A policy that has a say, with the name people know it by."""

    name: str
    side: Side
    policy: Policy


class Unmet(NamedTuple):
    """A condition that did not hold."""

    #: as the policy says it, ForAnyValue: and IfExists included
    operator: str
    #: in lower case
    key: str
    #: as the policy says them, variables not filled in
    wanted: tuple[str, ...]
    #: what the request had; None where it did not have the key
    given: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Traced:
    """One statement as it was asked."""

    policy: str
    side: Side
    #: in its document, counted from 0
    index: int
    sid: str
    effect: Literal["Allow", "Deny"]
    #: lines and columns from 1 of the compiled document; None where it cannot be read so closely
    place: Place | None
    applied: bool
    #: of a resource-based statement: whom of the caller, its role and its account it speaks of
    reach: Reach
    #: what it missed by first
    missed: Missed = ""
    #: with `missed` condition
    unmet: Unmet | None = None


def trace(
    policies: Iterable[Named], action: str, resource: str, context: Mapping[str, Sequence[str]], principal: Caller
) -> tuple[Traced, ...]:
    """Every statement of `policies`, in order, asked about what `decide` is asked about."""
    question = Question(action, resource, context)
    return tuple(_traced(named, statement, question, principal) for named in policies for statement in named.policy.statements)


def _traced(named: Named, statement: Statement, question: Question, principal: Caller) -> Traced:
    places = named.policy.places
    reach = reach_of(statement, principal)
    missed: Missed = ""
    unmet: Condition | None = None
    if reach is Reach.NOBODY:
        missed = "principal"
    elif not question.is_action_of(statement):
        missed = "action"
    elif not question.is_resource_of(statement):
        missed = "resource"
    else:
        unmet = next((condition for condition in statement.conditions if not question.meets(condition)), None)
        missed = "condition" if unmet is not None else ""
    return Traced(
        named.name,
        named.side,
        statement.index,
        statement.sid,
        "Allow" if statement.allows else "Deny",
        places[statement.index] if statement.index < len(places) else None,
        not missed,
        reach,
        missed,
        None if unmet is None else _unmet(unmet, question),
    )


def _unmet(condition: Condition, question: Question) -> Unmet:
    given = question.context.get(condition.key)
    return Unmet(condition.operator, condition.key, condition.values, tuple(given) if given else None)
