"""Tags on load balancers, target groups, listeners, rules and trust stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from longshore.aws.arn import parse_arn
from longshore.aws.operation import ANY_RESOURCE
from longshore.aws.shapes import elbv2 as shapes
from longshore.kit.resource import Kind
from longshore.services.call import Call
from longshore.services.elbv2 import views
from longshore.services.elbv2.api import api
from longshore.services.elbv2.errors import Validation
from longshore.services.elbv2.lookup import find_listener, find_load_balancer, find_rule, find_target_group, find_trust_store
from longshore.services.elbv2.model import (
    LISTENERS,
    LOAD_BALANCERS,
    RULES,
    TARGET_GROUPS,
    TRUST_STORES,
    Listener,
    LoadBalancer,
    Rule,
    Tag,
    TargetGroup,
    TrustStore,
)
from longshore.services.elbv2.names import SERVICE
from longshore.services.elbv2.permissions import asked_tags
from longshore.services.elbv2.quotas import NAMES_PER_DESCRIBE
from longshore.services.elbv2.tagging import merged, without
from longshore.store.base import Reader, Tx

Tagged = LoadBalancer | TargetGroup | Listener | Rule | TrustStore

_KINDS: dict[type[Tagged], Kind[LoadBalancer] | Kind[TargetGroup] | Kind[Listener] | Kind[Rule] | Kind[TrustStore]] = {
    LoadBalancer: LOAD_BALANCERS,
    TargetGroup: TARGET_GROUPS,
    Listener: LISTENERS,
    Rule: RULES,
    TrustStore: TRUST_STORES,
}


def _named(call: Call, request: shapes.AddTagsInput | shapes.RemoveTagsInput) -> Iterable[str]:
    return request.resource_arns


def _find(reader: Reader, call: Call, arn: str) -> Tagged:
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != SERVICE:
        raise Validation(f"'{arn}' is not a valid ARN")
    match parsed.resource_type:
        case "loadbalancer":
            return find_load_balancer(reader, call, arn)
        case "targetgroup":
            return find_target_group(reader, call, arn)
        case "listener":
            return find_listener(reader, call, arn)
        case "listener-rule":
            return find_rule(reader, call, arn)
        case "truststore":
            return find_trust_store(reader, call, arn)
    raise Validation(f"'{arn}' is not a valid ARN")


async def _change(call: Call, arns: tuple[str, ...], change: Callable[[Iterable[Tag]], tuple[Tag, ...]]) -> None:
    if not arns:
        raise Validation("At least one resource ARN must be specified")

    def apply(tx: Tx) -> None:
        for arn in dict.fromkeys(arns):
            tagged = _find(tx, call, arn)
            kind: Kind[Tagged] = _KINDS[type(tagged)]  # type: ignore[assignment]  # the table pairs each type with its own kind
            tx.put(kind, msgspec.structs.replace(tagged, tags=change(tagged.tags)))

    await call.store.transact(apply)


def _asked(call: Call, request: shapes.AddTagsInput) -> dict[str, list[str]]:
    return asked_tags("", request.tags)


def _taken(call: Call, request: shapes.RemoveTagsInput) -> dict[str, list[str]]:
    return {"aws:tagkeys": list(request.tag_keys)}


@api.operation("AddTags", resource=_named, conditions=_asked)
async def add_tags(call: Call, request: shapes.AddTagsInput) -> shapes.AddTagsOutput:
    await _change(call, request.resource_arns, lambda tags: merged(tags, request.tags))
    return shapes.AddTagsOutput()


@api.operation("RemoveTags", resource=_named, conditions=_taken)
async def remove_tags(call: Call, request: shapes.RemoveTagsInput) -> shapes.RemoveTagsOutput:
    if not request.tag_keys:
        raise Validation("At least one tag key must be specified")
    await _change(call, request.resource_arns, lambda tags: without(tags, request.tag_keys))
    return shapes.RemoveTagsOutput()


@api.operation("DescribeTags", resource=ANY_RESOURCE)
async def describe_tags(call: Call, request: shapes.DescribeTagsInput) -> shapes.DescribeTagsOutput:
    if not request.resource_arns:
        raise Validation("At least one resource ARN must be specified")
    if len(request.resource_arns) > NAMES_PER_DESCRIBE:
        raise Validation(f"Cannot have more than {NAMES_PER_DESCRIBE} resource descriptions")
    return shapes.DescribeTagsOutput(
        tag_descriptions=tuple(
            shapes.TagDescription(resource_arn=arn, tags=views.tags(_find(call.store, call, arn).tags))
            for arn in dict.fromkeys(request.resource_arns)
        )
    )
