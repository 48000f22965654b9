"""The least that a policy must say for what somebody did to be allowed again. Pure.

Calls that were allowed are taken together by their circumstances and by the actions that a resource has seen: each statement is a set of
actions on a set of resources, every one of which was asked about with every one of them. So the exact policy allows what was recorded and
nothing else; the generalised one also what differs in identifiers that the platform gives (`minimal_patterns.py`).

A condition is added where it narrows: where the request says more than the resource's name does, and said it every time.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from longshore.services.iam.lookup import MOST_DOCUMENT, size_of
from longshore.services.iam.minimal_patterns import Pattern, generalised, literal
from longshore.services.iam.policy import CURRENT_VERSION
from longshore.services.iam.recording_model import RecordedCall

#: condition keys that say more than the resource's name -> (as AWS writes it, operator)
NARROWING = {
    "ecs:cluster": ("ecs:cluster", "ArnEquals"),
    "ecs:createaction": ("ecs:CreateAction", "StringEquals"),
    "elasticloadbalancing:createaction": ("elasticloadbalancing:CreateAction", "StringEquals"),
    "iam:passedtoservice": ("iam:PassedToService", "StringEquals"),
}
_VERY_MANY = "more of them than are kept one by one"
#: ECS resources whose ARN names their cluster
_OF_A_CLUSTER = frozenset({"cluster", "task", "service", "container-instance", "task-set", "service-deployment", "service-revision"})

#: {operator: {key: values}}, as a policy has it
Conditions = tuple[tuple[str, str, tuple[str, ...]], ...]


class Widened(NamedTuple):
    """What the policy allows beyond what was seen."""

    pattern: str
    #: resources that were seen behind it, at most
    seen: int
    why: str


class Minimal(NamedTuple):
    #: each a whole document, within the size of a managed policy
    documents: tuple[str, ...]
    widened: tuple[Widened, ...]
    #: calls that it stands on, and those left out because they were refused
    calls: int
    refused: int


class _Grant(NamedTuple):
    action: str
    pattern: str
    conditions: Conditions


def minimal_policy(calls: Sequence[RecordedCall], *, exact: bool = False, with_refused: bool = False) -> Minimal:
    """`with_refused`: calls that were only refused are allowed, too."""
    taken = [call for call in calls if call.allowed or with_refused]
    patterns: dict[str, str] = {}
    seen: dict[str, set[str]] = defaultdict(set)
    why: dict[str, str] = {}
    for resource, is_pattern in {(call.resource, call.is_pattern) for call in taken}:
        wider = Pattern(resource, _VERY_MANY) if is_pattern else None if exact else generalised(resource)
        patterns[resource] = wider.pattern if wider is not None else literal(resource)
        if wider is not None:
            seen[wider.pattern].add(resource)
            why.setdefault(wider.pattern, wider.words)
    statements = _statements(_grants(taken, patterns))
    return Minimal(
        tuple(_document(part) for part in _packed(statements)),
        tuple(Widened(pattern, len(resources), why[pattern]) for pattern, resources in sorted(seen.items())),
        len(taken),
        sum(1 for call in calls if not call.allowed and not with_refused),
    )


def _grants(calls: Iterable[RecordedCall], patterns: dict[str, str]) -> list[_Grant]:
    """One for each action on each pattern, with what was always said beside it."""
    said: dict[tuple[str, str], list[dict[str, tuple[str, ...]]]] = defaultdict(list)
    for call in calls:
        said[call.action, patterns[call.resource]].append(
            {key: values for key, values in call.circumstances if _narrows(key, call.resource)}
        )
    grants = []
    for (action, pattern), each in said.items():
        keys = [key for key in sorted(NARROWING) if all(len(one.get(key, ())) == 1 for one in each)]
        together = [each] if len(keys) < 2 else [[one] for one in each]  # values of two keys belong together
        for some in together:
            conditions = tuple((*NARROWING[key][::-1], tuple(sorted({literal(one[key][0]) for one in some}))) for key in keys)
            grants.append(_Grant(action, pattern, conditions))
    return grants


def _narrows(key: str, resource: str) -> bool:
    if key not in NARROWING:
        return False
    parts = resource.split(":", 5)
    named = len(parts) == 6 and parts[2] == "ecs" and parts[5].split("/")[0] in _OF_A_CLUSTER and not parts[5].endswith("/*")
    return not (key == "ecs:cluster" and named)


class _Statement(NamedTuple):
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Conditions

    def written(self) -> dict[str, Any]:
        written: dict[str, Any] = {"Effect": "Allow", "Action": _listed(self.actions), "Resource": _listed(self.resources)}
        for operator, key, values in self.conditions:
            written.setdefault("Condition", {}).setdefault(operator, {})[key] = _listed(values)
        return written


def _listed(values: Sequence[str]) -> str | list[str]:
    """One of them needs no list."""
    return values[0] if len(values) == 1 else list(values)


def _statements(grants: Iterable[_Grant]) -> list[_Statement]:
    """Sorted; no two of the same actions and conditions, and none that allows what no grant does."""
    actions: dict[tuple[str, Conditions], set[str]] = defaultdict(set)
    for grant in grants:
        actions[grant.pattern, grant.conditions].add(grant.action)
    resources: dict[tuple[tuple[str, ...], Conditions], list[str]] = defaultdict(list)
    for (pattern, conditions), together in actions.items():
        resources[tuple(sorted(together)), conditions].append(pattern)
    return sorted(_Statement(together, tuple(sorted(patterns)), conditions) for (together, conditions), patterns in resources.items())


def _packed(statements: Iterable[_Statement]) -> list[list[_Statement]]:
    """Statements in order, as many to a document as it may hold; one that is too large alone is cut along its resources."""
    documents: list[list[_Statement]] = []
    waiting = list(reversed(list(statements)))
    while waiting:
        statement = waiting.pop()
        if documents and size_of(_document([*documents[-1], statement])) <= MOST_DOCUMENT:
            documents[-1].append(statement)
        elif size_of(_document([statement])) <= MOST_DOCUMENT:
            documents.append([statement])
        elif halves := _halves(statement):
            waiting += reversed(halves)
        else:
            documents.append([statement])
    return documents


def _halves(statement: _Statement) -> tuple[_Statement, _Statement] | None:
    """The same in two; None for what cannot be cut."""
    actions, resources, conditions = statement
    if len(resources) > 1:
        half = len(resources) // 2
        return _Statement(actions, resources[:half], conditions), _Statement(actions, resources[half:], conditions)
    if len(actions) > 1:
        half = len(actions) // 2
        return _Statement(actions[:half], resources, conditions), _Statement(actions[half:], resources, conditions)
    return None


def _document(statements: Iterable[_Statement]) -> str:
    return json.dumps({"Version": CURRENT_VERSION, "Statement": [statement.written() for statement in statements]}, indent=2)
