"""REPLICA or DAEMON, and whether tasks are kept balanced over zones: rules of CreateService and UpdateService. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from longshore.services.ecs.errors import InvalidParameterException
from longshore.services.ecs.rollout.model import ServiceSpec

ZONE = "attribute:ecs.availability-zone"
#: a deployment of a DAEMON service stops the old task of an instance before it starts the new one, unless it is told otherwise
DAEMON_MINIMUM, DAEMON_MAXIMUM = 0, 100
MOST_DAEMON_MAXIMUM = 200


def begun(spec: ServiceSpec, scheduling_strategy: str | None) -> ServiceSpec:
    """`spec` with the scheduling strategy that was asked for, and the defaults that come with it."""
    if scheduling_strategy != "DAEMON":
        return replace(spec, scheduling_strategy=scheduling_strategy or "REPLICA")
    return replace(spec, scheduling_strategy="DAEMON", minimum_healthy_percent=DAEMON_MINIMUM, maximum_percent=DAEMON_MAXIMUM)


def check_daemon(spec: ServiceSpec, desired_count: int | None, has_capacity_providers: bool) -> None:
    """Raises InvalidParameterException for what means nothing to a service that has one task on every instance."""
    if spec.scheduling_strategy != "DAEMON":
        return
    if desired_count is not None:
        raise InvalidParameterException(
            "The daemon scheduling strategy does not support a desired count for services. Remove a desired count value and try again."
        )
    if spec.placement_strategy:
        raise InvalidParameterException("The daemon scheduling strategy does not support placement strategies.")
    if any(constraint.type == "distinctInstance" for constraint in spec.placement_constraints):
        raise InvalidParameterException("The daemon scheduling strategy does not support the placement constraint distinctInstance.")
    if has_capacity_providers:
        raise InvalidParameterException("The daemon scheduling strategy does not support capacity provider strategies.")
    if spec.maximum_percent > MOST_DAEMON_MAXIMUM:
        raise InvalidParameterException(f"The maximumPercent of a DAEMON service must be between 100 and {MOST_DAEMON_MAXIMUM}.")


def with_rebalancing(spec: ServiceSpec, asked: str | None, kept: str | None) -> ServiceSpec:
    """`asked` for, else what was `kept`, else (None: a new service) ENABLED where that can be. Raises InvalidParameterException."""
    why_not = _unfit(spec)
    if asked is None and kept is None:
        return replace(spec, availability_zone_rebalancing="DISABLED" if why_not else "ENABLED")
    wanted = asked or kept or "DISABLED"
    if wanted == "ENABLED" and why_not:
        raise InvalidParameterException(f"Availability Zone rebalancing is not supported {why_not}. Set it to DISABLED and try again.")
    return replace(spec, availability_zone_rebalancing=wanted)


def _unfit(spec: ServiceSpec) -> str:
    """Why tasks of such a service are not moved between zones; "" when they can be."""
    if spec.scheduling_strategy == "DAEMON":
        return "with the daemon scheduling strategy"
    if spec.deployment_controller != "ECS":
        return f"with the deployment controller {spec.deployment_controller}"
    if spec.launch_type == "EXTERNAL":
        return "with the launch type EXTERNAL"
    if spec.maximum_percent <= 100:
        return "with a maximumPercent of 100"
    if any(balancer.load_balancer_name for balancer in spec.load_balancers):
        return "with a Classic Load Balancer"
    first = spec.placement_strategy[0] if spec.placement_strategy else None
    if first is not None and (first.type != "spread" or first.field != ZONE):
        return f"unless the first placement strategy is spread over {ZONE}"
    return ""
