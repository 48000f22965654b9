"""What ECS keeps of services: the services themselves, their deployments and their event log.

`spec` is what was asked and is written by operations; what the deployments controller makes of it stands beside it
(ARCHITECTURE.md says who writes which field). A service's tasks are found by its ARN; it keeps no list of them.
"""

from __future__ import annotations

import msgspec

from longshore.aws.shapes import ecs as shapes
from longshore.kit.resource import Kind
from longshore.services.ecs.model import Tag, next_version, scope_of

# ── services ────────────────────────────────────────────────────────────────────────────────────────────────────────


class ServiceSpec(msgspec.Struct, frozen=True, gc=False):
    """What was asked for. Written by CreateService, UpdateService and DeleteService."""

    task_definition_arn: str
    desired_count: int
    launch_type: str = "EC2"
    scheduling_strategy: str = "REPLICA"
    load_balancers: tuple[shapes.LoadBalancer, ...] = ()
    minimum_healthy_percent: int = 100
    maximum_percent: int = 200
    circuit_breaker: shapes.DeploymentCircuitBreaker | None = None
    health_check_grace_period_s: int = 0
    placement_constraints: tuple[shapes.PlacementConstraint, ...] = ()
    placement_strategy: tuple[shapes.PlacementStrategy, ...] = ()
    role_arn: str = ""
    propagate_tags: str = "NONE"
    enable_ecs_managed_tags: bool = False
    enable_execute_command: bool = False
    availability_zone_rebalancing: str = "DISABLED"
    platform_version: str = ""
    capacity_provider_strategy: tuple[shapes.CapacityProviderStrategyItem, ...] = ()
    network_configuration: shapes.NetworkConfiguration | None = None
    deleted: bool = False


class Service(msgspec.Struct, frozen=True, gc=False):
    arn: str
    cluster_arn: str
    name: str
    created_at: float
    spec: ServiceSpec
    created_by: str = ""
    tags: tuple[Tag, ...] = ()
    client_token: str = ""
    #: written by the deployments controller from here on: ACTIVE | DRAINING | INACTIVE
    status: str = "ACTIVE"
    #: the last thing said about it was that it reached a steady state
    steady: bool = False
    #: the last refusal to place a task that was told as an event, so that it is told once
    refusal: str = ""
    inactive_at: float | None = None
    version: int = 1


SERVICES: Kind[Service] = Kind(
    name="ecs.service",
    type=Service,
    key=lambda service: service.arn,
    indexes={
        "cluster": lambda service: (service.cluster_arn,) if service.status != "INACTIVE" else (),
        "scope": lambda service: (scope_of(service.arn),),
        "target_group": lambda service: (
            [lb.target_group_arn for lb in service.spec.load_balancers if lb.target_group_arn] if service.status != "INACTIVE" else ()
        ),
        "client_token": lambda service: (f"{service.cluster_arn}|{service.client_token}",) if service.client_token else (),
    },
    succeed=next_version,
)


class Deployment(msgspec.Struct, frozen=True, gc=False):
    """One version of a service being rolled out. The operation that asked for it creates it; the deployments controller does the rest."""

    id: str  # ecs-svc/<19 digits>
    service_arn: str
    task_definition_arn: str
    created_at: float
    updated_at: float
    #: the service's settings at the time, so that a rollback runs what ran before
    desired_count: int = 0
    status: str = "PRIMARY"  # PRIMARY | ACTIVE | INACTIVE
    rollout_state: str = "IN_PROGRESS"  # IN_PROGRESS | COMPLETED | FAILED
    rollout_state_reason: str = ""
    version: int = 1


DEPLOYMENTS: Kind[Deployment] = Kind(
    name="ecs.deployment",
    type=Deployment,
    key=lambda deployment: deployment.id,
    indexes={
        "service": lambda deployment: (deployment.service_arn,) if deployment.status != "INACTIVE" else (),
        "history": lambda deployment: (deployment.service_arn,),
    },
    succeed=next_version,
)


class ServiceEvent(msgspec.Struct, frozen=True, gc=False):
    """One line of a service's event log, newest kept: what was decided and why, in AWS's words."""

    id: str
    service_arn: str
    sequence: int
    created_at: float
    message: str


SERVICE_EVENTS: Kind[ServiceEvent] = Kind(
    name="ecs.service_event",
    type=ServiceEvent,
    key=lambda event: f"{event.service_arn}|{event.sequence:020d}",
    indexes={"service": lambda event: (event.service_arn,)},
)
