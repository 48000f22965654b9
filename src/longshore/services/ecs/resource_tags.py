"""Tags as policies ask about them: those of what an ARN names, and those that a request brings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from longshore.aws.arn import parse_arn
from longshore.aws.shapes import ecs as shapes
from longshore.kit.resource import Kind
from longshore.services.ecs.capacity.model import CAPACITY_PROVIDERS
from longshore.services.ecs.lookup import definition_of_arn
from longshore.services.ecs.model import CLUSTERS, CONTAINER_INSTANCES, TASKS, Tag
from longshore.services.ecs.rollout.model import SERVICES, TASK_SETS
from longshore.store.base import Reader

_TAGGED: Mapping[str, Kind[Any]] = {
    "capacity-provider": CAPACITY_PROVIDERS,
    "cluster": CLUSTERS,
    "container-instance": CONTAINER_INSTANCES,
    "service": SERVICES,
    "task-set": TASK_SETS,
}
#: what has no tags but its service's
_OF_A_SERVICE = ("service-deployment", "service-revision")


def resource_conditions(reader: Reader, arn: str) -> Mapping[str, Sequence[str]]:
    """aws:ResourceTag/KEY and ECS's own spelling of it; nothing for what is not there."""
    return {f"{prefix}:resourcetag/{tag.key.lower()}": [tag.value] for tag in _tags_of(reader, arn) for prefix in ("aws", "ecs")}


def _tags_of(reader: Reader, arn: str) -> tuple[Tag, ...]:
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != "ecs":
        return ()
    if parsed.resource_type in _OF_A_SERVICE:
        arn = f"{arn[: -len(parsed.resource)]}service/{parsed.resource_id.rpartition('/')[0]}"
    if parsed.resource_type == "task":
        task = reader.get(TASKS, arn)
        return task.spec.tags if task is not None else ()
    if parsed.resource_type == "task-definition":
        revision = arn.rpartition(":")[2]
        known = definition_of_arn(reader, arn) if revision.isascii() and revision.isdigit() and len(revision) < 11 else None
        return known.tags if known is not None else ()
    kind = SERVICES if parsed.resource_type in _OF_A_SERVICE else _TAGGED.get(parsed.resource_type)
    found = reader.get(kind, arn) if kind is not None else None
    return tuple(found.tags) if found is not None else ()


def creation_conditions(action: str, tags: Iterable[shapes.Tag] | None) -> dict[str, list[str]]:
    """ecs:CreateAction (which ecs:TagResource may be asked for with), aws:RequestTag/KEY and aws:TagKeys."""
    given = [tag for tag in tags or () if tag.key]
    found = {f"aws:requesttag/{(tag.key or '').lower()}": [tag.value or ""] for tag in given}
    if given:
        found["aws:tagkeys"] = [tag.key or "" for tag in given]
    return found | ({"ecs:CreateAction": [action]} if action else {})
