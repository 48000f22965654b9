"""What the balancer watches, and which of its keys a change touches. Pure.

One key stands for everything that may need a reload, one more per target group for its servers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from longshore.balancer.health import UNHEALTHY_DRAINING
from longshore.kit.resource import Kind
from longshore.services.acm.model import CERTIFICATES
from longshore.services.elbv2.model import (
    LISTENERS,
    LOAD_BALANCERS,
    RULES,
    TARGET_GROUPS,
    TARGETS,
    TRUST_STORE_REVOCATIONS,
    TRUST_STORES,
    LoadBalancer,
    Target,
)
from longshore.services.iam.model import SERVER_CERTIFICATES
from longshore.store.base import Change

EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class Watched:
    """A kind that is watched, and the keys that a change of one of its resources touches."""

    kind: Kind[Any]
    keys: Callable[[Change[Any]], Iterable[str]]


def watches() -> tuple[Watched, ...]:
    return (
        Watched(LOAD_BALANCERS, _unless_only_status),
        Watched(LISTENERS, lambda change: (EVERYTHING,)),
        Watched(RULES, lambda change: (EVERYTHING,)),
        Watched(TARGET_GROUPS, _unless_only_created),
        Watched(TARGETS, _unless_only_health),
        Watched(CERTIFICATES, lambda change: (EVERYTHING,)),
        Watched(SERVER_CERTIFICATES, lambda change: (EVERYTHING,)),
        Watched(TRUST_STORES, lambda change: (EVERYTHING,)),
        Watched(TRUST_STORE_REVOCATIONS, lambda change: (EVERYTHING,)),
    )


def _unless_only_status(change: Change[LoadBalancer]) -> Iterable[str]:
    if change.old is not None and change.new is not None and msgspec.structs.replace(change.old, status=change.new.status) == change.new:
        return ()
    return (EVERYTHING,)


def _unless_only_created(change: Change[Any]) -> Iterable[str]:
    """A new target group is nobody's yet."""
    return () if change.old is None else (EVERYTHING,)


def _unless_only_health(change: Change[Target]) -> Iterable[str]:
    is_only_health = (
        change.old is not None and change.new is not None and msgspec.structs.replace(change.old, health=change.new.health) == change.new
    )
    if is_only_health and change.value.health.state != UNHEALTHY_DRAINING:
        return ()
    if change.value.id.startswith("arn:"):
        return (EVERYTHING,)  # a load balancer, which has to know that it is one
    return (change.value.target_group_arn,)
