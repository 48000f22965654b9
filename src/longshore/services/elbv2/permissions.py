"""What policies may ask about load balancing: the tags of what an ARN names, and what a request brings or would lead to.

Keys are AWS's: aws:ResourceTag/KEY and elasticloadbalancing:ResourceTag/KEY, aws:RequestTag/KEY, aws:TagKeys, and
elasticloadbalancing's CreateAction, ListenerProtocol, SecurityPolicy, Scheme, Subnet and SecurityGroup. Whoever creates something
with tags needs the right to AddTags, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from longshore.aws.arn import parse_arn
from longshore.aws.shapes import elbv2 as shapes
from longshore.kit.resource import Kind
from longshore.services.call import Call
from longshore.services.elb.model import CLASSIC_LOAD_BALANCERS
from longshore.services.elbv2.model import LISTENERS, LOAD_BALANCERS, RULES, TARGET_GROUPS, TRUST_STORES
from longshore.services.elbv2.names import SERVICE
from longshore.services.elbv2.ssl_policies import DEFAULT
from longshore.services.elbv2.tls import SECURE
from longshore.store.base import Reader

_KINDS: Mapping[str, Kind[Any]] = {
    "loadbalancer": LOAD_BALANCERS,
    "targetgroup": TARGET_GROUPS,
    "listener": LISTENERS,
    "listener-rule": RULES,
    "truststore": TRUST_STORES,
}
_Tags = Iterable[shapes.Tag] | None


def resource_conditions(reader: Reader, arn: str) -> Mapping[str, Sequence[str]]:
    """Tags of what an ARN names, a Classic load balancer included; nothing for what is not there."""
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != SERVICE:
        return {}
    kind = _KINDS.get(parsed.resource_type)
    found: Any = reader.get(CLASSIC_LOAD_BALANCERS, arn) if parsed.resource_type == "loadbalancer" else None
    if found is None and kind is not None:
        found = reader.get(kind, arn)
    tags = found.tags if found is not None else ()
    return {f"{prefix}:resourcetag/{tag.key.lower()}": [tag.value] for tag in tags for prefix in ("aws", SERVICE)}


def asked_tags(action: str, tags: _Tags) -> dict[str, list[str]]:
    """Of a request that brings tags; `action` is what it creates with them, empty where it only tags."""
    given = tuple(tags or ())
    found = {f"aws:requesttag/{tag.key.lower()}": [tag.value or ""] for tag in given}
    if given:
        found["aws:tagkeys"] = [tag.key for tag in given]
        if action:
            found[f"{SERVICE}:createaction"] = [action]
    return found


def tagging(tags: _Tags, arns: Iterable[str]) -> list[tuple[str, str]]:
    """The right that a request needs beside its own when it creates something with tags."""
    return [(f"{SERVICE}:AddTags", arn) for arn in arns] if tags else []


def listener_conditions(call: Call, request: shapes.CreateListenerInput | shapes.ModifyListenerInput) -> dict[str, list[str]]:
    """The protocol and the security policy that the listener would have, whether the request says so or not."""
    known = call.store.get(LISTENERS, request.listener_arn) if isinstance(request, shapes.ModifyListenerInput) else None
    protocol = request.protocol or (known.protocol if known is not None else None)
    found = {f"{SERVICE}:listenerprotocol": [protocol]} if protocol else {}
    if protocol in SECURE:
        found[f"{SERVICE}:securitypolicy"] = [request.ssl_policy or (known.ssl_policy if known is not None else "") or DEFAULT]
    if isinstance(request, shapes.CreateListenerInput):
        found |= asked_tags("CreateListener", request.tags)
    return found


def load_balancer_conditions(call: Call, request: shapes.CreateLoadBalancerInput) -> dict[str, list[str]]:
    subnets = request.subnets or [mapping.subnet_id or "" for mapping in request.subnet_mappings or ()]
    found = asked_tags("CreateLoadBalancer", request.tags)
    found[f"{SERVICE}:scheme"] = [request.scheme or "internet-facing"]
    if subnets:
        found[f"{SERVICE}:subnet"] = list(subnets)
    if request.security_groups:
        found[f"{SERVICE}:securitygroup"] = list(request.security_groups)
    return found
