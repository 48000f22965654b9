"""EC2 as served: the network that load balancers and services stand on, and container instances seen as instances.

Importing `longshore.services.ec2.operations` declares every operation here. `operation` adds to each what all EC2
operations share: `DryRun` answers before anything happens, the account's default network is there from its first call, and
policies may ask about its Region and its tags.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Protocol, TypeVar

from longshore.aws.operation import Api, ResourceOf
from longshore.services.call import Call
from longshore.services.ec2.conditions import request_conditions, tagging_rights
from longshore.services.ec2.defaults import ensure_default_network, has_default_network, zones_of
from longshore.services.ec2.errors import DryRunOperation

api = Api("ec2")


class Request(Protocol):
    @property
    def dry_run(self) -> bool | None: ...


RequestT = TypeVar("RequestT", bound=Request)
ResponseT = TypeVar("ResponseT")


def operation(
    name: str, *, resource: ResourceOf
) -> Callable[[Callable[[Call, RequestT], Awaitable[ResponseT]]], Callable[[Call, RequestT], Awaitable[ResponseT]]]:
    def declare(handle: Callable[[Call, RequestT], Awaitable[ResponseT]]) -> Callable[[Call, RequestT], Awaitable[ResponseT]]:
        def conditions(call: Call, request: RequestT) -> dict[str, list[str]]:
            return request_conditions(call, name, request)

        @api.operation(name, resource=resource, conditions=conditions, also=tagging_rights)
        @wraps(handle)
        async def answer(call: Call, request: RequestT) -> ResponseT:
            if request.dry_run:
                raise DryRunOperation
            await with_default_network(call)
            return await handle(call, request)

        return answer

    return declare


async def with_default_network(call: Call) -> None:
    zones, now = zones_of(call.site, call.region), call.clock.now()
    if zones and not has_default_network(call.store, call.account_id, call.region, zones):
        await call.store.transact(lambda tx: ensure_default_network(tx, call.account_id, call.region, zones, now))
