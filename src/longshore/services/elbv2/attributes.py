"""Attributes of load balancers and target groups: which there are, their defaults and what they may be set to. Pure.

Only what differs from its default is kept with the resource.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from longshore.services.elbv2.buckets import is_bucket, is_prefix
from longshore.services.elbv2.errors import InvalidConfigurationRequest, Validation

#: Takes a value and returns what is allowed in words when it is not; None when it is fine.
Check = Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Attribute:
    key: str
    default: str
    check: Check


def one_of(*choices: str) -> Check:
    return lambda value: None if value in choices else f"must be one of '{', '.join(choices)}'"


def between(low: int, high: int, *also: str) -> Check:
    words = "".join(f"'{word}' or " for word in also)

    def check(value: str) -> str | None:
        if value in also:
            return None
        if value.isascii() and value.isdecimal() and len(value) <= 7 and low <= int(value) <= high:
            return None
        return f"must be {words}between {low} and {high} inclusive"

    return check


_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{0,256}")
_BUCKET_TEXT = re.compile(r"[\x21-\x7e]{0,1024}")


def _cookie_name(value: str) -> str | None:
    if not _COOKIE_NAME.fullmatch(value):
        return "must be a cookie name"
    if value.upper().startswith("AWSALB"):
        return "must not begin with AWSALB, AWSALBAPP or AWSALBTG, which are reserved"
    return None


def _bucket(value: str) -> str | None:
    return None if _BUCKET_TEXT.fullmatch(value) else "must be printable ASCII characters without spaces"


_SWITCH = one_of("true", "false")
_WEEK_S = 604_800
#: ours: whether a target is asked which task it is before it gets any traffic
IDENTITY_CHECK = "longshore.identity_check.enabled"

_OF_EVERY_LOAD_BALANCER = (
    Attribute("access_logs.s3.enabled", "false", _SWITCH),
    Attribute("access_logs.s3.bucket", "", _bucket),
    Attribute("access_logs.s3.prefix", "", _bucket),
    Attribute("deletion_protection.enabled", "false", _SWITCH),
    Attribute("ipv6.deny_all_igw_traffic", "false", _SWITCH),
    Attribute("zonal_shift.config.enabled", "false", _SWITCH),
)

_LOAD_BALANCER: Mapping[str, tuple[Attribute, ...]] = {
    "application": (
        *_OF_EVERY_LOAD_BALANCER,
        Attribute("load_balancing.cross_zone.enabled", "true", one_of("true")),
        Attribute("idle_timeout.timeout_seconds", "60", between(1, 4000)),
        Attribute("client_keep_alive.seconds", "3600", between(60, _WEEK_S)),
        Attribute("connection_logs.s3.enabled", "false", _SWITCH),
        Attribute("connection_logs.s3.bucket", "", _bucket),
        Attribute("connection_logs.s3.prefix", "", _bucket),
        Attribute("health_check_logs.s3.enabled", "false", _SWITCH),
        Attribute("health_check_logs.s3.bucket", "", _bucket),
        Attribute("health_check_logs.s3.prefix", "", _bucket),
        Attribute("routing.http.desync_mitigation_mode", "defensive", one_of("monitor", "defensive", "strictest")),
        Attribute("routing.http.drop_invalid_header_fields.enabled", "false", _SWITCH),
        Attribute("routing.http.preserve_host_header.enabled", "false", _SWITCH),
        Attribute("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false", _SWITCH),
        Attribute("routing.http.xff_client_port.enabled", "false", _SWITCH),
        Attribute("routing.http.xff_header_processing.mode", "append", one_of("append", "preserve", "remove")),
        Attribute("routing.http2.enabled", "true", _SWITCH),
        Attribute("waf.fail_open.enabled", "false", _SWITCH),
    ),
    "network": (
        *_OF_EVERY_LOAD_BALANCER,
        Attribute("load_balancing.cross_zone.enabled", "false", _SWITCH),
        Attribute(
            "dns_record.client_routing_policy",
            "any_availability_zone",
            one_of("availability_zone_affinity", "partial_availability_zone_affinity", "any_availability_zone"),
        ),
        Attribute("secondary_ips.auto_assigned.per_subnet", "0", between(0, 7)),
    ),
}

_OF_EVERY_TARGET_GROUP = (
    Attribute("deregistration_delay.timeout_seconds", "300", between(0, 3600)),
    Attribute("stickiness.enabled", "false", _SWITCH),
    Attribute(IDENTITY_CHECK, "false", _SWITCH),
    Attribute(
        "load_balancing.cross_zone.enabled",
        "use_load_balancer_configuration",
        one_of("true", "false", "use_load_balancer_configuration"),
    ),
    Attribute("target_group_health.dns_failover.minimum_healthy_targets.count", "1", between(1, 1000, "off")),
    Attribute("target_group_health.dns_failover.minimum_healthy_targets.percentage", "off", between(1, 100, "off")),
    Attribute("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1", between(1, 1000)),
    Attribute("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off", between(1, 100, "off")),
)

_HTTP_TARGET_GROUP = (
    *_OF_EVERY_TARGET_GROUP,
    Attribute("stickiness.type", "lb_cookie", one_of("lb_cookie", "app_cookie")),
    Attribute("stickiness.lb_cookie.duration_seconds", "86400", between(1, _WEEK_S)),
    Attribute("stickiness.app_cookie.cookie_name", "", _cookie_name),
    Attribute("stickiness.app_cookie.duration_seconds", "86400", between(1, _WEEK_S)),
    Attribute("slow_start.duration_seconds", "0", between(30, 900, "0")),
    Attribute("load_balancing.algorithm.type", "round_robin", one_of("round_robin", "least_outstanding_requests", "weighted_random")),
    Attribute("load_balancing.algorithm.anomaly_mitigation", "off", one_of("on", "off")),
)


def _tcp_target_group(target_type: str) -> tuple[Attribute, ...]:
    return (
        *_OF_EVERY_TARGET_GROUP,
        Attribute("stickiness.type", "source_ip", one_of("source_ip")),
        Attribute("deregistration_delay.connection_termination.enabled", "false", _SWITCH),
        Attribute("preserve_client_ip.enabled", "false" if target_type == "ip" else "true", _SWITCH),
        Attribute("proxy_protocol_v2.enabled", "false", _SWITCH),
        Attribute("target_health_state.unhealthy.connection_termination.enabled", "true", _SWITCH),
        Attribute("target_health_state.unhealthy.draining_interval_seconds", "0", between(0, 360_000)),
    )


#: a load balancer behind another: it is told who the clients are whatever is said
_ALB_TARGET_GROUP = (
    Attribute("deregistration_delay.timeout_seconds", "300", between(0, 3600)),
    Attribute("deregistration_delay.connection_termination.enabled", "false", _SWITCH),
    Attribute("preserve_client_ip.enabled", "true", one_of("true")),
)


def load_balancer_attributes(type: str) -> tuple[Attribute, ...]:
    return _LOAD_BALANCER[type]


def target_group_attributes(protocol: str, target_type: str) -> tuple[Attribute, ...]:
    if target_type == "alb":
        return _ALB_TARGET_GROUP
    return _HTTP_TARGET_GROUP if protocol in ("HTTP", "HTTPS") else _tcp_target_group(target_type)


def shown(known: Iterable[Attribute], kept: Mapping[str, str]) -> list[tuple[str, str]]:
    """Every attribute with its value, in order of the keys."""
    return sorted((attribute.key, kept.get(attribute.key, attribute.default)) for attribute in known)


def changed(
    what: str, known: Iterable[Attribute], kept: Mapping[str, str], asked: Iterable[tuple[str | None, str | None]]
) -> dict[str, str]:
    """`kept` after the `asked` (key, value) pairs. `what` begins the messages ("Load balancer")."""
    by_key = {attribute.key: attribute for attribute in known}
    result = dict(kept)
    seen: set[str] = set()
    for key, value in asked:
        attribute = by_key.get(key or "")
        if attribute is None:
            raise Validation(f"{what} attribute key '{key or ''}' is not recognized")
        if attribute.key in seen:
            raise Validation(f"{what} attribute key '{attribute.key}' is specified more than once")
        seen.add(attribute.key)
        refused = attribute.check(value or "")
        if refused is not None:
            raise Validation(f"{what} attribute value '{value or ''}' of '{attribute.key}' {refused}")
        if (value or "") == attribute.default:
            result.pop(attribute.key, None)
        else:
            result[attribute.key] = value or ""
    return result


def check_load_balancer_together(attributes: Mapping[str, str]) -> None:
    """Rules that span several attributes of a load balancer."""
    for kind in ("access_logs", "connection_logs", "health_check_logs"):
        if attributes.get(f"{kind}.s3.enabled") != "true":
            continue
        bucket, prefix = attributes.get(f"{kind}.s3.bucket", ""), attributes.get(f"{kind}.s3.prefix", "")
        if not bucket:
            raise InvalidConfigurationRequest(f"The value of '{kind}.s3.bucket' cannot be empty")
        if kind == "health_check_logs":
            raise InvalidConfigurationRequest("Health check logs are not written here: DescribeTargetHealth tells of each check's outcome")
        if not is_bucket(bucket):
            raise InvalidConfigurationRequest(f"The value of '{kind}.s3.bucket' is no name of a bucket")
        if not is_prefix(prefix):
            raise InvalidConfigurationRequest(
                f"The value of '{kind}.s3.prefix' must be folders of letters, digits and !-_.*'() without a slash at either end, "
                "and cannot include 'AWSLogs'"
            )


def check_target_group_together(attributes: Mapping[str, str]) -> None:
    """Rules that span several attributes of a target group."""
    algorithm = attributes.get("load_balancing.algorithm.type", "round_robin")
    if attributes.get("load_balancing.algorithm.anomaly_mitigation") == "on" and algorithm == "weighted_random":
        raise InvalidConfigurationRequest("Anomaly mitigation is not served: every target keeps its share of the traffic")
    if attributes.get("load_balancing.algorithm.anomaly_mitigation") == "on" and algorithm != "weighted_random":
        raise InvalidConfigurationRequest("Anomaly mitigation can be enabled only when the load balancing algorithm is weighted_random")
    if "slow_start.duration_seconds" in attributes and algorithm != "round_robin":
        raise InvalidConfigurationRequest("Slow start mode can be used only when the load balancing algorithm is round_robin")
    is_app_cookie = attributes.get("stickiness.type") == "app_cookie" and attributes.get("stickiness.enabled") == "true"
    if is_app_cookie and not attributes.get("stickiness.app_cookie.cookie_name"):
        raise InvalidConfigurationRequest("stickiness.app_cookie.cookie_name must be specified when the stickiness type is app_cookie")
    terminates = attributes.get("target_health_state.unhealthy.connection_termination.enabled", "true") == "true"
    if "target_health_state.unhealthy.draining_interval_seconds" in attributes and terminates:
        raise InvalidConfigurationRequest(
            "target_health_state.unhealthy.draining_interval_seconds can be set only when "
            "target_health_state.unhealthy.connection_termination.enabled is false"
        )
