"""Listeners: a port of a load balancer, and what happens to requests that no rule claims."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elbv2 as shapes
from longshore.services.call import Call
from longshore.services.elbv2 import views
from longshore.services.elbv2.actions import checked_actions
from longshore.services.elbv2.api import api
from longshore.services.elbv2.authentication import TYPES as AUTHENTICATION_TYPES
from longshore.services.elbv2.client_secrets import sealed_actions
from longshore.services.elbv2.errors import (
    DuplicateListener,
    InvalidLoadBalancerAction,
    TooManyListeners,
    UnsupportedProtocol,
    Validation,
)
from longshore.services.elbv2.forwarding import check_forwarding
from longshore.services.elbv2.listener_attributes import kept_for
from longshore.services.elbv2.lookup import find_listener, find_load_balancer, load_balancer_of
from longshore.services.elbv2.model import LISTENERS, RULES, Listener, LoadBalancer, target_groups_of
from longshore.services.elbv2.names import listener_arn
from longshore.services.elbv2.paging import page_of
from longshore.services.elbv2.permissions import listener_conditions, tagging
from longshore.services.elbv2.quotas import LISTENERS_PER_LOAD_BALANCER
from longshore.services.elbv2.registration import check_not_a_target, release
from longshore.services.elbv2.tagging import merged
from longshore.services.elbv2.tls import with_tls
from longshore.store.base import Reader, Tx

#: load balancer type -> protocols its listeners may have on AWS
_PROTOCOLS = {
    "application": ("HTTP", "HTTPS"),
    "network": ("TCP", "TLS", "UDP", "TCP_UDP", "QUIC", "TCP_QUIC"),
}
#: those that the data plane cannot carry
_NOT_SERVED = frozenset({"UDP", "TCP_UDP", "QUIC", "TCP_QUIC"})


def _of_load_balancer(call: Call, request: shapes.CreateListenerInput) -> Iterable[str]:
    return (request.load_balancer_arn,)


def _named(call: Call, request: shapes.ModifyListenerInput | shapes.DeleteListenerInput) -> Iterable[str]:
    return (request.listener_arn,)


def _tagging(call: Call, request: shapes.CreateListenerInput) -> Iterable[tuple[str, str]]:
    return tagging(request.tags, (listener_arn(request.load_balancer_arn, "*"),))


@api.operation("CreateListener", resource=_of_load_balancer, conditions=listener_conditions, also=_tagging)
async def create_listener(call: Call, request: shapes.CreateListenerInput) -> shapes.CreateListenerOutput:
    if request.protocol is None:
        raise Validation("A listener protocol must be specified")
    if request.port is None:
        raise Validation("A listener port must be specified")
    protocol, port = request.protocol, request.port
    tags = merged((), request.tags)
    identifier = call.ids.hex(16)

    def create(tx: Tx) -> Listener:
        lb = find_load_balancer(tx, call, request.load_balancer_arn)
        _check_protocol(lb, protocol)
        known = _on_port(tx, lb, port)
        actions = checked_actions(request.default_actions, lb.type, protocol)
        asked = Listener(
            arn=listener_arn(lb.arn, identifier),
            load_balancer_arn=lb.arn,
            port=port,
            protocol=protocol,
            default_actions=sealed_actions(actions, known.default_actions if known else (), call.secret_for_signing),
            tags=tags,
        )
        asked = with_tls(tx, call, asked, request, lb.type)
        check_forwarding(tx, call, lb, protocol, asked.default_actions)
        if known is not None:
            if _same(known, asked):
                return known
            raise DuplicateListener(f"A listener already exists on this port for this load balancer '{lb.arn}'")
        if tx.count(LISTENERS, "load_balancer", lb.arn) >= LISTENERS_PER_LOAD_BALANCER:
            raise TooManyListeners
        return tx.create(LISTENERS, asked)

    created = await call.store.transact(create)
    return shapes.CreateListenerOutput(listeners=(views.listener(created),))


def _same(known: Listener, asked: Listener) -> bool:
    """Asking again for what is there already succeeds; certificates that were added since do not count."""
    settings = ("protocol", "default_actions", "tags", "ssl_policy", "alpn_policy", "mutual_authentication")
    same_default = known.certificates[:1] == asked.certificates[:1]
    return same_default and all(getattr(known, name) == getattr(asked, name) for name in settings)


def _on_port(reader: Reader, lb: LoadBalancer, port: int) -> Listener | None:
    return next(iter(reader.list(LISTENERS, "port", f"{lb.arn}|{port}")), None)


def _check_protocol(lb: LoadBalancer, protocol: str) -> None:
    """Refuses protocols that this type of load balancer does not have, or that are not served."""
    if protocol not in _PROTOCOLS[lb.type]:
        raise Validation(f"Protocol '{protocol}' must be one of '{', '.join(_PROTOCOLS[lb.type])}'")
    if protocol in _NOT_SERVED:
        raise UnsupportedProtocol(f"Listeners with the protocol '{protocol}' are not served")


@api.operation("DescribeListeners", resource=ANY_RESOURCE)
async def describe_listeners(call: Call, request: shapes.DescribeListenersInput) -> shapes.DescribeListenersOutput:
    store = call.store
    if request.listener_arns and request.load_balancer_arn:
        raise Validation("You cannot specify both listener ARNs and a load balancer ARN")
    if request.listener_arns:
        found = [find_listener(store, call, arn) for arn in dict.fromkeys(request.listener_arns)]
        return shapes.DescribeListenersOutput(listeners=tuple(views.listener(listener) for listener in found))
    if not request.load_balancer_arn:
        raise Validation("You must specify either listener ARNs or a load balancer ARN")
    lb = find_load_balancer(store, call, request.load_balancer_arn)
    page, next_marker = page_of(
        store.list(LISTENERS, "load_balancer", lb.arn), lambda listener: listener.arn, request.marker, request.page_size
    )
    return shapes.DescribeListenersOutput(listeners=tuple(views.listener(listener) for listener in page), next_marker=next_marker)


@api.operation("ModifyListener", resource=_named, conditions=listener_conditions)
async def modify_listener(call: Call, request: shapes.ModifyListenerInput) -> shapes.ModifyListenerOutput:
    now = call.clock.now()

    def change(tx: Tx) -> Listener:
        listener = find_listener(tx, call, request.listener_arn)
        lb = load_balancer_of(tx, listener)
        protocol = request.protocol or listener.protocol
        _check_protocol(lb, protocol)
        port = request.port or listener.port
        if port != listener.port and _on_port(tx, lb, port) is not None:
            raise DuplicateListener(f"A listener already exists on this port for this load balancer '{lb.arn}'")
        if port != listener.port:
            check_not_a_target(tx, lb.arn, listener.port)
        actions = listener.default_actions
        if request.default_actions is not None:
            actions = checked_actions(request.default_actions, lb.type, protocol)
            actions = sealed_actions(actions, listener.default_actions, call.secret_for_signing)
        check_forwarding(tx, call, lb, protocol, actions)
        if protocol != listener.protocol:
            _check_kept_actions(tx, listener, protocol, actions)
        attributes = kept_for(protocol, listener.attributes)
        changed = msgspec.structs.replace(listener, port=port, protocol=protocol, default_actions=actions, attributes=attributes)
        changed = with_tls(tx, call, changed, request, lb.type)
        tx.put(LISTENERS, changed)
        release(tx, target_groups_of(listener.default_actions), now)
        return changed

    changed = await call.store.transact(change)
    return shapes.ModifyListenerOutput(listeners=(views.listener(changed),))


def _check_kept_actions(reader: Reader, listener: Listener, protocol: str, default_actions: Iterable[shapes.Action]) -> None:
    """What was checked with another protocol must do with the new one. Raises InvalidLoadBalancerAction."""
    of_rules = (action for rule in reader.list(RULES, "listener", listener.arn) for action in rule.actions)
    for action in (*default_actions, *of_rules):
        if protocol != "HTTPS" and action.type in AUTHENTICATION_TYPES:
            raise InvalidLoadBalancerAction(f"Actions of type '{action.type}' are supported only on HTTPS listeners")
        if protocol == "HTTPS" and action.redirect_config is not None and action.redirect_config.protocol == "HTTP":
            raise InvalidLoadBalancerAction("The RedirectConfig cannot redirect HTTPS to HTTP")


@api.operation("DeleteListener", resource=_named)
async def delete_listener(call: Call, request: shapes.DeleteListenerInput) -> shapes.DeleteListenerOutput:
    now = call.clock.now()

    def delete(tx: Tx) -> None:
        listener = find_listener(tx, call, request.listener_arn)
        check_not_a_target(tx, listener.load_balancer_arn, listener.port)
        groups = dict.fromkeys(target_groups_of(listener.default_actions))
        for rule in tx.list(RULES, "listener", listener.arn):
            groups.update(dict.fromkeys(target_groups_of(rule.actions)))
            tx.delete(RULES, rule.arn)
        tx.delete(LISTENERS, listener.arn)
        release(tx, groups, now)

    await call.store.transact(delete)
    return shapes.DeleteListenerOutput()
