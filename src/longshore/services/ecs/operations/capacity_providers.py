"""Capacity providers: made, shown, changed, deleted; and which of them a cluster may use.

A provider stands for the container instances that registered with its name in their attribute `longshore.capacity-provider`.
What managed scaling, termination protection and draining are to do is kept and shown: until there is Auto Scaling nothing
changes the number of instances.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.pagination import page, seal, unseal
from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.capacity.model import CAPACITY_PROVIDERS, CapacityProvider
from longshore.services.ecs.capacity.rules import (
    MOST_IN_CLUSTER,
    MOST_PROVIDERS,
    PREDEFINED,
    checked_group,
    checked_name,
    checked_strategy,
    provider_name,
    with_settings,
)
from longshore.services.ecs.errors import (
    ClientException,
    InvalidParameterException,
    LimitExceededException,
    ResourceInUseException,
    UnsupportedFeatureException,
)
from longshore.services.ecs.launch_conditions import provider_arn, provider_condition
from longshore.services.ecs.listing import page_limit
from longshore.services.ecs.lookup import cluster_resource, find_cluster, scope_of_call
from longshore.services.ecs.model import CLUSTERS, TASKS, Cluster
from longshore.services.ecs.resource_tags import creation_conditions
from longshore.services.ecs.rollout.model import SERVICES
from longshore.services.ecs.tagging import tagging_rights, tags_from
from longshore.services.ecs.views import capacity_provider_view, cluster_view
from longshore.store.base import Reader, Tx

MOST_RESULTS = 10
_SETTINGS_NEEDED = "The Auto Scaling group settings of the capacity provider must be given."
_MANAGED_INSTANCES = "ECS Managed Instances are AWS's machines and not offered by this installation. Use an Auto Scaling group provider."
_NO_CLUSTER = "A capacity provider of an Auto Scaling group belongs to no cluster by itself: use PutClusterCapacityProviders."


# ── authorisation ───────────────────────────────────────────────────────────────────────────────────────────────────


def _named(call: Call, request: shapes.CreateCapacityProviderRequest | shapes.UpdateCapacityProviderRequest) -> Iterable[str]:
    return (provider_arn(call, request.name),)


def _deleted(call: Call, request: shapes.DeleteCapacityProviderRequest) -> Iterable[str]:
    return (provider_arn(call, request.capacity_provider),)


def _described(call: Call, request: shapes.DescribeCapacityProvidersRequest) -> Iterable[str]:
    return [provider_arn(call, reference) for reference in request.capacity_providers or ("*",)]


def _tagged(call: Call, request: shapes.CreateCapacityProviderRequest) -> Iterable[tuple[str, str]]:
    return tagging_rights(call, request.tags, provider_arn(call, request.name))


def _creates(call: Call, request: shapes.CreateCapacityProviderRequest) -> dict[str, list[str]]:
    return creation_conditions("CreateCapacityProvider", request.tags)


def _associated(call: Call, request: shapes.PutClusterCapacityProvidersRequest) -> dict[str, list[str]]:
    return provider_condition(call, request.capacity_providers)


# ── providers ───────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("CreateCapacityProvider", resource=_named, also=_tagged, conditions=_creates)
async def create_capacity_provider(call: Call, request: shapes.CreateCapacityProviderRequest) -> shapes.CreateCapacityProviderResponse:
    """Raises InvalidParameterException, ClientException, LimitExceededException; UnsupportedFeatureException for managed instances."""
    if request.managed_instances_provider is not None:
        raise UnsupportedFeatureException(_MANAGED_INSTANCES)
    if request.cluster:
        raise InvalidParameterException(_NO_CLUSTER)
    name, given = checked_name(request.name), request.auto_scaling_group_provider
    if given is None:
        raise InvalidParameterException(_SETTINGS_NEEDED)
    group = checked_group(scope_of_call(call), given.auto_scaling_group_arn)
    arn = call.arn("ecs", f"capacity-provider/{name}")
    wanted = with_settings(CapacityProvider(arn, name, group, tags=tags_from(request.tags)), given)

    def create(tx: Tx) -> CapacityProvider:
        there = tx.get(CAPACITY_PROVIDERS, arn)
        if there is not None and there.status == "ACTIVE":
            raise ClientException(
                "The specified capacity provider already exists. To change the configuration of an existing capacity provider, "
                "update the capacity provider."
            )
        others = tx.list(CAPACITY_PROVIDERS, "scope", scope_of_call(call))
        if len(others) >= MOST_PROVIDERS:
            raise LimitExceededException("The limit for the number of capacity providers has been reached.")
        if any(other.auto_scaling_group == group for other in others):
            raise ClientException(
                "The specified Auto Scaling group ARN is already being used by another capacity provider. Specify a unique "
                "Auto Scaling group ARN and try again."
            )
        return tx.put(CAPACITY_PROVIDERS, wanted)

    return shapes.CreateCapacityProviderResponse(capacity_provider=capacity_provider_view(await call.store.transact(create)))


@api.operation("UpdateCapacityProvider", resource=_named)
async def update_capacity_provider(call: Call, request: shapes.UpdateCapacityProviderRequest) -> shapes.UpdateCapacityProviderResponse:
    if request.managed_instances_provider is not None:
        raise UnsupportedFeatureException(_MANAGED_INSTANCES)
    if request.cluster:
        raise InvalidParameterException(_NO_CLUSTER)
    given = request.auto_scaling_group_provider
    if given is None:
        raise InvalidParameterException(_SETTINGS_NEEDED)

    def update(tx: Tx) -> CapacityProvider:
        changed = with_settings(_find(tx, call, request.name), given)
        return tx.put(CAPACITY_PROVIDERS, replace(changed, update_status="UPDATE_COMPLETE"))

    return shapes.UpdateCapacityProviderResponse(capacity_provider=capacity_provider_view(await call.store.transact(update)))


@api.operation("DeleteCapacityProvider", resource=_deleted)
async def delete_capacity_provider(call: Call, request: shapes.DeleteCapacityProviderRequest) -> shapes.DeleteCapacityProviderResponse:
    """Goes at once, and is shown as INACTIVE from then on. One that a cluster uses is not deleted."""
    if request.cluster:
        raise InvalidParameterException(_NO_CLUSTER)

    def delete(tx: Tx) -> CapacityProvider:
        provider = _find(tx, call, request.capacity_provider)
        using = [cluster for cluster in tx.list(CLUSTERS, "scope", scope_of_call(call)) if provider.name in cluster.capacity_providers]
        active = next((cluster for cluster in using if cluster.status != "INACTIVE"), None)
        if active is not None:
            raise ClientException(
                f"The capacity provider cannot be deleted because it is associated with cluster: {active.name}. "
                "Remove the capacity provider from the cluster and try again."
            )
        return tx.put(CAPACITY_PROVIDERS, replace(provider, status="INACTIVE", update_status="DELETE_COMPLETE"))

    return shapes.DeleteCapacityProviderResponse(capacity_provider=capacity_provider_view(await call.store.transact(delete)))


def _find(reader: Reader, call: Call, reference: str) -> CapacityProvider:
    """Raises InvalidParameterException for AWS's own, ClientException for what is not there or was deleted."""
    arn = provider_arn(call, reference)
    if arn.rpartition("/")[2] in PREDEFINED:
        raise InvalidParameterException("The specified capacity provider is reserved. It can be neither changed nor deleted.")
    found = reader.get(CAPACITY_PROVIDERS, arn) if arn.startswith(call.arn("ecs", "capacity-provider/")) else None
    if found is None or found.status == "INACTIVE":
        raise ClientException("The specified capacity provider does not exist. Specify a valid name or ARN and try again.")
    return found


@api.operation("DescribeCapacityProviders", resource=_described)
async def describe_capacity_providers(
    call: Call, request: shapes.DescribeCapacityProvidersRequest
) -> shapes.DescribeCapacityProvidersResponse:
    """Those named, or all that are ACTIVE with the two that AWS has for everybody, page by page."""
    if request.cluster:
        find_cluster(call.store, call, request.cluster)
        raise InvalidParameterException(
            "Capacity providers of a cluster's own are those of ECS Managed Instances, which are not offered here."
        )
    with_tags = "TAGS" in (request.include or ())
    named = tuple(dict.fromkeys(provider_arn(call, one) for one in request.capacity_providers or ()))
    if len(named) > MOST_IN_CLUSTER:
        raise InvalidParameterException(f"Capacity providers cannot have more than {MOST_IN_CLUSTER} elements.")
    own = call.arn("ecs", "capacity-provider/")
    arns = named or sorted(
        [own + name for name in PREDEFINED] + [one.arn for one in call.store.list(CAPACITY_PROVIDERS, "scope", scope_of_call(call))]
    )
    question = ("DescribeCapacityProviders", call.account_id, call.region, named)
    start = unseal(call.secret_for_signing, question, request.next_token, InvalidParameterException("Invalid token."))
    # the one a token names may be gone since: those named go on behind the place it had, all others behind its name
    places = {arn: place for place, arn in enumerate(arns)} if named else {}

    def behind(arn: str, after: str | None) -> bool:
        return after is None or (places[arn] > places[after] if named else arn > after)

    found, last = page(
        lambda after, limit: [arn for arn in arns if behind(arn, after)][:limit],
        lambda arn: arn,
        after=start,
        limit=page_limit(request.max_results, MOST_RESULTS) if request.max_results is not None or not named else MOST_IN_CLUSTER,
    )
    shown: list[shapes.CapacityProvider] = []
    failures: list[shapes.Failure] = []
    for arn in found:
        provider = call.store.get(CAPACITY_PROVIDERS, arn) if arn.startswith(own) else None
        if provider is not None:
            shown.append(capacity_provider_view(provider, with_tags=with_tags))
        elif arn.startswith(own) and arn.removeprefix(own) in PREDEFINED:
            shown.append(_predefined(arn))
        else:
            failures.append(shapes.Failure(arn=arn, reason="MISSING"))
    token = seal(call.secret_for_signing, question, last) if last is not None else None
    return shapes.DescribeCapacityProvidersResponse(capacity_providers=tuple(shown), failures=tuple(failures), next_token=token)


def _predefined(arn: str) -> shapes.CapacityProvider:
    """There, as in every account; a strategy that names it is refused when tasks are to run."""
    name = arn.rpartition("/")[2]
    return shapes.CapacityProvider(capacity_provider_arn=arn, name=name, status="ACTIVE", tags=(), type=name)


# ── clusters ────────────────────────────────────────────────────────────────────────────────────────────────────────


@api.operation("PutClusterCapacityProviders", resource=cluster_resource, conditions=_associated)
async def put_cluster_capacity_providers(
    call: Call, request: shapes.PutClusterCapacityProvidersRequest
) -> shapes.PutClusterCapacityProvidersResponse:
    """Both lists take the place of those before. Raises ResourceInUseException for leaving out a provider that is in use."""

    def put(tx: Tx) -> Cluster:
        cluster = find_cluster(tx, call, request.cluster)
        changed = with_providers(tx, call, cluster, request.capacity_providers, request.default_capacity_provider_strategy)
        gone = set(cluster.capacity_providers) - set(changed.capacity_providers)
        if gone and _in_use(tx, cluster, gone):
            raise ResourceInUseException
        return tx.put(CLUSTERS, changed)

    return shapes.PutClusterCapacityProvidersResponse(cluster=cluster_view(call.store, await call.store.transact(put)))


def with_providers(
    reader: Reader,
    call: Call,
    cluster: Cluster,
    providers: Iterable[str],
    strategy: tuple[shapes.CapacityProviderStrategyItem, ...],
) -> Cluster:
    """`cluster` as it may use `providers`. Raises InvalidParameterException for more than 20 and for what is not there."""
    names = tuple(dict.fromkeys(provider_name(cluster.arn, one) for one in providers))
    if len(names) > MOST_IN_CLUSTER:
        raise InvalidParameterException(f"A cluster can use a maximum of {MOST_IN_CLUSTER} capacity providers.")
    for name in names:
        found = reader.get(CAPACITY_PROVIDERS, call.arn("ecs", f"capacity-provider/{name}"))
        if name not in PREDEFINED and (found is None or found.status == "INACTIVE"):
            raise InvalidParameterException(
                f"The specified capacity provider '{name[:300]}' was not found. Specify a valid name or ARN and try again."
            )
    changed = replace(cluster, capacity_providers=names)
    return replace(changed, default_capacity_provider_strategy=checked_strategy(changed, strategy))


def _in_use(reader: Reader, cluster: Cluster, names: set[str]) -> bool:
    """By services that are to use it, or by tasks that were placed for it."""
    services = reader.list(SERVICES, "cluster", cluster.arn)
    if any(item.capacity_provider in names for service in services for item in service.spec.capacity_provider_strategy):
        return True
    return any(reader.count(TASKS, "capacity_provider", f"{cluster.arn}|{name}") for name in names)
