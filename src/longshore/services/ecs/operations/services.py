"""Services: created, changed, deleted. What follows from that is the deployments controller's to do."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.capacity.rules import checked_launch
from longshore.services.ecs.client_tokens import kept_token
from longshore.services.ecs.errors import InvalidParameterException, ServiceNotActiveException, UnsupportedFeatureException
from longshore.services.ecs.launch_conditions import service_conditions
from longshore.services.ecs.launching import check_launchable, checked_launch_type
from longshore.services.ecs.lookup import (
    child_arn,
    cluster_arn,
    definition_of_arn,
    find_cluster,
    find_definition,
    find_runnable_definition,
    find_service,
    passed_roles,
)
from longshore.services.ecs.model import Cluster, TaskDefinition
from longshore.services.ecs.names import NAME
from longshore.services.ecs.placement_rules import checked_constraints, checked_strategy
from longshore.services.ecs.resource_tags import creation_conditions
from longshore.services.ecs.rollout.beginning import Names, begin_deployment
from longshore.services.ecs.rollout.model import DEPLOYMENTS, SERVICE_EVENTS, SERVICES, TASK_SETS, Service, ServiceSpec
from longshore.services.ecs.rollout.revisions import forget_history, is_other_deployment
from longshore.services.ecs.rollout.rules import check_reachable, check_shifting, with_configuration
from longshore.services.ecs.scheduling_rules import begun, check_daemon, with_rebalancing
from longshore.services.ecs.service_rules import (
    check_load_balancers,
    check_offered,
    check_role,
    checked_desired_count,
    checked_grace_period,
)
from longshore.services.ecs.service_views import service_view, status_of
from longshore.services.ecs.tagging import tagging_rights, tags_from
from longshore.store.base import Tx

_NOT_IDEMPOTENT = "Creation of service was not idempotent."
_DRAINING = "Unable to Start a service that is still Draining."

Asked = shapes.CreateServiceRequest | shapes.UpdateServiceRequest


# ── authorisation ───────────────────────────────────────────────────────────────────────────────────────────────────


def _created(call: Call, request: shapes.CreateServiceRequest) -> Iterable[str]:
    return (child_arn(call, request.cluster, "service", request.service_name),)


def _named(call: Call, request: shapes.UpdateServiceRequest | shapes.DeleteServiceRequest) -> Iterable[str]:
    return (child_arn(call, request.cluster, "service", request.service),)


def _cluster_condition(call: Call, request: Asked | shapes.DeleteServiceRequest) -> dict[str, list[str]]:
    return {"ecs:cluster": [cluster_arn(call, request.cluster)]}


def _conditions(call: Call, request: Asked) -> dict[str, list[str]]:
    return _cluster_condition(call, request) | service_conditions(call, request)


def _creation_conditions(call: Call, request: shapes.CreateServiceRequest) -> dict[str, list[str]]:
    return _conditions(call, request) | creation_conditions("CreateService", request.tags)


def _creation_rights(call: Call, request: shapes.CreateServiceRequest) -> Iterable[tuple[str, str]]:
    return [*_roles(call, request), *tagging_rights(call, request.tags, *_created(call, request))]


def _roles(call: Call, request: Asked) -> Iterable[tuple[str, str]]:
    found = find_definition(call.store, call, request.task_definition) if request.task_definition else None
    definition = found.definition if found is not None else shapes.TaskDefinition()
    own = request.role if isinstance(request, shapes.CreateServiceRequest) else None
    shifting = (lb.advanced_configuration.role_arn for lb in request.load_balancers or () if lb.advanced_configuration is not None)
    return passed_roles(call, own, definition.task_role_arn, definition.execution_role_arn, *dict.fromkeys(shifting))


# ── creating ────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("CreateService", resource=_created, also=_creation_rights, conditions=_creation_conditions)
async def create_service(call: Call, request: shapes.CreateServiceRequest) -> shapes.CreateServiceResponse:
    """Asking again for the same service gives the one there is; for another of that name InvalidParameterException."""
    if not NAME.fullmatch(request.service_name):
        raise InvalidParameterException("Invalid service name. Up to 255 letters, numbers, hyphens and underscores are allowed.")
    _check_offered(request)
    wanted = _wanted(request)
    tags, now, names = tags_from(request.tags), call.clock.now(), Names.of(call.ids)
    token = kept_token(request.client_token, request)

    def create(tx: Tx) -> Service:
        cluster = find_cluster(tx, call, request.cluster)
        arn = call.arn("ecs", f"service/{cluster.name}/{request.service_name}")
        there = tx.get(SERVICES, arn)
        if there is not None and there.status == "INACTIVE":
            there = None
        if there is not None and token and there.client_token == token:
            # before anything that is named is looked up: it may be gone since
            return _same_again(there, there.spec)
        spec = wanted
        if spec.deployment_controller == "ECS":
            definition = _named_definition(tx, call, request.task_definition, there)
            launch = checked_launch(tx, cluster, request.launch_type, request.capacity_provider_strategy)
            spec = replace(
                wanted,
                task_definition_arn=definition.arn,
                launch_type=launch.launch_type,
                capacity_provider_strategy=launch.strategy,
            )
        if there is not None:
            return _same_again(there, spec)
        if spec.deployment_controller == "ECS":
            _check_runnable(tx, call, arn, spec, None)
        _forget(tx, arn)
        service = Service(
            arn=arn,
            cluster_arn=cluster.arn,
            name=request.service_name,
            created_at=now,
            spec=spec,
            created_by=call.principal.arn,
            tags=tags,
            client_token=token,
        )
        if spec.deployment_controller == "ECS":
            begin_deployment(tx, None, service, names, now)
        return tx.put(SERVICES, service)

    service = await call.store.transact(create)
    return shapes.CreateServiceResponse(service=service_view(call.store, service, with_tags=True))


def _check_offered(request: Asked) -> None:
    check_offered(
        controller=request.deployment_controller,
        service_registries=request.service_registries,
        service_connect=request.service_connect_configuration,
        others=(
            request.volume_configurations,
            request.vpc_lattice_configurations,
            request.gateway_connectors,
            request.monitoring is not None and request.monitoring.metric_configurations,
        ),
    )


def _wanted(request: shapes.CreateServiceRequest) -> ServiceSpec:
    """What is asked for, its task definition not looked up yet."""
    load_balancers = request.load_balancers or ()
    controller = request.deployment_controller.type or "ECS" if request.deployment_controller is not None else "ECS"
    is_daemon = request.scheduling_strategy == "DAEMON"
    if controller == "EXTERNAL":
        _check_external(request)
        if is_daemon:
            raise InvalidParameterException("The DAEMON scheduling strategy is not supported for the EXTERNAL deployment controller.")
    spec = ServiceSpec(
        task_definition_arn="",
        deployment_controller=controller,
        desired_count=0 if is_daemon else checked_desired_count(request.desired_count),
        launch_type=checked_launch_type(request.launch_type),
        load_balancers=load_balancers,
        health_check_grace_period_s=checked_grace_period(
            request.health_check_grace_period_seconds, is_balanced=bool(load_balancers) or controller == "EXTERNAL"
        ),
        placement_constraints=checked_constraints(request.placement_constraints),
        placement_strategy=checked_strategy(request.placement_strategy),
        role_arn=request.role or "",
        propagate_tags=request.propagate_tags or "NONE",
        enable_ecs_managed_tags=bool(request.enable_ecs_managed_tags),
        enable_execute_command=bool(request.enable_execute_command),
        platform_version=request.platform_version or "",
        network_configuration=request.network_configuration,
    )
    spec = with_configuration(begun(spec, request.scheduling_strategy), request.deployment_configuration)
    check_daemon(spec, request.desired_count, bool(request.capacity_provider_strategy))
    return with_rebalancing(spec, request.availability_zone_rebalancing, None)


#: what each task set of a service with an external deployment controller says for itself
_OF_TASK_SETS = {
    "taskDefinition": "task_definition",
    "loadBalancers": "load_balancers",
    "networkConfiguration": "network_configuration",
    "platformVersion": "platform_version",
    "capacityProviderStrategy": "capacity_provider_strategy",
    "launchType": "launch_type",
    "forceNewDeployment": "force_new_deployment",
}


def _check_external(request: Asked) -> None:
    for name, member in _OF_TASK_SETS.items():
        if getattr(request, member, None):
            raise InvalidParameterException(
                f"{name} cannot be specified for a service that uses the EXTERNAL deployment controller. Create a task set instead."
            )
    given = request.deployment_configuration
    if given is not None and (given.strategy not in (None, "ROLLING") or given.lifecycle_hooks or given.bake_time_in_minutes):
        raise InvalidParameterException("Deployment strategies cannot be specified for the EXTERNAL deployment controller.")
    if given is not None and given.deployment_circuit_breaker is not None and given.deployment_circuit_breaker.enable:
        raise InvalidParameterException("The deployment circuit breaker cannot be enabled for the EXTERNAL deployment controller.")


def _named_definition(tx: Tx, call: Call, reference: str | None, there: Service | None) -> TaskDefinition:
    """One that can be run; or, where the service is there already, the very one it runs, whatever has become of it."""
    if not reference:
        raise InvalidParameterException("TaskDefinition can not be blank.")
    found = find_definition(tx, call, reference) if there is not None else None
    if found is not None and there is not None and found.arn == there.spec.task_definition_arn:
        return found
    return find_runnable_definition(tx, call, reference)


def _same_again(there: Service, spec: ServiceSpec) -> Service:
    if status_of(there) == "DRAINING":
        raise InvalidParameterException(_DRAINING)
    if there.spec != spec:
        raise InvalidParameterException(_NOT_IDEMPOTENT)
    return there


def _forget(tx: Tx, arn: str) -> None:
    """What is left of an earlier service of the same name."""
    for event in tx.list(SERVICE_EVENTS, "service", arn):
        tx.delete(SERVICE_EVENTS, SERVICE_EVENTS.key(event))
    forget_history(tx, arn)


# ── updating ────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("UpdateService", resource=_named, also=_roles, conditions=_conditions)
async def update_service(call: Call, request: shapes.UpdateServiceRequest) -> shapes.UpdateServiceResponse:
    """Another task definition, other load balancers or `forceNewDeployment` begin a new deployment; all else keeps the one there is."""
    _check_offered(request)
    now, names = call.clock.now(), Names.of(call.ids)

    def update(tx: Tx) -> Service:
        cluster = find_cluster(tx, call, request.cluster)
        service = find_service(tx, call, cluster, request.service)
        if status_of(service) != "ACTIVE":
            raise ServiceNotActiveException
        _check_controller(service, request)
        changed = replace(service, spec=_changed(tx, call, service, request))
        if request.capacity_provider_strategy is not None:
            launch = checked_launch(tx, cluster, None, request.capacity_provider_strategy)
            changed = replace(
                changed, spec=replace(changed.spec, launch_type=launch.launch_type, capacity_provider_strategy=launch.strategy)
            )
        begins = request.force_new_deployment or is_other_deployment(service.spec, changed.spec)
        if begins or request.network_configuration is not None or request.deployment_configuration is not None:
            _check_runnable(tx, call, service.arn, changed.spec, service.spec)
        if begins:
            check_reachable(tx, service, changed.spec)
            begin_deployment(tx, service, changed, names, now)
        elif changed.spec.desired_count != service.spec.desired_count:
            _rescale(tx, changed, now)
        return tx.put(SERVICES, changed) if changed != service else service

    service = await call.store.transact(update)
    return shapes.UpdateServiceResponse(service=service_view(call.store, service, with_tags=True))


def _check_controller(service: Service, request: shapes.UpdateServiceRequest) -> None:
    controller, asked = service.spec.deployment_controller, request.deployment_controller
    if asked is not None and asked.type != controller:
        raise UnsupportedFeatureException(f"The deployment controller of a service cannot be changed: it is {controller}.")
    if controller == "EXTERNAL":
        _check_external(request)


def _changed(tx: Tx, call: Call, service: Service, request: shapes.UpdateServiceRequest) -> ServiceSpec:
    """The service's settings with what the request names; an empty list takes something away, a missing one keeps it."""
    spec = service.spec
    load_balancers = spec.load_balancers if request.load_balancers is None else request.load_balancers
    grace = request.health_check_grace_period_seconds
    arn = find_runnable_definition(tx, call, request.task_definition).arn if request.task_definition else spec.task_definition_arn
    changed = replace(
        spec,
        task_definition_arn=arn,
        desired_count=spec.desired_count if request.desired_count is None else checked_desired_count(request.desired_count),
        load_balancers=load_balancers,
        health_check_grace_period_s=spec.health_check_grace_period_s
        if grace is None
        else checked_grace_period(grace, is_balanced=bool(load_balancers) or spec.deployment_controller == "EXTERNAL"),
        placement_constraints=spec.placement_constraints
        if request.placement_constraints is None
        else checked_constraints(request.placement_constraints),
        placement_strategy=spec.placement_strategy if request.placement_strategy is None else checked_strategy(request.placement_strategy),
        propagate_tags=request.propagate_tags or spec.propagate_tags,
        enable_ecs_managed_tags=_or(request.enable_ecs_managed_tags, spec.enable_ecs_managed_tags),
        enable_execute_command=_or(request.enable_execute_command, spec.enable_execute_command),
        platform_version=request.platform_version or spec.platform_version,
        network_configuration=request.network_configuration or spec.network_configuration,
    )
    changed = with_configuration(changed, request.deployment_configuration)
    check_daemon(changed, request.desired_count, bool(request.capacity_provider_strategy))
    return with_rebalancing(changed, request.availability_zone_rebalancing, spec.availability_zone_rebalancing)


def _or(given: bool | None, kept: bool) -> bool:
    return kept if given is None else given


def _check_runnable(tx: Tx, call: Call, arn: str, spec: ServiceSpec, before: ServiceSpec | None) -> None:
    if spec.deployment_controller == "EXTERNAL":
        return
    definition = definition_of_arn(tx, spec.task_definition_arn)
    if definition is None:
        raise InvalidParameterException("TaskDefinition not found.")
    check_launchable(call, definition, spec.launch_type, spec.network_configuration)
    check_role(spec, definition)
    check_load_balancers(tx, call, spec.load_balancers, definition)
    check_shifting(tx, call, arn, spec, before)


def _rescale(tx: Tx, service: Service, now: float) -> None:
    for deployment in tx.list(DEPLOYMENTS, "service", service.arn):
        if deployment.status == "PRIMARY":
            tx.put(DEPLOYMENTS, replace(deployment, desired_count=service.spec.desired_count, updated_at=now))


# ── deleting ────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("DeleteService", resource=_named, conditions=_cluster_condition)
async def delete_service(call: Call, request: shapes.DeleteServiceRequest) -> shapes.DeleteServiceResponse:
    """The service is DRAINING until its tasks have stopped, then INACTIVE. One that wants tasks goes with `force` only."""

    def delete(tx: Tx) -> Service:
        cluster: Cluster = find_cluster(tx, call, request.cluster)
        service = find_service(tx, call, cluster, request.service)
        if service.status == "INACTIVE":
            raise ServiceNotActiveException
        if service.spec.deleted:
            return service
        if service.spec.desired_count > 0 and not request.force:
            raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
        if tx.count(TASK_SETS, "service", service.arn) and not request.force:
            raise InvalidParameterException("The service cannot be deleted while it has task sets.")
        return tx.put(SERVICES, replace(service, spec=replace(service.spec, desired_count=0, deleted=True)))

    service = await call.store.transact(delete)
    return shapes.DeleteServiceResponse(service=service_view(call.store, service, with_tags=True))
