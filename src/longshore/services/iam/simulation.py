"""What would be decided: policies asked about actions and resources without anything being done. Pure, and by the same evaluator.

Beside the decision a result names the statements that made it and where they stand, whether the boundary would allow it, and the condition
keys that the policies ask for and the question left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from longshore.services.call import Principal
from longshore.services.iam.document import Place
from longshore.services.iam.evaluator import Limit, decide, matching
from longshore.services.iam.policy import Policy, compile_policy

_VARIABLE = re.compile(r"\$\{([^{}]*)\}")
_NO_NAME = frozenset("*?$")


class Source(NamedTuple):
    """A policy with the name that results call it by."""

    id: str
    #: user, group, role, aws-managed, user-managed, resource; none for one that was given
    kind: str
    document: str
    resource_based: bool = False

    @property
    def policy(self) -> Policy:
        """Raises MalformedPolicy."""
        return compile_policy(self.document, resource_based=self.resource_based)


class Question(NamedTuple):
    sources: tuple[Source, ...]
    #: None: there is none
    boundary: tuple[Source, ...] | None
    resource_policy: Source | None
    principal: Principal
    #: account of the resources
    owner: str
    #: condition keys in lower case
    context: Mapping[str, Sequence[str]]
    #: the condition keys that all the policies ask for, where somebody has looked already
    asked: tuple[str, ...] | None = None

    @property
    def every(self) -> tuple[Source, ...]:
        its = (self.resource_policy,) if self.resource_policy is not None else ()
        return (*self.sources, *its, *(self.boundary or ()))


class Matched(NamedTuple):
    """A statement that decided."""

    source: Source
    #: in the source's document; None where that cannot be read so closely
    place: Place | None


class Result(NamedTuple):
    action: str
    resource: str
    #: allowed, explicitDeny or implicitDeny
    decision: str
    matched: tuple[Matched, ...]
    #: condition keys that policies ask for and that were not given
    missing: tuple[str, ...]
    #: None without a boundary
    within_boundary: bool | None


def simulate(question: Question, action: str, resource: str) -> Result:
    """Raises MalformedPolicy where a policy is none."""
    sources, context, principal = question.sources, question.context, question.principal
    its = [question.resource_policy] if question.resource_policy is not None else []
    boundary = question.boundary
    bounds = tuple(source.policy for source in boundary or ())
    decision = decide(
        [source.policy for source in sources],
        [source.policy for source in its],
        action,
        resource,
        context,
        principal,
        limits=[] if boundary is None else [Limit("boundary", bounds)],
        owner=question.owner,
    )
    within = None if boundary is None else decide(bounds, (), action, resource, context, principal, owner=principal.account_id).allowed
    every = question.every
    deciding = [] if not decision.allowed and not decision.explicit_deny else every if decision.explicit_deny else (*sources, *its)
    asked = context_keys(source.document for source in every) if question.asked is None else question.asked
    return Result(
        action,
        resource,
        "allowed" if decision.allowed else "explicitDeny" if decision.explicit_deny else "implicitDeny",
        tuple(
            Matched(source, places[statement.index] if statement.index < len(places) else None)
            for source, policy, places in ((source, source.policy, source.policy.places) for source in deciding)
            for statement in matching(policy, action, resource, context, principal)
            if statement.allows is decision.allowed
        ),
        tuple(key for key in asked if key.lower() not in context),
        within,
    )


def context_keys(documents: Iterable[str]) -> list[str]:
    """The condition keys that documents ask for, in conditions and in variables, each once and in order."""
    found: dict[str, str] = {}
    for document in documents:
        statements = msgspec.json.decode(document)["Statement"]
        for statement in statements if isinstance(statements, list) else [statements]:
            for key in _keys_of(statement):
                found.setdefault(key.lower(), key)
    return [found[lowered] for lowered in sorted(found)]


def _keys_of(statement: dict[str, Any]) -> Iterable[str]:
    texts: list[object] = [statement.get("Resource"), statement.get("NotResource")]
    for block in statement.get("Condition", {}).values():
        yield from block
        texts += block.values()
    for text in texts:
        for one in text if isinstance(text, list) else [text]:
            if isinstance(one, str):
                names = (inside.partition(",")[0].strip() for inside in _VARIABLE.findall(one))
                yield from (name for name in names if name and _NO_NAME.isdisjoint(name))
