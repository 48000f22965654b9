"""What may be said of capacity providers and of strategies that name them. Pure, but for looking up providers and clusters."""

from __future__ import annotations

import re
from typing import NamedTuple

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.ecs.capacity.model import CAPACITY_PROVIDERS, CapacityProvider
from longshore.services.ecs.errors import ClientException, InvalidParameterException, UnsupportedFeatureException
from longshore.services.ecs.launching import checked_launch_type
from longshore.services.ecs.model import Cluster, scope_of
from longshore.store.base import Reader

MOST_PROVIDERS = 50
MOST_IN_CLUSTER = 20
MOST_IN_STRATEGY = 20
#: AWS's own machines: every account has these two, and nobody can make, change or delete them
PREDEFINED = ("FARGATE", "FARGATE_SPOT")

_NAME = re.compile(r"(?!(?i:aws|ecs|fargate))[A-Za-z0-9_-]{1,255}")
_GROUP_ARN = re.compile(
    r"arn:aws:autoscaling:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):autoScalingGroup:[0-9A-Za-z-]*:autoScalingGroupName/[\x20-\x7e]{1,255}"
)
_GROUP_NAME = re.compile(r"[\x20-\x39\x3b-\x7e]{1,255}")

Strategy = tuple[shapes.CapacityProviderStrategyItem, ...]


# ── providers ───────────────────────────────────────────────────────────────────────────────────────────────────────


def checked_name(name: str) -> str:
    """Raises InvalidParameterException."""
    if not _NAME.fullmatch(name):
        raise InvalidParameterException(
            "The specified capacity provider name is invalid. Up to 255 characters are allowed, including letters (upper and lowercase), "
            'numbers, underscores, and hyphens. The name cannot be prefixed with "aws", "ecs", or "fargate". Specify a valid name and try '
            "again."
        )
    return name


def checked_group(scope: str, group: str) -> str:
    """An Auto Scaling group's name or its ARN in the caller's own account and Region. Raises InvalidParameterException."""
    arn = _GROUP_ARN.fullmatch(group)
    if arn is not None and f"{arn['region']}:{arn['account']}" == scope:
        return group
    if arn is None and not group.startswith("arn:") and _GROUP_NAME.fullmatch(group):
        return group
    raise InvalidParameterException("The specified Auto Scaling group ARN is not valid. Specify a valid ARN and try again.")


def with_settings(
    provider: CapacityProvider, given: shapes.AutoScalingGroupProvider | shapes.AutoScalingGroupProviderUpdate
) -> CapacityProvider:
    """`provider` with what `given` says; what it leaves out stays. Raises InvalidParameterException."""
    scaling = given.managed_scaling or shapes.ManagedScaling()
    changed = replace(
        provider,
        scaling_status=scaling.status or provider.scaling_status,
        target_capacity=scaling.target_capacity or provider.target_capacity,
        minimum_step=scaling.minimum_scaling_step_size or provider.minimum_step,
        maximum_step=scaling.maximum_scaling_step_size or provider.maximum_step,
        warm_up_s=provider.warm_up_s if scaling.instance_warmup_period is None else scaling.instance_warmup_period,
        managed_termination_protection=given.managed_termination_protection or provider.managed_termination_protection,
        managed_draining=given.managed_draining or provider.managed_draining,
    )
    if changed.minimum_step > changed.maximum_step:
        raise InvalidParameterException("The minimumScalingStepSize must not be larger than the maximumScalingStepSize.")
    if changed.managed_termination_protection == "ENABLED" and changed.scaling_status != "ENABLED":
        raise InvalidParameterException(
            "The managed termination protection setting for the capacity provider is invalid. To enable managed termination protection for "
            "a capacity provider, enable managed scaling as well."
        )
    return changed


# ── strategies ──────────────────────────────────────────────────────────────────────────────────────────────────────


def checked_strategy(cluster: Cluster, given: Strategy) -> Strategy:
    """A strategy that may stand in a request about `cluster`, or as its default. Raises InvalidParameterException.

    Providers may be named by name or by ARN; the answer has names.
    """
    if len(given) > MOST_IN_STRATEGY:
        raise InvalidParameterException(f"A capacity provider strategy can contain a maximum of {MOST_IN_STRATEGY} capacity providers.")
    named = tuple(replace(item, capacity_provider=provider_name(cluster.arn, item.capacity_provider)) for item in given)
    names = [item.capacity_provider for item in named]
    if len(set(names)) < len(names):
        raise InvalidParameterException("A capacity provider strategy cannot contain a capacity provider more than once.")
    if any(name not in cluster.capacity_providers for name in names):
        raise InvalidParameterException(
            "The specified capacity provider strategy cannot contain a capacity provider that is not associated with the cluster. "
            "Associate the capacity provider with the cluster and try again."
        )
    if sum(1 for item in named if item.base) > 1:
        raise InvalidParameterException("Only one capacity provider in a capacity provider strategy can have a base defined.")
    if names and 0 < sum(1 for name in names if name in PREDEFINED) < len(names):
        raise InvalidParameterException(
            "A capacity provider strategy cannot contain a mix of capacity providers using Auto Scaling groups and Fargate."
        )
    return named


def provider_name(cluster_arn: str, reference: str) -> str:
    """The name in an ARN of the cluster's account and Region; anything else is taken for a name."""
    prefix = f"arn:aws:ecs:{scope_of(cluster_arn)}:capacity-provider/"
    return reference.removeprefix(prefix)


class Launch(NamedTuple):
    """How tasks are to be launched: for a launch type, or for the providers of a strategy (then the launch type is theirs, EC2)."""

    launch_type: str
    strategy: Strategy = ()


def checked_launch(reader: Reader, cluster: Cluster, launch_type: str | None, strategy: Strategy | None) -> Launch:
    """What a request means by its launch type or strategy: naming neither means the cluster's default strategy, and without one EC2.

    Raises InvalidParameterException, ClientException, and UnsupportedFeatureException for what this installation does not have.
    """
    if strategy and launch_type:
        raise InvalidParameterException("Specifying both a launch type and capacity provider strategy is not supported.")
    if launch_type is not None:
        return Launch(checked_launch_type(launch_type))
    chosen = checked_strategy(cluster, strategy or cluster.default_capacity_provider_strategy)
    if not chosen:
        return Launch("EC2")
    fargate = next((item.capacity_provider for item in chosen if item.capacity_provider in PREDEFINED), None)
    if fargate is not None:
        raise UnsupportedFeatureException(
            f"The capacity provider {fargate} is not offered by this installation. Use one whose container instances are your own."
        )
    if len(chosen) > 1 and not any(item.weight for item in chosen):
        raise InvalidParameterException("At least one capacity provider of a capacity provider strategy must have a weight greater than 0.")
    for item in chosen:
        provider = reader.get(CAPACITY_PROVIDERS, f"arn:aws:ecs:{scope_of(cluster.arn)}:capacity-provider/{item.capacity_provider}")
        if provider is None or provider.status != "ACTIVE":
            raise ClientException(f"The capacity provider {item.capacity_provider} is not ACTIVE.")
    return Launch("EC2", chosen)
