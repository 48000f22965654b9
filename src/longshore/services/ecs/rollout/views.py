"""Service deployments, service revisions and task sets as they are shown."""

from __future__ import annotations

import math

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.daemons import matching_instances
from longshore.services.ecs.model import TASKS
from longshore.services.ecs.rollout.model import (
    DEPLOYMENTS,
    SERVICES,
    Pause,
    Service,
    ServiceDeployment,
    ServiceRevision,
    ServiceSpec,
    TaskSet,
)
from longshore.services.ecs.rollout.revisions import standing_in
from longshore.services.ecs.rollout.traffic import has_test_rule, has_two_sides
from longshore.services.ecs.tagging import tags_view
from longshore.store.base import Reader

#: stages of ours that ECS shows under another name
_SHOWN_AS = {"PRE_PRODUCTION_TRAFFIC_SHIFT": "PRODUCTION_TRAFFIC_SHIFT"}


def configuration_view(spec: ServiceSpec) -> shapes.DeploymentConfiguration:
    """With what belongs to the strategy and nothing else."""
    is_rolling = spec.strategy == "ROLLING"
    return shapes.DeploymentConfiguration(
        deployment_circuit_breaker=spec.circuit_breaker or shapes.DeploymentCircuitBreaker(enable=False, rollback=False),
        maximum_percent=spec.maximum_percent,
        minimum_healthy_percent=spec.minimum_healthy_percent,
        strategy=spec.strategy,
        bake_time_in_minutes=spec.bake_time_min,
        canary_configuration=spec.canary,
        linear_configuration=spec.linear,
        lifecycle_hooks=None if is_rolling else spec.lifecycle_hooks,
    )


# ── service deployments ─────────────────────────────────────────────────────────────────────────────────────────────


def service_deployment_brief(one: ServiceDeployment) -> shapes.ServiceDeploymentBrief:
    return shapes.ServiceDeploymentBrief(
        service_deployment_arn=one.arn,
        service_arn=one.service_arn,
        cluster_arn=one.cluster_arn,
        started_at=one.started_at,
        created_at=one.created_at,
        finished_at=one.finished_at,
        target_service_revision_arn=one.target_revision_arn,
        status=one.status,
        status_reason=one.status_reason or None,
    )


def service_deployment_view(reader: Reader, one: ServiceDeployment) -> shapes.ServiceDeployment:
    service = reader.get(SERVICES, one.service_arn)
    return shapes.ServiceDeployment(
        service_deployment_arn=one.arn,
        service_arn=one.service_arn,
        cluster_arn=one.cluster_arn,
        created_at=one.created_at,
        started_at=one.started_at,
        finished_at=one.finished_at,
        stopped_at=one.stopped_at,
        updated_at=one.updated_at,
        source_service_revisions=tuple(_source(reader, one, arn, count) for arn, count in one.source_revisions),
        target_service_revision=_target(reader, service, one),
        status=one.status,
        status_reason=one.status_reason or None,
        lifecycle_stage=_SHOWN_AS.get(one.stage, one.stage) or None,
        lifecycle_hook_details=tuple(_hook(pause) for pause in one.pauses) or None,
        deployment_configuration=configuration_view(one.spec) if one.spec is not None else None,
        rollback=shapes.Rollback(
            reason=one.rollback_reason, started_at=one.rollback_at, service_revision_arn=one.source_revision_arn or None
        )
        if one.rollback_at is not None
        else None,
        deployment_circuit_breaker=_breaker(reader, service, one),
        alarms=shapes.ServiceDeploymentAlarms(status="DISABLED", alarm_names=(), triggered_alarm_names=()),
    )


def _source(reader: Reader, one: ServiceDeployment, arn: str, count: int) -> shapes.ServiceRevisionSummary:
    """What still runs of it; its share of the traffic where this deployment shifts it away."""
    running = pending = 0
    for deployment in reader.list(DEPLOYMENTS, "history", one.service_arn):
        if deployment.revision_arn == arn and deployment.id != one.deployment_id:
            more = reader.total(TASKS, "in_deployment", deployment.id)
            running, pending = running + more[0], pending + more[1]
    shifts = one.spec is not None and one.spec.strategy != "ROLLING" and arn == one.source_revision_arn
    return shapes.ServiceRevisionSummary(
        arn=arn,
        requested_task_count=count,
        running_task_count=running,
        pending_task_count=pending,
        requested_production_traffic_weight=_rest(one.production_percent) if shifts and _is_balanced(one) else None,
        requested_test_traffic_weight=_rest(one.test_percent) if shifts and _is_tested(one) else None,
    )


def _target(reader: Reader, service: Service | None, one: ServiceDeployment) -> shapes.ServiceRevisionSummary:
    running, pending = reader.total(TASKS, "in_deployment", one.deployment_id)
    wanted = one.spec.desired_count if one.spec is not None else 0
    if service is not None and not one.is_over:
        is_daemon = service.spec.scheduling_strategy == "DAEMON"
        wanted = len(matching_instances(reader, service)) if is_daemon else service.spec.desired_count
    return shapes.ServiceRevisionSummary(
        arn=one.target_revision_arn,
        requested_task_count=0 if one.rollback_at is not None else wanted,
        running_task_count=running,
        pending_task_count=pending,
        requested_production_traffic_weight=one.production_percent if _is_balanced(one) else None,
        requested_test_traffic_weight=one.test_percent if _is_tested(one) else None,
    )


def _rest(percent: float) -> float:
    return round(100.0 - percent, 1)


def _is_balanced(one: ServiceDeployment) -> bool:
    return one.spec is not None and one.spec.strategy != "ROLLING" and has_two_sides(one.spec.load_balancers)


def _is_tested(one: ServiceDeployment) -> bool:
    return _is_balanced(one) and one.spec is not None and has_test_rule(one.spec.load_balancers)


def _hook(pause: Pause) -> shapes.DeploymentLifecycleHookDetail:
    return shapes.DeploymentLifecycleHookDetail(
        hook_id=pause.id,
        target_type="PAUSE",
        status=pause.status,
        expires_at=pause.expires_at,
        timeout_action=pause.timeout_action,
    )


def _breaker(reader: Reader, service: Service | None, one: ServiceDeployment) -> shapes.ServiceDeploymentCircuitBreaker:
    breaker = one.spec.circuit_breaker if one.spec is not None else None
    if breaker is None or not breaker.enable:
        return shapes.ServiceDeploymentCircuitBreaker(status="DISABLED", failure_count=0, threshold=0)
    status = "TRIGGERED" if one.broken else "MONITORING_COMPLETE" if one.is_over else "MONITORING"
    deployment = reader.get(DEPLOYMENTS, one.deployment_id)
    wanted = service.spec.desired_count if service is not None else 0
    failed = max(deployment.tally.failed_starts, deployment.tally.failed_checks) if deployment is not None else 0
    return shapes.ServiceDeploymentCircuitBreaker(status=status, failure_count=failed, threshold=max(3, min(200, math.ceil(wanted * 0.5))))


# ── revisions ───────────────────────────────────────────────────────────────────────────────────────────────────────


def service_revision_view(reader: Reader, revision: ServiceRevision) -> shapes.ServiceRevision:
    spec = revision.spec
    return shapes.ServiceRevision(
        service_revision_arn=revision.arn,
        service_arn=revision.service_arn,
        cluster_arn=revision.cluster_arn,
        task_definition=spec.task_definition_arn,
        capacity_provider_strategy=spec.capacity_provider_strategy or None,
        launch_type=None if spec.capacity_provider_strategy else spec.launch_type,
        platform_version=spec.platform_version or None,
        load_balancers=spec.load_balancers,
        service_registries=(),
        network_configuration=spec.network_configuration,
        container_images=tuple(
            shapes.ContainerImage(container_name=image.container_name, image=image.image, image_digest=image.digest or None)
            for image in revision.images
        ),
        guard_duty_enabled=False,
        created_at=revision.created_at,
        resolved_configuration=_resolved(reader, revision),
    )


def _resolved(reader: Reader, revision: ServiceRevision) -> shapes.ResolvedConfiguration | None:
    """The target groups its tasks really stand in."""
    if not revision.spec.load_balancers:
        return None
    standing = next((one for one in reader.list(DEPLOYMENTS, "history", revision.service_arn) if one.revision_arn == revision.arn), None)
    balancers = standing_in(revision.spec.load_balancers, alternate=bool(standing and standing.alternate))
    return shapes.ResolvedConfiguration(
        load_balancers=tuple(
            shapes.ServiceRevisionLoadBalancer(
                target_group_arn=lb.target_group_arn,
                production_listener_rule=lb.advanced_configuration.production_listener_rule if lb.advanced_configuration else None,
            )
            for lb in balancers
        )
    )


# ── task sets ───────────────────────────────────────────────────────────────────────────────────────────────────────


def computed_count(desired: int, percent: float) -> int:
    """A share of the service's tasks, rounded up. Shares in hundredths of a percent come out exact."""
    return math.ceil(round(desired * percent / 100, 6))


def task_set_view(reader: Reader, service: Service, task_set: TaskSet, *, with_tags: bool) -> shapes.TaskSet:
    running, pending = reader.total(TASKS, "in_deployment", task_set.id)
    return shapes.TaskSet(
        id=task_set.id,
        task_set_arn=task_set.arn,
        service_arn=task_set.service_arn,
        cluster_arn=task_set.cluster_arn,
        external_id=task_set.external_id or None,
        status=task_set.status,
        task_definition=task_set.task_definition_arn,
        computed_desired_count=wanted_of(service, task_set),
        pending_count=pending,
        running_count=running,
        created_at=task_set.created_at,
        updated_at=task_set.updated_at,
        launch_type=None if task_set.capacity_provider_strategy else task_set.launch_type,
        capacity_provider_strategy=task_set.capacity_provider_strategy or None,
        platform_version=task_set.platform_version or None,
        network_configuration=task_set.network_configuration,
        load_balancers=task_set.load_balancers,
        service_registries=(),
        scale=shapes.Scale(value=task_set.scale_percent, unit="PERCENT"),
        stability_status=task_set.stability,
        stability_status_at=task_set.stability_at or task_set.created_at,
        tags=tags_view(task_set.tags) if with_tags else (),
    )


def wanted_of(service: Service, task_set: TaskSet) -> int:
    if task_set.status == "DRAINING" or service.spec.deleted:
        return 0
    return computed_count(service.spec.desired_count, task_set.scale_percent)
