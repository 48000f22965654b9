"""Service revisions: what a service was to run at one time, kept so that it can be shown and gone back to.

A revision has the whole of the service's settings in it, but only some of them are a deployment's own (`DEPLOYED`): which
definition, where its tasks stand, which target groups they serve. The others (counts, percentages, tags, hooks) are the
service's at any moment, whatever deployment a task belongs to.
"""

from __future__ import annotations

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.lookup import definition_of_arn
from longshore.services.ecs.rollout.model import (
    DEPLOYMENTS,
    SERVICE_DEPLOYMENTS,
    SERVICE_REVISIONS,
    TASK_SETS,
    ContainerImage,
    Service,
    ServiceRevision,
    ServiceSpec,
)
from longshore.store.base import Reader, Tx

#: what a deployment rolls out, and a rollback brings back
DEPLOYED = (
    "task_definition_arn",
    "launch_type",
    "load_balancers",
    "role_arn",
    "platform_version",
    "capacity_provider_strategy",
    "network_configuration",
)

#: service deployments of one service that are kept, and for how long: as long as ECS keeps them
MOST_KEPT = 100
KEPT_S = 90 * 24 * 3600.0


def with_deployed(spec: ServiceSpec, revision: ServiceSpec) -> ServiceSpec:
    """`spec` with what a deployment of `revision` rolls out."""
    return replace(spec, **{name: getattr(revision, name) for name in DEPLOYED})


def is_other_deployment(before: ServiceSpec, after: ServiceSpec) -> bool:
    """Whether what is rolled out differs."""
    return any(getattr(before, name) != getattr(after, name) for name in DEPLOYED)


def settings_of(reader: Reader, service: Service, deployment_id: str) -> ServiceSpec:
    """What tasks of a deployment (or task set) of `service` are made by. Its load balancers name the target groups they really
    stand in, which may be the alternate ones; without a record of what was deployed they are the service's own."""
    deployment = reader.get(DEPLOYMENTS, deployment_id)
    if deployment is None:
        return _of_task_set(reader, service, deployment_id)
    revision = reader.get(SERVICE_REVISIONS, deployment.revision_arn) if deployment.revision_arn else None
    spec = with_deployed(service.spec, revision.spec) if revision is not None else service.spec
    if revision is None and deployment.task_definition_arn:
        spec = replace(spec, task_definition_arn=deployment.task_definition_arn)
    return replace(spec, load_balancers=standing_in(spec.load_balancers, alternate=True)) if deployment.alternate else spec


def _of_task_set(reader: Reader, service: Service, task_set_id: str) -> ServiceSpec:
    found = reader.list(TASK_SETS, "id", task_set_id)
    if not found:
        return service.spec
    task_set = found[0]
    return replace(
        service.spec,
        task_definition_arn=task_set.task_definition_arn,
        launch_type=task_set.launch_type,
        load_balancers=task_set.load_balancers,
        capacity_provider_strategy=task_set.capacity_provider_strategy,
        platform_version=task_set.platform_version,
        network_configuration=task_set.network_configuration,
    )


def standing_in(load_balancers: tuple[shapes.LoadBalancer, ...], *, alternate: bool) -> tuple[shapes.LoadBalancer, ...]:
    """With the target group of one side, and as the alternate one that of the other; those without an alternate have but one."""
    return tuple(_turned(lb) for lb in load_balancers) if alternate else load_balancers


def _turned(lb: shapes.LoadBalancer) -> shapes.LoadBalancer:
    advanced = lb.advanced_configuration
    if advanced is None or not advanced.alternate_target_group_arn:
        return lb
    turned = replace(advanced, alternate_target_group_arn=lb.target_group_arn)
    return replace(lb, target_group_arn=advanced.alternate_target_group_arn, advanced_configuration=turned)


def record_revision(tx: Tx, service: Service, revision_id: str, now: float) -> ServiceRevision:
    """What `service` is to run now. Tasks of one revision run the same images; their digests come when they have been pulled."""
    definition = definition_of_arn(tx, service.spec.task_definition_arn)
    containers = (definition.definition.container_definitions if definition else None) or ()
    return tx.put(
        SERVICE_REVISIONS,
        ServiceRevision(
            arn=service.arn.replace(":service/", ":service-revision/", 1) + f"/{revision_id}",
            service_arn=service.arn,
            cluster_arn=service.cluster_arn,
            created_at=now,
            spec=service.spec,
            images=tuple(ContainerImage(container.name or "", container.image or "") for container in containers),
        ),
    )


def prune(tx: Tx, service_arn: str, now: float) -> None:
    """The oldest service deployments go, and with them the revisions and deployments that only they spoke of."""
    kept = sorted(tx.list(SERVICE_DEPLOYMENTS, "service", service_arn), key=lambda one: (one.created_at, one.arn), reverse=True)
    gone = [one for place, one in enumerate(kept) if one.is_over and (place >= MOST_KEPT or now - one.created_at > KEPT_S)]
    if not gone:
        return
    for one in gone:
        tx.delete(SERVICE_DEPLOYMENTS, one.arn)
    left = tx.list(SERVICE_DEPLOYMENTS, "service", service_arn)
    living = {deployment.id for deployment in tx.list(DEPLOYMENTS, "service", service_arn)}
    named = living | {name for one in left for name in (one.deployment_id, one.source_deployment_id, one.rollback_deployment_id)}
    revisions: set[str] = set()
    for deployment in tx.list(DEPLOYMENTS, "history", service_arn):
        if deployment.id in named:
            revisions.add(deployment.revision_arn)
        else:
            tx.delete(DEPLOYMENTS, deployment.id)
    for one in left:
        revisions |= {one.target_revision_arn, one.source_revision_arn, *(arn for arn, _ in one.source_revisions)}
    for revision in tx.list(SERVICE_REVISIONS, "service", service_arn):
        if revision.arn not in revisions:
            tx.delete(SERVICE_REVISIONS, revision.arn)


def forget_history(tx: Tx, service_arn: str) -> None:
    """Nothing of what a service once was is left."""
    for deployment in tx.list(DEPLOYMENTS, "history", service_arn):
        tx.delete(DEPLOYMENTS, deployment.id)
    for one in tx.list(SERVICE_DEPLOYMENTS, "service", service_arn):
        tx.delete(SERVICE_DEPLOYMENTS, one.arn)
    for revision in tx.list(SERVICE_REVISIONS, "service", service_arn):
        tx.delete(SERVICE_REVISIONS, revision.arn)
    for task_set in tx.list(TASK_SETS, "service", service_arn):
        tx.delete(TASK_SETS, task_set.arn)
