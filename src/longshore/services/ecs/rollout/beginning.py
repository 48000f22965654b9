"""How a deployment begins: what was on its way is superseded, what is to run is written down, and a side is chosen.

CreateService and UpdateService begin deployments here, inside their own transaction. Of a deployment that is superseded in
the middle of shifting traffic nothing is left hanging: in the same transaction all traffic goes to whoever can carry it, the
old tasks, or the new ones once everything had been shifted to them.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from longshore.kit.ids import Ids
from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.model import TASKS
from longshore.services.ecs.rollout.model import (
    DEPLOYMENTS,
    SERVICE_DEPLOYMENTS,
    Deployment,
    Service,
    ServiceDeployment,
    ServiceSpec,
    given_up,
)
from longshore.services.ecs.rollout.revisions import prune, record_revision, settings_of
from longshore.services.ecs.rollout.traffic import LoadBalancers, has_two_sides, shift_production, shift_test, sides_for
from longshore.store.base import Reader, Tx

#: stages in which everything has been shifted already
SHIFTED = ("POST_PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP")


@dataclass(frozen=True, slots=True)
class Names:
    """Drawn before the transaction, which may run more than once."""

    deployment_id: str
    service_deployment_id: str
    revision_id: str
    source_revision_id: str

    @classmethod
    def of(cls, ids: Ids) -> Names:
        return cls(f"ecs-svc/{ids.digits(19)}", ids.hex(20), ids.digits(19), ids.digits(19))


def begin_deployment(tx: Tx, before: Service | None, service: Service, names: Names, now: float) -> Deployment:
    """A PRIMARY deployment of `service` as it is wanted now; `before` is what it was until now, None for a new one. Raises
    InvalidParameterException when its load balancers cannot be deployed to from where its tasks stand."""
    superseded = _superseded(tx, before, names, now) if before is not None else Superseded()
    source = superseded.source
    living = tx.list(DEPLOYMENTS, "service", service.arn)
    revision = record_revision(tx, service, names.revision_id, now)
    deployment = Deployment(
        id=names.deployment_id,
        service_arn=service.arn,
        task_definition_arn=service.spec.task_definition_arn,
        created_at=now,
        updated_at=now,
        desired_count=service.spec.desired_count,
        rollout_state_reason=f"ECS deployment {names.deployment_id} in progress.",
        revision_arn=revision.arn,
        alternate=_side(service.spec, settings_of(tx, service, source.id).load_balancers if source else ()),
    )
    tx.put(DEPLOYMENTS, deployment)
    tx.put(
        SERVICE_DEPLOYMENTS,
        ServiceDeployment(
            arn=service.arn.replace(":service/", ":service-deployment/", 1) + f"/{names.service_deployment_id}",
            service_arn=service.arn,
            cluster_arn=service.cluster_arn,
            created_at=now,
            updated_at=now,
            deployment_id=deployment.id,
            target_revision_arn=revision.arn,
            source_revisions=tuple((one.revision_arn, _size(tx, one)) for one in living if one.revision_arn and _size(tx, one)),
            source_deployment_id=source.id if source else "",
            source_revision_arn=source.revision_arn if source else "",
            spec=service.spec,
            shifted_at=now if superseded.given else 0.0,
        ),
    )
    prune(tx, service.arn, now)
    return deployment


def _size(reader: Reader, deployment: Deployment) -> int:
    return sum(reader.total(TASKS, "in_deployment", deployment.id))


def _side(spec: ServiceSpec, occupied: LoadBalancers) -> bool:
    """Whether the deployment stands in the alternate target groups. Raises InvalidParameterException where its load balancers would
    need it on both sides: it could not be told by their rules from those who stand there already."""
    found = sides_for(spec.load_balancers, occupied, joins=spec.strategy == "ROLLING")
    if len(found) > 1:
        raise InvalidParameterException(
            "The target groups of all load balancers must be in use, or all of their alternate target groups. "
            "Turn either all pairs of target groups round or none."
        )
    return True in found


# ── what was on its way ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Superseded:
    #: the deployment that the next one takes over from
    source: Deployment | None = None
    #: traffic had to be taken from others and given to it
    given: bool = False


def _superseded(tx: Tx, before: Service, names: Names, now: float) -> Superseded:
    """Nothing of the service is PRIMARY or on its way any more."""
    shifted = _shifted(tx, before.arn)
    source = _source(tx, before.arn, shifted)
    given = False
    for under_way in tx.list(SERVICE_DEPLOYMENTS, "open", before.arn):
        if source is not None:
            given = _give_traffic_to(tx, before, source, under_way, now) or given
        tx.put(SERVICE_DEPLOYMENTS, ended_by_another(under_way, now, shifted=under_way.deployment_id in shifted))
    for deployment in tx.list(DEPLOYMENTS, "service", before.arn):
        changed = deployment
        if source is not None and deployment.id == source.id:
            if not deployment.revision_arn:
                changed = replace(changed, revision_arn=record_revision(tx, before, names.source_revision_id, now).arn)
            if deployment.id in shifted:
                changed = replace(changed, rollout_state="COMPLETED", rollout_state_reason=f"ECS deployment {deployment.id} completed.")
        if deployment.status == "PRIMARY":
            changed = replace(changed, status="ACTIVE", updated_at=now)
        if changed is not deployment:
            tx.put(DEPLOYMENTS, changed)
    return Superseded(tx.get(DEPLOYMENTS, source.id) if source is not None else None, given)


def _shifted(reader: Reader, service_arn: str) -> set[str]:
    """Deployments that have all the traffic already, though they are not done."""
    return {
        one.deployment_id
        for one in reader.list(SERVICE_DEPLOYMENTS, "open", service_arn)
        if one.stage in SHIFTED and one.rollback_at is None and one.status in ("PENDING", "IN_PROGRESS")
    }


def _source(reader: Reader, service_arn: str, shifted: set[str]) -> Deployment | None:
    """The one that carries the service: whose traffic has been shifted; else what the deployment under way was to take over from;
    else the newest that completed, or the primary."""
    living = reader.list(DEPLOYMENTS, "service", service_arn)
    if not shifted:
        taken_over = {one.source_deployment_id for one in reader.list(SERVICE_DEPLOYMENTS, "open", service_arn)}
        found = next((one for one in living if one.id in taken_over), None)
        if found is not None:
            return found
    carrying = [one for one in living if one.rollout_state == "COMPLETED" or one.id in shifted]
    return max(carrying or living, key=lambda one: (one.id in shifted, one.status == "PRIMARY", one.created_at), default=None)


def _give_traffic_to(tx: Tx, service: Service, source: Deployment, under_way: ServiceDeployment, now: float) -> bool:
    """Whether any had to be taken from somebody else."""
    if under_way.spec is None or under_way.spec.strategy == "ROLLING":
        return False
    other_id = under_way.source_deployment_id if source.id == under_way.deployment_id else under_way.deployment_id
    own = settings_of(tx, service, source.id).load_balancers
    rest = settings_of(tx, service, other_id).load_balancers if other_id else ()
    if not has_two_sides(own) or not (under_way.production_percent or under_way.test_percent):
        return False
    shift_production(tx, own, rest, 100.0, now)
    shift_test(tx, own, rest, 100.0, now)
    return True


def ended_by_another(under_way: ServiceDeployment, now: float, *, shifted: bool) -> ServiceDeployment:
    """It is over because a newer one begins; one whose traffic had all been shifted has done what it was for."""
    pauses = given_up(under_way.pauses)
    if shifted:
        return replace(under_way, status="SUCCESSFUL", finished_at=now, updated_at=now, pauses=pauses)
    status = "ROLLBACK_FAILED" if under_way.rollback_at is not None else "STOPPED"
    reason = "Service deployment stopped because a newer service deployment was started."
    return replace(under_way, status=status, status_reason=reason, stopped_at=now, finished_at=now, updated_at=now, pauses=pauses)
