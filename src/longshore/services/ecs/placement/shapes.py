"""Request and answer of LongshoreExplainPlacement, the operation about placement that AWS does not have.

docs/extensions.md says what they mean.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from longshore.aws.protocol.model import OperationShape
from longshore.aws.shapes.ecs import (
    CapacityProviderStrategyItem,
    LaunchType,
    NetworkConfiguration,
    PlacementConstraint,
    PlacementStrategy,
    TaskOverride,
)

#: CHOSEN: at least one of the tasks would go there; FITS: it could; REFUSED: it could not
Verdict = Literal["CHOSEN", "FITS", "REFUSED"]
_Count = Annotated[int, Meta(ge=1, le=1000)]
_Names = Annotated[tuple[str, ...], Meta(max_length=1000)]


class WhatIf(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """A cluster other than it is. Instances by id, ARN or EC2 instance id."""

    #: as if they were DRAINING
    drained_instances: _Names | None = None
    #: as if they were gone, with their tasks
    lost_instances: _Names | None = None
    lost_zones: _Names | None = None
    #: of the task, in place of what its definition says
    cpu: Annotated[int, Meta(ge=0)] | None = None
    memory: Annotated[int, Meta(ge=0)] | None = None


class ExplainPlacementRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """One of `task`, `service` and `task_definition`; with the last, the further members of RunTask."""

    cluster: str | None = None
    task: str | None = None
    service: str | None = None
    task_definition: str | None = None
    #: how many tasks alike are placed, one after the other; 1 unless given, or as many as `what_if` takes from the service
    count: _Count | None = None
    group: str | None = None
    launch_type: LaunchType | None = None
    capacity_provider_strategy: tuple[CapacityProviderStrategyItem, ...] | None = None
    network_configuration: NetworkConfiguration | None = None
    overrides: TaskOverride | None = None
    placement_constraints: tuple[PlacementConstraint, ...] | None = None
    placement_strategy: tuple[PlacementStrategy, ...] | None = None
    what_if: WhatIf | None = None
    #: instances told of, the best first
    max_results: Annotated[int, Meta(ge=1, le=1000)] | None = None


class Port(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    port: int
    protocol: str
    #: false: taken
    free: bool = True


class Asked(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """What one task asks for."""

    cpu: int
    memory: int
    gpus: int = 0
    enis: int = 0
    ports: tuple[Port, ...] = ()
    attributes: tuple[str, ...] = ()
    launch_type: str
    capacity_provider: str = ""
    #: of the subnets named; empty: any
    availability_zones: tuple[str, ...] = ()


class ResourceVerdict(Struct, frozen=True, kw_only=True, gc=False, rename="camel"):
    #: CPU, MEMORY, GPU, ENI
    name: str
    asked: int
    free: int
    registered: int
    fits: bool


class ConstraintVerdict(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    type: str
    expression: str | None = None
    satisfied: bool


class Score(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """How one strategy judges an instance; less is better, and the next strategy decides among the best only."""

    type: str
    field: str | None = None
    #: of an attribute that is spread over: the instance's
    value: str | None = None
    score: int
    #: the least among the instances that the strategies before it left
    best: int
    #: whether the instance was still in when the strategy had chosen
    kept: bool


class ExplainedInstance(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    container_instance_arn: str
    ec2_instance_id: str = ""
    availability_zone: str = ""
    status: str
    agent_connected: bool
    capacity_provider: str = ""
    verdict: Verdict
    #: all that keeps the task away, in the order in which placement asks; the first is what failures name
    reasons: tuple[str, ...] = ()
    resources: tuple[ResourceVerdict, ...] = ()
    ports: tuple[Port, ...] = ()
    missing_attributes: tuple[str, ...] = ()
    constraints: tuple[ConstraintVerdict, ...] = ()
    scores: tuple[Score, ...] = ()
    #: 1 for the one that the first task would go to; none for those that refuse it or are not asked
    rank: int | None = None
    #: how many of the tasks asked about would go there
    tasks_placed: int = 0
    tasks_of_group: int = 0
    tasks: int = 0


class Failed(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Why the next task finds no place."""

    reason: str
    #: the instance that came nearest
    container_instance_arn: str | None = None
    #: as a service's event would say it
    message: str
    #: reason -> how many instances gave it
    refusals: dict[str, int] = {}


class Judged(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """What a strategy made of the instance that was chosen."""

    type: str
    field: str | None = None
    score: int


class Decided(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """How an existing task came to its place, as noted then."""

    container_instance_arn: str
    at: float
    #: active instances that were asked, and those of them that could take it
    instances: int
    candidates: int
    scores: tuple[Judged, ...] = ()


class ExplainPlacementResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster_arn: str
    task_definition_arn: str
    group: str
    asked: Asked
    #: those of the definition included
    placement_constraints: tuple[PlacementConstraint, ...] = ()
    #: as it is applied, the default where none was given
    placement_strategy: tuple[PlacementStrategy, ...] = ()
    count: int
    placed: int
    #: container instance ARNs in the order in which the tasks would be placed
    placements: tuple[str, ...] = ()
    failure: Failed | None = None
    #: the best first: by rank, then the closest
    instances: tuple[ExplainedInstance, ...] = ()
    #: further ones that `max_results` left out
    instances_left_out: int = 0
    #: of an existing task
    decision: Decided | None = None


EXPLAIN_PLACEMENT = OperationShape("LongshoreExplainPlacement", ExplainPlacementRequest, ExplainPlacementResponse)
