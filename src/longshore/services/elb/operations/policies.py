"""Policies: made for a load balancer, and given to its listeners and to ports of its instances."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elb as shapes
from longshore.services.call import Call
from longshore.services.elb import permissions, views
from longshore.services.elb.api import api
from longshore.services.elb.changes import change
from longshore.services.elb.errors import ListenerNotFound, PolicyNotFound, PolicyTypeNotFound
from longshore.services.elb.lookup import find_load_balancer, load_balancer_arn
from longshore.services.elb.model import Backend, ClassicLoadBalancer, Policy
from longshore.services.elb.policies import adopting, for_backend, for_listener, with_policy, without_policy
from longshore.services.elb.policy_types import (
    APP_COOKIE,
    COOKIE_EXPIRATION,
    COOKIE_NAME,
    LB_COOKIE,
    POLICY_TYPES,
    REFERENCE,
    SSL_NEGOTIATION,
)
from longshore.services.elb.ssl_negotiation import PREDEFINED, SAMPLES
from longshore.store.base import Reader

_Named = (
    shapes.CreateAppCookieStickinessPolicyInput
    | shapes.CreateLBCookieStickinessPolicyInput
    | shapes.CreateLoadBalancerPolicyInput
    | shapes.DeleteLoadBalancerPolicyInput
    | shapes.SetLoadBalancerPoliciesOfListenerInput
    | shapes.SetLoadBalancerPoliciesForBackendServerInput
)


def _named(call: Call, request: _Named) -> Iterable[str]:
    return (load_balancer_arn(call, request.load_balancer_name),)


async def _create(call: Call, load_balancer: str, name: str, type: str, attributes: Iterable[tuple[str, str]]) -> None:
    given = tuple(attributes)
    await change(call, load_balancer, lambda reader, lb: replace(lb, policies=with_policy(lb, name, type, given)))


@api.operation("CreateAppCookieStickinessPolicy", resource=_named)
async def create_app_cookie_stickiness_policy(
    call: Call, request: shapes.CreateAppCookieStickinessPolicyInput
) -> shapes.CreateAppCookieStickinessPolicyOutput:
    await _create(call, request.load_balancer_name, request.policy_name, APP_COOKIE, [(COOKIE_NAME, request.cookie_name)])
    return shapes.CreateAppCookieStickinessPolicyOutput()


@api.operation("CreateLBCookieStickinessPolicy", resource=_named)
async def create_lb_cookie_stickiness_policy(
    call: Call, request: shapes.CreateLBCookieStickinessPolicyInput
) -> shapes.CreateLBCookieStickinessPolicyOutput:
    period = request.cookie_expiration_period
    attributes = [(COOKIE_EXPIRATION, str(period))] if period else []
    await _create(call, request.load_balancer_name, request.policy_name, LB_COOKIE, attributes)
    return shapes.CreateLBCookieStickinessPolicyOutput()


@api.operation("CreateLoadBalancerPolicy", resource=_named, conditions=permissions.new_policy)
async def create_load_balancer_policy(call: Call, request: shapes.CreateLoadBalancerPolicyInput) -> shapes.CreateLoadBalancerPolicyOutput:
    attributes = [(one.attribute_name or "", one.attribute_value or "") for one in request.policy_attributes or ()]
    await _create(call, request.load_balancer_name, request.policy_name, request.policy_type_name, attributes)
    return shapes.CreateLoadBalancerPolicyOutput()


@api.operation("DeleteLoadBalancerPolicy", resource=_named)
async def delete_load_balancer_policy(call: Call, request: shapes.DeleteLoadBalancerPolicyInput) -> shapes.DeleteLoadBalancerPolicyOutput:
    await change(call, request.load_balancer_name, lambda reader, lb: replace(lb, policies=without_policy(lb, request.policy_name)))
    return shapes.DeleteLoadBalancerPolicyOutput()


@api.operation("SetLoadBalancerPoliciesOfListener", resource=_named, conditions=permissions.policies_of_listener)
async def set_load_balancer_policies_of_listener(
    call: Call, request: shapes.SetLoadBalancerPoliciesOfListenerInput
) -> shapes.SetLoadBalancerPoliciesOfListenerOutput:
    def set_policies(reader: Reader, lb: ClassicLoadBalancer) -> ClassicLoadBalancer:
        listener = lb.listener(request.load_balancer_port)
        if listener is None:
            raise ListenerNotFound(f"There is no listener on port {request.load_balancer_port} for load balancer {lb.name}")
        names = for_listener(lb, listener, request.policy_names)
        changed = replace(listener, policies=names)
        return replace(
            lb,
            listeners=tuple(changed if one.port == listener.port else one for one in lb.listeners),
            policies=adopting(lb, names),
        )

    await change(call, request.load_balancer_name, set_policies)
    return shapes.SetLoadBalancerPoliciesOfListenerOutput()


@api.operation("SetLoadBalancerPoliciesForBackendServer", resource=_named)
async def set_load_balancer_policies_for_backend_server(
    call: Call, request: shapes.SetLoadBalancerPoliciesForBackendServerInput
) -> shapes.SetLoadBalancerPoliciesForBackendServerOutput:
    def set_policies(reader: Reader, lb: ClassicLoadBalancer) -> ClassicLoadBalancer:
        names = for_backend(lb, request.instance_port, request.policy_names)
        others = [backend for backend in lb.backends if backend.instance_port != request.instance_port]
        mine = [Backend(request.instance_port, names)] if names else []
        return replace(lb, backends=tuple(sorted((*others, *mine), key=lambda backend: backend.instance_port)))

    await change(call, request.load_balancer_name, set_policies)
    return shapes.SetLoadBalancerPoliciesForBackendServerOutput()


@api.operation("DescribeLoadBalancerPolicies", resource=ANY_RESOURCE)
async def describe_load_balancer_policies(
    call: Call, request: shapes.DescribeLoadBalancerPoliciesInput
) -> shapes.DescribeLoadBalancerPoliciesOutput:
    if request.load_balancer_name is None:
        known = _samples()
    else:
        known = {policy.name: policy for policy in find_load_balancer(call.store, call, request.load_balancer_name).policies}
    names = request.policy_names or tuple(known)
    for name in names:
        if name not in known:
            raise PolicyNotFound(f"There is no policy with name {name[:255]}")
    return shapes.DescribeLoadBalancerPoliciesOutput(policy_descriptions=tuple(views.policy(known[name]) for name in names))


def _samples() -> dict[str, Policy]:
    """What may be looked at without a load balancer: AWS's security policies, and sample policies."""
    found = {name: Policy(name, SSL_NEGOTIATION, ((REFERENCE, name),)) for name in PREDEFINED}
    return found | {name: Policy(name, SSL_NEGOTIATION, sample.attributes()) for name, sample in SAMPLES.items()}


@api.operation("DescribeLoadBalancerPolicyTypes", resource=ANY_RESOURCE)
async def describe_load_balancer_policy_types(
    call: Call, request: shapes.DescribeLoadBalancerPolicyTypesInput
) -> shapes.DescribeLoadBalancerPolicyTypesOutput:
    names = request.policy_type_names or tuple(POLICY_TYPES)
    for name in names:
        if name not in POLICY_TYPES:
            raise PolicyTypeNotFound(f"Policy type '{name[:255]}' not found")
    return shapes.DescribeLoadBalancerPolicyTypesOutput(
        policy_type_descriptions=tuple(views.policy_type(POLICY_TYPES[name]) for name in names)
    )
