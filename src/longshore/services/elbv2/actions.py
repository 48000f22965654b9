"""Listener and rule actions: what AWS accepts, brought into one form.

A checked forward to one group carries both `TargetGroupArn` and the forward configuration with every default filled in; a
forward to several carries the configuration only; a redirect carries every component. Which groups exist and may be used
together is for the operations to say. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from longshore.aws.shapes import elbv2 as shapes
from longshore.services.elbv2.authentication import TYPES as AUTHENTICATION_TYPES
from longshore.services.elbv2.authentication import checked_authentication
from longshore.services.elbv2.errors import InvalidLoadBalancerAction, TooManyActions, Validation
from longshore.services.elbv2.quotas import TARGET_GROUPS_PER_ACTION

MOST_WEIGHT = 999
MOST_STICKINESS_SECONDS = 604_800
CONTENT_TYPES = ("text/plain", "text/css", "text/html", "application/javascript", "application/json")

_PLACEHOLDER = re.compile(r"#\{([^}]*)\}?")
_URI_TEXT = re.compile(r"[\x21-\x7e]*")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
#: redirect component -> placeholders it may contain
_PLACEHOLDERS = {
    "host": frozenset({"host"}),
    "path": frozenset({"host", "path", "port"}),
    "query": frozenset({"protocol", "host", "port", "path", "query"}),
}


def checked_actions(actions: Iterable[shapes.Action], load_balancer_type: str, listener_protocol: str) -> tuple[shapes.Action, ...]:
    """The actions in one form. Raises Validation, InvalidLoadBalancerAction or TooManyActions for what AWS refuses."""
    given = tuple(actions)
    if not given:
        raise Validation("An action must be specified")
    first, given = _before_the_last(given, listener_protocol)
    if len(given) > 1:
        raise TooManyActions("Exactly one action of type forward, redirect or fixed-response can be specified")
    action = given[0]
    if load_balancer_type == "network" and action.type != "forward":
        raise InvalidLoadBalancerAction(f"Actions of type '{action.type}' are not supported for network load balancers")
    _refuse_foreign_configuration(action)
    if action.type == "forward":
        return (*first, _forward(action, load_balancer_type))
    if action.type == "redirect":
        return (*first, _redirect(action, listener_protocol))
    return (*first, _fixed_response(action))


def _before_the_last(
    given: tuple[shapes.Action, ...], listener_protocol: str
) -> tuple[tuple[shapes.Action, ...], tuple[shapes.Action, ...]]:
    """(the action that asks who it is, if any, checked; the others)."""
    asking = [action for action in given if action.type in AUTHENTICATION_TYPES]
    for action in asking:
        _refuse_foreign_configuration(action)
    first = tuple(checked_authentication(action, listener_protocol) for action in asking)
    rest = tuple(action for action in given if action.type not in AUTHENTICATION_TYPES)
    if len(first) > 1:
        raise TooManyActions("At most one action that authenticates users or validates tokens can be specified")
    if not rest:
        raise InvalidLoadBalancerAction("An action of type forward, redirect or fixed-response must be specified, as the last one")
    if first:
        orders = [action.order for action in given]
        if None in orders or len(set(orders)) != len(orders):
            raise Validation("A different Order must be specified for each of several actions")
        if (asking[0].order or 0) > min(action.order or 0 for action in rest):
            raise InvalidLoadBalancerAction(f"The action of type '{rest[0].type}' must be the last one to be performed")
    return first, rest


def _refuse_foreign_configuration(action: shapes.Action) -> None:
    given = {
        "forward": action.forward_config or action.target_group_arn,
        "redirect": action.redirect_config,
        "fixed-response": action.fixed_response_config,
        "authenticate-oidc": action.authenticate_oidc_config,
        "authenticate-cognito": action.authenticate_cognito_config,
        "jwt-validation": action.jwt_validation_config,
    }
    for type, config in given.items():
        if config is not None and type != action.type:
            raise InvalidLoadBalancerAction(f"An action of type '{action.type}' cannot have the configuration of a {type} action")


def _forward(action: shapes.Action, load_balancer_type: str) -> shapes.Action:
    config = action.forward_config or shapes.ForwardActionConfig()
    groups = config.target_groups or ()
    if action.target_group_arn is not None:
        if len(groups) > 1 or any(group.target_group_arn != action.target_group_arn for group in groups):
            raise Validation("You cannot specify both a target group ARN and a forward configuration that names another target group")
        groups = groups or (shapes.TargetGroupTuple(target_group_arn=action.target_group_arn),)
    if not groups:
        raise Validation("A target group ARN must be specified")
    if len(groups) > TARGET_GROUPS_PER_ACTION:
        raise Validation(f"A forward action can have at most '{TARGET_GROUPS_PER_ACTION}' target groups")
    stickiness = config.target_group_stickiness_config
    if load_balancer_type == "network" and stickiness is not None and stickiness.enabled:
        raise InvalidLoadBalancerAction("Target group stickiness is not supported for network load balancers")
    arns = [group.target_group_arn or "" for group in groups]
    if "" in arns:
        raise Validation("A target group ARN must be specified")
    if len(set(arns)) != len(arns):
        raise Validation("Target groups in a forward action must be unique")
    weighted = tuple(shapes.TargetGroupTuple(target_group_arn=group.target_group_arn, weight=_weight(group.weight)) for group in groups)
    return shapes.Action(
        type="forward",
        target_group_arn=arns[0] if len(arns) == 1 else None,
        order=action.order,
        forward_config=shapes.ForwardActionConfig(
            target_groups=weighted, target_group_stickiness_config=_stickiness(config.target_group_stickiness_config)
        ),
    )


def _weight(weight: int | None) -> int:
    if weight is None:
        return 1
    if not 0 <= weight <= MOST_WEIGHT:
        raise Validation(f"Target group weight '{weight}' must be between 0 and {MOST_WEIGHT}")
    return weight


def _stickiness(config: shapes.TargetGroupStickinessConfig | None) -> shapes.TargetGroupStickinessConfig:
    if config is None or not config.enabled:
        return shapes.TargetGroupStickinessConfig(enabled=False)
    if config.duration_seconds is None or not 1 <= config.duration_seconds <= MOST_STICKINESS_SECONDS:
        raise Validation(f"Target group stickiness duration must be between 1 and {MOST_STICKINESS_SECONDS} seconds")
    return shapes.TargetGroupStickinessConfig(enabled=True, duration_seconds=config.duration_seconds)


def _redirect(action: shapes.Action, listener_protocol: str) -> shapes.Action:
    given = action.redirect_config
    if given is None:
        raise InvalidLoadBalancerAction("A RedirectConfig must be specified for an action of type 'redirect'")
    config = shapes.RedirectActionConfig(
        protocol=given.protocol or "#{protocol}",
        port=given.port or "#{port}",
        host=given.host or "#{host}",
        path=given.path or "/#{path}",
        query="#{query}" if given.query is None else given.query,
        status_code=given.status_code,
    )
    _check_port(config.port or "")
    for component, text in (("host", config.host), ("path", config.path), ("query", config.query)):
        _check_component(component, text or "")
    if not (config.path or "").startswith("/"):
        raise InvalidLoadBalancerAction("The Path parameter must be a valid path, should start with a '/'")
    if (config.query or "").startswith("?"):
        raise InvalidLoadBalancerAction("The Query parameter must not begin with a '?'")
    unchanged = msgspec.structs.replace(config, query=None, status_code="HTTP_301") == shapes.RedirectActionConfig(
        protocol="#{protocol}", port="#{port}", host="#{host}", path="/#{path}", status_code="HTTP_301"
    )
    if unchanged:
        raise InvalidLoadBalancerAction("The RedirectConfig is not valid because it creates a redirection loop")
    if listener_protocol == "HTTPS" and config.protocol == "HTTP":
        raise InvalidLoadBalancerAction("The RedirectConfig cannot redirect HTTPS to HTTP")
    return shapes.Action(type="redirect", order=action.order or 1, redirect_config=config)


def _check_port(port: str) -> None:
    if port == "#{port}":
        return
    if not (port.isascii() and port.isdecimal() and len(port) <= 5 and 1 <= int(port) <= 65535):
        raise InvalidLoadBalancerAction(f"The Port parameter '{port}' must be a number between 1 and 65535 or '#{{port}}'")


def _check_component(component: str, text: str) -> None:
    if not _URI_TEXT.fullmatch(text):
        raise InvalidLoadBalancerAction(f"The {component.capitalize()} parameter contains a character that is not valid")
    for match in _PLACEHOLDER.finditer(text):
        if match[1] not in _PLACEHOLDERS[component] or not match[0].endswith("}"):
            raise InvalidLoadBalancerAction(f"The {component.capitalize()} parameter contains the unsupported keyword '{match[0]}'")


def _fixed_response(action: shapes.Action) -> shapes.Action:
    given = action.fixed_response_config
    if given is None:
        raise InvalidLoadBalancerAction("A FixedResponseConfig must be specified for an action of type 'fixed-response'")
    content_type = given.content_type or "text/plain"
    if content_type not in CONTENT_TYPES:
        raise InvalidLoadBalancerAction(f"The ContentType must be one of: '{', '.join(CONTENT_TYPES)}'")
    if given.message_body and _CONTROL.search(given.message_body):
        raise InvalidLoadBalancerAction("The MessageBody contains a control character")
    return shapes.Action(
        type="fixed-response",
        order=action.order or 1,
        fixed_response_config=shapes.FixedResponseActionConfig(
            message_body=given.message_body, status_code=given.status_code, content_type=content_type
        ),
    )
