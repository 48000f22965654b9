"""Services, their deployments and their events as they are shown."""

from __future__ import annotations

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.daemons import matching_instances
from longshore.services.ecs.model import TASKS
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICE_DEPLOYMENTS, SERVICE_EVENTS, TASK_SETS, Deployment, Service
from longshore.services.ecs.rollout.views import configuration_view, task_set_view
from longshore.services.ecs.tagging import tags_view
from longshore.store.base import Reader

MOST_EVENTS = 100


def status_of(service: Service) -> str:
    """A deleted service is DRAINING from the moment it is deleted; its controller writes so a little later."""
    return "DRAINING" if service.spec.deleted and service.status == "ACTIVE" else service.status


def desired_count_of(reader: Reader, service: Service) -> int:
    """A DAEMON service wants as many tasks as there are container instances for it."""
    spec = service.spec
    return len(matching_instances(reader, service)) if spec.scheduling_strategy == "DAEMON" and not spec.deleted else spec.desired_count


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
        desired_count=desired_count_of(reader, service),
        running_count=running,
        pending_count=pending,
        # a strategy takes the place of a launch type
        launch_type=None if spec.capacity_provider_strategy or spec.deployment_controller == "EXTERNAL" else spec.launch_type,
        capacity_provider_strategy=spec.capacity_provider_strategy or None,
        platform_version=spec.platform_version or None,
        task_definition=spec.task_definition_arn or None,
        deployment_configuration=configuration_view(spec),
        task_sets=_task_sets(reader, service, with_tags=with_tags),
        deployments=_deployments(reader, service),
        role_arn=spec.role_arn or None,
        events=_events(reader, service),
        created_at=service.created_at,
        current_service_deployment=next((one.arn for one in reader.list(SERVICE_DEPLOYMENTS, "open", service.arn)), None),
        current_service_revisions=_current_revisions(reader, service),
        placement_constraints=spec.placement_constraints,
        placement_strategy=spec.placement_strategy,
        network_configuration=spec.network_configuration,
        health_check_grace_period_seconds=spec.health_check_grace_period_s if spec.load_balancers else None,
        scheduling_strategy=spec.scheduling_strategy,
        deployment_controller=shapes.DeploymentController(type=spec.deployment_controller),
        tags=tags_view(service.tags) if with_tags else (),
        created_by=service.created_by or None,
        enable_ecs_managed_tags=spec.enable_ecs_managed_tags,
        propagate_tags=spec.propagate_tags,
        enable_execute_command=spec.enable_execute_command,
        availability_zone_rebalancing=spec.availability_zone_rebalancing,
    )


def _current_revisions(reader: Reader, service: Service) -> tuple[shapes.ServiceCurrentRevisionSummary, ...]:
    """What runs, or is about to: newest first."""
    living = sorted(reader.list(DEPLOYMENTS, "service", service.arn), key=lambda one: one.created_at, reverse=True)
    found = []
    for deployment in living:
        running, pending = reader.total(TASKS, "in_deployment", deployment.id)
        wanted = desired_count_of(reader, service) if deployment.status == "PRIMARY" else running + pending
        if deployment.revision_arn:
            found.append(
                shapes.ServiceCurrentRevisionSummary(
                    arn=deployment.revision_arn, requested_task_count=wanted, running_task_count=running, pending_task_count=pending
                )
            )
    return tuple(found)


def _task_sets(reader: Reader, service: Service, *, with_tags: bool) -> tuple[shapes.TaskSet, ...]:
    """Oldest first; none but with an external deployment controller."""
    if service.spec.deployment_controller != "EXTERNAL":
        return ()
    there = sorted(reader.list(TASK_SETS, "service", service.arn), key=lambda one: (one.created_at, one.arn))
    return tuple(task_set_view(reader, service, one, with_tags=with_tags) for one in there)


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
        # an old deployment wants what it still has, and less and less of it; one that traffic is shifted from is kept whole
        desired_count=desired_count_of(reader, service) if primary or _is_kept(reader, service, deployment) else running + pending,
        pending_count=pending,
        running_count=running,
        failed_tasks=deployment.tally.failed_starts + deployment.tally.failed_checks,
        created_at=deployment.created_at,
        updated_at=deployment.updated_at,
        launch_type=None if service.spec.capacity_provider_strategy else service.spec.launch_type,
        capacity_provider_strategy=service.spec.capacity_provider_strategy or None,
        rollout_state=deployment.rollout_state,
        rollout_state_reason=deployment.rollout_state_reason,
    )


def _is_kept(reader: Reader, service: Service, deployment: Deployment) -> bool:
    return any(
        one.source_deployment_id == deployment.id and one.spec is not None and one.spec.strategy != "ROLLING" and one.stage != "CLEAN_UP"
        for one in reader.list(SERVICE_DEPLOYMENTS, "open", service.arn)
    )


def _events(reader: Reader, service: Service) -> tuple[shapes.ServiceEvent, ...]:
    """Newest first."""
    events = reader.list(SERVICE_EVENTS, "service", service.arn)[-MOST_EVENTS:]
    return tuple(shapes.ServiceEvent(id=event.id, created_at=event.created_at, message=event.message) for event in reversed(events))
