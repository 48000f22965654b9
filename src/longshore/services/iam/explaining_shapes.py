"""Shapes of LongshoreExplainDecision."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from longshore.aws.protocol.own import query_shape

Who = Annotated[str, Meta(min_length=2, max_length=2048)]
Action = Annotated[str, Meta(min_length=3, max_length=128, pattern=r"\A[A-Za-z0-9-]+:[A-Za-z0-9]+\Z")]
Resource = Annotated[str, Meta(min_length=1, max_length=2048)]
Account = Annotated[str, Meta(pattern=r"\A[0-9]{12}\Z")]
Key = Annotated[str, Meta(min_length=3, max_length=256)]


class ContextEntry(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    key: Key
    values: Annotated[tuple[str, ...], Meta(max_length=50)] = ()


class ExplainRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    #: an ARN, user/NAME, role/NAME, root, me, or an access key id
    principal: Who
    action_name: Action
    #: an ARN, `*`, or the end of an ARN of the action's own service
    resource: Resource = "*"
    #: whose resources and users short names mean; the caller's unless given
    account_id: Account | None = None
    context: Annotated[tuple[ContextEntry, ...], Meta(max_length=200)] = ()


class Unmet(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    operator: str
    key: str
    wanted: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    #: the request does not have the key at all
    is_absent: bool = False


class Statement(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    #: from 1
    number: int
    sid: str = ""
    effect: str
    applied: bool
    decides: bool = False
    #: of a resource's policy that applies: whom it speaks of; account (whose own policies decide), identity (a user, a role) or principal
    reach: str = ""
    #: principal, action, resource or condition: what it missed by first
    missed: str = ""
    unmet: Unmet | None = None
    #: in its document; lines and columns from 1
    begin_line: int = 0
    begin_column: int = 0
    end_line: int = 0
    end_column: int = 0
    text: str = ""


class Policy(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    #: identity, resource, boundary or session
    side: str
    #: inline, managed, aws-managed, resource, boundary, session
    kind: str
    name: str
    policy_arn: str = ""
    #: whose it is: a user's, a group's, a role's, the resource's
    holder_arn: str
    is_gone: bool = False
    statements: tuple[Statement, ...] = ()


class Remedy(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    side: str
    verb: str
    holder_arn: str
    account_id: str
    policy_name: str = ""
    statement: str = ""
    words: str


class ExplainResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"):
    decision: str
    message: str = ""
    principal: str
    identity: str
    action_name: str
    resource: str
    policies: tuple[Policy, ...] = ()
    context: tuple[ContextEntry, ...] = ()
    missing_context_keys: tuple[str, ...] = ()
    remedies: tuple[Remedy, ...] = ()
    notes: tuple[str, ...] = ()


EXPLAIN = query_shape("LongshoreExplainDecision", ExplainRequest, ExplainResponse)
