"""Services shown and listed."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import InvalidParameterException, NamespaceNotFoundException
from longshore.services.ecs.listing import list_page
from longshore.services.ecs.lookup import child_resources, cluster_arn, find_cluster, service_arn
from longshore.services.ecs.rollout.model import SERVICES, Service
from longshore.services.ecs.service_views import service_view

MOST_DESCRIBED = 10


def _described(call: Call, request: shapes.DescribeServicesRequest) -> Iterable[str]:
    return child_resources(call, request.cluster, "service", request.services)


def _cluster_condition(call: Call, request: shapes.DescribeServicesRequest | shapes.ListServicesRequest) -> dict[str, list[str]]:
    return {"ecs:cluster": [cluster_arn(call, request.cluster)]}


@api.operation("DescribeServices", resource=_described, conditions=_cluster_condition)
async def describe_services(call: Call, request: shapes.DescribeServicesRequest) -> shapes.DescribeServicesResponse:
    """Deleted services are shown as INACTIVE for an hour; what is not known is MISSING."""
    cluster = find_cluster(call.store, call, request.cluster)
    if not request.services:
        raise InvalidParameterException("Services cannot be empty.")
    if len(request.services) > MOST_DESCRIBED:
        raise InvalidParameterException(f"Services cannot have more than {MOST_DESCRIBED} elements.")
    with_tags = "TAGS" in (request.include or ())
    found: list[shapes.Service] = []
    failures: list[shapes.Failure] = []
    for reference in dict.fromkeys(request.services):
        arn = service_arn(call, cluster, reference)
        service = call.store.get(SERVICES, arn)
        if service is None:
            failures.append(shapes.Failure(arn=arn, reason="MISSING"))
        else:
            found.append(service_view(call.store, service, with_tags=with_tags))
    return shapes.DescribeServicesResponse(services=tuple(found), failures=tuple(failures))


@api.operation("ListServices", resource=ANY_RESOURCE, conditions=_cluster_condition)
async def list_services(call: Call, request: shapes.ListServicesRequest) -> shapes.ListServicesResponse:
    """Ten at a time unless asked for more."""
    cluster = find_cluster(call.store, call, request.cluster)

    def keep(service: Service) -> bool:
        return request.launch_type in (None, service.spec.launch_type) and request.scheduling_strategy in (
            None,
            service.spec.scheduling_strategy,
        )

    found, token = list_page(
        call,
        SERVICES,
        "cluster",
        cluster.arn,
        token=request.next_token,
        max_results=10 if request.max_results is None else request.max_results,
        question=(request.launch_type, request.scheduling_strategy),
        keep=keep,
    )
    return shapes.ListServicesResponse(service_arns=tuple(service.arn for service in found), next_token=token)


@api.operation("ListServicesByNamespace", resource=ANY_RESOURCE, conditions=lambda call, request: {"ecs:namespace": [request.namespace]})
async def list_services_by_namespace(call: Call, request: shapes.ListServicesByNamespaceRequest) -> shapes.ListServicesByNamespaceResponse:
    """Namespaces are AWS Cloud Map's, and there is none: raises NamespaceNotFoundException, whatever is asked for."""
    raise NamespaceNotFoundException
