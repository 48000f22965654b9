"""What ECS keeps of services: the services themselves, what they were (revisions), their deployments, task sets and event log.

`spec` is what was asked and is written by operations; what the deployments controller makes of it stands beside it
(ARCHITECTURE.md says who writes which field). A service's tasks are found by its ARN; it keeps no list of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from longshore.aws.shapes import ecs as shapes
from longshore.kit.resource import Kind
from longshore.services.ecs.model import Tag, next_version, scope_of

# ── services ────────────────────────────────────────────────────────────────────────────────────────────────────────


Strategy = Literal["ROLLING", "BLUE_GREEN", "LINEAR", "CANARY"]


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
    deployment_controller: Literal["ECS", "CODE_DEPLOY", "EXTERNAL"] = "ECS"
    strategy: Strategy = "ROLLING"
    bake_time_min: int = 0
    canary: shapes.CanaryConfiguration | None = None
    linear: shapes.LinearConfiguration | None = None
    lifecycle_hooks: tuple[shapes.DeploymentLifecycleHook, ...] = ()


class Told(msgspec.Struct, frozen=True, gc=False):
    """What a service's event log last said about a cause that lasts, so that it is not said over and over."""

    cause: str
    sentence: str
    at: float


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
    #: why the last try to place a task failed, as its event said it; "" once one has its place
    refusal: str = ""
    told: tuple[Told, ...] = ()
    inactive_at: float | None = None
    version: int = 1


def shifting_rules(spec: ServiceSpec) -> list[str]:
    """The listener rules (or listeners, for their default rules) whose weights are the service's to change."""
    advanced = [lb.advanced_configuration for lb in spec.load_balancers if lb.advanced_configuration is not None]
    return [rule for one in advanced for rule in (one.production_listener_rule, one.test_listener_rule) if rule]


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
        "shifting_rule": lambda service: shifting_rules(service.spec) if service.status != "INACTIVE" else (),
        "client_token": lambda service: (f"{service.cluster_arn}|{service.client_token}",) if service.client_token else (),
    },
    succeed=next_version,
)


class Tally(msgspec.Struct, frozen=True, gc=False):
    """Failures of a deployment's tasks. Kept, because a task that has stopped is forgotten after a while and its failure is not."""

    #: ended by themselves without having run for long, since one of the deployment's tasks last ran well
    failed_starts: int = 0
    #: stopped for failing their health checks
    failed_checks: int = 0
    #: the end of the last one that is counted, and how many ended at that very moment
    last_at: float = 0.0
    at_last: int = 0
    #: when the task began that last showed the deployment to run well, as far as that mattered
    proven_at: float = 0.0


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
    tally: Tally = Tally()
    #: the deployment whose failure it was made to undo; it is not undone in its turn
    rolls_back: str = ""
    version: int = 1
    #: what it runs; empty for deployments of earlier versions of this program
    revision_arn: str = ""
    #: its tasks stand in the alternate target groups of the service's load balancers
    alternate: bool = False


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


# ── what was deployed, and how it went ──────────────────────────────────────────────────────────────────────────────


class ContainerImage(msgspec.Struct, frozen=True, gc=False):
    """`digest` is empty until an agent has said what it pulled."""

    container_name: str
    image: str
    digest: str = ""


class ServiceRevision(msgspec.Struct, frozen=True, gc=False):
    """What a service was to run at one time: written when a deployment begins, and kept so that one can go back to it."""

    arn: str
    service_arn: str
    cluster_arn: str
    created_at: float
    spec: ServiceSpec
    images: tuple[ContainerImage, ...] = ()


SERVICE_REVISIONS: Kind[ServiceRevision] = Kind(
    name="ecs.service_revision",
    type=ServiceRevision,
    key=lambda revision: revision.arn,
    indexes={"service": lambda revision: (revision.service_arn,)},
)


class Pause(msgspec.Struct, frozen=True, gc=False):
    """A lifecycle hook that a service deployment has come to: it goes on when somebody says so or the time is over."""

    id: str
    #: the hook's place among those of the service, the stage and the step of the traffic shift that it stands before
    hook: int
    stage: str
    step: int
    expires_at: float
    timeout_action: str = "ROLLBACK"  # ROLLBACK | CONTINUE
    status: str = "AWAITING_ACTION"  # AWAITING_ACTION | SUCCEEDED | FAILED | TIMED_OUT


def given_up(pauses: Iterable[Pause]) -> tuple[Pause, ...]:
    """Those of a deployment that is over: nobody is waited for any more."""
    return tuple(msgspec.structs.replace(pause, status="FAILED") if pause.status == "AWAITING_ACTION" else pause for pause in pauses)


#: statuses of service deployments that nothing more comes of
OVER = frozenset({"SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED"})


class ServiceDeployment(msgspec.Struct, frozen=True, gc=False):
    """The way from one revision to another, there and perhaps back again: what is shown of it, and how far it is.

    The operation that begins it creates it; StopServiceDeployment and ContinueServiceDeployment leave their wish in `status`
    and in a pause; all else is the deployments controller's.
    """

    arn: str
    service_arn: str
    cluster_arn: str
    created_at: float
    updated_at: float
    #: the deployment (ecs-svc/…) that it rolls out
    deployment_id: str
    target_revision_arn: str
    #: what runs, with how many tasks, when it begins
    source_revisions: tuple[tuple[str, int], ...] = ()
    #: the deployment that it takes the place of and goes back to; empty when there is none
    source_deployment_id: str = ""
    source_revision_arn: str = ""
    status: str = "PENDING"
    status_reason: str = ""
    #: the service's settings at the time say how: strategy, steps, bake times, hooks
    spec: ServiceSpec | None = None
    started_at: float | None = None
    finished_at: float | None = None
    stopped_at: float | None = None
    #: of the strategies that shift traffic: where it is, since when, and the number of the step
    stage: str = ""
    stage_at: float = 0.0
    step: int = 0
    #: percent of the traffic that the new revision gets, as it was last asked for
    production_percent: float = 0.0
    test_percent: float = 0.0
    #: when its rules were last rewritten
    shifted_at: float = 0.0
    pauses: tuple[Pause, ...] = ()
    #: the deployment that takes the service back, why, and since when
    rollback_deployment_id: str = ""
    rollback_reason: str = ""
    rollback_at: float | None = None
    #: the circuit breaker ended it
    broken: bool = False

    @property
    def is_over(self) -> bool:
        return self.status in OVER


SERVICE_DEPLOYMENTS: Kind[ServiceDeployment] = Kind(
    name="ecs.service_deployment",
    type=ServiceDeployment,
    key=lambda one: one.arn,
    indexes={
        "service": lambda one: (one.service_arn,),
        "open": lambda one: () if one.is_over else (one.service_arn,),
        "deployment": lambda one: (one.deployment_id,),
    },
)


# ── task sets ───────────────────────────────────────────────────────────────────────────────────────────────────────


class TaskSet(msgspec.Struct, frozen=True, gc=False):
    """Tasks of one kind in a service whose deployments somebody else controls. Its tasks carry its id as their deployment's."""

    id: str  # ecs-svc/<19 digits>
    arn: str
    service_arn: str
    cluster_arn: str
    created_at: float
    updated_at: float
    task_definition_arn: str
    scale_percent: float = 0.0
    external_id: str = ""
    launch_type: str = "EC2"
    capacity_provider_strategy: tuple[shapes.CapacityProviderStrategyItem, ...] = ()
    platform_version: str = ""
    network_configuration: shapes.NetworkConfiguration | None = None
    load_balancers: tuple[shapes.LoadBalancer, ...] = ()
    client_token: str = ""
    tags: tuple[Tag, ...] = ()
    #: by operations: PRIMARY | ACTIVE | DRAINING; the deployments controller deletes it when nothing of it is left
    status: str = "ACTIVE"
    #: written by the deployments controller
    stability: str = "STABILIZING"  # STABILIZING | STEADY_STATE
    stability_at: float = 0.0
    tally: Tally = Tally()


TASK_SETS: Kind[TaskSet] = Kind(
    name="ecs.task_set",
    type=TaskSet,
    key=lambda task_set: task_set.arn,
    indexes={
        "service": lambda task_set: (task_set.service_arn,),
        "id": lambda task_set: (task_set.id,),
        "target_group": lambda task_set: [lb.target_group_arn for lb in task_set.load_balancers if lb.target_group_arn],
    },
)


# ── the event log ───────────────────────────────────────────────────────────────────────────────────────────────────


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
