"""Requests and answers of the operations about services that AWS does not have (docs/deploying.md)."""

from __future__ import annotations

from msgspec import Struct

from longshore.aws.protocol.model import OperationShape
from longshore.services.ecs.outlook.counts import Traffic
from longshore.services.ecs.outlook.seen import Outlook


class ExplainServiceRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster: str | None = None
    service: str
    #: a deployment to be told of even when it is over
    deployment_id: str | None = None


class RolloutSeen(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    deployment_id: str
    status: str
    task_definition_arn: str
    rollout_state: str
    rollout_state_reason: str = ""
    created_at: float = 0.0
    #: the deployment whose failure it undoes
    rolls_back: str = ""
    failed_starts: int = 0
    failed_checks: int = 0


class ExplainServiceResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    service_arn: str
    status: str
    steady: bool
    evaluated_at: float
    #: why the last try to place a task failed, as the service's event said it
    refusal: str = ""
    deployments: tuple[RolloutSeen, ...] = ()
    outlook: Outlook


EXPLAIN_SERVICE = OperationShape("LongshoreExplainService", ExplainServiceRequest, ExplainServiceResponse)


class GetServiceTrafficRequest(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    cluster: str | None = None
    service: str


class GetServiceTrafficResponse(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    service_arn: str
    traffic: Traffic


GET_SERVICE_TRAFFIC = OperationShape("LongshoreGetServiceTraffic", GetServiceTrafficRequest, GetServiceTrafficResponse)
