"""What a service must be: checks shared by CreateService and UpdateService.

Everything here is decided from values and from what the store says of target groups at that moment; nothing is written.
"""

from __future__ import annotations

from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.errors import ClientException, InvalidParameterException, UnsupportedFeatureException
from longshore.services.ecs.model import TaskDefinition
from longshore.services.ecs.rollout.model import ServiceSpec
from longshore.services.elb.model import CLASSIC_LOAD_BALANCERS
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


def checked_grace_period(seconds: int | None, *, is_balanced: bool) -> int:
    if seconds is None:
        return 0
    if not is_balanced:
        raise InvalidParameterException("Health check grace period is only valid for services configured to use load balancers")
    if not 0 <= seconds <= MOST_GRACE_S:
        raise InvalidParameterException("healthCheckGracePeriodSeconds must not be negative.")
    return seconds


def check_offered(
    *,
    controller: shapes.DeploymentController | None,
    service_registries: tuple[shapes.ServiceRegistry, ...] | None,
    service_connect: shapes.ServiceConnectConfiguration | None,
    others: tuple[object, ...],
) -> None:
    """Raises UnsupportedFeatureException for what this installation does not do, rather than doing something else."""
    if controller is not None and controller.type == "CODE_DEPLOY":
        raise UnsupportedFeatureException(
            "The deployment controller CODE_DEPLOY is not offered by this installation: there is no CodeDeploy. Use ECS with the "
            "deployment strategy BLUE_GREEN, or EXTERNAL."
        )
    if service_registries:
        raise UnsupportedFeatureException("Service registries are not offered by this installation.")
    if service_connect is not None and service_connect.enabled:
        raise UnsupportedFeatureException("Service Connect is not offered by this installation.")
    if any(others):
        raise UnsupportedFeatureException(
            "Volume configurations, VPC Lattice, gateway connectors and monitoring are not offered by this installation."
        )


def check_role(spec: ServiceSpec, definition: TaskDefinition) -> None:
    """Raises InvalidParameterException for a role, or a platform version, where ECS takes none."""
    if spec.platform_version:
        raise InvalidParameterException("The platform version must be null when specifying an EC2 launch type.")
    if not spec.role_arn:
        return
    if not spec.load_balancers:
        raise InvalidParameterException("IAM roles are only valid for services configured to use load balancers.")
    if len(spec.load_balancers) > 1 or definition.definition.network_mode == "awsvpc" or spec.strategy != "ROLLING":
        raise InvalidParameterException("You cannot specify an IAM role for services that require a service linked role.")


# ── load balancers ──────────────────────────────────────────────────────────────────────────────────────────────────


def check_load_balancers(reader: Reader, call: Call, given: tuple[shapes.LoadBalancer, ...], definition: TaskDefinition) -> None:
    """Each names a target group that a listener uses, or a Classic load balancer, and a container and port that the definition has."""
    if len(given) > MOST_TARGET_GROUPS:
        raise InvalidParameterException(f"A service cannot have more than {MOST_TARGET_GROUPS} load balancers.")
    if len(given) > 1 and any(load_balancer.load_balancer_name for load_balancer in given):
        raise InvalidParameterException("A service can have one Classic Load Balancer, and no other load balancer beside it.")
    for load_balancer in given:
        container = _check_container(load_balancer, definition.definition)
        if load_balancer.load_balancer_name:
            _check_classic(reader, call, load_balancer, container, definition.definition)
        else:
            _check_target_group(reader, call, load_balancer, definition.definition)


def _check_classic(
    reader: Reader,
    call: Call,
    load_balancer: shapes.LoadBalancer,
    container: shapes.ContainerDefinition,
    definition: shapes.TaskDefinition,
) -> None:
    """It forwards to one port of its instances: the host port is given, and a listener forwards there."""
    name = load_balancer.load_balancer_name or ""
    if load_balancer.target_group_arn:
        raise InvalidParameterException("Specify either a targetGroupArn or a loadBalancerName, but not both.")
    if load_balancer.advanced_configuration is not None:
        raise InvalidParameterException("advancedConfiguration is not supported with a Classic Load Balancer.")
    mode = definition.network_mode or "bridge"
    if mode == "none":
        raise ClientException("Load balancers cannot be used with the network mode none.")
    if mode == "awsvpc":
        raise InvalidParameterException("Classic Load Balancers are not supported with the awsvpc network mode. Use a target group.")
    classic = reader.get(CLASSIC_LOAD_BALANCERS, call.arn("elasticloadbalancing", f"loadbalancer/{name}"))
    if classic is None:
        raise InvalidParameterException(f"The specified load balancer {name[:255]} does not exist.")
    port = load_balancer.container_port
    mapped = [mapping for mapping in container.port_mappings or () if mapping.container_port == port and mapping.protocol != "udp"]
    host_ports = {(port if mode == "host" else mapping.host_port) or 0 for mapping in mapped} - {0}
    if not host_ports:
        raise InvalidParameterException(
            f"The container {container.name} has no static host port for its container port {port}, which a Classic Load Balancer requires."
        )
    if not any(listener.instance_port in host_ports for listener in classic.listeners):
        raise InvalidParameterException(
            f"The load balancer {name} does not have a listener that forwards to the instance port {min(host_ports)}."
        )


def _check_container(load_balancer: shapes.LoadBalancer, definition: shapes.TaskDefinition) -> shapes.ContainerDefinition:
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
    return container


def _check_target_group(reader: Reader, call: Call, load_balancer: shapes.LoadBalancer, definition: shapes.TaskDefinition) -> None:
    arn = load_balancer.target_group_arn or ""
    if not arn:
        raise InvalidParameterException("targetGroupArn of a load balancer must not be empty.")
    group = reader.get(TARGET_GROUPS, arn) if arn.startswith(call.arn("elasticloadbalancing", "targetgroup/")) else None
    if group is None or group.classic:
        raise InvalidParameterException("The specified target group does not exist.")
    if not reader.count(LISTENERS, "target_group", arn) and not reader.count(RULES, "target_group", arn):
        raise InvalidParameterException(f"The target group with targetGroupArn {arn} does not have an associated load balancer.")
    mode = definition.network_mode or "bridge"
    if mode == "none":
        raise ClientException("Load balancers cannot be used with the network mode none.")
    if group.target_type != ("ip" if mode == "awsvpc" else "instance"):
        raise InvalidParameterException(
            f"The provided target group {arn} has target type {group.target_type}, which is incompatible with the {mode} network mode "
            "specified in the task definition."
        )
