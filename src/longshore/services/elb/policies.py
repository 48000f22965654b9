"""Policies of Classic load balancers: checked when they are made, and when a listener or a port of the instances gets them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from longshore.services.elb.errors import (
    DuplicatePolicyName,
    InvalidConfigurationRequest,
    PolicyNotFound,
    PolicyTypeNotFound,
    TooManyPolicies,
    Validation,
)
from longshore.services.elb.lookup import POLICIES_PER_LOAD_BALANCER
from longshore.services.elb.model import ClassicLoadBalancer, Listener, Policy
from longshore.services.elb.policy_types import (
    APP_COOKIE,
    BACKEND_AUTHENTICATION,
    COOKIE_EXPIRATION,
    COOKIE_NAME,
    LB_COOKIE,
    POLICY_TYPES,
    PROXY_PROTOCOL,
    PUBLIC_KEY,
    REFERENCE,
    SSL_NEGOTIATION,
    AttributeType,
)
from longshore.services.elb.ssl_negotiation import GONE, PREDEFINED, negotiation_of

_NAME = re.compile(r"[A-Za-z0-9.-]{1,255}")
_COOKIE_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,255}")
_MOST_SECONDS = 2**53
_MOST_ATTRIBUTE_LENGTH = 4096


def with_policy(lb: ClassicLoadBalancer, name: str, type: str, attributes: Iterable[tuple[str, str]]) -> tuple[Policy, ...]:
    """The load balancer's policies and this one. Raises what is wrong with it."""
    if not _NAME.fullmatch(name):
        raise Validation("PolicyName must consist of alphanumeric characters and dashes (-)")
    known = lb.policy(name)
    if known is not None or name in PREDEFINED:
        raise DuplicatePolicyName(f"There is already a policy with name {name} for load balancer {lb.name}")
    if len(lb.policies) >= POLICIES_PER_LOAD_BALANCER:
        raise TooManyPolicies
    policy = Policy(name, type, tuple(attributes))
    _check_attributes(policy)
    _check_meaning(lb, policy)
    return (*lb.policies, policy)


def _check_attributes(policy: Policy) -> None:
    kind = POLICY_TYPES.get(policy.type)
    if kind is None:
        raise PolicyTypeNotFound(f"Policy type '{policy.type[:255]}' not found")
    counts: dict[str, int] = {}
    for name, value in policy.attributes:
        attribute = kind.attribute(name)
        if attribute is None:
            raise InvalidConfigurationRequest(f"Policy attribute '{name[:255]}' is not recognized for policy type '{kind.name}'")
        counts[name] = counts.get(name, 0) + 1
        _check_value(attribute, value)
    for attribute in kind.attributes:
        count = counts.get(attribute.name, 0)
        if count == 0 and attribute.cardinality in ("ONE", "ONE_OR_MORE"):
            raise InvalidConfigurationRequest(f"Policy attribute '{attribute.name}' is required for policy type '{kind.name}'")
        if count > 1 and attribute.cardinality in ("ONE", "ZERO_OR_ONE"):
            raise InvalidConfigurationRequest(f"Policy attribute '{attribute.name}' cannot be specified more than once")


def _check_value(attribute: AttributeType, value: str) -> None:
    if len(value) > _MOST_ATTRIBUTE_LENGTH:
        raise InvalidConfigurationRequest(f"The value of policy attribute '{attribute.name}' is too long")
    if attribute.type == "Boolean" and value.lower() not in ("true", "false"):
        raise InvalidConfigurationRequest(f"The value of policy attribute '{attribute.name}' must be true or false")
    if attribute.type == "Long" and not (value.isascii() and value.isdecimal() and len(value) <= 16 and int(value) <= _MOST_SECONDS):
        raise InvalidConfigurationRequest(f"The value of policy attribute '{attribute.name}' must be a number that is not negative")


def _check_meaning(lb: ClassicLoadBalancer, policy: Policy) -> None:
    """What the attributes' types do not say."""
    if policy.type == APP_COOKIE and not _COOKIE_NAME.fullmatch(policy.value(COOKIE_NAME)):
        raise InvalidConfigurationRequest("CookieName must be the name of a cookie")
    if policy.type == APP_COOKIE and policy.value(COOKIE_NAME).upper() in ("AWSELB", "AWSELBCORS"):
        raise InvalidConfigurationRequest("CookieName must not be AWSELB, which is the load balancer's own")
    if policy.type == LB_COOKIE and policy.value(COOKIE_EXPIRATION) == "0":
        raise Validation("CookieExpirationPeriod must be positive; leave it out for sessions of the browser's")
    if policy.type == BACKEND_AUTHENTICATION:
        for _, name in policy.attributes:
            named = lb.policy(name)
            if named is None:
                raise PolicyNotFound(f"There is no policy with name {name} for load balancer {lb.name}")
            if named.type != PUBLIC_KEY:
                raise InvalidConfigurationRequest(f"Policy {name} is not of type {PUBLIC_KEY}")
    if policy.type == SSL_NEGOTIATION:
        _check_negotiation(policy)


def _check_negotiation(policy: Policy) -> None:
    reference = policy.value(REFERENCE)
    if reference and len(policy.attributes) > 1:
        raise InvalidConfigurationRequest(f"{REFERENCE} cannot be specified together with other attributes")
    found = negotiation_of(policy.attributes)
    if found is None:
        raise InvalidConfigurationRequest(f"The specified {REFERENCE} '{reference[:255]}' does not exist")
    if not found.protocols or not found.ciphers:
        raise InvalidConfigurationRequest("An SSL negotiation policy must enable at least one protocol and at least one cipher")
    if set(found.ciphers) <= GONE:
        raise InvalidConfigurationRequest(f"None of the policy's ciphers is served: OpenSSL 3 has no {', '.join(found.ciphers)}")
    if found.protocols == ("Protocol-SSLv3",):
        raise InvalidConfigurationRequest("Protocol-SSLv3 alone is not served: nothing here speaks it any more. Enable a version of TLS")


# ── what has them ───────────────────────────────────────────────────────────────────────────────────────────────────


def for_listener(lb: ClassicLoadBalancer, listener: Listener, names: tuple[str, ...]) -> tuple[str, ...]:
    """The policies of a listener, checked against it and each other."""
    found = [_named(lb, name) for name in dict.fromkeys(names)]
    for policy in found:
        if policy.type in (LB_COOKIE, APP_COOKIE) and not listener.is_http:
            raise InvalidConfigurationRequest(
                f"Cannot create policy {policy.name}: session stickiness requires an HTTP or HTTPS listener, and the listener on port "
                f"{listener.port} is {listener.protocol}"
            )
        if policy.type == SSL_NEGOTIATION and not listener.is_secure:
            raise InvalidConfigurationRequest(f"Policy {policy.name} can be associated only with HTTPS and SSL listeners")
        if policy.type not in (LB_COOKIE, APP_COOKIE, SSL_NEGOTIATION):
            raise InvalidConfigurationRequest(f"Policy {policy.name} of type {policy.type} cannot be associated with a listener")
    if sum(policy.type in (LB_COOKIE, APP_COOKIE) for policy in found) > 1:
        raise InvalidConfigurationRequest("Only one cookie stickiness policy can be set on a listener")
    if sum(policy.type == SSL_NEGOTIATION for policy in found) > 1:
        raise InvalidConfigurationRequest("Only one SSL negotiation policy can be set on a listener")
    return tuple(policy.name for policy in found)


def for_backend(lb: ClassicLoadBalancer, instance_port: int, names: tuple[str, ...]) -> tuple[str, ...]:
    """The policies of a port of the instances."""
    listeners = [listener for listener in lb.listeners if listener.instance_port == instance_port]
    if not listeners:
        raise InvalidConfigurationRequest(f"There is no listener of load balancer {lb.name} for the instance port {instance_port}")
    found = [_named(lb, name) for name in dict.fromkeys(names)]
    for policy in found:
        if policy.type == BACKEND_AUTHENTICATION:
            raise InvalidConfigurationRequest(
                f"Policy {policy.name}: authentication of back-end servers is not served. HAProxy verifies certificates against "
                "authorities, and not against public keys"
            )
        if policy.type != PROXY_PROTOCOL:
            raise InvalidConfigurationRequest(f"Policy {policy.name} of type {policy.type} cannot be associated with an instance port")
        if any(listener.is_http for listener in listeners):
            raise InvalidConfigurationRequest(f"Policy {policy.name} can be associated only with instance ports of TCP and SSL listeners")
    return tuple(policy.name for policy in found)


def _named(lb: ClassicLoadBalancer, name: str) -> Policy:
    found = lb.policy(name)
    if found is not None:
        return found
    if name in PREDEFINED:
        return predefined(name)
    raise PolicyNotFound(f"There is no policy with name {name[:255]} for load balancer {lb.name}")


def predefined(name: str) -> Policy:
    """One of AWS's security policies as a policy of the load balancer that uses it."""
    return Policy(name, SSL_NEGOTIATION, ((REFERENCE, name),))


def adopting(lb: ClassicLoadBalancer, names: Iterable[str]) -> tuple[Policy, ...]:
    """The load balancer's policies and those of AWS's among `names` that it has not yet."""
    new = [predefined(name) for name in dict.fromkeys(names) if name in PREDEFINED and lb.policy(name) is None]
    return (*lb.policies, *new)


def without_policy(lb: ClassicLoadBalancer, name: str) -> tuple[Policy, ...]:
    """Raises InvalidConfigurationRequest for one that something has; one that is not there is as good as deleted."""
    users = [f"the listener on port {listener.port}" for listener in lb.listeners if name in listener.policies]
    users += [f"the instance port {backend.instance_port}" for backend in lb.backends if name in backend.policies]
    users += [
        f"policy {policy.name}"
        for policy in lb.policies
        if policy.type == BACKEND_AUTHENTICATION and any(value == name for _, value in policy.attributes)
    ]
    if users:
        raise InvalidConfigurationRequest(f"Policy {name} cannot be deleted while it is in use by {users[0]}")
    return tuple(policy for policy in lb.policies if policy.name != name)


def stickiness_of(lb: ClassicLoadBalancer, listener: Listener) -> Policy | None:
    found = (lb.policy(name) for name in listener.policies)
    return next((policy for policy in found if policy is not None and policy.type in (LB_COOKIE, APP_COOKIE)), None)


def negotiation_policy_of(lb: ClassicLoadBalancer, listener: Listener) -> Policy | None:
    found = (lb.policy(name) for name in listener.policies)
    return next((policy for policy in found if policy is not None and policy.type == SSL_NEGOTIATION), None)


def sends_proxy_protocol(lb: ClassicLoadBalancer, instance_port: int) -> bool:
    found = (lb.policy(name) for name in lb.backend_policies(instance_port))
    return any(policy is not None and policy.type == PROXY_PROTOCOL and policy.value("ProxyProtocol").lower() == "true" for policy in found)
