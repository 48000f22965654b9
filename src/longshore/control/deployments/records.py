"""Keeps service deployments and revisions in step with what becomes of their deployments.

A rolling update is decided on as it always was; what is shown of it (StopServiceDeployment's answer to it included) is derived
here from the deployments' own states, in the transaction that changed them. Deployments that shift traffic keep their own
record (shifting/carry.py).
"""

from __future__ import annotations

from msgspec.structs import replace

from longshore.control.deployments.vocabulary import Plan, Wish
from longshore.services.ecs.model import TASKS
from longshore.services.ecs.rollout.model import (
    DEPLOYMENTS,
    SERVICE_DEPLOYMENTS,
    SERVICE_REVISIONS,
    TASK_SETS,
    Deployment,
    Service,
    ServiceDeployment,
    ServiceRevision,
    given_up,
)
from longshore.services.ecs.rollout.revisions import with_deployed
from longshore.store.base import Reader, Tx

BROKEN = "Service deployment rolled back because the circuit breaker threshold was exceeded."
BROKEN_FOR_GOOD = "Service deployment failed because the circuit breaker threshold was exceeded."


def wish_of(reader: Reader, service: Service) -> Wish | None:
    """What StopServiceDeployment asked of a rolling update that is under way."""
    for one in reader.list(SERVICE_DEPLOYMENTS, "open", service.arn):
        if _shifts(one):
            continue
        if one.status == "ROLLBACK_REQUESTED":
            return Wish(one.deployment_id, one.status_reason, one.source_deployment_id)
        if one.status == "STOP_REQUESTED":
            return Wish(one.deployment_id, one.status_reason)
    return None


def _shifts(one: ServiceDeployment) -> bool:
    return one.spec is not None and one.spec.strategy != "ROLLING"


# ── going back ──────────────────────────────────────────────────────────────────────────────────────────────────────


def note_failure(tx: Tx, todo: Plan, rollback_id: str, now: float) -> None:
    """The plan gives a deployment up: its record says so, and by which deployment the service is taken back."""
    for one in tx.list(SERVICE_DEPLOYMENTS, "deployment", todo.fail):
        if one.is_over:
            continue
        broken = not todo.fail_reason
        changed = replace(one, started_at=one.started_at or now, updated_at=now, broken=broken)
        if todo.roll_back_to:
            why = todo.fail_reason or BROKEN
            changed = replace(
                changed,
                status="ROLLBACK_IN_PROGRESS",
                status_reason=why,
                rollback_deployment_id=rollback_id,
                rollback_reason=why,
                rollback_at=now,
            )
        else:
            why = todo.fail_reason or BROKEN_FOR_GOOD
            changed = replace(changed, status="STOPPED", status_reason=why, stopped_at=now, finished_at=now)
        tx.put(SERVICE_DEPLOYMENTS, changed)


def going_back(tx: Tx, service: Service, good: Deployment, failed: Deployment, rollback_id: str, now: float, why: str) -> Service:
    """A new deployment of what ran before; the failed one is an old one from now on. Returns the service with what it ran then."""
    tx.put(DEPLOYMENTS, replace(failed, status="ACTIVE"))
    tx.put(
        DEPLOYMENTS,
        Deployment(
            id=rollback_id,
            service_arn=service.arn,
            task_definition_arn=good.task_definition_arn,
            created_at=now,
            updated_at=now,
            desired_count=service.spec.desired_count,
            rollout_state_reason=why,
            rolls_back=failed.id,
            revision_arn=good.revision_arn,
            alternate=good.alternate,
        ),
    )
    revision = tx.get(SERVICE_REVISIONS, good.revision_arn) if good.revision_arn else None
    spec = with_deployed(service.spec, revision.spec) if revision is not None else service.spec
    return replace(service, spec=replace(spec, task_definition_arn=good.task_definition_arn))


# ── what is shown ───────────────────────────────────────────────────────────────────────────────────────────────────


def is_behind(reader: Reader, service: Service, now: float) -> bool:
    """Whether `follow` would write anything."""
    return any(_followed(reader, one, now) != one for one in reader.list(SERVICE_DEPLOYMENTS, "open", service.arn)) or any(
        _with_digests(reader, revision, deployment) != revision for deployment, revision in _revisions(reader, service)
    )


def follow(tx: Tx, service: Service, now: float) -> None:
    for one in tx.list(SERVICE_DEPLOYMENTS, "open", service.arn):
        changed = _followed(tx, one, now)
        if changed != one:
            tx.put(SERVICE_DEPLOYMENTS, changed)
    for deployment, revision in _revisions(tx, service):
        known = _with_digests(tx, revision, deployment)
        if known != revision:
            tx.put(SERVICE_REVISIONS, known)


def close(tx: Tx, service: Service, now: float) -> None:
    """The service is gone: nothing of it is on its way any more."""
    for one in tx.list(SERVICE_DEPLOYMENTS, "open", service.arn):
        why = "Service deployment stopped because the service was deleted."
        over = replace(
            one, status="STOPPED", status_reason=why, stopped_at=now, finished_at=now, updated_at=now, pauses=given_up(one.pauses)
        )
        tx.put(SERVICE_DEPLOYMENTS, over)
    for task_set in tx.list(TASK_SETS, "service", service.arn):
        tx.delete(TASK_SETS, task_set.arn)


def _followed(reader: Reader, one: ServiceDeployment, now: float) -> ServiceDeployment:
    if _shifts(one):
        return one
    if one.status == "PENDING":
        one = replace(one, status="IN_PROGRESS", started_at=now, updated_at=now)
    back = reader.get(DEPLOYMENTS, one.rollback_deployment_id) if one.rollback_deployment_id else None
    if back is not None:
        ends = {"COMPLETED": "ROLLBACK_SUCCESSFUL", "FAILED": "ROLLBACK_FAILED"}
        end = ends.get(back.rollout_state, "")
        return replace(one, status=end, finished_at=now, updated_at=now) if end else one
    deployment = reader.get(DEPLOYMENTS, one.deployment_id)
    if deployment is not None and deployment.rollout_state == "COMPLETED":
        return replace(one, status="SUCCESSFUL", status_reason="", finished_at=now, updated_at=now)
    return one


def _revisions(reader: Reader, service: Service) -> list[tuple[Deployment, ServiceRevision]]:
    """What is being deployed, where not every image is known by its digest yet."""
    found = []
    for deployment in reader.list(DEPLOYMENTS, "service", service.arn):
        if deployment.rollout_state != "IN_PROGRESS":
            continue
        revision = reader.get(SERVICE_REVISIONS, deployment.revision_arn) if deployment.revision_arn else None
        if revision is not None and not all(image.digest for image in revision.images):
            found.append((deployment, revision))
    return found


def _with_digests(reader: Reader, revision: ServiceRevision, deployment: Deployment) -> ServiceRevision:
    """As the first task that runs has pulled them."""
    if not reader.total(TASKS, "in_deployment", deployment.id)[0]:
        return revision
    tasks = reader.list(TASKS, "service", deployment.service_arn)
    running = next((t for t in tasks if t.spec.deployment_id == deployment.id and t.status.last_status == "RUNNING"), None)
    if running is None:
        return revision
    digests = {container.name: container.image_digest for container in running.status.containers}
    images = tuple(replace(image, digest=image.digest or digests.get(image.container_name, "")) for image in revision.images)
    return revision if images == revision.images else replace(revision, images=images)
