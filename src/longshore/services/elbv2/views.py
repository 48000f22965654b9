"""How load-balancing resources are described in answers."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.ecs.model import CONTAINER_INSTANCES
from longshore.services.elbv2.client_secrets import shown
from longshore.services.elbv2.lookup import load_balancers_using
from longshore.services.elbv2.model import LOAD_BALANCERS, Listener, LoadBalancer, Rule, Tag, Target, TargetGroup, scope_of
from longshore.services.elbv2.names import default_rule_arn
from longshore.store.base import Reader

_NOT_IN_USE = shapes.TargetHealth(
    state="unused",
    reason="Target.NotInUse",
    description="Target group is not configured to receive traffic from the load balancer",
)
_NOT_REGISTERED = shapes.TargetHealth(
    state="unused", reason="Target.NotRegistered", description="Target is not registered to the target group"
)
_DRAINING = shapes.TargetHealth(
    state="draining", reason="Target.DeregistrationInProgress", description="Target deregistration is in progress"
)
_STOPPED = shapes.TargetHealth(state="unused", reason="Target.InvalidState", description="Target is in the stopped or terminated state")
_RESERVED = shapes.TargetHealth(
    state="unused", reason="Target.IpUnusable", description="Target IP address is reserved for use by a load balancer"
)
_NO_ANOMALY = shapes.AnomalyDetection(result="normal", mitigation_in_effect="no")
_NO_OVERRIDE = shapes.AdministrativeOverride(
    state="no_override",
    reason="AdministrativeOverride.NoOverride",
    description="No override is currently active on target",
)
_HEALTHY = shapes.TargetHealth(state="healthy")


def load_balancer(lb: LoadBalancer) -> shapes.LoadBalancer:
    return shapes.LoadBalancer(
        load_balancer_arn=lb.arn,
        dns_name=lb.dns_name,
        canonical_hosted_zone_id=lb.canonical_hosted_zone_id,
        created_time=lb.created_at,
        load_balancer_name=lb.name,
        scheme=lb.scheme,
        vpc_id=lb.vpc_id,
        state=shapes.LoadBalancerState(code=lb.status.state, reason=lb.status.reason or None),
        type=lb.type,
        availability_zones=zones(lb.zones),
        # A network load balancer without security groups is described without the list.
        security_groups=lb.security_groups if lb.security_groups or lb.type == "application" else None,
        ip_address_type=lb.ip_address_type,
    )


def zones(pairs: Iterable[tuple[str, str]]) -> tuple[shapes.AvailabilityZone, ...]:
    return tuple(shapes.AvailabilityZone(zone_name=zone, subnet_id=subnet_id, load_balancer_addresses=()) for zone, subnet_id in pairs)


def target_group(reader: Reader, group: TargetGroup) -> shapes.TargetGroup:
    check = group.health_check
    if not check.http_codes:
        matcher = None
    elif group.protocol_version == "GRPC":
        matcher = shapes.Matcher(grpc_code=check.http_codes)
    else:
        matcher = shapes.Matcher(http_code=check.http_codes)
    return shapes.TargetGroup(
        target_group_arn=group.arn,
        target_group_name=group.name,
        protocol=group.protocol,
        port=group.port,
        vpc_id=group.vpc_id,
        health_check_protocol=check.protocol,
        health_check_port=check.port,
        health_check_enabled=check.enabled,
        health_check_interval_seconds=check.interval_s,
        health_check_timeout_seconds=check.timeout_s,
        healthy_threshold_count=check.healthy_threshold,
        unhealthy_threshold_count=check.unhealthy_threshold,
        health_check_path=check.path or None,
        matcher=matcher,
        load_balancer_arns=tuple(load_balancers_using(reader, group.arn)),
        target_type=group.target_type,
        protocol_version=group.protocol_version if group.protocol in ("HTTP", "HTTPS") else None,
        ip_address_type=group.ip_address_type,
    )


def listener(value: Listener) -> shapes.Listener:
    return shapes.Listener(
        listener_arn=value.arn,
        load_balancer_arn=value.load_balancer_arn,
        port=value.port,
        protocol=value.protocol,
        default_actions=shown(value.default_actions),
        ssl_policy=value.ssl_policy or None,
        certificates=tuple(shapes.Certificate(certificate_arn=arn) for arn in value.certificates[:1]) or None,
        alpn_policy=value.alpn_policy or None,
        mutual_authentication=_mutual_authentication(value),
    )


def _mutual_authentication(value: Listener) -> shapes.MutualAuthenticationAttributes | None:
    """Listeners that could ask clients for certificates say so when they do not."""
    if value.protocol != "HTTPS":
        return None
    return value.mutual_authentication or shapes.MutualAuthenticationAttributes(mode="off")


def rule(value: Rule) -> shapes.Rule:
    return shapes.Rule(
        rule_arn=value.arn,
        priority=str(value.priority),
        conditions=value.conditions,
        actions=shown(value.actions),
        transforms=value.transforms or None,
        is_default=False,
    )


def default_rule(value: Listener) -> shapes.Rule:
    """A listener's default actions, as the last of its rules."""
    return shapes.Rule(
        rule_arn=default_rule_arn(value.arn), priority="default", conditions=(), actions=shown(value.default_actions), is_default=True
    )


def tags(values: Iterable[Tag]) -> tuple[shapes.Tag, ...]:
    return tuple(shapes.Tag(key=tag.key, value=tag.value) for tag in values)


def target_health(
    reader: Reader, group: TargetGroup, target: Target, is_used: bool, include: frozenset[str] = frozenset()
) -> shapes.TargetHealthDescription:
    """One target's line in DescribeTargetHealth; `is_used` says whether any listener or rule forwards to the group.

    `include` holds AnomalyDetection, AdministrativeOverride or All.
    """
    check_port = group.health_check.port
    is_http = group.protocol in ("HTTP", "HTTPS")
    return shapes.TargetHealthDescription(
        target=shapes.TargetDescription(
            id=target.id, port=target.port, availability_zone=target.availability_zone if group.target_type == "ip" else None
        ),
        health_check_port=str(target.port) if check_port == "traffic-port" else check_port,
        target_health=_unusable(reader, group, target) or _health(target, is_used),
        anomaly_detection=_NO_ANOMALY if is_http and include & {"AnomalyDetection", "All"} else None,
        administrative_override=_NO_OVERRIDE if include & {"AdministrativeOverride", "All"} else None,
    )


def _unusable(reader: Reader, group: TargetGroup, target: Target) -> shapes.TargetHealth | None:
    """Of a target that nobody could answer at, whoever forwards to it."""
    if group.target_type == "instance":
        known = reader.list(CONTAINER_INSTANCES, "ec2_instance", f"{scope_of(group.arn)}:{target.id}")
        return None if any(instance.status != "INACTIVE" for instance in known) else _STOPPED
    if group.target_type == "ip" and target.id.startswith("127."):
        addresses = {lb.status.address for lb in reader.list(LOAD_BALANCERS)}
        return _RESERVED if target.id in addresses else None
    return None


def unregistered_target(asked: shapes.TargetDescription, port: int) -> shapes.TargetHealthDescription:
    return shapes.TargetHealthDescription(target=shapes.TargetDescription(id=asked.id, port=port), target_health=_NOT_REGISTERED)


def _health(target: Target, is_used: bool) -> shapes.TargetHealth:
    if not is_used:
        return _NOT_IN_USE
    if target.deregistered_at is not None:
        return _DRAINING
    health = target.health
    if health.state == "healthy":
        return _HEALTHY
    return shapes.TargetHealth(state=health.state, reason=health.reason or None, description=health.description or None)
