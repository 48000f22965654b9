"""Beyond AWS: what a service's scheduler sees, what it waits for, and what it would do next."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import ClientException, UnsupportedFeatureException
from longshore.services.ecs.lookup import child_arn, cluster_arn, find_cluster, find_service
from longshore.services.ecs.outlook.counts import Traffic
from longshore.services.ecs.outlook.shapes import (
    EXPLAIN_SERVICE,
    GET_SERVICE_TRAFFIC,
    ExplainServiceRequest,
    ExplainServiceResponse,
    GetServiceTrafficRequest,
    GetServiceTrafficResponse,
    RolloutSeen,
)
from longshore.services.ecs.rollout.model import DEPLOYMENTS
from longshore.services.ecs.service_views import status_of
from longshore.services.elb.records import group_arns


def _named(call: Call, request: ExplainServiceRequest | GetServiceTrafficRequest) -> Iterable[str]:
    return (child_arn(call, request.cluster, "service", request.service),)


def _cluster_condition(call: Call, request: ExplainServiceRequest | GetServiceTrafficRequest) -> dict[str, list[str]]:
    return {"ecs:cluster": [cluster_arn(call, request.cluster)]}


@api.operation("LongshoreExplainService", resource=_named, conditions=_cluster_condition, shape=EXPLAIN_SERVICE)
async def explain_service(call: Call, request: ExplainServiceRequest) -> ExplainServiceResponse:
    """Asks the very planner that keeps the service. Raises ServiceNotFoundException."""
    service = find_service(call.store, call, find_cluster(call.store, call, request.cluster), request.service)
    if call.scheduler is None:
        raise UnsupportedFeatureException("No scheduler runs beside this server.")
    now = call.clock.now()
    living = call.store.list(DEPLOYMENTS, "service", service.arn)
    over = call.store.get(DEPLOYMENTS, request.deployment_id) if request.deployment_id else None
    if over is not None and over.service_arn == service.arn and over.status == "INACTIVE":
        living.append(over)
    rollouts = sorted(living, key=lambda one: one.created_at, reverse=True)
    return ExplainServiceResponse(
        service_arn=service.arn,
        status=status_of(service),
        steady=service.steady,
        evaluated_at=now,
        refusal=service.refusal,
        deployments=tuple(
            RolloutSeen(
                deployment_id=one.id,
                status=one.status,
                task_definition_arn=one.task_definition_arn,
                rollout_state=one.rollout_state,
                rollout_state_reason=one.rollout_state_reason,
                created_at=one.created_at,
                rolls_back=one.rolls_back,
                failed_starts=one.tally.failed_starts,
                failed_checks=one.tally.failed_checks,
            )
            for one in rollouts
        ),
        outlook=call.scheduler(call.store, service, now),
    )


@api.operation("LongshoreGetServiceTraffic", resource=_named, conditions=_cluster_condition, shape=GET_SERVICE_TRAFFIC)
async def get_service_traffic(call: Call, request: GetServiceTrafficRequest) -> GetServiceTrafficResponse:
    """What the load balancers count of the service's requests. Raises ServiceNotFoundException, ClientException when they do not answer."""
    service = find_service(call.store, call, find_cluster(call.store, call, request.cluster), request.service)
    given = service.spec.load_balancers
    arns = dict.fromkeys(
        arn
        for one in given
        for arn in (one.target_group_arn, one.advanced_configuration and one.advanced_configuration.alternate_target_group_arn)
        if arn
    )
    for one in given:
        if one.load_balancer_name:
            classic = call.arn("elasticloadbalancing", f"loadbalancer/{one.load_balancer_name}")
            arns |= dict.fromkeys(group_arns(call.store, classic))
    if not arns:
        return GetServiceTrafficResponse(service_arn=service.arn, traffic=Traffic())
    traffic = await call.traffic(tuple(arns)) if call.traffic is not None else None
    if traffic is None:
        raise ClientException("The load balancers do not answer.")
    return GetServiceTrafficResponse(service_arn=service.arn, traffic=traffic)
