"""What the store says about a service, as its planner wants to see it."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.control.deployments.plan import Breaker, Member, Phase, Rollout, Snapshot
from longshore.services.ecs.model import SHORT_LIFE_S, TASK_DEFINITIONS, TASKS, Lifecycle, Task, revision_key
from longshore.services.ecs.rollout.model import DEPLOYMENTS, Deployment, Service
from longshore.services.elbv2.model import TARGETS, Target
from longshore.store.base import Reader


def snapshot_of(reader: Reader, service: Service, now: float, warm_up_s: float) -> Snapshot:
    """`warm_up_s`: how long after RUNNING a task counts as healthy when nothing checks its health."""
    tasks = reader.list(TASKS, "service", service.arn)
    wanted = [task for task in tasks if task.stop is None]
    deployments = reader.list(DEPLOYMENTS, "service", service.arn)
    checked = {arn: _has_health_check(reader, arn) for arn in {task.spec.task_definition_arn for task in wanted}}
    breaker = service.spec.circuit_breaker
    return Snapshot(
        now=now,
        service_name=service.name,
        desired=service.spec.desired_count,
        minimum_percent=service.spec.minimum_healthy_percent,
        maximum_percent=service.spec.maximum_percent,
        deleted=service.spec.deleted,
        status=service.status,
        steady=service.steady,
        rollouts=tuple(_rollout(reader, deployment, wanted, now) for deployment in deployments),
        members=tuple(_member(reader, service, task, checked[task.spec.task_definition_arn], now, warm_up_s) for task in wanted),
        leaving=len(tasks) - len(wanted),
        breaker=Breaker(bool(breaker and breaker.enable), bool(breaker and breaker.rollback)),
        last_completed=_last_completed(reader, service) if breaker and breaker.rollback else "",
    )


def _rollout(reader: Reader, deployment: Deployment, wanted: Iterable[Task], now: float) -> Rollout:
    """Failures count since a task of the deployment last showed, by running for a while, that it can."""
    failed = reader.list(TASKS, "failed_in", deployment.id)
    proven = [
        task.status.started_at
        for task in wanted
        if task.spec.deployment_id == deployment.id and task.status.started_at is not None and now - task.status.started_at >= SHORT_LIFE_S
    ]
    since = max(proven, default=0.0)
    ends = [task.status.stopped_at or 0.0 for task in failed if (task.status.stopped_at or 0.0) > since]
    return Rollout(
        id=deployment.id,
        primary=deployment.status == "PRIMARY",
        state=deployment.rollout_state,
        failures=len(ends),
        last_failure_at=max(ends, default=0.0),
    )


def _last_completed(reader: Reader, service: Service) -> str:
    """The newest earlier deployment that once completed; "" when none did."""
    completed = [
        deployment
        for deployment in reader.list(DEPLOYMENTS, "history", service.arn)
        if deployment.rollout_state == "COMPLETED" and deployment.status != "PRIMARY"
    ]
    return max(completed, key=lambda deployment: deployment.created_at).id if completed else ""


def _has_health_check(reader: Reader, definition_arn: str) -> bool:
    """Only the checks of essential containers make the health of a task."""
    family, _, revision = definition_arn.rsplit("/", 1)[-1].rpartition(":")
    definition = reader.get(TASK_DEFINITIONS, revision_key(definition_arn, family, int(revision)))
    containers = (definition.definition.container_definitions if definition else None) or ()
    return any(
        container.essential is not False and container.health_check is not None and container.health_check.command[0] != "NONE"
        for container in containers
    )


def _member(reader: Reader, service: Service, task: Task, has_health_check: bool, now: float, warm_up_s: float) -> Member:
    phase, complaint, warm_at = phase_of(service, task, reader.list(TARGETS, "owner", task.arn), has_health_check, now, warm_up_s)
    return Member(
        arn=task.arn,
        deployment_id=task.spec.deployment_id,
        phase=phase,
        zone=task.availability_zone,
        created_at=task.spec.created_at,
        complaint=complaint,
        warm_at=warm_at,
    )


def phase_of(
    service: Service, task: Task, targets: list[Target], has_health_check: bool, now: float, warm_up_s: float
) -> tuple[Phase, str, float | None]:
    """(phase, complaint, when it becomes healthy by mere running)."""
    started = task.status.started_at
    if Lifecycle[task.status.last_status] < Lifecycle.RUNNING or started is None:
        return Phase.STARTING, "", None
    in_grace = bool(service.spec.load_balancers) and now < started + service.spec.health_check_grace_period_s
    complaint = _complaint(task, targets, has_health_check)
    if complaint:
        return (Phase.WARMING, "", None) if in_grace else (Phase.UNHEALTHY, complaint, None)
    if not has_health_check and not service.spec.load_balancers:
        warm_at = started + warm_up_s
        return (Phase.HEALTHY, "", None) if now >= warm_at else (Phase.WARMING, "", warm_at)
    serving = {target.target_group_arn for target in targets if target.health.state in ("healthy", "unavailable")}
    wanted = {lb.target_group_arn for lb in service.spec.load_balancers if lb.target_group_arn}
    healthy = wanted <= serving and (not has_health_check or task.status.health_status == "HEALTHY")
    return (Phase.HEALTHY if healthy else Phase.WARMING), "", None


def _complaint(task: Task, targets: list[Target], has_health_check: bool) -> str:
    """Why the task is not to go on, as its stop reason says it; "" when nothing is wrong (yet)."""
    if has_health_check and task.status.health_status == "UNHEALTHY":
        return "Task failed container health checks"
    for target in targets:
        if target.health.state == "unhealthy":
            return f"Task failed ELB health checks in (target-group {target.target_group_arn})"
    return ""
