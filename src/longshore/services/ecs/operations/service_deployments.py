"""Service deployments and revisions: listed, shown, stopped, and let go on where they pause.

Stopping and continuing only leave a wish behind; the deployments controller does what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.arn import parse_arn
from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import (
    ConflictException,
    InvalidParameterException,
    ServiceDeploymentNotFoundException,
    UnsupportedFeatureException,
)
from longshore.services.ecs.listing import page_limit
from longshore.services.ecs.lookup import child_arn, cluster_arn, find_cluster, find_service
from longshore.services.ecs.rollout.model import (
    DEPLOYMENTS,
    SERVICE_DEPLOYMENTS,
    SERVICE_REVISIONS,
    Pause,
    ServiceDeployment,
)
from longshore.services.ecs.rollout.views import service_deployment_brief, service_deployment_view, service_revision_view
from longshore.store.base import Reader, Tx

MOST_DESCRIBED = 20
ROLLBACK_REQUESTED = "Service deployment rolled back because it was requested by a user."
STOP_REQUESTED = "Service deployment stopped because it was requested by a user."
ROLLED_BACK_AT_HOOK = "Service deployment rolled back because a rollback was requested at a lifecycle hook."

Stopping = shapes.StopServiceDeploymentRequest | shapes.ContinueServiceDeploymentRequest


# ── authorisation ───────────────────────────────────────────────────────────────────────────────────────────────────


def _of_service(call: Call, request: shapes.ListServiceDeploymentsRequest) -> Iterable[str]:
    return (child_arn(call, request.cluster, "service", request.service),)


def _service_conditions(call: Call, request: shapes.ListServiceDeploymentsRequest) -> dict[str, list[str]]:
    return {
        "ecs:cluster": [cluster_arn(call, request.cluster)],
        "ecs:service": [child_arn(call, request.cluster, "service", request.service)],
    }


def _with_services(arns: Iterable[str]) -> Iterable[str]:
    """AWS asks for both: the service, and what is its."""
    services = (service for arn in arns for service in _conditions_of((arn,)).get("ecs:service", ()))
    return (*dict.fromkeys(services), *arns)


def _deployments_named(call: Call, request: shapes.DescribeServiceDeploymentsRequest) -> Iterable[str]:
    return _with_services(request.service_deployment_arns)


def _revisions_named(call: Call, request: shapes.DescribeServiceRevisionsRequest) -> Iterable[str]:
    return _with_services(request.service_revision_arns)


def _deployment_named(call: Call, request: Stopping) -> Iterable[str]:
    return _with_services((request.service_deployment_arn,))


def _conditions_of(arns: Iterable[str]) -> dict[str, list[str]]:
    """The cluster and service that the ARNs say themselves; more than one service is refused later."""
    for arn in arns:
        parts = arn.split("/")
        if len(parts) == 4 and arn.startswith("arn:"):
            head = parts[0].rpartition(":")[0]
            return {"ecs:cluster": [f"{head}:cluster/{parts[1]}"], "ecs:service": [f"{head}:service/{parts[1]}/{parts[2]}"]}
    return {}


def _deployments_conditions(call: Call, request: shapes.DescribeServiceDeploymentsRequest) -> dict[str, list[str]]:
    return _conditions_of(request.service_deployment_arns)


def _revisions_conditions(call: Call, request: shapes.DescribeServiceRevisionsRequest) -> dict[str, list[str]]:
    return _conditions_of(request.service_revision_arns)


def _deployment_conditions(call: Call, request: Stopping) -> dict[str, list[str]]:
    return _conditions_of((request.service_deployment_arn,))


# ── what is named ───────────────────────────────────────────────────────────────────────────────────────────────────


def _checked(call: Call, arn: str, resource_type: str) -> str:
    """The ARN, if it is one of `resource_type` of the caller's own. Raises InvalidParameterException."""
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != "ecs" or not parsed.resource.startswith(f"{resource_type}/") or arn.count("/") != 3:
        raise InvalidParameterException(f"Identifier is not a valid {resource_type} identifier.")
    if not arn.startswith(call.arn("ecs", "")):
        raise InvalidParameterException("Identifier is for another account or Region.")
    return arn


def _checked_all(call: Call, arns: tuple[str, ...], resource_type: str, name: str) -> tuple[str, ...]:
    """Each once. They are of one service, which conditions of policies speak of."""
    if not arns:
        raise InvalidParameterException(f"{name} cannot be empty.")
    if len(arns) > MOST_DESCRIBED:
        raise InvalidParameterException(f"{name} cannot have more than {MOST_DESCRIBED} elements.")
    found = tuple(dict.fromkeys(_checked(call, arn, resource_type) for arn in arns))
    if len({arn.rpartition("/")[0] for arn in found}) > 1:
        raise InvalidParameterException(f"{name} must be of one service.")
    return found


def _find(reader: Reader, call: Call, arn: str) -> ServiceDeployment:
    found = reader.get(SERVICE_DEPLOYMENTS, _checked(call, arn, "service-deployment"))
    if found is None:
        raise ServiceDeploymentNotFoundException
    return found


# ── showing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("ListServiceDeployments", resource=_of_service, conditions=_service_conditions)
async def list_service_deployments(call: Call, request: shapes.ListServiceDeploymentsRequest) -> shapes.ListServiceDeploymentsResponse:
    """Newest first, 20 at a time unless asked for more."""
    cluster = find_cluster(call.store, call, request.cluster)
    service = find_service(call.store, call, cluster, request.service)
    wanted, created = frozenset(request.status or ()), request.created_at or shapes.CreatedAt()
    question = ("service-deployments", service.arn, tuple(sorted(wanted)), created.before, created.after)
    after = unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException("Invalid token."))
    newest_first = sorted(call.store.list(SERVICE_DEPLOYMENTS, "service", service.arn), key=_place)

    def read(start: str | None, limit: int) -> list[ServiceDeployment]:
        return [one for one in newest_first if start is None or _place(one) > start][:limit]

    def keep(one: ServiceDeployment) -> bool:
        return (
            (not wanted or one.status in wanted)
            and (created.before is None or one.created_at < created.before)
            and (created.after is None or one.created_at > created.after)
        )

    found, last = page(read, _place, after=after, limit=page_limit(20 if request.max_results is None else request.max_results), keep=keep)
    return shapes.ListServiceDeploymentsResponse(
        service_deployments=tuple(map(service_deployment_brief, found)),
        next_token=None if last is None else seal(call.secret_for_signing, question, last),
    )


def _place(one: ServiceDeployment) -> str:
    """Sorts the newest first."""
    return f"{1e11 - one.created_at:020.6f}|{one.arn}"


@api.operation("DescribeServiceDeployments", resource=_deployments_named, conditions=_deployments_conditions)
async def describe_service_deployments(
    call: Call, request: shapes.DescribeServiceDeploymentsRequest
) -> shapes.DescribeServiceDeploymentsResponse:
    arns = _checked_all(call, request.service_deployment_arns, "service-deployment", "serviceDeploymentArns")
    found = {arn: call.store.get(SERVICE_DEPLOYMENTS, arn) for arn in arns}
    return shapes.DescribeServiceDeploymentsResponse(
        service_deployments=tuple(service_deployment_view(call.store, one) for one in found.values() if one is not None),
        failures=tuple(shapes.Failure(arn=arn, reason="MISSING") for arn, one in found.items() if one is None),
    )


@api.operation("DescribeServiceRevisions", resource=_revisions_named, conditions=_revisions_conditions)
async def describe_service_revisions(
    call: Call, request: shapes.DescribeServiceRevisionsRequest
) -> shapes.DescribeServiceRevisionsResponse:
    arns = _checked_all(call, request.service_revision_arns, "service-revision", "serviceRevisionArns")
    found = {arn: call.store.get(SERVICE_REVISIONS, arn) for arn in arns}
    return shapes.DescribeServiceRevisionsResponse(
        service_revisions=tuple(service_revision_view(call.store, one) for one in found.values() if one is not None),
        failures=tuple(shapes.Failure(arn=arn, reason="MISSING") for arn, one in found.items() if one is None),
    )


# ── wishes ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("StopServiceDeployment", resource=_deployment_named, conditions=_deployment_conditions)
async def stop_service_deployment(call: Call, request: shapes.StopServiceDeploymentRequest) -> shapes.StopServiceDeploymentResponse:
    """ROLLBACK goes back to what ran before; ABORT stops a rolling update where it is."""
    abort, now = request.stop_type == "ABORT", call.clock.now()

    def stop(tx: Tx) -> None:
        one = _find(tx, call, request.service_deployment_arn)
        if one.status not in ("PENDING", "IN_PROGRESS"):
            raise ConflictException(f"The service deployment cannot be stopped: it is {one.status}.")
        if abort and one.spec is not None and one.spec.strategy != "ROLLING":
            raise UnsupportedFeatureException(f"A deployment with the strategy {one.spec.strategy} is stopped by ROLLBACK only.")
        if not abort:
            _check_way_back(tx, one)
        status = "STOP_REQUESTED" if abort else "ROLLBACK_REQUESTED"
        tx.put(
            SERVICE_DEPLOYMENTS,
            replace(one, status=status, status_reason=STOP_REQUESTED if abort else ROLLBACK_REQUESTED, updated_at=now),
        )

    await call.store.transact(stop)
    return shapes.StopServiceDeploymentResponse(service_deployment_arn=request.service_deployment_arn)


def _check_way_back(reader: Reader, one: ServiceDeployment) -> None:
    """Raises ConflictException when there is nothing to go back to, or nothing of it any more."""
    if one.stage == "CLEAN_UP":
        raise ConflictException("The service deployment cannot be rolled back: its lifecycle stage is CLEAN_UP.")
    source = reader.get(DEPLOYMENTS, one.source_deployment_id) if one.source_deployment_id else None
    if source is None or not source.revision_arn:
        raise ConflictException("The service deployment cannot be rolled back: there is no previous service revision.")


@api.operation("ContinueServiceDeployment", resource=_deployment_named, conditions=_deployment_conditions)
async def continue_service_deployment(
    call: Call, request: shapes.ContinueServiceDeploymentRequest
) -> shapes.ContinueServiceDeploymentResponse:
    """A deployment that pauses goes on to the next stage, or back; where nothing ran before, it ends there."""
    back, now = request.action == "ROLLBACK", call.clock.now()

    def go_on(tx: Tx) -> None:
        one = _find(tx, call, request.service_deployment_arn)
        pause = next((pause for pause in one.pauses if pause.id == request.hook_id), None)
        if pause is None:
            raise InvalidParameterException("The service deployment has no lifecycle hook with that hookId.")
        if pause.status != "AWAITING_ACTION" or one.status != "IN_PROGRESS":
            raise InvalidParameterException(f"The lifecycle hook is not awaiting an action: it is {pause.status}.")
        tx.put(SERVICE_DEPLOYMENTS, _decided(one, pause, now, back=back))

    await call.store.transact(go_on)
    return shapes.ContinueServiceDeploymentResponse(service_deployment_arn=request.service_deployment_arn)


def _decided(one: ServiceDeployment, pause: Pause, now: float, *, back: bool) -> ServiceDeployment:
    after = replace(pause, status="FAILED" if back else "SUCCEEDED")
    changed = replace(one, pauses=tuple(after if other.id == pause.id else other for other in one.pauses), updated_at=now)
    return replace(changed, status="ROLLBACK_REQUESTED", status_reason=ROLLED_BACK_AT_HOOK) if back else changed
