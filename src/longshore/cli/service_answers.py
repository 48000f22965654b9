"""What `longshore service` and `longshore explain` read of a service: AWS's answers as far as they are needed, and our own."""

from __future__ import annotations

from typing import Any

import msgspec

from longshore.aws.flight import ContainerFlight


class Deployment(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    status: str
    task_definition: str = ""
    desired_count: int = 0
    running_count: int = 0
    pending_count: int = 0
    failed_tasks: int = 0
    rollout_state: str = ""
    rollout_state_reason: str = ""
    created_at: float = 0.0


class ServiceEvent(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    created_at: float
    message: str


class Service(msgspec.Struct, frozen=True, rename="camel"):
    service_arn: str
    service_name: str
    cluster_arn: str
    status: str
    desired_count: int = 0
    running_count: int = 0
    pending_count: int = 0
    task_definition: str = ""
    deployments: tuple[Deployment, ...] = ()
    events: tuple[ServiceEvent, ...] = ()
    scheduling_strategy: str = ""
    created_at: float = 0.0

    @property
    def primary(self) -> Deployment | None:
        return next((one for one in self.deployments if one.status == "PRIMARY"), None)


class Missing(msgspec.Struct, frozen=True):
    arn: str = ""
    reason: str = ""


class Services(msgspec.Struct, frozen=True):
    services: tuple[Service, ...] = ()
    failures: tuple[Missing, ...] = ()


class One(msgspec.Struct, frozen=True):
    service: Service


class ServiceArns(msgspec.Struct, frozen=True, rename="camel"):
    service_arns: tuple[str, ...] = ()
    next_token: str | None = None


class Definition(msgspec.Struct, frozen=True, rename="camel"):
    """A task definition as it is told and sent again: every member is kept, known here or not."""

    task_definition: dict[str, Any]
    tags: tuple[dict[str, Any], ...] = ()


# ── LongshoreExplainService, LongshoreGetServiceTraffic ─────────────────────────────────────────────────────────────


class Target(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    target_group_arn: str
    state: str
    reason: str = ""


class Member(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    task_arn: str
    deployment_id: str
    task_definition_arn: str
    last_status: str
    phase: str | None = None
    health_status: str = "UNKNOWN"
    availability_zone: str = ""
    container_instance_arn: str = ""
    created_at: float = 0.0
    complaint: str = ""
    healthy_at: float | None = None
    protected_until: float | None = None
    in_place_of: str = ""
    targets: tuple[Target, ...] = ()


class Step(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    action: str
    deployment_id: str = ""
    count: int = 1
    task_arn: str = ""
    reason: str = ""
    availability_zone: str = ""
    container_instance_arn: str = ""


class Outlook(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    desired_count: int
    least_healthy: int
    most_tasks: int
    waits: tuple[str, ...] = ()
    next: tuple[Step, ...] = ()
    look_again_at: float | None = None
    members: tuple[Member, ...] = ()


class Rollout(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    deployment_id: str
    status: str
    task_definition_arn: str
    rollout_state: str
    rollout_state_reason: str = ""
    created_at: float = 0.0
    rolls_back: str = ""
    failed_starts: int = 0
    failed_checks: int = 0


class Explained(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    service_arn: str
    status: str
    steady: bool
    evaluated_at: float
    outlook: Outlook
    refusal: str = ""
    deployments: tuple[Rollout, ...] = ()


class GroupTraffic(msgspec.Struct, frozen=True, rename="camel"):
    target_group_arn: str
    requests: int
    failed: int
    connect_errors: int
    retries: int


class Traffic(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    target_groups: tuple[GroupTraffic, ...] = ()
    unserved: int = 0
    counter: str = ""


class ServiceTraffic(msgspec.Struct, frozen=True, rename="camel"):
    service_arn: str
    traffic: Traffic


# ── what ended ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Ended(msgspec.Struct, frozen=True, rename="camel"):
    task_arn: str
    task_definition_arn: str
    stopped_at: float
    stopped_reason: str = ""


class EndedTasks(msgspec.Struct, frozen=True):
    tasks: tuple[Ended, ...] = ()


class FlightRecord(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    containers: tuple[ContainerFlight, ...] = ()


# ── service deployments ─────────────────────────────────────────────────────────────────────────────────────────────


class ServiceDeployment(msgspec.Struct, frozen=True, rename="camel"):
    service_deployment_arn: str
    status: str
    target_service_revision_arn: str = ""
    created_at: float = 0.0


class ServiceDeployments(msgspec.Struct, frozen=True, rename="camel"):
    service_deployments: tuple[ServiceDeployment, ...] = ()


class Revision(msgspec.Struct, frozen=True, rename="camel"):
    service_revision_arn: str
    task_definition: str = ""


class Revisions(msgspec.Struct, frozen=True, rename="camel"):
    service_revisions: tuple[Revision, ...] = ()
