"""Requests and answers of the operations that rebalance, which AWS does not have (docs/deploying.md)."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from longshore.aws.protocol.model import OperationShape

_Moves = Annotated[int, Meta(ge=1, le=500)]
_Concurrent = Annotated[int, Meta(ge=1, le=50)]
MoveStatus = Literal["PENDING", "MOVING", "DONE", "SKIPPED", "FAILED"]
Status = Literal["IN_PROGRESS", "STOPPING", "SUCCEEDED", "STOPPED"]


class PlanRebalanceRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster: str | None = None
    #: of this service only; of all that there are in the cluster unless given
    service: str | None = None
    max_moves: _Moves | None = None


class MoveView(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    task_arn: str
    service_arn: str
    from_instance_arn: str
    to_instance_arn: str
    reason: str = ""
    status: MoveStatus = "PENDING"
    new_task_arn: str = ""
    detail: str = ""


class InstanceBalance(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """An instance before and after: percent of CPU and memory that tasks hold, and how many there are of the services looked at."""

    container_instance_arn: str
    ec2_instance_id: str = ""
    availability_zone: str = ""
    cpu_percent_before: int
    cpu_percent_after: int
    memory_percent_before: int
    memory_percent_after: int
    tasks_before: int
    tasks_after: int


class ServiceBalance(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    service_arn: str
    #: tasks by Availability Zone
    zones_before: dict[str, int] = {}
    zones_after: dict[str, int] = {}
    #: instances with tasks of it, and the most on one
    instances_before: int = 0
    instances_after: int = 0
    most_on_one_before: int = 0
    most_on_one_after: int = 0
    #: why it is left as it is
    left_because: str = ""


class PlanRebalanceResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster_arn: str
    moves: tuple[MoveView, ...] = ()
    services: tuple[ServiceBalance, ...] = ()
    instances: tuple[InstanceBalance, ...] = ()


class StartRebalanceRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster: str | None = None
    service: str | None = None
    max_moves: _Moves | None = None
    #: moves under way at once; 1 unless given
    max_concurrent: _Concurrent | None = None


class RebalanceView(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    rebalance_arn: str
    cluster_arn: str
    service_arn: str = ""
    status: Status
    created_at: float
    created_by: str = ""
    updated_at: float
    finished_at: float | None = None
    max_concurrent: int
    moves: tuple[MoveView, ...] = ()


class StartRebalanceResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    rebalance: RebalanceView


class DescribeRebalancesRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster: str | None = None
    #: by ARN; all that are remembered unless given
    rebalances: Annotated[tuple[str, ...], Meta(max_length=20)] | None = None


class DescribeRebalancesResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    #: newest first
    rebalances: tuple[RebalanceView, ...] = ()


class StopRebalanceRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster: str | None = None
    rebalance: str


class StopRebalanceResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    rebalance: RebalanceView


PLAN_REBALANCE = OperationShape("LongshorePlanRebalance", PlanRebalanceRequest, PlanRebalanceResponse)
START_REBALANCE = OperationShape("LongshoreStartRebalance", StartRebalanceRequest, StartRebalanceResponse)
DESCRIBE_REBALANCES = OperationShape("LongshoreDescribeRebalances", DescribeRebalancesRequest, DescribeRebalancesResponse)
STOP_REBALANCE = OperationShape("LongshoreStopRebalance", StopRebalanceRequest, StopRebalanceResponse)
