"""Task sets: the deployments of services that somebody else's controller deploys.

Such a service has a desired count and nothing to run; each task set brings its own definition, load balancers and network, and
runs a share of that count. Which of them serves, and how large each is, is for the external controller to say.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.capacity.rules import checked_launch
from longshore.services.ecs.client_tokens import bare_token, kept_token
from longshore.services.ecs.errors import (
    InvalidParameterException,
    LimitExceededException,
    ServiceNotActiveException,
    TaskSetNotFoundException,
    UnsupportedFeatureException,
)
from longshore.services.ecs.launch_conditions import launch_conditions
from longshore.services.ecs.launching import check_launchable, checked_launch_type
from longshore.services.ecs.lookup import (
    child_arn,
    cluster_arn,
    find_cluster,
    find_definition,
    find_runnable_definition,
    find_service,
    passed_roles,
)
from longshore.services.ecs.resource_tags import creation_conditions
from longshore.services.ecs.rollout.model import SERVICES, TASK_SETS, Service, TaskSet
from longshore.services.ecs.rollout.views import task_set_view, wanted_of
from longshore.services.ecs.service_rules import check_load_balancers
from longshore.services.ecs.service_views import status_of
from longshore.services.ecs.tagging import tagging_rights, tags_from
from longshore.store.base import Reader, Tx

MOST_TASK_SETS = 5
MOST_TOKEN_LENGTH = 36

OfService = (
    shapes.CreateTaskSetRequest
    | shapes.DescribeTaskSetsRequest
    | shapes.UpdateTaskSetRequest
    | shapes.DeleteTaskSetRequest
    | shapes.UpdateServicePrimaryTaskSetRequest
)


# ── authorisation ───────────────────────────────────────────────────────────────────────────────────────────────────


def _stem(call: Call, request: OfService) -> str:
    """ARNs of the service's task sets without their ids."""
    return child_arn(call, request.cluster, "service", request.service).replace(":service/", ":task-set/", 1)


def _arn(call: Call, request: OfService, reference: str) -> str:
    return reference if reference.startswith("arn:") else f"{_stem(call, request)}/{reference}"


def _new(call: Call, request: shapes.CreateTaskSetRequest) -> Iterable[str]:
    return (f"{_stem(call, request)}/*",)


def _named(call: Call, request: shapes.UpdateTaskSetRequest | shapes.DeleteTaskSetRequest) -> Iterable[str]:
    return (_arn(call, request, request.task_set),)


def _described(call: Call, request: shapes.DescribeTaskSetsRequest) -> Iterable[str]:
    return [_arn(call, request, reference) for reference in request.task_sets or ()] or [f"{_stem(call, request)}/*"]


def _service(call: Call, request: OfService) -> Iterable[str]:
    return (child_arn(call, request.cluster, "service", request.service),)


def _conditions(call: Call, request: OfService) -> dict[str, list[str]]:
    return {
        "ecs:cluster": [cluster_arn(call, request.cluster)],
        "ecs:service": [child_arn(call, request.cluster, "service", request.service)],
    }


def _roles(call: Call, request: shapes.CreateTaskSetRequest) -> Iterable[tuple[str, str]]:
    found = find_definition(call.store, call, request.task_definition)
    definition = found.definition if found is not None else shapes.TaskDefinition()
    yield from passed_roles(call, definition.task_role_arn, definition.execution_role_arn)
    yield from tagging_rights(call, request.tags, *_new(call, request))


def _creation_conditions(call: Call, request: shapes.CreateTaskSetRequest) -> dict[str, list[str]]:
    return _conditions(call, request) | launch_conditions(call, request) | creation_conditions("CreateTaskSet", request.tags)


# ── what is named ───────────────────────────────────────────────────────────────────────────────────────────────────


def _external(reader: Reader, call: Call, request: OfService) -> Service:
    """Raises ServiceNotFoundException, ServiceNotActiveException or InvalidParameterException."""
    service = find_service(reader, call, find_cluster(reader, call, request.cluster), request.service)
    if status_of(service) != "ACTIVE":
        raise ServiceNotActiveException
    if service.spec.deployment_controller != "EXTERNAL":
        raise InvalidParameterException("Task sets are supported for services that use the EXTERNAL deployment controller only.")
    return service


def _find(reader: Reader, call: Call, request: OfService, service: Service, reference: str) -> TaskSet:
    found = reader.get(TASK_SETS, _arn(call, request, reference))
    if found is None or found.service_arn != service.arn:
        raise TaskSetNotFoundException
    return found


def _checked_scale(scale: shapes.Scale | None) -> float:
    """Nothing where nothing is said."""
    value = 0.0 if scale is None or scale.value is None else scale.value
    if not 0 <= value <= 100:
        raise InvalidParameterException("The value of a scale must be between 0 and 100.")
    return value


# ── operations ──────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("CreateTaskSet", resource=_new, also=_roles, conditions=_creation_conditions)
async def create_task_set(call: Call, request: shapes.CreateTaskSetRequest) -> shapes.CreateTaskSetResponse:
    """The same client token gives the task set there is."""
    if request.service_registries:
        raise UnsupportedFeatureException("Service registries are not offered by this installation.")
    if any(lb.advanced_configuration is not None for lb in request.load_balancers or ()):
        raise InvalidParameterException("advancedConfiguration is not supported for the load balancers of task sets.")
    token = kept_token(request.client_token, request, most=MOST_TOKEN_LENGTH)
    percent, tags = _checked_scale(request.scale), tags_from(request.tags)
    checked_launch_type(request.launch_type)
    now, identifier = call.clock.now(), f"ecs-svc/{call.ids.digits(19)}"

    def create(tx: Tx) -> tuple[Service, TaskSet]:
        service = _external(tx, call, request)
        there = tx.list(TASK_SETS, "service", service.arn)
        same = _same_again(there, token)
        if same is not None:
            return service, same
        definition = find_runnable_definition(tx, call, request.task_definition)
        launch = checked_launch(tx, find_cluster(tx, call, request.cluster), request.launch_type, request.capacity_provider_strategy)
        task_set = TaskSet(
            id=identifier,
            arn=f"{service.arn.replace(':service/', ':task-set/', 1)}/{identifier}",
            service_arn=service.arn,
            cluster_arn=service.cluster_arn,
            created_at=now,
            updated_at=now,
            task_definition_arn=definition.arn,
            scale_percent=percent,
            external_id=request.external_id or "",
            launch_type=launch.launch_type,
            capacity_provider_strategy=launch.strategy,
            platform_version=request.platform_version or "",
            network_configuration=request.network_configuration,
            load_balancers=request.load_balancers or (),
            client_token=token,
            tags=tags,
            stability_at=now,
        )
        if len(there) >= MOST_TASK_SETS:
            raise LimitExceededException(f"A service cannot have more than {MOST_TASK_SETS} task sets.")
        check_launchable(call, definition, task_set.launch_type, task_set.network_configuration)
        check_load_balancers(tx, call, task_set.load_balancers, definition)
        return service, tx.put(TASK_SETS, task_set)

    service, made = await call.store.transact(create)
    return shapes.CreateTaskSetResponse(task_set=task_set_view(call.store, service, made, with_tags=True))


def _same_again(there: Iterable[TaskSet], token: str) -> TaskSet | None:
    """What an earlier request with this token made. Raises InvalidParameterException when that one asked for something else, or what it
    made is going."""
    made = next((one for one in there if token and bare_token(one.client_token) == bare_token(token)), None)
    if made is not None and made.client_token != token:
        raise InvalidParameterException("Creation of task set was not idempotent.")
    if made is not None and made.status == "DRAINING":
        raise InvalidParameterException("The task set that was created with this clientToken is DRAINING.")
    return made


@api.operation("DescribeTaskSets", resource=_described, conditions=_conditions)
async def describe_task_sets(call: Call, request: shapes.DescribeTaskSetsRequest) -> shapes.DescribeTaskSetsResponse:
    """All of the service's where none is named, oldest first; what is not known is MISSING."""
    service = _external(call.store, call, request)
    with_tags = "TAGS" in (request.include or ())
    there = {one.arn: one for one in call.store.list(TASK_SETS, "service", service.arn)}
    arns = list(dict.fromkeys(_arn(call, request, reference) for reference in request.task_sets or ()))
    shown = [there[arn] for arn in arns if arn in there] if arns else sorted(there.values(), key=lambda one: (one.created_at, one.arn))
    return shapes.DescribeTaskSetsResponse(
        task_sets=tuple(task_set_view(call.store, service, one, with_tags=with_tags) for one in shown),
        failures=tuple(shapes.Failure(arn=arn, reason="MISSING") for arn in arns if arn not in there),
    )


@api.operation("UpdateTaskSet", resource=_named, conditions=_conditions)
async def update_task_set(call: Call, request: shapes.UpdateTaskSetRequest) -> shapes.UpdateTaskSetResponse:
    percent, now = _checked_scale(request.scale), call.clock.now()

    def update(tx: Tx) -> tuple[Service, TaskSet]:
        service = _external(tx, call, request)
        task_set = _find(tx, call, request, service, request.task_set)
        if task_set.status == "DRAINING":
            raise InvalidParameterException("The task set cannot be updated: it is DRAINING.")
        if task_set.scale_percent == percent:
            return service, task_set
        changed = replace(task_set, scale_percent=percent, stability="STABILIZING", stability_at=now, updated_at=now)
        return service, tx.put(TASK_SETS, changed)

    service, changed = await call.store.transact(update)
    return shapes.UpdateTaskSetResponse(task_set=task_set_view(call.store, service, changed, with_tags=True))


@api.operation("DeleteTaskSet", resource=_named, conditions=_conditions)
async def delete_task_set(call: Call, request: shapes.DeleteTaskSetRequest) -> shapes.DeleteTaskSetResponse:
    """It is DRAINING until its tasks have stopped, and then gone. One that wants tasks, or serves, goes with `force` only."""
    now = call.clock.now()

    def delete(tx: Tx) -> tuple[Service, TaskSet]:
        service = _external(tx, call, request)
        task_set = _find(tx, call, request, service, request.task_set)
        if task_set.status == "DRAINING":
            return service, task_set
        if task_set.status == "PRIMARY" and not request.force:
            raise InvalidParameterException("The primary task set cannot be deleted without force.")
        if wanted_of(service, task_set) and not request.force:
            raise InvalidParameterException("The task set cannot be deleted while it is scaled above 0.")
        changed = replace(task_set, status="DRAINING", stability="STABILIZING", stability_at=now, updated_at=now)
        return service, tx.put(TASK_SETS, changed)

    service, changed = await call.store.transact(delete)
    return shapes.DeleteTaskSetResponse(task_set=task_set_view(call.store, service, changed, with_tags=True))


@api.operation("UpdateServicePrimaryTaskSet", resource=_service, conditions=_conditions)
async def update_service_primary_task_set(
    call: Call, request: shapes.UpdateServicePrimaryTaskSetRequest
) -> shapes.UpdateServicePrimaryTaskSetResponse:
    """What the primary task set runs is what the service is shown to run."""
    now = call.clock.now()

    def promote(tx: Tx) -> tuple[Service, TaskSet]:
        service = _external(tx, call, request)
        chosen = _find(tx, call, request, service, request.primary_task_set)
        if chosen.status == "DRAINING":
            raise InvalidParameterException("The task set cannot be made primary: it is DRAINING.")
        for other in tx.list(TASK_SETS, "service", service.arn):
            if other.status == "PRIMARY" and other.arn != chosen.arn:
                tx.put(TASK_SETS, replace(other, status="ACTIVE", updated_at=now))
        if chosen.status != "PRIMARY":
            chosen = tx.put(TASK_SETS, replace(chosen, status="PRIMARY", updated_at=now))
        if service.spec.task_definition_arn != chosen.task_definition_arn:
            service = tx.put(SERVICES, replace(service, spec=replace(service.spec, task_definition_arn=chosen.task_definition_arn)))
        return service, chosen

    service, chosen = await call.store.transact(promote)
    return shapes.UpdateServicePrimaryTaskSetResponse(task_set=task_set_view(call.store, service, chosen, with_tags=True))
