"""What policies may ask about requests for Classic load balancers, by AWS's keys.

aws:RequestTag/KEY and aws:TagKeys, and elasticloadbalancing's CreateAction, ListenerProtocol, SecurityPolicy, Scheme, Subnet and
SecurityGroup; the tags of what a request names are the same for all kinds of load balancers. Whoever creates one with tags needs
the right to AddTags, too.
"""

from __future__ import annotations

from collections.abc import Iterable

from longshore.aws.shapes import elb as shapes
from longshore.services.call import Call
from longshore.services.elb.lookup import SERVICE, load_balancer_arn
from longshore.services.elb.policy_types import REFERENCE
from longshore.services.elb.ssl_negotiation import DEFAULT, PREDEFINED

_SECURE = ("HTTPS", "SSL")


def asked_tags(tags: Iterable[shapes.Tag] | None, action: str = "") -> dict[str, list[str]]:
    """Of a request that brings tags; `action` is what it creates with them, empty where it only tags."""
    given = tuple(tags or ())
    found = {f"aws:requesttag/{tag.key.lower()}": [tag.value or ""] for tag in given}
    if given:
        found["aws:tagkeys"] = [tag.key for tag in given]
        if action:
            found[f"{SERVICE}:createaction"] = [action]
    return found


def creation(call: Call, request: shapes.CreateAccessPointInput) -> dict[str, list[str]]:
    found = asked_tags(request.tags, "CreateLoadBalancer") | _of_listeners(request.listeners)
    found[f"{SERVICE}:scheme"] = [request.scheme or "internet-facing"]
    if request.subnets:
        found[f"{SERVICE}:subnet"] = list(request.subnets)
    if request.security_groups:
        found[f"{SERVICE}:securitygroup"] = list(request.security_groups)
    return found


def tagging(call: Call, request: shapes.CreateAccessPointInput) -> list[tuple[str, str]]:
    """The right that a request needs beside its own when it creates something with tags."""
    return [(f"{SERVICE}:AddTags", load_balancer_arn(call, request.load_balancer_name))] if request.tags else []


def listeners(call: Call, request: shapes.CreateLoadBalancerListenerInput) -> dict[str, list[str]]:
    return _of_listeners(request.listeners)


def _of_listeners(given: Iterable[shapes.Listener]) -> dict[str, list[str]]:
    protocols = list(dict.fromkeys(listener.protocol.upper() for listener in given))
    found = {f"{SERVICE}:listenerprotocol": protocols} if protocols else {}
    if any(protocol in _SECURE for protocol in protocols):
        found[f"{SERVICE}:securitypolicy"] = [DEFAULT]
    return found


def new_policy(call: Call, request: shapes.CreateLoadBalancerPolicyInput) -> dict[str, list[str]]:
    referred = [one.attribute_value or "" for one in request.policy_attributes or () if one.attribute_name == REFERENCE]
    return {f"{SERVICE}:securitypolicy": referred} if referred else {}


def policies_of_listener(call: Call, request: shapes.SetLoadBalancerPoliciesOfListenerInput) -> dict[str, list[str]]:
    named = [name for name in request.policy_names if name in PREDEFINED]
    return {f"{SERVICE}:securitypolicy": named} if named else {}


def subnets(call: Call, request: shapes.AttachLoadBalancerToSubnetsInput) -> dict[str, list[str]]:
    return {f"{SERVICE}:subnet": list(request.subnets)} if request.subnets else {}


def security_groups(call: Call, request: shapes.ApplySecurityGroupsToLoadBalancerInput) -> dict[str, list[str]]:
    return {f"{SERVICE}:securitygroup": list(request.security_groups)} if request.security_groups else {}
