"""What the load balancers count of the requests that they send to target groups."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct


class GroupTraffic(Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    """Counted since the load balancers' process began; connections where the listener is TCP."""

    target_group_arn: str
    requests: int
    #: answered with a status of 500 or more, by a target or in place of one
    failed: int
    #: connections to targets that failed, most of which were tried again elsewhere
    connect_errors: int
    retries: int


class Traffic(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    target_groups: tuple[GroupTraffic, ...] = ()
    #: requests to any load balancer that found no target at all
    unserved: int = 0
    #: names the process that counts: numbers of another one cannot be compared with these
    counter: str = ""


#: asks the load balancers about target groups; None when they do not answer
Counter = Callable[[Sequence[str]], Awaitable[Traffic | None]]
