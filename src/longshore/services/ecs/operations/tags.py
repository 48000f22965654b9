"""Tags of every kind of ECS resource, by ARN."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, cast

from msgspec.structs import replace

from longshore.aws.arn import parse_arn
from longshore.aws.shapes import ecs as shapes
from longshore.services.call import Call
from longshore.services.ecs.api import api
from longshore.services.ecs.capacity.model import CAPACITY_PROVIDERS, CapacityProvider
from longshore.services.ecs.errors import InvalidParameterException, ResourceNotFoundException
from longshore.services.ecs.lookup import definition_of_arn
from longshore.services.ecs.model import (
    CLUSTERS,
    CONTAINER_INSTANCES,
    TASK_DEFINITIONS,
    TASKS,
    Cluster,
    ContainerInstance,
    Tag,
    Task,
    TaskDefinition,
)
from longshore.services.ecs.resource_tags import creation_conditions
from longshore.services.ecs.rollout.model import SERVICES, TASK_SETS, Service, TaskSet
from longshore.services.ecs.tagging import merged, tags_from, tags_view
from longshore.store.base import Reader, Tx

Tagged = CapacityProvider | Cluster | ContainerInstance | Service | Task | TaskDefinition | TaskSet


class _Place(NamedTuple):
    """How resources of one type are found by their ARN, and written."""

    find: Callable[[Reader, str], Tagged | None]
    write: Callable[[Tx, Any], Any]


_PLACES: dict[str, _Place] = {
    "capacity-provider": _Place(lambda reader, arn: reader.get(CAPACITY_PROVIDERS, arn), lambda tx, one: tx.put(CAPACITY_PROVIDERS, one)),
    "cluster": _Place(lambda reader, arn: reader.get(CLUSTERS, arn), lambda tx, one: tx.put(CLUSTERS, one)),
    "container-instance": _Place(
        lambda reader, arn: reader.get(CONTAINER_INSTANCES, arn), lambda tx, one: tx.put(CONTAINER_INSTANCES, one)
    ),
    "service": _Place(lambda reader, arn: reader.get(SERVICES, arn), lambda tx, one: tx.put(SERVICES, one)),
    "task": _Place(lambda reader, arn: reader.get(TASKS, arn), lambda tx, one: tx.put(TASKS, one)),
    "task-set": _Place(lambda reader, arn: reader.get(TASK_SETS, arn), lambda tx, one: tx.put(TASK_SETS, one)),
    "task-definition": _Place(lambda reader, arn: _definition(reader, arn), lambda tx, one: tx.put(TASK_DEFINITIONS, one)),
}


def _definition(reader: Reader, arn: str) -> TaskDefinition | None:
    revision = arn.rpartition(":")[2]
    return definition_of_arn(reader, arn) if revision.isascii() and revision.isdigit() and len(revision) < 11 else None


def _named(call: Call, request: Any) -> Iterable[str]:
    return (request.resource_arn,)


def _find(reader: Reader, call: Call, arn: str) -> Tagged:
    """Raises InvalidParameterException for what is no ARN of ours, ResourceNotFoundException for what is not there."""
    parsed = parse_arn(arn)
    if parsed is None or parsed.service != "ecs" or parsed.resource_type not in _PLACES:
        raise InvalidParameterException("The resource ARN is not valid.")
    own = (parsed.partition, parsed.region, parsed.account_id) == ("aws", call.region, call.account_id)
    found = _PLACES[parsed.resource_type].find(reader, arn) if own else None
    if found is None or found.arn != arn or (found.status == "INACTIVE" and not isinstance(found, TaskDefinition)):
        raise ResourceNotFoundException(f"The specified resource {arn[:300]} wasn't found.")
    return found


def _tags_of(resource: Tagged) -> tuple[Tag, ...]:
    return resource.spec.tags if isinstance(resource, Task) else resource.tags


def _write(tx: Tx, arn: str, resource: Tagged, tags: tuple[Tag, ...]) -> None:
    resource_type = cast(Any, parse_arn(arn)).resource_type
    if isinstance(resource, Task):
        _PLACES[resource_type].write(tx, replace(resource, spec=replace(resource.spec, tags=tags)))
    else:
        _PLACES[resource_type].write(tx, replace(resource, tags=tags))


def _brought(call: Call, request: shapes.TagResourceRequest) -> dict[str, list[str]]:
    return creation_conditions("", request.tags)


def _taken_away(call: Call, request: shapes.UntagResourceRequest) -> dict[str, list[str]]:
    return {"aws:tagkeys": list(request.tag_keys)}


@api.operation("TagResource", resource=_named, conditions=_brought)
async def tag_resource(call: Call, request: shapes.TagResourceRequest) -> shapes.TagResourceResponse:
    given = tags_from(request.tags)

    def tag(tx: Tx) -> None:
        resource = _find(tx, call, request.resource_arn)
        _write(tx, request.resource_arn, resource, merged(_tags_of(resource), given))

    await call.store.transact(tag)
    return shapes.TagResourceResponse()


@api.operation("UntagResource", resource=_named, conditions=_taken_away)
async def untag_resource(call: Call, request: shapes.UntagResourceRequest) -> shapes.UntagResourceResponse:
    """Keys that are not there are nothing to worry about; those of AWS's own services stay."""
    gone = {key for key in request.tag_keys if not key.lower().startswith("aws:")}

    def untag(tx: Tx) -> None:
        resource = _find(tx, call, request.resource_arn)
        _write(tx, request.resource_arn, resource, tuple(one for one in _tags_of(resource) if one.key not in gone))

    await call.store.transact(untag)
    return shapes.UntagResourceResponse()


@api.operation("ListTagsForResource", resource=_named)
async def list_tags_for_resource(call: Call, request: shapes.ListTagsForResourceRequest) -> shapes.ListTagsForResourceResponse:
    return shapes.ListTagsForResourceResponse(tags=tags_view(_tags_of(_find(call.store, call, request.resource_arn))))
