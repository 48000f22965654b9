"""May this principal do this to that? A pure function of compiled policies and the request's context.

An explicit deny wins, wherever it stands; then an allow; otherwise no. Within one account an allow on either side is enough: the
principal's own policies or the resource's policy naming it. Across accounts both sides must allow, and so they must where the
resource's word is always needed (who takes on a role). A resource policy that names an account as a whole hands the decision to
that account's own policies.

Limits (a permissions boundary, the policies of a session) allow nothing by themselves: what they do not allow, too, is not allowed.
Only what a resource's policy gives to a user, or to one session by its name, is beyond them; what it gives to a role, or to the user
who let a federated user in, is not.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Literal, NamedTuple, Protocol

from longshore.services.iam.conditions import Condition
from longshore.services.iam.policy import Policy, Principals, Statement

Side = Literal["identity", "resource", "boundary", "session"]


class Caller(Protocol):
    @property
    def arn(self) -> str: ...

    @property
    def account_id(self) -> str: ...

    @property
    def user_id(self) -> str: ...

    @property
    def identity_arn(self) -> str:
        """Whose policies it has: of a session the role, of a federated user the user who let it in; otherwise its own ARN."""

    @property
    def identity_id(self) -> str:
        """As identity_arn: AROA…, AIDA…"""

    @property
    def provider_arn(self) -> str:
        """Of the identity provider that vouches for somebody without credentials; empty for everybody else."""


class Limit(NamedTuple):
    """Policies that must allow, too: together, one of them is enough."""

    side: Literal["boundary", "session"]
    policies: tuple[Policy, ...]


class Decision(NamedTuple):
    allowed: bool
    #: a Deny statement applied (otherwise, when not allowed, no Allow did)
    explicit_deny: bool = False
    #: the statement that decided, where one did
    statement: Statement | None = None
    #: which kind of policy it stands in, or which kind lacked an Allow
    side: Side = "identity"


class Reach(IntEnum):
    """Whom of a caller a resource-based statement speaks of, and so how far its allow goes."""

    NOBODY = 0
    #: its account as a whole, whose own policies decide
    ACCOUNT = 1
    #: the role or the user whose session it is; the session's limits remain
    IDENTITY = 2
    #: itself
    PRINCIPAL = 3


class Question:
    """What is asked, with the context's keys lowered only once something looks at them."""

    __slots__ = ("_given", "_lowered", "action", "action_folded", "resource")

    def __init__(self, action: str, resource: str, context: Mapping[str, Sequence[str]]) -> None:
        self.action = action
        self.action_folded = action.lower()
        self.resource = resource
        self._given = context
        self._lowered: dict[str, Sequence[str]] | None = None

    @property
    def context(self) -> dict[str, Sequence[str]]:
        if self._lowered is None:
            self._lowered = {key.lower(): values for key, values in self._given.items()}
        return self._lowered

    def variable(self, key: str) -> str | None:
        values = self.context.get(key)
        return values[0] if values and len(values) == 1 else None

    def is_action_of(self, statement: Statement) -> bool:
        return statement.actions.match_folded(self.action_folded) is not statement.not_action

    def is_resource_of(self, statement: Statement) -> bool:
        """A statement that names none speaks of the resource that it stands on."""
        return statement.resources is None or statement.resources.match(self.resource, self.variable) is not statement.not_resource

    def meets(self, condition: Condition) -> bool:
        return condition.holds(self.context, self.variable)


def decide(
    identity_policies: Sequence[Policy],
    resource_policies: Sequence[Policy],
    action: str,
    resource: str,
    context: Mapping[str, Sequence[str]],
    principal: Caller,
    *,
    limits: Sequence[Limit] = (),
    resource_must_allow: bool = False,
    owner: str | None = None,
) -> Decision:
    """Whether `principal` may do `action` (`ecs:CreateCluster`) to `resource` (an ARN or `*`).

    `context` holds condition keys in any case with their values, the global ones (`aws:…`) included. The root of an
    account needs no policy there; what denies it is the resource's own policy. `owner` is the resource's account, where its
    ARN is not to say so.
    """
    question = Question(action, resource, context)
    own = _Reading(question, principal)
    own.read(identity_policies)
    if own.denied is not None:
        return Decision(False, True, own.denied)
    its = _Reading(question, principal)
    its.read(resource_policies)
    if its.denied is not None:
        return Decision(False, True, its.denied, "resource")
    lacking: Side | None = None
    for limit in limits:
        reading = _Reading(question, principal)
        reading.read(limit.policies)
        if reading.denied is not None:
            return Decision(False, True, reading.denied, limit.side)
        if reading.allowed is None and lacking is None:
            lacking = limit.side
    trusted = own.allowed is not None or principal.identity_arn.endswith(":root")
    at_home = (resource_account(resource) if owner is None else owner) in ("", principal.account_id)
    if its.allowed is None and (resource_must_allow or not at_home):
        return Decision(False, side="resource")
    if at_home and its.reach is Reach.PRINCIPAL and (lacking is not None or not trusted):
        return Decision(True, False, its.allowed, "resource")
    if not trusted and not (at_home and its.reach is Reach.IDENTITY):
        return Decision(False)
    if lacking is not None:
        return Decision(False, side=lacking)
    if not at_home:
        return Decision(True, False, its.allowed)
    return Decision(True, False, own.allowed) if trusted else Decision(True, False, its.allowed, "resource")


def matching(policy: Policy, action: str, resource: str, context: Mapping[str, Sequence[str]], principal: Caller) -> list[Statement]:
    """The statements of one policy that apply to a question as `decide` is asked, and that speak of the principal."""
    question = Question(action, resource, context)
    return [
        statement for statement in policy.statements if _applies(statement, question) and reach_of(statement, principal) is not Reach.NOBODY
    ]


def service_may(policy: Policy, action: str, resource: str, context: Mapping[str, Sequence[str]], service: str) -> bool:
    """Whether a resource-based policy opens `resource` to an AWS service, which has no policies of its own."""
    return _opens(policy, Question(action, resource, context), lambda named: named.everyone or service in named.services)


def _opens(policy: Policy, question: Question, is_named: Callable[[Principals], bool]) -> bool:
    allowed = False
    for statement in policy.statements:
        if statement.principals is None or is_named(statement.principals) is statement.not_principal:
            continue
        if not _applies(statement, question):
            continue
        if not statement.allows:
            return False
        allowed = True
    return allowed


def resource_account(resource: str) -> str:
    """The account an ARN belongs to; empty when it names none or is no ARN."""
    parts = resource.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[4].isdigit() else ""


class _Reading:
    """What the policies of one side say; reading ends at the first deny."""

    __slots__ = ("allowed", "denied", "principal", "question", "reach")

    def __init__(self, question: Question, principal: Caller) -> None:
        self.question = question
        self.principal = principal
        #: the allow that reaches furthest
        self.allowed: Statement | None = None
        self.reach = Reach.NOBODY
        self.denied: Statement | None = None

    def read(self, policies: Sequence[Policy]) -> None:
        question = self.question
        for policy in policies:
            for statement in policy.about(question.action_folded):
                if statement.allows and self.reach is Reach.PRINCIPAL:
                    continue
                if not question.is_resource_of(statement) or (statement.conditions and not all(map(question.meets, statement.conditions))):
                    continue
                reach = reach_of(statement, self.principal)
                if reach is Reach.NOBODY:
                    continue
                if not statement.allows:
                    self.denied = statement
                    return
                if reach > self.reach:
                    self.reach = reach
                    self.allowed = statement


def _applies(statement: Statement, question: Question) -> bool:
    return question.is_action_of(statement) and question.is_resource_of(statement) and all(map(question.meets, statement.conditions))


def reach_of(statement: Statement, caller: Caller) -> Reach:
    """Whom of the caller a statement speaks of; an identity-based one of itself."""
    principals = statement.principals
    if principals is None:
        return Reach.PRINCIPAL
    reach = _provided_in(statement, principals, caller) if caller.provider_arn else _named_in(principals, caller)
    if not statement.not_principal:
        return reach
    if reach is not Reach.NOBODY and (statement.allows or _is_exempt(principals, caller, reach)):
        return Reach.NOBODY
    return Reach.PRINCIPAL if caller.identity_arn == caller.arn else Reach.IDENTITY


def _is_exempt(principals: Principals, caller: Caller, reach: Reach) -> bool:
    """From a Deny to all but `principals`. An account that is listed beside one of its users, or a role beside one of its sessions, says
    whose they are and lets in nobody else."""
    return reach is Reach.PRINCIPAL or principals.everyone or caller.arn.endswith(":root")


def _named_in(principals: Principals, caller: Caller) -> Reach:
    if caller.arn in principals.arns or caller.user_id in principals.arns:
        return Reach.PRINCIPAL
    if caller.identity_arn == caller.arn:
        if principals.everyone:
            return Reach.PRINCIPAL
    elif principals.everyone or caller.identity_arn in principals.arns or caller.identity_id in principals.arns:
        return Reach.IDENTITY
    return Reach.ACCOUNT if caller.account_id in principals.accounts else Reach.NOBODY


def _provided_in(statement: Statement, principals: Principals, caller: Caller) -> Reach:
    """Who has nothing but a provider's word is let in where that provider is named; `*` keeps it out and lets nobody in."""
    if caller.provider_arn in principals.federated:
        return Reach.PRINCIPAL
    return Reach.PRINCIPAL if principals.everyone and (statement.not_principal or not statement.allows) else Reach.NOBODY
