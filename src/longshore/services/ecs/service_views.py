"""Services, their deployments and their events as they are shown."""

from __future__ import annotations

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.model import TASKS
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICE_EVENTS, Deployment, Service
from longshore.services.ecs.tagging import tags_view
from longshore.store.base import Reader

MOST_EVENTS = 100


def status_of(service: Service) -> str:
    """A deleted service is DRAINING from the moment it is deleted; its controller writes so a little later."""
    return "DRAINING" if service.spec.deleted and service.status == "ACTIVE" else service.status


def service_view(reader: Reader, service: Service, *, with_tags: bool) -> shapes.Service:
    running, pending = reader.total(TASKS, "in_service", service.arn)
    spec = service.spec
    return shapes.Service(
        service_arn=service.arn,
        service_name=service.name,
        cluster_arn=service.cluster_arn,
        load_balancers=spec.load_balancers,
        service_registries=(),
        status=status_of(service),
        desired_count=spec.desired_count,
        running_count=running,
        pending_count=pending,
        # a strategy takes the place of a launch type
        launch_type=None if spec.capacity_provider_strategy else spec.launch_type,
        capacity_provider_strategy=spec.capacity_provider_strategy or None,
        platform_version=spec.platform_version or None,
        task_definition=spec.task_definition_arn,
        deployment_configuration=shapes.DeploymentConfiguration(
            deployment_circuit_breaker=spec.circuit_breaker or shapes.DeploymentCircuitBreaker(enable=False, rollback=False),
            maximum_percent=spec.maximum_percent,
            minimum_healthy_percent=spec.minimum_healthy_percent,
            strategy="ROLLING",
            bake_time_in_minutes=0,
        ),
        deployments=_deployments(reader, service),
        role_arn=spec.role_arn or None,
        events=_events(reader, service),
        created_at=service.created_at,
        placement_constraints=spec.placement_constraints,
        placement_strategy=spec.placement_strategy,
        network_configuration=spec.network_configuration,
        health_check_grace_period_seconds=spec.health_check_grace_period_s if spec.load_balancers else None,
        scheduling_strategy=spec.scheduling_strategy,
        deployment_controller=shapes.DeploymentController(type="ECS"),
        tags=tags_view(service.tags) if with_tags else (),
        created_by=service.created_by or None,
        enable_ecs_managed_tags=spec.enable_ecs_managed_tags,
        propagate_tags=spec.propagate_tags,
        enable_execute_command=spec.enable_execute_command,
        availability_zone_rebalancing=spec.availability_zone_rebalancing,
    )


def _deployments(reader: Reader, service: Service) -> tuple[shapes.Deployment, ...]:
    """The primary one first, then the others, newest first."""
    living = reader.list(DEPLOYMENTS, "service", service.arn)
    living.sort(key=lambda one: (one.status == "PRIMARY", one.created_at), reverse=True)
    return tuple(_deployment(reader, service, one) for one in living)


def _deployment(reader: Reader, service: Service, deployment: Deployment) -> shapes.Deployment:
    running, pending = reader.total(TASKS, "in_deployment", deployment.id)
    primary = deployment.status == "PRIMARY"
    return shapes.Deployment(
        id=deployment.id,
        status=deployment.status,
        task_definition=deployment.task_definition_arn,
        # an old deployment wants what it still has, and less and less of it
        desired_count=service.spec.desired_count if primary else running + pending,
        pending_count=pending,
        running_count=running,
        failed_tasks=reader.count(TASKS, "failed_in", deployment.id),
        created_at=deployment.created_at,
        updated_at=deployment.updated_at,
        launch_type=None if service.spec.capacity_provider_strategy else service.spec.launch_type,
        capacity_provider_strategy=service.spec.capacity_provider_strategy or None,
        rollout_state=deployment.rollout_state,
        rollout_state_reason=deployment.rollout_state_reason,
    )


def _events(reader: Reader, service: Service) -> tuple[shapes.ServiceEvent, ...]:
    """Newest first."""
    events = reader.list(SERVICE_EVENTS, "service", service.arn)[-MOST_EVENTS:]
    return tuple(shapes.ServiceEvent(id=event.id, created_at=event.created_at, message=event.message) for event in reversed(events))
