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
from longshore.services.ecs.launch_conditions import provider_condition
from longshore.services.ecs.listing import list_page
from longshore.services.ecs.lookup import DEFAULT_CLUSTER, cluster_arn, cluster_resource, find_cluster, scope_of_call
from longshore.services.ecs.model import CLUSTERS, CONTAINER_INSTANCES, TASKS, Cluster
from longshore.services.ecs.names import NAME
from longshore.services.ecs.operations.capacity_providers import with_providers
from longshore.services.ecs.resource_tags import creation_conditions
from longshore.services.ecs.rollout.model import SERVICES
from longshore.services.ecs.settings.rules import setting_for
from longshore.services.ecs.tagging import tagging_rights, tags_from
from longshore.services.ecs.views import cluster_view
from longshore.store.base import Reader, Tx

_INSIGHTS = ("enabled", "disabled", "enhanced")
_DIFFERENT = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
MOST_DESCRIBED = 100


def _named_cluster(call: Call, request: shapes.CreateClusterRequest) -> Iterable[str]:
    return (cluster_arn(call, request.cluster_name),)


def _tagged(call: Call, request: shapes.CreateClusterRequest) -> Iterable[tuple[str, str]]:
    return tagging_rights(call, request.tags, cluster_arn(call, request.cluster_name))


def _creates(call: Call, request: shapes.CreateClusterRequest) -> dict[str, list[str]]:
    found = provider_condition(call, request.capacity_providers or ()) | _storage_key(call, request)
    return found | creation_conditions("CreateCluster", request.tags)


def _storage_key(call: Call, request: shapes.CreateClusterRequest | shapes.UpdateClusterRequest) -> dict[str, list[str]]:
    storage = request.configuration.managed_storage_configuration if request.configuration is not None else None
    key = storage.fargate_ephemeral_storage_kms_key_id if storage is not None else None
    return {"ecs:fargate-ephemeral-storage-kms-key": [key]} if key else {}


@api.operation("CreateCluster", resource=_named_cluster, also=_tagged, conditions=_creates)
async def create_cluster(call: Call, request: shapes.CreateClusterRequest) -> shapes.CreateClusterResponse:
    """Making the same cluster again gives the one there is. Raises InvalidParameterException."""
    name = request.cluster_name or DEFAULT_CLUSTER
    if not NAME.fullmatch(name):
        raise InvalidParameterException("Invalid cluster name. Up to 255 letters, numbers, hyphens and underscores are allowed.")
    _check_service_connect(request.service_connect_defaults)
    insights = setting_for(call.store, call.region, call.principal, "containerInsights")
    asked = Cluster(
        arn=call.arn("ecs", f"cluster/{name}"),
        name=name,
        created_at=call.clock.now(),
        tags=tags_from(request.tags),
        settings=_settings(request.settings, insights),
        configuration=_checked_configuration(request.configuration),
    )

    def create(tx: Tx) -> Cluster:
        wanted = with_providers(tx, call, asked, request.capacity_providers or (), request.default_capacity_provider_strategy or ())
        there = tx.get(CLUSTERS, wanted.arn)
        if there is None or there.status == "INACTIVE":
            return tx.put(CLUSTERS, wanted)
        if any(given is not None and kept != new for given, kept, new in _compared(request, there, wanted)):
            raise InvalidParameterException(_DIFFERENT)
        return there

    cluster = await call.store.transact(create)
    return shapes.CreateClusterResponse(cluster=cluster_view(call.store, cluster, ("TAGS", "SETTINGS", "CONFIGURATIONS")))


def _compared(request: shapes.CreateClusterRequest, there: Cluster, wanted: Cluster) -> list[tuple[object, object, object]]:
    """(what was given, what is kept, what is asked for): a request that leaves something out does not ask for anything else."""
    return [
        (request.tags, there.tags, wanted.tags),
        (request.settings or None, there.settings, wanted.settings),
        (request.configuration, there.configuration, wanted.configuration),
        (request.capacity_providers, there.capacity_providers, wanted.capacity_providers),
        (
            request.default_capacity_provider_strategy,
            there.default_capacity_provider_strategy,
            wanted.default_capacity_provider_strategy,
        ),
    ]


def _checked_configuration(given: shapes.ClusterConfiguration | None) -> shapes.ClusterConfiguration | None:
    """Raises InvalidParameterException. What is said is kept and shown; keys and log destinations are nobody's here."""
    execute = given.execute_command_configuration if given is not None else None
    if execute is not None and (execute.logging == "OVERRIDE") != (execute.log_configuration is not None):
        raise InvalidParameterException(
            "A logConfiguration of the executeCommandConfiguration must be specified with the logging OVERRIDE, and with no other."
        )
    return given


def _check_service_connect(defaults: shapes.ClusterServiceConnectDefaultsRequest | None) -> None:
    """An empty namespace takes a default away, and there is none."""
    if defaults is not None and defaults.namespace:
        raise InvalidParameterException("Service Connect is not offered by this installation: there is no AWS Cloud Map.")


def _settings(given: tuple[shapes.ClusterSetting, ...] | None, value: str = "disabled") -> tuple[tuple[str, str], ...]:
    """`value` is what the account has when nothing is given."""
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


@api.operation("UpdateCluster", resource=cluster_resource, conditions=_storage_key)
async def update_cluster(call: Call, request: shapes.UpdateClusterRequest) -> shapes.UpdateClusterResponse:
    """Settings and configuration that are not named stay as they are."""
    _check_service_connect(request.service_connect_defaults)
    settings = _settings(request.settings) if request.settings else None
    configuration = _checked_configuration(request.configuration)
    return shapes.UpdateClusterResponse(cluster=await _update(call, request.cluster, settings, configuration))


@api.operation("UpdateClusterSettings", resource=cluster_resource)
async def update_cluster_settings(call: Call, request: shapes.UpdateClusterSettingsRequest) -> shapes.UpdateClusterSettingsResponse:
    return shapes.UpdateClusterSettingsResponse(cluster=await _update(call, request.cluster, _settings(request.settings)))


async def _update(
    call: Call,
    reference: str,
    settings: tuple[tuple[str, str], ...] | None,
    configuration: shapes.ClusterConfiguration | None = None,
) -> shapes.Cluster:
    def update(tx: Tx) -> Cluster:
        cluster = find_cluster(tx, call, reference)
        changed = replace(
            cluster,
            settings=cluster.settings if settings is None else settings,
            configuration=cluster.configuration if configuration is None else configuration,
        )
        return tx.put(CLUSTERS, changed) if changed != cluster else cluster

    return cluster_view(call.store, await call.store.transact(update), ("TAGS", "SETTINGS", "CONFIGURATIONS"))


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
