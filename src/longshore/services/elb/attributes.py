"""Attributes of Classic load balancers: what they may be set to, and how they are shown. Pure."""

from __future__ import annotations

import re

from msgspec.structs import replace

from longshore.aws.shapes import elb as shapes
from longshore.services.elb.errors import InvalidConfigurationRequest, LoadBalancerAttributeNotFound, Validation
from longshore.services.elb.model import AccessLog, Attributes

DESYNC = "elb.http.desyncmitigationmode"
_MODES = ("monitor", "defensive", "strictest")
_MOST_DRAINING_S = 3600
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,253}[a-z0-9]")
_PREFIX = re.compile(r"[\x21-\x7e]{0,1024}")


def changed(known: Attributes, asked: shapes.LoadBalancerAttributes) -> Attributes:
    """What the request does not speak of stays. Raises what is wrong with it."""
    result = known
    if asked.cross_zone_load_balancing is not None:
        result = replace(result, is_cross_zone=asked.cross_zone_load_balancing.enabled)
    if asked.connection_draining is not None:
        draining = asked.connection_draining
        timeout_s = 300 if draining.timeout is None else draining.timeout
        if draining.enabled and not 1 <= timeout_s <= _MOST_DRAINING_S:
            raise Validation(f"ConnectionDraining Timeout must be between 1 and {_MOST_DRAINING_S} seconds")
        result = replace(result, drains=draining.enabled, draining_timeout_s=timeout_s if draining.enabled else known.draining_timeout_s)
    if asked.connection_settings is not None:
        result = replace(result, idle_timeout_s=asked.connection_settings.idle_timeout)
    if asked.access_log is not None:
        result = replace(result, access_log=_access_log(asked.access_log))
    for attribute in asked.additional_attributes or ():
        if attribute.key != DESYNC:
            raise LoadBalancerAttributeNotFound(f"Load balancer attribute '{(attribute.key or '')[:255]}' not found")
        if attribute.value not in _MODES:
            raise InvalidConfigurationRequest(f"The value of '{DESYNC}' must be one of {', '.join(_MODES)}")
        result = replace(result, desync_mitigation_mode=attribute.value)
    return result


def _access_log(asked: shapes.AccessLog) -> AccessLog:
    interval_min = 60 if asked.emit_interval is None else asked.emit_interval
    if interval_min not in (5, 60):
        raise InvalidConfigurationRequest("The EmitInterval of access logs must be 5 or 60 minutes")
    bucket, prefix = asked.s3_bucket_name or "", asked.s3_bucket_prefix or ""
    if asked.enabled and not bucket:
        raise InvalidConfigurationRequest("The S3BucketName of access logs must be specified")
    if bucket and not _BUCKET.fullmatch(bucket):
        raise InvalidConfigurationRequest(f"'{bucket[:255]}' is not the name of a bucket")
    # It becomes part of a path.
    if not _PREFIX.fullmatch(prefix) or ".." in prefix.split("/") or "AWSLogs" in prefix:
        raise InvalidConfigurationRequest("The S3BucketPrefix of access logs must be printable and must not contain AWSLogs")
    return AccessLog(asked.enabled, bucket, prefix.strip("/"), interval_min)


def shown(attributes: Attributes) -> shapes.LoadBalancerAttributes:
    log = attributes.access_log
    return shapes.LoadBalancerAttributes(
        cross_zone_load_balancing=shapes.CrossZoneLoadBalancing(enabled=attributes.is_cross_zone),
        access_log=shapes.AccessLog(
            enabled=log.enabled,
            s3_bucket_name=log.bucket or None,
            emit_interval=log.interval_min if log.enabled else None,
            s3_bucket_prefix=log.prefix if log.enabled else None,
        ),
        connection_draining=shapes.ConnectionDraining(enabled=attributes.drains, timeout=attributes.draining_timeout_s),
        connection_settings=shapes.ConnectionSettings(idle_timeout=attributes.idle_timeout_s),
        additional_attributes=(shapes.AdditionalAttribute(key=DESYNC, value=attributes.desync_mitigation_mode),),
    )
