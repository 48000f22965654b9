"""Beyond AWS: what a load balancer would do with a request, asked without sending it.

The same matcher is tried against HAProxy's own choice; nothing is changed, and no target hears of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from longshore.aws.shapes import elbv2 as aws
from longshore.services.call import Call
from longshore.services.elbv2 import testing_shapes as shapes
from longshore.services.elbv2.api import api
from longshore.services.elbv2.errors import InvalidConfigurationRequest, ListenerNotFound, Validation
from longshore.services.elbv2.lookup import find_any_load_balancer, rules_of
from longshore.services.elbv2.matching import Match, Request, changed, match, redirected, without_port
from longshore.services.elbv2.model import LISTENERS, TARGET_GROUPS, TARGETS, Listener, LoadBalancer, TargetGroup, target_groups_of
from longshore.services.elbv2.names import default_rule_arn
from longshore.store.base import Reader

#: of a request's head, as an Application Load Balancer takes it
MOST_HEAD = 64 * 1024
_DEFAULT_PORTS = {"http": 80, "https": 443}
_STICKY_DEFAULT_S = "86400"
_WORDS = {True: "true", False: "false", None: "unknown"}


def _named(call: Call, request: shapes.RequestInput) -> Iterable[str]:
    return (request.load_balancer_arn,)


@api.operation("LongshoreTestRequest", resource=_named, shape=shapes.TEST)
async def try_request(call: Call, request: shapes.RequestInput) -> shapes.RequestOutput:
    lb = find_any_load_balancer(call.store, call, request.load_balancer_arn)
    if lb.type == "network":
        raise InvalidConfigurationRequest("Network load balancers do not look at requests")
    url = _url(request.url)
    listener = _listener(call.store, lb, url)
    asked = _request(request, url, lb)
    outcome = match(rules_of(call.store, listener.arn), asked)
    return _told(call.store, lb, listener, asked, outcome)


def _url(text: str) -> SplitResult:
    if not (text.isprintable() and " " not in text):
        raise Validation("The URL contains a character that is not valid")
    try:
        url = urlsplit(text)
        is_good = (url.scheme in _DEFAULT_PORTS and bool(url.hostname) and url.port != 0) or (
            not url.scheme and not url.netloc and text.startswith("/")
        )
    except ValueError:
        is_good = False
    if not is_good:
        raise Validation(f"'{text}' is neither an http or https URL nor a path")
    return url


def _listener(reader: Reader, lb: LoadBalancer, url: SplitResult) -> Listener:
    listeners = sorted(reader.list(LISTENERS, "load_balancer", lb.arn), key=lambda listener: listener.port)
    if url.scheme:
        port = url.port or _DEFAULT_PORTS[url.scheme]
        found = [one for one in listeners if one.port == port and one.protocol.lower() == url.scheme]
        if not found:
            raise ListenerNotFound(f"Load balancer '{lb.name}' has no {url.scheme.upper()} listener on port {port}")
        return found[0]
    if len(listeners) != 1:
        raise Validation(f"Load balancer '{lb.name}' has {len(listeners)} listeners: a whole URL must be given")
    if listeners[0].protocol not in ("HTTP", "HTTPS"):
        raise InvalidConfigurationRequest(f"The {listeners[0].protocol} listener on port {listeners[0].port} does not look at requests")
    return listeners[0]


def _request(given: shapes.RequestInput, url: SplitResult, lb: LoadBalancer) -> Request:
    headers = [(header.name, header.value) for header in given.headers or ()]
    if any(not value.isprintable() for _, value in headers) or sum(len(name) + len(value) for name, value in headers) > MOST_HEAD:
        raise Validation("A header is not valid, or all of them are too long")
    if not any(name.lower() == "host" for name, _ in headers):
        default = url.port in (None, _DEFAULT_PORTS.get(url.scheme))
        host = (url.netloc.rpartition("@")[2] or lb.dns_name).lower()
        headers.insert(0, ("Host", without_port(host) if default else host))
    source = given.source_ip or "127.0.0.1"
    try:
        ip_address(source)
    except ValueError:
        raise Validation(f"'{source}' is not a valid IP address") from None
    query = url.query if "?" in given.url.partition("#")[0] else None
    return Request(given.method or "GET", url.path or "/", query, tuple(headers), source)


def _told(reader: Reader, lb: LoadBalancer, listener: Listener, asked: Request, outcome: Match) -> shapes.RequestOutput:
    chosen = outcome.chosen.rule if outcome.chosen else None
    actions = chosen.actions if chosen else listener.default_actions
    last = actions[-1]
    rules = [
        shapes.TestedRule(
            rule_arn=tried.rule.arn,
            priority=str(tried.rule.priority),
            matches=_WORDS[tried.holds],
            is_chosen=tried is outcome.chosen,
            conditions=tuple(
                shapes.Condition(field=judged.condition.field or "", holds=_WORDS[judged.holds], reason=judged.reason)
                for judged in tried.conditions
            ),
        )
        for tried in outcome.tried
    ]
    if lb.type != "classic":  # whose listeners have no rules at all
        default = default_rule_arn(listener.arn)
        rules.append(shapes.TestedRule(rule_arn=default, priority="default", matches="true", is_chosen=outcome.chosen is None))
    is_preserved = lb.attributes.get("routing.http.preserve_host_header.enabled") == "true"
    seen = changed(chosen.transforms if chosen else (), asked, listener.port, is_preserved=is_preserved)
    groups = _groups(reader, last)
    status, location, problem = _answer(last, asked, listener)
    if last.type == "forward":
        problem = seen.failure or _trouble(groups, fails_open=lb.type != "classic")
        status = 500 if seen.failure else 503 if problem else 0
    unchanged = changed((), asked, listener.port, is_preserved=is_preserved)
    return shapes.RequestOutput(
        listener_arn=listener.arn,
        rules=tuple(rules),
        is_certain=outcome.is_certain,
        actions=tuple(action.type for action in actions),
        target_groups=tuple(groups),
        group_stickiness=_group_stickiness(last),
        status_code=status,
        location=location,
        host=seen.host if last.type == "forward" and seen.host != unchanged.host else "",
        path=seen.url if last.type == "forward" and seen.url != unchanged.url else "",
        problem=problem,
    )


def _answer(action: aws.Action, asked: Request, listener: Listener) -> tuple[int, str, str]:
    """(status, location, problem) of what the load balancer answers itself."""
    if action.redirect_config is not None:
        status = {"HTTP_301": 301, "HTTP_302": 302}[action.redirect_config.status_code]
        return status, redirected(action.redirect_config, asked, listener.protocol, listener.port), ""
    if action.fixed_response_config is not None:
        return int(action.fixed_response_config.status_code), "", ""
    return 0, "", ""


def _groups(reader: Reader, action: aws.Action) -> list[shapes.Group]:
    weights = {
        group.target_group_arn or "": 1 if group.weight is None else group.weight
        for group in (action.forward_config.target_groups if action.forward_config else None) or ()
    }
    found = []
    for arn in target_groups_of((action,)):
        group = reader.get(TARGET_GROUPS, arn)
        targets = [target for target in reader.list(TARGETS, "target_group", arn) if target.deregistered_at is None]
        found.append(
            shapes.Group(
                target_group_arn=arn,
                weight=weights.get(arn, 1),
                targets=len(targets),
                healthy_targets=sum(target.health.state == "healthy" for target in targets),
                stickiness=_stickiness(group) if group else "",
            )
        )
    return found


def _stickiness(group: TargetGroup) -> str:
    attributes = group.attributes
    if attributes.get("stickiness.enabled") != "true":
        return ""
    if attributes.get("stickiness.type", "lb_cookie") == "app_cookie":
        name = attributes.get("stickiness.app_cookie.cookie_name", "")
        return f"{name} for {attributes.get('stickiness.app_cookie.duration_seconds', _STICKY_DEFAULT_S)} s"
    seconds = attributes.get("stickiness.lb_cookie.duration_seconds", _STICKY_DEFAULT_S)
    return f"{'AWSELB' if group.classic else 'AWSALB'} {f'for {seconds} s' if seconds != '0' else 'until the browser is closed'}"


def _group_stickiness(action: aws.Action) -> str:
    config = action.forward_config.target_group_stickiness_config if action.forward_config else None
    return f"AWSALBTG for {config.duration_seconds} s" if config is not None and config.enabled else ""


def _trouble(groups: list[shapes.Group], *, fails_open: bool) -> str:
    """Why a request may find nobody; empty where any group has targets. While none is healthy, all of them get requests, or nobody."""
    used = [group for group in groups if group.weight]
    if not used:
        return "every target group has the weight 0"
    if not any(group.targets for group in used):
        return "no targets are registered"
    if not fails_open and not any(group.healthy_targets for group in used):
        return "no target is healthy"
    return ""
