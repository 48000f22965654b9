"""What a service must be: checks shared by CreateService and UpdateService.

Everything here is decided from values and from what the store says of target groups at that moment; nothing is written.
"""

from __future__ import annotations

from msgspec.structs import replace

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.errors import ClientException, InvalidParameterException, UnsupportedFeatureException
from longshore.services.ecs.model import TaskDefinition
from longshore.services.ecs.rollout.model import ServiceSpec
from longshore.services.elbv2.model import LISTENERS, RULES, TARGET_GROUPS
from longshore.store.base import Reader

MOST_TARGET_GROUPS = 5
MOST_DESIRED = 5000
MOST_GRACE_S = 2_147_483_647


def checked_desired_count(count: int | None) -> int:
    if count is None:
        raise InvalidParameterException("The desiredCount of a REPLICA service must be given.")
    if not 0 <= count <= MOST_DESIRED:
        raise InvalidParameterException(f"desiredCount must be between 0 and {MOST_DESIRED}.")
    return count


def checked_grace_period(seconds: int | None, load_balancers: tuple[shapes.LoadBalancer, ...]) -> int:
    if seconds is None:
        return 0
    if not load_balancers:
        raise InvalidParameterException("Health check grace period is only valid for services configured to use load balancers")
    if not 0 <= seconds <= MOST_GRACE_S:
        raise InvalidParameterException("healthCheckGracePeriodSeconds must not be negative.")
    return seconds


def with_configuration(spec: ServiceSpec, given: shapes.DeploymentConfiguration | None) -> ServiceSpec:
    """`spec` with what `given` says about deployments; what it leaves out stays. Raises InvalidParameterException."""
    if given is None:
        return spec
    _check_offered(given)
    minimum = spec.minimum_healthy_percent if given.minimum_healthy_percent is None else given.minimum_healthy_percent
    maximum = spec.maximum_percent if given.maximum_percent is None else given.maximum_percent
    if not 0 <= minimum <= 100:
        raise InvalidParameterException("minimumHealthyPercent must be between 0 and 100.")
    if not 100 <= maximum <= 1000:
        raise InvalidParameterException("maximumPercent must be between 100 and 1000.")
    if minimum == 100 and maximum == 100:
        raise InvalidParameterException("Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments.")
    return replace(
        spec,
        minimum_healthy_percent=minimum,
        maximum_percent=maximum,
        circuit_breaker=given.deployment_circuit_breaker or spec.circuit_breaker,
    )


def _check_offered(given: shapes.DeploymentConfiguration) -> None:
    if given.strategy not in (None, "ROLLING"):
        raise UnsupportedFeatureException(f"The deployment strategy {given.strategy} is not offered by this installation. Use ROLLING.")
    if given.alarms is not None and given.alarms.enable:
        raise UnsupportedFeatureException("Deployment alarms are not offered by this installation.")
    if given.lifecycle_hooks:
        raise UnsupportedFeatureException("Deployment lifecycle hooks are not offered by this installation.")
    breaker = given.deployment_circuit_breaker
    if breaker is not None and breaker.rollback and not breaker.enable:
        raise InvalidParameterException("Deployment circuit breaker rollback cannot be enabled without enabling the circuit breaker.")


def check_offered(
    *,
    controller: shapes.DeploymentController | None,
    scheduling_strategy: str | None,
    service_registries: tuple[shapes.ServiceRegistry, ...] | None,
    service_connect: shapes.ServiceConnectConfiguration | None,
    others: tuple[object, ...],
) -> None:
    """Raises UnsupportedFeatureException for what this installation does not do, rather than doing something else."""
    if controller is not None and controller.type != "ECS":
        raise UnsupportedFeatureException(f"The deployment controller {controller.type} is not offered by this installation. Use ECS.")
    if scheduling_strategy not in (None, "REPLICA"):
        raise UnsupportedFeatureException(f"The scheduling strategy {scheduling_strategy} is not offered yet. Use REPLICA.")
    if service_registries:
        raise UnsupportedFeatureException("Service registries are not offered by this installation.")
    if service_connect is not None and service_connect.enabled:
        raise UnsupportedFeatureException("Service Connect is not offered by this installation.")
    if any(others):
        raise UnsupportedFeatureException("Volume configurations, VPC Lattice, gateway connectors and monitoring are not offered yet.")


# ── load balancers ──────────────────────────────────────────────────────────────────────────────────────────────────


def check_load_balancers(reader: Reader, call: Call, given: tuple[shapes.LoadBalancer, ...], definition: TaskDefinition) -> None:
    """Each names a target group that a listener uses, and a container and port that the definition has."""
    if len(given) > MOST_TARGET_GROUPS:
        raise InvalidParameterException(f"A service cannot have more than {MOST_TARGET_GROUPS} load balancers.")
    for load_balancer in given:
        _check_container(load_balancer, definition.definition)
        _check_target_group(reader, call, load_balancer, definition.definition)


def _check_container(load_balancer: shapes.LoadBalancer, definition: shapes.TaskDefinition) -> None:
    name, port = load_balancer.container_name, load_balancer.container_port
    if not name:
        raise InvalidParameterException("containerName of a load balancer must not be empty.")
    if port is None:
        raise InvalidParameterException("containerPort of a load balancer must not be empty.")
    container = next((one for one in definition.container_definitions or () if one.name == name), None)
    if container is None:
        raise InvalidParameterException(f"The container {name[:255]} does not exist in the task definition.")
    if all(mapping.container_port != port for mapping in container.port_mappings or ()):
        raise InvalidParameterException(f"The container {name} did not have a container port {port} defined.")


def _check_target_group(reader: Reader, call: Call, load_balancer: shapes.LoadBalancer, definition: shapes.TaskDefinition) -> None:
    if load_balancer.load_balancer_name:
        raise UnsupportedFeatureException("Classic Load Balancers are not offered by this installation. Use a target group.")
    if load_balancer.advanced_configuration is not None:
        raise UnsupportedFeatureException("The advanced configuration of load balancers is not offered by this installation.")
    arn = load_balancer.target_group_arn or ""
    if not arn:
        raise InvalidParameterException("targetGroupArn of a load balancer must not be empty.")
    group = reader.get(TARGET_GROUPS, arn) if arn.startswith(call.arn("elasticloadbalancing", "targetgroup/")) else None
    if group is None:
        raise InvalidParameterException("The specified target group does not exist.")
    if not reader.count(LISTENERS, "target_group", arn) and not reader.count(RULES, "target_group", arn):
        raise InvalidParameterException(f"The target group with targetGroupArn {arn} does not have an associated load balancer.")
    mode = definition.network_mode or "bridge"
    if mode == "none":
        raise ClientException("Load balancers cannot be used with the network mode none.")
    if (group.target_type == "ip") != (mode == "awsvpc"):
        raise InvalidParameterException(
            f"The provided target group {arn} has target type {group.target_type}, which is incompatible with the {mode} network mode "
            "specified in the task definition."
        )
