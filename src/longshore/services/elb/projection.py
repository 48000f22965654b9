"""A Classic load balancer as the data plane sees it: a load balancer of type `classic`, and per listener a target group of its own.

The same listener keeps the same target group whatever its policies become: a changed policy moves no traffic. All groups of
one load balancer are checked alike, so a new one takes over what is known of an instance's health. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elb.model import ClassicLoadBalancer, Listener, RegisteredInstance
from longshore.services.elb.policies import negotiation_policy_of, sends_proxy_protocol, stickiness_of
from longshore.services.elb.policy_types import COOKIE_EXPIRATION, COOKIE_NAME, LB_COOKIE
from longshore.services.elb.ssl_negotiation import DEFAULT, PREDEFINED, Negotiation, negotiation_of
from longshore.services.elbv2.model import HealthCheck, LoadBalancer, Tag, Target, TargetGroup
from longshore.services.elbv2.model import Listener as ServedListener

#: the Classic API's words for protocols -> the data plane's
_PROTOCOLS = {"HTTP": "HTTP", "HTTPS": "HTTPS", "TCP": "TCP", "SSL": "TLS"}
#: how long a client stays where it is for its application's cookie, after it was there last
_APP_COOKIE_S = 86_400


class Member(msgspec.Struct, frozen=True):
    """A registered instance, and where it is."""

    registration: RegisteredInstance
    address: str
    zone: str


class Projection(msgspec.Struct, frozen=True):
    load_balancer: LoadBalancer
    listeners: tuple[ServedListener, ...] = ()
    target_groups: tuple[TargetGroup, ...] = ()
    targets: tuple[Target, ...] = ()


def project(lb: ClassicLoadBalancer, members: Iterable[Member]) -> Projection:
    zones = {zone for zone, _ in lb.zones}
    routed = [member for member in members if member.zone in zones]
    return Projection(
        load_balancer=_load_balancer(lb),
        listeners=tuple(_listener(lb, listener) for listener in lb.listeners),
        target_groups=tuple(_target_group(lb, listener) for listener in lb.listeners),
        targets=tuple(target for listener in lb.listeners for member in routed if (target := _target(lb, listener, member)) is not None),
    )


def target_group_arn(lb: ClassicLoadBalancer, port: int) -> str:
    """Of the group behind the listener on that port."""
    prefix = lb.arn.rpartition(":")[0]
    mark = hashlib.sha256(f"{lb.arn}|{lb.identifier}|{port}".encode()).hexdigest()[:16]
    return f"{prefix}:targetgroup/{lb.name}-{port}/{mark}"


def listener_arn(lb: ClassicLoadBalancer, port: int) -> str:
    prefix = lb.arn.rpartition(":")[0]
    return f"{prefix}:listener/classic/{lb.name}/{lb.identifier}/{port}"


def is_classic_listener(arn: str) -> bool:
    return ":listener/classic/" in arn


def _load_balancer(lb: ClassicLoadBalancer) -> LoadBalancer:
    asked = lb.attributes
    attributes = {
        "idle_timeout.timeout_seconds": str(asked.idle_timeout_s),
        "routing.http.desync_mitigation_mode": asked.desync_mitigation_mode,
        "load_balancing.cross_zone.enabled": "true" if asked.is_cross_zone else "false",
    }
    if asked.access_log.enabled:
        attributes |= {
            "access_logs.s3.enabled": "true",
            "access_logs.s3.bucket": asked.access_log.bucket,
            "access_logs.s3.prefix": asked.access_log.prefix,
            "access_logs.s3.emit_interval_minutes": str(asked.access_log.interval_min),
        }
    return LoadBalancer(
        arn=lb.arn,
        name=lb.name,
        type="classic",
        scheme=lb.scheme,
        dns_name=lb.dns_name,
        canonical_hosted_zone_id=lb.canonical_hosted_zone_id,
        created_at=lb.created_at,
        vpc_id=lb.vpc_id,
        zones=lb.zones,
        security_groups=lb.security_groups,
        attributes=attributes,
        tags=tuple(Tag(tag.key, tag.value) for tag in lb.tags),
    )


def _listener(lb: ClassicLoadBalancer, listener: Listener) -> ServedListener:
    forward = shapes.Action(type="forward", target_group_arn=target_group_arn(lb, listener.port))
    return ServedListener(
        arn=listener_arn(lb, listener.port),
        load_balancer_arn=lb.arn,
        port=listener.port,
        protocol=_PROTOCOLS[listener.protocol],
        default_actions=(forward,),
        certificates=(listener.certificate,) if listener.certificate else (),
        attributes=_negotiated(lb, listener) if listener.is_secure else {},
    )


def _negotiated(lb: ClassicLoadBalancer, listener: Listener) -> dict[str, str]:
    """Which versions and ciphers its policy takes. One without a policy takes what AWS's default one does."""
    policy = negotiation_policy_of(lb, listener)
    found: Negotiation = (negotiation_of(policy.attributes) if policy else None) or PREDEFINED[DEFAULT]
    return {
        "ssl.protocols": ",".join(name.removeprefix("Protocol-") for name in found.protocols),
        "ssl.ciphers": ":".join(found.ciphers),
        "ssl.server_defined_cipher_order": "true" if found.server_order else "false",
    }


def _target_group(lb: ClassicLoadBalancer, listener: Listener) -> TargetGroup:
    check = lb.health_check
    return TargetGroup(
        arn=target_group_arn(lb, listener.port),
        name=f"{lb.name}-{listener.port}",
        protocol=_PROTOCOLS[listener.instance_protocol],
        port=listener.instance_port,
        vpc_id=lb.vpc_id,
        target_type="instance",
        created_at=lb.created_at,
        health_check=HealthCheck(
            protocol=_PROTOCOLS[check.protocol],
            port=str(check.port),
            path=check.path,
            interval_s=check.interval_s,
            timeout_s=check.timeout_s,
            healthy_threshold=check.healthy_threshold,
            unhealthy_threshold=check.unhealthy_threshold,
            http_codes="200" if check.path else "",
        ),
        attributes=_group_attributes(lb, listener),
        classic=lb.name,
    )


def _group_attributes(lb: ClassicLoadBalancer, listener: Listener) -> dict[str, str]:
    asked = lb.attributes
    attributes = {"deregistration_delay.timeout_seconds": str(asked.draining_timeout_s if asked.drains else 0)}
    if not listener.is_http:
        attributes |= {
            "deregistration_delay.connection_termination.enabled": "true",
            "target_health_state.unhealthy.connection_termination.enabled": "false",
        }
        if sends_proxy_protocol(lb, listener.instance_port):
            attributes["proxy_protocol_v1.enabled"] = "true"
        return attributes
    attributes["load_balancing.algorithm.type"] = "least_outstanding_requests"
    policy = stickiness_of(lb, listener)
    if policy is None:
        return attributes
    attributes["stickiness.enabled"] = "true"
    if policy.type == LB_COOKIE:
        until_the_browser_is_closed = "0"
        seconds = policy.value(COOKIE_EXPIRATION) or until_the_browser_is_closed
        return attributes | {"stickiness.type": "lb_cookie", "stickiness.lb_cookie.duration_seconds": seconds}
    return attributes | {
        "stickiness.type": "app_cookie",
        "stickiness.app_cookie.cookie_name": policy.value(COOKIE_NAME),
        "stickiness.app_cookie.duration_seconds": str(_APP_COOKIE_S),
    }


def _target(lb: ClassicLoadBalancer, listener: Listener, member: Member) -> Target | None:
    """None where the task that stood on the port is leaving."""
    registration, port = member.registration, listener.instance_port
    if port in registration.withdrawn:
        return None
    on_port = [claim.task_arn for claim in registration.claims if claim.port == port]
    owners = on_port or [claim.task_arn for claim in registration.claims]
    return Target(
        target_group_arn=target_group_arn(lb, listener.port),
        id=registration.instance_id,
        port=port,
        registered_at=registration.registered_at,
        address=member.address,
        availability_zone=member.zone,
        owner=owners[-1] if owners else "",
        classic=lb.name,
    )
