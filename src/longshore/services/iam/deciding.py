"""What a decision is made of, for those who look at decisions from beside: who explains them, and who keeps records of them.

The gateway decides (`gateway/authorise.py`). It answers here what it would hear and take into account for a question, and tells of
every decision as it is made, of operations, of the registry's and the agents' alike, whoever wants to know at the time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from longshore.services.iam.evaluator import Limit
from longshore.services.iam.policy import Policy

if TYPE_CHECKING:
    from longshore.services.call import Principal

Context = Mapping[str, Sequence[str]]


class Heard(NamedTuple):
    """The policies that have a say about one action of one principal on one resource."""

    #: the principal's own, and its groups'
    own: tuple[Policy, ...]
    #: the resource's
    its: tuple[Policy, ...]
    limits: tuple[Limit, ...]
    #: no matter whose it is, the resource's policy must allow
    must_allow: bool


class Origin(NamedTuple):
    """Where a request comes from."""

    region: str = ""
    source_ip: str = ""
    secure: bool = False
    user_agent: str = ""


class Made(NamedTuple):
    """A decision."""

    principal: Principal
    action: str
    resource: str
    #: in AWS's words; None where it is allowed
    denial: str | None
    #: decisions alike in principal, action, resource and this have the same context until something is written; None: not to be said
    alike: Hashable | None
    #: condition keys in lower case
    context: Callable[[], Context]
    heard: Callable[[], Heard]


class Named(NamedTuple):
    """A policy of a resource as it was written, in the order in which it is heard."""

    #: as people call it, e.g. repository policy
    name: str
    #: what it stands on
    arn: str
    document: str


class Deciding(Protocol):
    """What the gateway knows of how it would decide."""

    def heard(self, principal: Principal, action: str, resource: str) -> Heard: ...

    def of_resource(self, resource: str) -> Context:
        """The condition keys that the resource itself has, in lower case."""

    def named(self, resource: str) -> tuple[Named, ...]:
        """What stands behind `Heard.its`, where it is known by a name."""

    def shares(self, resource: str) -> bool:
        """Whether resources of this kind can have policies of their own."""

    def asks(self, action: str) -> bool:
        """Whether there is such an action, as far as is known here."""
