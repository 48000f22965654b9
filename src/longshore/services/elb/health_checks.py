"""How the instances of a Classic load balancer are checked: `HTTP:80/path` and the like, taken apart. Pure."""

from __future__ import annotations

import re

from longshore.aws.shapes import elb as shapes
from longshore.services.elb.errors import Validation
from longshore.services.elb.model import HealthCheck

_TARGET = re.compile(r"(HTTPS?|TCP|SSL):([0-9]{1,5})(/[\x21-\x7e]*)?")
_MOST_TARGET_LENGTH = 1024


def checked_health_check(asked: shapes.HealthCheck) -> HealthCheck:
    """Raises Validation."""
    found = _TARGET.fullmatch(asked.target) if len(asked.target) <= _MOST_TARGET_LENGTH else None
    if found is None:
        raise Validation("HealthCheck Target must be TCP, HTTP, HTTPS or SSL, a colon, a port, and for HTTP and HTTPS a path")
    protocol, port, path = found[1], int(found[2]), found[3] or ""
    if not 1 <= port <= 65535:
        raise Validation("HealthCheck Target port must be between 1 and 65535")
    if protocol in ("HTTP", "HTTPS") and not path:
        raise Validation("HealthCheck HTTP Target must specify a port followed by a path that begins with '/'. e.g. HTTP:80/ping/this/path")
    if protocol in ("TCP", "SSL") and path:
        raise Validation(f"HealthCheck {protocol} Target must specify a port, and nothing after it. e.g. {protocol}:80")
    if asked.timeout >= asked.interval:
        raise Validation("HealthCheck timeout must be less than interval")
    return HealthCheck(
        protocol=protocol,
        port=port,
        path=path,
        interval_s=asked.interval,
        timeout_s=asked.timeout,
        unhealthy_threshold=asked.unhealthy_threshold,
        healthy_threshold=asked.healthy_threshold,
    )


def default_health_check(first_instance_port: int) -> HealthCheck:
    return HealthCheck(protocol="TCP", port=first_instance_port)
