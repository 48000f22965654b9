"""Capacity providers as they are kept. Instances name theirs themselves; a cluster lists those it may use by name."""

from __future__ import annotations

import msgspec

from longshore.kit.resource import Kind
from longshore.services.ecs.model import Tag, scope_of


class CapacityProvider(msgspec.Struct, frozen=True, gc=False):
    """What managed scaling and draining are to do is kept as it was asked for, defaults filled in."""

    arn: str
    name: str
    #: of the Auto Scaling group, as it was given: its ARN or its name
    auto_scaling_group: str
    scaling_status: str = "DISABLED"  # ENABLED | DISABLED
    #: percent of the group's capacity that is to be in use
    target_capacity: int = 100
    minimum_step: int = 1
    maximum_step: int = 10_000
    warm_up_s: int = 300
    managed_termination_protection: str = "DISABLED"
    managed_draining: str = "ENABLED"
    status: str = "ACTIVE"  # ACTIVE | INACTIVE
    update_status: str = ""
    tags: tuple[Tag, ...] = ()


CAPACITY_PROVIDERS: Kind[CapacityProvider] = Kind(
    name="ecs.capacity_provider",
    type=CapacityProvider,
    key=lambda provider: provider.arn,
    indexes={"scope": lambda provider: (scope_of(provider.arn),) if provider.status == "ACTIVE" else ()},
)
