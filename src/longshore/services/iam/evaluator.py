"""May this principal do this to that? A pure function of compiled policies and the request's context.

An explicit deny wins; then an allow; otherwise no. Within one account an allow on either side is enough: the principal's
own policies or the resource's policy naming it. Across accounts both sides must allow. A resource policy that names an
account as a whole hands the decision to that account's own policies.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from longshore.services.iam.policy import Policy, Principals, Statement


class Caller(Protocol):
    @property
    def arn(self) -> str: ...

    @property
    def account_id(self) -> str: ...

    @property
    def user_id(self) -> str: ...


class Decision(NamedTuple):
    allowed: bool
    #: a Deny statement applied (otherwise, when not allowed, no Allow did)
    explicit_deny: bool = False
    #: the statement that decided, where one did
    statement: Statement | None = None
    #: which kind of policy it stands in, or which kind lacked an Allow
    side: Literal["identity", "resource"] = "identity"


class _Request:
    """What is asked, with the context's keys lowered only once something looks at them."""

    __slots__ = ("_given", "_lowered", "action", "resource")

    def __init__(self, action: str, resource: str, context: Mapping[str, Sequence[str]]) -> None:
        self.action = action
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


def decide(
    identity_policies: Sequence[Policy],
    resource_policies: Sequence[Policy],
    action: str,
    resource: str,
    context: Mapping[str, Sequence[str]],
    principal: Caller,
) -> Decision:
    """Whether `principal` may do `action` (`ecs:CreateCluster`) to `resource` (an ARN or `*`).

    `context` holds condition keys in any case with their values, the global ones (`aws:…`) included. The root of an
    account needs no policy there; what denies it is the resource's own policy.
    """
    request = _Request(action, resource, context)
    own = _Side(request, principal)
    own.read(identity_policies)
    its = _Side(request, principal)
    its.read(resource_policies)
    for side, name in ((own, "identity"), (its, "resource")):
        if side.denied is not None:
            return Decision(False, True, side.denied, "identity" if name == "identity" else "resource")
    trusted = own.allowed is not None or principal.arn.endswith(":root")
    if resource_account(resource) in ("", principal.account_id):
        if trusted:
            return Decision(True, False, own.allowed)
        if its.allowed is not None and not its.delegated:
            return Decision(True, False, its.allowed, "resource")
        return Decision(False)
    if its.allowed is None:
        return Decision(False, side="resource")
    return Decision(trusted, False, its.allowed if trusted else None)


def resource_account(resource: str) -> str:
    """The account an ARN belongs to; empty when it names none or is no ARN."""
    parts = resource.split(":", 5)
    return parts[4] if len(parts) == 6 and parts[4].isdigit() else ""


class _Side:
    """What the policies of one side say; reading ends at the first deny."""

    __slots__ = ("allowed", "delegated", "denied", "principal", "request")

    def __init__(self, request: _Request, principal: Caller) -> None:
        self.request = request
        self.principal = principal
        self.allowed: Statement | None = None
        #: every allow so far named the principal's account only
        self.delegated = False
        self.denied: Statement | None = None

    def read(self, policies: Sequence[Policy]) -> None:
        for policy in policies:
            for statement in policy.statements:
                if statement.allows and self.allowed is not None and not self.delegated:
                    continue
                if not _applies(statement, self.request):
                    continue
                named = _names(statement, self.principal)
                if named == "nobody":
                    continue
                if not statement.allows:
                    self.denied = statement
                    return
                self.delegated = named == "account"
                self.allowed = statement


def _applies(statement: Statement, request: _Request) -> bool:
    if statement.actions.match(request.action, request.variable) is statement.not_action:
        return False
    if statement.resources is not None and statement.resources.match(request.resource, request.variable) is statement.not_resource:
        return False
    return all(condition(request.context, request.variable) for condition in statement.conditions)


def _names(statement: Statement, principal: Caller) -> Literal["principal", "account", "nobody"]:
    """How a statement speaks of the principal; an identity-based one belongs to it."""
    principals = statement.principals
    if principals is None:
        return "principal"
    named = _named_in(principals, principal)
    if statement.not_principal:
        return "principal" if named == "nobody" else "nobody"
    return named


def _named_in(principals: Principals, principal: Caller) -> Literal["principal", "account", "nobody"]:
    if principals.everyone or principal.arn in principals.arns or principal.user_id in principals.arns:
        return "principal"
    return "account" if principal.account_id in principals.accounts else "nobody"
