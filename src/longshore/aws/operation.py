"""Operations: what an AWS API can be asked, each declared once beside the function that answers it.

    api = Api("ecs")

    @api.operation("CreateCluster", resource=cluster_arn_of)
    async def create_cluster(call: Call, request: shapes.CreateClusterRequest) -> shapes.CreateClusterResponse: ...

The declaration carries what authorisation needs before the function runs: the IAM action and the resources it acts on.
An operation without a declared resource cannot be registered: it says ANY_RESOURCE where AWS's own policy reference says `*`.

What AWS has no operation for is declared the same way, with a `shape` of its own and a name that begins with Longshore: it travels
in the same protocol to the same target, is authorised by the same policies, and stands in docs/extensions.md.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from longshore.aws.protocol.model import OperationShape

#: (call, request) -> ARNs the action is checked against
ResourceOf = Callable[[Any, Any], Iterable[str]]
#: (call, request) -> the call with what the request itself proves of who makes it
Identify = Callable[[Any, Any], Awaitable[Any]]
Handler = Callable[[Any, Any], Awaitable[Any]]

#: what the names of operations begin with that AWS does not have
OWN_PREFIX = "Longshore"


def ANY_RESOURCE(call: Any, request: Any) -> Iterable[str]:
    """For actions that IAM's policy reference lists without a resource type."""
    return ("*",)


@dataclass(frozen=True, slots=True)
class Operation:
    api: str
    name: str
    #: IAM action, `prefix:Name`; empty where AWS asks for no permission (sts:GetCallerIdentity)
    action: str
    resource: ResourceOf
    handle: Handler
    #: (call, request) -> condition keys and their values for IAM Condition blocks, beside the global ones
    conditions: Callable[[Any, Any], dict[str, list[str]]] | None = None
    #: further checks: (call, request) -> (action, resource ARN) pairs such as iam:PassRole
    also: Callable[[Any, Any], Iterable[tuple[str, str]]] | None = None
    #: looks at what proves who calls beside a signature, before anybody asks whether they may
    identify: Identify | None = None
    #: needs no signature: `identify` says who calls
    unsigned: bool = False


class Api:
    """One AWS API as served: its name (the folder under services/ and the module under aws/shapes/) and its operations by wire name."""

    def __init__(self, name: str, action_prefix: str | None = None) -> None:
        self.name = name
        self.action_prefix = action_prefix or name
        self.operations: dict[str, Operation] = {}
        #: shapes of the operations that are ours and not AWS's
        self.extensions: dict[str, OperationShape] = {}

    def operation(
        self,
        name: str,
        *,
        resource: ResourceOf,
        action: str | None = None,
        conditions: Callable[[Any, Any], dict[str, list[str]]] | None = None,
        also: Callable[[Any, Any], Iterable[tuple[str, str]]] | None = None,
        shape: OperationShape | None = None,
        identify: Identify | None = None,
        unsigned: bool = False,
    ) -> Callable[[Handler], Handler]:
        def declare(handle: Handler) -> Handler:
            if name in self.operations:
                raise ValueError(f"{self.name} declares {name} twice")
            if (shape is not None) != name.startswith(OWN_PREFIX):
                raise ValueError(f"{name}: operations of our own, and no others, begin with {OWN_PREFIX} and bring their shape")
            if unsigned and identify is None:
                raise ValueError(f"{name}: nothing would say who calls")
            if shape is not None:
                self.extensions[name] = shape
            self.operations[name] = Operation(
                api=self.name,
                name=name,
                action=f"{self.action_prefix}:{name}" if action is None else action,
                resource=resource,
                handle=handle,
                conditions=conditions,
                also=also,
                identify=identify,
                unsigned=unsigned,
            )
            return handle

        return declare
