"""Clusters: made, shown, changed, deleted."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.errors import (
    ClusterContainsContainerInstancesException,
    ClusterContainsServicesException,
    ClusterContainsTasksException,
    InvalidParameterException,
)
from longshore.services.ecs.listing import list_page
from longshore.services.ecs.lookup import DEFAULT_CLUSTER, cluster_arn, cluster_resource, find_cluster, scope_of_call
from longshore.services.ecs.model import CLUSTERS, CONTAINER_INSTANCES, TASKS, Cluster
from longshore.services.ecs.names import NAME
from longshore.services.ecs.rollout.model import SERVICES
from longshore.services.ecs.tagging import tags_from
from longshore.services.ecs.views import cluster_view
from longshore.store.base import Reader, Tx

_INSIGHTS = ("enabled", "disabled", "enhanced")
_DIFFERENT = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
MOST_DESCRIBED = 100


def _named_cluster(call: Call, request: shapes.CreateClusterRequest) -> Iterable[str]:
    return (cluster_arn(call, request.cluster_name),)


@api.operation("CreateCluster", resource=_named_cluster)
async def create_cluster(call: Call, request: shapes.CreateClusterRequest) -> shapes.CreateClusterResponse:
    """Making the same cluster again gives the one there is. Raises InvalidParameterException."""
    name = request.cluster_name or DEFAULT_CLUSTER
    if not NAME.fullmatch(name):
        raise InvalidParameterException("Invalid cluster name. Up to 255 letters, numbers, hyphens and underscores are allowed.")
    if request.capacity_providers or request.default_capacity_provider_strategy:
        raise InvalidParameterException("Capacity providers are not offered by this installation.")
    wanted = Cluster(
        arn=call.arn("ecs", f"cluster/{name}"),
        name=name,
        created_at=call.clock.now(),
        tags=tags_from(request.tags),
        settings=_settings(request.settings),
    )

    def create(tx: Tx) -> Cluster:
        there = tx.get(CLUSTERS, wanted.arn)
        if there is None or there.status == "INACTIVE":
            return tx.put(CLUSTERS, wanted)
        if (request.tags is not None and there.tags != wanted.tags) or (request.settings and there.settings != wanted.settings):
            raise InvalidParameterException(_DIFFERENT)
        return there

    cluster = await call.store.transact(create)
    return shapes.CreateClusterResponse(cluster=cluster_view(call.store, cluster))


def _settings(given: tuple[shapes.ClusterSetting, ...] | None) -> tuple[tuple[str, str], ...]:
    value = "disabled"
    for setting in given or ():
        value = setting.value or ""
        if setting.name != "containerInsights" or value not in _INSIGHTS:
            raise InvalidParameterException(f"Invalid cluster setting: containerInsights must be one of {', '.join(_INSIGHTS)}.")
    return (("containerInsights", value),)


def _named_clusters(call: Call, request: shapes.DescribeClustersRequest) -> Iterable[str]:
    return [cluster_arn(call, reference) for reference in request.clusters or (DEFAULT_CLUSTER,)]


@api.operation("DescribeClusters", resource=_named_clusters)
async def describe_clusters(call: Call, request: shapes.DescribeClustersRequest) -> shapes.DescribeClustersResponse:
    """Deleted clusters are shown as INACTIVE for as long as they are remembered."""
    references = request.clusters or (DEFAULT_CLUSTER,)
    if len(references) > MOST_DESCRIBED:
        raise InvalidParameterException(f"Clusters cannot have more than {MOST_DESCRIBED} elements.")
    found: list[shapes.Cluster] = []
    failures: list[shapes.Failure] = []
    for reference in dict.fromkeys(references):
        arn = cluster_arn(call, reference)
        cluster = call.store.get(CLUSTERS, arn)
        if cluster is None or not arn.startswith(call.arn("ecs", "cluster/")):
            failures.append(shapes.Failure(arn=arn, reason="MISSING"))
        else:
            found.append(cluster_view(call.store, cluster, request.include or ()))
    return shapes.DescribeClustersResponse(clusters=tuple(found), failures=tuple(failures))


@api.operation("ListClusters", resource=ANY_RESOURCE)
async def list_clusters(call: Call, request: shapes.ListClustersRequest) -> shapes.ListClustersResponse:
    clusters, token = list_page(
        call,
        CLUSTERS,
        "scope",
        scope_of_call(call),
        token=request.next_token,
        max_results=request.max_results,
        question=(),
        keep=lambda cluster: cluster.status == "ACTIVE",
    )
    return shapes.ListClustersResponse(cluster_arns=tuple(cluster.arn for cluster in clusters), next_token=token)


@api.operation("UpdateCluster", resource=cluster_resource)
async def update_cluster(call: Call, request: shapes.UpdateClusterRequest) -> shapes.UpdateClusterResponse:
    settings = _settings(request.settings) if request.settings else None
    return shapes.UpdateClusterResponse(cluster=await _update(call, request.cluster, settings))


@api.operation("UpdateClusterSettings", resource=cluster_resource)
async def update_cluster_settings(call: Call, request: shapes.UpdateClusterSettingsRequest) -> shapes.UpdateClusterSettingsResponse:
    return shapes.UpdateClusterSettingsResponse(cluster=await _update(call, request.cluster, _settings(request.settings)))


async def _update(call: Call, reference: str, settings: tuple[tuple[str, str], ...] | None) -> shapes.Cluster:
    def update(tx: Tx) -> Cluster:
        cluster = find_cluster(tx, call, reference)
        return tx.put(CLUSTERS, replace(cluster, settings=settings)) if settings is not None else cluster

    return cluster_view(call.store, await call.store.transact(update))


@api.operation("DeleteCluster", resource=cluster_resource)
async def delete_cluster(call: Call, request: shapes.DeleteClusterRequest) -> shapes.DeleteClusterResponse:
    """Only an empty cluster goes; it is INACTIVE from then on."""

    def delete(tx: Tx) -> Cluster:
        cluster = find_cluster(tx, call, request.cluster)
        _check_empty(tx, cluster)
        return tx.put(CLUSTERS, replace(cluster, status="INACTIVE"))

    cluster = await call.store.transact(delete)
    return shapes.DeleteClusterResponse(cluster=cluster_view(call.store, cluster))


def _check_empty(reader: Reader, cluster: Cluster) -> None:
    if reader.count(CONTAINER_INSTANCES, "cluster", cluster.arn):
        raise ClusterContainsContainerInstancesException
    if reader.count(SERVICES, "cluster", cluster.arn):
        raise ClusterContainsServicesException
    running, pending = reader.total(TASKS, "in_cluster", cluster.arn)
    if running or pending:
        raise ClusterContainsTasksException
