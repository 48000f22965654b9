"""Classic load balancers as the API shows them."""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import elb as shapes
from longshore.services.ecs.model import ContainerInstance
from longshore.services.elb.model import REGISTERED_INSTANCES, ClassicLoadBalancer, HealthCheck, Listener, Policy, RegisteredInstance
from longshore.services.elb.network import group_name
from longshore.services.elb.policy_types import (
    APP_COOKIE,
    COOKIE_EXPIRATION,
    COOKIE_NAME,
    LB_COOKIE,
    REFERENCE,
    SSL_NEGOTIATION,
    PolicyType,
)
from longshore.services.elb.records import is_running
from longshore.services.elb.ssl_negotiation import negotiation_of
from longshore.services.elbv2.model import Target
from longshore.store.base import Reader

_NOTHING = "N/A"
_FAILED = "Instance has failed at least the UnhealthyThreshold number of health checks consecutively."
_REGISTERING = "Instance registration is still in progress."
_LEAVING = "Instance deregistration currently in progress."
_ELSEWHERE = "Instance is in the EC2 Availability Zone for which LoadBalancer is not configured to route traffic to."
_NOT_REGISTERED = "Instance is not currently registered with the LoadBalancer."
_TERMINATED = "Instance is in terminated state."


def load_balancer(reader: Reader, lb: ClassicLoadBalancer) -> shapes.LoadBalancerDescription:
    registered = reader.list(REGISTERED_INSTANCES, "load_balancer", lb.arn)
    first = lb.security_groups[0] if lb.security_groups else ""
    return shapes.LoadBalancerDescription(
        load_balancer_name=lb.name,
        dns_name=lb.dns_name,
        canonical_hosted_zone_name=lb.dns_name if lb.scheme == "internet-facing" else None,
        canonical_hosted_zone_name_id=lb.canonical_hosted_zone_id,
        listener_descriptions=tuple(_listener(listener) for listener in lb.listeners),
        policies=_policies(lb.policies),
        backend_server_descriptions=tuple(
            shapes.BackendServerDescription(instance_port=backend.instance_port, policy_names=backend.policies)
            for backend in lb.backends
            if backend.policies
        ),
        availability_zones=tuple(zone for zone, _ in lb.zones),
        subnets=tuple(subnet for _, subnet in lb.zones),
        vpc_id=lb.vpc_id,
        instances=tuple(shapes.Instance(instance_id=one.instance_id) for one in registered),
        health_check=health_check(lb.health_check),
        source_security_group=shapes.SourceSecurityGroup(owner_alias=lb.arn.split(":")[4], group_name=group_name(reader, first)),
        security_groups=lb.security_groups,
        created_time=lb.created_at,
        scheme=lb.scheme,
    )


def _listener(listener: Listener) -> shapes.ListenerDescription:
    return shapes.ListenerDescription(
        listener=shapes.Listener(
            protocol=listener.protocol,
            load_balancer_port=listener.port,
            instance_protocol=listener.instance_protocol,
            instance_port=listener.instance_port,
            ssl_certificate_id=listener.certificate or None,
        ),
        policy_names=listener.policies,
    )


def _policies(policies: Iterable[Policy]) -> shapes.Policies:
    by_app: list[shapes.AppCookieStickinessPolicy] = []
    by_lb: list[shapes.LBCookieStickinessPolicy] = []
    others: list[str] = []
    for policy in policies:
        if policy.type == APP_COOKIE:
            by_app.append(shapes.AppCookieStickinessPolicy(policy_name=policy.name, cookie_name=policy.value(COOKIE_NAME)))
        elif policy.type == LB_COOKIE:
            period = policy.value(COOKIE_EXPIRATION)
            by_lb.append(shapes.LBCookieStickinessPolicy(policy_name=policy.name, cookie_expiration_period=int(period) if period else None))
        else:
            others.append(policy.name)
    return shapes.Policies(
        app_cookie_stickiness_policies=tuple(by_app), lb_cookie_stickiness_policies=tuple(by_lb), other_policies=tuple(others)
    )


def policy(value: Policy) -> shapes.PolicyDescription:
    """One that refers to a security policy of AWS's is shown with everything that says."""
    attributes = value.attributes
    if value.type == SSL_NEGOTIATION:
        reference = tuple(pair for pair in attributes if pair[0] == REFERENCE)
        found = negotiation_of(attributes)
        attributes = (*reference, *found.attributes()) if found is not None else attributes
    return shapes.PolicyDescription(
        policy_name=value.name,
        policy_type_name=value.type,
        policy_attribute_descriptions=tuple(
            shapes.PolicyAttributeDescription(attribute_name=name, attribute_value=text) for name, text in attributes
        ),
    )


def policy_type(value: PolicyType) -> shapes.PolicyTypeDescription:
    return shapes.PolicyTypeDescription(
        policy_type_name=value.name,
        description=value.description,
        policy_attribute_type_descriptions=tuple(
            shapes.PolicyAttributeTypeDescription(
                attribute_name=attribute.name,
                attribute_type=attribute.type,
                description=attribute.description or None,
                default_value=attribute.default,
                cardinality=attribute.cardinality,
            )
            for attribute in value.attributes
        ),
    )


def health_check(check: HealthCheck) -> shapes.HealthCheck:
    return shapes.HealthCheck(
        target=check.target,
        interval=check.interval_s,
        timeout=check.timeout_s,
        unhealthy_threshold=check.unhealthy_threshold,
        healthy_threshold=check.healthy_threshold,
    )


def instance_state(
    lb: ClassicLoadBalancer,
    instance_id: str,
    instance: ContainerInstance | None,
    registration: RegisteredInstance | None,
    targets: Iterable[Target],
) -> shapes.InstanceState:
    """`targets` are the load balancer's, of this instance: those that are leaving among them."""
    state, reason, description = _state(lb, instance, registration, list(targets))
    return shapes.InstanceState(instance_id=instance_id, state=state, reason_code=reason, description=description)


def _state(
    lb: ClassicLoadBalancer, instance: ContainerInstance | None, registration: RegisteredInstance | None, targets: list[Target]
) -> tuple[str, str, str]:
    if registration is None:
        if any(target.deregistered_at is not None for target in targets):
            # requests that are under way are served to their end
            return "InService", _NOTHING, _LEAVING
        return "OutOfService", "Instance", _NOT_REGISTERED
    if instance is None or not is_running(instance):
        return "OutOfService", "Instance", _TERMINATED
    if instance.availability_zone not in {zone for zone, _ in lb.zones}:
        return "OutOfService", "ELB", _ELSEWHERE
    states = {target.health.state for target in targets if target.deregistered_at is None}
    if "unhealthy" in states:
        return "OutOfService", "Instance", _FAILED
    if states and states <= {"healthy"}:
        return "InService", _NOTHING, _NOTHING
    return "OutOfService", "ELB", _REGISTERING


def tags(lb: ClassicLoadBalancer) -> shapes.TagDescription:
    return shapes.TagDescription(load_balancer_name=lb.name, tags=tuple(shapes.Tag(key=tag.key, value=tag.value) for tag in lb.tags))
