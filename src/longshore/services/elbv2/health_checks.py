"""A target group's health check: defaults by protocol, and what a request may make of it. Pure.

Defaults and ranges are those of the API's own text (timeouts: 6 s for HTTP groups, 10 s for HTTPS and TCP ones).
"""

from __future__ import annotations

import re
from typing import Protocol

import msgspec

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.errors import Validation
from longshore.services.elbv2.model import HealthCheck

GRPC_PATH = "/AWS.ALB/healthcheck"
TRAFFIC_PORT = "traffic-port"

_PATH = re.compile(r"/[\x21-\x7e]*")
_CODES = re.compile(r"\d{1,3}(?:-\d{1,3})?(?:,\d{1,3}(?:-\d{1,3})?)*")


class HealthCheckRequest(Protocol):
    """The members that CreateTargetGroup and ModifyTargetGroup have in common."""

    @property
    def health_check_protocol(self) -> str | None: ...
    @property
    def health_check_port(self) -> str | None: ...
    @property
    def health_check_enabled(self) -> bool | None: ...
    @property
    def health_check_path(self) -> str | None: ...
    @property
    def health_check_interval_seconds(self) -> int | None: ...
    @property
    def health_check_timeout_seconds(self) -> int | None: ...
    @property
    def healthy_threshold_count(self) -> int | None: ...
    @property
    def unhealthy_threshold_count(self) -> int | None: ...
    @property
    def matcher(self) -> shapes.Matcher | None: ...


def default_health_check(protocol: str, protocol_version: str, check_protocol: str | None, target_type: str = "ip") -> HealthCheck:
    """What a group of `protocol` is checked with when only the check's own protocol is given, or not even that."""
    is_http_group = protocol in ("HTTP", "HTTPS")
    check = check_protocol or ("HTTP" if is_http_group or target_type == "alb" else "TCP")
    timeout_s = 6 if protocol == "HTTP" else 10
    if check == "TCP":
        return HealthCheck(protocol=check, path="", http_codes="", timeout_s=timeout_s)
    if protocol_version == "GRPC":
        return HealthCheck(protocol=check, path=GRPC_PATH, http_codes="12", timeout_s=timeout_s)
    return HealthCheck(protocol=check, path="/", http_codes="200" if is_http_group else "200-399", timeout_s=timeout_s)


def changed_health_check(
    current: HealthCheck, request: HealthCheckRequest, protocol: str, protocol_version: str, target_type: str = "ip"
) -> HealthCheck:
    """`current` with what `request` asks for. Raises Validation for what AWS refuses."""
    check_protocol = request.health_check_protocol or current.protocol
    _check_protocol(check_protocol, protocol, target_type)
    if check_protocol != current.protocol and "TCP" in (check_protocol, current.protocol):
        fresh = default_health_check(protocol, protocol_version, check_protocol)
        current = msgspec.structs.replace(current, protocol=check_protocol, path=fresh.path, http_codes=fresh.http_codes)
    if request.health_check_enabled is False:
        raise Validation("Health check enabled must be true for target groups with target type 'instance' or 'ip'")
    changed = msgspec.structs.replace(
        current,
        protocol=check_protocol,
        port=_port(request.health_check_port) if request.health_check_port is not None else current.port,
        path=_path(request.health_check_path, check_protocol) if request.health_check_path is not None else current.path,
        interval_s=request.health_check_interval_seconds or current.interval_s,
        timeout_s=request.health_check_timeout_seconds or current.timeout_s,
        healthy_threshold=request.healthy_threshold_count or current.healthy_threshold,
        unhealthy_threshold=request.unhealthy_threshold_count or current.unhealthy_threshold,
        http_codes=_codes(request.matcher, check_protocol, protocol, protocol_version) or current.http_codes,
    )
    if changed.timeout_s >= changed.interval_s:
        raise Validation("Health check interval must be greater than the timeout.")
    return changed


def _check_protocol(check_protocol: str, protocol: str, target_type: str) -> None:
    allowed = ("HTTP", "HTTPS") if protocol in ("HTTP", "HTTPS") or target_type == "alb" else ("HTTP", "HTTPS", "TCP")
    if check_protocol not in allowed:
        raise Validation(f"Health check protocol '{check_protocol}' must be one of '{', '.join(allowed)}'")


def _port(port: str) -> str:
    if port == TRAFFIC_PORT:
        return port
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise Validation(f"Health check port '{port}' must be '{TRAFFIC_PORT}' or a number between 1 and 65535")
    return str(int(port))


def _path(path: str, check_protocol: str) -> str:
    if check_protocol == "TCP":
        raise Validation("Health check path is not supported with health check protocol 'TCP'")
    if not _PATH.fullmatch(path):
        raise Validation(
            f"Health check path '{path}' must begin with a '/' character, and can only contain printable ASCII characters, without spaces"
        )
    return path


def _codes(matcher: shapes.Matcher | None, check_protocol: str, protocol: str, protocol_version: str) -> str:
    """The codes asked for; empty when none are."""
    if matcher is None or (matcher.http_code is None and matcher.grpc_code is None):
        return ""
    if check_protocol == "TCP":
        raise Validation("Health check matcher is not supported with health check protocol 'TCP'")
    if protocol_version == "GRPC":
        codes, low, high, what = matcher.grpc_code, 0, 99, "GRPC"
    else:
        codes, low, high, what = matcher.http_code, 200, 499 if protocol in ("HTTP", "HTTPS") else 599, "HTTP"
    if codes is None:
        raise Validation(f"The health check matcher of a target group with protocol version '{protocol_version}' must be {what} codes")
    if not _CODES.fullmatch(codes) or not all(_within(part, low, high) for part in codes.split(",")):
        raise Validation(f"Health check matcher {what} code '{codes}' must be within '{low}-{high}' inclusive")
    return codes


def _within(part: str, low: int, high: int) -> bool:
    first, _, last = part.partition("-")
    return low <= int(first) <= int(last or first) <= high
