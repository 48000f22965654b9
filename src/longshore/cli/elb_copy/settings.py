"""How single settings of a Classic load balancer are said of an Application or Network Load Balancer. Pure.

A setting that cannot be kept exactly becomes the nearest one, and carries why.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from longshore.cli.elb_copy.source import HealthCheck, ListenerDescription, Policy, Source

_WEEK_S = 604_800
_DAY_S = 86_400
#: security policies that both kinds of load balancers have
_SAME_POLICIES = frozenset({"ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-TLS-1-1-2017-01", "ELBSecurityPolicy-TLS-1-2-2017-01"})
#: oldest version that is taken -> the nearest policy
_NEAREST = (
    ("Protocol-SSLv3", "ELBSecurityPolicy-2016-08"),
    ("Protocol-TLSv1", "ELBSecurityPolicy-2016-08"),
    ("Protocol-TLSv1.1", "ELBSecurityPolicy-TLS-1-1-2017-01"),
    ("Protocol-TLSv1.2", "ELBSecurityPolicy-TLS-1-2-2017-01"),
)


class Change(msgspec.Struct, frozen=True):
    value: str
    #: why it is not exactly what it was; empty where it is
    why: str = ""
    #: what it was
    classic: str = ""


#: (key in the request or attribute, what it is called, what it was, what it becomes)
Setting = tuple[str, str, str, Change]


def health_check(check: HealthCheck, port: int, type: str) -> tuple[dict[str, str], Change]:
    """Parameters of CreateTargetGroup for a group that is reached on `port`, and in words what becomes of the check."""
    protocol, _, rest = check.target.partition(":")
    protocol = protocol.upper()
    check_port, slash, path = rest.partition("/")
    asked, why = _checked_by(protocol, slash + path, type)
    asked["HealthCheckPort"] = "traffic-port" if check_port == str(port) else check_port
    asked["HealthCheckIntervalSeconds"] = str(check.interval)
    asked["HealthCheckTimeoutSeconds"] = str(check.timeout)
    asked["HealthyThresholdCount"] = str(check.healthy_threshold)
    asked["UnhealthyThresholdCount"] = str(check.unhealthy_threshold)
    code = f", {asked['Matcher.HttpCode']}" if "Matcher.HttpCode" in asked else ""
    words = f"{asked['HealthCheckProtocol']}:{asked['HealthCheckPort']}{asked.get('HealthCheckPath', '')}{code}"
    return asked, Change(words, why)


def times_of(check: HealthCheck) -> str:
    """Those of a health check, which are the same everywhere."""
    return f"every {check.interval} s, {check.timeout} s, {check.healthy_threshold} up, {check.unhealthy_threshold} down"


def _checked_by(protocol: str, path: str, type: str) -> tuple[dict[str, str], str]:
    if protocol in ("HTTP", "HTTPS"):
        return {"HealthCheckProtocol": protocol, "HealthCheckPath": path, "Matcher.HttpCode": "200"}, ""
    if type == "network":
        return {"HealthCheckProtocol": "TCP"}, "a Network Load Balancer does not check TLS by itself" if protocol == "SSL" else ""
    nearest = {"HealthCheckProtocol": "HTTPS" if protocol == "SSL" else "HTTP", "HealthCheckPath": "/", "Matcher.HttpCode": "200-499"}
    return nearest, "an Application Load Balancer checks by requests only: any answer below 500 will do"


def stickiness_of(source: Source, description: ListenerDescription) -> Policy | None:
    found = (source.policy(name) for name in description.policy_names or ())
    return next((policy for policy in found if policy is not None and policy.policy_type_name in _STICKY), None)


_STICKY = ("LBCookieStickinessPolicyType", "AppCookieStickinessPolicyType")


def group_attributes(source: Source, description: ListenerDescription, type: str) -> Iterator[Setting]:
    draining = source.attributes.connection_draining
    seconds = (300 if draining.timeout is None else draining.timeout) if draining is not None and draining.enabled else 0
    classic = f"{seconds} s" if draining is not None and draining.enabled else "off"
    yield "deregistration_delay.timeout_seconds", "connection draining", classic, Change(str(seconds))
    if type == "network":
        yield from _proxy_protocol(source, description)
        return
    policy = stickiness_of(source, description)
    if policy is not None and policy.policy_type_name == "LBCookieStickinessPolicyType":
        yield from _balancers_cookie(policy)
    elif policy is not None:
        name = policy.value("CookieName")
        yield "stickiness.enabled", "stickiness", policy.policy_name, Change("true")
        yield "stickiness.type", "stickiness type", "application cookie", Change("app_cookie")
        yield "stickiness.app_cookie.cookie_name", "stickiness cookie", name, Change(name)
        why = "a time of its own takes the place of the cookie's"
        yield "stickiness.app_cookie.duration_seconds", "stickiness time", "as long as the cookie", Change(str(_DAY_S), why)


def _balancers_cookie(policy: Policy) -> Iterator[Setting]:
    yield "stickiness.enabled", "stickiness", policy.policy_name, Change("true")
    yield "stickiness.type", "stickiness type", "load balancer's cookie", Change("lb_cookie")
    period = policy.value("CookieExpirationPeriod")
    if not period.isdecimal() or not int(period):
        change = Change(str(_WEEK_S), "cookies always have a time; a week is the longest")
    elif int(period) > _WEEK_S:
        change = Change(str(_WEEK_S), "a week is the longest")
    else:
        change = Change(period)
    shown = f"{period} s" if period.isdecimal() and int(period) else "until the browser is closed"
    yield "stickiness.lb_cookie.duration_seconds", "stickiness time", shown, change


def _proxy_protocol(source: Source, description: ListenerDescription) -> Iterator[Setting]:
    port = description.listener.instance_port
    for backend in source.load_balancer.backend_server_descriptions or ():
        policies = [source.policy(name) for name in (backend.policy_names or ()) if backend.instance_port == port]
        if any(policy is not None and policy.value("ProxyProtocol").lower() == "true" for policy in policies):
            why = "version 2, which is binary, takes the place of version 1: targets have to understand it"
            yield "proxy_protocol_v2.enabled", "proxy protocol", "version 1", Change("true", why)


def load_balancer_attributes(source: Source, type: str) -> Iterator[Setting]:
    """Attributes of the load balancer; those without a key are only told of."""
    asked = source.attributes
    idle_s = str(asked.connection_settings.idle_timeout if asked.connection_settings else 60)
    is_cross_zone = asked.cross_zone_load_balancing is not None and asked.cross_zone_load_balancing.enabled
    shown = "on" if is_cross_zone else "off"
    if type == "network":
        yield "load_balancing.cross_zone.enabled", "cross-zone", shown, Change("true" if is_cross_zone else "false")
    else:
        yield "idle_timeout.timeout_seconds", "idle timeout", f"{idle_s} s", Change(idle_s)
        why = "" if is_cross_zone else "an Application Load Balancer always balances across zones"
        yield "", "cross-zone", shown, Change("on", why)
        for attribute in asked.additional_attributes or ():
            if attribute.key == "elb.http.desyncmitigationmode" and attribute.value:
                yield "routing.http.desync_mitigation_mode", "desync mitigation", attribute.value, Change(attribute.value)
    log = asked.access_log
    if log is not None and log.enabled:
        why = "files come every 5 minutes, in the other kind's format" if type == "application" else "only connections with TLS are logged"
        yield "access_logs.s3.enabled", "access log", f"every {log.emit_interval or 60} min", Change("true", why)
        yield "access_logs.s3.bucket", "access log bucket", log.s3_bucket_name or "", Change(log.s3_bucket_name or "")
        if log.s3_bucket_prefix:
            yield "access_logs.s3.prefix", "access log prefix", log.s3_bucket_prefix, Change(log.s3_bucket_prefix)


def idle_timeout(source: Source, protocol: str) -> Change:
    """Of a listener of a Network Load Balancer: those for TCP may have one of their own."""
    seconds = source.attributes.connection_settings.idle_timeout if source.attributes.connection_settings else 60
    if protocol != "TCP":
        return Change("350", "" if seconds == 350 else "idle connections of a TLS listener end after 350 s")
    return Change(str(max(seconds, 60)), "a minute is the shortest" if seconds < 60 else "")


def security_policy(source: Source, description: ListenerDescription) -> Change:
    found = [source.policy(name) for name in description.policy_names or ()]
    policy = next((one for one in found if one is not None and one.policy_type_name == "SSLNegotiationPolicyType"), None)
    if policy is None:
        return Change("ELBSecurityPolicy-2016-08", classic="the default one")
    name = policy.value("Reference-Security-Policy") or policy.policy_name
    if name in _SAME_POLICIES:
        return Change(name, classic=name)
    oldest = next((nearest for protocol, nearest in _NEAREST if policy.value(protocol).lower() == "true"), "ELBSecurityPolicy-2016-08")
    return Change(oldest, "the nearest there is: its versions, with ciphers of its own", classic=name)
