"""Tags of parameters: of all that Systems Manager can tag, these are here."""

from __future__ import annotations

from typing import Protocol

from msgspec.structs import replace

from longshore.aws.shapes import ssm as shapes
from longshore.services.call import Call
from longshore.services.ssm.api import api
from longshore.services.ssm.errors import InvalidResourceId, InvalidResourceType
from longshore.services.ssm.model import PARAMETERS, Parameter, Tag
from longshore.services.ssm.parameters import checked_tags, find, resource_of
from longshore.store.base import Reader, Tx


class _NamesResource(Protocol):
    @property
    def resource_type(self) -> str: ...

    @property
    def resource_id(self) -> str: ...


def _tagged(reader: Reader, call: Call, request: _NamesResource) -> Parameter:
    """Raises InvalidResourceType or InvalidResourceId."""
    if request.resource_type != "Parameter":
        raise InvalidResourceType(f"{request.resource_type} is not offered by this installation.")
    found = find(reader, call, request.resource_id)
    if found is None:
        raise InvalidResourceId
    return found


def _adding_conditions(call: Call, request: shapes.AddTagsToResourceRequest) -> dict[str, list[str]]:
    asked = {f"aws:RequestTag/{tag.key}": [tag.value] for tag in request.tags}
    return asked | {"aws:TagKeys": [tag.key for tag in request.tags]}


@api.operation("AddTagsToResource", resource=lambda call, request: (resource_of(call, request.resource_id),), conditions=_adding_conditions)
async def add_tags_to_resource(call: Call, request: shapes.AddTagsToResourceRequest) -> shapes.AddTagsToResourceResult:
    given = tuple(Tag(tag.key, tag.value) for tag in request.tags)

    def add(tx: Tx) -> None:
        held = _tagged(tx, call, request)
        tx.put(PARAMETERS, replace(held, tags=checked_tags((*held.tags, *given))))

    await call.store.transact(add)
    return shapes.AddTagsToResourceResult()


def _removing_conditions(call: Call, request: shapes.RemoveTagsFromResourceRequest) -> dict[str, list[str]]:
    return {"aws:TagKeys": list(request.tag_keys)}


@api.operation(
    "RemoveTagsFromResource", resource=lambda call, request: (resource_of(call, request.resource_id),), conditions=_removing_conditions
)
async def remove_tags_from_resource(call: Call, request: shapes.RemoveTagsFromResourceRequest) -> shapes.RemoveTagsFromResourceResult:
    def remove(tx: Tx) -> None:
        held = _tagged(tx, call, request)
        tx.put(PARAMETERS, replace(held, tags=tuple(tag for tag in held.tags if tag.key not in request.tag_keys)))

    await call.store.transact(remove)
    return shapes.RemoveTagsFromResourceResult()


@api.operation(
    "ListTagsForResource",
    resource=lambda call, request: (resource_of(call, request.resource_id),),
)
async def list_tags_for_resource(call: Call, request: shapes.ListTagsForResourceRequest) -> shapes.ListTagsForResourceResult:
    held = _tagged(call.store, call, request)
    return shapes.ListTagsForResourceResult(tag_list=tuple(shapes.Tag(key=tag.key, value=tag.value) for tag in held.tags))
