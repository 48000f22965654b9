"""TagResource, UntagResource, ListTagsForResource: of repositories, the only things in ECR that carry tags."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from longshore.aws.arn import parse_arn
from longshore.aws.shapes import ecr as shapes
from longshore.services.call import Call
from longshore.services.ecr import views
from longshore.services.ecr.access.resource_policies import resource_conditions
from longshore.services.ecr.api import api
from longshore.services.ecr.errors import InvalidParameterException
from longshore.services.ecr.images import find_repository
from longshore.services.ecr.model import REPOSITORIES, Tag
from longshore.services.ecr.names import RepositoryId, is_repository_name
from longshore.services.ecr.tagging import checked_tags, merged, request_tag_conditions
from longshore.store.base import Tx


class _NamesResource(Protocol):
    @property
    def resource_arn(self) -> str: ...


def _repository_of(call: Call, resource_arn: str) -> RepositoryId:
    """Raises InvalidParameterException for what is no repository's ARN here."""
    parsed = parse_arn(resource_arn)
    if (
        parsed is None
        or (parsed.partition, parsed.service, parsed.region) != ("aws", "ecr", call.region)
        or not parsed.account_id.isdigit()
        or not parsed.resource.startswith("repository/")
        or not is_repository_name(parsed.resource_id)
    ):
        raise InvalidParameterException("Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'")
    return RepositoryId(parsed.region, parsed.account_id, parsed.resource_id)


def _resource(call: Call, request: _NamesResource) -> Iterable[str]:
    return (request.resource_arn,)


def _resource_conditions(call: Call, request: _NamesResource) -> dict[str, list[str]]:
    return resource_conditions(call.store, request.resource_arn)


def _tagging_conditions(call: Call, request: shapes.TagResourceRequest) -> dict[str, list[str]]:
    return _resource_conditions(call, request) | request_tag_conditions(request.tags)


def _untagging_conditions(call: Call, request: shapes.UntagResourceRequest) -> dict[str, list[str]]:
    return _resource_conditions(call, request) | {"aws:TagKeys": list(request.tag_keys)}


async def _retag(call: Call, meant: RepositoryId, change: Callable[[tuple[Tag, ...]], tuple[Tag, ...]]) -> None:
    def retag(tx: Tx) -> None:
        repository = find_repository(tx, meant)
        tx.put(REPOSITORIES, msgspec.structs.replace(repository, tags=change(repository.tags)))

    await call.store.transact(retag)


@api.operation("TagResource", resource=_resource, conditions=_tagging_conditions)
async def tag_resource(call: Call, request: shapes.TagResourceRequest) -> shapes.TagResourceResponse:
    meant = _repository_of(call, request.resource_arn)
    given = checked_tags(request.tags)
    await _retag(call, meant, lambda held: merged(held, given))
    return shapes.TagResourceResponse()


@api.operation("UntagResource", resource=_resource, conditions=_untagging_conditions)
async def untag_resource(call: Call, request: shapes.UntagResourceRequest) -> shapes.UntagResourceResponse:
    meant = _repository_of(call, request.resource_arn)
    await _retag(call, meant, lambda held: tuple(tag for tag in held if tag.key not in request.tag_keys))
    return shapes.UntagResourceResponse()


@api.operation("ListTagsForResource", resource=_resource, conditions=_resource_conditions)
async def list_tags_for_resource(call: Call, request: shapes.ListTagsForResourceRequest) -> shapes.ListTagsForResourceResponse:
    repository = find_repository(call.store, _repository_of(call, request.resource_arn))
    return shapes.ListTagsForResourceResponse(tags=views.tags(repository.tags))
